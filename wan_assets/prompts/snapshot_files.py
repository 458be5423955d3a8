"""The Parquet files of snapshots: their columns, how rows are written, and how they are read exactly as they were."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq
from more_itertools import chunked
from pydantic import ValidationError
from pydantic_core import to_json
from upath import UPath

from wan_assets.errors import NoSnapshotError, PromptTableError, file_system_errors
from wan_assets.models import DESTINATION_FIELDS, VideoRequest, violations_of, without_secrets
from wan_assets.prompts.identity import PromptIds
from wan_assets.prompts.locations import public_address
from wan_assets.prompts.problems import Problem, Refusal, printable
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.snapshot import MARKER, Snapshot
from wan_assets.prompts.table import Chunk
from wan_assets.settings import LOCAL_PROTOCOLS

_HIDDEN = "wan_assets.hidden"
_PROMPTS = ("positivePrompt", "negativePrompt")
_FORMAT = b"1"
_ROWS_PER_GROUP = 10_000
_PIECE_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")

_TEXT_MAP = pa.map_(pa.string(), pa.string())
_SCHEMA = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("positive_prompt", pa.string(), nullable=False),
        pa.field("parameters", pa.string(), nullable=False),  # the other parameters that the row gives, as JSON
        pa.field("extra", _TEXT_MAP, nullable=False),
        pa.field("hidden", pa.list_(pa.string()), nullable=False),  # the parameters whose secrets are left out
        pa.field("media", pa.map_(pa.string(), pa.binary()), nullable=False),  # names of files may be no UTF-8
        pa.field("row", pa.int64(), nullable=False),
        pa.field("line", pa.int64()),
        pa.field("file", pa.string(), nullable=False),
    ],
    metadata={MARKER: _FORMAT},
)


class ParquetSnapshotWriter:
    """Writes the valid rows of a table to a local file, in groups of 10,000 rows."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
        self.first_secret = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.add_key_value_metadata({_HIDDEN: self.first_secret})
        self._writer.close()

    def add(self, chunk: Chunk) -> None:
        """Writes the rows of the next chunk."""
        for rows in chunked(chunk.rows, _ROWS_PER_GROUP):
            records = [_record_of(row, chunk.media) for row in rows]
            first = next((record for record in records if record["hidden"]), None)
            if first and not self.first_secret:
                self.first_secret = f"row {first['row']}, column {first['hidden'][0]}"
            self._writer.write_table(pa.Table.from_pylist(records, schema=_SCHEMA))


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
                if (found.metadata.metadata or {}).get(_HIDDEN.encode()):
                    return True
        except (pa.ArrowException, OSError, ValueError):
            continue  # the reader of the rows reports the error
    return False


def chunks_of_snapshot(snapshot: Snapshot, chunk_rows: int) -> Iterator[Chunk]:
    """Yields the rows of all parts. A `prompt_id` that occurs in two parts is a problem of the second."""
    ids, total = PromptIds(), 0
    for part, file in snapshot.files.items():
        ids.begin(part, total)
        for records in _records_of(file, chunk_rows):
            total += len(records)
            yield _chunk_of(records, part, ids)


def _records_of(file: UPath, chunk_rows: int) -> Iterator[list[dict[str, Any]]]:
    try:
        with _verified(file) as content, pq.ParquetFile(content) as found:
            form = (found.schema_arrow.metadata or {}).get(MARKER)
            if form != _FORMAT:
                reason = "was written by a newer release" if form else "is not a snapshot of a prompt table"
                raise PromptTableError(f"{printable(public_address(str(file)))} {reason}")
            for batch in found.iter_batches(batch_size=chunk_rows):
                yield batch.to_pylist()
    except FileNotFoundError:
        raise NoSnapshotError(
            f"the snapshot {printable(public_address(str(file)))} is missing from the store"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PromptTableError(
            f"the snapshot {printable(public_address(str(file)))} cannot be read: {error}"
        ) from error


@contextmanager
def _verified(file: UPath) -> Iterator[BinaryIO]:
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


def _record_of(row: PromptRow, media: Mapping[str, Path]) -> dict[str, Any]:
    hidden: list[str] = []
    parameters = _stored_value("", row.request.as_written(), hidden)
    return {
        "prompt_id": row.prompt_id,
        "positive_prompt": parameters.pop("positivePrompt"),
        "parameters": to_json(parameters).decode(),
        "extra": list(row.extra.items()),
        "hidden": hidden,
        "media": [(name, os.fsencode(media[name].absolute())) for name in row.request.uploads if name in media],
        "row": row.number,
        "line": row.line,
        "file": row.file,
    }


def _stored_value(name: str, value: Any, hidden: list[str]) -> Any:
    """Returns a parameter without the secrets of its addresses; adds the name of each that had one to `hidden`."""
    if isinstance(value, dict):
        return {key: _stored_value(f"{name}.{key}" if name else key, each, hidden) for key, each in value.items()}
    if isinstance(value, list):
        return [_stored_value(name, each, hidden) for each in value]
    if not isinstance(value, str) or "://" not in value or name in _PROMPTS:
        return value
    stored = without_secrets(value, is_destination=name in DESTINATION_FIELDS)
    if stored != value:
        hidden.append(name)
    return stored


def _chunk_of(records: list[dict[str, Any]], part: str, ids: PromptIds) -> Chunk:
    rows: list[PromptRow] = []
    problems: list[Problem] = []
    media: dict[str, Path] = {}
    for record in records:
        found = _row_of(record, part)
        if not isinstance(found, PromptRow):
            problems += found
        elif holder := ids.claim(found.prompt_id, found.number):
            problems.append(_repeated(found, holder))
        else:
            rows.append(found)
            media |= {name: Path(os.fsdecode(path)) for name, path in record["media"]}
    return Chunk(tuple(rows), tuple(problems), len(records), media)


def _row_of(record: Mapping[str, Any], part: str) -> PromptRow | list[Problem]:
    given = {**json.loads(record["parameters"]), "positivePrompt": record["positive_prompt"]}
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
