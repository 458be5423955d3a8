"""What Dagster shows of a prompt table: where it is from, its columns and its first rows."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster_support import SMALL, studio, table_of, written

from wan_assets import PromptSource, PromptTable, UpstreamPrompts, build_video_assets
from wan_assets.orchestration.metadata.table import kinds_of
from wan_assets.prompts import SqlQuery

SECRET = "0123456789abcdef-secret"


def shown(folder: Path, prompts: Any) -> dict[str, Any]:
    """The metadata of the table's event, after one check of the table."""
    with studio(folder) as made:
        assets = build_video_assets(prompts=prompts).assets or ()
        result = dg.materialize(
            list(assets), instance=made.instance, resources=made.resources(), selection="videos_prompts"
        )
        (event,) = result.asset_materializations_for_node("videos_prompts")
    return dict(event.metadata)


def test_the_table_shows_source_rows_columns_and_first_rows(tmp_path: Path) -> None:
    long = "A kite " * 100
    rows = table_of("A kite? yes: see https://a.example/b?c=d", long, seed=7, x_score="0.5")
    rows[0]["webhook_url"] = f"https://hooks.example.com/{SECRET}"
    rows[0]["inputs.frame_images"] = [{"image": f"https://me:word@a.example/a.png?token={SECRET}", "frame": "first"}]
    rows[1]["provider_settings.alibaba.audio"] = True

    found = shown(tmp_path, path := written(tmp_path, rows))

    columns = {column.name: column.type for column in found["dagster/column_schema"].schema.columns}
    assert found["wan_assets/source"].value == str(path)
    assert found["dagster/uri"].value.endswith(f"/videos_prompts/{found['wan_assets/table_version'].value}.parquet")
    assert found["dagster/row_count"].value == 2
    assert columns["prompt_id"] == columns["positive_prompt"] == columns["x_score"] == "string"
    assert (columns["seed"], columns["provider_settings.alibaba.audio"]) == ("int", "bool")
    first, second = (record.data for record in found["wan_assets/first_rows"].records)
    assert (first["positive_prompt"], first["webhook_url"]) == ("A kite? yes: see https://a.example/b?c=d", "***")
    assert (first["provider_settings.alibaba.audio"], second["provider_settings.alibaba.audio"]) == ("", "True")
    assert first["inputs.frame_images"] == "https://a.example/a.png, first"
    assert len(second["positive_prompt"]) == 120
    assert SECRET not in str(found)


def test_a_table_with_options_shows_its_source_its_columns_and_what_they_are_used_for(tmp_path: Path) -> None:
    notes = {"frames": [f"https://me:word@a.example/a.png?token={SECRET}", "see: https://a.example/b"]}
    rows = [{"id": "a", "sentence": "A kite", "motion_level": "low", "notes": notes}]

    found = shown(
        tmp_path, PromptSource(path := written(tmp_path, rows), {"positive_prompt": "sentence"}, {**SMALL, "seed": 7})
    )

    columns = {column.name: column.type for column in found["dagster/column_schema"].schema.columns}
    used = {record.data["parameter"]: record.data["from"] for record in found["wan_assets/columns"].records}
    (first,) = (record.data for record in found["wan_assets/first_rows"].records)
    assert found["wan_assets/source"].value == str(path)
    assert (columns["positive_prompt"], columns["seed"], columns["motion_level"]) == ("string", "int", "string")
    assert (used["positive_prompt"], used["seed"]) == ("column sentence", "default 7")
    assert found["wan_assets/extra_columns"].value == "motion_level, notes"
    assert (first["prompt_id"], first["seed"], first["motion_level"]) == ("a", "7", "low")
    assert first["notes"] == '{"frames": ["https://a.example/a.png", "see: https://a.example/b"]}'
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("prompts", "kinds"),
    [
        ("a.csv", {"table", "csv"}),
        ("a.tsv", {"table", "csv"}),
        (Path("a.jsonl"), {"table", "json"}),
        ("tables/*.parquet", {"table", "parquet"}),
        ("tables", {"table"}),
        (SqlQuery("postgresql+psycopg://me:word@host/db", "SELECT 1"), {"sql", "postgres"}),
        (SqlQuery("duckdb:///a.db", "SELECT 1"), {"sql", "duckdb"}),
        (pd.DataFrame(), {"table", "pandas"}),
        (lambda: PromptTable((), (), 0), {"table", "python"}),
        ([{"prompt": "A kite"}], {"table", "python"}),
        (UpstreamPrompts("warehouse/prompts"), {"table"}),
        (UpstreamPrompts("a", source=SqlQuery("duckdb:///a.db", "SELECT 1")), {"sql", "duckdb"}),
        (PromptSource("a.jsonl", defaults=SMALL), {"table", "json"}),
        (PromptSource(UpstreamPrompts("a", source=SqlQuery("duckdb:///a.db", "")), defaults=SMALL), {"sql", "duckdb"}),
    ],
    ids=[
        "csv",
        "tsv",
        "jsonl",
        "parquet",
        "folder",
        "postgres",
        "duckdb",
        "frame",
        "function",
        "list",
        "asset",
        "dbt",
        "options",
        "dbt_options",
    ],
)
def test_the_kinds_are_those_of_the_source(prompts: Any, kinds: set[str]) -> None:
    assert kinds_of(prompts) == kinds


def test_a_query_is_shown_without_its_database(tmp_path: Path) -> None:
    frame = pd.DataFrame([{"prompt_id": "a", "positive_prompt": "A kite", **SMALL}])
    url = f"sqlite:///{tmp_path / SECRET}.db"
    frame.to_sql("prompts", url, index=False)

    found = shown(tmp_path, SqlQuery(url, "SELECT * FROM prompts ORDER BY prompt_id"))

    assert found["wan_assets/query"].value == "SELECT * FROM prompts ORDER BY prompt_id"
    assert SECRET not in str(found)
