"""Detection of text files by the shape of most lines: table rows, a list, numbers, subtitles or an e-mail.

A single line is not enough, because prompts contain commas, dashes, colons and numbers.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from wan_assets.prompts.columns import PROMPT


class Lookalike(NamedTuple):
    """A description of a file or line that is not a prompt, and the fix."""

    description: str
    fix: str
    suffixes: tuple[str, ...] = ()
    """The ends of the names with which the file is a table."""


FIX_SAVE_AS_CSV = "save the table as CSV UTF-8, with a name that ends in .csv"
FIX_PLAIN_LIST = "use a file with one prompt per line and nothing else"
TABLES = {
    "\t": Lookalike("a tab-separated table", "rename it to end in .tsv"),
    ",": Lookalike("a CSV table", "rename it to end in .csv"),
    ";": Lookalike("a table with semicolons", f"{FIX_SAVE_AS_CSV}, with commas between cells"),
    "|": Lookalike("a table with bars", f"{FIX_SAVE_AS_CSV}, with commas between cells"),
}
_AS_CELLS = f"if each line is one prompt, put the lines in a CSV file below the header {PROMPT}"
_SUBTITLES = Lookalike("subtitles", FIX_PLAIN_LIST)
_TRANSCRIPT = Lookalike("a transcript, a chat or a log", FIX_PLAIN_LIST)
_MAIL = Lookalike("an e-mail", FIX_PLAIN_LIST)
_NUMBERS = Lookalike("numbers without text", f"{FIX_PLAIN_LIST}; {_AS_CELLS}")
_BULLETS = Lookalike("a list with bullets", "remove the bullets: each line is submitted as it is written")
_NUMBERED = Lookalike("a numbered list", "remove the numbers: each line is submitted as it is written")

_RESOLUTIONS = ("480p", "720p", "1080p")
_TIME = r"(\d{1,2}:)?\d{1,2}:\d\d([.,]\d{1,3})?"
_TIMING = re.compile(rf"{_TIME}\s*(-->|,)\s*{_TIME}\b")
_TIME_ALONE = re.compile(rf"[\[(]?{_TIME}[\])]?$")
_STAMP = re.compile(rf"[\[(]{_TIME}[\])]|\[?\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}},? {_TIME}\b")
_FRAMES = re.compile(r"\{\d+\}\{\d+\}")
_NUMBER = re.compile(r"(?=.*\d)[\d\s!-/:-@\[-`{-~eExX\u2212\u2013\xd7\xb0\u20ac\xa3\xa5]+$")
_BULLET = re.compile(
    r"([-*+>\u2212\u2013\u2014\xbb\u2192\u21d2]\s+|-(?=[^\W\d])"
    r"|[\u2022\u2023\u2043\u2219\xb7\u25a0-\u25b7\u25ba\u25c6\u25c7\u25cb\u25cf\u25e6\u2610-\u2612\u2705\u2713\u2714"
    r"\u2794\u279c\u27a4\u30fb]\ufe0f?\s*)(?=\S)"
)
_ITEM_NUMBER = re.compile(
    r"([(\[\uff08]?(\d{1,3}|0\d{3})\s?[.)\]:\u3001\u3002\uff0e\uff09\uff1a](?!\d)\s*"
    r"|\d{1,3}\s+[-\u2013\u2014]\s+"
    r"|\d\ufe0f?\u20e3\s*"
    r"|[\u2460-\u24ff\u2776-\u2793]\s*"
    r"|[(\uff08]?[\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341]{1,3}[\u3001)\uff09.\uff0e]\s*"
    r"|(?i:prompt)\s*#?\d+\s*[.):\uff1a\u2013-]\s*)(?=\S)"
)
_ITEM_LETTER = re.compile(r"\(?([a-z]|[ivx]{1,5})[.)]\s+(?=\S)", re.IGNORECASE)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_MAIL_FIELD = re.compile(
    r"(?i)(from|to|cc|bcc|subject|date|sent|received|reply-to|return-path|delivered-to|message-id|mime-version"
    r"|content-type|content-transfer-encoding|von|an|gesendet|betreff"
    r"|\u53d1\u4ef6\u4eba|\u6536\u4ef6\u4eba|\u4e3b\u9898)\s?(:(\s|$)|\uff1a)"
)
_MAIL_HEAD = 8
_BRACKETS = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]|<[^<>]*>|\([^()]*\)")
_BAR = re.compile(r"[|\u2502\u2503\xa6]")
_RULE = re.compile(r"[-+=:|\s\u2500\u253c\u2550\u256a]+$")
_TABLE_JOINTS = frozenset("+|\u253c\u256a")
_CODE = re.compile(r"(?=[^\d_]*[\d_])[\w./-]+$")
_QUOTED = re.compile(r"([^\s\",]*,)*\"([^\"]|\"\")*\",\S|([^\s\",]+,)+\"")


def shape_of(lines: Sequence[str]) -> Lookalike | None:
    """Identifies the shape of most of these stripped lines; None if they may be prompts."""
    return next(filter(None, (look(lines) for look in _SHAPES)), None)


def cells_in(line: str, delimiter: str) -> list[str]:
    """Splits a CSV line into cells; returns an empty list if the line is malformed."""
    with suppress(csv.Error):
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    return []


def _are_most(count: int, lines: Sequence[str]) -> bool:
    return count > 0 and 2 * len(lines) <= 3 * count


def _most_match(pattern: re.Pattern[str], lines: Sequence[str]) -> bool:
    return _are_most(sum(1 for line in lines if pattern.match(line)), lines)


def _as_subtitles(lines: Sequence[str]) -> Lookalike | None:
    timings = sum(1 for line in lines if _TIMING.match(line))
    is_begun = any(_TIMING.match(line) for line in lines[: 2 if lines[0].isdecimal() else 1])
    if is_begun or timings > 1 or lines[0] == "[Script Info]" or _most_match(_FRAMES, lines):
        return _SUBTITLES
    times = sum(1 for line in lines if _TIME_ALONE.match(line))
    if (times > 1 and 3 * times >= len(lines)) or (len(lines) > 1 and _most_match(_STAMP, lines)):
        return _TRANSCRIPT
    return None


def _as_mail(lines: Sequence[str]) -> Lookalike | None:
    fields = [found[1].lower() for found in map(_MAIL_FIELD.match, lines[:_MAIL_HEAD]) if found]
    is_box = re.match(r"From \S+ .*\d\d:\d\d:\d\d", lines[0])
    return _MAIL if is_box or (_MAIL_FIELD.match(lines[0]) and len(set(fields)) > 1) else None


def _as_tabs(lines: Sequence[str]) -> Lookalike | None:
    count = sum(1 for line in lines if "\t" in line)
    return _without_header("\t") if count > 1 and _are_most(count, lines) else None


def _as_delimited(lines: Sequence[str]) -> Lookalike | None:
    """Checks for rows: no spaces after the delimiter, and numbers, resolutions or quotes. Prose has spaces."""
    if any(re.search(r"\d,\d{3}\b", line) for line in lines):
        return None
    for delimiter in ",;":
        rows = _even([cells_in(line, delimiter) for line in lines])
        is_tight = not any(cell[:1] == " " for row in rows for cell in row)
        if rows and is_tight and (_are_values(rows, 0) or _are_values(rows, -1)):
            return _without_header(delimiter)
    rows = _even([cells_in(line, ",") if _QUOTED.match(line) else [] for line in lines])
    return _without_header(",") if rows else None


def _as_bars(lines: Sequence[str]) -> Lookalike | None:
    rows = _even([_between_bars(line) for line in lines])
    if any(_RULE.match(line) and _TABLE_JOINTS & set(line) for line in lines[:3]) and any(
        len(_between_bars(line)) > 1 for line in lines
    ):
        return TABLES["|"]
    if not rows:
        return None
    is_table = len(rows[0]) > 2 or any(all(_CODE.match(row[column]) for row in rows) for column in (0, 1))
    found = _without_header("|")
    return found._replace(fix=f"{found.fix}; {_AS_CELLS}") if is_table else None


def _between_bars(line: str) -> list[str]:
    """Ignores bars inside brackets, which are choices and weights of a prompt."""
    return [cell.strip() for cell in _BAR.split(_BRACKETS.sub("()", line).strip("|\u2502\u2503 "))]


def _even(rows: Sequence[list[str]]) -> list[list[str]]:
    """Returns the rows with the most common number of cells, or none if most rows differ."""
    ((width, count),) = Counter(map(len, rows)).most_common(1)
    is_table = width > 1 and count > 1 and 2 * len(rows) <= 3 * count
    return [row for row in rows if len(row) == width] if is_table else []


def _are_values(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(row[column].isdecimal() for row in rows) or all(row[column] in _RESOLUTIONS for row in rows)


def _without_header(delimiter: str) -> Lookalike:
    table = TABLES[delimiter]
    return Lookalike(f"{table.description} without a header", f"add a header, and {table.fix}")


def _as_numbers(lines: Sequence[str]) -> Lookalike | None:
    return _NUMBERS if _most_match(_NUMBER, lines) else None


def _as_list(lines: Sequence[str]) -> Lookalike | None:
    if _most_match(_BULLET, lines):
        return _BULLETS
    return _NUMBERED if _most_match(_ITEM_NUMBER, lines) or _are_lettered(lines) else None


def _are_lettered(lines: Sequence[str]) -> bool:
    marks = [found[1].lower() for found in map(_ITEM_LETTER.match, lines) if found]
    if len(marks) < 2 or not _are_most(len(marks), lines):
        return False
    is_roman = tuple(marks[: len(_ROMAN)]) == _ROMAN[: len(marks)]
    return is_roman or all(len(mark) == 1 and ord(mark) + 1 == ord(after[0]) for mark, after in pairwise(marks))


_SHAPES: tuple[Callable[[Sequence[str]], Lookalike | None], ...] = (
    _as_subtitles,
    _as_mail,
    _as_tabs,
    _as_delimited,
    _as_bars,
    _as_numbers,
    _as_list,
)
