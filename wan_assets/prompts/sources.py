"""Sources of a prompt table: one file, all of a folder or a pattern, a DataFrame, or the rows of a database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from wan_assets.prompts.formats import EXTENSIONS, KNOWN, Sheet, sheet_of_file, sheet_of_frame, unreadable
from wan_assets.prompts.lookalikes import is_named_as_notes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SqlQuery:
    """The rows that a SELECT gives, with the names of its columns; `url` is a SQLAlchemy URL, and never shown."""

    url: str = field(repr=False)
    query: str


Source: TypeAlias = "str | os.PathLike[str] | pd.DataFrame | SqlQuery"


def sheets_of(source: Source) -> list[Sheet]:
    """Opens all of a source; raises `PromptTableError` if it cannot be read, here or when records are asked for."""
    if isinstance(source, SqlQuery):
        records = import_module("wan_assets.prompts.database").records_of_query(source)
        return [Sheet("the query", records, has_header=True)]
    if not isinstance(source, (str, os.PathLike)):
        return [sheet_of_frame(source)]
    path = Path(source)
    folder, files = files_of(path)
    if files == [path]:
        _refuse_named_notes(path)
        return [sheet_of_file(path)]
    return [sheet_of_file(file, str(file.relative_to(folder))) for file in files]


def files_of(path: Path) -> tuple[Path, list[Path]]:
    """The files that a path means, in order of name, and the folder that they are all in.

    A path that exists is that file, or all tables of that folder; any other may be a pattern. Hidden files are left
    out. Raises `PromptTableError` where there are none.
    """
    try:
        if path.is_dir():
            return path, _tables_in(path)
        if path.exists() or not any(letter in str(path) for letter in "*?["):
            return path.parent, [path]
        return _matches_of(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise unreadable(path, f"cannot be read: {error}; check the name") from error


def _tables_in(folder: Path) -> list[Path]:
    tables = (file for file in _visible(folder, folder.iterdir()) if file.suffix.lower() in EXTENSIONS)
    files = sorted(_inside(folder, table) for table in tables)
    _refuse_notes(files)
    if not files:
        raise unreadable(folder, f"is a folder without tables; put files into it that end in one of {KNOWN}")
    return files


def _matches_of(pattern: Path) -> tuple[Path, list[Path]]:
    """Splits at the first part that does not exist, for a folder may be called `[1]`."""
    known = next(parent for parent in pattern.parents if parent.is_dir() or parent == parent.parent)
    matches = _visible(known, known.glob(str(pattern.relative_to(known))))
    files = sorted({_inside(known, match) for match in matches})
    _refuse_notes(files)
    if not files:
        raise unreadable(pattern, f"does not exist, and matches no file; check it, and the folder {known.absolute()}")
    return known, files


def _inside(folder: Path, file: Path) -> Path:
    """A file of a folder; raises `PromptTableError` for a link that leads out of it."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise unreadable(file, f"is a link that leads out of {folder}; copy the table into the folder")
    return file


def _refuse_notes(files: list[Path]) -> None:
    """Notes in a folder would be bought line by line."""
    if notes := [file for file in files if is_named_as_notes(file)]:
        fix = "move it out of the folder, or rename it if it holds prompts"
        raise unreadable(notes[0], f"looks by its name like notes about the tables beside it; {fix}")


def _refuse_named_notes(file: Path) -> None:
    if is_named_as_notes(file) and file.exists():
        fix = "rename it if each of its lines is a prompt"
        raise unreadable(file, f"looks by its name like notes or a license, and not like a list of prompts; {fix}")


def _visible(folder: Path, files: Iterator[Path]) -> Iterator[Path]:
    """Folders are left out, links that lead nowhere are not: what they should hold would be missing."""
    for file in files:
        is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if not is_hidden and not file.is_dir():
            yield file
