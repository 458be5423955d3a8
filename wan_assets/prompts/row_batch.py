"""Many valid rows in columns. Rows are built only when they are read one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeVar, overload

from wan_assets.models import RequestTemplate, TemplateRequest, fingerprints_of
from wan_assets.prompts.prompt_row import PromptRow

T = TypeVar("T")


@dataclass(frozen=True)
class RowBatch:
    """Rows of one file and one header, in order. All columns have the same length.

    `own` and `normal` are the prompts, the negative prompts and the seeds, as written and in their normal form.
    `fingerprints` are binary. `extra` contains an empty text where a row does not have the column.
    """

    numbers: Sequence[int]
    lines: Sequence[int | None]
    prompt_ids: Sequence[str]
    templates: Sequence[RequestTemplate]
    own: tuple[Sequence[Any], Sequence[Any], Sequence[Any]]
    normal: tuple[Sequence[str], Sequence[str | None], Sequence[int | None]]
    extra: Mapping[str, Sequence[str]]
    file: str = ""
    fingerprints: Sequence[bytes] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self) -> Iterator[PromptRow]:
        """Yields the rows."""
        extras = self.extras()
        cells = zip(self.numbers, self.prompt_ids, self.lines, self.templates, self.fingerprints, strict=True)
        values = zip(zip(*self.own, strict=True), zip(*self.normal, strict=True), extras, strict=True)
        for (number, prompt_id, line, template, fingerprint), (own, normal, extra) in zip(cells, values, strict=True):
            request = TemplateRequest(template, own, normal, fingerprint)
            yield PromptRow(number, prompt_id, request, extra, line, self.file)

    def extras(self) -> Iterator[dict[str, str]]:
        """Yields the extra columns of each row."""
        if not self.extra:
            return ({} for _ in self.numbers)
        names = tuple(self.extra)
        return (
            {name: text for name, text in zip(names, texts, strict=True) if text}
            for texts in zip(*self.extra.values(), strict=True)
        )

    def taken(self, start: int, stop: int) -> RowBatch:
        """Returns some of the rows."""
        part = slice(start, stop)
        return RowBatch(
            self.numbers[part],
            self.lines[part],
            self.prompt_ids[part],
            self.templates[part],
            (self.own[0][part], self.own[1][part], self.own[2][part]),
            (self.normal[0][part], self.normal[1][part], self.normal[2][part]),
            {name: texts[part] for name, texts in self.extra.items()},
            self.file,
            self.fingerprints[part],
        )

    def incomplete(self) -> set[int]:
        """Returns the positions of rows that have no template, or whose values have no normal form."""
        given = zip(self.own[1:], self.normal[1:], strict=True)
        return {
            *_missing(self.templates),
            *_missing(self.normal[0]),
            *(at for own, normal in given for at in _missing(normal) if own[at] is not None),
            *(at for texts in self.extra.values() for at in _missing(texts)),
        }

    def but(self, positions: Sequence[int]) -> RowBatch:
        """Returns the rows that are not at some positions, which are in order, in one batch without fingerprints."""
        ends = zip((0, *(at + 1 for at in positions)), (*positions, len(self)), strict=True)
        runs = [slice(start, stop) for start, stop in ends]

        def kept(values: Sequence[T]) -> list[T]:
            return [*chain.from_iterable(map(values.__getitem__, runs))]

        own = kept(self.own[0]), kept(self.own[1]), kept(self.own[2])
        normal = kept(self.normal[0]), kept(self.normal[1]), kept(self.normal[2])
        extra = {name: kept(texts) for name, texts in self.extra.items()}
        ids, templates = kept(self.prompt_ids), kept(self.templates)
        return RowBatch(kept(self.numbers), kept(self.lines), ids, templates, own, normal, extra, self.file)

    def between(self, rejected: Iterable[int]) -> Iterator[RowBatch | int]:
        """Yields the rows in batches, and the positions in between that are rejected."""
        start = 0
        for at in sorted(rejected):
            if start < at:
                yield self.taken(start, at)
            yield at
            start = at + 1
        if start < len(self):
            yield self.taken(start, len(self)) if start else self

    def without(self, rejected: Iterable[int]) -> Iterator[RowBatch | int]:
        """Yields the same as `between`; the batches have fingerprints."""
        return (part.fingerprinted() if isinstance(part, RowBatch) else part for part in self.between(rejected))

    def fingerprinted(self) -> RowBatch:
        """Returns the batch with the fingerprints of its requests, in binary."""
        return replace(self, fingerprints=fingerprints_of(self.templates, *self.normal))


def _missing(values: Sequence[Any]) -> list[int]:
    """Returns the positions of the values that are None."""
    return [at for at, value in enumerate(values) if value is None] if None in values else []


@dataclass(frozen=True, eq=False)
class Rows(Sequence[PromptRow]):
    """A sequence of rows in parts: batches, and rows that were checked one by one."""

    parts: Sequence[RowBatch | Sequence[PromptRow]] = field(default_factory=tuple)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[PromptRow]:
        return (row for part in self.parts for row in (part.rows() if isinstance(part, RowBatch) else part))

    @overload
    def __getitem__(self, index: int) -> PromptRow: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PromptRow]: ...

    def __getitem__(self, index: int | slice) -> PromptRow | Sequence[PromptRow]:
        return tuple(self)[index]


def parts_of(rows: Sequence[PromptRow]) -> Sequence[RowBatch | Sequence[PromptRow]]:
    """Returns the batches of rows that are in columns, and the others."""
    return rows.parts if isinstance(rows, Rows) else (rows,)


def fingerprints_by_id(rows: Sequence[PromptRow]) -> Iterator[tuple[str, str]]:
    """Yields the id and the fingerprint of each row."""
    for part in parts_of(rows):
        if isinstance(part, RowBatch):
            yield from zip(part.prompt_ids, map(bytes.hex, part.fingerprints), strict=True)
        else:
            yield from ((row.prompt_id, row.fingerprint) for row in part)
