"""How the columns of a table are used: what `plan` and the table's metadata show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wan_assets.prompts.problems import shown

NAMES_KEPT = 1000


@dataclass(frozen=True)
class ColumnUse:
    """How a table's columns are used: the source columns of each parameter, and the columns that stay with the row.

    `recognized` are the parameters whose columns were found by a common name. `defaults` are the values of empty cells.
    `variants` are the values of the parameters that vary, and `seeds` is the number of seeds of each row.
    """

    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    recognized: frozenset[str] = frozenset()
    kept: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seeds: int | None = None

    def __or__(self, other: ColumnUse) -> ColumnUse:
        """Joins the columns of two parts of a table."""
        if self == other:
            return self
        names = {**self.sources, **other.sources}
        sources = {
            name: tuple(dict.fromkeys((*self.sources.get(name, ()), *other.sources.get(name, ())))) for name in names
        }
        kept = tuple(dict.fromkeys((*self.kept, *other.kept)))[:NAMES_KEPT]
        return ColumnUse(
            sources,
            self.recognized | other.recognized,
            kept,
            {**self.defaults, **other.defaults},
            {**self.variants, **other.variants},
            other.seeds if self.seeds is None else self.seeds,
        )

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yields each parameter with the columns that set it, with its default value, and with its variants."""
        fixed = {name: f"variants {', '.join(values)}" for name, values in self.variants.items()}
        if self.seeds is not None:
            fixed["seeds"] = f"{self.seeds:,} for each row"
        for name in dict.fromkeys((*self.sources, *self.defaults, *fixed)):
            sources = " or ".join(self.sources.get(name, ()))
            recognized = " (a common name)" if name in self.recognized else ""
            column = f"column {sources}{recognized}" if sources else ""
            default = f"default {shown(self.defaults[name])}" if name in self.defaults else ""
            own = () if name in self.variants else (column, default)
            yield name, ", ".join(filter(None, (*own, fixed.get(name))))
