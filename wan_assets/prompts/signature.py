"""Signatures that show whether a source of prompts may have changed, without validating its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from importlib import import_module
from itertools import chain
from pathlib import Path

from wan_assets.errors import PromptTableError
from wan_assets.prompts.locations import UrlLocation, location_of
from wan_assets.prompts.problems import repr_of
from wan_assets.prompts.prompt_source import prompt_source_of
from wan_assets.prompts.records import MalformedRecord, records_in, unavailable
from wan_assets.prompts.snapshot import Snapshot
from wan_assets.prompts.sources import Source, files_of, sheets_of
from wan_assets.prompts.table import Prompts, PromptTable


def signature_of(prompts: Prompts) -> str:
    """Returns a digest that changes if the source of the prompts may have changed.

    Files contribute their path, size and modification time and are not read. Files at URLs contribute the checksum or
    the time that their file system reports, and are read only if it reports neither. A DataFrame or a query contributes
    all rows in order, so a query without ORDER BY may seem changed. A `PromptTable` contributes ids, requests, extra
    columns and problems. A function is called. The options of a `PromptSource` are included, local images and audio
    files are not. Raises `PromptTableError` if the source is empty or missing.
    """
    given = prompt_source_of(prompts)
    has_options = given.has_options or given.base_dir is not None
    variants = (given.seeds, given.variants) if given.seeds is not None or given.variants else ()
    read = (given.columns, given.defaults, given.extra, given.base_dir, *variants)
    options = [_bytes_of(read)] if has_options else []
    digest = blake2b(digest_size=16)
    for part in chain(options, _parts_of(given.source)):
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()


def _parts_of(source: Source | PromptTable | Snapshot) -> Iterator[bytes]:
    if isinstance(source, Snapshot):
        return (_bytes_of((part, file.name)) for part, file in source.files.items())
    if isinstance(source, PromptTable):
        return _parts_of_table(source)
    location = location_of(source)
    if isinstance(location, UrlLocation):
        return _parts_of_url(location)
    return _parts_of_rows(source) if location is None else map(_part_of_file, files_of(location)[1])


def _parts_of_url(location: UrlLocation) -> Iterator[bytes]:
    for file in import_module("wan_assets.prompts.remote_files").files_at(location):
        yield _bytes_of((location.identity, file.name, file.version()))


def _part_of_file(path: Path) -> bytes:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise unavailable(path, f"cannot be read: {error}; check the name") from error
    return os.fsencode(path.absolute()) + b"\0%d %d" % (found.st_size, found.st_mtime_ns)


def _parts_of_table(table: PromptTable) -> Iterator[bytes]:
    if not table.row_count:
        raise PromptTableError("the table has no rows; add at least one prompt")
    for row in table.rows:
        yield _bytes_of((row.prompt_id, row.fingerprint, sorted(row.extra.items())))
    for problem in table.problems:
        yield _bytes_of(problem)


def _parts_of_rows(source: Source) -> Iterator[bytes]:
    is_empty = True
    for sheet in sheets_of(source):
        with closing(sheet.records):
            for record in records_in(sheet.records):
                is_empty = False
                yield _bytes_of(record if isinstance(record, MalformedRecord) else (record.names, *record.values))
    if is_empty:
        raise PromptTableError("the prompts have no rows; add at least one prompt")


def _bytes_of(value: object) -> bytes:
    return repr_of(value).encode(errors="surrogatepass")
