"""Sources of a prompt table: a file, a folder, a pattern, a DataFrame, a database query or a list of requests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from wan_assets.models import VideoRequest
from wan_assets.prompts import hf_datasets
from wan_assets.prompts.approved_videos import ApprovedRows, ApprovedVideos
from wan_assets.prompts.formats import (
    KNOWN_EXTENSIONS,
    Sheet,
    is_table,
    sheet_of_copy,
    sheet_of_file,
    sheet_of_frame,
    sheet_of_list,
)
from wan_assets.prompts.hive import is_partition, partition_columns, refuse_versions, with_columns
from wan_assets.prompts.locations import UrlLocation, location_of
from wan_assets.prompts.lookalikes import is_named_as_notes
from wan_assets.prompts.problems import printable
from wan_assets.prompts.records import unavailable, unreadable
from wan_assets.prompts.sql_query import SqlQuery

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath


Requests: TypeAlias = "Sequence[Mapping[str, Any] | VideoRequest]"
Source: TypeAlias = (
    "str | os.PathLike[str] | UPath | pd.DataFrame | Requests | Mapping[str, pd.DataFrame | Requests] | SqlQuery"
    " | ApprovedVideos"
)
"""A text is a path or a URL. A mapping contains one DataFrame or list for each partition of an asset. Other tables with
Arrow's C stream and datasets of Hugging Face are accepted like DataFrames.
"""


def sheets_of(source: Source) -> list[Sheet]:
    """Opens all files of a source. Raises `PromptTableError`, here or when records are read, if it cannot be read."""
    if isinstance(source, ApprovedVideos):
        return [_sheet_of_approved(source)]
    if isinstance(source, SqlQuery):
        records = import_module("wan_assets.prompts.database").records_of_query(source)
        return [Sheet("the query", records, has_header=True)]
    if isinstance(source, Mapping):
        hf_datasets.refuse_splits(source)
        return [_sheet_of_value(value, str(part)) for part, value in source.items()]
    location = location_of(source)
    if isinstance(location, UrlLocation):
        return _sheets_at(location)
    return [_sheet_of_value(source)] if location is None else _sheets_of_path(location)


def _sheet_of_approved(source: ApprovedVideos) -> Sheet:
    """Reads the approved drafts with the ledger that the source names."""
    read = import_module("wan_assets.prompts.table").PromptTable.load
    table = read(source.prompts) if source.prompts is not None else None
    with source.opened_ledger() as ledger:
        return _sheet_of_value(source.rows(ledger, table=table))


def _sheets_of_path(path: Path) -> list[Sheet]:
    if hf_datasets.is_saved(path):
        return [replace(sheet_of_frame(hf_datasets.loaded(path)), label=printable(str(path)), folder=path)]
    folder, files = files_of(path)
    if files == [path]:
        _refuse_named_notes(path)
        return [sheet_of_file(path)]
    names = [file.relative_to(folder) for file in files]
    return [_partitioned(sheet_of_file(file, str(name)), name.parent) for file, name in zip(files, names, strict=True)]


def _sheets_at(location: UrlLocation) -> list[Sheet]:
    """Opens the files at a URL; each is copied when its records are read."""
    files = import_module("wan_assets.prompts.remote_files").files_at(location)
    for file in files:
        _refuse_notes_named(file.label, PurePosixPath(file.name))
    if len(files) == 1 and files[0].label == location.label:
        return [sheet_of_copy(files[0].copied, files[0].label, files[0].name)]
    return [
        _partitioned(sheet_of_copy(file.copied, file.label, file.name, file.name), PurePosixPath(file.name).parent)
        for file in files
    ]


def _partitioned(sheet: Sheet, folders: PurePath) -> Sheet:
    """Adds the columns of Hive partitions: folders such as `date=2026-01-01`."""
    columns = partition_columns(folders.parts)
    return replace(sheet, records=with_columns(sheet.records, columns)) if columns else sheet


def _sheet_of_value(value: object, part: str = "") -> Sheet:
    if isinstance(value, ApprovedRows):  # their files are relative to the root
        return replace(sheet_of_list(value), label="the approved drafts", folder=Path(Path.cwd().anchor))
    return sheet_of_list(value, part) if isinstance(value, (list, tuple)) else sheet_of_frame(value, part)


def files_of(path: Path) -> tuple[Path, list[Path]]:
    """Returns the files for a path, ordered by name, and their common folder.

    An existing path is a file or a folder of tables; any other path may be a pattern. Hidden files are ignored. Raises
    `PromptTableError` if there are no files.
    """
    try:
        if path.is_dir():
            return path, hf_datasets.saved_files(path) if hf_datasets.is_saved(path) else _tables_of(path)
        if path.exists() or not any(letter in str(path) for letter in "*?["):
            return path.parent, [path]
        return _matches_of(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise unavailable(path, f"cannot be read: {error}; check the name") from error


def _tables_of(folder: Path) -> list[Path]:
    _refuse_versions(folder)
    files = sorted(_inside(folder, table) for table in _tables_in(folder, frozenset()))
    _refuse_notes(files)
    if not files:
        raise unreadable(folder, f"is a folder without tables; add files that end in one of {KNOWN_EXTENSIONS}")
    return files


def _refuse_versions(folder: Path) -> None:
    refuse_versions(folder, lambda name: (folder / name).exists())


def _tables_in(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """Yields the tables of a folder and of its Hive partitions. A link to a folder above is not followed."""
    above |= {folder.resolve()}
    for entry in folder.iterdir():
        if entry.is_dir():
            if is_partition(entry.name) and entry.resolve() not in above:
                yield from _tables_in(entry, above)
        elif is_table(entry.name) and not entry.name.startswith("."):
            yield entry


def _matches_of(pattern: Path) -> tuple[Path, list[Path]]:
    """Starts the pattern at the first part that does not exist, because a folder may be named `[1]`."""
    known = next(parent for parent in pattern.parents if parent.is_dir() or parent == parent.parent)
    matches = _visible(known, known.glob(str(pattern.relative_to(known))))
    files = sorted({_inside(known, match) for match in matches})
    for folder in {parent for file in files for parent in file.parents if parent.is_relative_to(known)}:
        _refuse_versions(folder)
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
    if file.exists():
        _refuse_notes_named(file, file)


def _refuse_notes_named(label: object, name: PurePath) -> None:
    if is_named_as_notes(name):
        fix = "rename it if each of its lines is a prompt"
        raise unreadable(label, f"has a name that suggests notes or a license and not a list of prompts; {fix}")


def _visible(folder: Path, files: Iterator[Path]) -> Iterator[Path]:
    """Omits hidden files and folders. Keeps broken links, because ignoring them would drop rows silently."""
    for file in files:
        is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if not is_hidden and not file.is_dir():
            yield file
