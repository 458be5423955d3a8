"""The process that decodes files for a Verifier and answers requests in lines of JSON until its input ends.

The process is sandboxed before it opens a file. An error that is not caused by a file ends the process, and the
Verifier starts another one.
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
"""Submitting and polling have priority over decoding, to keep the API busy."""


def answer_of(call: dict[str, Any]) -> dict[str, Any]:
    """Returns a result (`facts`, `inspection`, `poster`) or an error (`damaged`, `undecodable`, `failed`)."""
    try:
        if call["do"] == "facts":
            return {"facts": properties_of(call["path"]).to_json()}
        if call["do"] == "inspection":
            inspection = inspect_file(call["path"], call["poster_bytes"], has_contact_sheet=call["has_contact_sheet"])
            return {"inspection": inspection.to_json()}
        data = poster_of(call["path"], tuple(call["size"]), call["max_bytes"], call["position"])
        return {"poster": base64.b64encode(data).decode()}
    except InvalidVideoError as error:
        return {"damaged": str(error)}
    except DecoderMissingError as error:
        return {"undecodable": str(error)}
    except (DecoderError, MemoryError) as error:
        return {"failed": str(error) or "the decoder process reached its limit of memory"}


def main(*, cpu_s: float, memory_bytes: int) -> None:
    """Serves calls until the input ends, even during a file, because then the caller no longer waits.

    Each file may use `cpu_s` seconds of CPU time, and the process may use `memory_bytes` of memory. A process that has
    used more than half of its memory ends, so that the next file has all of it.
    """
    os.nice(_NICE)
    answers = _own_stdout()
    confine(memory_bytes)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    memory = Memory(memory_bytes)
    _write_answer(answers, {"ready": True})
    while not memory.is_short():
        call = json.loads(calls.get())
        allow_cpu(cpu_s)
        answer = answer_of(call)
        is_out = "damaged" in answer and memory.is_short()
        _write_answer(answers, {"failed": "decoding failed when memory ran out"} if is_out else answer)
    os._exit(0)


def _write_answer(answers: BinaryIO, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what).encode() + b"\n")
    answers.flush()


def _listen(calls: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        calls.put(line)
    os._exit(0)


def _own_stdout() -> BinaryIO:
    """Returns the real standard output, and discards output of libraries."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return answers
