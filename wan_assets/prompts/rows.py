"""Validation of records: each becomes a row with an id, or a list of all its problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, TypeAlias

from pydantic import ValidationError

from wan_assets.models import (
    MODEL,
    RequestTemplate,
    VideoRequest,
    catalog,
    description_of,
    has_rules_of_own_values,
    violations_of,
)
from wan_assets.prompts.cells import Cells, cells_of, is_absent, resolve_media
from wan_assets.prompts.column_use import NAMES_KEPT, ColumnUse
from wan_assets.prompts.columns import FRAME_IMAGES, MODEL_COLUMN, PROMPT, input_named
from wan_assets.prompts.defaults import CONFLICTING_COLUMNS, nested
from wan_assets.prompts.identity import PromptIds
from wan_assets.prompts.known_settings import NEGATIVE, SEED, KnownSettings
from wan_assets.prompts.layout import PROMPT_ID, Layout, Layouts, missing_prompt
from wan_assets.prompts.local_media import LocalMedia
from wan_assets.prompts.problems import Problem, Refusal
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.records import MalformedRecord, Piece, Record, RecordBatch, records_in
from wan_assets.prompts.refused_settings import MixedRows, RefusedSettings
from wan_assets.prompts.row_batch import RowBatch
from wan_assets.prompts.row_ids import RowIds
from wan_assets.prompts.url_rules import violations_of_urls
from wan_assets.prompts.variant_options import Variants
from wan_assets.prompts.variant_parts import Finding, Part
from wan_assets.prompts.variant_problems import problems_by_variant
from wan_assets.prompts.variants import Expansion

_FEWEST_IN_BATCH = 4
"""Fewer records with the same names are checked faster one by one."""

_OWN = frozenset({PROMPT, NEGATIVE, SEED})
"""The parameters that differ between rows with the same settings."""

_GIVEN_SIZE = frozenset({"width", "height", "resolution"})
_FRAMES = frozenset({FRAME_IMAGES, f"{FRAME_IMAGES}.image"})

Found: TypeAlias = RowBatch | PromptRow | list[Problem]
"""Rows in columns, one row, or the problems of one record."""


class RowReader:
    """Validates the records of one file in order; `ids` contains the ids of all files of the table."""

    def __init__(
        self,
        layouts: Layouts,
        *,
        has_header: bool,
        defaults: Mapping[str, Any],
        media: LocalMedia,
        ids: PromptIds,
        variants: Variants | None = None,
        file: str = "",
    ) -> None:
        self._has_header = has_header
        self._given_defaults = defaults
        conflicting = {name: CONFLICTING_COLUMNS.get(name, frozenset()) for name in defaults}
        self._defaults = tuple((name, value, conflicting[name]) for name, value in defaults.items())
        self._sizes = tuple((name, value) for name, value in defaults.items() if name in _GIVEN_SIZE)
        self._media = media
        self._ids = ids
        self._problem = partial(Problem.of, file=file)
        self._file = file
        self._layouts = layouts
        self._row_ids = RowIds(ids, layouts)
        self._variants = variants or Variants()
        self._expansions: dict[tuple[str, ...], tuple[Layout, Expansion | None]] = {}
        self._known: dict[tuple[str, ...], KnownSettings] = {}

    def check_sources(self, records: Sequence[Piece]) -> None:
        """Raises `PromptTableError` if the first records do not have the columns that are mapped."""
        found = [(record.names, record.values) for record in records_in(records) if isinstance(record, Record)]
        if found:
            self._layouts.check_sources(found)

    @property
    def use(self) -> ColumnUse:
        """The columns of all records so far."""
        use = self._layouts.use(self._given_defaults)
        return replace(use, variants=self._variants.listed(), seeds=self._variants.seeds)

    def problems_of_header(self, names: tuple[str, ...]) -> Iterator[Problem]:
        """Yields the problems of the header, once for all rows."""
        layout = self._layouts.of(names)
        expansion = self._expansion(names, layout)
        for index, name, refusal in (expansion or layout).refused:
            column = name or f"number {index + 1}"
            yield self._problem(refusal, row=None, line=None, prompt_id=None, column=column, value=None)
        if not self._gives_prompts(layout) and not layout.is_ambiguous and not self._may_lack_prompts(layout):
            refusal = missing_prompt(names)
            yield self._problem(refusal, row=None, line=None, prompt_id=None, column=PROMPT, value=None)

    def read(self, first: int, pieces: Sequence[Piece]) -> Iterator[Found]:
        """Yields the rows and the problems of consecutive records, the first of which has the number `first`."""
        number = first
        for piece in _joined(pieces):
            if isinstance(piece, RecordBatch):
                yield from self._read_batch(number, piece)
                number += len(piece)
            else:
                yield [self._problem_of_malformed(number, piece)]
                number += 1

    def _read_batch(self, first: int, records: RecordBatch) -> Iterator[Found]:
        """Yields the rows and the problems of records with the same names."""
        layout = self._layouts.of(records.names)
        expansion = self._expansion(records.names, layout)
        if expansion is None:
            yield from self._read_records(range(first, first + len(records)), records, layout)
            return
        for part in expansion.parts(first, records, self._ids):
            yield from self._read_variants(part)

    def _expansion(self, names: tuple[str, ...], layout: Layout) -> Expansion | None:
        known = self._expansions.get(names)
        if known is None or known[0] is not layout:
            if len(self._expansions) >= NAMES_KEPT:
                self._expansions.clear()
            expansion = Expansion.of(layout, names, self._variants, self._given_defaults)
            known = self._expansions[names] = (layout, expansion)
        return known[1]

    def _read_variants(self, part: Part) -> Iterator[Found]:
        """Yields the rows and the problems of a part; each row of the source gets its problems at the end."""
        if part.findings:
            yield self._read_in_full(part.numbers[0], part.records.record(0), part.layout, part.findings)
            return
        failed: dict[int, list[list[Problem]]] = {}
        for found in self._read_records(part.numbers, part.records, part.layout):
            if part.experiments and isinstance(found, list):
                failed.setdefault(found[0].row or 0, []).append(found)
            else:
                yield found
        for number, problems in failed.items():
            yield problems_by_variant(problems, part.experiments[number])
            yield from ([] for _ in problems[1:])

    def _read_records(self, numbers: Sequence[int], records: RecordBatch, layout: Layout) -> Iterator[Found]:
        known = self._known_settings(records.names, layout) if len(records) >= _FEWEST_IN_BATCH else None
        if known is None or not known.is_usable:
            for at in range(len(records)):
                yield self._read_in_full(numbers[at], records.record(at), layout)
            return
        for part in known.check(numbers, records, self._file):
            if isinstance(part, RowBatch):
                yield from self._placed(part)
            elif isinstance(part, MixedRows):
                yield from self._read_mixed(part, numbers, records, layout)
            else:
                yield self._read_in_full(numbers[part], records.record(part), layout)

    def _read_mixed(
        self, mixed: MixedRows, numbers: Sequence[int], records: RecordBatch, layout: Layout
    ) -> Iterator[Found]:
        """Yields the valid rows and the problems of the others; in their order if ids have problems too."""
        valid = self._row_ids.at_once(mixed.batch, mixed.valid())
        if valid is not None:
            yield valid
            yield from mixed.problems()
            return
        for part in mixed.batch.without(mixed.refused):
            if isinstance(part, RowBatch):
                yield from self._placed(part)
            else:
                at = mixed.start + part
                yield self._read_in_full(numbers[at], records.record(at), layout)

    def _known_settings(self, names: tuple[str, ...], layout: Layout) -> KnownSettings:
        known = self._known.get(names)
        if known is None or known.layout is not layout:
            if len(self._known) >= NAMES_KEPT:
                self._known.clear()
            is_usable = self._has_header or not layout.refused
            template_of = partial(self._template, layout)
            known = self._known[names] = KnownSettings(layout, self._given_defaults, template_of, is_usable=is_usable)
        return known

    def _placed(self, batch: RowBatch) -> Iterator[Found]:
        """Yields a batch with its ids, interrupted by the problems of rows whose ids are not valid."""
        placed = self._row_ids.at_once(batch, batch)
        if placed is not None:
            yield placed
            return
        ids: list[Any] = list(batch.prompt_ids)
        start = 0
        for at, (number, written) in enumerate(zip(batch.numbers, batch.prompt_ids, strict=True)):
            cells = Cells(prompt_id=None if is_absent(written) else written)
            ids[at] = self._row_ids.of(number, cells, batch.fingerprints[at].hex)
            if cells.findings:
                if start < at:
                    yield replace(batch, prompt_ids=ids).taken(start, at)
                yield self._problems(number, batch.lines[at], ids[at], cells)
                start = at + 1
        if start < len(batch):
            yield replace(batch, prompt_ids=ids).taken(start, len(batch))

    def _template(self, layout: Layout, values: Sequence[Any]) -> RequestTemplate | RefusedSettings | None:
        cells = cells_of(layout, values)
        given = self._given(cells)
        try:
            template = RequestTemplate(given)
        except ValidationError:
            return self._refused(layout, values)
        has_urls = any(True for _ in violations_of_urls(template.example))
        has_others = any(_is_input(column.name, template.example) for _, column in layout.columns)
        is_special = has_urls or has_others or template.example.uploads or template.has_rules_of_own_values
        return None if cells.findings or is_special else template

    def _refused(self, layout: Layout, values: Sequence[Any]) -> RefusedSettings | None:
        """Returns settings that are not valid in any request; None if their problems depend on the rest of the row."""
        cells = cells_of(layout, values)
        cells.values[PROMPT] = "A red kite"
        if self._request(layout, cells, ()) is not None:
            return None
        known = catalog().id_of(cells.values.get(MODEL_COLUMN, MODEL))
        is_own = any(not column or column in _OWN for column, _, _ in cells.findings)
        if known is None or is_own or has_rules_of_own_values(description_of(known)):
            return None
        return RefusedSettings(description_of(known), self._problems(0, None, None, cells))

    def _read_in_full(
        self, number: int, record: Record, layout: Layout, findings: Sequence[Finding] = ()
    ) -> PromptRow | list[Problem]:
        """Returns the row of a record, or all its problems, of which some were found already."""
        cells = cells_of(layout, record.values)
        for column, value, refusal in findings:
            if column == PROMPT_ID:
                self._row_ids.refuse(cells, value, refusal)
            else:
                cells.refuse(column, value, refusal)
        if not self._has_header:
            for index, name, refusal in layout.refused:
                cells.refuse(name, record.values[index], refusal)
        request = self._request(layout, cells, record.names)
        prompt_id = self._row_ids.of(number, cells, request.fingerprint if request else None)
        if request is None or prompt_id is None or cells.findings:
            return self._problems(number, record.line, prompt_id, cells)
        return PromptRow(number, prompt_id, request, cells.extra, record.line, self._file)

    def _problems(self, number: int, line: int | None, prompt_id: str | None, cells: Cells) -> list[Problem]:
        problem = partial(self._problem, row=number, line=line, prompt_id=prompt_id)
        return [problem(why, column=column, value=value) for column, value, why in cells.findings]

    def _gives_prompts(self, layout: Layout) -> bool:
        return layout.has(PROMPT) or any(name == PROMPT for name, _, _ in self._defaults)

    def _may_lack_prompts(self, layout: Layout) -> bool:
        """Whether the rows may be of models that do not always require a prompt."""
        return layout.has(MODEL_COLUMN) or any(name == MODEL_COLUMN for name, _, _ in self._defaults)

    def _request(self, layout: Layout, cells: Cells, names: tuple[str, ...]) -> VideoRequest | None:
        given = self._given(cells)
        try:
            request = VideoRequest.model_validate(given)
        except ValidationError as error:
            has_prompts = self._gives_prompts(layout) or self._may_lack_prompts(layout)
            for violation in violations_of(error, given):
                if has_prompts or violation.column != PROMPT:
                    cells.refuse(violation.column, violation.value, Refusal(violation.rule, violation.fix))
                elif not self._has_header and not layout.is_ambiguous:
                    cells.refuse(PROMPT, None, missing_prompt(names))
            return None
        for column, value, refusal in violations_of_urls(request):
            cells.refuse(column, value, refusal)
        for name in [name for name in cells.extra if _is_input(name, request)]:
            fix = f"rename it to {input_named(name)}, or map x_{name}={name} if it is an extra column"
            cells.refuse(name, cells.extra[name], Refusal(f"may be an input of {request.description.name}", fix))
        return request

    def _given(self, cells: Cells) -> dict[str, Any]:
        """Returns the parameters of a row with the default values, as `VideoRequest` accepts them."""
        if self._defaults:
            columns = cells.values.keys()
            defaults = {name: value for name, value, conflicting in self._defaults if not conflicting & columns}
            sizes = {name: value for name, value in self._sizes if not _GIVEN_SIZE & columns}
            if sizes and _FRAMES & columns:
                model = catalog().id_of(cells.values.get(MODEL_COLUMN, self._given_defaults.get(MODEL_COLUMN, MODEL)))
                applied = description_of(model or MODEL).sizes_of_image_rows
                defaults |= {name: value for name, value in sizes.items() if name in applied}
            cells.values = {**defaults, **cells.values}
        resolve_media(cells, self._media)
        return nested(cells.values)

    def _problem_of_malformed(self, row: int, record: MalformedRecord) -> Problem:
        refusal = Refusal(record.rule, record.fix)
        return self._problem(refusal, row=row, line=record.line, prompt_id=None, column="", value=record.value)


def _is_input(name: str, request: VideoRequest) -> bool:
    """Whether an extra column has the name of an input that the model of a request takes."""
    column = input_named(name)
    return column is not None and request.description.limits(column) is not None


def _joined(pieces: Sequence[Piece]) -> Iterator[RecordBatch | MalformedRecord]:
    """Yields the pieces with consecutive single records of the same names joined to batches."""
    for names, run in groupby(pieces, key=lambda piece: piece.names if isinstance(piece, Record) else None):
        if names is None:
            yield from (piece for piece in run if not isinstance(piece, Record))
        else:
            records = [piece for piece in run if isinstance(piece, Record)]
            yield RecordBatch([record.line for record in records], names, [record.values for record in records])
