"""Dagster metadata of a batch: counts, costs, and a table of its rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from wan_assets.engine import Outcome, VideoJob
from wan_assets.errors import LOCAL_FILE, PERMANENT_REFUSALS, WanAssetsError
from wan_assets.models import VideoRequest, usd
from wan_assets.orchestration.metadata.previews import SheetVideo, contact_sheet
from wan_assets.orchestration.metadata.video import Failed, failure_row, table_of
from wan_assets.store import VideoStore

_ROWS_SHOWN = 100


@dataclass(frozen=True)
class RowResult:
    """The result of one row: `charged_microusd` is the cost that no earlier event reported, None if it is unknown."""

    outcome: Outcome
    charged_microusd: int | None

    @property
    def is_refused(self) -> bool:
        """Whether the provider would refuse the row again. A local file that is missing here may be found elsewhere."""
        return isinstance(self.error, PERMANENT_REFUSALS) and self.error.code != LOCAL_FILE

    @property
    def is_skipped(self) -> bool:
        """Whether the row was left out because of a budget or a pause."""
        return self.outcome.is_skipped

    @property
    def has_failed(self) -> bool:
        """Whether the row failed, and was neither refused nor left out."""
        return self.error is not None and not self.is_refused and not self.is_skipped

    @property
    def job(self) -> VideoJob:
        """The requested video."""
        return self.outcome.job

    @property
    def error(self) -> WanAssetsError | None:
        """The reason why there is no video."""
        return self.outcome.error

    @property
    def differences(self) -> tuple[str, ...]:
        """The deviations of the row's videos from the request."""
        return self.outcome.stored.differences if self.outcome.stored else ()

    @property
    def cost_microusd(self) -> int | None:
        """The cost of the video, also if an earlier run paid it; None if it is unknown or there is no video."""
        return self.outcome.stored.cost_microusd if self.outcome.stored else None


def batch_metadata(results: Sequence[RowResult], store: VideoStore, *, is_charged: bool = True) -> dict[str, Any]:
    """Returns the metadata of a batch; its rows are sorted by ID. Without `is_charged`, the event charges nothing.

    Rows without a video come first, followed by rows whose videos deviate from their requests.
    """
    costs = [result.cost_microusd for result in results if result.cost_microusd is not None]
    stored = [result for result in results if result.outcome.stored]
    charged = sum(result.charged_microusd or 0 for result in results) if is_charged else 0
    shown = sorted(results, key=lambda result: (result.error is None, not result.differences, result.job.prompt_id))
    sheet = contact_sheet(list(_sheet_videos(shown)), store)
    metadata: dict[str, Any] = {
        **({"wan_assets/contact_sheet": sheet} if sheet else {}),
        "dagster/partition_row_count": len(results),
        "wan_assets/cost_usd": float(usd(sum(costs))),
        "wan_assets/charged_usd": float(usd(charged)),
        "wan_assets/unknown_cost_count": len(stored) - len(costs),
        "wan_assets/new": sum(result.outcome.is_new for result in results),
        "wan_assets/reused": sum(result.outcome.is_reused for result in results),
        "wan_assets/refused": sum(result.is_refused for result in results),
        "wan_assets/deviating": sum(bool(result.differences) for result in results),
        "wan_assets/failed": sum(result.has_failed for result in results),
        "wan_assets/skipped": sum(result.is_skipped for result in results),
        "wan_assets/simulated": any(result.outcome.stored.is_simulated for result in stored if result.outcome.stored),
        "wan_assets/cost_by_tier_usd": _costs_by(results, lambda request: request.tier or "from image"),
        "wan_assets/cost_by_model_usd": _costs_by(results, lambda request: request.model),
    }
    if costs:
        metadata["wan_assets/min_cost_usd"] = float(usd(min(costs)))
        metadata["wan_assets/max_cost_usd"] = float(usd(max(costs)))
    if results:
        metadata["wan_assets/rows"] = table_of([_row(result) for result in shown[:_ROWS_SHOWN]])
    return metadata


def failed_and_skipped(results: Iterable[RowResult], name_of: Callable[[VideoJob], str]) -> tuple[Failed, Failed]:
    """Returns the failed rows and the skipped rows, by their names, each with its error."""
    named = [(result, name_of(result.job), result.error) for result in results]
    failed = [(name, error) for result, name, error in named if error and not result.is_skipped]
    return failed, [(name, error) for result, name, error in named if error and result.is_skipped]


def digest_of(results: Sequence[RowResult]) -> str:
    """Returns a digest of the rows and their videos."""
    held = [
        (result.job.prompt_id, [video.sha256 for video in result.outcome.stored.videos])
        for result in results
        if result.outcome.stored
    ]
    return hashlib.sha256(repr(sorted(held)).encode()).hexdigest()


def _sheet_videos(results: Sequence[RowResult]) -> Iterator[SheetVideo]:
    for result in results:
        if result.outcome.stored:
            yield SheetVideo(result.outcome.stored.videos[0], result.job.prompt_id, result.cost_microusd)


def _costs_by(results: Sequence[RowResult], key: Callable[[VideoRequest], str]) -> dg.JsonMetadataValue:
    sums: Counter[str] = Counter()
    for result in results:
        sums[key(result.job.request)] += result.cost_microusd or 0
    return dg.MetadataValue.json({name: float(usd(cost)) for name, cost in sorted(sums.items())})


def _state(result: RowResult) -> str:
    if result.error:
        return "refused" if result.is_refused else "skipped" if result.is_skipped else "failed"
    return "reused" if result.outcome.is_reused else "new"


def _row(result: RowResult) -> dict[str, Any]:
    stored, error = result.outcome.stored, result.error
    cost = result.cost_microusd
    return {
        "prompt_id": result.job.prompt_id,
        "state": _state(result),
        "cost_usd": "" if stored is None else "unknown" if cost is None else str(usd(cost)),
        "task_uuid": stored.task_uuid if stored else "",
        "uri": stored.videos[0].uri if stored else "",
        "differences": "; ".join(result.differences),
        "error": failure_row(error)["message"] if error else "",
    }
