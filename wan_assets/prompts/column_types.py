"""The types of the columns that the valid rows of a table use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from wan_assets.models import RequestTemplate
from wan_assets.prompts.column_use import NAMES_KEPT
from wan_assets.prompts.prompt_row import NOT_COLUMNS, PromptRow
from wan_assets.prompts.row_batch import RowBatch

_GROUPS = {"inputs", "provider_settings", "safety"}
_TYPES = {bool: "bool", int: "int", float: "float"}


@dataclass
class ColumnTypes:
    """The types by name of the first 1,000 columns of the rows added so far."""

    by_name: dict[str, str] = field(default_factory=lambda: {"prompt_id": "string"})

    _templates: set[RequestTemplate] = field(default_factory=set)

    def add(self, rows: RowBatch | Iterable[PromptRow]) -> None:
        """Adds the columns of rows."""
        for row in self._new_in(rows) if isinstance(rows, RowBatch) else rows:
            if len(self.by_name) >= NAMES_KEPT:
                return
            given = row.request.model_fields_set - NOT_COLUMNS
            if given & _GROUPS or not given | row.extra.keys() <= self.by_name.keys():
                for name, value in row.cells().items():
                    self.by_name.setdefault(name, _TYPES.get(type(value), "string"))

    def _new_in(self, batch: RowBatch) -> Iterator[PromptRow]:
        """Returns the rows of a batch that may have new columns: the first one with each shape, if any is new."""
        templates = set(batch.templates)
        used = {name for name, texts in batch.extra.items() if name not in self.by_name and any(texts)}
        own = zip(("negative_prompt", "seed"), batch.normal[1:], strict=True)
        used |= {name for name, values in own if name not in self.by_name and values.count(None) < len(values)}
        if templates <= self._templates and not used:
            return iter(())
        self._templates |= templates
        return _first_with_each_shape(batch)


def _first_with_each_shape(batch: RowBatch) -> Iterator[PromptRow]:
    """Yields the first of the rows that have the same settings and the same other columns."""
    columns = [[value is None for value in values] for values in batch.normal[1:]]
    texts = [[not text for text in found] for found in batch.extra.values()]
    shapes = dict[object, int]()
    for at, shape in enumerate(zip(batch.templates, *columns, *texts, strict=True)):
        shapes.setdefault(shape, at)
    return (row for at in shapes.values() for row in batch.taken(at, at + 1).rows())
