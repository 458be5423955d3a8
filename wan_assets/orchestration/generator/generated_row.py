"""The result of one row, as an object and as a row of a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from wan_assets.engine import NO_PARTITION
from wan_assets.errors import RunwareError, WanAssetsError
from wan_assets.models import usd
from wan_assets.orchestration.metadata.batch import RowResult
from wan_assets.prompts import frame_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GeneratedRow:
    """Holds the result of one row of a generation: its video, or the error.

    Args:
        prompt_id: Identifier of the row.
        prompt: Text of the prompt.
        path: Path of the video, or its URL in an object store. None if there is no video.
        paths: All videos of the row, if it requests several.
        cost_usd: Cost of the row's videos in US dollars, whoever paid them. None if it is unknown or there is no video.
        charged_usd: The part of the cost that no earlier event or call has reported. Its sum equals the ledger.
        seed: Seed of the first video. None if the API did not report it.
        reused: Whether the video existed before.
        simulated: Whether the video is a simulated one.
        skipped: Whether the row was left out because of a budget or a pause.
        error: The reason why there is no video.
        task_uuid: UUID of the task that produced the video.
        sha256: Digest of the first video.
        partition: Partition of the row. None if the asset has no partitions.

    Example:
        >>> from decimal import Decimal
        >>> from wan_assets import GeneratedRow
        >>> GeneratedRow(prompt_id="kite", path="/videos/kite.mp4", cost_usd=Decimal("0.473")).error is None
        True
    """

    prompt_id: str
    prompt: str = ""
    path: str | None = None
    paths: tuple[str, ...] = ()
    cost_usd: Decimal | None = None
    charged_usd: Decimal | None = None
    seed: int | None = None
    reused: bool = False
    simulated: bool = False
    error: WanAssetsError | None = None
    task_uuid: str | None = None
    sha256: str | None = None
    partition: str | None = None
    skipped: bool = False

    @classmethod
    def of(cls, result: RowResult) -> Self:
        """Reads a row from the engine's result; one without a video has an error."""
        job, stored = result.job, result.outcome.stored
        partition = None if job.partition == NO_PARTITION else job.partition
        row = cls(job.prompt_id, job.request.prompt, partition=partition)
        if stored is None:
            return replace(row, charged_usd=Decimal(0), error=result.error, skipped=result.is_skipped)
        first = stored.videos[0]
        return replace(
            row,
            path=first.uri,
            paths=tuple(video.uri for video in stored.videos),
            cost_usd=_usd(result.cost_microusd),
            charged_usd=_usd(result.charged_microusd),
            seed=first.seed,
            reused=result.outcome.is_reused,
            simulated=stored.is_simulated,
            task_uuid=stored.task_uuid,
            sha256=first.sha256,
        )


_DTYPES = {
    "prompt_id": "object",
    "path": "object",
    "cost_usd": "float64",
    "charged_usd": "float64",
    "seed": "Int64",
    "reused": "bool",
    "simulated": "bool",
    "error": "object",
    "task_uuid": "object",
    "sha256": "object",
    "partition": "object",
    "paths": "object",
    "skipped": "bool",
}


def frame_of_rows(rows: Iterable[GeneratedRow], index: pd.Index[Any] | None = None) -> pd.DataFrame:
    """Returns rows as a DataFrame; errors become text with the error's class, its code and what to do."""
    return frame_of(map(_record, rows), _DTYPES, index)


def _record(row: GeneratedRow) -> dict[str, Any]:
    money = {"cost_usd": _number(row.cost_usd), "charged_usd": _number(row.charged_usd)}
    error = text_of_error(row.error) if row.error else None
    return {**vars(row), **money, "error": error, "paths": list(row.paths)}


def text_of_error(error: WanAssetsError) -> str:
    """Returns an error as one text: its class, its message with the API's code, and what to do."""
    code = error.code if isinstance(error, RunwareError) else ""
    name = f"{type(error).__name__} [{code}]" if code else type(error).__name__
    return f"{name}: {str(error).removeprefix(f'{code}: ')}. {error.hint}"


def _usd(microusd: int | None) -> Decimal | None:
    return None if microusd is None else usd(microusd)


def _number(amount: Decimal | None) -> float:
    return float("nan") if amount is None else float(amount)
