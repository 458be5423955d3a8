"""References to the local images and audio files of a table.

Only files below the table's folder are read, because a table may come from an untrusted source and its files are
uploaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_core import PydanticCustomError

from wan_assets.models import is_visible, rules
from wan_assets.prompts.image_size import NOUNS, Medium, too_large
from wan_assets.prompts.local_files import MAX_BYTES, LocalFileError, content_in_folder, reference_to
from wan_assets.prompts.problems import Refusal

PLACEHOLDER_REFERENCE = f"sha256:{0:064}"
"""Replaces a refused file, so that the other rules of the row can still be checked."""

_FORMATS: Mapping[Medium, str] = {
    "image": "PNG, JPEG or WEBP",
    "audio": "MP3, WAV, M4A, OGG or FLAC",
    "video": "MP4, MOV or WEBM",
    "document": "PDF, or plain text in UTF-8",
}
_RULES: Mapping[Medium, Callable[[str], str]] = {
    "image": rules.image,
    "audio": rules.audio,
    "video": rules.video,
    "document": rules.document,
}


@dataclass(frozen=True)
class LocalMedia:
    """The local files of one table; `folder` is None for a source without a folder, such as a DataFrame."""

    folder: Path | None
    files: dict[str, Path] = field(default_factory=dict)
    """The file of each reference `sha256:…` found so far."""
    _known: dict[tuple[Medium, str], str | Refusal] = field(default_factory=dict)

    def reference_of(self, value: str, medium: Medium) -> str | Refusal:
        """Returns the request value of a cell: the cell itself, or the reference `sha256:…` of its local file."""
        if value.startswith("sha256:"):
            return Refusal("must not be a reference: references are computed from files", "write the file's path")
        if not value.isascii() and re.search(r"[\ud800-\udfff]", value):
            return Refusal("contains an unpaired surrogate, which is not text", "write the name again")
        if _satisfies(_RULES[medium], value) or re.match(r"(?!file:)[A-Za-z][\w+.-]+:", value):
            return value  # the request's own rules refuse a URL with an unsupported scheme
        key = (medium, value)
        if key not in self._known:
            self._known[key] = self._found(value, medium)
        return self._known[key]

    def _found(self, value: str, medium: Medium) -> str | Refusal:
        if self.folder is None:
            return Refusal("is a local file, but the table has no folder", "pass the files' folder as base_dir")
        if re.match(r"file:|[/\\]|[A-Za-z]:", value):
            return Refusal("must not be an absolute path", "write the path relative to the table's folder")
        try:
            folder = self.folder.resolve()
            path = (folder / value).resolve()
            if not path.is_relative_to(folder):
                return Refusal("must not point outside the table's folder", "copy the file into that folder")
            return self._reference(folder, path, medium)
        except LocalFileError as error:
            return Refusal(str(error), f"use {NOUNS[medium]} of at most {MAX_BYTES >> 20} MB")
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return Refusal(f"cannot be read: {reason}", f"use {NOUNS[medium]} that can be read")

    def _reference(self, folder: Path, path: Path, medium: Medium) -> str | Refusal:
        if not path.exists() or path.is_dir():
            fix = f"use {NOUNS[medium]} in {self.folder}, a UUID or a URL"
            return Refusal("no such file", fix)
        content = content_in_folder(folder, path.relative_to(folder))
        if not _is_known(content, path.suffix.lower(), medium):
            return Refusal(f"the file is not {_FORMATS[medium]}", f"convert it to {_FORMATS[medium]}")
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
    if medium == "image":
        return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or _riff(head) == b"WEBP"
    if medium == "video":
        is_audio = head[8:11] in (b"M4A", b"M4B")
        return head.startswith(b"\x1aE\xdf\xa3") or (head[4:8] == b"ftyp" and not is_audio)
    if medium == "document":
        return head.startswith(b"%PDF-") or _is_text(head)
    if head[4:8] == b"ftyp":
        return head[8:11] in (b"M4A", b"M4B") or suffix == ".m4a"
    is_mp3 = head.startswith(b"ID3") or (head[:1] == b"\xff" and b"\xe0" <= head[1:2] < b"\xff")
    return is_mp3 or head.startswith((b"OggS", b"fLaC")) or _riff(head) == b"WAVE"


def _is_text(content: bytes) -> bool:
    try:
        return is_visible(content.decode()) and b"\0" not in content
    except UnicodeDecodeError:
        return False


def _riff(head: bytes) -> bytes:
    return head[8:12] if head.startswith(b"RIFF") else b""
