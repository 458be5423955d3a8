"""Normalizes prompt texts, and detects texts without visible characters.

Spreadsheets, editors and operating systems write the same text in different ways. The normal form is submitted, and the
fingerprint is computed from it. A table that was only saved again therefore requests nothing new.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LINE_BREAK = re.compile("\r\n|[\r\x85\u2028\u2029]")
_LAYOUT = re.compile("[\u00ad\ufeff]")
"""The soft hyphen and the byte order mark. They describe layout and storage and are not part of the text."""

_SPACE_WITHOUT_BREAK = re.compile("[\u00a0\u2007\u202f]")
_ENDS = "\t\n \u1680\u180e\u205f\u2060\u3000" + "".join(map(chr, (*range(0x2000, 0x200C), 0x200E, 0x200F)))
"""Spaces of every width, and marks without width: zero-width space, word joiner and direction marks.

The zero-width joiner and variation selectors are kept, because emoji end with them.
"""

_LONGEST = 20_000
"""Longer texts are not normalized to NFC, because the time of NFC may grow with the square of the length. No prompt is
that long.
"""

_UNSEEN = re.compile(
    "["
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"  # ignorable by default
    "\U000e0000-\U000e0fff"  # tags and variation selectors, also those to come
    "\u2800\ufffc\U00016fe4\U0001d159"  # blanks
    "\ufdd0-\ufdef\ufffe\uffff"  # no characters
    "]"
)
"""Invisible characters in categories whose other characters are visible."""

_UNSEEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"))


def normalized(text: str) -> str:
    r"""Returns the normal form of a text: NFC, `\n` between lines, no spaces at the ends of text and lines.

    >>> normalized(" A cafe\u0301\r\nby the sea \ufeff")
    'A café\nby the sea'
    """
    text = _LINE_BREAK.sub("\n", _LAYOUT.sub("", text))
    lines = (line.rstrip(_ENDS) for line in _SPACE_WITHOUT_BREAK.sub(" ", text).split("\n"))
    text = "\n".join(lines).strip(_ENDS)
    return unicodedata.normalize("NFC", text) if len(text) <= _LONGEST else text


def is_visible(text: str) -> bool:
    r"""Whether a text contains a visible character.

    >>> [is_visible(text) for text in ("A kite", "\u200b", "\ufeff \u00ad", "\u3164", "")]
    [True, False, False, False, False]
    """
    return any(map(_is_seen, text))


def begin_visibly(texts: Iterable[str]) -> bool:
    """Whether the first characters of printable texts without spaces at their ends are all visible."""
    return not _UNSEEN.search("".join([text[:1] for text in texts]))


def code_points_of(text: str) -> str:
    """Returns the code points of the first few different characters of a text, such as `U+200B, U+FEFF`."""
    different = [f"U+{ord(char):04X}" for char in dict.fromkeys(text)]
    return ", ".join(different[:3]) + (", …" if len(different) > 3 else "")


def _is_seen(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN_CATEGORIES and not _UNSEEN.match(char)
