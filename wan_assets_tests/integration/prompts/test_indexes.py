"""The index of a DataFrame, and what pandas makes of it in Parquet and Arrow: a column if it has a name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from wan_assets.prompts import PromptSource, PromptTable

FORMS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "DataFrame": lambda frame, _: frame,
    "Parquet": lambda frame, folder: (frame.to_parquet(folder / "t.parquet"), folder / "t.parquet")[1],
    "Arrow": lambda frame, _: pa.Table.from_pandas(frame),
}
LAST = {**FORMS, "records": lambda frame, _: frame.reset_index().to_dict("records")}


def frame_of(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"prompt": ["A kite", "A boat", "A tree"], "resolution": "720p", **columns})


def rows_of(source: Any) -> list[tuple[str, int | None]]:
    table = PromptTable.load(source)
    assert not table.problems
    return [(row.prompt_id, row.request.seed) for row in table.rows]


@pytest.mark.parametrize("form", LAST)
@pytest.mark.parametrize("ids", [[1, 2, 3], [1, 3, 2], [101, 201, 301], [7, 6, 5], ["a", "b", "c"]], ids=str)
def test_an_index_with_the_name_of_the_id_is_the_id(tmp_path: Path, form: str, ids: list[Any]) -> None:
    frame = frame_of(prompt_id=ids).set_index("prompt_id")

    assert [found for found, _ in rows_of(LAST[form](frame, tmp_path))] == list(map(str, ids))


@pytest.mark.parametrize("form", LAST)
@pytest.mark.parametrize("seeds", [[7, 8, 9], [11, 5, 9]], ids=str)
def test_an_index_sets_its_parameter(tmp_path: Path, form: str, seeds: list[int]) -> None:
    frame = frame_of(seed=seeds, prompt_id=["a", "b", "c"]).set_index("seed")

    assert rows_of(LAST[form](frame, tmp_path)) == list(zip("abc", seeds, strict=True))


@pytest.mark.parametrize("form", LAST)
def test_the_levels_of_an_index_are_columns(tmp_path: Path, form: str) -> None:
    frame = frame_of(prompt_id=["a", "b", "c"], seed=[1, 2, 3]).set_index(["prompt_id", "resolution"])

    assert rows_of(LAST[form](frame, tmp_path)) == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("index", [[5, 6, 7], [5, 7, 6], ["x", "y", "z"]], ids=str)
def test_an_index_without_a_name_is_left_out(tmp_path: Path, form: str, index: list[Any]) -> None:
    frame = frame_of(prompt_id=["a", "b", "c"])
    frame.index = pd.Index(index)

    table = PromptTable.load(FORMS[form](frame, tmp_path))

    assert [(row.prompt_id, dict(row.extra)) for row in table.rows] == [("a", {}), ("b", {}), ("c", {})]


def test_a_column_is_preferred_to_an_index_of_its_name() -> None:
    frame = frame_of(prompt_id=["a", "b", "c"])
    frame.index = pd.Index(["x", "y", "z"], name="prompt_id")

    assert [found for found, _ in rows_of(frame)] == ["a", "b", "c"]


def test_a_range_is_right_in_each_batch_and_not_that_of_a_part_of_the_table(tmp_path: Path) -> None:
    count = 40_000
    frame = pd.DataFrame({"prompt": [f"Kite {n}" for n in range(count)], "resolution": "720p"})
    frame.index = pd.RangeIndex(10, 10 + 2 * count, 2, name="prompt_id")
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=7_000)
    table = pa.Table.from_pandas(frame)

    for source in (tmp_path / "t.parquet", table, frame):
        found = PromptTable.load(source).rows
        assert [row.prompt_id for row in found] == [str(n) for n in frame.index]
    part = PromptTable.load(table.slice(5, 3)).rows
    assert {row.prompt_id[:2] for row in part} == {"p-"}, "pandas does not know which part of the range it is, either"


def test_a_named_index_can_be_mapped(tmp_path: Path) -> None:
    frame = frame_of().set_index(pd.Index([3, 4, 5], name="number"))

    for form in FORMS.values():
        assert [seed for _, seed in rows_of(PromptSource(form(frame, tmp_path), {"seed": "number"}))] == [3, 4, 5]
