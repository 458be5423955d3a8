"""Lines of money by group, as tables for people, JSON for programs, and columns of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wan_assets.cli.display import dollars, printable, show_table
from wan_assets.cli.table_files import FileColumn
from wan_assets.ledger import Grouping, SpendLine, money_kind
from wan_assets.models import usd

_NARROW = 6
"""The most columns of a table that has a column for the kind of money in any case."""

_SPENDING = ("money", "tasks", "spent", "reserved", "unknown")
_OPTIONAL = ("unknown", "reserved", "videos")
_OF_APPROVED = ("approved", "per approved")


def per_approved(line: SpendLine) -> str:
    """Returns the cost for each approved video as people read it."""
    return "-" if line.per_approved_microusd is None else dollars(line.per_approved_microusd)


_CELLS: Mapping[str, Callable[[SpendLine], str]] = {
    "money": lambda line: money_kind(line.is_simulated),
    "tasks": lambda line: f"{line.tasks:,}",
    "videos": lambda line: f"{line.videos:,}",
    "approved": lambda line: f"{line.approved:,}",
    "spent": lambda line: dollars(line.cost_microusd),
    "per approved": per_approved,
    "reserved": lambda line: dollars(line.reserved_microusd),
    "unknown": lambda line: f"{line.unknown:,}",
}


def cells_of(lines: Sequence[SpendLine], names: Sequence[str]) -> dict[str, list[str]]:
    """Returns the cells of columns by name: `money`, `tasks`, `videos`, `approved`, `spent`, `per approved`,
    `reserved` and `unknown`.
    """
    return {name: [_CELLS[name](line) for line in lines] for name in names}


def show_spending(by: Grouping, lines: Sequence[SpendLine]) -> None:
    """Prints the lines of one grouping; the columns of approved videos only if there are any."""
    names = (*_SPENDING, *(_OF_APPROVED if any(line.approved for line in lines) else ()))
    zone = "" if by.time_zone == "UTC" or by.has_no_period else f" ({by.time_zone})"
    show_lines(f"By {' and '.join(by.names)}{zone}", by.names, lines, cells_of(lines, names))


def show_lines(title: str, keys: Sequence[str], lines: Sequence[SpendLine], cells: dict[str, list[str]]) -> None:
    """Prints lines with their keys and other cells; the title of a wide table names the only kind of money."""
    kinds = {money_kind(line.is_simulated) for line in lines}
    if len(keys) + len(cells) > _NARROW and "money" in cells and len(kinds) == 1:
        title += f", {kinds.pop()} money"
        cells = {name: column for name, column in cells.items() if name != "money"}
    rows = [(*line.keys, *row) for line, row in zip(lines, zip(*cells.values(), strict=True), strict=False)]
    right = [name for name in cells if name != "money"]
    names, optional = list(map(printable, keys)), [name for name in _OPTIONAL if name in cells]
    show_table(printable(title), (*names, *cells), rows, right=right, flexible=names, optional=optional)


def line_json(line: SpendLine) -> dict[str, Any]:
    """Returns a line as `--json` prints it; `key` is a list if two groupings are combined."""
    each = line.per_approved_microusd
    return {
        "key": line.key if len(line.keys) == 1 else list(line.keys),
        "simulated": line.is_simulated,
        "tasks": line.tasks,
        "cost_usd": float(usd(line.cost_microusd)),
        "reserved_usd": float(usd(line.reserved_microusd)),
        "unknown_cost_count": line.unknown,
        "videos": line.videos,
        "approved": line.approved,
        "per_approved_usd": None if each is None else float(usd(each)),
    }


def file_columns(names: Sequence[str], lines: Sequence[SpendLine]) -> list[FileColumn]:
    """Returns the columns of a file of lines: a column for each key, the kind of money, counts and amounts."""
    amounts: dict[str, Sequence[int | None]] = {
        "cost": [line.cost_microusd for line in lines],
        "reserved": [line.reserved_microusd for line in lines],
        "per_approved": [line.per_approved_microusd for line in lines],
    }
    return [
        *(FileColumn(name, "text", [line.keys[at] for line in lines]) for at, name in enumerate(names)),
        FileColumn("money", "text", [money_kind(line.is_simulated) for line in lines]),
        FileColumn("tasks", "count", [line.tasks for line in lines]),
        FileColumn("videos", "count", [line.videos for line in lines]),
        FileColumn("approved", "count", [line.approved for line in lines]),
        FileColumn("unknown_cost_count", "count", [line.unknown for line in lines]),
        *(FileColumn(f"{name}_usd", "usd", values) for name, values in amounts.items()),
        *(FileColumn(f"{name}_microusd", "microusd", values) for name, values in amounts.items()),
    ]
