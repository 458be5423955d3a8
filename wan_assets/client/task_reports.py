"""Parses the answer to a poll: the results and faults of each task, and whether it still runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wan_assets.client.bounds import cost_in, name_in, seed_in, url_in
from wan_assets.client.error_codes import class_of, code_of_failure_status, is_success_status
from wan_assets.client.responses import ApiResponse, failure_of
from wan_assets.errors import ApiFault, ContentBlockedError, RequestRejectedError, TaskFailedError, TaskUnknownError
from wan_assets.models import uuid_in

_MAX_ITEMS = 100
"""The most results, and the most faults, that are read for one task. A request has at most four results."""

_MAX_PROGRESS = 100
_VIDEO = "videoInference"
_NO_VIDEO = re.compile(r"\.(png|jpe?g|gif|webp|avif|svg|txt|json|html?|xml|mp3|wav|ogg|zip)(\?|#|$)", re.IGNORECASE)
_NOT_FOUND = "tasknotfound"


@dataclass(frozen=True)
class Result:
    """One finished result. `cost` is as the API wrote it, `url` is None if the API stated none, and `kind` is a task
    type.
    """

    video_uuid: str
    url: str | None
    seed: int | None
    cost: Any
    is_nsfw: bool | None
    kind: str = _VIDEO


@dataclass(frozen=True)
class TaskReport:
    """The state of one task in one poll; every poll repeats the whole state."""

    task_uuid: str
    results: tuple[Result, ...] = ()
    faults: tuple[ApiFault, ...] = ()
    is_known: bool = False
    progress: int | None = None
    is_running: bool = False
    duplicates: int = 0
    """The number of items that repeat a result."""
    unrequested: tuple[Result, ...] = ()
    """Results beyond the requested number."""

    def is_complete(self, number_results: int) -> bool:
        """Whether every result has arrived or failed. They are counted, because early polls list fewer items than
        requested.

        A fault without any result and without a running item is a fault of the whole task. If nothing runs, a duplicate
        result replaces another result, which will not arrive any more.
        """
        has_failed_whole = bool(self.faults) and not self.results and not self.is_running
        ended = len(self.results) + len(self.faults) + (0 if self.is_running else self.duplicates)
        return has_failed_whole or ended >= number_results

    def may_change(self, number_results: int) -> bool:
        """Whether a complete report may still change: a result has no file or is listed twice, or an item still
        runs.
        """
        found = self.of(number_results)
        has_no_file = any(result.url is None for result in found.results)
        is_filled_up = len(self.results) + len(self.faults) < number_results and self.duplicates > 0
        return has_no_file or is_filled_up or (self.is_running and bool(self.faults))

    def of(self, number_results: int) -> TaskReport:
        """Returns a report of the given number of results: videos first, and a fault for each missing result."""
        ranked = sorted(self.results, key=_rank)
        results, unrequested = ranked[:number_results], ranked[number_results:]
        missing = number_results - len(results)
        duplicates = [_duplicate_fault(self.task_uuid, self.results)] * (0 if self.is_running else self.duplicates)
        faults = (*self.faults, *duplicates)[:missing]
        return replace(self, results=tuple(results), faults=faults, duplicates=0, unrequested=tuple(unrequested))


@dataclass
class _ReportBuilder:
    results: dict[tuple[str, str | None], Result] = field(default_factory=dict)
    faults: list[ApiFault] = field(default_factory=list)
    is_known: bool = False
    progress: int | None = None
    is_running: bool = False
    duplicates: int = 0


def reports_in(answer: ApiResponse, task_uuids: tuple[str, ...]) -> dict[str, TaskReport]:
    """Returns the report of each task in the answer to a poll; tasks that the answer does not mention are omitted.

    A fault without a task concerns the only polled task, unless an item states that this task runs. A task that was not
    found is reported with that fault, as unknown.
    """
    only = task_uuids[0] if len(task_uuids) == 1 else ""
    gathered = {uuid_in(task_uuid) or task_uuid: _ReportBuilder() for task_uuid in task_uuids}
    for item in answer.data:
        if found := gathered.get(str(item.get("taskUUID"))):
            _gather(found, item, answer.status)
    for fault in answer.faults:
        found = gathered.get(fault.task_uuid or only)
        if found and found.is_running and fault.task_uuid is None:
            continue
        if found and _is_final(fault, answer) and len(found.faults) < _MAX_ITEMS:
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
            found.duplicates,
        )
        for task_uuid, found in gathered.items()
        if found.is_known or found.faults
    }


def _gather(found: _ReportBuilder, item: Mapping[str, Any], status: int) -> None:
    found.is_known = True
    word = item.get("status")
    if code := code_of_failure_status(word):
        if len(found.faults) < _MAX_ITEMS:
            found.faults.append(failure_of(item, code, status))
    elif is_success_status(word) or item.get("videoURL"):
        result = _result_of(item, len(found.results))
        found.duplicates += (result.video_uuid, result.url) in found.results
        if len(found.results) < _MAX_ITEMS:
            found.results.setdefault((result.video_uuid, result.url), result)
    else:
        found.is_running = True
        progress = item.get("progress")
        if isinstance(progress, (int, float)) and 0 <= progress <= _MAX_PROGRESS:
            found.progress = int(progress)


def _result_of(item: Mapping[str, Any], index: int) -> Result:
    nsfw = item.get("NSFWContent")
    return Result(
        video_uuid=uuid_in(item.get("videoUUID")) or name_in(item.get("videoUUID")) or f"result-{index + 1}",
        url=url_in(item.get("videoURL")),
        seed=seed_in(item.get("seed")),
        cost=cost_in(item.get("cost")),
        is_nsfw=nsfw if isinstance(nsfw, bool) else None,
        kind=name_in(item.get("taskType")) or _VIDEO,
    )


def _rank(result: Result) -> tuple[bool, bool, bool]:
    """Sorts results that are certainly videos before results that may not be."""
    return result.url is None, result.kind != _VIDEO, bool(_NO_VIDEO.search(result.url or ""))


def _duplicate_fault(task_uuid: str, results: Sequence[Result]) -> ApiFault:
    named = ", ".join(dict.fromkeys(result.video_uuid for result in results))
    return ApiFault("duplicateResult", f"the API lists a result twice (video {named})", task_uuid=task_uuid)


def _is_final(fault: ApiFault, answer: ApiResponse) -> bool:
    """Whether a fault is the failure of a task, and not an error of the poll itself, which says nothing about the
    task.
    """
    kind = class_of(fault.code)
    if code_of_failure_status(fault.detail.get("status")) or kind is TaskUnknownError:
        return True
    if kind is RequestRejectedError and fault.task_uuid is None:
        return False
    return answer.is_success and kind in (TaskFailedError, ContentBlockedError, RequestRejectedError)
