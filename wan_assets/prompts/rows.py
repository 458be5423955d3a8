"""Validation of records: each becomes a row with an id, or a list of all its problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from wan_assets.errors import PromptTableError
from wan_assets.models import VideoRequest, violations_of
from wan_assets.prompts.cells import Cells, cells_of, resolve_media
from wan_assets.prompts.columns import (
    FRAME_IMAGES,
    GENERATE_AUDIO,
    INPUT_AUDIO,
    PRIORITY,
    PROMPT,
    Layout,
    column_of,
    layout_of,
    missing_prompt,
)
from wan_assets.prompts.identity import PromptIds, text_of_id, violations_of_id
from wan_assets.prompts.local_media import LocalMedia
from wan_assets.prompts.problems import Problem, Refusal
from wan_assets.prompts.records import MalformedRecord, Record
from wan_assets.prompts.url_rules import violations_of_urls

_SIZE = frozenset({"width", "height", "resolution", FRAME_IMAGES, f"{FRAME_IMAGES}.image", "inputs"})
_CONFLICTING_COLUMNS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(_SIZE, _SIZE),
    INPUT_AUDIO: frozenset({GENERATE_AUDIO}),
    GENERATE_AUDIO: frozenset({INPUT_AUDIO}),
}
"""A default value is not applied to a row that sets one of these columns."""

_LAYOUTS_KEPT = 1000

NOT_COLUMNS = frozenset({"task_type", "task_uuid", "model"})
"""Parameters that the package sets."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One valid row: its number counted from 1, its id, its request, and the text of its extra columns.

    `line` is the physical line where it begins, in formats that have lines. `file` is the file's name if the table has
    several files, and empty otherwise.
    """

    number: int
    prompt_id: str
    request: VideoRequest
    extra: Mapping[str, str]
    line: int | None = None
    file: str = ""

    @property
    def priority(self) -> int:
        """The priority, 0 by default; rows with a higher priority are submitted first."""
        return int(self.extra.get(PRIORITY, "0"))

    def cells(self) -> dict[str, Any]:
        """Returns the values that the row sets, by canonical column name; nested parameters have dots."""
        given = self.request.model_dump(exclude_unset=True, exclude=set(NOT_COLUMNS))
        return {"prompt_id": self.prompt_id, **dict(_flat("", given)), **self.extra}


def _flat(prefix: str, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def merged_defaults(of_format: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the default values by column; a size in `given` replaces the size of the format."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        column = column_of(name)
        if isinstance(column, Refusal) or column.kind not in ("text", "word", "media", "url"):
            fix = column.fix if isinstance(column, Refusal) else "name single parameters"
            raise PromptTableError(f"defaults: {name} has no default; {fix}")
        found[column.name] = value
    return {**{name: value for name, value in of_format.items() if not _SIZE & found.keys()}, **found}


class RowReader:
    """Validates the records of one file in order; `ids` contains the ids of all files of the table."""

    def __init__(
        self, *, has_header: bool, defaults: Mapping[str, Any], media: LocalMedia, ids: PromptIds, file: str = ""
    ) -> None:
        self._has_header = has_header
        conflicting = {name: _CONFLICTING_COLUMNS.get(name, frozenset()) for name in defaults}
        self._defaults = tuple((name, value, conflicting[name]) for name, value in defaults.items())
        self._media = media
        self._ids = ids
        self._file = file
        self._problem = partial(Problem.of, file=file)
        self._layouts: dict[tuple[str, ...], Layout] = {}

    def problems_of_header(self, names: tuple[str, ...]) -> Iterator[Problem]:
        """Yields the problems of the header, once for all rows."""
        layout = self._layout(names)
        for index, name, refusal in layout.refused:
            column = name or f"number {index + 1}"
            yield self._problem(refusal, row=None, line=None, prompt_id=None, column=column, value=None)
        if not self._gives_prompts(layout):
            refusal = missing_prompt(names)
            yield self._problem(refusal, row=None, line=None, prompt_id=None, column=PROMPT, value=None)

    def read(self, number: int, record: Record | MalformedRecord) -> PromptRow | list[Problem]:
        """Returns the row of a record, or all its problems."""
        if isinstance(record, MalformedRecord):
            return [self._problem_of_malformed(number, record)]
        layout = self._layout(record.names)
        cells = cells_of(layout, record.values)
        if not self._has_header:
            for index, name, refusal in layout.refused:
                cells.refuse(name, record.values[index], refusal)
        request = self._request(layout, cells)
        prompt_id = self._id(number, cells, request)
        if request is None or prompt_id is None or cells.findings:
            problem = partial(self._problem, row=number, line=record.line, prompt_id=prompt_id)
            return [problem(why, column=column, value=value) for column, value, why in cells.findings]
        return PromptRow(number, prompt_id, request, cells.extra, record.line, self._file)

    def _layout(self, names: tuple[str, ...]) -> Layout:
        layout = self._layouts.get(names)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            layout = self._layouts[names] = layout_of(names)
        return layout

    def _gives_prompts(self, layout: Layout) -> bool:
        return layout.has(PROMPT) or any(name == PROMPT for name, _, _ in self._defaults)

    def _request(self, layout: Layout, cells: Cells) -> VideoRequest | None:
        if self._defaults:
            columns = cells.values.keys()
            applied = [(name, value) for name, value, conflicting in self._defaults if not conflicting & columns]
            cells.values = {**dict(applied), **cells.values}
        resolve_media(cells, self._media)
        given = _nested(cells.values)
        try:
            request = VideoRequest.model_validate(given)
        except ValidationError as error:
            is_reported = self._has_header and not self._gives_prompts(layout)
            for violation in violations_of(error, given):
                if not (is_reported and violation.column == PROMPT):
                    cells.refuse(violation.column, violation.value, Refusal(violation.rule, violation.fix))
            return None
        for column, value, refusal in violations_of_urls(request):
            cells.refuse(column, value, refusal)
        return request

    def _id(self, number: int, cells: Cells, request: VideoRequest | None) -> str | None:
        if cells.prompt_id is None:
            return self._derived_id(number, cells, request) if request and not cells.findings else None
        prompt_id = text_of_id(cells.prompt_id)
        if prompt_id is None:
            refusal = Refusal("must be text or a whole number", "write it as text")
            cells.refuse("prompt_id", cells.prompt_id, refusal)
            return None
        if broken := list(violations_of_id(prompt_id)):
            for refusal in broken:
                cells.refuse("prompt_id", prompt_id, refusal)
            return None
        if holder := self._ids.claim(prompt_id, number):
            refusal = Refusal(f"is already the id of {holder}", "give each row its own id")
            cells.refuse("prompt_id", prompt_id, refusal)
        return prompt_id

    def _derived_id(self, number: int, cells: Cells, request: VideoRequest) -> str:
        prompt_id, holder = self._ids.derive(request.fingerprint(), number)
        if holder:
            rule = f"is derived from the row's content, but {holder} has this id"
            cells.refuse("prompt_id", prompt_id, Refusal(rule, f"give {holder} another id"))
        return prompt_id

    def _problem_of_malformed(self, row: int, record: MalformedRecord) -> Problem:
        refusal = Refusal(record.rule, record.fix)
        return self._problem(refusal, row=row, line=record.line, prompt_id=None, column="", value=record.value)


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for column, value in values.items():
        if "." not in column:
            given[column] = value
            continue
        *groups, name = column.split(".")
        part = given
        for group in groups:
            part = part.setdefault(group, {})
        part[name] = value
    return given
