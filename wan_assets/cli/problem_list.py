"""All problems of a table, in a file and not in memory, because a table may have a problem in every row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from wan_assets.prompts import Problem


class ProblemList:
    """The problems added so far, as JSON objects, in their order. `file` is an empty text file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def add(self, problems: Iterable[Problem]) -> None:
        """Writes the next problems."""
        for problem in problems:
            cells = {**problem.cells(), "row": problem.row, "prompt_id": problem.prompt_id}
            self._file.write(f"{json.dumps(cells)}\n")

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        self._file.seek(0)
        return map(json.loads, self._file)
