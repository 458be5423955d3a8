"""What Dagster shows: metadata of videos and tables, and the words of a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from wan_assets.engine import Outcome
from wan_assets.errors import PromptTableError, RunwareError, WanAssetsError
from wan_assets.ledger import shortfalls_of
from wan_assets.models import usd
from wan_assets.orchestration.metadata import previews
from wan_assets.prompts import Problem, PromptTable, Summary
from wan_assets.store import StoredTask, VideoStore

REASON = "wan_assets/reason"
"""The key of the metadata that says why a run could not go on, as a table of one `failure_row`."""

_ROWS_SHOWN = 100


def video_metadata(
    outcome: Outcome, stored: StoredTask, cost_microusd: int | None, store: VideoStore
) -> dict[str, Any]:
    """Metadata of one row's materialization; sizes and lengths are those of its first video.

    `cost_microusd` is 0 where an earlier event has told the cost, so that sums over events count it once.
    """
    first, cost = stored.videos[0], cost_microusd
    metadata = {
        "wan_assets/preview": previews.thumbnail(stored, store),
        "wan_assets/contact_sheet": previews.frames(stored, store) if outcome.is_new else None,
        "wan_assets/video": previews.link(first, store),
        "wan_assets/prompt": stored.prompt,
        "wan_assets/cost_usd": "unknown" if cost is None else float(usd(cost)),
        "wan_assets/reserved_usd": float(usd(stored.reserved_microusd)),
        "wan_assets/reused": outcome.is_reused,
        "wan_assets/simulated": stored.is_simulated,
        **_reported_properties(first.facts),
        "wan_assets/matches_request": not stored.differences,
        "wan_assets/bytes": first.bytes,
        "wan_assets/generation_s": stored.generation_s,
        "wan_assets/seed": str(first.seed) if first.seed is not None else None,
        "wan_assets/task_uuid": stored.task_uuid,
        "wan_assets/video_uuid": first.video_uuid,
        "wan_assets/fingerprint": stored.fingerprint,
        "wan_assets/sha256": first.sha256,
        "dagster/uri": first.uri,
    }
    if len(stored.videos) > 1 or stored.missing:
        metadata["wan_assets/results"] = dg.MetadataValue.json([video.uri for video in stored.videos])
        metadata["wan_assets/missing_results"] = len(stored.missing)
    if stored.differences:
        metadata["wan_assets/differences"] = "; ".join(stored.differences)
    if any(video.is_nsfw is not None for video in stored.videos):
        metadata["wan_assets/nsfw"] = any(video.is_nsfw for video in stored.videos)
    return {key: value for key, value in metadata.items() if value is not None}


def _reported_properties(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Size, length and sound; None where an older sidecar does not tell."""
    length = facts.get("duration_s")
    return {
        "wan_assets/width": facts.get("width"),
        "wan_assets/height": facts.get("height"),
        "wan_assets/duration_s": None if length is None else float(length),
        "wan_assets/has_audio": facts["audio_codec"] is not None if "audio_codec" in facts else None,
    }


def table_metadata(summary: Summary) -> dict[str, Any]:
    """Metadata of a prompt table: rows, problems and what its rows would cost if none were there yet."""
    metadata: dict[str, Any] = {
        "dagster/row_count": summary.rows,
        "wan_assets/problems": summary.problem_count,
        "wan_assets/distinct_requests": len(summary.fingerprints),
        "wan_assets/estimated_usd": float(usd(summary.price_microusd)),
        "wan_assets/reserved_usd": float(usd(summary.reserved_microusd)),
    }
    if summary.problems:
        metadata["wan_assets/problem_table"] = problem_table(summary.problems)
    return metadata


def problem_table(problems: Sequence[Problem]) -> dg.TableMetadataValue:
    """The first problems of a prompt table as a table."""
    return table_of([problem.cells() for problem in problems[:_ROWS_SHOWN]])


def failure_of(failed: Sequence[tuple[str, WanAssetsError]], asked: int) -> dg.Failure:
    """The run's failure: names each row that failed with class, code and advice.

    Where none of the rows may have its video without anybody doing anything, Dagster is not to try again.
    """
    rows = [{"partition": key, **failure_row(error)} for key, error in failed]
    shortfalls = shortfalls_of(error for _, error in failed)
    lines = [f"{row['partition']}: {_named(row)}: {row['message']}. {row['hint']}" for row in rows]
    more = [f"… and {len(rows) - _ROWS_SHOWN} more"] if len(rows) > _ROWS_SHOWN else []
    return dg.Failure(
        description="\n".join(
            [
                f"{len(rows)} of {asked} {'row has' if asked == 1 else 'rows have'} no video:",
                *map(str, shortfalls),
                *lines[:_ROWS_SHOWN],
                *more,
            ]
        ),
        metadata={
            "wan_assets/not_sent": sum(shortfall.rows for shortfall in shortfalls),
            "wan_assets/missing_usd": float(usd(sum(shortfall.missing_microusd for shortfall in shortfalls))),
            "wan_assets/failed": len(rows),
            "wan_assets/asked": asked,
            "wan_assets/failures": table_of(rows[:_ROWS_SHOWN]),
        },
        allow_retries=any(error.is_retryable for _, error in failed),
    )


def failure_to_start(error: WanAssetsError) -> dg.Failure:
    """The failure of a run that cannot begin or go on."""
    said = f"{type(error).__name__}: {error}. {error.hint}"
    metadata = {REASON: table_of([failure_row(error)])}
    return dg.Failure(said, metadata, allow_retries=error.is_retryable)


def refusal_of(table: PromptTable, undone: str = "Nothing was sent") -> dg.Failure:
    """The failure of a run whose table has problems: nothing is done."""
    return dg.Failure(
        f"{undone}: the prompt table has {_problems(len(table.problems))}. The first is {table.problems[0]}. "
        f"{PromptTableError.hint}",
        metadata={"wan_assets/problem_table": problem_table(table.problems)},
        allow_retries=False,
    )


def failure_row(error: WanAssetsError) -> dict[str, str]:
    """Why a row failed: the error's class and code, the message without the code, and what to do."""
    code = error.code if isinstance(error, RunwareError) else ""
    return {
        "class": type(error).__name__,
        "code": code,
        "message": str(error).removeprefix(f"{code}: "),
        "advice": error.hint,
    }


def _problems(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"


def _named(row: Mapping[str, str]) -> str:
    """An error's class, with the API's code where it has one."""
    return f"{row['class']} [{row['code']}]" if row["code"] else row["class"]


def table_of(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Rows as a table, the first row's keys as its columns."""
    names = list(rows[0]) if rows else ["row"]
    is_numbered = all(isinstance(row.get("row", 0), int) for row in rows)
    columns = [dg.TableColumn(name, "int" if name == "row" and is_numbered else "string") for name in names]
    records = [dg.TableRecord(row) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))
