"""The selection of rows: conditions, ids, the first rows, and a stable sample."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_assets import PromptTable
from wan_assets.errors import SelectionError
from wan_assets.prompts import ChosenRows, PromptRow, RowSelection, scan

URL = "https://user:a-secret@example.com/?token=another-secret"
ROWS: list[dict[str, Any]] = [
    {"prompt_id": "kite", "prompt": "A kite", "resolution": "480p", "split": "train", "tags": "a,b"},
    {"prompt_id": "boat", "prompt": "A boat", "width": 1280, "height": 720, "split": "val"},
    {"prompt_id": "tram", "prompt": "A tram", "resolution": "720p", "duration": 10, "split": "val", "format": "webm"},
    {
        "prompt_id": "gull",
        "prompt": "A gull",
        "resolution": "480p",
        "provider_settings.alibaba.audio": False,
        "webhook_url": URL,
    },
]
TABLE = PromptTable.load(ROWS)
IDS = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=40, unique=True)


def rows_of(ids: list[str]) -> list[PromptRow]:
    template = TABLE.rows[0]
    return [
        PromptRow(number, prompt_id, template.request, {"x_number": str(number)})
        for number, prompt_id in enumerate(ids, 1)
    ]


def selected(table: PromptTable = TABLE, **selection: Any) -> str:
    return " ".join(row.prompt_id for row in RowSelection.of(**selection).of_table(table.rows))


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        ({}, "kite boat tram gull"),
        ({"limit": 2}, "kite boat"),
        ({"limit": 9}, "kite boat tram gull"),
        ({"select": ["split=val"]}, "boat tram"),
        ({"select": [" split = val , train "]}, "kite boat tram"),
        ({"select": ["split!=val"]}, "kite gull"),
        ({"select": ["split="]}, "gull"),
        ({"select": ["split!="]}, "kite boat tram"),
        ({"select": ["split!=val", "split!="]}, "kite"),
        ({"select": ['tags="a,b"']}, "kite"),
        ({"select": ["resolution=720P"]}, "boat tram"),
        ({"select": ["duration=5"]}, "kite boat gull"),
        ({"select": ["outputFormat=MP4"]}, "kite boat tram gull"),
        ({"select": ["prompt_id!=kite,boat"]}, "tram gull"),
        ({"select": ["provider_settings.alibaba.audio=False"]}, "gull"),
        ({"select": ["provider_settings.alibaba.audio=true"], "limit": 1}, "kite"),
        ({"select": ["prompt=A boat"]}, "boat"),
        ({"select": ["webhook_url!="]}, "gull"),
        ({"select": ["webhookURL="], "limit": 1}, "kite"),
        ({"ids": ["tram", "kite", "tram", " "]}, "kite tram"),
        ({"ids": ["tram", "boat"], "select": ["resolution=720p"], "limit": 1}, "boat"),
    ],
)
def test_a_selection_takes_the_rows_that_fulfil_all_of_it_in_the_order_of_the_table(
    selection: dict[str, Any], ids: str
) -> None:
    assert selected(**selection) == ids


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({"limit": 0}, "limit is 0, but must be 1 or more"),
        ({"sample": -1}, "sample is -1"),
        ({"limit": 1, "sample": 1}, "limit and sample are both given"),
        ({"select": ["split"]}, "is not of the form COLUMN=VALUE"),
        ({"select": ["=val"]}, "is not of the form COLUMN=VALUE"),
        ({"select": ['split="val']}, "unexpected end of data"),
        ({"select": ["splitt=val"]}, "no row has a value in the column splitt; did you mean split?"),
        ({"select": ["colour=red"]}, "the columns that stay with the rows are split, tags"),
        ({"select": ["resoluton=480p"]}, "did you mean resolution?"),
        ({"select": ["split=vall"]}, "no row has vall in the column split; did you mean val?"),
        ({"select": ["split=val,tset"]}, "no row has tset in the column split"),
        ({"select": ["split!=tset"]}, "its values are train, val"),
        ({"select": ["resolution="]}, "no row has an empty cell in the column resolution"),
        ({"select": ["id=kite"]}, "no row has a value in the column id; did you mean prompt_id?"),
        ({"select": [f"webhook_url={URL}"]}, "the column webhook_url may contain secrets"),
        ({"select": [f"split={URL}"]}, "no row has 'https://example.com/' in the column split"),
        ({"ids": ["kit", "boat"]}, "no row of the table has the prompt_id kit; did you mean kite?"),
        ({"ids": ["", " "]}, "ids are given, but all of them are empty"),
        ({"ids": ["zebra"]}, "its first ids are kite, boat, tram, gull"),
        ({"ids": ["kitte", "zebra"]}, "the prompt_ids kitte, zebra; did you mean kite instead of kitte?"),
        ({"select": ["split=val"], "ids": ["kite"]}, "no row of the table is selected by select split=val, ids=kite"),
    ],
)
def test_a_selection_that_the_table_does_not_have_is_an_error_with_the_closest_name(
    selection: dict[str, Any], said: str
) -> None:
    with pytest.raises(SelectionError) as error:
        selected(**selection)

    assert said in str(error.value)
    assert "secret" not in str(error.value).replace("contain secrets", "")
    assert not error.value.is_retryable


@given(IDS, st.integers(1, 20), st.integers(1, 20))
def test_a_larger_sample_contains_a_smaller_one(ids: list[str], one: int, other: int) -> None:
    rows = rows_of(ids)

    small, large = ({row.prompt_id for row in RowSelection(sample=size).taken(rows)} for size in sorted((one, other)))

    assert small <= large
    assert len(large) == min(max(one, other), len(ids))


@given(IDS, st.integers(1, 20), st.data())
def test_rows_that_are_added_replace_at_most_as_many_rows_of_a_sample(
    ids: list[str], size: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(ids))
    before = shuffled[: data.draw(st.integers(1, len(ids)))]
    selection = RowSelection(sample=size)

    first = {row.prompt_id for row in selection.taken(rows_of(before))}
    second = {row.prompt_id for row in selection.taken(rows_of(shuffled))}

    assert second - first <= set(ids) - set(before)
    assert len(first - second) <= len(second - first)


@pytest.mark.slow
@given(IDS, st.integers(1, 20), st.booleans(), st.integers(1, 7), st.data())
def test_a_table_that_is_read_in_chunks_has_the_same_selection(
    ids: list[str], size: int, is_sample: bool, chunk_rows: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.sampled_from(ids), unique=True))
    selection = RowSelection.of(**{"sample" if is_sample else "limit": size}, ids=wanted)
    table = [{"prompt_id": prompt_id, "prompt": "A kite", "resolution": "480p"} for prompt_id in ids]
    chosen = ChosenRows(selection)

    chunks = list(chosen.of(scan(table, chunk_rows)))

    whole = [row.prompt_id for row in selection.of_table(PromptTable.load(table).rows)]
    assert [row.prompt_id for chunk in chunks for row in chunk.rows] == whole == chosen.ids
    assert chosen.valid == sum(chunk.row_count for chunk in chunks) == len(ids)
    assert chosen.left_out == len(ids) - len(whole)
    chosen.verify()


def test_the_sample_of_a_table_is_the_same_in_every_release() -> None:
    rows = rows_of([f"row-{number}" for number in range(1000)])

    assert [row.prompt_id for row in RowSelection(sample=3).taken(rows)] == ["row-105", "row-145", "row-340"]


def test_spaces_at_the_ends_of_a_cell_do_not_matter() -> None:
    campaigns = ("spring", " spring ", "spring\t", "sum mer")
    rows = [
        {"prompt_id": name, "prompt": name, "resolution": "480p", "campaign": campaign}
        for name, campaign in zip("abcd", campaigns, strict=True)
    ]
    table = PromptTable.load(rows).rows

    for condition, expected in (("campaign=spring", "abc"), ("campaign!=spring", "d"), ('campaign=" spring "', "abc")):
        found = RowSelection.of(select=[condition]).of_table(table)
        assert "".join(row.prompt_id for row in found) == expected
