"""The catalogue of the hostile API: more than 200 answers that no client should have to see."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hostile_api import ALWAYS, FILE, POLL, SUBMIT, Answer, Hostility, Task, Wire, http

STRANGER = "6f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a11"
BIG = "9" * 400
OK = b"HTTP/1.1 200 OK\r\n"
JSON_LINE = b"Content-Type: application/json\r\n"
TEXT = b'{"data":[]}'
CHUNKED = OK + JSON_LINE + b"Transfer-Encoding: chunked\r\n\r\n"
FOR_LONG = 3.0
"""Longer than the client waits for an answer, in seconds."""


def _with(*lines: bytes, body: bytes = TEXT) -> Wire:
    return Wire([OK + JSON_LINE + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body])


def _encoded(coding: str, body: bytes) -> Wire:
    return Wire([http(body, headers={"Content-Encoding": coding})])


def _endless(head: bytes, body: bytes) -> Wire:
    return Wire([head, body], is_endless=True)


_BOMB = gzip.compress(b" " * (40 << 20), 9)
_INVALID_UTF8 = b'{"data":[],"errors":[{"message":"\xff\xfe\xc3"}]}'

MALFORMED: Mapping[str, Wire] = {
    "nothing": Wire([]),
    "garbage": Wire([b"\x00\xffgarbage\r\n\r\n"]),
    "TLS": Wire([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)]),
    "HTTP/2": Wire([b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)]),
    "HTTP/0.9": Wire([TEXT]),
    "version 9.9": Wire([b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}"]),
    "version x": Wire([b"HTTP/x 200 OK\r\nContent-Length: 2\r\n\r\n{}"]),
    "status abc": Wire([b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\n{}"]),
    "status -1": Wire([b"HTTP/1.1 -1 OK\r\nContent-Length: 2\r\n\r\n{}"]),
    "status 1000": Wire([b"HTTP/1.1 1000 OK\r\nContent-Length: 2\r\n\r\n{}"]),
    "status 99999999999999999999": Wire([b"HTTP/1.1 99999999999999999999 OK\r\n\r\n"]),
    "no status": Wire([b"HTTP/1.1\r\n\r\n"]),
    "half a status line": Wire([b"HTTP/1.1 20"]),
    "reason of odd bytes": Wire([b"HTTP/1.1 200 \xff\xfe\xed\xa0\x80\r\nContent-Length: 0\r\n\r\n"]),
    "line without colon": _with(b"This is no header"),
    "space before colon": _with(b"Content-Length : 11"),
    "empty name": _with(b": nothing"),
    "folded header": _with(b"X-A: a\r\n  b"),
    "NUL in header": _with(b"X-A: a\x00b"),
    "high bytes in header": _with(b"X-A: \xff\xfe\xed\xa0\x80", b"Content-Length: 11"),
    "long header": _with(b"X-A: " + b"a" * 70_000),
    "long name": _with(b"X-" + b"a" * 70_000 + b": a"),
    "10,000 headers": _with(*[b"X-%d: a" % index for index in range(10_000)]),
    "long reason": Wire([b"HTTP/1.1 200 " + b"a" * 70_000 + b"\r\n\r\n"]),
    "length abc": _with(b"Content-Length: abc"),
    "length -5": _with(b"Content-Length: -5"),
    "length +11": _with(b"Content-Length: +11"),
    "length 1e1": _with(b"Content-Length: 1e1"),
    "length of 400 digits": _with(b"Content-Length: " + BIG.encode()),
    "length 10^15": _with(b"Content-Length: 1000000000000000"),
    "two lengths": _with(b"Content-Length: 11", b"Content-Length: 12"),
    "list of lengths": _with(b"Content-Length: 11, 12"),
    "length too long": _with(b"Content-Length: 5000"),
    "length too short": _with(b"Content-Length: 3"),
    "length and chunks": _with(
        b"Content-Length: 11", b"Transfer-Encoding: chunked", body=b"b\r\n" + TEXT + b"\r\n0\r\n\r\n"
    ),
    "unknown transfer encoding": _with(b"Transfer-Encoding: pigeon"),
    "transfer encoding twice": _with(b"Transfer-Encoding: chunked, chunked"),
    "bad chunk size": Wire([CHUNKED + b"zz\r\n" + TEXT + b"\r\n0\r\n\r\n"]),
    "negative chunk size": Wire([CHUNKED + b"-1\r\n" + TEXT]),
    "huge chunk size": Wire([CHUNKED + b"f" * 40 + b"\r\n" + TEXT]),
    "chunk without end": Wire([CHUNKED + b"b\r\n" + TEXT]),
    "chunk too long": Wire([CHUNKED + b"2\r\n" + TEXT + b"\r\n0\r\n\r\n"]),
    "long chunk extension": Wire([CHUNKED + b"b;" + b"a" * 70_000 + b"\r\n" + TEXT + b"\r\n0\r\n\r\n"]),
    "bad trailer": Wire([CHUNKED + b"b\r\n" + TEXT + b"\r\n0\r\nno trailer\r\n\r\n"]),
    "gzip that is none": _encoded("gzip", b"no gzip at all"),
    "gzip cut off": _encoded("gzip", gzip.compress(TEXT * 1000)[:40]),
    "gzip with a wrong sum": _encoded("gzip", gzip.compress(TEXT)[:-8] + bytes(8)),
    "gzip bomb": _encoded("gzip", _BOMB),
    "gzip twice": _encoded("gzip, gzip", gzip.compress(_BOMB)),
    "deflate that is none": _encoded("deflate", b"\x78\x9c no deflate"),
    "deflate bomb": _encoded("deflate", zlib.compress(b" " * (40 << 20), 9)),
    "brotli": _encoded("br", b"\x1b\x00"),
    "zstd": _encoded("zstd", b"\x28\xb5\x2f\xfd\x00"),
    "unknown encoding": _encoded("\x7f", TEXT),
    "201 without body": Wire([http(b"", 201)]),
    "204 with body": Wire([http(TEXT, 204)]),
    "205": Wire([http(b"", 205)]),
    "101": Wire([b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + TEXT, FOR_LONG]),
    "100 for ever": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "103 first": Wire([b"HTTP/1.1 103 Early\r\nLink: </>\r\n\r\n", http(b"<html>")]),
    "odd cookies": Wire([http(b"", headers={"Set-Cookie": "a\x01=\x7f; Domain=\xff; expires=never; Max-Age=" + BIG})]),
    "an endless body": _endless(OK + JSON_LINE + b"\r\n", b'{"data":[' + b"[]," * 30_000),
    "endless headers": _endless(OK, b"X-A: a\r\n" * 100),
    "byte by byte": Wire([OK, *itertools.chain.from_iterable((0.2, bytes([byte])) for byte in b"X-A: abcdefghijklm")]),
    "a body byte by byte": Wire([http(b"", length=99), *itertools.chain.from_iterable([(0.2, b"a")] * 20)]),
    "no word": Wire([FOR_LONG]),
    "headers and no body": Wire([http(b"", length=99), FOR_LONG]),
    "HTML": Wire([http(b"<html>Hello</html>", headers={"Content-Type": "text/html"})]),
    "half of an answer": Wire([http(b'{"data":[{"taskTy')]),
    "deep lists": Wire([http(b"[" * 100_000)]),
    "deep items": Wire([http(b'{"data":' + b'[{"a":' * 40_000 + b"1" + b"}]" * 40_000 + b"}")]),
    "a number": Wire([http(BIG.encode())]),
    "invalid UTF-8": Wire([http(_INVALID_UTF8[:-2])]),
    "UTF-16": Wire([http('{"data":[]}'.encode("utf-16"))]),
    "500": Wire([http(b"", 500)]),
    "502": Wire([http(b"<html>Bad gateway", 502)]),
    "503 and a wait": Wire([http(b"", 503, {"Retry-After": "0"})]),
    "503 until 9999": Wire([http(b"", 503, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"})]),
    "503 until 99999": Wire([http(b"", 503, {"Retry-After": "Fri, 31 Dec 99999 23:59:59 GMT"})]),
    "503 in an odd zone": Wire([http(b"", 503, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 +" + "9" * 30})]),
    "503 for 400 digits": Wire([http(b"", 503, {"Retry-After": BIG})]),
    "503 for -5": Wire([http(b"", 503, {"Retry-After": "-5"})]),
    "503 for NaN": Wire([http(b"", 503, {"Retry-After": "NaN"})]),
    "504": Wire([http(b"<html>Gateway time-out", 504)]),
    "522": Wire([http(b"", 522)]),
    "599": Wire([http(b"\x00\xff", 599)]),
}
"""Answers that say nothing of a task, whatever they are given to."""


def _fault(**fields: Any) -> dict[str, Any]:
    return {"code": "providerError", "message": "No.", **fields}


def _said(make: Callable[[Task], Any], status: int = 200) -> Answer:
    return lambda task: Wire([http(make(task), status)])


def _raw(make: Callable[[Task], str]) -> Answer:
    """JSON that no writer of JSON would write."""
    return lambda task: Wire([http(make(task).encode("utf-8", "surrogatepass"))])


def _ack(task: Task, **fields: Any) -> dict[str, Any]:
    return {"taskType": SUBMIT, "taskUUID": task.task_uuid, **fields}


def _acked_with(status: int = 200, *, is_named: bool = False, **fault: Any) -> Answer:
    """An acknowledgement beside an error that names the task, or none."""

    def said(task: Task) -> Any:
        named = {"taskUUID": task.task_uuid} if is_named else {}
        return {"data": [_ack(task)], "errors": [_fault(**fault, **named)]}

    return _said(said, status)


def _faulted(http_status: int, /, **fault: Any) -> Answer:
    return _said(lambda task: {"errors": [_fault(taskUUID=task.task_uuid, **fault)]}, http_status)


def _item(**changes: Any) -> Answer:
    return _said(lambda task: {"data": [task.item(**changes)]})


def _written(field: str, value: str) -> Answer:
    """A result of which one field is written so, which may be no JSON."""
    return _raw(lambda task: json.dumps({"data": [task.item(**{field: "HERE"})]}).replace('"HERE"', value))


_ODD_TEXTS = {
    "half a surrogate": "\ud800",
    "NUL": "a\u0000b",
    "escapes": "\u001b[2J\u0007\u009b",
    "a right-to-left mark": "\u202egnp.4pm",
    "a long text": "x" * 200_000,
}
_WRITTEN_UUIDS: Mapping[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "braces": "{{{}}}".format,
    "a URN": "urn:uuid:{}".format,
    "no dashes": lambda said: said.replace("-", ""),
    "spaces": " {}\n".format,
    "braces and upper case": lambda said: f"{{{said.upper()}}}",
}


def _acknowledged() -> Iterator[tuple[str, Answer]]:
    """Submissions that are accepted, in words that could be taken for something else."""
    for name, write in _WRITTEN_UUIDS.items():
        yield f"ack in {name}", _said(lambda task, write=write: {"data": [_ack(task, taskUUID=write(task.task_uuid))]})
    for code in ("invalidSeed", "providerError", "contentPolicyViolation", "internalServerError", "x", None, 7):
        for status in (200, 400, 500):
            yield f"ack and nameless {code}, {status}", _acked_with(status, code=code)
    for status in (201, 202, 409, 429, 503):
        yield f"ack with status {status}", _said(lambda task: {"data": [_ack(task)]}, status)
    for code in ("invalidSeed", "providerError", "rateLimitExceeded"):
        yield f"ack and its own {code}", _acked_with(is_named=True, code=code)
    for name, text in _ODD_TEXTS.items():
        yield f"ack and {name}", _acked_with(message=text)
    yield (
        "ack and a stranger's error",
        _said(lambda task: {"data": [_ack(task)], "errors": [_fault(taskUUID=STRANGER)]}),
    )
    yield "a stranger's ack", _said(lambda _: {"data": [{"taskUUID": STRANGER}]})
    yield "a stranger's ack and an error", _said(lambda _: {"data": [{"taskUUID": STRANGER}], "errors": [_fault()]})
    yield "a stranger's error, 400", _said(lambda _: {"errors": [_fault(code="invalidSeed", taskUUID=STRANGER)]}, 400)
    yield "ack that runs", _said(lambda task: {"data": [_ack(task, status="processing")]})
    yield "ack that has finished", _said(lambda task: {"data": [task.item()]})
    yield "ack that has finished, 500", _said(lambda task: {"data": [task.item()], "errors": [_fault()]}, 500)
    yield "ack that has failed", _said(lambda task: {"data": [_ack(task, status="FAILED")]})
    yield "ack of a thousand items", _said(lambda task: {"data": [{}, 1, None, "x", []] * 1000 + [_ack(task)]})
    yield "ack as an object", _said(lambda task: {"data": _ack(task), "errors": "no"})
    yield "empty list", _said(lambda _: {"data": [], "errors": []})
    yield "empty object", _said(lambda _: {})
    yield "errors that are none", _said(lambda _: {"data": None, "errors": [None, {}, [], 0, False]})
    yield "an error of numbers", _said(lambda _: {"errors": [{"code": 1, "message": 2, "taskUUID": 3}]})
    yield "conflict, 200", _said(lambda task: {"errors": [_fault(code="conflictTaskUUID", taskUUID=task.task_uuid)]})
    yield "conflict, 409", _said(lambda _: {"errors": [_fault(code="CONFLICTTASKUUID")]}, 409)
    yield "409 and HTML", lambda _: Wire([http(b"<html>Conflict", 409)])
    yield "duplicate keys", _raw(lambda task: f'{{"data":[{{"taskUUID":"{task.task_uuid}"}}],"data":[],"errors":[]}}')
    yield "400 digits", _raw(lambda task: f'{{"data":[{{"taskUUID":"{task.task_uuid}","cost":{BIG}}}],"x":{BIG * 20}}}')
    yield "a surrogate in the UUID", _raw(lambda _: '{"data":[{"taskUUID":"\\ud800"}]}')


def _refused() -> Iterator[tuple[str, Answer]]:
    """Submissions that are refused, and not charged, in words that are hard to keep."""
    for name, text in _ODD_TEXTS.items():
        for field in ("code", "message", "parameter"):
            yield f"{name} in the {field} of a refusal", _faulted(400, **{"code": "invalidSeed", field: text})
    fields = {"allowedValues": [[], {}, None, "\ud800", 10**400] * 500, "parameter": [{}, None, 1] * 500}
    yield (
        "odd values",
        _said(lambda task: {"errors": [_fault(code="invalidX", taskUUID=task.task_uuid, **fields)]}, 400),
    )
    yield (
        "a refusal in capitals",
        _said(lambda task: {"errors": [_fault(code="INVALIDSEED", taskUUID=task.task_uuid.upper())]}),
    )
    yield "a blocked prompt", _said(lambda _: {"errors": [_fault(code="contentPolicyViolation")]}, 400)
    yield "413", lambda _: Wire([http(b"", 413)])
    yield "422", lambda _: Wire([http({"errors": {"code": "invalidSeed"}}, 422)])


_STOPS: Mapping[str, Wire] = {
    **{f"a bare {status}": Wire([http(b"", status)]) for status in (401, 404)},
    "an unknown key": Wire([http({"errors": [_fault(code="invalidApiKey")]}, 401)]),
    "no permission": Wire([http({"errors": [_fault(code="insufficientPermissions")]}, 403)]),
    **{
        f"{status} to {place[:20]!r}": Wire([http(b"", status, {"Location": place})])
        for status, place in ((301, "/v1"), (307, "//\x7f"))
    },
}
"""What would be the trouble of all tasks, if it were not said to one alone."""

_ENDS = (
    "error ERROR Error failed FAILED failure expired cancelled canceled CANCELLED timeout timed_out rejected aborted"
)
_RUNS = "queued pending scheduled waiting PROCESSING running throttled"


def _polled() -> Iterator[tuple[str, Answer]]:
    """Polls that say something of the task, oddly."""
    for word in _ENDS.split():
        yield f"{word} with an address", _said(lambda task, word=word: {"data": [task.item(status=word)]})
        yield f"{word} without", _said(lambda task, word=word: {"data": [_ack(task, status=word)]})
    for word in ("SUCCESS", "Completed", "succeeded", "done"):
        yield f"{word} with an address", _said(lambda task, word=word: {"data": [task.item(status=word)]})
        yield f"{word} without", _said(lambda task, word=word: {"data": [task.item(status=word, videoURL=None)]})
    for name, write in _WRITTEN_UUIDS.items():
        yield (
            f"a result in {name}",
            _said(lambda task, write=write: {"data": [task.item(taskUUID=write(task.task_uuid))]}),
        )
    for name, text in _ODD_TEXTS.items():
        for field in ("videoUUID", "seed", "status", "taskType", "cost"):
            yield f"{name} as {field}", _item(**{field: text})
        yield f"{name} in a verdict", _faulted(200, message=text, code=text, status="error")
    for value in (
        "NaN",
        "Infinity",
        "-Infinity",
        BIG,
        f"-{BIG}",
        "1e400",
        "1e16",
        "-1",
        "0",
        "[]",
        "{}",
        '"0.473"',
        "null",
        "true",
    ):
        for field in ("cost", "seed", "progress", "videoUUID"):
            yield f"{field} {value[:9]}", _written(field, value)
    for value in (
        [],
        {},
        7,
        True,
        "",
        " ",
        "x" * 20_000,
        "http://[",
        "file:///etc/passwd",
        "http://\ud800/",
        "//x",
        "\x00",
    ):
        yield f"address {str(value)[:20]!r}", _said(lambda task, value=value: {"data": [task.item(videoURL=value)]})
    yield "an extra picture", _said(lambda task: {"data": [_picture(task), task.item()]})
    yield "only a picture", _said(lambda task: {"data": [_picture(task)]})
    yield "a result twice", _said(lambda task: {"data": [task.item(), task.item()]})
    yield "five results", _said(lambda task: {"data": [task.item(1), *[task.item(2, videoURL="http://x/y.png")] * 4]})
    yield "a nameless error beside", _said(lambda task: {"data": [task.item()], "errors": [_fault()]})
    yield (
        "a thousand errors",
        _said(lambda task: {"data": [task.item()], "errors": [_fault(taskUUID=task.task_uuid)] * 1000}),
    )
    yield (
        "running and failed",
        _said(lambda task: {"data": [_ack(task, status="processing")], "errors": [_fault(taskUUID=task.task_uuid)]}),
    )
    yield (
        "an item of odd keys",
        _raw(lambda task: json.dumps({"data": [{**task.item(), "\ud800\x00": {"\x00": "\ud800"}}]})),
    )
    yield (
        "duplicate statuses",
        _raw(lambda task: json.dumps(task.item()).replace("{", '{"data":[{"status":"failed",', 1) + "]}"),
    )
    yield "a deep item", _said(lambda task: {"data": [task.item(extra=_deep(400))]})
    yield (
        "404 and a reason",
        _said(lambda task: {"errors": [_fault(code="taskNotFound", taskUUID=task.task_uuid)]}, 404),
    )


def _picture(task: Task) -> dict[str, Any]:
    return {**task.item(2, videoURL=None, cost=None), "taskType": "imageInference", "imageURL": f"{task.root}/a.png"}


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


_TWO: Mapping[str, Answer] = {
    "one result twice": _said(lambda task: {"data": [task.item(1), task.item(1)]}),
    "one name for two files": _said(
        lambda task: {"data": [task.item(1), task.item(2, videoUUID=task.item()["videoUUID"])]}
    ),
    "one result in two cases": _said(
        lambda task: {"data": [task.item(1), task.item(1, videoUUID=task.item()["videoUUID"].upper())]}
    ),
    "a video and a picture": _said(lambda task: {"data": [task.item(1), _picture(task)]}),
    "a video and a failure": _said(lambda task: {"data": [task.item(1), _ack(task, status="Expired")]}),
    "two failures": _said(lambda task: {"data": [_ack(task, status="canceled"), _ack(task, status="TIMEOUT")]}),
}

_FILES: Mapping[str, Wire] = {
    **{f"status {status}": Wire([http(b"", status)]) for status in (401, 403, 404, 410, 422, 451)},
    **{
        f"to {place[:20]!r}": Wire([http(b"", 302, {"Location": place})])
        for place in (
            "http://[",
            "//",
            "\x7f",
            "http://169.254.169.254/",
            "file:///etc/passwd",
            "/files/" + "a" * 9000,
            "x" * 8000,
        )
    },
    "text": Wire([http(b"This is no video.", headers={"Content-Type": "video/mp4"})]),
    "a picture": Wire([http(b"\x89PNG\r\n\x1a\n" + bytes(200))]),
    "zeros": Wire([http(bytes(100_000))]),
    "206": Wire([http(b"part", 206)]),
}


def _catalogue() -> Iterator[Hostility]:
    for index, (name, wire) in enumerate(MALFORMED.items()):
        yield Hostility(f"submit: {name}", SUBMIT, wire, times=1 if index % 3 else ALWAYS, accepts=index % 2 == 0)
        if index % 2:
            yield Hostility(f"poll: {name}", POLL, wire, times=2 if index % 4 == 1 else ALWAYS, is_malformed=True)
        yield Hostility(f"file: {name}", FILE, wire, times=1 if index % 2 else ALWAYS)
    yield from (Hostility(f"submit: {name}", SUBMIT, answer) for name, answer in _acknowledged())
    yield from (Hostility(f"submit: {name}", SUBMIT, answer, accepts=False) for name, answer in _refused())
    yield from (
        Hostility(f"submit: {name}", SUBMIT, wire, accepts=False, is_alone=True) for name, wire in _STOPS.items()
    )
    yield from (Hostility(f"poll: {name}", POLL, wire, is_alone=True) for name, wire in _STOPS.items())
    yield from (Hostility(f"poll: {name}", POLL, answer) for name, answer in _polled())
    yield from (Hostility(f"poll: {name}", POLL, answer, number_results=2) for name, answer in _TWO.items())
    yield from (Hostility(f"file: {name}", FILE, wire) for name, wire in _FILES.items())


CATALOGUE = tuple(_catalogue())
