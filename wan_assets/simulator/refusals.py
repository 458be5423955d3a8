"""Validation of tasks against the model's rules, and refusals in the error format of the API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from wan_assets.models import AUTO, MODEL, VideoRequest, Violation, catalog, description_of, violations_of

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_CODES = {
    "missing": "missing{}",
    "needs_one_of": "missing{}",
    "required_without": "missing{}",
    "requires": "missing{}",
    "together": "missing{}",
    "excludes": "incompatibleParameters",
    "requires_value": "incompatibleParameters",
    "not_of_model": "unsupportedParameter",
    "extra_forbidden": "unknownParameter",
    "unknown_model": "invalid{}",
    "literal_error": "unsupported{}",
    "in_sizes": "unsupportedDimensions",
}
_SETTINGS = ("settings", "providerSettings")
"""A request accepts the settings in both places; the API only in that of the model."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "width": (int,),
    "height": (int,),
    "duration": (int, float),
    "seed": (int,),
    "numberResults": (int,),
    "outputQuality": (int,),
    "ttl": (int,),
    "includeCost": (bool,),
    "outputFormat": (str,),
}
"""JSON types of parameters that a table may contain as text; a float with a whole value is accepted as int."""


class RefusalError(Exception):
    """An error response: an HTTP status and error items."""

    def __init__(self, status: int, *items: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.items = list(items)


def error_item(code: str, message: str, task: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Returns one error item that identifies its task."""
    about = {key: task[key] for key in ("taskType", "taskUUID") if key in task} if task else {}
    return {"code": code, "message": message, **about, "documentation": _page_of(task or {}), **more}


def _page_of(task: Mapping[str, Any]) -> str:
    """Returns the page of a task's model, or of the default model."""
    return description_of(catalog().id_of(task.get("model")) or MODEL).page


def checked_uuid(task: Mapping[str, Any]) -> str:
    """Returns the taskUUID of a task; raises `RefusalError` if it is not a UUID v4."""
    given = task.get("taskUUID")
    if isinstance(given, str) and _UUID4.fullmatch(given):
        return given
    code = "missingTaskUUID" if given is None else "invalidTaskUUID"
    about = {"taskType": task.get("taskType", "")}
    raise RefusalError(400, error_item(code, "taskUUID must be a UUID v4.", about, parameter="taskUUID"))


def valid_request(task: Mapping[str, Any]) -> VideoRequest:
    """Returns the request of a task; raises `RefusalError` with all broken rules."""
    checked_uuid(task)
    if invalid := list(_format_errors(task)):
        raise RefusalError(400, *(_refused(task, code, path) for code, path in invalid))
    try:
        request = VideoRequest.model_validate(task)
        if misplaced := [name for name in _SETTINGS if name in task and name not in request.to_task("")]:
            raise RefusalError(400, *(_refused(task, "unsupportedParameter", name) for name in misplaced))
    except ValidationError as error:
        found = zip(error.errors(include_url=False), violations_of(error, task), strict=True)
        broken = [_broken(task, details["type"], violation) for details, violation in found]
        raise RefusalError(400, *broken) from None
    if unknown := [path for path, media in media_in(request) if media in request.uploads]:
        raise RefusalError(400, *(_refused(task, "invalid{}", path) for path in unknown))
    return request


def media_in(request: VideoRequest) -> Iterator[tuple[str, str]]:
    """Yields each input of a request with its parameter."""
    yield from ((f"inputs.{to_camel(name)}", media) for name, media in request.media)


def _format_errors(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields errors that only the API refuses: snake case, numbers as text, formats in lower case."""
    for path in _paths_in(task):
        if "_" in path:
            yield "unknownParameter", path
    for name, types in _TYPES.items():
        value = task.get(name)
        is_whole = isinstance(value, float) and value.is_integer() and int in types
        if value is None or is_whole or (name == "duration" and value == AUTO):
            continue
        if type(value) not in types or str(value).lower() == value:
            yield "invalid{}", name


def _paths_in(value: Any, above: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"{above}{key}"
            yield from _paths_in(part, f"{above}{key}.")
    elif isinstance(value, list):
        for part in value:
            yield from _paths_in(part, above)


def _broken(task: Mapping[str, Any], kind: str, violation: Violation) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if violation.allowed_values:
        more["allowedValues"] = list(violation.allowed_values)
        more["type"] = "string" if isinstance(violation.allowed_values[0], str) else "float"
    return _refused(task, _CODES.get(kind, "invalid{}"), violation.path, violation.rule, **more)


def _refused(task: Mapping[str, Any], code: str, path: str, rule: str = "", **more: Any) -> dict[str, Any]:
    last = path.rpartition(".")[2] or "request"
    message = f"Invalid value for {last} parameter. {rule}".strip()
    anchor = f"request-{path.lower().replace('.', '-')}"
    named = {**more, "parameter": path, "documentation": f"{_page_of(task)}#{anchor}"}
    return {**error_item(code.format(last[0].upper() + last[1:]), message, task), **named}
