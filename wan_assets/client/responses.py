"""Parses the API's responses into items and faults, and finds the fault that refuses a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wan_assets.client.bounds import clean_text, name_in, parse_json
from wan_assets.client.error_codes import code_of_failure_status, refusal_of
from wan_assets.errors import ApiFault, RunwareBusyError
from wan_assets.models import uuid_in

_MAX_QUOTED = 120
_MAX_MESSAGE = 2_000
_MAX_WORD = 200
_SIGNED = re.compile(r"(x-amz-[a-z-]+(?:=|%3d))[^&\s\"'<>]+", re.IGNORECASE)
"""The secret part of a signed S3 address. It is removed from error messages; results keep it, because they may be such
an address."""

_MAX_ALLOWED = 50


@dataclass(frozen=True)
class ApiResponse:
    """One response: its status, items and faults. `data` and `faults` may both be filled, or both be empty."""

    status: int
    data: tuple[Mapping[str, Any], ...]
    faults: tuple[ApiFault, ...]
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def has_item_of(self, task_uuid: str) -> bool:
        """Whether the response contains an item of one task."""
        return any(item.get("taskUUID") == task_uuid for item in self.data)


def response_of(status: int, text: str, retry_after_s: float | None = None) -> ApiResponse:
    """Parses a body before its status is considered; raises `RunwareBusyError` if it is not a JSON object."""
    try:
        body = parse_json(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        quoted = " ".join(clean_text(str(_unsigned(text)), _MAX_QUOTED).split()) or "nothing"
        fault = ApiFault(f"http_{status}", f"the answer is not a JSON object: {quoted}", http_status=status)
        if 200 <= status < 300:
            raise RunwareBusyError(fault)
        raise refusal_of(ApiFault(fault.code, fault.message, http_status=status, retry_after_s=retry_after_s))
    data = body.get("data")
    items = data if isinstance(data, list) else [data]
    faults = tuple(_faults_in(body, status, retry_after_s))
    return ApiResponse(status, tuple(_named(item) for item in items if isinstance(item, dict)), faults, retry_after_s)


def _named(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns an item with the UUID of its task in canonical form."""
    task_uuid = uuid_in(item.get("taskUUID"))
    return {**item, "taskUUID": task_uuid} if task_uuid else item


def refusal_in(answer: ApiResponse, task_uuid: str | None) -> ApiFault | None:
    """Returns the fault that refuses a call about one task: a fault of the task, one without a task, or a bare bad
    status.

    An item of the task in the data means that the API has the task. In that case only a fault that names the task
    counts.
    """
    is_taken = task_uuid is not None and answer.has_item_of(task_uuid)
    ours = (task_uuid,) if is_taken else (None, task_uuid)
    if found := next((fault for fault in answer.faults if fault.task_uuid in ours), None):
        return found
    if answer.is_success or is_taken:
        return None
    return ApiFault(
        f"http_{answer.status}",
        "the API gave no reason",
        http_status=answer.status,
        retry_after_s=answer.retry_after_s,
    )


def may_be_accepted_anyway(answer: ApiResponse, fault: ApiFault, task_uuid: str) -> bool:
    """Whether a response refuses a submission but may have accepted the task, so that its reservation must be kept.

    Such a response contains an item besides the fault, or only a bad status together with faults of other tasks.
    """
    names_others = any(fault.task_uuid not in (None, task_uuid) for fault in answer.faults)
    is_bare = fault not in answer.faults
    holds_items = any(item.get("taskType") != "authentication" for item in answer.data)
    return holds_items or (is_bare and names_others)


def _unsigned(value: Any) -> Any:
    return _each_text(lambda text: _SIGNED.sub(r"\1[hidden]", text), value)


def _each_text(change: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(change, part) for key, part in value.items()}
    return [_each_text(change, part) for part in value] if isinstance(value, list) else value


def failure_of(item: Mapping[str, Any], code: str, status: int) -> ApiFault:
    """Returns the fault of a task whose item states that it ended without a result."""
    nested = item.get("error")
    value = nested if isinstance(nested, dict) else {"message": nested} if isinstance(nested, str) and nested else {}
    reason = {"code": code, "message": f"the API ended the task with the status {item['status']!r}"}
    return _fault_of({**reason, **{key: part for key, part in {**item, **value}.items() if part}}, status, None)


def _faults_in(body: Mapping[str, Any], status: int, retry_after_s: float | None) -> Iterator[ApiFault]:
    for key in ("errors", "error"):
        value = body.get(key)
        for item in value if isinstance(value, list) else [value] if value else []:
            yield _fault_of(item if isinstance(item, dict) else {"message": item}, status, retry_after_s)


def _fault_of(value: Mapping[str, Any], status: int, retry_after_s: float | None) -> ApiFault:
    item = _unsigned(dict(value))
    allowed = item.get("allowedValues")
    context = item.get("context")
    named = item.get("taskUUID") or (context.get("taskUUID") if isinstance(context, dict) else None)
    code = name_in(item.get("code")) or name_in(item.get("errorId"))
    return ApiFault(
        code=code or code_of_failure_status(item.get("status")) or f"http_{status}",
        message=_sentence_in(item.get("message")),
        parameter=_parameter_in(item.get("parameter")),
        task_uuid=(uuid_in(named) or _word(named)) if named else None,
        http_status=status,
        allowed_values=tuple(map(_allowed, allowed[:_MAX_ALLOWED])) if isinstance(allowed, list) else (),
        retry_after_s=retry_after_s,
        detail=item,
    )


def _sentence_in(message: Any) -> str:
    return clean_text(message if isinstance(message, str) else str(message or ""), _MAX_MESSAGE) or "no message"


def _parameter_in(value: Any) -> str | tuple[str, ...] | None:
    if isinstance(value, list):
        return tuple(clean_text(str(part), _MAX_WORD) for part in value[:_MAX_ALLOWED])
    return _word(value)


def _word(value: Any) -> str | None:
    return clean_text(str(value), _MAX_WORD) if value else None


def _allowed(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else _word(value)
