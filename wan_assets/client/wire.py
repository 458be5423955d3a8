"""What the API's answers say, read tolerantly: acknowledgements, task reports and faults as frozen values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wan_assets.codes import class_of, refusal_of
from wan_assets.errors import (
    ApiFault,
    ContentBlockedError,
    RequestRejectedError,
    RunwareBusyError,
    TaskFailedError,
    TaskUnknownError,
)

_SECRET_LENGTH = 8
"""Anything shorter is no key of the API, and would be found in innocent words."""

_SIGNED = re.compile(r"(x-amz-[a-z-]+(?:=|%3d))[^&\s\"'<>]+", re.IGNORECASE)
"""What makes a signed address of S3 a secret. Complaints may repeat one; results may be one, and are left alone."""

_FINISHED = ("success", "completed")
_NOT_FOUND = "tasknotfound"


@dataclass(frozen=True)
class Answer:
    """One response: its status, its items and its faults; `data` and `faults` may both be filled, or neither."""

    status: int
    data: tuple[Mapping[str, Any], ...]
    faults: tuple[ApiFault, ...]
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Result:
    """One finished video. `cost` is what the API wrote, unchecked; `url` is None where it gave none."""

    video_uuid: str
    url: str | None
    seed: int | None
    cost: Any
    is_nsfw: bool | None


@dataclass(frozen=True)
class TaskReport:
    """All that one poll says about a task; every poll repeats the whole state."""

    task_uuid: str
    results: tuple[Result, ...] = ()
    faults: tuple[ApiFault, ...] = ()
    is_known: bool = False
    progress: int | None = None
    is_running: bool = False

    def is_complete(self, number_results: int) -> bool:
        """Whether every result has come or failed; counted, since early polls show fewer items than asked.

        A fault beside which nothing came and nothing runs is that of the whole task.
        """
        has_failed_whole = bool(self.faults) and not self.results and not self.is_running
        return has_failed_whole or len(self.results) + len(self.faults) >= number_results

    @property
    def lacks_url(self) -> bool:
        """Whether a result has come that names no file."""
        return any(result.url is None for result in self.results)


@dataclass
class _Gathered:
    results: dict[str, Result] = field(default_factory=dict)
    faults: list[ApiFault] = field(default_factory=list)
    is_known: bool = False
    progress: int | None = None
    is_running: bool = False


def answer_of(status: int, text: str, retry_after_s: float | None = None, *, secrets: Sequence[str] = ()) -> Answer:
    """Reads a body before its status; raises `RunwareBusyError` for what is no JSON object.

    An API may repeat a wrong key or an address in its complaint: the answer is kept without `secrets`.
    """
    try:
        body = _without(secrets, json.loads(text))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        said = " ".join(str(_unsigned(_without(secrets, text)))[:120].split()) or "nothing"
        fault = ApiFault(f"http_{status}", f"the answer is no JSON object: {said}", http_status=status)
        if 200 <= status < 300:
            raise RunwareBusyError(fault)
        raise refusal_of(ApiFault(fault.code, fault.message, http_status=status, retry_after_s=retry_after_s))
    data = body.get("data")
    items = data if isinstance(data, list) else [data]
    faults = tuple(_faults_in(body, status, retry_after_s))
    return Answer(status, tuple(item for item in items if isinstance(item, dict)), faults, retry_after_s)


def refusal_in(answer: Answer, task_uuid: str | None) -> ApiFault | None:
    """The fault that refuses a call about one task: its own, or one that names no task; else a bare bad status."""
    ours = (fault for fault in answer.faults if fault.task_uuid in (None, task_uuid))
    if found := next(ours, None):
        return found
    if answer.is_success:
        return None
    return ApiFault(
        f"http_{answer.status}",
        "the API gave no reason",
        http_status=answer.status,
        retry_after_s=answer.retry_after_s,
    )


def reports_in(answer: Answer, task_uuids: tuple[str, ...]) -> dict[str, TaskReport]:
    """What an answer to a poll says of each task; tasks it does not mention are left out.

    A fault that names no task is about the only one that was asked for. A task that the answer says was not found is
    reported with that fault, as not known.
    """
    only = task_uuids[0] if len(task_uuids) == 1 else ""
    gathered = {task_uuid: _Gathered() for task_uuid in task_uuids}
    for item in answer.data:
        if found := gathered.get(str(item.get("taskUUID"))):
            _gather(found, item, answer.status)
    for fault in answer.faults:
        found = gathered.get(fault.task_uuid or only)
        if found and _is_verdict(fault, answer):
            found.faults.append(fault)
            found.is_known = found.is_known or fault.code.lower() != _NOT_FOUND
    return {
        task_uuid: TaskReport(
            task_uuid,
            tuple(found.results.values()),
            tuple(found.faults),
            found.is_known,
            found.progress,
            found.is_running,
        )
        for task_uuid, found in gathered.items()
        if found.is_known or found.faults
    }


def _gather(found: _Gathered, item: Mapping[str, Any], status: int) -> None:
    found.is_known = True
    if item.get("status") == "error":
        nested = item.get("error")
        found.faults.append(_fault_of({**item, **(nested if isinstance(nested, dict) else {})}, status, None))
    elif item.get("status") in _FINISHED or item.get("videoURL"):
        result = _result_of(item, len(found.results))
        found.results[result.video_uuid] = result
    else:
        found.is_running = True
        progress = item.get("progress")
        if isinstance(progress, (int, float)) and math.isfinite(progress):
            found.progress = int(progress)


def _result_of(item: Mapping[str, Any], index: int) -> Result:
    url, seed, nsfw = item.get("videoURL"), item.get("seed"), item.get("NSFWContent")
    return Result(
        video_uuid=str(item.get("videoUUID") or f"result-{index + 1}"),
        url=url if isinstance(url, str) and url else None,
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        cost=item.get("cost"),
        is_nsfw=nsfw if isinstance(nsfw, bool) else None,
    )


def _is_verdict(fault: ApiFault, answer: Answer) -> bool:
    """A task's failure, and not trouble with the poll itself, which says nothing about the task."""
    kind = class_of(fault.code)
    if fault.detail.get("status") == "error" or kind is TaskUnknownError:
        return True
    if kind is RequestRejectedError and fault.task_uuid is None:
        return False
    return answer.is_success and kind in (TaskFailedError, ContentBlockedError, RequestRejectedError)


def _without(secrets: Sequence[str], said: Any) -> Any:
    long = [secret for secret in secrets if len(secret) >= _SECRET_LENGTH]

    def cleaned(text: str) -> str:
        for secret in long:
            text = text.replace(secret, "[key]")
        return text

    return _each_text(cleaned, said)


def _unsigned(said: Any) -> Any:
    return _each_text(lambda text: _SIGNED.sub(r"\1[key]", text), said)


def _each_text(change: Callable[[str], str], said: Any) -> Any:
    if isinstance(said, str):
        return change(said)
    if isinstance(said, dict):
        return {key: _each_text(change, part) for key, part in said.items()}
    return [_each_text(change, part) for part in said] if isinstance(said, list) else said


def _faults_in(body: Mapping[str, Any], status: int, retry_after_s: float | None) -> Iterator[ApiFault]:
    for key in ("errors", "error"):
        said = body.get(key)
        for item in said if isinstance(said, list) else [said] if said else []:
            yield _fault_of(item if isinstance(item, dict) else {"message": item}, status, retry_after_s)


def _fault_of(said: Mapping[str, Any], status: int, retry_after_s: float | None) -> ApiFault:
    item = _unsigned(dict(said))
    parameter, allowed = item.get("parameter"), item.get("allowedValues")
    context = item.get("context")
    task_uuid = item.get("taskUUID") or (context.get("taskUUID") if isinstance(context, dict) else None)
    return ApiFault(
        code=str(item.get("code") or item.get("errorId") or f"http_{status}"),
        message=str(item.get("message") or "no message"),
        parameter=tuple(map(str, parameter)) if isinstance(parameter, list) else str(parameter) if parameter else None,
        task_uuid=str(task_uuid) if task_uuid else None,
        http_status=status,
        allowed_values=tuple(allowed) if isinstance(allowed, list) else (),
        retry_after_s=retry_after_s,
        detail=item,
    )
