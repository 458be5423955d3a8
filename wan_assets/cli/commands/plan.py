"""`wan-assets plan`: validates and prices a table; nothing is submitted."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypedDict, Unpack, cast

import click

from wan_assets.cli.display import counted, printable, show_json_with_list, show_table
from wan_assets.cli.draft_estimate import DraftEstimate, comparison_json, show_comparison
from wan_assets.cli.estimate_report import estimate_json, prices_text, show_estimate, show_prices
from wan_assets.cli.estimates import LedgerState, ledger_state
from wan_assets.cli.options import TABLE, TableOptions, current_settings, data_dir_option, pairs, table_options
from wan_assets.cli.problem_list import ProblemList
from wan_assets.cli.progress import ProgressDisplay, progress_display
from wan_assets.cli.quote_report import quotes_json, show_expected, show_quotes, show_unknowns
from wan_assets.cli.selection_options import selection_json, selection_options, show_selection
from wan_assets.models import Retirement, usd
from wan_assets.prompts import (
    ApprovedVideos,
    ChosenRows,
    Chunk,
    ColumnUse,
    Findings,
    PriceList,
    RowSelection,
    Summary,
    name_of,
    scan,
)

_NAMES_SHOWN = 50
_ALLOCATIONS = 100_000
PROMPT_ID = "prompt_id"


@dataclass(frozen=True)
class _Read:
    """The rows read so far; the total is not known before the end."""

    ended: int = 0
    problems: int = 0
    total: int | None = None

    def after(self, chunk: Chunk) -> _Read:
        return _Read(self.ended + chunk.row_count, self.problems + len(chunk.problems))

    def counts(self) -> tuple[str, ...]:
        return (counted(self.problems, "problem"),)

    def money(self) -> tuple[str, ...]:
        return ()

    def pending(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class _Planned:
    """The summary of the selected rows, the number of all valid rows, and the ledger's state."""

    found: Summary
    valid: int
    selection: RowSelection
    chosen: ChosenRows
    state: LedgerState
    drafts: DraftEstimate | None = None

    @property
    def retirements(self) -> dict[Retirement, int]:
        """The models of new requests that have ended or end soon."""
        return self.found.prices.retirements(datetime.now(UTC).date())


class PartitionOptions(TypedDict):
    """The partitions of the table; all values are None if each row has its own partition."""

    by: str | None
    start_date: str | None
    end_date: str | None
    timezone: str
    shards: int | None


_BY = click.Choice(("hour", "day", "week", "month", "shard", "campaign"))


@click.command()
@click.argument("file", type=TABLE)
@click.option("--by", type=_BY, help="Check that each row belongs to a partition of this kind, as in a component.")
@click.option("--start-date", help="Start of the time windows, such as 2026-01-01.")
@click.option("--end-date", help="End of the time windows; open by default.")
@click.option("--timezone", default="UTC", show_default=True, help="The time zone of the time windows.")
@click.option("--shards", type=click.IntRange(1, 10_000), help="The number of shards.")
@click.option(
    "--draft",
    "has_drafts",
    is_flag=True,
    help="Compare drafts and finals of the approved ones with finals of all rows.",
)
@click.option(
    "--override",
    "overrides",
    multiple=True,
    callback=pairs,
    metavar="PARAMETER=VALUE",
    help="A value of the finals, with --draft, such as resolution=1080p; repeatable. FILE then has the drafts.",
)
@table_options
@selection_options
@data_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(
    file: str | Path,
    as_json: bool,
    table_options: TableOptions,
    selection: RowSelection,
    has_drafts: bool,
    overrides: Mapping[str, str],
    **partitions: Unpack[PartitionOptions],
) -> None:
    """Validate and price the table FILE; nothing is submitted.

    FILE may be a folder of tables, a pattern in quotes, or a URL. With --by, a row whose partition can never be
    materialized is a problem too. Problems are shown by kind; --json lists all of them. The whole table is validated;
    with --limit, --sample, --select or --ids, only the selected rows are priced. The budget and the expected duration
    are those of the configured account; without an API key, of the simulator.

    With --draft, the price of drafts of all rows and of finals of the approved ones is compared with that of finals of
    all rows. The rows of FILE are the drafts if --override gives the values of the finals. Otherwise they are the
    finals, and drafts have the lowest resolution of their model that has a price.

    Exit status: 0 every row is valid, 1 some have problems or request a model that has ended, 2 the table cannot be
    read, or has none of the selected rows.
    """
    check, source, settings = _partition_check(**partitions), table_options.of(file), current_settings()
    chosen, drafts = ChosenRows(selection), _draft_estimate(overrides, is_asked=has_drafts)
    with TemporaryFile("w+", encoding="utf-8") as file_of_problems, ledger_state(settings) as state:
        problems = ProblemList(file_of_problems) if as_json else None
        progress = progress_display("rows", _Read(), is_quiet=as_json, is_persistent=False)
        with _rare_collections(), progress as show:
            chunks = _shown(map(check, scan(source)), show, problems)
            chunks = chunks if selection.is_whole else chosen.of(chunks)
            found = Summary.of(drafts.adding(chunks) if drafts else chunks, state.prices())
        valid = found.valid if selection.is_whole else chosen.valid
        planned = _Planned(found, valid, selection, chosen, state, drafts)
        if not selection.is_whole and not found.problem_count:
            chosen.verify()
        if problems is not None:
            show_json_with_list(_as_json(planned), "problems", problems)
        else:
            _show(file, planned)
    sys.exit(1 if found.problem_count or any(retirement.is_ended for retirement in planned.retirements) else 0)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Lets the garbage collector run rarely: rows have no cycles, and looking for them takes a quarter of the time."""
    before = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _draft_estimate(overrides: Mapping[str, str], *, is_asked: bool) -> DraftEstimate | None:
    if overrides and not is_asked:
        raise click.UsageError("--override needs --draft")
    return DraftEstimate(ApprovedVideos("drafts", overrides).overrides, PriceList()) if is_asked else None


def _partition_check(**partitions: Unpack[PartitionOptions]) -> Callable[[Chunk], Chunk]:
    """Returns a function that reports rows without a partition as problems; imports Dagster only if needed."""
    if partitions["by"] is None:
        return lambda chunk: chunk
    assignment, keys = (
        import_module("wan_assets.orchestration.partitions.assignment"),
        import_module("wan_assets.orchestration.partitions.keys"),
    )
    try:
        partition_of = assignment.partition_of(keys.definition_by(**partitions))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return lambda chunk: cast("Chunk", assignment.assign_partitions(chunk, partition_of).chunk)


def _shown(chunks: Iterable[Chunk], show: ProgressDisplay, problems: ProblemList | None) -> Iterator[Chunk]:
    read = _Read()
    for chunk in chunks:
        if problems is not None:
            problems.add(chunk.problems)
        read = read.after(chunk)
        show(read)
        yield chunk


def _show(file: str | Path, planned: _Planned) -> None:
    found = planned.found
    if found.problem_count:
        _show_findings(found.findings)
    _show_columns(found.columns)
    show_prices(found.prices)
    show_quotes(found.prices)
    distinct, total = counted(found.distinct_requests, "different request"), found.prices.total
    rows = counted(found.rows, "row")
    if found.rows != found.source_rows:
        rows = f"{rows} from {counted(found.source_rows, 'row')} of the table"
    click.echo(f"{printable(name_of(file))}: {rows}, {planned.valid:,} valid, {distinct}")
    show_selection(planned.selection, planned.chosen.ids, planned.chosen.left_out)
    click.echo(prices_text(total))
    show_expected(found.prices)
    show_estimate(found.prices, planned.state)
    show_unknowns(found.prices, planned.state)
    if planned.drafts:
        show_comparison(planned.drafts.compared(found.prices), planned.drafts)
    for retirement, requests in planned.retirements.items():
        kind = "problem" if retirement.is_ended else "warning"
        click.echo(f"{kind}: {printable(retirement.message)} ({counted(requests, 'new request')})")
    fix = "; fix the problems first: no row of a table with problems is submitted" if found.problem_count else ""
    click.echo(f"nothing was submitted{fix}")


def _show_findings(findings: Findings) -> None:
    cells = [finding.cells() for finding in findings]
    is_counted = findings.count > len(findings)
    columns = [name for name in cells[0] if (is_counted if name == "count" else any(row[name] for row in cells))]
    rows = [[_text_of(row[name]) for name in columns] for row in cells]
    kinds = f" of {counted(len(findings), 'kind')}" if is_counted else ""
    flexible = [name for name in columns if name in ("value", "rule", "fix") or (name == "rows" and is_counted)]
    title = f"{counted(findings.count, 'problem')}{kinds}"
    show_table(title, columns, rows, right=("count",), flexible=flexible, folded=("rows", "rule", "fix"))
    if is_counted:
        click.echo("--json lists all problems")


def _text_of(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _show_columns(used: ColumnUse) -> None:
    """Shows how the columns are used, unless all have the names of their parameters."""
    has_options = bool(used.kept or used.defaults or used.variants or used.seeds)
    if not has_options and all(names == (name,) for name, names in used.sources.items()):
        return
    rows = list(used.lines())
    if PROMPT_ID not in used.sources:
        rows.append((PROMPT_ID, "derived from the request"))
    if used.kept:
        more = f" and {len(used.kept) - _NAMES_SHOWN:,} more" if len(used.kept) > _NAMES_SHOWN else ""
        rows.append(("kept with the row", ", ".join(used.kept[:_NAMES_SHOWN]) + more))
    show_table("Columns", ("parameter", "from"), rows, flexible=("from",), folded=("from",))


def _as_json(planned: _Planned) -> dict[str, Any]:
    found, chosen, total = planned.found, planned.chosen, planned.found.prices.total
    return {
        "rows": found.rows,
        "source_rows": found.source_rows,
        "valid": planned.valid,
        "selection": selection_json(planned.selection, chosen.ids, chosen.left_out),
        "requests": found.distinct_requests,
        "price_usd": float(usd(total.price_microusd)),
        "unpriced_requests": total.unpriced,
        "reserved_usd": float(usd(total.reserved_microusd)),
        **estimate_json(found.prices, planned.state),
        "estimate": quotes_json(found.prices, planned.state),
        "draft": comparison_json(planned.drafts.compared(found.prices), planned.drafts) if planned.drafts else None,
        "columns": {name: list(names) for name, names in found.columns.sources.items()},
        "recognized": sorted(found.columns.recognized),
        "defaults": dict(found.columns.defaults),
        "extra_columns": list(found.columns.kept),
        "variants": {name: list(values) for name, values in found.columns.variants.items()},
        "seeds": found.columns.seeds,
        "retirements": [
            {"model": each.model, "is_ended": each.is_ended, "message": each.message, "new_requests": requests}
            for each, requests in planned.retirements.items()
        ],
        "problem_count": found.problem_count,
        "findings": [finding.cells() for finding in found.findings],
    }
