"""What the API refuses, in its words: tasks checked against the model's rules, and faults as error items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from wan_assets.breaches import Breach, breaches_of
from wan_assets.request import VideoRequest

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_DOCUMENTATION = "https://runware.ai/docs/models/alibaba-wan2-5-preview"
_CODES = {
    "missing": "missing",
    "size_missing": "missing",
    "size_twice": "incompatibleParameters",
    "size_half": "incompatibleParameters",
    "audio_twice": "incompatibleParameters",
    "extra_forbidden": "unknownParameter",
    "literal_error": "unsupported",
    "size": "unsupported",
}


class RefusalError(Exception):
    """An answer that is an error: its HTTP status and its error items."""

    def __init__(self, status: int, *items: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.items = list(items)


def item(code: str, message: str, task: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One error item, naming the task it is about."""
    about = {key: task[key] for key in ("taskType", "taskUUID") if key in task} if task else {}
    return {"code": code, "message": message, **about, "documentation": _DOCUMENTATION, **more}


def checked(task: Mapping[str, Any]) -> VideoRequest:
    """The request of a task, or a `RefusalError` that holds every broken rule."""
    if not _UUID4.fullmatch(str(task.get("taskUUID", ""))):
        raise RefusalError(400, item("invalidTaskUUID", "taskUUID must be a UUID v4.", task, parameter="taskUUID"))
    if strange := [key for key in _keys_in(task) if "_" in key]:
        raise RefusalError(
            400, *(item("unknownParameter", f"{key} is unknown.", task, parameter=key) for key in strange)
        )
    try:
        request = VideoRequest.model_validate(task)
    except ValidationError as error:
        found = zip(error.errors(include_url=False), breaches_of(error, task), strict=True)
        raise RefusalError(400, *(_broken(task, details["type"], breach) for details, breach in found)) from None
    if request.uploads:
        raise RefusalError(400, item("invalidFrameImages", "No such image.", task, parameter="inputs.frameImages"))
    return request


def _broken(task: Mapping[str, Any], kind: str, breach: Breach) -> dict[str, Any]:
    last = breach.path.rpartition(".")[2] or "request"
    code = _CODES.get(kind, "invalid")
    name = code if code[-1] == "s" or code == "unknownParameter" else code + last[0].upper() + last[1:]
    more: dict[str, Any] = {"parameter": breach.path}
    if breach.allowed_values:
        more["allowedValues"] = list(breach.allowed_values)
    return item(name, f"Invalid value for {last} parameter. {breach.rule}.", task, **more)


def _keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield str(key)
            yield from _keys_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _keys_in(part)
