"""Reads the Parquet files of snapshots: rows exactly as they were when they were written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from more_itertools import ilen
from pydantic import ValidationError
from pydantic_core import to_json
from upath import UPath

from wan_assets.errors import NoSnapshotError, PromptTableError, file_system_errors
from wan_assets.models import (
    RequestTemplate,
    VideoRequest,
    normal_values,
    violations_of,
)
from wan_assets.prompts.identity import PromptIds
from wan_assets.prompts.locations import public_address
from wan_assets.prompts.problems import Problem, Refusal, printable
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.row_batch import RowBatch, Rows
from wan_assets.prompts.snapshot import FORMAT, HIDDEN, MARKER, Snapshot
from wan_assets.prompts.table import Chunk
from wan_assets.settings import LOCAL_PROTOCOLS

_PIECE_BYTES = 1 << 20
_MOST_SETTINGS = 4096
"""Rows with further settings are read one by one."""

_SCALARS = ("positive_prompt", "parameters", "row", "line", "prompt_id")

_SHA256 = re.compile(r"[0-9a-f]{64}")


def file_of_snapshot(source: str | UPath) -> UPath | None:
    """Returns the file at a path or URL if it is a snapshot; None if it is another table or cannot be read."""
    try:
        file = UPath(source)
        with file.open("rb") as content, pq.ParquetFile(content) as found:
            return file if MARKER in (found.schema_arrow.metadata or {}) else None
    except (pa.ArrowException, *file_system_errors()):
        return None  # the reader of tables reports the error


def has_secrets_left_out(snapshot: Snapshot) -> bool:
    """Whether rows of a snapshot lack addresses, which were not stored because they contain secrets."""
    for file in snapshot.files.values():
        try:
            with file.open("rb") as content, pq.ParquetFile(content) as found:
                if (found.metadata.metadata or {}).get(HIDDEN.encode()):
                    return True
        except (pa.ArrowException, OSError, ValueError):
            continue  # the reader of the rows reports the error
    return False


def chunks_of_snapshot(snapshot: Snapshot, chunk_rows: int) -> Iterator[Chunk]:
    """Yields the rows of all parts. A `prompt_id` that occurs in two parts is a problem of the second."""
    ids, total = PromptIds(), 0
    for part, file in snapshot.files.items():
        ids.begin(part, total)
        reader = _SnapshotReader(part, ids)
        for records in _records_of(file, chunk_rows):
            total += records.num_rows
            wanted = records if snapshot.prompt_ids is None else _with_ids(records, snapshot.prompt_ids)
            if wanted.num_rows:
                yield reader.chunk(wanted)


def _records_of(file: UPath, chunk_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        with verified(file) as content, pq.ParquetFile(content) as found:
            form = (found.schema_arrow.metadata or {}).get(MARKER)
            if form != FORMAT:
                reason = "was written by a newer release" if form else "is not a snapshot of a prompt table"
                raise PromptTableError(f"{printable(public_address(str(file)))} {reason}")
            for batch in found.iter_batches(batch_size=chunk_rows):
                yield from _runs_of_one_file(batch)
    except FileNotFoundError:
        raise NoSnapshotError(
            f"the snapshot {printable(public_address(str(file)))} is missing from the store"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PromptTableError(
            f"the snapshot {printable(public_address(str(file)))} cannot be read: {error}"
        ) from error


def _with_ids(records: pa.RecordBatch, prompt_ids: frozenset[str]) -> pa.RecordBatch:
    return records.filter(pc.is_in(records.column("prompt_id"), pa.array(sorted(prompt_ids), pa.string())))


def _runs_of_one_file(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    start = 0
    for _, run in groupby(batch.column("file").to_pylist()):
        length = ilen(run)
        yield batch.slice(start, length)
        start += length


@contextmanager
def verified(file: UPath) -> Iterator[BinaryIO]:
    """Opens a file after its content was compared with the SHA-256 in its name; a remote file is copied first."""
    with file.open("rb") as original, tempfile.TemporaryFile() as copy:
        is_local = file.protocol in LOCAL_PROTOCOLS
        digest = hashlib.sha256()
        while piece := original.read(_PIECE_BYTES):
            digest.update(piece)
            if not is_local:
                copy.write(piece)
        if _SHA256.fullmatch(file.stem) and digest.hexdigest() != file.stem:
            raise PromptTableError(
                f"the snapshot {printable(public_address(str(file)))} does not contain the stored bytes"
            )
        content: BinaryIO = original if is_local else copy
        content.seek(0)
        yield content


class _SnapshotReader:
    """Reads the rows of one file: those with known settings in columns, and all others one by one."""

    def __init__(self, part: str, ids: PromptIds) -> None:
        self._part = part
        self._ids = ids
        self._templates: dict[str, RequestTemplate | None] = {}

    def chunk(self, records: pa.RecordBatch) -> Chunk:
        """Returns the next rows, which are of one file."""
        batch = self._batch(records)
        parts: list[RowBatch | list[PromptRow]] = []
        problems: list[Problem] = []
        media: dict[str, Path] = {}
        for found in batch.without({*batch.incomplete(), *_with_lists(records)}):
            if isinstance(found, RowBatch) and self._ids.claim_all(found.prompt_ids, found.numbers):
                parts.append(found)
                continue
            record = {} if isinstance(found, RowBatch) else records.slice(found, 1).to_pylist()[0]
            for row in found.rows() if isinstance(found, RowBatch) else [_row_of(record, self._part)]:
                if not isinstance(row, PromptRow):
                    problems += row
                elif holder := self._ids.claim(row.prompt_id, row.number):
                    problems.append(_repeated(row, holder))
                else:
                    parts.append([row])
                    media |= {name: Path(os.fsdecode(path)) for name, path in record.get("media", ())}
        return Chunk(Rows(parts), tuple(problems), records.num_rows, media)

    def _batch(self, records: pa.RecordBatch) -> RowBatch:
        """Returns all rows; templates and values of those that must be read one by one are None."""
        prompts, parameters, numbers, lines, ids = (records.column(name).to_pylist() for name in _SCALARS)
        settings, negatives, seeds = zip(*map(_settings_of, parameters), strict=True)
        templates: Sequence[Any] = list(map(self._template, settings))
        normal: Any = normal_values(templates, prompts, negatives, seeds)
        extras = records.column("extra")
        extra: dict[str, Any] = _equal_columns(extras) or _extra_columns(extras.to_pylist())
        file = self._part or records.column("file")[0].as_py()
        return RowBatch(numbers, lines, ids, templates, (prompts, negatives, seeds), normal, extra, file)

    def _template(self, settings: str) -> RequestTemplate | None:
        if settings not in self._templates:
            if len(self._templates) >= _MOST_SETTINGS:
                return None
            self._templates[settings] = _template_of(settings)
        return self._templates[settings]


def _settings_of(parameters: str) -> tuple[str, Any, Any]:
    """Returns the JSON of a row's settings, its negative prompt and its seed."""
    if '"negativePrompt"' not in parameters and '"seed"' not in parameters:
        return parameters, None, None
    given = json.loads(parameters)
    negative_prompt, seed = given.pop("negativePrompt", None), given.pop("seed", None)
    return to_json(given).decode(), negative_prompt, seed


def _template_of(settings: str) -> RequestTemplate | None:
    """Returns a template; None for settings that this release does not accept, or with local files."""
    try:
        template = RequestTemplate(json.loads(settings))
    except ValidationError:
        return None
    return None if template.example.uploads else template


def _with_lists(records: pa.RecordBatch) -> Iterator[int]:
    """Returns the positions of rows that have local files, or whose secrets were left out."""
    for name in ("hidden", "media"):
        offsets = records.column(name).offsets
        if offsets[0] != offsets[-1]:
            ends = offsets.to_pylist()
            yield from (at for at, (start, end) in enumerate(pairwise(ends)) if start != end)


def _equal_columns(extras: pa.MapArray) -> dict[str, list[str]]:
    """Returns the texts by column if all rows have the same columns; else nothing."""
    start, end = extras.offsets[0].as_py(), extras.offsets[-1].as_py()
    width = (end - start) // len(extras)
    names = extras.keys.slice(start, end - start).to_pylist()
    if not width or len(set(names[:width])) != width or names != names[:width] * len(extras):
        return {}
    texts = extras.items.slice(start, end - start).to_pylist()
    return {name: texts[at::width] for at, name in enumerate(names[:width])}


def _extra_columns(extras: Sequence[Sequence[tuple[str, str]]]) -> dict[str, list[str | None]]:
    """Returns the texts by column; None for rows that have the columns in another order than the rows before."""
    found = list(map(dict, extras))
    names = dict.fromkeys(name for extra in found for name in extra)
    is_ordered = [len(extra) <= 1 or list(extra) == [name for name in names if name in extra] for extra in found]
    return {
        name: [extra.get(name, "") if ordered else None for extra, ordered in zip(found, is_ordered, strict=True)]
        for name in names
    }


def _row_of(record: Mapping[str, Any], part: str) -> PromptRow | list[Problem]:
    given = {**json.loads(record["parameters"]), "positivePrompt": record["positive_prompt"] or None}
    number, line, prompt_id, file = record["row"], record["line"], record["prompt_id"], part or record["file"]
    if record["hidden"]:
        refusal = Refusal(
            "has a secret, which a stored table does not contain", "run where the table itself can be read"
        )
        column = record["hidden"][0]
        return [Problem.of(refusal, row=number, line=line, prompt_id=prompt_id, column=column, value="***", file=file)]
    try:
        request = VideoRequest.model_validate(given)
    except ValidationError as error:  # the rules of this release differ from those of the release that wrote the row
        return [
            Problem.of(
                Refusal(found.rule, found.fix),
                row=number,
                line=line,
                prompt_id=prompt_id,
                column=found.column,
                value=found.value,
                file=file,
            )
            for found in violations_of(error, given)
        ]
    return PromptRow(number, prompt_id, request, dict(record["extra"]), line, file)


def _repeated(row: PromptRow, holder: str) -> Problem:
    refusal = Refusal(f"is already the id of {holder}", "give each row of all partitions its own id")
    return Problem.of(
        refusal,
        row=row.number,
        line=row.line,
        prompt_id=row.prompt_id,
        column="prompt_id",
        value=row.prompt_id,
        file=row.file,
    )
