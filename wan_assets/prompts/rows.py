"""Validation of records: each becomes a row with an id, or a list of all its problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from wan_assets.models import VideoRequest, violations_of
from wan_assets.prompts.cells import Cells, cells_of, resolve_media
from wan_assets.prompts.column_use import ColumnUse
from wan_assets.prompts.columns import PRIORITY, PROMPT
from wan_assets.prompts.defaults import CONFLICTING_COLUMNS, nested
from wan_assets.prompts.identity import PromptIds, text_of_id, violations_of_id
from wan_assets.prompts.layout import Layout, Layouts, missing_prompt
from wan_assets.prompts.local_media import LocalMedia
from wan_assets.prompts.problems import Problem, Refusal
from wan_assets.prompts.records import MalformedRecord, Record
from wan_assets.prompts.url_rules import violations_of_urls

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
        file: str = "",
    ) -> None:
        self._has_header = has_header
        self._given_defaults = defaults
        conflicting = {name: CONFLICTING_COLUMNS.get(name, frozenset()) for name in defaults}
        self._defaults = tuple((name, value, conflicting[name]) for name, value in defaults.items())
        self._media = media
        self._ids = ids
        self._problem = partial(Problem.of, file=file)
        self._file = file
        self._layouts = layouts

    def check_sources(self, records: Sequence[Record | MalformedRecord]) -> None:
        """Raises `PromptTableError` if the first records do not have the columns that are mapped."""
        found = [(record.names, record.values) for record in records if isinstance(record, Record)]
        if found:
            self._layouts.check_sources(found)

    @property
    def use(self) -> ColumnUse:
        """The columns of all records so far."""
        return self._layouts.use(self._given_defaults)

    def problems_of_header(self, names: tuple[str, ...]) -> Iterator[Problem]:
        """Yields the problems of the header, once for all rows."""
        layout = self._layouts.of(names)
        for index, name, refusal in layout.refused:
            column = name or f"number {index + 1}"
            yield self._problem(refusal, row=None, line=None, prompt_id=None, column=column, value=None)
        if not self._gives_prompts(layout) and not layout.is_ambiguous:
            refusal = missing_prompt(names)
            yield self._problem(refusal, row=None, line=None, prompt_id=None, column=PROMPT, value=None)

    def read(self, number: int, record: Record | MalformedRecord) -> PromptRow | list[Problem]:
        """Returns the row of a record, or all its problems."""
        if isinstance(record, MalformedRecord):
            return [self._problem_of_malformed(number, record)]
        layout = self._layouts.of(record.names)
        cells = cells_of(layout, record.values)
        if not self._has_header:
            for index, name, refusal in layout.refused:
                cells.refuse(name, record.values[index], refusal)
        request = self._request(layout, cells, record.names)
        prompt_id = self._id(number, cells, request)
        if request is None or prompt_id is None or cells.findings:
            problem = partial(self._problem, row=number, line=record.line, prompt_id=prompt_id)
            return [problem(why, column=column, value=value) for column, value, why in cells.findings]
        return PromptRow(number, prompt_id, request, cells.extra, record.line, self._file)

    def _gives_prompts(self, layout: Layout) -> bool:
        return layout.has(PROMPT) or any(name == PROMPT for name, _, _ in self._defaults)

    def _request(self, layout: Layout, cells: Cells, names: tuple[str, ...]) -> VideoRequest | None:
        if self._defaults:
            columns = cells.values.keys()
            applied = [(name, value) for name, value, conflicting in self._defaults if not conflicting & columns]
            cells.values = {**dict(applied), **cells.values}
        resolve_media(cells, self._media)
        given = nested(cells.values)
        try:
            request = VideoRequest.model_validate(given)
        except ValidationError as error:
            has_prompts = self._gives_prompts(layout)
            for violation in violations_of(error, given):
                if has_prompts or violation.column != PROMPT:
                    cells.refuse(violation.column, violation.value, Refusal(violation.rule, violation.fix))
                elif not self._has_header and not layout.is_ambiguous:
                    cells.refuse(PROMPT, None, missing_prompt(names))
            return None
        for column, value, refusal in violations_of_urls(request):
            cells.refuse(column, value, refusal)
        return request

    def _id(self, number: int, cells: Cells, request: VideoRequest | None) -> str | None:
        if cells.prompt_id is None:
            return self._derived_id(number, cells, request) if request and not cells.findings else None
        prompt_id = text_of_id(cells.prompt_id)
        if prompt_id is None:
            self._refuse_id(cells, cells.prompt_id, Refusal("must be text or a whole number", "write it as text"))
            return None
        if broken := list(violations_of_id(prompt_id)):
            for refusal in broken:
                self._refuse_id(cells, prompt_id, refusal)
            return None
        if holder := self._ids.claim(prompt_id, number):
            refusal = Refusal(f"is already the id of {holder}", "give each row its own id")
            self._refuse_id(cells, prompt_id, refusal)
        return prompt_id

    def _refuse_id(self, cells: Cells, value: Any, refusal: Refusal) -> None:
        """Refuses an id; a column that was recognized as the id may be another column of the table."""
        name = self._layouts.common_name_of_id
        other = f"; if the column {name} is not the id, map x_{name}={name}, and ids are derived" if name else ""
        cells.refuse("prompt_id", value, Refusal(refusal.rule, f"{refusal.fix}{other}"))

    def _derived_id(self, number: int, cells: Cells, request: VideoRequest) -> str:
        prompt_id, holder = self._ids.derive(request.fingerprint(), number)
        if holder:
            rule = f"is derived from the row's content, but {holder} has this id"
            cells.refuse("prompt_id", prompt_id, Refusal(rule, f"give {holder} another id"))
        return prompt_id

    def _problem_of_malformed(self, row: int, record: MalformedRecord) -> Problem:
        refusal = Refusal(record.rule, record.fix)
        return self._problem(refusal, row=row, line=record.line, prompt_id=None, column="", value=record.value)
