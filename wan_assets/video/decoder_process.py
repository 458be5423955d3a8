"""The process that decodes files for a Verifier: it answers lines of JSON until its input ends.

It is confined before it opens a file. An error that says nothing of the file ends it; the Verifier then starts another.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import sys
import threading
from typing import Any, BinaryIO

from wan_assets.errors import DecoderError, DecoderMissingError, InvalidVideoError
from wan_assets.video.inspection import inspect_file
from wan_assets.video.posters import poster_of
from wan_assets.video.properties import properties_of
from wan_assets.video.sandbox import Memory, allow_cpu, confine

_NICE = 5
"""Sending and polling go first: what keeps the API busy is not to wait for decoding."""


def answer_of(call: dict[str, Any]) -> dict[str, Any]:
    """The answer to a call: `facts`, `seen`, `poster`, or why there is none: `damaged`, `undecodable` or `failed`."""
    try:
        if call["do"] == "facts":
            return {"facts": properties_of(call["path"]).to_json()}
        if call["do"] == "seen":
            return {"seen": inspect_file(call["path"], call["poster_bytes"], has_strip=call["has_strip"]).to_json()}
        data = poster_of(call["path"], tuple(call["size"]), call["max_bytes"], call["position"])
        return {"poster": base64.b64encode(data).decode()}
    except InvalidVideoError as error:
        return {"damaged": str(error)}
    except DecoderMissingError as error:
        return {"undecodable": str(error)}
    except (DecoderError, MemoryError) as error:
        return {"failed": str(error) or "the decoder process reached its limit of memory"}


def main(*, cpu_s: float, memory_bytes: int) -> None:
    """Serves until the input ends, be it in the middle of a file: then nobody waits for the answer.

    Each file may take `cpu_s` seconds of CPU time, and the process `memory_bytes` of memory. One that has taken much of
    it ends, so that the next file finds all of it.
    """
    os.nice(_NICE)
    answers = _own_stdout()
    confine(memory_bytes)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    memory = Memory(memory_bytes)
    _say(answers, {"ready": True})
    while not memory.is_short():
        call = json.loads(calls.get())
        allow_cpu(cpu_s)
        answer = answer_of(call)
        is_out = "damaged" in answer and memory.is_short()
        _say(answers, {"failed": "decoding failed when memory ran out"} if is_out else answer)
    os._exit(0)


def _say(answers: BinaryIO, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what).encode() + b"\n")
    answers.flush()


def _listen(calls: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        calls.put(line)
    os._exit(0)


def _own_stdout() -> BinaryIO:
    """The real output; what a library prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return answers
