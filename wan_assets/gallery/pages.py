"""Data files of the gallery, written as scripts because a page opened from disk cannot load other files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INDEX_PAGE = 500
AUDIT_PAGE = 100


def script_of(kind: str, number: int, content: Any) -> bytes:
    """Returns a script that passes `content` to the page.

    The content is JSON in an ASCII string literal. Therefore it cannot run as code, end the literal or set a prototype.
    """
    text = json.dumps(json.dumps(content, allow_nan=False, separators=(",", ":")))
    return f'wanGallery.take("{kind}",{number},JSON.parse({text}));\n'.encode("ascii")


def content_of(script: Path) -> Any:
    """Returns the content that a script of `script_of` passes to the page."""
    text = script.read_text("ascii")
    return json.loads(json.loads(text[text.index("JSON.parse(") + len("JSON.parse(") : text.rindex("));")]))


class PageWriter:
    """Writes records of one kind, `length` records per file."""

    def __init__(self, folder: Path, kind: str, length: int) -> None:
        self.pages = 0
        self._folder = folder
        self._kind = kind
        self._length = length
        self._waiting: list[Sequence[Any]] = []
        self._digest = hashlib.sha256()

    def add(self, record: Sequence[Any]) -> None:
        """Adds the next record."""
        self._waiting.append(record)
        if len(self._waiting) == self._length:
            self._write()

    def end(self) -> str:
        """Writes the remaining records; returns a digest of all pages."""
        if self._waiting:
            self._write()
        return self._digest.hexdigest()

    def _write(self) -> None:
        script = script_of(self._kind, self.pages, self._waiting)
        (self._folder / f"{self._kind}-{self.pages}.js").write_bytes(script)
        self._digest.update(script)
        self._waiting.clear()
        self.pages += 1
