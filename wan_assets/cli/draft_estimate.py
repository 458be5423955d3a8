"""The comparison of `plan --draft`: drafts of all rows and finals of some, or finals of all rows at once."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from wan_assets.cli.display import counted, dollars, printable, show_table
from wan_assets.models import VideoRequest, usd
from wan_assets.prompts import Chunk, PriceList, Problem, PromptRow, scan, with_overrides

_SHARES = (100, 75, 50, 25)
"""Shares of approved drafts that are shown, in percent."""

_ANY_UUID = str(uuid.UUID(int=0, version=4))
"""Stands for a local file, whose name has no influence on a price."""


@dataclass
class DraftEstimate:
    """The prices of the other version of each row of a table.

    With `overrides`, the rows are the drafts, and the other versions are the finals. Without, the rows are the finals,
    and the other versions are drafts of the lowest resolution of their model that has a price. `problems` are those of
    rows that have no other version.
    """

    overrides: Mapping[str, str]
    prices: PriceList
    problems: list[Problem] = field(default_factory=list)

    def adding(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yields chunks of the table, and adds the other version of their rows."""
        for chunk in chunks:
            self._add(chunk.rows)
            yield chunk

    def _add(self, rows: Iterable[PromptRow]) -> None:
        others = [{"prompt_id": row.prompt_id, **self._other(row.request)} for row in rows]
        for chunk in scan(others) if others else ():
            self.problems += chunk.problems
            for row in chunk.rows:
                self.prices.add(row.request, None)

    def _other(self, request: VideoRequest) -> dict[str, Any]:
        request = request.with_media(dict.fromkeys(request.uploads, _ANY_UUID)) if request.uploads else request
        return with_overrides(request, self.overrides or _lowest_size(request))

    def compared(self, of_table: PriceList) -> DraftComparison:
        """Returns the comparison, with the prices of the table's own rows."""
        table, others = of_table.total, self.prices.total
        drafts, finals = (table, others) if self.overrides else (others, table)
        return DraftComparison(drafts.requests, drafts.price_microusd, finals.price_microusd)


@dataclass(frozen=True)
class DraftComparison:
    """The list prices of all drafts and of all finals, in µ$."""

    requests: int
    drafts_microusd: int
    finals_microusd: int

    @property
    def break_even(self) -> float | None:
        """The share of approved drafts, up to 1, below which drafts save money; None if they never do."""
        if self.drafts_microusd >= self.finals_microusd:
            return None
        return 1 - self.drafts_microusd / self.finals_microusd

    def total_microusd(self, percent: int) -> int:
        """Returns the price of all drafts, and of the finals of a share of them."""
        return self.drafts_microusd + self.finals_microusd * percent // 100


def show_comparison(found: DraftComparison, estimate: DraftEstimate) -> None:
    """Prints the comparison, or why there is none."""
    if estimate.problems:
        _show_problems(estimate)
        return
    rows = [
        (
            f"{percent} %",
            dollars(found.drafts_microusd),
            dollars(found.finals_microusd * percent // 100),
            dollars(found.total_microusd(percent)),
            _difference(found.finals_microusd - found.total_microusd(percent)),
        )
        for percent in _SHARES
    ]
    columns = ("approved", "drafts", "finals", "together", "saved")
    show_table("Drafts first", columns, rows, right=columns)
    click.echo(f"finals of all rows, without drafts: {dollars(found.finals_microusd)}")
    if found.break_even is None:
        click.echo("drafts save nothing: they do not cost less than the finals")
    else:
        click.echo(f"drafts save money if less than {found.break_even:.0%} of them are approved")


def _show_problems(estimate: DraftEstimate) -> None:
    first, version = estimate.problems[0], "final" if estimate.overrides else "draft"
    rows = counted(len({problem.prompt_id for problem in estimate.problems}), "row has", "rows have")
    click.echo(f"{rows} no valid {version}, so that drafts and finals are not compared")
    click.echo(f"  {printable(f'{first.prompt_id}: {first.column}: {first.rule}; {first.fix}')}")


def comparison_json(found: DraftComparison, estimate: DraftEstimate) -> dict[str, Any]:
    """Returns the comparison as `--json` prints it."""
    return {
        "overrides": dict(estimate.overrides),
        "drafts_usd": float(usd(found.drafts_microusd)),
        "finals_usd": float(usd(found.finals_microusd)),
        "break_even_share": found.break_even,
        "shares": [
            {
                "approved_share": percent / 100,
                "together_usd": float(usd(found.total_microusd(percent))),
                "saved_usd": float(usd(found.finals_microusd - found.total_microusd(percent))),
            }
            for percent in _SHARES
        ],
        "problems": len(estimate.problems),
    }


def _lowest_size(request: VideoRequest) -> dict[str, Any]:
    """Returns the lowest resolution with a price that a request's model has: of a size, the smallest one of nearly the
    same form.
    """
    price = request.description.price
    without = price.unpublished if price else ()
    sizes = {size: name for size, name in request.description.resolution_of_size.items() if name not in without}
    if request.width and request.height and sizes:
        form = request.width / request.height
        width, height = min(sizes, key=lambda size: (round(abs(size[0] / size[1] - form), 1), size[0] * size[1]))
        return {"width": width, "height": height}
    limits = request.description.limits("resolution")
    known = [*(str(each) for each in (limits.values if limits else ()) if each not in without), *sizes.values()]
    return {"resolution": min(known, key=_lines, default=request.tier)}


def _lines(resolution: str) -> int:
    """Returns the number of lines in the name of a resolution, such as 720 for 720p."""
    return int("".join(filter(str.isdigit, resolution)) or 0)


def _difference(microusd: int) -> str:
    return f"-{dollars(-microusd)}" if microusd < 0 else dollars(microusd)
