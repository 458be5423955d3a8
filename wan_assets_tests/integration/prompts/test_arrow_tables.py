"""Tables in memory that are no DataFrames of pandas: Arrow's, DuckDB's, and datasets of Hugging Face."""

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from wan_assets import PromptTable
from wan_assets.errors import PromptTableError
from wan_assets.prompts import scan, signature_of

ROWS = [{"prompt": f"A kite {at}", "resolution": "480p", "seed": at} for at in range(25)]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.Table.from_pylist(ROWS)


def forms_of(table: pa.Table) -> dict[str, Any]:
    return {
        "table": table,
        "batch": table.combine_chunks().to_batches()[0],
        "reader": table.to_reader(max_chunksize=7),
        "dataset": ds.dataset(table),
        "scanner": ds.dataset(table).scanner(),
        "relation": duckdb.from_arrow(table),
        "hugging face": Dataset.from_list(ROWS),
        "iterable": Dataset.from_list(ROWS).to_iterable_dataset(num_shards=2),
    }


@pytest.mark.parametrize(
    "form", ["table", "batch", "reader", "dataset", "scanner", "relation", "hugging face", "iterable"]
)
def test_every_form_of_a_table_has_the_same_rows(table: pa.Table, form: str) -> None:
    expected = PromptTable.load(ROWS)

    found = PromptTable.load(forms_of(table)[form])

    assert found.problems == ()
    assert found.requests == expected.requests


@pytest.mark.parametrize("form", ["table", "dataset", "relation", "hugging face", "iterable"])
def test_the_signature_of_a_table_is_that_of_its_rows(table: pa.Table, form: str) -> None:
    changed = pa.Table.from_pylist([*ROWS[:-1], {**ROWS[-1], "seed": 99}])

    assert signature_of(forms_of(table)[form]) == signature_of(forms_of(table)[form])
    assert signature_of(forms_of(changed)["table"]) != signature_of(forms_of(table)["table"])


def test_a_stream_is_read_in_pieces(table: pa.Table) -> None:
    read = []

    def batches() -> Any:
        for batch in table.to_batches(max_chunksize=5):
            read.append(batch)
            yield batch

    chunks = scan(pa.RecordBatchReader.from_batches(table.schema, batches()), 5)
    next(chunks)

    assert len(read) < 5


def test_a_stream_that_was_read_before_says_so(table: pa.Table) -> None:
    reader = table.to_reader()
    PromptTable.load(reader)

    for read in (PromptTable.load, signature_of):
        with pytest.raises(PromptTableError, match=r"can be read only once.*read_all"):
            read(reader)


def test_selected_and_shuffled_rows_of_a_dataset_are_those_that_it_shows() -> None:
    dataset = Dataset.from_list(ROWS).shuffle(seed=1).select([3, 0, 5])

    assert [row.request.seed for row in PromptTable.load(dataset).rows] == dataset["seed"][:]


def test_splits_are_an_error_that_names_them(tmp_path: Path) -> None:
    splits = DatasetDict({"train": Dataset.from_list(ROWS), "val": Dataset.from_list(ROWS[:2])})
    splits.save_to_disk(tmp_path / "saved")

    with pytest.raises(PromptTableError, match=r"the DatasetDict has the splits train, val: pass one .*\['train'\]"):
        PromptTable.load(splits)
    for read in (PromptTable.load, signature_of):
        with pytest.raises(PromptTableError, match=r"is a saved dataset with the splits train, val: .*saved/train"):
            read(tmp_path / "saved")
    assert len(PromptTable.load(tmp_path / "saved" / "val")) == 2
    assert len(PromptTable.load({"monday": splits["train"].select([0]), "tuesday": splits["val"].select([1])})) == 2


def test_a_folder_of_save_to_disk_is_its_dataset(tmp_path: Path) -> None:
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "one", num_shards=2)
    before = signature_of(tmp_path / "one")

    assert PromptTable.load(tmp_path / "one").requests == PromptTable.load(ROWS).requests
    assert signature_of(tmp_path / "one") == before

    next((tmp_path / "one").glob("*.arrow")).unlink()
    assert signature_of(tmp_path / "one") != before
    with pytest.raises(PromptTableError, match="is not a complete saved dataset"):
        PromptTable.load(tmp_path / "one")


@pytest.mark.parametrize("is_encoded", [False, True])
def test_a_binary_cell_does_not_depend_on_other_rows(tmp_path: Path, is_encoded: bool) -> None:
    prompts = pa.array([f"A kite {at} \u00e9 ".encode() for at in range(20)], pa.binary())
    images = pa.array([b"plain" if at else b"\xff\x00" for at in range(20)], pa.binary())
    rows = pa.table({"prompt": prompts, "note": images, "resolution": ["480p"] * 20})
    encoded = rows.set_column(0, "prompt", prompts.dictionary_encode()) if is_encoded else rows
    pq.write_table(encoded, tmp_path / "prompts.parquet")

    for source in (encoded, encoded.slice(1), tmp_path / "prompts.parquet"):
        found = PromptTable.load(source)
        assert found.problems == ()
        assert found.requests[-1].as_written()["positivePrompt"] == "A kite 19 \u00e9 "
        assert found.rows[-1].extra["note"] == "plain"


def test_a_prompt_of_bytes_that_are_no_text_is_a_problem_and_no_other_prompt() -> None:
    frame = pd.DataFrame({"prompt": ["A kite", b"A kite\xff"], "resolution": ["480p"] * 2}, dtype=object)

    (problem,) = PromptTable.load(frame).problems
    assert (problem.row, problem.column, problem.rule) == (2, "positive_prompt", "must be text, not bytes")


@pytest.mark.parametrize("column", [pd.Series(["A kite"]), pa.chunked_array([["A kite"]])])
def test_a_single_column_is_no_table(column: Any) -> None:
    with pytest.raises(PromptTableError, match=r"is a single column; pass a table in which it has a name"):
        PromptTable.load(column)
