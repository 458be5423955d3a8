"""Writes the Parquet files of snapshots: rows in columns, without the secrets of their addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic_core import to_json

from wan_assets.models import DESTINATION_FIELDS, RequestTemplate, without_secrets
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.row_batch import RowBatch, parts_of
from wan_assets.prompts.snapshot import FORMAT, HIDDEN, MARKER
from wan_assets.prompts.table import Chunk

_PROMPTS = ("positivePrompt", "negativePrompt")
_ROWS_PER_GROUP = 10_000

_REPEATED = ("extra.key_value.key", "extra.key_value.value", "hidden.list.element", "media.key_value.key", "file")
"""The columns that are written with dictionaries. The values of the others differ from row to row: dictionaries of them
take twice the time, and three times the space.
"""

_TEXT_MAP = pa.map_(pa.string(), pa.string())
_SCHEMA = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("positive_prompt", pa.string(), nullable=False),  # empty if the row has none
        pa.field("parameters", pa.string(), nullable=False),  # the other parameters that the row gives, as JSON
        pa.field("extra", _TEXT_MAP, nullable=False),
        pa.field("hidden", pa.list_(pa.string()), nullable=False),  # the parameters whose secrets are left out
        pa.field("media", pa.map_(pa.string(), pa.binary()), nullable=False),  # names of files may be no UTF-8
        pa.field("row", pa.int64(), nullable=False),
        pa.field("line", pa.int64()),
        pa.field("file", pa.string(), nullable=False),
    ],
    metadata={MARKER: FORMAT},
)


class ParquetSnapshotWriter:
    """Writes the valid rows of a table to a local file, in groups of 10,000 rows.

    A thread compresses each group while the next rows are read.
    """

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd", use_dictionary=list(_REPEATED))
        self._waiting: list[pa.Table] = []
        self._thread = ThreadPoolExecutor(1)
        self._group: Future[None] | None = None
        self._parameters: dict[tuple[RequestTemplate, bool, bool], _Parameters] = {}
        self.first_secret = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._thread:
            self._write(_ROWS_PER_GROUP if kind else 1)
            self._finish_group()
        self._writer.add_key_value_metadata({HIDDEN: self.first_secret})
        self._writer.close()

    def add(self, chunk: Chunk) -> None:
        """Writes the rows of the next chunk."""
        self._waiting += [self._table(part, chunk.media) for part in parts_of(chunk.rows)]
        self._write(_ROWS_PER_GROUP)

    def add_stored(self, rows: pa.Table, row: int, line: int) -> None:
        """Writes rows of another snapshot without secrets; adds `row` and `line` to their numbers."""
        columns = dict(zip(rows.column_names, rows.columns, strict=True))
        columns["row"] = pc.add(columns["row"], row) if row else columns["row"]
        columns["line"] = pc.add(columns["line"], line) if line else columns["line"]
        self._waiting.append(pa.table([columns[name] for name in _SCHEMA.names], schema=_SCHEMA))
        self._write(_ROWS_PER_GROUP)

    def _write(self, fewest: int) -> None:
        """Writes full groups of rows, and the last one if it has at least `fewest` rows.

        The groups depend on the rows only, so that a table has the same snapshot however it is read.
        """
        while (waiting := sum(map(len, self._waiting))) >= fewest:
            rows = pa.concat_tables(self._waiting)
            self._finish_group()
            self._group = self._thread.submit(self._write_group, rows.slice(0, _ROWS_PER_GROUP))
            self._waiting = [rows.slice(_ROWS_PER_GROUP)] if waiting > _ROWS_PER_GROUP else []

    def _write_group(self, rows: pa.Table) -> None:
        self._writer.write_table(rows.combine_chunks(), row_group_size=_ROWS_PER_GROUP)

    def _finish_group(self) -> None:
        if self._group is not None:
            self._group.result()

    def _table(self, part: RowBatch | Sequence[PromptRow], media: Mapping[str, Path]) -> pa.Table:
        if isinstance(part, RowBatch):
            columns = self._columns(part)
        else:
            records = [_record_of(row, media) for row in part]
            columns = {name: [record[name] for record in records] for name in _SCHEMA.names}
        self._note_secret(columns)
        return pa.table(columns, schema=_SCHEMA)

    def _columns(self, batch: RowBatch) -> dict[str, Sequence[Any]]:
        prompts, negatives, _ = batch.own
        seeds = batch.normal[2]
        shapes = zip(batch.templates, negatives, seeds, strict=True)
        stored = [self._parameters_of(template, text is not None, seed is not None) for template, text, seed in shapes]
        return {
            "prompt_id": batch.prompt_ids,
            "positive_prompt": prompts,
            "parameters": [each.text(*own) for each, *own in zip(stored, negatives, seeds, strict=True)],
            "extra": [list(extra.items()) for extra in batch.extras()],
            "hidden": [each.hidden for each in stored],
            "media": [()] * len(batch),
            "row": batch.numbers,
            "line": batch.lines,
            "file": [batch.file] * len(batch),
        }

    def _parameters_of(self, template: RequestTemplate, has_negative: bool, has_seed: bool) -> _Parameters:
        shape = (template, has_negative, has_seed)
        if shape not in self._parameters:
            self._parameters[shape] = _Parameters.of(template, has_negative=has_negative, has_seed=has_seed)
        return self._parameters[shape]

    def _note_secret(self, columns: Mapping[str, Sequence[Any]]) -> None:
        if not self.first_secret:
            found = next((at for at, hidden in enumerate(columns["hidden"]) if hidden), None)
            if found is not None:
                self.first_secret = f"row {columns['row'][found]}, column {columns['hidden'][found][0]}"


class _Parameters(NamedTuple):
    """The JSON of the parameters that a template gives, around those of a row, and the parameters with secrets."""

    parts: tuple[str, ...]
    has_negative: bool
    hidden: list[str]

    @classmethod
    def of(cls, template: RequestTemplate, *, has_negative: bool, has_seed: bool) -> Self:
        example = template.request(("A red kite", "blurry" if has_negative else None, 0 if has_seed else None))
        hidden: list[str] = []
        parameters = _stored_value("", example.as_written(), hidden)
        parts = ["{"]
        for name, value in parameters.items():
            if name == "positivePrompt":
                continue
            parts[-1] += f"{'' if parts == ['{'] else ','}{_json(name)}:"
            if name in ("negativePrompt", "seed"):
                parts.append("")
            else:
                parts[-1] += _json(value)
        parts[-1] += "}"
        return cls(tuple(parts), has_negative, hidden)

    def text(self, negative_prompt: str | None, seed: int | None) -> str:
        """Returns the JSON for one row."""
        if len(self.parts) == 1:
            return self.parts[0]
        if len(self.parts) == 2:
            return f"{self.parts[0]}{_json(negative_prompt) if self.has_negative else seed}{self.parts[1]}"
        return f"{self.parts[0]}{_json(negative_prompt)}{self.parts[1]}{seed}{self.parts[2]}"


def _json(value: Any) -> str:
    return to_json(value).decode()


def _record_of(row: PromptRow, media: Mapping[str, Path]) -> dict[str, Any]:
    hidden: list[str] = []
    parameters = _stored_value("", row.request.as_written(), hidden)
    return {
        "prompt_id": row.prompt_id,
        "positive_prompt": parameters.pop("positivePrompt", ""),
        "parameters": _json(parameters),
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
