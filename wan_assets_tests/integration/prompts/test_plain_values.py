"""Values of NumPy and pandas are those of Python, whichever way a table comes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wan_assets.prompts import PromptSource, PromptTable

USUAL = {"prompt_id": "k", "prompt": "A kite", "resolution": "720p"}
_VIEWS = {pa.binary(): pa.binary_view(), pa.string(): pa.string_view()}
NESTED = {"meta": {"takes": [{"seed": 7}]}, "others": [{"seed": 7}], "seeds_tried": [7, 8]}


def forms_of(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
    """A table of one row in each form."""
    table = pa.table({name: [value] for name, value in row.items()})
    pq.write_table(table, folder / "t.parquet")
    frame = pd.read_parquet(folder / "t.parquet")
    return {
        "Parquet": folder / "t.parquet",
        "Arrow": table,
        "pandas": frame,
        "views, as polars has": table.cast(
            pa.schema([(each.name, _VIEWS.get(each.type, each.type)) for each in table.schema])
        ),
        "records": frame.to_dict("records"),
        "list": [row],
    }


def row_of(source: Any) -> Any:
    table = PromptTable.load(source)
    assert not table.problems
    return table.rows[0]


@pytest.mark.parametrize("path", ["meta.takes.0.seed", "others.0.seed", "seeds_tried.0"])
def test_a_path_leads_through_nested_lists_of_every_form(tmp_path: Path, path: str) -> None:
    found = {
        name: row_of(PromptSource(source, {"seed": path}))
        for name, source in forms_of(tmp_path, USUAL | NESTED).items()
    }

    assert {name: row.request.seed for name, row in found.items()} == dict.fromkeys(found, 7)
    assert len({row.fingerprint for row in found.values()}) == 1
    assert len({str(dict(row.extra)) for row in found.values()}) == 1


def test_objects_with_lists_are_parameters_in_every_form(tmp_path: Path) -> None:
    image = {"inputs": {"frame_images": ["https://example.com/a.png"]}}

    found = [row_of(source) for source in forms_of(tmp_path, USUAL | image).values()]

    assert len({row.fingerprint for row in found}) == 1
    assert found[0].request.inputs


@pytest.mark.parametrize(("content", "text"), [(b"abc", "abc"), ("Möwe".encode(), "Möwe"), (b"\xff\xd8", "/9g=")])
def test_binary_cells_are_text_if_they_can_be(tmp_path: Path, content: bytes, text: str) -> None:
    found = [row_of(source) for source in forms_of(tmp_path, USUAL | {"note": content, "prompt": b"A kite"}).values()]

    assert {row.extra["note"] for row in found} == {text}
    assert {row.request.positive_prompt for row in found} == {"A kite"}


def test_numbers_and_arrays_of_numpy_are_numbers_and_lists() -> None:
    given = {"seed": np.int64(85), "prompt_id": np.int64(3), "prompt_extend": np.bool_(True), "emb": np.arange(2_000)}
    row = row_of([{**USUAL, **given, "size": np.float32(0.5), "name": np.str_("x")}])

    assert (row.prompt_id, row.request.seed) == ("3", 85)
    assert row.extra == {"emb": str(list(range(2_000))), "size": "0.5", "name": "x"}
    nested = pd.DataFrame([{**USUAL, "meta": {"seed": np.int64(5), "list": np.array([1, 2])}}])
    assert row_of(PromptSource(nested, {"seed": "meta.seed"})).request.seed == 5


@pytest.mark.parametrize("missing", [pd.NaT, pd.NA, None, float("nan")], ids=repr)
def test_a_missing_value_is_missing_also_inside_of_objects(missing: Any) -> None:
    row = row_of([{**USUAL, "shot_on": missing, "meta": {"d": missing, "more": [missing]}, "seed": missing}])
    mapped = row_of(PromptSource([{**USUAL, "meta": {"seed": missing}}], {"seed": "meta.seed"}))
    frame = row_of(pd.DataFrame([{**USUAL, "meta": {"d": missing}}]))

    assert row.extra == {"meta": '{"d": null, "more": [null]}'}
    assert row.request.seed is mapped.request.seed is None
    assert frame.extra == {"meta": '{"d": null}'}
