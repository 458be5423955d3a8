"""Rows in one JSON object: each value is a row, and each key is its prompt or its id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wan_assets.models import normalized
from wan_assets.prompts.columns import PROMPT, meaning_of, normalized_name
from wan_assets.prompts.layout import COMMON_NAMES, KEY, KEY_TEXT, PROMPT_ID
from wan_assets.prompts.records import MalformedRecord, Record, unreadable

_FIX = "write an array of objects"
_ID_NAMES = frozenset(map(normalized_name, (PROMPT_ID, *COMMON_NAMES[PROMPT_ID])))
_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai and Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff\uff66-\uff9f"  # kana and Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # CJK ideographs
    "]"
)
"""Letters of scripts that are written without spaces between words."""


def records_of_keyed(file: object, found: Mapping[str, Any]) -> Iterator[Record | MalformedRecord]:
    """Yields the rows of an object; the column `key` has keys that are ids, unless each row repeats its key as its id,
    and the column `key_text` has keys that are texts, unless each row repeats its key in any field.

    Raises `PromptTableError` for an object that is one row, or that has one list for each column.
    """
    _refuse_one_row(file, found)
    name = KEY_TEXT if _are_texts(found) else KEY
    is_key_repeated = all(_repeats(key, row, is_id=name == KEY) for key, row in found.items())
    for key, row in found.items():
        if not isinstance(row, Mapping):
            yield MalformedRecord(None, row, f"the value of {key!r} is not a JSON object", _FIX)
        elif is_key_repeated or name in row:
            yield Record(None, tuple(row), tuple(row.values()))
        else:
            yield Record(None, (name, *row), (key, *row.values()))


def _refuse_one_row(file: object, found: Mapping[str, Any]) -> None:
    if not any(isinstance(row, Mapping) for row in found.values()):
        raise unreadable(file, f"does not contain a JSON array; {_FIX}")
    common = {name for names in COMMON_NAMES.values() for name in names}
    if columns := [key for key in found if meaning_of(key) == PROMPT or key in common]:
        reason = f"contains one object for each column, such as {columns[0]!r}"
        raise unreadable(file, f"{reason}; {_FIX} (to_json(orient='records') in pandas)")
    if not _may_have_prompts(found) and not _are_texts(found):
        raise unreadable(file, f"contains no prompts: neither its keys nor fields of its objects are prompts; {_FIX}")


def _may_have_prompts(found: Mapping[str, Any]) -> bool:
    """Returns whether any field may contain the prompt by its name, or as a text or nested value that is mapped."""
    fields = [field for row in found.values() if isinstance(row, Mapping) for field in row.items()]
    return any(isinstance(value, (str, list, dict)) or meaning_of(name) == PROMPT for name, value in fields)


def _are_texts(keys: Mapping[str, Any]) -> bool:
    return 3 * sum(map(_is_text, keys)) >= 2 * len(keys)


def _is_text(text: str) -> bool:
    """Returns whether a text is no identifier: it has several words, or a script that is written without spaces."""
    return any(char.isspace() for char in text.strip()) or _UNSPACED.search(text) is not None


def _repeats(key: str, row: Any, *, is_id: bool) -> bool:
    """Returns whether a row repeats its key: as its id if the key is one, otherwise in any field."""
    fields = row.items() if isinstance(row, Mapping) else ()
    values = (value for name, value in fields if not is_id or normalized_name(name) in _ID_NAMES)
    return any(isinstance(value, str) and normalized(value) == normalized(key) for value in values)
