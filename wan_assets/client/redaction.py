"""Removes secrets from text of the API: the private parts of every URL, and known secrets in any encoding."""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from wan_assets.errors import ApiFault, RunwareError, WrongAddressError
from wan_assets.models import DESTINATION_FIELDS

_HIDDEN = "[hidden]"
_ALL_HIDDEN = "[hidden: the text repeats a secret]"
_PIECE_LENGTH = 8
"""This many consecutive characters of a secret are never shown. Ordinary words are rarely that long and part of a
secret."""

_MIN_LENGTH = 5
"""A password shorter than `_PIECE_LENGTH` is hidden as a whole. A password shorter than this is not searched for,
because it would be found in ordinary words."""

_MAX_ADDRESSES = 2048
_DECODINGS = 5
_MAX_CHARACTERS = 4000

_UNREDACTED_KEYS = frozenset({"videoURL", "taskType"})
"""The address of a result is kept unchanged, because it is downloaded. Code that stores or shows it removes its
secrets."""

_STATUS_WORDS = frozenset({"success", "processing", "completed", "error", "queued", "pending"})
"""Frequent values that need no search for secrets."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UUID_IN_ANY_FORM = re.compile(r"(?:urn:uuid:)?\{?[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\}?", re.IGNORECASE)
_ESCAPE = re.compile(r"\\+(?:u(?:0000)?([0-9a-f]{4})|x([0-9a-f]{2}))", re.IGNORECASE)
_INVISIBLE = re.compile(r"[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_WORDS = re.compile(r"([\s\"'<>|]+)")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<place>[^/?#\s]*)(?P<rest>\S*)")
_ENCODED_URL = re.compile(r"[a-z][a-z0-9+.-]*:/{2,}|^//")
_BARE_URL = re.compile(r"(?<![\w.:/-])(?P<host>(?:[\w-]+\.)+[A-Za-z]{2,}(?::\d+)?)/[^\s…]+")
_BARE_PATH = re.compile(r"(?<![\w.:/…-])/[^\s/]+/[^\s]{8,}")
_LOGIN = re.compile(r"[^\s/:@]+:[^\s@]+@(?=[A-Za-z\[])")
_PAIR = re.compile(
    r"((?:x-(?:amz|goog|ms)-[\w-]+|\w*(?:sig|signature|token|secret|passw(?:or)?d|pwd|api[_-]?key|key|auth|credential)"
    r"|authorization|bearer)(?:=|%(?:25)*3d|\\u003d))[^&\s,;]+",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"[A-Za-z0-9+/=_~-]{20,}")
_DIGITS_OF_RANDOM = 3
_HOST = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d*)?")
_OUR_HOST = re.compile(r"(?:[\w-]+\.)*runware\.ai(?::\d+)?", re.IGNORECASE)

E = TypeVar("E", bound=RunwareError)


class Redaction:
    """Removes secrets from text. `secrets` are hidden permanently; the private parts of addresses only while these are
    recent.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = {part for secret in secrets if secret for part in _parts_of(secret)}
        self._addresses: OrderedDict[tuple[str, bool], None] = OrderedDict()
        self._known = ""
        self._short: tuple[str, ...] = ()
        self._is_stale = True

    def hide(self, address: str, *, is_destination: bool) -> None:
        """Hides the private parts of an address. For a destination, its path is private too."""
        if "://" not in address:
            return
        key = (address, is_destination)
        self._is_stale = self._is_stale or key not in self._addresses
        self._addresses[key] = None
        self._addresses.move_to_end(key)
        if len(self._addresses) > _MAX_ADDRESSES:
            self._addresses.popitem(last=False)

    def hide_task(self, task: Mapping[str, Any]) -> None:
        """Hides the private parts of the addresses in a task."""
        for name in DESTINATION_FIELDS:
            if isinstance(address := task.get(name), str):
                self.hide(address, is_destination=True)
        for address in _texts_in(task.get("inputs")):
            self.hide(address, is_destination=False)

    def text(self, value: str) -> str:
        """Returns a text without secrets."""
        value = value if len(value) <= _MAX_CHARACTERS else f"{value[:_MAX_CHARACTERS]}…"
        parts = [part if number % 2 else self._word(part) for number, part in enumerate(_WORDS.split(value))]
        found = "".join(parts)
        return _ALL_HIDDEN if self._repeats(found) else found

    def value(self, value: Any) -> Any:
        """Returns a JSON value without secrets; addresses of results stay unchanged."""
        if isinstance(value, str):
            return value if value in _STATUS_WORDS or self._is_name(value) else self.text(value)
        if isinstance(value, Mapping):
            return {
                name if str(name).isalpha() else self.value(name): part
                if name in _UNREDACTED_KEYS
                else self.value(part)
                for name, part in value.items()
            }
        return [self.value(part) for part in value] if isinstance(value, (list, tuple)) else value

    def fault(self, fault: ApiFault) -> ApiFault:
        """Returns a fault without secrets."""
        parameter = fault.parameter
        return replace(
            fault,
            code=self.value(fault.code),
            message=self.text(fault.message),
            parameter=tuple(map(self.value, parameter)) if isinstance(parameter, tuple) else self.value(parameter),
            task_uuid=self.value(fault.task_uuid),
            allowed_values=tuple(map(self.value, fault.allowed_values)),
            detail=self.value(fault.detail),
        )

    def error(self, error: E) -> E:
        """Returns an error without secrets. The error of a wrong address is unchanged, because it must name the
        address.
        """
        return error if isinstance(error, WrongAddressError) else type(error)(self.fault(error.fault))

    def _is_name(self, value: str) -> bool:
        """Whether a value is a UUID. A UUID without dashes may also be a key."""
        if _UUID.fullmatch(value):
            return True
        return bool(_UUID_IN_ANY_FORM.fullmatch(value.strip())) and not self._repeats(value)

    def _word(self, word: str) -> str:
        if len(word) < _MIN_LENGTH or _UUID.fullmatch(word):
            return word
        shown = _public_word(word)
        if not self._repeats(shown):
            return shown
        host = _URL.match(word)
        place = f"{host['scheme']}://{host['place'].rpartition('@')[2]}/" if host else ""
        return f"{'' if self._repeats(place) else place}{_HIDDEN}"

    def _repeats(self, value: str) -> bool:
        """Whether a text contains a piece of a known secret."""
        if self._is_stale:
            self._rebuild()
        plain = _plain(value)
        pieces = {plain[start : start + _PIECE_LENGTH] for start in range(len(plain) - _PIECE_LENGTH + 1)}
        return any(piece in self._known for piece in pieces) or any(short in plain for short in self._short)

    def _rebuild(self) -> None:
        secrets = set(self._secrets)
        for address, is_destination in self._addresses:
            secrets.update(_secrets_in(address, is_destination=is_destination))
        plain = {_plain(secret) for secret in secrets}
        self._short = tuple(secret for secret in plain if _MIN_LENGTH <= len(secret) < _PIECE_LENGTH)
        self._known = "\0".join(
            form for secret in secrets if len(secret) >= _PIECE_LENGTH for form in _forms_of(secret)
        )
        self._is_stale = False


def _public_word(word: str) -> str:
    """Returns a word without parts that are usually secret: URLs keep their scheme and host, and pairs keep their
    name.
    """
    if _URL.search(word):
        word = _URL.sub(_public_url, word)
    elif _ENCODED_URL.search(_plain(word)):
        return _HIDDEN
    word = _BARE_PATH.sub("/…", _BARE_URL.sub(_public_bare_url, word))
    word = _PAIR.sub(rf"\1{_HIDDEN}", _LOGIN.sub(f"{_HIDDEN}@", word))
    return _RANDOM.sub(lambda found: _HIDDEN if _is_random(found[0]) else found[0], word)


def _public_url(found: re.Match[str]) -> str:
    host = found["place"].rpartition("@")[2]
    if not _HOST.fullmatch(host):
        return f"{found['scheme']}://{_HIDDEN}"
    path = re.split(r"[?&\\]|%(?:25)*3f|[;#]", found["rest"], maxsplit=1, flags=re.IGNORECASE)[0]
    if _OUR_HOST.fullmatch(host) and "%" not in path:
        return f"{found['scheme']}://{host}{path}"
    return f"{found['scheme']}://{host}{'/…' if found['rest'] not in ('', '/') else found['rest']}"


def _public_bare_url(found: re.Match[str]) -> str:
    return found[0].partition("?")[0] if _OUR_HOST.fullmatch(found["host"]) else f"{found['host']}/…"


def _is_random(text: str) -> bool:
    """Whether a run of letters and digits is not a name: UUIDs have dashes, and names have few digits."""
    if _UUID.search(text):
        return False
    run = max(re.split(r"[-/]", text), key=len)
    return len(run) >= _PIECE_LENGTH * 2 and sum(map(str.isdigit, run)) >= _DIGITS_OF_RANDOM


def _parts_of(secret: str) -> set[str]:
    return _secrets_in(secret, is_destination=True) if "://" in secret else {secret}


def _secrets_in(address: str, *, is_destination: bool) -> set[str]:
    """Returns the private parts of an address: user and password, query, fragment, and for a destination the path."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return {address.partition("://")[2]}
    login, _, _ = parts.netloc.rpartition("@")
    _, _, password = login.partition(":")
    values = {
        value
        for pair in re.split("[&;]", parts.query)
        for value in pair.partition("=")[2:]
        if len(value) >= _PIECE_LENGTH
    }
    path = parts.path.strip("/") if is_destination else ""
    found = {login, password, path, parts.query, parts.fragment, *values}
    return {secret for secret in found if secret}


@lru_cache(maxsize=_MAX_ADDRESSES)
def _forms_of(secret: str) -> tuple[str, ...]:
    """Returns the encodings of a secret: plain, with a plus for spaces, in base64 and in hexadecimal."""
    plain = _plain(secret)
    found = [plain, plain.replace(" ", "+"), plain.replace("+", " ")]
    for text in {secret, unquote(secret), quote(secret, safe="")}:
        content = text.encode("utf-8", "replace")
        found.append(content.hex())
        for skipped in range(3):
            encoded = base64.b64encode(content[skipped:])[: (len(content) - skipped) * 4 // 3].decode().casefold()
            found += [encoded, encoded.replace("+", "-").replace("/", "_")]
    return tuple(dict.fromkeys(form for form in found if len(form) >= _PIECE_LENGTH))


def _plain(text: str) -> str:
    """Returns a text with all encodings undone: percent, JSON, HTML, wide letters, invisible characters and case."""
    for _ in range(_DECODINGS):
        before = text
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
        text = _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text).replace("\\/", "/")
        text = html.unescape(unquote(text)) if "%" in text or "&" in text else text
        if text == before:
            break
    return text.casefold()


def _texts_in(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts_in(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts_in(part)
