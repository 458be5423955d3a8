"""A pilot run: it requests some rows of its partitions, and leaves the others out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from wan_assets.errors import SelectionError
from wan_assets.orchestration.run_context import RunContext
from wan_assets.prompts import PromptRow, RowSelection, RowsSeen

Rows: TypeAlias = Mapping[str, Sequence[PromptRow]]
"""The rows of partitions, by partition."""

SELECTION = "wan_assets/selection"
"""Metadata of the events of a pilot run, and tag of the run: the selection and the numbers of rows."""

LEFT_OUT = "wan_assets/left_out"
"""Metadata of a batch: the number of its rows that the selection left out. Also a tag of the run, for all its rows."""


@dataclass(frozen=True)
class Pilot:
    """The selection of a run as text, and the numbers of rows that it requests and leaves out.

    `by_partition` contains the number of rows left out of each partition that is not complete.
    """

    selection: str
    requested: int
    left_out: int
    by_partition: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = f"{self.requested:,} of {self.requested + self.left_out:,} rows requested"
        return f"{self.selection}: {rows}, {self.left_out:,} left out"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the run."""
        return {SELECTION: self.selection, LEFT_OUT: str(self.left_out)}

    def metadata(self, partition: str) -> dict[str, Any]:
        """Returns the metadata of an event of a partition."""
        left_out = self.by_partition.get(partition)
        return {SELECTION: str(self), **({} if left_out is None else {LEFT_OUT: left_out})}


class RowSelector:
    """Selects the rows of one run, and verifies that the table has what the selection names."""

    def __init__(self, selection: RowSelection, log: logging.Logger) -> None:
        self._selection = selection
        self._log = log
        self._matches = selection.filter()
        self.begin()

    @property
    def is_whole(self) -> bool:
        """Whether all rows are selected, so that rows of other partitions need not be read."""
        return self._selection.is_whole

    def begin(self) -> None:
        """Starts to read a table."""
        self._seen = RowsSeen(self._selection)
        self._selected = 0

    def add(self, row: PromptRow) -> None:
        """Adds a row of the table, also one that does not belong to the run."""
        if not self.is_whole:
            self._seen.add(row)
            self._selected += self._matches(row)

    def verify(self, *, is_whole_table: bool) -> None:
        """Raises `SelectionError` if the table has none of the selected rows; a part of a table may have none."""
        if self.is_whole:
            return
        try:
            self._seen.verify(self._selected)
        except SelectionError as error:
            if is_whole_table:
                raise
            self._log.warning("%s (in the partitions of the table that this run reads)", error)

    def of_run(self, rows: Rows) -> tuple[Rows, Pilot] | None:
        """Returns the selected rows of a run; None if all rows are selected."""
        return None if self.is_whole else pilot_of(self._selection, rows)


def reported(pilot: Pilot, run_context: RunContext) -> RunContext:
    """Logs which rows a run requests, and adds the numbers to the tags of the run and to the metadata of its events."""
    run_context.instance.add_run_tags(run_context.run_id, pilot.tags)
    run_context.log.info("This is a pilot run. %s.", pilot)
    if not pilot.requested:
        run_context.log.warning("The selection takes no row of this run's partitions: the run requests nothing.")
    return replace(run_context, pilot=pilot)


def pilot_of(selection: RowSelection, rows: Rows) -> tuple[Rows, Pilot]:
    """Returns the rows that a selection takes from some partitions, without partitions that are left out entirely, and
    the numbers of rows. Partitions that have no rows are kept.
    """
    taken = {row.prompt_id for row in selection.taken(row for found in rows.values() for row in found)}
    chosen = {key: [row for row in found if row.prompt_id in taken] for key, found in rows.items()}
    left_out = {key: len(found) - len(chosen[key]) for key, found in rows.items() if len(found) > len(chosen[key])}
    requested: dict[str, Sequence[PromptRow]] = {key: found for key, found in chosen.items() if found or not rows[key]}
    return requested, Pilot(str(selection), len(taken), sum(left_out.values()), left_out)
