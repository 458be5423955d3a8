"""Dagster metadata of videos and prompt tables, and the descriptions of failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import dagster as dg

from wan_assets.engine import Outcome
from wan_assets.errors import PromptTableError, RunwareError, WanAssetsError
from wan_assets.ledger import DecisionValue, SkippedRows, skipped_rows_of
from wan_assets.models import usd
from wan_assets.orchestration.metadata import previews
from wan_assets.prompts import Findings, PromptTable, findings_of
from wan_assets.store import StoredTask, VideoStore

REASON = "wan_assets/reason"
"""The metadata key of the error that stopped a run: a table with one `failure_row`."""

_ROWS_SHOWN = 100


def video_metadata(
    outcome: Outcome, stored: StoredTask, charged_microusd: int | None, store: VideoStore
) -> dict[str, Any]:
    """Returns the metadata of one row's materialization; size and length are those of its first video.

    The cost is that of the video, in every event. `charged_microusd` is 0 if an earlier event reported it, so that the
    sum over events is the amount in the ledger.
    """
    first = stored.videos[0]
    reserved_microusd = stored.reserved_microusd if stored.cost_microusd is None else 0
    metadata = {
        "wan_assets/preview": previews.thumbnail(stored, store),
        "wan_assets/contact_sheet": previews.frames(stored, store),
        "wan_assets/video": previews.link(first, store),
        "wan_assets/prompt": stored.prompt,
        "wan_assets/model": outcome.job.request.model,
        "wan_assets/cost_usd": _dollars(stored.cost_microusd),
        "wan_assets/charged_usd": _dollars(charged_microusd),
        "wan_assets/reserved_usd": float(usd(reserved_microusd)),
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
    if outcome.job.take > 1:
        metadata["wan_assets/take"] = outcome.job.take
    if any(video.is_nsfw is not None for video in stored.videos):
        metadata["wan_assets/nsfw"] = any(video.is_nsfw for video in stored.videos)
    return {key: value for key, value in metadata.items() if value is not None}


def _dollars(microusd: int | None) -> float | str:
    return "unknown" if microusd is None else float(usd(microusd))


def _reported_properties(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns size, length and audio; None if an older sidecar file does not contain them."""
    length = facts.get("duration_s")
    return {
        "wan_assets/width": facts.get("width"),
        "wan_assets/height": facts.get("height"),
        "wan_assets/duration_s": None if length is None else float(length),
        "wan_assets/has_audio": facts["audio_codec"] is not None if "audio_codec" in facts else None,
    }


def problem_table(findings: Findings) -> dg.TableMetadataValue:
    """Returns the problems of a prompt table by kind, as a table."""
    return table_of([finding.cells() for finding in islice(findings, _ROWS_SHOWN)])


Failed: TypeAlias = Sequence[tuple[str, WanAssetsError]]
"""Rows without a video, each with the reason."""


def failure_of(failed: Failed, requested: int, skipped: Failed = ()) -> dg.Failure:
    """Returns the run's failure, which names each failed row with class, code and hint, and the skipped rows.

    If no failed row is retryable, Dagster does not retry the run.
    """
    rows = [{"partition": key, **failure_row(error)} for key, error in failed]
    reasons = skipped_rows_of(error for _, error in skipped)
    return dg.Failure(
        description="\n".join(_failure_lines(rows, [key for key, _ in skipped], reasons, requested)),
        metadata={
            "wan_assets/requested": requested,
            "wan_assets/failed": len(rows),
            "wan_assets/skipped": len(skipped),
            "wan_assets/shortfall_usd": float(usd(sum(reason.shortfall_microusd for reason in reasons))),
            **({"wan_assets/failures": table_of(rows[:_ROWS_SHOWN])} if rows else {}),
            **({"wan_assets/skipped_rows": table_of(_skipped_table(skipped))} if skipped else {}),
        },
        allow_retries=any(error.is_retryable for _, error in failed),
    )


def _failure_lines(
    rows: Sequence[Mapping[str, str]], skipped: Sequence[str], reasons: Sequence[SkippedRows], requested: int
) -> Iterator[str]:
    count, have = len(rows) + len(skipped), "row has" if requested == 1 else "rows have"
    both = f", {len(rows)} failed and {len(skipped)} skipped" if rows and skipped else ""
    yield f"{count} of {requested} {have} no video{both}:"
    for reason in reasons:
        yield f"{reason}. {reason.hint}"
    if skipped:
        more = f" and {len(skipped) - _ROWS_SHOWN} more" if len(skipped) > _ROWS_SHOWN else ""
        yield f"skipped: {', '.join(skipped[:_ROWS_SHOWN])}{more}"
    for row in rows[:_ROWS_SHOWN]:
        yield f"{row['partition']}: {_named(row)}: {row['message']}. {row['hint']}"
    if len(rows) > _ROWS_SHOWN:
        yield f"… and {len(rows) - _ROWS_SHOWN} more"


def _skipped_table(skipped: Failed) -> list[dict[str, str]]:
    shown = skipped[:_ROWS_SHOWN]
    return [{"partition": key, "state": "skipped", **failure_row(error)} for key, error in shown]


def failure_to_start(error: WanAssetsError) -> dg.Failure:
    """Returns the failure of a run that cannot start or continue."""
    description = f"{type(error).__name__}: {error}. {error.hint}"
    metadata = {REASON: table_of([failure_row(error)])}
    return dg.Failure(description, metadata, allow_retries=error.is_retryable)


def refusal_of(table: PromptTable, undone: str = "Nothing was submitted") -> dg.Failure:
    """Returns the failure of a run whose table has problems: nothing is done."""
    findings = findings_of(table.problems)
    return dg.Failure(
        f"{undone}: the prompt table has {findings}. {PromptTableError.hint}",
        metadata={"wan_assets/problem_table": problem_table(findings)},
        allow_retries=False,
    )


def failure_row(error: WanAssetsError) -> dict[str, str]:
    """Returns why a row failed: the error's class and code, the message without the code, and the hint."""
    code = error.code if isinstance(error, RunwareError) else ""
    return {
        "class": type(error).__name__,
        "code": code,
        "message": str(error).removeprefix(f"{code}: "),
        "hint": error.hint,
    }


def _named(row: Mapping[str, str]) -> str:
    """Returns an error's class, with the API's code if there is one."""
    return f"{row['class']} [{row['code']}]" if row["code"] else row["class"]


def decision_metadata(decisions: Mapping[DecisionValue, int]) -> dict[str, Any]:
    """Returns the number of rows by the decision about their video; empty if nothing is decided."""
    is_reviewed = any(count for value, count in decisions.items() if value is not DecisionValue.UNDECIDED)
    return {f"wan_assets/{value}": decisions.get(value, 0) for value in DecisionValue} if is_reviewed else {}


def left_out_metadata(left_out: Mapping[str, int]) -> dict[str, Any]:
    """Returns the counts of rows without an approved video, of a dataset that has only approved videos."""
    total = {"wan_assets/left_out": sum(left_out.values())} if left_out else {}
    return total | {f"wan_assets/left_out_{reason}": rows for reason, rows in left_out.items()}


def table_of(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Returns rows as a table with the keys of the first row as columns."""
    names = list(rows[0]) if rows else ["row"]
    is_numbered = all(isinstance(row.get("row", 0), int) for row in rows)
    columns = [dg.TableColumn(name, "int" if name == "row" and is_numbered else "string") for name in names]
    records = [dg.TableRecord(row) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))
