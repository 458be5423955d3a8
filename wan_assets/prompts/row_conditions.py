"""One condition on the value of a row in a column."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from wan_assets.errors import SelectionError
from wan_assets.models import PARAMETERS, VideoRequest, catalog, public_text
from wan_assets.prompts.columns import (
    FRAME_IMAGES,
    GENERATE_AUDIO,
    INPUT_AUDIO,
    MODEL_COLUMN,
    SETTINGS_COLUMN,
    known_column,
)
from wan_assets.prompts.layout import PROMPT_ID
from wan_assets.prompts.problems import Refusal, shortened
from wan_assets.prompts.prompt_row import PromptRow

_PROMPT_EXTEND = f"{SETTINGS_COLUMN}.prompt_extend"
_FORM = re.compile(r"\s*(?P<column>[^=]*?)\s*(?P<negation>!?)=(?P<values>.*)", re.DOTALL)
_EXPECTED = "COLUMN=VALUE[,VALUE…] or COLUMN!=VALUE[,VALUE…]"
_HIDDEN = "a value"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: the column of a row has one of the values or, if `excludes`, none of them.

    A column is a parameter, `prompt_id`, or a column that stays with the row. An empty value matches rows that have no
    value.
    """

    column: str
    values: tuple[str, ...]
    excludes: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """Reads `COLUMN=VALUE`, `COLUMN!=VALUE` or several values with commas; raises `SelectionError`.

        Values with commas are in quotation marks, as in CSV.

        >>> Condition.of("split!=train,test")
        Condition(column='split', values=('train', 'test'), excludes=True)
        """
        found = _FORM.fullmatch(text)
        if found is None or not found["column"]:
            raise SelectionError(f"{shortened(repr(text))} is not of the form {_EXPECTED}")
        try:
            values = next(csv.reader([found["values"]], skipinitialspace=True, strict=True), [])
        except csv.Error as error:
            raise SelectionError(f"{shortened(repr(text))}: {error}") from None
        given = tuple(dict.fromkeys(value.strip() for value in values)) or ("",)
        column = _column_of(found["column"])
        if column == MODEL_COLUMN:
            given = tuple(catalog().id_of(value) or value for value in given)
        if _is_hidden(column) and given != ("",):
            reason = "may contain secrets, so that only an empty or any value can be selected"
            raise SelectionError(f"the column {column} {reason}: write '{column}=' or '{column}!='")
        return cls(column, given, bool(found["negation"]))

    def matches(self, row: PromptRow) -> bool:
        """Whether a row fulfils the condition."""
        return (self.value_in(row) in self.values) is not self.excludes

    def value_in(self, row: PromptRow) -> str:
        """Returns the value of a row in the column without spaces at its ends, which conditions do not have either, or
        the given value that it equals in lower case.
        """
        text = value_of(row, self.column).strip()
        if _is_hidden(self.column):
            return _HIDDEN if text else ""
        if text in self.values or not _is_word(self.column):
            return text
        return next((value for value in self.values if value.casefold() == text.casefold()), text)

    def __str__(self) -> str:
        values = (public_text(f'"{value}"' if "," in value else value) for value in self.values)
        return f"{self.column}{'!' if self.excludes else ''}={','.join(values)}"


def value_of(row: PromptRow, column: str) -> str:
    """Returns the value of a row in a column as text: of a parameter the value that applies, empty if there is none."""
    if column == PROMPT_ID:
        return row.prompt_id
    if column not in PARAMETERS:
        return row.extra.get(column, "")
    value = _EFFECTIVE[column](row.request) if column in _EFFECTIVE else _parameter(row.request, column)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _parameter(request: VideoRequest, column: str) -> Any:
    value: Any = request
    for name in column.split("."):
        value = getattr(value, name, None)
    return value


def _is_enabled(column: str) -> Callable[[VideoRequest], bool]:
    return lambda request: _parameter(request, column) is not False


_EFFECTIVE: Mapping[str, Callable[[VideoRequest], Any]] = {
    "resolution": lambda request: request.tier,
    FRAME_IMAGES: lambda request: request.image,
    f"{FRAME_IMAGES}.image": lambda request: request.image,
    INPUT_AUDIO: lambda request: request.audio,
    GENERATE_AUDIO: _is_enabled(GENERATE_AUDIO),
    _PROMPT_EXTEND: _is_enabled(_PROMPT_EXTEND),
}
"""The parameters whose value is not the text of one field, or that the API sets if it is missing."""


def _column_of(name: str) -> str:
    """Returns the canonical name of a column; raises `SelectionError` for a name that means several parameters."""
    found = known_column(name)
    if isinstance(found, Refusal):
        raise SelectionError(f"the column {shortened(name)} {found.rule}")
    return name if found is None else found.name


def _is_hidden(column: str) -> bool:
    """Whether the values of a column are URLs, files or data, which may contain secrets."""
    found = known_column(column)
    return not isinstance(found, Refusal) and found is not None and found.kind in ("media", "url")


def _is_word(column: str) -> bool:
    """Whether the values of a column are words or numbers, whose case has no meaning."""
    found = known_column(column)
    return not isinstance(found, Refusal) and found is not None and found.kind == "word"
