"""Exports read back by the libraries that they are for, and kept in step."""

import hashlib
import io
import json
import os
import tarfile
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import webdataset
from engine_support import request_of
from export_support import Shelf, changed, files_in, row_of
from upath import UPath

from wan_assets.dataset import write_manifest
from wan_assets.errors import ExportError, PromptTableError
from wan_assets.export import FORMATS, ExportOptions, export_dataset, split_of
from wan_assets.prompts import PromptTable

VARIED = (
    row_of("kite", request_of("Ein Drache über Köln", seed=11, negative_prompt="rain"), 1, note="n"),
    row_of("two", request_of("Two boats", number_results=2, output_format="WEBM"), 2),
    row_of("2026-01-01", request_of("2026-01-01"), 3),
    row_of("mov", request_of("A tea house", output_format="MOV", width=854, height=480, resolution=None), 4),
    row_of("kite-again", request_of("Ein Drache über Köln", seed=11, negative_prompt="rain"), 5),
    *(row_of(f"p{number}", number=number) for number in range(6, 14)),
)
"""Rows of which some give what others leave out, with two that share a video and one of two results."""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A store and a ledger; what `datasets` prepares lies beside them."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    return Shelf(tmp_path)


def loaded(*arguments, **options):
    """A dataset as its users load it, its videos as they lie there."""
    found = datasets.load_dataset(*arguments, **options)
    return {split: rows.cast_column("video", datasets.Video(decode=False)) for split, rows in found.items()}


def manifest_of(shelf: Shelf, table: PromptTable):
    """What the manifest says of each file."""
    written = write_manifest("m", table, store=shelf.store, ledger=shelf.ledger)
    return {(row["prompt_id"], row["result"]): row for row in pq.read_table(written.uri).to_pylist()}


def plain(value):
    """A value as records of JSON have it where it may be missing."""
    return "" if value is None else f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def test_a_videofolder_gives_every_row_of_the_manifest_back_with_its_video(shelf):
    table = shelf.buy(*VARIED)
    expected = manifest_of(shelf, table)

    shelf.export(table, "videofolder")

    found = loaded("videofolder", data_dir=str(shelf.folder / "out"))
    rows = {(row["prompt_id"].strip(), row["result"]): row for split in found.values() for row in split}
    assert set(found) == {"train", "validation"}
    assert rows.keys() == expected.keys()
    assert len(rows) == sum(split.num_rows for split in found.values()) == 14
    for key, row in rows.items():
        said = expected[key]
        assert hashlib.sha256(Path(row["video"]["path"]).read_bytes()).hexdigest() == said["sha256"]
        assert row["positive_prompt"].strip() == said["positive_prompt"]
        assert (row["width"], row["fps"], row["has_audio"]) == (said["width"], said["fps"], said["has_audio"])
        assert (row["asked_seed"], row["negative_prompt"]) == (plain(said["asked_seed"]), plain(said["negative_prompt"]))
        assert (row["cost_usd"], row["extra"]) == (plain(said["cost_usd"]), said["extra"])


@pytest.mark.parametrize("format_", ["videofolder", "parquet"])
def test_an_export_loads_by_its_folder_alone_since_its_card_says_how(shelf, format_):
    shelf.export(shelf.buy(*VARIED), format_)

    found = datasets.load_dataset(str(shelf.folder / "out"))

    assert sum(rows.num_rows for rows in found.values()) == 14
    assert set(found) == {"train", "validation"}
