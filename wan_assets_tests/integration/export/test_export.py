"""Exports read back by the libraries that they are for, and kept in step."""

import hashlib
import json
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import webdataset
from engine_support import request_of
from export_support import Shelf, row_in, row_of

from wan_assets.dataset import write_manifest
from wan_assets.export import FORMATS
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
def shelf(tmp_path: Path) -> Shelf:
    """A store and a ledger in a folder of their own."""
    return Shelf(tmp_path)


def loaded(shelf: Shelf, *arguments: str, **options: str) -> datasets.DatasetDict:
    """A dataset as its users load it; what is prepared for that lies beside it."""
    return datasets.load_dataset(*arguments, cache_dir=str(shelf.folder / "hf"), **options)


def lying(found: datasets.DatasetDict, column: str = "video") -> list:
    """The rows of all splits, their videos as they lie there."""
    return [row for rows in found.values() for row in rows.cast_column(column, datasets.Video(decode=False))]


def samples_in(folder: Path) -> list:
    """The samples of all shards, as their users read them."""
    shards = sorted(str(path) for path in folder.rglob("*.tar"))
    return list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))


def out(shelf: Shelf) -> Path:
    return shelf.folder / "out"


def manifest_of(shelf: Shelf, table: PromptTable):
    """What the manifest says of each file."""
    written = write_manifest("m", table, store=shelf.store, ledger=shelf.ledger)
    return {(row["prompt_id"], row["result"]): row for row in pq.read_table(written.uri).to_pylist()}


def sha256_of(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def plain(value):
    """A value as records of JSON have it where it may be missing."""
    return "" if value is None else f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def test_a_videofolder_gives_every_row_of_the_manifest_back_with_its_video(shelf):
    table = shelf.buy(*VARIED)
    expected = manifest_of(shelf, table)

    shelf.export(table, "videofolder")

    found = loaded(shelf, "videofolder", data_dir=str(out(shelf)))
    rows = {(row["prompt_id"].strip(), row["result"]): row for row in lying(found)}
    assert set(found) == {"train", "validation"}
    assert rows.keys() == expected.keys()
    assert len(rows) == sum(split.num_rows for split in found.values()) == 14
    for key, row in rows.items():
        said = expected[key]
        assert sha256_of(row["video"]["path"]) == said["sha256"]
        assert row["positive_prompt"].strip() == said["positive_prompt"]
        assert (row["width"], row["fps"], row["has_audio"]) == (said["width"], said["fps"], said["has_audio"])
        assert row["requested_seed"] == plain(said["requested_seed"])
        assert row["negative_prompt"] == plain(said["negative_prompt"])
        assert (row["cost_usd"], row["extra"]) == (plain(said["cost_usd"]), said["extra"])


def test_parquet_gives_every_row_back_in_the_manifests_own_types(shelf):
    table = shelf.buy(*VARIED)
    expected = manifest_of(shelf, table)

    shelf.export(table, "parquet")

    rows = [row for split in loaded(shelf, str(out(shelf))).values() for row in split]
    assert len(rows) == 14
    for row in rows:
        said = expected[row["prompt_id"], row["result"]]
        assert sha256_of(out(shelf) / row.pop("file_name")) == said["sha256"]
        assert row == {name: value for name, value in said.items() if name != "uri"}


def test_webdataset_gives_every_row_back_with_its_video_and_prompt(shelf):
    table = shelf.buy(*VARIED)
    expected = manifest_of(shelf, table)

    shelf.export(table, "webdataset", shard_bytes=10_000)

    rows = samples_in(out(shelf))
    assert len(list(out(shelf).rglob("*.tar"))) > 2
    assert len({row["__key__"] for row in rows}) == len(rows) == 14
    for row in rows:
        record = json.loads(row["json"])
        said = expected[record["prompt_id"].strip(), record["result"]]
        video = row[record["file_name"].rpartition(".")[2]]
        assert hashlib.sha256(video).hexdigest() == said["sha256"]
        assert row["txt"].decode().strip() == said["positive_prompt"]
        assert record["cost_usd"] == plain(said["cost_usd"])


@pytest.mark.parametrize("format_", FORMATS)
def test_an_export_loads_by_its_folder_alone_since_its_card_says_how(shelf, format_):
    rows = [row for row in VARIED if row.request.output_format == "MP4"]
    shelf.export(shelf.buy(*rows), format_)

    found = loaded(shelf, str(out(shelf)))

    assert set(found) == {"train", "validation"}
    assert sum(found[split].num_rows for split in found) == len(rows) == 11


@pytest.mark.parametrize("format_", ["videofolder", "webdataset"])
@pytest.mark.parametrize("moment", ["2026-01-01", "2026-01-01T10", "2026-01-01 10:00", "2026-01-01T00:00:00+01:00"])
def test_text_that_reads_as_a_moment_does_not_become_one_nor_part_the_splits(shelf, format_, moment):
    apart = [row_in("validation", moment, prompt=moment), row_in("train", "kite"), row_in("train", "boat")]

    shelf.export(shelf.buy(*apart), format_)

    found = loaded(shelf, str(out(shelf)))["validation"]
    said = found.select_columns(["json"] if format_ == "webdataset" else ["prompt_id", "positive_prompt"])
    rows = [row.get("json", row) for row in said]
    assert [(row["prompt_id"], row["positive_prompt"]) for row in rows] == [(f"{moment} ", f"{moment} ")]
