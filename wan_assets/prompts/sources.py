"""Sources of a prompt table: a file, a folder, a pattern, a DataFrame, a database query or a list of requests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from wan_assets.models import VideoRequest
from wan_assets.prompts.formats import EXTENSIONS, KNOWN_EXTENSIONS, Sheet, sheet_of_file, sheet_of_frame, sheet_of_list
from wan_assets.prompts.lookalikes import is_named_as_notes
from wan_assets.prompts.records import unavailable, unreadable
from wan_assets.prompts.sql_query import SqlQuery

if TYPE_CHECKING:
    import pandas as pd


Requests: TypeAlias = "Sequence[Mapping[str, Any] | VideoRequest]"
Source: TypeAlias = (
    "str | os.PathLike[str] | pd.DataFrame | Requests | Mapping[str, pd.DataFrame | Requests] | SqlQuery"
)
"""A mapping contains one DataFrame or list for each partition of an asset. Other tables with Arrow's C stream are
accepted like DataFrames.
"""


def sheets_of(source: Source) -> list[Sheet]:
    """Opens all files of a source. Raises `PromptTableError`, here or when records are read, if it cannot be read."""
    if isinstance(source, SqlQuery):
        records = import_module("wan_assets.prompts.database").records_of_query(source)
        return [Sheet("the query", records, has_header=True)]
    if isinstance(source, Mapping):
        return [_sheet_of_value(value, str(part)) for part, value in source.items()]
    if not isinstance(source, (str, os.PathLike)):
        return [_sheet_of_value(source)]
    path = Path(source)
    folder, files = files_of(path)
    if files == [path]:
        _refuse_named_notes(path)
        return [sheet_of_file(path)]
    return [sheet_of_file(file, str(file.relative_to(folder))) for file in files]


def _sheet_of_value(value: object, part: str = "") -> Sheet:
    return sheet_of_list(value, part) if isinstance(value, (list, tuple)) else sheet_of_frame(value, part)


def files_of(path: Path) -> tuple[Path, list[Path]]:
    """Returns the files for a path, ordered by name, and their common folder.

    An existing path is a file or a folder of tables; any other path may be a pattern. Hidden files are ignored. Raises
    `PromptTableError` if there are no files.
    """
    try:
        if path.is_dir():
            return path, _tables_in(path)
        if path.exists() or not any(letter in str(path) for letter in "*?["):
            return path.parent, [path]
        return _matches_of(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise unavailable(path, f"cannot be read: {error}; check the name") from error


def _tables_in(folder: Path) -> list[Path]:
    tables = (file for file in _visible(folder, folder.iterdir()) if file.suffix.lower() in EXTENSIONS)
    files = sorted(_inside(folder, table) for table in tables)
    _refuse_notes(files)
    if not files:
        raise unreadable(folder, f"is a folder without tables; add files that end in one of {KNOWN_EXTENSIONS}")
    return files


def _matches_of(pattern: Path) -> tuple[Path, list[Path]]:
    """Starts the pattern at the first part that does not exist, because a folder may be named `[1]`."""
    known = next(parent for parent in pattern.parents if parent.is_dir() or parent == parent.parent)
    matches = _visible(known, known.glob(str(pattern.relative_to(known))))
    files = sorted({_inside(known, match) for match in matches})
    _refuse_notes(files)
    if not files:
        raise unavailable(pattern, f"does not exist and matches no file; check it and the folder {known.absolute()}")
    return known, files


def _inside(folder: Path, file: Path) -> Path:
    """Returns the file; raises `PromptTableError` if it is a link to a file outside the folder."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise unreadable(file, f"is a link to a file outside {folder}; copy the table into the folder")
    return file


def _refuse_notes(files: list[Path]) -> None:
    """Refuses notes in a folder, because each of their lines would be paid for."""
    if notes := [file for file in files if is_named_as_notes(file)]:
        fix = "move it out of the folder, or rename it if it contains prompts"
        raise unreadable(notes[0], f"has a name that suggests notes about the tables beside it; {fix}")


def _refuse_named_notes(file: Path) -> None:
    if is_named_as_notes(file) and file.exists():
        fix = "rename it if each of its lines is a prompt"
        raise unreadable(file, f"has a name that suggests notes or a license and not a list of prompts; {fix}")


def _visible(folder: Path, files: Iterator[Path]) -> Iterator[Path]:
    """Omits hidden files and folders. Keeps broken links, because ignoring them would drop rows silently."""
    for file in files:
        is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if not is_hidden and not file.is_dir():
            yield file
