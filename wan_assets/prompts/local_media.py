"""Local pictures and sounds that a table names: found in its folder, known by their first bytes, hashed once.

Nothing outside the folder is ever read: a table may come from anyone, and what it names is uploaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic_core import PydanticCustomError

from wan_assets.models import rules
from wan_assets.prompts.image_size import too_large
from wan_assets.prompts.local_files import MAX_BYTES, LocalFileError, content_below, reference_to
from wan_assets.prompts.problems import Refusal

Medium = Literal["picture", "sound"]

STAND_IN = f"sha256:{0:064}"
"""A reference to no file, for the other rules to be checked where a file was refused."""

_FORMATS: Mapping[Medium, str] = {"picture": "PNG, JPEG or WEBP", "sound": "MP3, WAV, M4A, OGG or FLAC"}
_RULES: Mapping[Medium, Callable[[str], str]] = {"picture": rules.image, "sound": rules.audio}


@dataclass(frozen=True)
class LocalMedia:
    """The local files of one table; `folder` is None where a table has none, as a DataFrame."""

    folder: Path | None
    files: dict[str, Path] = field(default_factory=dict)
    """Reference `sha256:…` → file, for every file found so far."""
    _known: dict[tuple[Medium, str], str | Refusal] = field(default_factory=dict)

    def reference_of(self, value: str, medium: Medium) -> str | Refusal:
        """What stands in the request for a cell: the cell itself, or `sha256:…` of the file it names."""
        if value.startswith("sha256:"):
            return Refusal("no such upload: references are made from files", "name the file itself")
        if not value.isascii() and re.search(r"[\ud800-\udfff]", value):
            return Refusal("holds half a character, which is not text", "write the name anew")
        if _satisfies(_RULES[medium], value) or re.match(r"(?!file:)[A-Za-z][\w+.-]+:", value):
            return value  # a URL of another scheme is for the request's own rules to refuse
        key = (medium, value)
        if key not in self._known:
            self._known[key] = self._found(value, medium)
        return self._known[key]

    def _found(self, value: str, medium: Medium) -> str | Refusal:
        if self.folder is None:
            return Refusal("is a local file, but the table lies in no folder", "pass base_dir, their folder")
        if re.match(r"file:|[/\\]|[A-Za-z]:", value):
            return Refusal("must not be an absolute path", "write the path from the table's folder")
        try:
            folder = self.folder.resolve()
            path = (folder / value).resolve()
            if not path.is_relative_to(folder):
                return Refusal("must not lead out of the table's folder", "copy the file into that folder")
            return self._reference(folder, path, medium)
        except LocalFileError as error:
            return Refusal(str(error), f"name a {medium} that is a file of at most {MAX_BYTES >> 20} MB")
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return Refusal(f"cannot be read: {reason}", f"name a {medium} that can be read")

    def _reference(self, folder: Path, path: Path, medium: Medium) -> str | Refusal:
        if not path.exists() or path.is_dir():
            fix = f"name a {medium} in {self.folder}, or a UUID or URL"
            return Refusal("no such file", fix)
        content = content_below(folder, path.relative_to(folder))
        if not _is_known(content[:32], path.suffix.lower(), medium):
            return Refusal(f"the file is no {_FORMATS[medium]}", f"convert it to {_FORMATS[medium]}")
        if refusal := too_large(content, medium):
            return refusal
        reference = reference_to(content)
        self.files.setdefault(reference, path)
        return reference


def _satisfies(rule: Callable[[str], str], value: str) -> bool:
    try:
        return bool(rule(value))
    except PydanticCustomError:
        return False


def _is_known(head: bytes, suffix: str, medium: Medium) -> bool:
    if medium == "picture":
        return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or _riff(head) == b"WEBP"
    if head[4:8] == b"ftyp":
        return head[8:11] in (b"M4A", b"M4B") or suffix == ".m4a"
    is_mp3 = head.startswith(b"ID3") or (head[:1] == b"\xff" and b"\xe0" <= head[1:2] < b"\xff")
    return is_mp3 or head.startswith((b"OggS", b"fLaC")) or _riff(head) == b"WAVE"


def _riff(head: bytes) -> bytes:
    return head[8:12] if head.startswith(b"RIFF") else b""
