"""The card of an export, the command that writes one, and the asset."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner
from dagster_support import failure_of, studio, table_of, written
from engine_support import request_of
from export_support import Shelf, changed, files_in, row_of
from markdown_it import MarkdownIt

from wan_assets import ExportOptions, build_export_asset
from wan_assets.cli import cli
from wan_assets.export import FORMATS
from wan_assets.export.card import escaped
from wan_assets.video import properties_of

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> ![p](http://evil.example/p.png) [a](javascript:alert(1)) "
    "https://evil.example www.evil.example me@evil.example `code` **bold** | cell | &lt; $x$ \\[y\\](http://evil.example)"
)
BLOCKS = ("# title", "- item", "1. one", "> quote", "***", "a\n\n# b", "---", "    code")
OF_MARKUP = {"html_inline", "html_block", "link_open", "image", "code_inline", "strong_open", "em_open", "fence"}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A store and a ledger in a folder of their own."""
    return Shelf(tmp_path)


def header_of(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def tokens_of(markdown: str) -> list[str]:
    """The kinds of all that a reader of markdown sees in a text."""
    found = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    return [token.type for block in found for token in (block, *(block.children or ()))]


@pytest.mark.parametrize(
    "text", [HOSTILE, *HOSTILE.split(" "), "# title", "- item", "1. one", "> quote", "***", "a\n\n# b", "---"]
)
def test_foreign_text_is_no_markup_in_a_card(text):
    found = tokens_of(f"- {escaped(text)}\n")

    assert [kind for kind in found if kind not in ("text", "text_special", "inline")] == [
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
        "paragraph_close",
        "list_item_close",
        "bullet_list_close",
    ]
    assert MarkdownIt().render(escaped(text)).count("<") == 2


def test_foreign_text_reads_as_it_was_written():
    (inline,) = [token for token in MarkdownIt().parse(escaped(HOSTILE)) if token.type == "inline"]

    assert "".join(token.content for token in inline.children) == HOSTILE


def test_a_hostile_title_licence_and_prompt_change_nothing_else_of_the_card(shelf):
    rows = [row_of("a", request_of(HOSTILE))]
    evil = 'x"\n---\n# Title\nlicense: mit\n'

    card = shelf.export(shelf.buy(*rows), "videofolder", title=evil + HOSTILE, license=evil).card

    header = header_of(card)
    assert (header["pretty_name"], header["license"]) == (evil + HOSTILE, evil)
    assert header.keys() == {"pretty_name", "license", "task_categories", "tags", "configs"}
    kinds = tokens_of(card.split("---\n", 2)[2])
    assert not set(kinds) & (OF_MARKUP - {"code_inline", "fence"})
    assert kinds.count("heading_open") == card.count("\n## ") + 1


@pytest.mark.parametrize("format_", FORMATS)
def test_the_card_tells_counts_cost_seeds_and_provenance(shelf, format_):
    rows = [row_of(f"p{number}", request_of(f"Clip {number}", seed=number), number) for number in range(6)]
    table = shelf.buy(*rows, row_of("two", request_of("Two", number_results=2)))

    card = shelf.export(table, format_, license="cc-by-4.0").card

    booked = Decimal(shelf.ledger.totals().real.cost_microusd) / 1_000_000
    assert f"{booked.normalize():f} dollars." in card
    assert "8 videos for 7 requests" in card
    assert "a seed for 8 of 8 videos (1 distinct). A seed was requested for 6." in card
    assert "7 tasks, 1 run," in card
    assert "| model | runware\\:201\\@1 | 8 |" in card
    assert header_of(card)["license"] == "cc-by-4.0"
    assert "SIMULATED" not in card


def test_the_card_says_what_is_simulated_missing_and_unknown(shelf):
    table = shelf.buy(row_of("a"), simulated=True, cost_microusd=None)

    exported = shelf.export(type(table)((*table.rows, row_of("b")), (), 2), "videofolder")

    assert "SIMULATED" in exported.card
    assert "1 row of the prompt table has no video" in exported.card
    assert "must choose a license" in exported.card
    assert header_of(exported.card)["license"] == "unknown"
    assert (exported.missing, exported.is_simulated) == (1, True)


def run(*arguments: object) -> tuple[int, dict]:
    """The command's status and what it tells programs."""
    result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.slow
def test_the_command_exports_what_dagster_made_and_ends_with_1_where_rows_are_missing(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat"))
    with studio(tmp_path) as studio_:
        studio_.run(path)
    places = [
        "--url",
        f"sqlite:///{tmp_path / 'ledger.db'}",
        "--store",
        tmp_path / "store",
        "--output",
        tmp_path / "out",
    ]
    options = ["--format", "videofolder", "--validation", 0, *places]

    status, reported = run("export", path, *options)
    again, second = run("export", path, *options)
    short, missing = run("export", written(tmp_path, table_of("A kite", "A tea house")), *options)

    assert (status, again, short) == (0, 0, 1)
    assert (reported["rows"], reported["missing"], reported["simulated"]) == ({"train": 2, "validation": 0}, 0, True)
    assert (reported["cost_usd"], reported["written"]) == (0.946, 4)
    assert (second["written"], second["unchanged"], second["version"]) == (0, 4, reported["version"])
    assert (missing["missing"], missing["removed"]) == (1, 1)
    (video,) = (tmp_path / "out").rglob("*.mp4")
    assert round(properties_of(video).duration_s) == 5


def test_the_command_says_to_people_what_it_did(tmp_path, shelf):
    path = written(tmp_path, table_of("A kite"))
    shelf.ledger.close()
    places = ["--url", f"sqlite:///{tmp_path / 'ledger.db'}", "--store", str(tmp_path / "store")]

    result = CliRunner().invoke(
        cli, ["export", str(path), "--format", "parquet", *places, "--output", str(tmp_path / "out")]
    )

    assert result.exit_code == 1
    assert "0 videos (0 for train, 0 for validation)" in result.stdout
    assert "1 row has no video" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "zip"], "zip"),
        (["--format", "webdataset", "--link"], "links"),
        (["--format", "parquet", "--validation", "2"], "validation"),
        (["--format", "parquet", "--output", "taken"], "thesis"),
        (["--format", "parquet", "--url", "sqlite:///none.db"], "none.db"),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_what_the_command_cannot_do_is_told_with_status_2(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, table_of("A kite"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("years of work")
    places = ["--url", f"sqlite:///{tmp_path / 'ledger.db'}", "--store", "store", "--output", "out"]

    result = CliRunner().invoke(cli, ["export", str(path), *places, *arguments])

    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def materialize(studio_, prompts, target, format_="videofolder") -> dg.ExecuteInProcessResult:
    """One run of the asset."""
    asset = build_export_asset(prompts=prompts, target=str(target), options=ExportOptions(format_, validation=0.5))
    resources = {key: studio_.resources()[key] for key in ("store", "ledger")}
    return dg.materialize([asset], instance=studio_.instance, resources=resources, raise_on_error=False)


def reported(result: dg.ExecuteInProcessResult) -> tuple[dict, str]:
    """Metadata and data version of what a run made."""
    (event,) = result.get_asset_materialization_events()
    tags = event.materialization.tags
    return {key: value.value for key, value in event.materialization.metadata.items()}, tags["dagster/data_version"]


@pytest.mark.slow
def test_the_asset_exports_and_its_version_changes_with_what_is_exported_alone(tmp_path):
    path, out = written(tmp_path, table_of("A kite", "A boat")), tmp_path / "out"
    with studio(tmp_path) as studio_:
        studio_.run(path)
        first, version = reported(materialize(studio_, path, out))
        before = files_in(out)
        second, same = reported(materialize(studio_, path, out))
        after = files_in(out)
        third, other = reported(materialize(studio_, written(tmp_path, table_of("A kite")), out))

    assert changed(before, after) == set()
    assert version == same != other
    assert (first["dagster/uri"], first["dagster/row_count"]) == (str(out), 2)
    assert first["wan_assets/train_rows"] + first["wan_assets/validation_rows"] == 2
    assert (second["wan_assets/written"], second["wan_assets/cost_usd"]) == (0, 0.946)
    assert third["wan_assets/removed"] >= 1
    assert first["wan_assets/card"].lstrip().startswith("# Generated videos")


def test_the_asset_refuses_a_table_with_problems_and_a_folder_that_is_no_export(tmp_path):
    bad = written(tmp_path, table_of("A kite", duration=7))
    with studio(tmp_path) as studio_:
        problems = materialize(studio_, bad, tmp_path / "out")
        taken = materialize(studio_, written(tmp_path, table_of("A kite")), tmp_path)

    assert "Nothing was exported" in failure_of(problems)
    assert "ExportError" in failure_of(taken)
    assert "is not an export" in failure_of(taken)
    assert not (tmp_path / "out").exists()


def test_the_asset_stands_after_the_videos_and_has_a_pool_of_its_own():
    asset = build_export_asset(
        name="clips", prompts="p.csv", target="out", options=ExportOptions("parquet"), export_name="clips_out"
    )

    (spec,) = asset.specs
    assert spec.key.path == ["clips_out"]
    assert {dep.asset_key.path[-1] for dep in spec.deps} == {"clips", "clips_prompts"}
    assert asset.op.pool == "wan_assets_clips_out"
