"""Runs users' checks of the videos of one run beside the generation, and reports them for each partition."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeAlias

import dagster as dg

from wan_assets.dataset import Video
from wan_assets.errors import LedgerError
from wan_assets.ledger import CheckRecord, Ledger
from wan_assets.orchestration.checks.check_calls import CheckCalls
from wan_assets.orchestration.checks.video_check import VideoCheck
from wan_assets.orchestration.metadata.video import table_of

_VIDEOS_AT_ONCE = 4
_RESULTS_PER_WRITE = 50
_FAILED_SHOWN = 100
_MESSAGES_SHOWN = 5


@dataclass(frozen=True)
class _Checked:
    """The results of all checks of one video, in the order of the checks."""

    prompt_id: str
    records: tuple[CheckRecord, ...]


_Pending: TypeAlias = "list[Future[_Checked]]"


class VideoCheckRun:
    """The checks of one run. A result of an earlier run is used if its check has the same `code_version`."""

    def __init__(self, checks: Sequence[VideoCheck], asset_key: dg.AssetKey, ledger: Ledger) -> None:
        self._checks = checks
        self._asset_key = asset_key
        self._ledger = ledger
        self._calls = CheckCalls()
        self._pool = ThreadPoolExecutor(_VIDEOS_AT_ONCE, thread_name_prefix="video-checks")
        self._pending: dict[str, _Pending] = {}
        self._known: dict[tuple[str, int, str], CheckRecord] = {}
        self._new: list[CheckRecord] = []

    def read_results(self, task_uuids: Collection[str]) -> None:
        """Reads the results of tasks that earlier runs stored; failed calls are repeated."""
        if self._checks:
            found = self._ledger.recorded_checks(task_uuids)
            records = [record for of_task in found.values() for record in of_task if not record.is_error]
            self._known = {(record.task_uuid, record.number, record.check_name): record for record in records}

    def submit(self, partition: str, videos: Iterable[Video]) -> None:
        """Starts the checks of a partition whose event is recorded; without checks, no video is read."""
        if self._checks:
            self._pending[partition] = [self._pool.submit(self._checked, video) for video in videos]

    def finished(self) -> Iterator[dg.AssetCheckEvaluation]:
        """Yields the evaluations of partitions whose checks have finished, without waiting."""
        for partition in [key for key, futures in self._pending.items() if all(map(Future.done, futures))]:
            yield from self._evaluations(partition)

    def rest(self) -> Iterator[dg.AssetCheckEvaluation]:
        """Waits for the remaining checks, and yields their evaluations."""
        for partition in list(self._pending):
            yield from self._evaluations(partition)

    def close(self) -> None:
        """Drops checks that have not started, and records the results."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._flush()

    def _checked(self, video: Video) -> _Checked:
        return _Checked(video.prompt_id, tuple(self._record_of(check, video) for check in self._checks))

    def _record_of(self, check: VideoCheck, video: Video) -> CheckRecord:
        known = self._known.get((video.task_uuid, video.number, check.name))
        return known if known and known.code_version == check.code_version else self._calls.result(check, video)

    def _evaluations(self, partition: str) -> Iterator[dg.AssetCheckEvaluation]:
        found = [future.result() for future in self._pending.pop(partition)]
        self._new += [record for checked in found for record in checked.records if not self._is_known(record)]
        if len(self._new) >= _RESULTS_PER_WRITE:
            self._flush()
        for place, check in enumerate(self._checks):
            results = [(checked.prompt_id, checked.records[place]) for checked in found]
            yield _evaluation(self._asset_key, partition, check, results)

    def _is_known(self, record: CheckRecord) -> bool:
        return self._known.get((record.task_uuid, record.number, record.check_name)) == record

    def _flush(self) -> None:
        if not self._new:
            return
        different = {(record.task_uuid, record.number, record.check_name): record for record in self._new}
        with suppress(LedgerError):
            self._ledger.record_checks(different.values())
            self._new.clear()


def _evaluation(
    asset_key: dg.AssetKey, partition: str, check: VideoCheck, results: Sequence[tuple[str, CheckRecord]]
) -> dg.AssetCheckEvaluation:
    failed = [(prompt_id, record) for prompt_id, record in results if record.passed is False]
    scores = [record.score for _, record in results if record.score is not None]
    messages = [f"{prompt_id}: {record.message or 'failed'}" for prompt_id, record in failed]
    more = [f"and {len(messages) - _MESSAGES_SHOWN} more"] if len(messages) > _MESSAGES_SHOWN else []
    metadata: dict[str, Any] = {
        "wan_assets/checked": sum(record.passed is not None for _, record in results),
        "wan_assets/not_measured": sum(record.passed is None for _, record in results),
        "wan_assets/failed_rows": len(failed),
    }
    if scores:
        metadata |= {"wan_assets/score": fmean(scores), "wan_assets/min_score": min(scores)}
    if failed:
        metadata["wan_assets/failed_row_table"] = table_of([_failed_row(*each) for each in failed[:_FAILED_SHOWN]])
    return dg.AssetCheckEvaluation(
        asset_key=asset_key,
        check_name=check.name,
        partition=partition,
        passed=not failed,
        severity=check.severity,
        description="; ".join([*messages[:_MESSAGES_SHOWN], *more]) or None,
        metadata=metadata,
    )


def _failed_row(prompt_id: str, record: CheckRecord) -> dict[str, str]:
    score = "" if record.score is None else f"{record.score:g}"
    return {"prompt_id": prompt_id, "result": str(record.number), "reason": record.message, "score": score}
