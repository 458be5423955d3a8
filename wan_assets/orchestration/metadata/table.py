"""Dagster metadata of a prompt table: its source, columns, first rows, problems and prices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from wan_assets.models import HIDDEN, public_part_of, public_text, usd
from wan_assets.orchestration.metadata.video import problem_table, table_of
from wan_assets.orchestration.tables.upstream import PromptsOrAsset, upstream_of
from wan_assets.prompts import (
    ApprovedVideos,
    PromptRow,
    PromptSource,
    PromptTable,
    SqlQuery,
    Summary,
    format_of,
    label_of,
    location_of,
)

_KINDS = {
    "tsv": "csv",
    "jsonl": "json",
    "ndjson": "json",
    "txt": "text",
    **dict.fromkeys(("xlsx", "xlsm", "xlsb", "xls"), "excel"),
}
_DATABASES = {"postgresql": "postgres", "mariadb": "mysql"}
_FRAMES = {"pandas", "polars", "pyarrow"}
_SECRET_COLUMNS = ("webhook_url", "upload_endpoint")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_COLUMNS_MAX = 500
_COLUMNS_SHOWN = 20
_EXTRA_COLUMNS_SHOWN = 100
_CELL_SHOWN = 120
_QUERY_SHOWN = 1000


def kinds_of(prompts: PromptsOrAsset) -> set[str]:
    """Returns Dagster's kinds of a source: its format, or what produces it."""
    upstream = upstream_of(prompts)
    source = upstream.source if upstream else prompts
    if source is None or isinstance(source, ApprovedVideos):
        return {"table"}
    if isinstance(source, PromptSource):
        return kinds_of(source.source)
    return _kinds_of_source(source)


def _kinds_of_source(prompts: PromptsOrAsset) -> set[str]:
    if isinstance(prompts, SqlQuery):
        database = prompts.url.partition(":")[0].partition("+")[0].lower()
        return {"sql", _DATABASES.get(database, database)} if database.isalnum() else {"sql"}
    if location_of(prompts):
        name = format_of(prompts)
        return {"table", _KINDS.get(name, name)} if name.isalnum() else {"table"}
    if callable(prompts) or isinstance(prompts, (PromptTable, list, tuple)):
        return {"table", "python"}
    return {"table", *_FRAMES.intersection(type(prompts).__module__.split("."))}


def table_metadata(summary: Summary, prompts: PromptsOrAsset) -> dict[str, Any]:
    """Returns the metadata of a prompt table: source, columns, first rows, and the cost if no video exists yet."""
    columns = [dg.TableColumn(_shown(name), type_) for name, type_ in summary.types.items()][:_COLUMNS_MAX]
    shown = list(summary.types)[:_COLUMNS_SHOWN]
    return {
        **_source_of(prompts),
        **check_metadata(summary),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "wan_assets/first_rows": table_of([_preview_of(row, shown) for row in summary.first]),
    }


def check_metadata(summary: Summary) -> dict[str, Any]:
    """Returns the metadata of the check of a prompt table: rows, use of columns, problems and prices."""
    metadata: dict[str, Any] = {
        "dagster/row_count": summary.rows,
        "wan_assets/source_rows": summary.source_rows,
        "wan_assets/problems": summary.problem_count,
        "wan_assets/distinct_requests": summary.distinct_requests,
        "wan_assets/estimated_usd": float(usd(summary.prices.total.price_microusd)),
        "wan_assets/reserved_usd": float(usd(summary.prices.total.reserved_microusd)),
    }
    if columns := list(summary.columns.lines()):
        metadata["wan_assets/columns"] = table_of([{"parameter": name, "from": source} for name, source in columns])
    if kept := summary.columns.kept:
        metadata["wan_assets/extra_columns"] = ", ".join(map(_shown, kept[:_EXTRA_COLUMNS_SHOWN]))
    if found := retirements_in(summary):
        metadata["wan_assets/retirements"] = "; ".join(found)
    if summary.problem_count:
        metadata["wan_assets/problem_table"] = problem_table(summary.findings)
    return metadata


def retirements_in(summary: Summary) -> list[str]:
    """Returns a message for each model of the table that has ended or ends within 30 days."""
    return [each.message for each in summary.prices.retirements(datetime.now(UTC).date())]


def _source_of(prompts: PromptsOrAsset) -> dict[str, Any]:
    """Returns where the rows come from; the URL of a database is never shown."""
    source = prompts.source if isinstance(prompts, PromptSource) else prompts
    if isinstance(source, ApprovedVideos):
        return _source_of_approved(source)
    if upstream := upstream_of(prompts):
        value = {"wan_assets/source": f"asset {upstream.key.to_user_string()}"}
        return value if upstream.source is None else _source_of(upstream.source)
    if isinstance(prompts, PromptSource):
        return _source_of(prompts.source)
    if isinstance(prompts, SqlQuery):
        return {"wan_assets/source": "query", "wan_assets/query": _shortened(prompts.query, _QUERY_SHOWN)}
    if label := label_of(prompts):
        return {"wan_assets/source": _utf8(label)}
    function = f"function {getattr(prompts, '__name__', type(prompts).__name__)}"
    return {"wan_assets/source": function if callable(prompts) else type(prompts).__name__}


def _source_of_approved(approved: ApprovedVideos) -> dict[str, Any]:
    overrides = ", ".join(f"{name}={_cell(name, value)}" for name, value in approved.overrides.items())
    return {"wan_assets/source": f"approved videos of {approved.asset_name}", "wan_assets/overrides": overrides}


def _preview_of(row: PromptRow, columns: list[str]) -> dict[str, str]:
    cells = {**row.cells(), **{name: public_text(text) for name, text in row.extra.items()}}
    return {_shown(name): _cell(name, cells.get(name)) for name in columns}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _SECRET_COLUMNS:
        return HIDDEN
    return _shortened(", ".join(map(_shown, _texts_of(value))), _CELL_SHOWN)


def _texts_of(value: Any) -> Iterator[str]:
    """Yields the values inside a value as text: each may be a URL with secrets."""
    if isinstance(value, Mapping):
        yield from (text for each in value.values() for text in _texts_of(each))
    elif isinstance(value, (list, tuple)):
        yield from (text for each in value for text in _texts_of(each))
    elif value is not None:
        yield str(value)


def _shown(text: str) -> str:
    """Returns a text without the secrets of a URL, and without bytes that are not UTF-8."""
    printable = _utf8(text)
    return public_part_of(printable) if _URL.fullmatch(printable) else printable


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
