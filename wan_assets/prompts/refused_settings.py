"""Settings that are not valid in any request: their problems are found once for all rows that have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from wan_assets.models import ModelDescription, lengths_of_prompt
from wan_assets.prompts.cells import is_absent
from wan_assets.prompts.problems import Problem
from wan_assets.prompts.row_batch import RowBatch


@dataclass(frozen=True, eq=False)
class RefusedSettings:
    """Settings that many rows share, and the problems of each of these rows, without their places.

    The prompts and the seeds of the rows are valid for the model.
    """

    model: ModelDescription
    problems: Sequence[Problem]

    def lengths(self, path: str) -> tuple[int, int]:
        """Returns the fewest and the most characters of a prompt."""
        return lengths_of_prompt(self.model, path)

    def problems_of(self, row: int, line: int | None, prompt_id: str | None) -> list[Problem]:
        """Returns the problems of one row."""
        return [replace(problem, row=row, line=line, prompt_id=prompt_id) for problem in self.problems]


@dataclass(frozen=True)
class MixedRows:
    """Consecutive rows, of which some have refused settings instead of a template.

    `start` is the position of the first row. `batch` has no fingerprints.
    """

    start: int
    batch: RowBatch

    @cached_property
    def refused(self) -> list[int]:
        """The positions in the batch of the rows with refused settings."""
        return [at for at, found in enumerate(self.batch.templates) if isinstance(found, RefusedSettings)]

    def valid(self) -> RowBatch:
        """Returns the other rows."""
        return self.batch.but(self.refused).fingerprinted()

    def problems(self) -> Iterator[list[Problem]]:
        """Yields the problems of each row with refused settings; its id is as written."""
        for at in self.refused:
            settings, prompt_id = self.batch.templates[at], self.batch.prompt_ids[at]
            if isinstance(settings, RefusedSettings):
                shown = None if is_absent(prompt_id) else prompt_id
                yield settings.problems_of(self.batch.numbers[at], self.batch.lines[at], shown)
