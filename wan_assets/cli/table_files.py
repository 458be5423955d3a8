"""Writes a table of texts, counts and amounts as a CSV file that spreadsheets can open safely, or as Parquet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import click

from wan_assets.cli.display import counted, printable
from wan_assets.models import usd

FORMATS = (".csv", ".parquet")

_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What a text begins with that spreadsheets evaluate; the last four are the full-width forms of the first four."""

Kind: TypeAlias = Literal["text", "count", "usd", "microusd", "share"]


@dataclass(frozen=True)
class FileColumn:
    """One column of a file and its values; amounts in µ$ for both kinds of money columns, None if there is no value."""

    name: str
    kind: Kind
    values: Sequence[Any]


def write_table(path: Path, columns: Sequence[FileColumn]) -> str:
    """Writes a file in the format of its name, and returns a sentence about it; an old file is replaced atomically.

    Raises `click.UsageError` if the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        if path.suffix.lower() == ".csv":
            _write_csv(draft, columns)
        else:
            # Most reports need no file, and importing pyarrow takes as long as the report.
            import_module("wan_assets.cli.parquet_files").write_parquet(draft, columns)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise click.UsageError(f"--output {printable(str(path))}: the file cannot be written: {reason}") from None
    return f"{counted(len(columns[0].values), 'row')} written to {printable(str(path))}"


def _write_csv(path: Path, columns: Sequence[FileColumn]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([_safe(column.name) for column in columns])
        cells = ([_cell(value, column.kind) for value in column.values] for column in columns)
        writer.writerows(zip(*cells, strict=True))


def _cell(value: Any, kind: Kind) -> str:
    if value is None:
        return ""
    if kind == "text":
        return _safe(value)
    if kind == "usd":
        return f"{usd(value):.6f}"
    return f"{value:.6f}" if kind == "share" else str(value)


def _safe(text: str) -> str:
    """Returns a text that no spreadsheet evaluates as a formula, as OWASP recommends.

    >>> _safe("=1+1"), _safe("fall-sale")
    ("'=1+1", 'fall-sale')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text
