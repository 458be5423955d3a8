"""`wan-assets models`, `show` and `import`, and models that a folder adds, from the command."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from model_support import described
from rich.cells import cell_len
from schema_support import published_schema

from wan_assets.cli import cli
from wan_assets.models import catalog, read_description

NAMES = ["wan2.5", "wan2.6", "wan2.6-flash", "wan2.7", "wan3.0", "wan3.0-prime"]
TABLE = """\
prompt_id,positive_prompt,model,resolution,settings.camera_motion,settings.strength,settings.loop
a,A dune,dunes,720p,pan,5,true
b,A dune,example:dunes@1.0,1080p,,,
c,A dune,dunes,720p,zoom,5,true
d,A dune,dunes,720p,pan,12,maybe
e,A dune,wan2.6,720p,pan,,
"""


def invoked(*arguments: Any, columns: int = 100, **environment: Any) -> Result:
    env = {"COLUMNS": str(columns), **{name: str(value) for name, value in environment.items()}}
    return CliRunner().invoke(cli, [*map(str, arguments)], env=env)


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_the_list_shows_every_model_within_the_terminal(columns: int) -> None:
    shown = invoked("models", columns=columns)
    words = " ".join(shown.stdout.split())

    assert shown.exit_code == 0
    assert not [line for line in shown.stdout.splitlines()[:-1] if cell_len(line) > columns]
    for model in catalog().models.values():
        assert model.short_name in words
        assert model.id in words
    for text in ("live since 2026-08-24", "2 to 30, or auto", "$0.0946", "5, 10, 15"):
        assert text in words


def test_the_list_as_json_is_the_whole_description_with_prices_as_numbers() -> None:
    models = json.loads(invoked("models", "--json").stdout)["models"]
    by_name = {model["short_name"]: model for model in models}
    flash = by_name["wan2.6-flash"]

    assert [name for name in by_name if name in NAMES] == NAMES
    assert flash["price"]["usd_per_s"] == {"720p": 0.05, "1080p": 0.075}
    assert flash["price"]["usd_per_s_silent"] == {"720p": 0.025, "1080p": 0.0375}
    assert (flash["released"], flash["file"]) == ("2026-01-15", None)
    assert flash["sizes"]["720p"][0] == "1280x720"
    assert flash["parameters"]["duration"]["default"] == 5
    assert flash["rules"][0]["sentence"].startswith("is required")


@pytest.mark.parametrize("name", ["wan3.0", "alibaba:wan@3.0", " WAN3.0 "])
def test_a_model_is_shown_by_any_of_its_names(name: str) -> None:
    shown = invoked("models", "show", name, columns=40)
    words = " ".join(shown.stdout.split())
    reported = json.loads(invoked("models", "show", name, "--json").stdout)

    assert shown.exit_code == 0
    for text in (
        "Wan3.0, alibaba:wan@3.0",
        "https://runware.ai/docs/models/alibaba-wan3-0",
        "described in this package",
        "2 to 20,000 characters",
        "1104x832",
        "must be given together with the other one",
        "cannot be used with inputs.urls",
        "2 % above the list price is reserved.",
        "30 s are reserved",
        "720p, 6 s from text: 186 s",
        "note: From an image without a size",
    ):
        assert text in words
    assert reported["id"] == "alibaba:wan@3.0"
    assert reported["parameters"]["duration"] == {
        **reported["parameters"]["duration"],
        "values": ["auto"],
        "minimum": 2,
        "maximum": 30,
        "source": "schema",
    }


def test_prices_without_sound_are_shown_where_they_differ() -> None:
    assert "without sound" in invoked("models", "show", "wan2.6-flash").stdout
    assert "without sound" not in invoked("models", "show", "wan2.6").stdout


def test_an_unknown_model_is_refused_with_the_known_names() -> None:
    shown = invoked("models", "show", "wan2.8\x1b[2J")

    assert shown.exit_code == 2
    assert "no model is named wan2.8" in shown.stderr
    assert all(name in shown.stderr for name in NAMES)
    assert "\x1b" not in shown.stderr


def test_a_model_of_a_folder_is_listed_validated_and_priced(tmp_path: Path) -> None:
    file = described(tmp_path, "example:dunes@1.0", short_name="dunes")
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    with_folder = {"WAN_ASSETS_MODELS": tmp_path}

    shown = invoked("models", "show", "dunes", columns=160, **with_folder).stdout
    planned = json.loads(invoked("plan", table, "--json", **with_folder).stdout)

    assert f"described in  {file}" in shown
    assert "settings.cameraMotion" in shown
    assert (planned["valid"], planned["price_usd"]) == (2, 5 * 0.37 + 5 * 0.15)
    assert [(each["prompt_id"], each["column"].rpartition(".")[2], each["fix"]) for each in planned["problems"]] == [
        ("c", "camera_motion", "use 'still' or 'pan'"),
        ("d", "strength", "use 9 or less"),
        ("d", "loop", "write true or false"),
        ("e", "camera_motion", "remove it, or use a model that has it: dunes"),
    ]


@pytest.mark.parametrize(
    "command",
    [
        ("models",),
        ("models", "show", "wan2.5"),
        ("plan", "table.csv"),
        ("materialize", "table.csv"),
        ("simulator", "--port", "a port in use"),
    ],
    ids=lambda command: command[0],
)
def test_a_wrong_folder_ends_each_command_with_the_reason(command: tuple[Any, ...], tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("id = 1")
    (tmp_path / "table.csv").write_text(TABLE)
    places = {"WAN_ASSETS_MODELS": tmp_path, "WAN_ASSETS_STORE": tmp_path, "DAGSTER_HOME": tmp_path}

    with socket.create_server(("127.0.0.1", 0)) as server:
        meant = {"table.csv": tmp_path / "table.csv", "a port in use": server.getsockname()[1]}
        shown = invoked(*(meant.get(part, part) for part in command), **places)

    assert shown.exit_code == 2
    assert f"error: {tmp_path / 'broken.toml'} does not describe a model: id: " in shown.stderr
    assert "what to do: Correct the file, or the folder that WAN_ASSETS_MODELS" in shown.stderr
    assert "Traceback" not in shown.output


def test_a_draft_is_printed_and_what_is_missing_is_told_on_standard_error(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(published_schema())

    shown = invoked("models", "import", schema)

    assert shown.exit_code == 0
    assert read_description(shown.stdout).id == "example:dunes@1.0"
    assert "  fps: requests of this package cannot have this parameter" in shown.stderr
    assert "  price: the schema has no price table; add [price]" in shown.stderr
    assert "drafted example:dunes@1.0: 1 field to add, 4 parts not taken from the schema" in shown.stderr


def test_a_draft_with_a_price_is_a_model_and_without_one_its_rows_are_refused(tmp_path: Path) -> None:
    schema, table, output = tmp_path / "schema.json", tmp_path / "table.csv", tmp_path / "dunes.toml"
    schema.write_text(published_schema())
    table.write_text("positive_prompt,model,width,height,duration\nA dune,dunes1.0,1280,720,5\n")

    written = json.loads(invoked("models", "import", schema, "--output", output, "--json").stdout)
    refused = json.loads(invoked("plan", table, "--json", WAN_ASSETS_MODELS=tmp_path).stdout)
    output.write_text(
        f'{output.read_text()}\n[price]\nsource = "documented"\nusd_per_s = {{ 480p = "0.04", 720p = "0.08" }}\n'
    )

    assert (written["output"], written["missing"][0]["where"]) == (str(output), "price")
    assert "has no price in its description" in refused["problems"][0]["rule"]
    assert "add [price] with usd_per_s" in refused["problems"][0]["fix"]
    (tmp_path / "again").mkdir()
    output = output.rename(tmp_path / "again" / "dunes.toml")
    planned = json.loads(invoked("plan", table, "--json", WAN_ASSETS_MODELS=tmp_path / "again").stdout)
    assert (planned["valid"], planned["price_usd"]) == (1, 0.4)


def test_a_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    schema, output = tmp_path / "schema.json", tmp_path / "dunes.toml"
    schema.write_text(published_schema())
    output.write_text("mine")

    refused = invoked("models", "import", schema, "--output", output)
    kept = output.read_text()
    forced = invoked("models", "import", schema, "--output", output, "--force")

    assert (refused.exit_code, kept, forced.exit_code) == (2, "mine", 0)
    assert "exists; --force replaces it" in refused.stderr
    assert "drafted example:dunes@1.0 in" in forced.stderr
    assert read_description(output.read_text(encoding="utf-8"))


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"[" * 5_000], ids=["empty", "bytes", "list", "deep"])
def test_a_file_that_is_no_schema_is_refused(content: bytes, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_bytes(content)

    shown = invoked("models", "import", schema, "--json")

    assert shown.exit_code == 2
    assert f"{schema}: the schema" in shown.stderr
    assert json.loads(shown.stdout)["error"]["message"]
