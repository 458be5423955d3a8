"""Hive-partitioned folders: the names of folders are cells of the tables below them."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from upath import UPath

from wan_assets import PromptSource, PromptTable
from wan_assets.errors import PromptTableError
from wan_assets.prompts import findings_of, signature_of

COLUMNS = {"prompt": ["A kite", "A hill"], "resolution": ["480p", "480p"]}


def part(folder: Path, name: str, **columns: list[object]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({**COLUMNS, **columns}).to_parquet(path)
    return path


def test_a_dataset_that_arrow_writes_is_read_as_one_table(tmp_path: Path) -> None:
    table = pa.table({**COLUMNS, "date": ["2026-01-01", "2026-01-02"], "campaign": ["a b", None]})
    ds.write_dataset(table, tmp_path, format="parquet", partitioning=["date", "campaign"], partitioning_flavor="hive")

    found = PromptTable.load(tmp_path)

    assert found.problems == ()
    assert [(row.request.positive_prompt, dict(row.extra)) for row in found.rows] == [
        ("A kite", {"date": "2026-01-01", "campaign": "a b"}),
        ("A hill", {"date": "2026-01-02"}),
    ]
    assert found.rows[0].file.startswith("date=2026-01-01/campaign=a%20b/")


def test_only_folders_of_partitions_are_entered(tmp_path: Path) -> None:
    part(tmp_path, "date=1/a.parquet")
    part(tmp_path, "top.parquet")
    for name in ("sub/x.parquet", "date=1/sub/x.parquet", ".date=2/x.parquet", "_temporary/date=1/x.parquet"):
        part(tmp_path, name)
    (tmp_path / "date=1" / "_SUCCESS").touch()
    (tmp_path / "date=1" / ".a.csv").write_text("x")
    (tmp_path / "date=1" / "loop=1").symlink_to(tmp_path)

    rows = PromptTable.load(tmp_path).rows

    assert [(row.file, row.extra.get("date")) for row in rows[::2]] == [
        ("date=1/a.parquet", "1"),
        ("top.parquet", None),
    ]


def test_a_pattern_has_the_columns_too_and_a_single_file_has_none(tmp_path: Path) -> None:
    path = part(tmp_path, "date=1/place=S%C3%A3o%2F/a.parquet")

    assert dict(PromptTable.load(tmp_path / "*" / "*" / "*.parquet").rows[0].extra) == {"date": "1", "place": "São/"}
    assert dict(PromptTable.load(path).rows[0].extra) == {}
    assert dict(PromptTable.load(tmp_path / "date=1").rows[0].extra) == {"place": "São/"}


def test_a_partition_may_be_a_parameter(tmp_path: Path) -> None:
    for resolution in ("480p", "720p"):
        path = tmp_path / f"resolution={resolution}" / "a.csv"
        path.parent.mkdir()
        path.write_text("text\nA kite\n")

    found = PromptTable.load(PromptSource(tmp_path, columns={"positive_prompt": "text"}))

    assert [row.request.resolution for row in found.rows] == ["480p", "720p"]


def test_a_cell_that_differs_from_its_folder_is_a_problem_and_an_equal_or_empty_one_is_not(tmp_path: Path) -> None:
    part(tmp_path, "shard=7/a.parquet", shard=[7, None])
    part(tmp_path, "shard=8/b.parquet", shard=["8", "9"])

    found = PromptTable.load(tmp_path)

    (problem,) = found.problems
    assert (problem.file, problem.row, problem.value) == ("shard=8/b.parquet", 2, "9")
    assert problem.rule == "column shard differs from the folder 'shard=8'"
    assert [row.extra["shard"] for row in found.rows] == ["7", "7", "8"]


def test_cells_that_differ_from_their_folders_are_one_finding_for_each_column(tmp_path: Path) -> None:
    for value in ("alpha", "beta", "it's", "7", "__HIVE_DEFAULT_PARTITION__"):
        part(tmp_path, f"campaign={value}/a.parquet", campaign=["ALPHA", value.strip("_")])
    part(tmp_path, "mood=low/a.parquet", mood=["high", "low"])

    found = findings_of(PromptTable.load(tmp_path).problems)

    assert [(each.count, each.first.rule) for each in found] == [
        (6, "column campaign differs from the folder 'campaign=7'"),
        (1, "column mood differs from the folder 'mood=low'"),
    ]


def test_json_lines_with_other_fields_in_each_row_have_the_columns(tmp_path: Path) -> None:
    (tmp_path / "date=1").mkdir()
    lines = [
        '{"prompt": "A kite", "resolution": "480p"}',
        '{"resolution": "480p", "prompt": "A hill", "date": "2"}',
        "nonsense",
    ]
    (tmp_path / "date=1" / "a.jsonl").write_text("\n".join(lines))

    found = PromptTable.load(tmp_path)

    assert [row.extra["date"] for row in found.rows] == ["1"]
    assert [problem.row for problem in found.problems] == [2, 3]


def test_a_renamed_partition_changes_the_signature(tmp_path: Path) -> None:
    part(tmp_path, "date=1/a.parquet")
    before = signature_of(tmp_path)

    (tmp_path / "date=1").rename(tmp_path / "date=2")

    assert signature_of(tmp_path) != before


def test_a_column_twice_in_the_folders_and_a_link_out_of_them_are_errors(tmp_path: Path) -> None:
    part(tmp_path / "a", "date=1/date=2/a.parquet")
    outside = part(tmp_path / "out", "x.parquet")
    part(tmp_path / "b", "date=1/a.parquet")
    (tmp_path / "b" / "date=1" / "x.parquet").symlink_to(outside)

    with pytest.raises(PromptTableError, match="two folders for the column date"):
        PromptTable.load(tmp_path / "a")
    with pytest.raises(PromptTableError, match="is a link to a file outside"):
        PromptTable.load(tmp_path / "b")


@pytest.mark.parametrize(("entry", "kind"), [("_delta_log", "Delta"), (".hoodie", "Hudi")])
def test_a_table_whose_folder_contains_former_versions_of_its_rows_is_refused(
    tmp_path: Path, entry: str, kind: str
) -> None:
    part(tmp_path, "date=1/a.parquet")
    part(tmp_path, "b.parquet")
    (tmp_path / entry).mkdir()
    (tmp_path / entry / "00000000000000000000.json").write_text("{}")

    url = f"memory://{kind.lower()}-table"
    UPath(url).fs.put(f"{tmp_path}/", f"{url}/", recursive=True)
    for source in (tmp_path, tmp_path / "*.parquet", tmp_path / "**" / "*.parquet", url, f"{url}/*.parquet"):
        with pytest.raises(PromptTableError, match=f"is a {kind} table, whose files also contain"):
            PromptTable.load(source)
    assert len(PromptTable.load(tmp_path / "b.parquet").rows) == 2
