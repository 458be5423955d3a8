"""The process that decodes files for a Verifier: it answers lines of JSON until its input ends.

An error that says nothing of the file ends it; the Verifier then starts another.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import sys
import threading
from typing import Any, BinaryIO

from wan_assets.errors import InvalidVideoError
from wan_assets.video.facts import facts_of
from wan_assets.video.poster import poster_of
from wan_assets.video.seen import seen_in

_NICE = 5
"""Sending and polling go first: what keeps the API busy is not to wait for decoding."""


def answer_of(call: dict[str, Any]) -> dict[str, Any]:
    """The answer to a call: `facts`, `seen`, `poster`, or `refused` with the reason."""
    try:
        if call["do"] == "facts":
            return {"facts": facts_of(call["path"]).to_json()}
        if call["do"] == "seen":
            return {"seen": seen_in(call["path"], call["poster_bytes"], has_strip=call["has_strip"]).to_json()}
        data = poster_of(call["path"], tuple(call["size"]), call["max_bytes"], call["position"])
        return {"poster": base64.b64encode(data).decode()}
    except InvalidVideoError as error:
        return {"refused": str(error)}


def main() -> None:
    """Serves until the input ends, be it in the middle of a file: then nobody waits for the answer."""
    os.nice(_NICE)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    answers = _own_stdout()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    _say(answers, {"ready": True})
    while True:
        _say(answers, answer_of(json.loads(calls.get())))


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


if __name__ == "__main__":
    main()
