"""Options of commands that read a table: columns, default values, extra columns, and problems by kind."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from gallery_support import content_of
from rich.cells import cell_len

from wan_assets import PromptTable
from wan_assets.cli import cli
from wan_assets.definitions import definitions_of
from wan_assets.prompts import prompt_source_from
from wan_assets.settings import settings_from

MAPPED = ("--column", "positive_prompt=sentence", "--default", "resolution=480p", "--default", "output_format=MP4")


def invoked(*arguments: Any, columns: int = 100) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], env={"COLUMNS": str(columns)})


def table_in(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def tagged(folder: Path) -> Path:
    return table_in(
        folder,
        {"sentence": "A kite", "id": "kite", "motion_level": "low"},
        {"sentence": "A boat", "id": "boat", "motion_level": "high"},
    )


def test_plan_shows_the_columns_that_it_used(tmp_path: Path) -> None:
    shown = invoked("plan", tagged(tmp_path), *MAPPED)
    reported = json.loads(invoked("plan", tagged(tmp_path), *MAPPED, "--json").stdout)

    assert shown.exit_code == 0
    for line in ("column sentence", "column id (a common name)", "default 480p", "kept with the row   motion_level"):
        assert line in shown.stdout
    assert reported["columns"] == {"positive_prompt": ["sentence"], "prompt_id": ["id"]}
    assert reported["recognized"] == ["prompt_id"]
    assert reported["defaults"] == {"resolution": "480p", "output_format": "MP4"}
    assert reported["extra_columns"] == ["motion_level"]
    assert (reported["problem_count"], reported["problems"], reported["findings"]) == (0, [], [])


def test_plan_of_a_table_with_the_names_of_the_parameters_has_no_list_of_columns(tmp_path: Path) -> None:
    shown = invoked("plan", table_in(tmp_path, {"prompt_id": "a", "positive_prompt": "A kite", "resolution": "480p"}))

    assert shown.exit_code == 0
    assert "Columns" not in shown.stdout


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_a_thousand_rows_without_a_size_are_one_finding_that_fits_the_terminal(tmp_path: Path, columns: int) -> None:
    path = table_in(tmp_path, *({"prompt": f"A kite {number}"} for number in range(1003)))

    shown = invoked("plan", path, columns=columns)

    text = " ".join(shown.stdout.split())
    assert shown.exit_code == 1
    assert "1,003 problems of 1 kind" in text
    assert "1, 2, 3, 4, 5, …" in text
    assert text.count("no size") == 1
    table, _, _ = shown.stdout.partition("--json lists all problems")
    assert max(map(cell_len, table.splitlines())) <= columns
    assert len(table.splitlines()) < 20


def test_the_json_of_plan_lists_every_problem_and_the_findings(tmp_path: Path) -> None:
    path = table_in(tmp_path, *({"prompt": "A kite", "resolution": "9p"} for _ in range(12_000)))

    reported = json.loads(invoked("plan", path, "--json").stdout)

    assert reported["problem_count"] == len(reported["problems"]) == 12_000
    assert [problem["row"] for problem in reported["problems"][-2:]] == [11_999, 12_000]
    assert [(each["count"], each["column"], each["value"]) for each in reported["findings"]] == [
        (12_000, "resolution", "9p")
    ]


def test_materialize_names_each_kind_once(tmp_path: Path) -> None:
    path = table_in(tmp_path, *({"prompt": "A kite", "seed": "x"} for _ in range(20)))

    shown = invoked("materialize", path, "--data-dir", tmp_path / "out")

    assert shown.exit_code == 2
    assert "has 40 problems:" in shown.output
    assert shown.output.count("20 rows (1, 2, 3, 4, 5, …)") == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--column", "positive_prompt"), "'positive_prompt' is not of the form PARAMETER=COLUMN"),
        (("--default", "=480p"), "is not of the form PARAMETER=VALUE"),
        (("--default", "seed=1", "--default", "seed=2"), "seed is given twice"),
        (("--default", "resolution=481p"), "defaults: resolution=481p: use"),
        (("--default", "sed=1"), "did you mean seed?"),
        (("--column", "positive_prompt=sentense"), "did you mean sentence?"),
        (("--extra", "drop"), "'drop' is not one of"),
    ],
)
def test_an_option_that_cannot_be_meant_ends_the_command_with_the_reason(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    shown = invoked("plan", tagged(tmp_path), *options)

    assert shown.exit_code == 2
    assert said in " ".join(shown.output.split())


def test_extra_columns_can_be_refused(tmp_path: Path) -> None:
    shown = invoked("plan", tagged(tmp_path), *MAPPED, "--extra", "refuse", columns=40)

    assert shown.exit_code == 1
    assert "motion_level" in shown.stdout
    assert "is not a column of a prompt table" in " ".join(shown.stdout.split())


@pytest.mark.slow
def test_gallery_reads_the_table_of_the_environment_with_its_options(tmp_path: Path) -> None:
    path, out = tagged(tmp_path), tmp_path / "out"
    options = json.dumps({"columns": {"prompt": "sentence"}, "defaults": {"resolution": "480p"}})
    invoked("demo", "--prompts", path, *MAPPED, "--data-dir", out, "--json")

    means = {"WAN_ASSETS_PROMPTS": str(path), "WAN_ASSETS_TABLE_OPTIONS": options}
    found = CliRunner().invoke(cli, ["gallery", "--data-dir", str(out), "--json"], env=means)
    wrong = CliRunner().invoke(cli, ["gallery", "--data-dir", str(out)], env={**means, "WAN_ASSETS_TABLE_OPTIONS": "x"})

    assert json.loads(found.stdout)["videos"] == 2
    assert (wrong.exit_code, "the options of the table are not valid JSON" in wrong.output) == (2, True)


@pytest.mark.slow
def test_demo_gallery_and_export_read_the_same_table_and_keep_its_extra_columns(tmp_path: Path) -> None:
    path, out = tagged(tmp_path), tmp_path / "out"

    made = invoked("demo", "--prompts", path, *MAPPED, "--data-dir", out, "--json")
    shown = invoked("demo", "--prompts", path, *MAPPED, "--data-dir", out)
    gallery = invoked("gallery", path, *MAPPED, "--data-dir", out, "--json")
    exported = invoked("export", path, *MAPPED, "--data-dir", out, "--format", "parquet", "--validation", "0")

    assert (made.exit_code, gallery.exit_code, exported.exit_code) == (0, 0, 0), (made.output, exported.output)
    options = shlex.split(shown.stdout.partition("WAN_ASSETS_TABLE_OPTIONS=")[2].partition("\\")[0])[0]
    settings = settings_from({"WAN_ASSETS_PROMPTS": str(path), "WAN_ASSETS_TABLE_OPTIONS": options}, out)
    assert not PromptTable.load(prompt_source_from(settings.prompts, settings.table_options)).problems
    dg.Definitions.validate_loadable(definitions_of(settings))
    summary = content_of(Path(json.loads(gallery.stdout)["index"]).parent / "summary.js")
    assert summary["extra"] == [["motion_level", [["high", 1], ["low", 1]]]]
    (data,) = (out / "exports" / "parquet").rglob("*.parquet")
    rows = pq.read_table(data).select(["prompt_id", "extra"]).to_pylist()
    assert {row["prompt_id"]: json.loads(row["extra"]) for row in rows} == {
        "kite": {"motion_level": "low"},
        "boat": {"motion_level": "high"},
    }


@pytest.mark.slow
def test_seeds_and_variants_are_options_of_the_commands(tmp_path: Path) -> None:
    path, out = tagged(tmp_path), tmp_path / "out"
    options = (*MAPPED, "--seeds", "2", "--variant", "prompt_extend=true,false")

    shown = invoked("plan", path, *options)
    reported = json.loads(invoked("plan", path, *options, "--select", "experiment=kite", "--json").stdout)
    made = json.loads(invoked("materialize", path, *options, "--data-dir", out, "--limit", "2", "--json").stdout)
    again = json.loads(invoked("materialize", path, *options, "--data-dir", out, "--limit", "2", "--json").stdout)
    gallery = json.loads(invoked("gallery", path, *options, "--data-dir", out, "--json").stdout)
    demo = invoked("demo", "--prompts", path, *options, "--data-dir", out, "--limit", "2")

    assert "table.csv: 8 rows from 2 rows of the table, 8 valid, 8 different requests" in shown.stdout
    assert "variants true, false" in shown.stdout
    assert "2 for each row" in shown.stdout
    assert (reported["rows"], reported["source_rows"], reported["requests"], reported["seeds"]) == (8, 2, 4, 2)
    assert reported["variants"] == {"provider_settings.alibaba.prompt_extend": ["true", "false"]}
    assert [video["prompt_id"] for video in made["videos"]] == [
        f"kite~prompt_extend=true~seed={seed}" for seed in (1, 2)
    ]
    assert [video["sha256"] for video in again["videos"]] == [video["sha256"] for video in made["videos"]]
    assert gallery["videos"] == 2
    given = shlex.split(demo.stdout.partition("WAN_ASSETS_TABLE_OPTIONS=")[2].partition("\\")[0])[0]
    assert len(PromptTable.load(prompt_source_from(path, given)).rows) == 8


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--seeds", "1001"), "1001 is not in the range"),
        (("--variant", "resolution"), "is not of the form PARAMETER=VALUE,VALUE"),
        (("--variant", 'negative_prompt="a'), "unexpected end of data"),
        (("--variant", "resolution=480p,481p"), "variants: resolution=481p"),
    ],
)
def test_options_of_variants_that_are_not_valid_are_refused(
    option: tuple[str, str], message: str, tmp_path: Path
) -> None:
    found = invoked("plan", tagged(tmp_path), *MAPPED, *option)

    assert (found.exit_code, message in found.output) == (2, True), found.output
