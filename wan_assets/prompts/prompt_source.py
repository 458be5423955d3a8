"""The source of a prompt table with the columns of its parameters, the values of empty cells, and its other columns."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from wan_assets.errors import PromptTableError
from wan_assets.prompts.columns import Column, column_of
from wan_assets.prompts.defaults import checked_defaults
from wan_assets.prompts.problems import Refusal, printable
from wan_assets.prompts.variant_options import Variants, checked_variants

Extra: TypeAlias = Literal["keep", "refuse"]

_OPTIONS = frozenset({"columns", "defaults", "extra", "seeds", "variants"})
_OF_TABLE = frozenset({"extra", "priority"})


@dataclass(frozen=True, eq=False)
class PromptSource:
    """A source of prompts whose columns have other names than the parameters, or that lacks parameters.

    Accepted wherever prompts are.

    Args:
        source: The path or URL of a file, a folder or a pattern, a DataFrame, a `SqlQuery`, a list of mappings, an
            upstream asset, or a function that returns any of the first.
        columns: The source column of each parameter, such as `{"positive_prompt": "prompt_en"}`. A dotted path names a
            field of a nested value, such as `meta.prompt` or `prompts.0`. Columns that stay with the row can be
            renamed in the same way, such as `{"campaign": "batch"}` or `{"x_speed": "speed"}`.
        defaults: Values for cells that are empty or missing, such as `{"resolution": "720p", "duration": 5}`.
        extra: "keep" keeps columns that are no parameters with their row. "refuse" reports them as problems, except
            those that the documentation of prompt tables lists.
        base_dir: The folder of the local files that rows name. The default is the folder of each file of the table.
        seeds: The number of seeds of each row that has no number in its column `seeds`, from 1 to 1,000. Each row
            becomes that many rows with the seeds 1, 2 and so on, or with its own seed and the next ones.
        variants: The values of parameters that vary, such as `{"resolution": ["480p", "720p"]}`. Each row becomes a
            row for each combination of the values and seeds, with the id `kite~resolution=480p~seed=1` and the extra
            columns `experiment`, the id of the row, and `variant`.

    Raises:
        PromptTableError: A parameter does not exist, is mapped twice, or has a value that is not valid in any row.

    Example:
        >>> import pandas as pd
        >>> from wan_assets import PromptSource, PromptTable
        >>> frame = pd.DataFrame({"sentence": ["A red kite"], "motion_level": ["low"]})
        >>> source = PromptSource(frame, columns={"positive_prompt": "sentence"}, defaults={"resolution": "480p"})
        >>> [(row.request.resolution, dict(row.extra)) for row in PromptTable.load(source).rows]
        [('480p', {'motion_level': 'low'})]
        >>> kites = PromptSource([{"prompt_id": "kite", "prompt": "A red kite", "resolution": "480p"}], seeds=2)
        >>> [row.prompt_id for row in PromptTable.load(kites).rows]
        ['kite~seed=1', 'kite~seed=2']
    """

    source: Any = field(repr=False)
    columns: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    extra: Extra = "keep"
    base_dir: str | os.PathLike[str] | None = None
    seeds: int | None = None
    variants: Mapping[str, Iterable[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.source, PromptSource):
            raise PromptTableError("a PromptSource contains another one: give all columns and defaults in one of them")
        if self.extra not in ("keep", "refuse"):
            raise PromptTableError(f"extra={printable(repr(self.extra))} is neither 'keep' nor 'refuse'")
        if not isinstance(self.columns, Mapping):
            raise PromptTableError(
                f"columns is a {type(self.columns).__name__}, not a mapping of parameters to columns"
            )
        object.__setattr__(self, "columns", dict(self.columns))
        object.__setattr__(self, "defaults", checked_defaults(self.defaults))
        mapped_columns(self.columns)
        self._keep_variants()

    def _keep_variants(self) -> None:
        if isinstance(self.variants, Mapping):
            object.__setattr__(self, "variants", {name: _kept(values) for name, values in self.variants.items()})
        checked_variants(self.seeds, self.variants)

    @property
    def expansion(self) -> Variants:
        """The checked seeds and variants."""
        return checked_variants(self.seeds, self.variants)

    @property
    def has_options(self) -> bool:
        """Whether any option changes how the source is read."""
        has_variants = bool(self.variants) or self.seeds is not None
        return bool(self.columns or self.defaults or self.extra != "keep" or has_variants)


def _kept(values: Any) -> Any:
    """Returns a list or an iterator as a tuple, which can be read again."""
    is_list = isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping, set, frozenset))
    return tuple(values) if is_list else values


def prompt_source_from(source: Any, options: str) -> PromptSource:
    """Returns a source with the options of a JSON object, such as `{"defaults": {"resolution": "720p"}}`.

    Raises `PromptTableError` if they are not valid.
    """
    try:
        given = json.loads(options or "{}")
    except ValueError as error:
        raise PromptTableError(f"the options of the table are not valid JSON: {error}") from None
    if not isinstance(given, dict) or not given.keys() <= _OPTIONS:
        raise PromptTableError(f"the options of the table are not an object of {', '.join(sorted(_OPTIONS))}")
    return PromptSource(source, **given)


def prompt_source_of(prompts: object) -> PromptSource:
    """Returns a source with its options; a function is called.

    Raises `PromptTableError` for a function that returns a source with options into another one.
    """
    found = prompts() if callable(prompts) else prompts
    if not isinstance(found, PromptSource):
        return PromptSource(found)
    function: Callable[[], Any] | None = found.source if callable(found.source) else None
    return replace(found, source=function()) if function else found


def mapped_columns(columns: Mapping[str, str]) -> dict[str, tuple[Column, str]]:
    """Returns the column and the source of each canonical name; raises `PromptTableError` for unclear mappings."""
    found: dict[str, tuple[Column, str]] = {}
    for name, source in columns.items():
        column = column_of(name) if isinstance(name, str) else Refusal("is not text", "write a name")
        if isinstance(column, Refusal):
            raise _error(f"{name} {column.rule}; {column.fix}")
        if not isinstance(source, str) or not source.strip():
            raise _error(f"{name} needs the name of a column, not {source!r}")
        if column.name in found:
            both = f"{found[column.name][1]} and {source}"
            raise _error(f"{column.name} has two sources, {both}; remove one of them")
        found[column.name] = (column, source)
    for column, source in found.values():
        _refuse_taken(column, source, found)
    return found


def _refuse_taken(column: Column, source: str, mapped: Mapping[str, object]) -> None:
    """Refuses a source that is itself a parameter, which the table could then no longer set."""
    own = column_of(source)
    if isinstance(own, Refusal) or {own.kind, column.kind} & _OF_TABLE or own.name in mapped:
        return
    if own.name != column.name and not own.name.startswith(f"{column.name}."):
        fix = f"map {own.name} too, for example {own.name}={source} or x_{source}={source}"
        raise _error(f"{column.name}={source} hides the parameter {own.name} that the column {source} sets; {fix}")


def _error(message: str) -> PromptTableError:
    return PromptTableError(f"columns: {printable(message)}")
