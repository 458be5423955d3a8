"""The component that declares a table's videos in YAML."""

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster.components.scaffold.scaffold import NoParams
from dagster_support import table_of, written

import wan_assets
from wan_assets import ApprovedVideos, WanVideosComponent
from wan_assets.errors import PromptTableError
from wan_assets.orchestration.component import _Parts, _Scaffolder
from wan_assets.orchestration.tables.upstream import upstream_of
from wan_assets.prompts import PromptTable, SqlQuery


def built(text: str) -> dg.Definitions:
    """The definitions of a component, all of which load."""
    component = WanVideosComponent.resolve_from_yaml(text)
    definitions = component.build_defs(dg.ComponentTree.for_test().load_context)
    dg.Definitions.validate_loadable(definitions)
    return definitions


def keys_of(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}


def test_a_table_is_declared_in_yaml(tmp_path: Path) -> None:
    table = written(tmp_path, table_of("A kite"))

    definitions = built(
        f"{{name: clips, prompts: {table}, budget_usd_total: 25, budget_usd_per_run: 2, max_in_flight: 7, store: s}}"
    )

    assert keys_of(definitions) == {"clips", "clips_prompts", "clips_requests"}
    ledger = definitions.resources["ledger"]
    assert (ledger.budget_usd_total, ledger.budget_usd_per_run, ledger.max_in_flight) == (25, 2, 7)
    assert definitions.resources["store"].root == "s"


def test_seeds_and_variants_are_declared_in_yaml(tmp_path: Path) -> None:
    table = written(tmp_path, table_of("A kite"))
    component = WanVideosComponent.resolve_from_yaml(
        f"{{prompts: {table}, seeds: 2, variants: {{duration: [5, 10], prompt_extend: [true, false]}}}}"
    )

    prompts = _Parts(component, tmp_path).prompts

    assert [row.prompt_id for row in PromptTable.load(prompts).rows][::4] == [
        "a~duration=5~prompt_extend=true~seed=1",
        "a~duration=10~prompt_extend=true~seed=1",
    ]
    with pytest.raises(ValueError, match="must be at least 1 and at most 1,000"):
        WanVideosComponent.resolve_from_yaml("{prompts: a.csv, seeds: 1001}")


def test_drafts_their_reviews_and_their_finals_are_declared_in_yaml() -> None:
    drafts = built(
        "{name: drafts, prompts: prompts.csv, review: true, max_takes: 2, "
        "review_sensor: {is_running: true, run_tags: {dagster/priority: 5}}, missing_schedule: '0 2 * * *'}"
    )
    finals = built(
        "{name: finals, prompts: {approved_videos_of: drafts, overrides: {resolution: 1080p}, keep_seed: false}}"
    )
    both = dg.Definitions.merge(drafts, dg.Definitions(assets=finals.assets))

    assert dg.AssetCheckKey(dg.AssetKey("drafts"), "reviewed") in drafts.resolve_asset_graph().asset_check_keys
    sensor = drafts.get_repository_def().get_sensor_def("drafts_review_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    graph = both.resolve_asset_graph()
    assert graph.get(dg.AssetKey("finals_prompts")).parent_keys == {dg.AssetKey("drafts")}
    with pytest.raises(PromptTableError, match=r"overrides: resolutoin"):
        built("{prompts: {approved_videos_of: drafts, overrides: {resolutoin: 1080p}}}")


def test_a_manifest_of_approved_videos_and_the_budget_of_takes_are_declared_in_yaml() -> None:
    definitions = built("{prompts: prompts.csv, dataset: {only: approved}, budget_usd_retakes: 5}")
    spec = next(spec for spec in definitions.resolve_all_asset_specs() if spec.key.path == ["videos_dataset"])

    assert spec.description == "A Parquet manifest of all approved videos: one row for each file."
    assert definitions.resources["ledger"].budget_usd_retakes == 5
    with pytest.raises(ValueError, match="rejected"):
        built("{prompts: prompts.csv, dataset: {only: rejected}}")


def test_all_that_goes_with_a_table_is_declared_in_yaml() -> None:
    definitions = built(
        """
        prompts: prompts.csv
        severities: {not_black: ERROR}
        sensor: {is_running: true, minimum_interval_seconds: 5, run_tags: {dagster/priority: 5}}
        missing_schedule: "0 2 * * *"
        checks: true
        dataset: true
        fresh_within_hours: 26
        """
    )

    repository = definitions.get_repository_def()
    sensor = repository.get_sensor_def("videos_sensor")
    schedule = repository.get_schedule_def("videos_missing_schedule")
    checks = {key.name for key in definitions.resolve_asset_graph().asset_check_keys}
    assert keys_of(definitions) >= {"videos", "videos_dataset", "videos_costs"}
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 5
    assert (schedule.job_name, schedule.cron_schedule) == ("videos_missing", "0 2 * * *")
    assert checks >= {"quality", "rows_are_valid", "every_row_has_its_video"}


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ("{by: day, start_date: 2026-01-01}", ["2026-01-01", "2026-01-02"]),
        ("{by: hour, start_date: 2026-01-01-00:00, timezone: Asia/Tokyo}", ["2026-01-01-00:00", "2026-01-01-01:00"]),
        ("{by: month, start_date: 2026-01-01}", ["2026-01-01", "2026-02-01"]),
        ("{by: shard, shards: 12}", ["shard-00", "shard-01"]),
        ("{by: campaign}", []),
    ],
)
def test_partitions_are_declared_in_yaml(asked: str, keys: list[str]) -> None:
    definitions = built(f"{{prompts: prompts.csv, partitions: {asked}}}")

    (videos,) = [asset for asset in definitions.assets or () if asset.key == dg.AssetKey("videos")]
    with dg.DagsterInstance.ephemeral() as instance:
        found = videos.partitions_def.get_partition_keys(dynamic_partitions_store=instance)
    assert found[:2] == keys


def test_prompts_may_be_those_of_a_query() -> None:
    component = WanVideosComponent.resolve_from_yaml("prompts: {url: 'sqlite:///p.db', query: SELECT 1}")

    assert _Parts(component, Path()).prompts == SqlQuery("sqlite:///p.db", "SELECT 1")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("promts: prompts.csv", "promts"),
        ("{prompts: p.csv, sensor: {run_per_tick: 1}}", "run_per_tick"),
        ("{prompts: p.csv, partitions: {by: dey, start_date: 2026-01-01}}", "dey"),
        ("{prompts: p.csv, budget_usd_total: -1}", "budget_usd_total"),
        ("{prompts: p.csv, severities: {not_black: LOUD}}", "LOUD"),
    ],
)
def test_what_is_mistyped_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(Exception, match=named):
        WanVideosComponent.resolve_from_yaml(text)


NUMBERS = {
    "seeds": "seeds: {}",
    "partitions_per_run": "partitions_per_run: {}",
    "retries": "retries: {}",
    "max_takes": "max_takes: {}",
    "fresh_within_hours": "fresh_within_hours: {}",
    "budget_usd_total": "budget_usd_total: {}",
    "budget_usd_per_day": "budget_usd_per_day: {}",
    "budget_usd_per_run": "budget_usd_per_run: {}",
    "budget_usd_retakes": "budget_usd_retakes: {}",
    "budgets": "budgets: [{{usd: {}, per: month}}]",
    "max_in_flight": "max_in_flight: {}",
    "shards": "partitions: {{by: shard, shards: {}}}",
    "runs_per_tick": "sensor: {{runs_per_tick: {}}}",
    "minimum_interval_seconds": "review_sensor: {{minimum_interval_seconds: {}}}",
}


@pytest.mark.parametrize("attribute", NUMBERS.values(), ids=NUMBERS)
def test_a_number_may_be_a_template(attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT", "25")

    given = attribute.format('"{{ env.LIMIT }}"')
    templated = WanVideosComponent.resolve_from_yaml(f"{{prompts: p.csv, {given}}}")

    assert templated == WanVideosComponent.resolve_from_yaml(f"{{prompts: p.csv, {attribute.format(25)}}}")


def test_the_delay_of_finals_may_be_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT", "25")

    component = WanVideosComponent.resolve_from_yaml(
        "prompts: {approved_videos_of: drafts, approved_for_s: '{{ env.LIMIT }}'}"
    )

    prompts = _Parts(component, Path()).prompts
    assert isinstance(prompts, ApprovedVideos)
    assert prompts.approved_for_s == 25


@pytest.mark.parametrize("wrong", ["-3", "'{{ env.LIMIT }}'"])
@pytest.mark.parametrize("attribute", NUMBERS.values(), ids=NUMBERS)
def test_a_number_outside_its_range_is_refused_by_name(
    attribute: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMIT", "-3")

    with pytest.raises(Exception, match=attribute.partition(":")[0]) as refused:
        WanVideosComponent.resolve_from_yaml(f"{{prompts: p.csv, {attribute.format(wrong)}}}")

    assert not isinstance(refused.value, TypeError)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{prompts: p.csv, severities: {not_blak: ERROR}}", "did you mean 'not_black'"),
        ("{prompts: p.csv, partitions: {by: day}}", "videos: partitions by day need `start_date`"),
        ("{prompts: p.csv, partitions: {by: shard}}", "videos: partitions by shard need `shards`"),
    ],
)
def test_what_cannot_be_built_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        built(text)


def test_two_tables_share_a_ledger() -> None:
    one = built("{name: one, prompts: a.csv, budget_usd_total: 5}")
    two = built("{name: two, prompts: b.csv, budget_usd_total: 5}")
    text = "{name: three, prompts: c.csv, budget_usd_total: 9, resources: false}"
    three = WanVideosComponent.resolve_from_yaml(text).build_defs(dg.ComponentTree.for_test().load_context)

    assert keys_of(dg.Definitions.merge(one, two, three)) >= {"one", "two", "three"}


def test_dagster_finds_the_component_in_the_package() -> None:
    assert "WanVideosComponent" in dir(wan_assets)


def test_what_dagster_scaffolds_loads(tmp_path: Path) -> None:
    request = dg.ScaffoldRequest("wan_assets.WanVideosComponent", tmp_path, "yaml", tmp_path, NoParams(), append=False)

    _Scaffolder().scaffold(request)

    text = (tmp_path / "defs.yaml").read_text()
    assert "type: wan_assets.WanVideosComponent" in text
    table = wan_assets.PromptTable.load(tmp_path / "prompts.csv")
    assert (len(table), table.problems) == (1, ())


def test_options_of_the_assets_are_declared_in_yaml() -> None:
    definitions = built(
        """
        name: trailers
        key_prefix: marketing
        prompts: prompts.csv
        partitions: {by: campaign}
        deps: [brand/rules]
        owners: [team:video]
        tags: {tier: 1}
        metadata: {wiki: here}
        description: Trailers
        kinds: [video]
        automation_condition: "{{ dg.AutomationCondition.eager() }}"
        table: {deps: [warehouse/scripts], owners: [team:data]}
        missing_schedule: "0 2 * * *"
        checks: true
        dataset: true
        """
    )

    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    names = [f"marketing/trailers{suffix}" for suffix in ("", "_costs", "_dataset", "_prompts", "_requests")]
    videos, table = specs["marketing/trailers"], specs["marketing/trailers_prompts"]
    assert sorted(specs) == ["brand/rules", *names, "warehouse/scripts"]
    assert (videos.owners, videos.tags["tier"], videos.description) == (["team:video"], "1", "Trailers")
    assert (videos.kinds, videos.metadata["wiki"]) == ({"video"}, "here")
    assert videos.automation_condition == dg.AutomationCondition.eager()
    assert {dep.asset_key.to_user_string() for dep in videos.deps} == {"brand/rules", "marketing/trailers_requests"}
    assert (table.owners, table.automation_condition) == (["team:data"], None)
    assert [dep.asset_key.to_user_string() for dep in table.deps] == ["warehouse/scripts"]
    assert isinstance(videos.partitions_def, dg.DynamicPartitionsDefinition)
    assert videos.partitions_def.name == "marketing/trailers_campaigns"


def test_what_is_scaffolded_twice_has_names_of_its_own(tmp_path: Path) -> None:
    definitions = []
    for folder in ("trailers", "b-roll"):
        path = tmp_path / folder
        path.mkdir()
        request = dg.ScaffoldRequest("wan_assets.WanVideosComponent", path, "yaml", tmp_path, NoParams(), append=False)
        _Scaffolder().scaffold(request)
        attributes = yaml.safe_load((path / "defs.yaml").read_text())["attributes"]
        definitions.append(built(yaml.safe_dump({**attributes, "sensor": {}, "checks": True, "dataset": True})))

    together = dg.Definitions.merge(*definitions)
    dg.Definitions.validate_loadable(together)
    assert {f"{name}{suffix}" for name in ("trailers", "b_roll") for suffix in ("", "_dataset", "_costs")} <= keys_of(
        together
    )
    assert {sensor.name for sensor in together.sensors or ()} == {"trailers_sensor", "b_roll_sensor"}


WAREHOUSE = dg.AssetKey(["warehouse", "prompts"])


def merged(text: str) -> dg.Definitions:
    """The definitions of a component, together with the asset that contains its prompts."""
    component = WanVideosComponent.resolve_from_yaml(text)
    found = component.build_defs(dg.ComponentTree.for_test().load_context)
    definitions = dg.Definitions.merge(found, dg.Definitions(assets=[dg.AssetSpec(WAREHOUSE)]))
    dg.Definitions.validate_loadable(definitions)
    return definitions


@pytest.mark.parametrize(
    ("attribute", "sensor"),
    [
        ("sensor", "videos_sensor"),
        ("review_sensor", "videos_review_sensor"),
        ("budget_sensor", "videos_budget_sensor"),
    ],
)
def test_a_sensor_is_declared_by_true_or_by_its_options(attribute: str, sensor: str) -> None:
    def sensors_of(value: str) -> list[str]:
        definitions = built(f"{{prompts: prompts.csv, {attribute}: {value}}}")
        return [each.name for each in definitions.sensors or ()]

    assert sensors_of("true") == sensors_of("{}") == sensors_of("{minimum_interval_seconds: 60}") == [sensor]
    assert sensors_of("false") == []


@pytest.mark.parametrize(
    ("prompts", "partitions", "parts"),
    [
        ("{asset: warehouse/prompts, base_dir: images}", "prompt", None),
        ('{asset: warehouse/prompts, url: "sqlite:///a.db", query: SELECT 1}', "prompt", None),
        (
            "{asset: warehouse/prompts, partitioned: true}",
            '{by: day, start_date: "2026-01-01"}',
            dg.DailyPartitionsDefinition("2026-01-01"),
        ),
    ],
    ids=["a value", "a table in a database", "by day"],
)
def test_an_upstream_asset_is_declared_in_yaml(prompts: str, partitions: str, parts: object) -> None:
    others = "sensor: {}, missing_schedule: 0 2 * * *, checks: true, dataset: true"

    definitions = merged(f"{{prompts: {prompts}, partitions: {partitions}, {others}}}")

    table = definitions.resolve_asset_graph().get(dg.AssetKey("videos_prompts"))
    assert table.parent_keys == {WAREHOUSE}
    assert table.partitions_def == parts


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("{asset: a, url: b}", "needs both `url` and `query`"),
        ("{asset: a, url: b, query: c, partitioned: true}", "leave out `partitioned`"),
        ("{asset: a, partitioned: true}", "`partitioned` needs `partitions`"),
    ],
)
def test_an_upstream_asset_with_attributes_that_do_not_fit_is_refused(prompts: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merged(f"{{prompts: {prompts}}}")


def test_columns_and_defaults_are_declared_in_yaml_for_files_queries_and_upstream_assets(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sentence,motion_level\nA kite,low\n")
    defaults = "{resolution: 480p, duration: 10, safety.check_content: true}"
    options = f"columns: {{positive_prompt: sentence}}, defaults: {defaults}"

    for prompts in (str(tmp_path / "t.csv"), "{url: 'sqlite:///x.db', query: SELECT 1}"):
        text = f"{{prompts: {prompts}, {options}, extra: keep, sensor: {{}}, dataset: true}}"
        assert keys_of(built(text)) >= {"videos", "videos_prompts", "videos_dataset"}
    component = WanVideosComponent.resolve_from_yaml(f"{{prompts: {tmp_path / 't.csv'}, {options}}}")
    (row,) = PromptTable.load(_Parts(component, Path()).prompts).rows
    of_asset = WanVideosComponent.resolve_from_yaml(f"{{prompts: {{asset: warehouse/prompts}}, {options}}}")
    upstream = upstream_of(_Parts(of_asset, Path()).prompts)

    assert upstream
    assert upstream.key == dg.AssetKey(["warehouse", "prompts"])
    assert (row.request.resolution, row.request.duration, row.extra) == ("480p", 10, {"motion_level": "low"})
    assert isinstance(_Parts(WanVideosComponent.resolve_from_yaml("{prompts: a.csv}"), Path()).prompts, Path)


def test_a_default_that_is_not_valid_is_an_error_when_the_component_is_loaded() -> None:
    with pytest.raises(PromptTableError, match="defaults: resolution=99p"):
        built("{prompts: a.csv, defaults: {resolution: 99p}}")
