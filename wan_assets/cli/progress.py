"""Progress of a run on the terminal; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wan_assets.cli.display import dollars
from wan_assets.generation import Outcome


@contextmanager
def watched(total: int, outcomes: dict[str, Outcome], *, is_quiet: bool) -> Iterator[Callable[[Outcome], None]]:
    """Gives the function that is told of each row; it keeps the outcome under its partition and moves the bar."""
    console = Console(stderr=True, quiet=is_quiet)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        rows = bar.add_task("videos", total=total, state="starting the run")

        def see(outcome: Outcome) -> None:
            outcomes[outcome.order.partition] = outcome
            bar.update(rows, advance=1, state=_state(outcomes))

        yield see


def _state(outcomes: dict[str, Outcome]) -> str:
    failed = sum(outcome.error is not None for outcome in outcomes.values())
    reused = sum(outcome.is_reused for outcome in outcomes.values())
    spent = sum(outcome.cost_microusd or 0 for outcome in outcomes.values())
    return f"{reused} reused, {failed} failed, {dollars(spent)}"
