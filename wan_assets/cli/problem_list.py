"""All problems of a table, in a temporary file, because a table may have a problem in every row."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from wan_assets.prompts import Problem


class ProblemList:
    """The problems added so far, as JSON objects, in their order. It is a context manager."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, problems: Iterable[Problem]) -> None:
        """Writes the next problems."""
        for problem in problems:
            cells = {**problem.cells(), "row": problem.row, "prompt_id": problem.prompt_id}
            self._file.write(f"{json.dumps(cells)}\n")

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        self._file.seek(0)
        return map(json.loads, self._file)
