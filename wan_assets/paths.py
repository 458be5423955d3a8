"""Configured paths: variables and `~` are expanded, and what cannot be meant as a path is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from wan_assets.errors import WanAssetsError

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<braced>[^{}]*)\}|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<open>\{))")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(file|sqlite|postgres(ql)?|https?|s3a?|gc?s|az|abfss?):", re.IGNORECASE)
_QUOTES = "\"'"


class PathError(WanAssetsError):
    """A configured path or URL cannot be what is meant."""

    advice = "Correct the path where it is configured, then run again; nothing was sent."
    is_worth_repeating = False


def expanded(
    text: str, name: str, environment: Mapping[str, str] = os.environ, *, written: Callable[[str], str] = str
) -> str:
    """A path or URL with `$NAME`, `${NAME}` and a leading `~` replaced; `$$` is a dollar sign.

    `name` is what the path configures, for messages. `written` is how a value is written into the text. Raises
    `PathError` for what is empty, unknown or unprintable.
    """
    path = cleaned(text, name)

    def value_of(found: re.Match[str]) -> str:
        if found["dollar"]:
            return written("$")
        if found["open"]:
            raise PathError(f"{name} has a ${{ without its }}: write $$ for a dollar sign")
        variable = found["braced"] if found["name"] is None else found["name"]
        if not environment.get(variable, ""):
            raise PathError(f"{name} names ${{{variable}}}, which is not set: write $$ for a dollar sign")
        return written(environment[variable])

    replaced = cleaned(_VARIABLE.sub(value_of, path), name)
    return at_home(replaced, name) if path.startswith("~") else replaced


def cleaned(text: str, name: str) -> str:
    """A text without the blanks around it; raises `PathError` for what is empty, quoted or unprintable."""
    path = text.strip()
    if not path:
        raise PathError(f"{name} is empty")
    if found := _UNPRINTABLE.search(path):
        raise PathError(f"{name} holds the character U+{ord(found[0]):04X}, which no path has")
    if path[0] in _QUOTES and path[-1] == path[0]:
        raise PathError(f"{name} is in quotation marks: remove them")
    return path


def at_home(path: str, name: str) -> str:
    """A path with the home folder in the place of a leading `~` or `~user`; raises `PathError` for an unknown user."""
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        user = path.partition("/")[0]
        raise PathError(f"{name} begins with {user}, whose home folder is not known: write ./~ for a folder") from None


def escaped(path: str | os.PathLike[str]) -> str:
    """A path written so that `expanded` gives it back; it is to be absolute."""
    return str(path).replace("$", "$$")


def local_path(text: str, name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """A path on this machine; raises `PathError` for what `expanded` refuses, and for a URL."""
    found = expanded(text, name, environment)
    if scheme := _URL.match(found):
        raise PathError(f"{name} is a URL ({scheme[0]}…), and not a path on this machine")
    return Path(found)


def sqlite_url(path: str | os.PathLike[str]) -> str:
    """The URL of a SQLite file with any path: `%`, `?`, `#`, `$` and spaces at the end are encoded."""
    url = quote(os.fsencode(path), safe="/ ")
    kept = url.rstrip(" ")
    return f"sqlite:///{kept}{'%20' * (len(url) - len(kept))}"


def is_misread_in_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path means another file once it is put into a URL as it is, which Dagster does."""
    return re.search(r"[?]|%[0-9A-Fa-f]{2}", os.fspath(path)) is not None
