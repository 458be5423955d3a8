"""Validates single values of parameters."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import urlsplit

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from wan_assets.models.prompt_text import code_points_of, is_visible, normalized

AS_RECORDED = {"as_recorded": True}
"""The validation context that accepts texts as an older release submitted them."""

AUTO = "auto"
"""A duration that the model chooses."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_UUID4 = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}")
_WRITTEN_UUID = re.compile(
    r"\s*(?:urn:)?(?:uuid:)?[{(\"']?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})[})\"']?\s*",
    re.IGNORECASE | re.ASCII,
)
_LONGEST_UUID = 100
_BASE64 = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")
_UPLOAD = re.compile(r"sha256:[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def number(value: Any) -> Any:
    """Converts 5, 5.0, "5" and "5.0" to 5; rejects booleans, fractions and NaN."""
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}(\.0*)?\s*", value):
        return int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse("whole_number", "must be a whole number", "write it in digits, such as 5")
    return value


def upper(value: Any) -> Any:
    """Converts `mp4` to `MP4`."""
    return value.upper() if isinstance(value, str) else value


def text(value: str) -> str:
    """Rejects control characters and halves of surrogate pairs."""
    if found := _CONTROL.search(value):
        _refuse("text", f"contains the character U+{ord(found[0]):04X}, which is not text", "remove it")
    return value


def has_control_character(value: str) -> bool:
    """Whether `text` rejects a text."""
    return _CONTROL.search(value) is not None


def prompt(value: Any, info: ValidationInfo) -> Any:
    """Returns the normal form of a text, to which the length limits apply; rejects a text without visible
    characters, and bytes, which would be compared as they are.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        _refuse("text", "must be text, not bytes", "decode it, such as with .decode('utf-8')")
    if not isinstance(value, str) or info.context == AS_RECORDED:
        return value
    text(value)
    if value and not is_visible(value):
        rule = f"contains no visible character, only {code_points_of(value)}"
        _refuse("visible", rule, "write a visible text, or leave it out")
    return normalized(value)


def frame(value: Any) -> Any:
    """Converts the texts "0" and "-1" to numbers; rejects booleans, which Python treats as numbers."""
    if isinstance(value, bool):
        _refuse("frame", "must be 'first' or 0", "use 'first'")
    known = (number for number in (0, -1) if value in (number, str(number)))
    return next(known, value)


def duration(value: Any) -> Any:
    """Converts a duration to a whole number, and `AUTO` to `auto`."""
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    return number(value)


def uuid4(value: str) -> str:
    """Requires a UUID of version 4."""
    if not _UUID4.fullmatch(value):
        _refuse("uuid4", "must be a UUID of version 4", f"write one such as {uuid.UUID(int=1 << 127, version=4)}")
    return value


def uuid_in(value: Any) -> str | None:
    """Returns a UUID in canonical form, from any written form; None if the value is not a UUID.

    >>> uuid_in(" {5F0C1C9E6A5E4C539F5A3B1D4C3B2A10} ")
    '5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10'
    """
    found = _WRITTEN_UUID.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST_UUID else None
    return str(uuid.UUID("".join(found.groups()))) if found else None


def http_url(value: str) -> str:
    """Requires an absolute http or https URL with a host."""
    if not _is_url(value):
        _refuse("url", "must be an http or https URL", "write the full URL, such as https://example.com/path")
    return value


def image(value: str) -> str:
    """Requires a UUID, URL, data URI or base64; `sha256:…` refers to a local file that is uploaded first."""
    is_inline = value.startswith("data:image/") and ";base64," in value[:64]
    if not (is_inline or _is_reference(value) or _BASE64.fullmatch(value)):
        _refuse("image", "is neither a UUID, a URL, a data URI nor base64", "name an existing image")
    return value


def audio(value: str) -> str:
    """Requires a UUID or a URL; `sha256:…` refers to a local file that is uploaded first."""
    return _reference_to(value, "audio", "an existing audio file")


def video(value: str) -> str:
    """As `audio`."""
    return _reference_to(value, "video", "an existing video file")


def document(value: str) -> str:
    """As `audio`."""
    return _reference_to(value, "document", "an existing document")


def closest_name(name: str, known: Iterable[str], maximum: int | None = None) -> str | None:
    """Returns the known name that is closest to a mistyped name, with at most `maximum` typing errors, by default one
    per three letters; else None.

    >>> closest_name("lenght", ["height", "length"])
    'length'
    """
    written = name.lower()
    maximum = max(1, len(written) // 3) if maximum is None else maximum
    alike = (candidate for candidate in known if abs(len(candidate) - len(written)) <= maximum)
    slips = {candidate: _edits_between(written, candidate.lower()) for candidate in alike}
    found = min(slips, key=lambda candidate: slips[candidate], default=None)
    return found if found is not None and slips[found] <= maximum else None


def _edits_between(one: str, other: str) -> int:
    """Counts the letters that are missing, added, replaced, or swapped with their neighbour in one of two names."""
    before, last = list[int](), list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, its in enumerate(other, 1):
            now.append(min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != its)))
            is_swapped = row > 1 and column > 1 and (letter, one[row - 2]) == (other[column - 2], its)
            if is_swapped:
                now[-1] = min(now[-1], before[column - 2] + 1)
        before, last = last, now
    return last[-1]


def _reference_to(value: str, kind: str, noun: str) -> str:
    if not _is_reference(value):
        _refuse(kind, "is neither a UUID nor a URL", f"name {noun}")
    return value


def _is_reference(value: str) -> bool:
    return bool(_UUID.fullmatch(value) or _UPLOAD.fullmatch(value)) or _is_url(value)


def _is_url(value: str) -> bool:
    try:
        url = urlsplit(value)
        return url.scheme in ("http", "https") and bool(url.hostname) and not re.search(r"\s", value)
    except ValueError:
        return False


def error_of(kind: str, rule: str, fix: str) -> PydanticCustomError:
    """Returns the error of a broken rule, with its fix."""
    return PydanticCustomError(kind, "{rule}", {"rule": rule, "fix": fix})


def _refuse(kind: str, rule: str, fix: str) -> NoReturn:
    raise error_of(kind, rule, fix)
