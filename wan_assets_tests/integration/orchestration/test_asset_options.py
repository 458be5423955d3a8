"""Names, keys and options of the assets, as people give them to other assets of Dagster."""

import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_support import failure_of, studio, table_of, written
from test_data_versions import stale

from wan_assets import (
    ExportOptions,
    LedgerResource,
    RunwareResource,
    UpstreamPrompts,
    VideoStoreResource,
    build_dataset_assets,
    build_export_asset,
    build_lost_run_sensor,
    build_missing_job,
    build_video_assets,
    build_video_checks,
    build_video_sensor,
)
from wan_assets.ledger import Ledger

PROMPTS = "prompts.csv"
RESOURCES = {
    "runware": RunwareResource(api_key="k"),
    "store": VideoStoreResource(root="store"),
    "ledger": LedgerResource(url="sqlite://"),
}


def specs_of(*parts: Any) -> dict[str, dg.AssetSpec]:
    assets = [asset for part in parts for asset in (part.assets if isinstance(part, dg.Definitions) else part)]
    return {spec.key.to_user_string(): spec for asset in assets for spec in asset.specs}


def everything(prompts: Any, target: str = "export", **named: Any) -> dg.Definitions:
    """All that can be built around one table."""
    options = ExportOptions(format="parquet")
    return dg.Definitions.merge(
        build_video_assets(prompts=prompts, **named),
        dg.Definitions(
            assets=[
                *build_dataset_assets(prompts=prompts, **named),
                build_export_asset(prompts=prompts, target=target, options=options, **named),
            ],
            asset_checks=build_video_checks(prompts=prompts, **named),
            jobs=[build_missing_job(prompts=prompts, **named)],
            sensors=[build_video_sensor(prompts=prompts, **named)],
        ),
    )


@pytest.mark.parametrize(
    ("build", "typo", "hint"),
    [
        (build_video_assets, {"retry_polcy": None}, "retry_policy"),
        (build_video_assets, {"partition": "prompt"}, "partitions"),
        (build_dataset_assets, {"owner": []}, "owners"),
        (build_export_asset, {"freshnes_policy": None}, "freshness_policy"),
        (build_video_checks, {"severites": {}}, "severities"),
        (build_missing_job, {"key_prefx": "a"}, "key_prefix"),
        (build_video_sensor, {"minimum_interval_second": 3}, "minimum_interval_seconds"),
        (build_lost_run_sensor, {"default_statu": None}, "default_status"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_an_unknown_keyword_is_refused_with_the_closest_one(build: Callable[..., Any], typo: Any, hint: str) -> None:
    (name,) = typo

    with pytest.raises(TypeError, match=rf"{build.__name__}\(\) got .* '{name}'; did you mean '{hint}'\?"):
        build(**typo)


def test_an_unknown_option_of_the_table_is_refused() -> None:
    with pytest.raises(TypeError, match=r"build_video_assets\(table=…\) got .* 'dep'; did you mean 'deps'"):
        build_video_assets(prompts=PROMPTS, table={"dep": ["a"]})
    with pytest.raises(TypeError, match=r"build_dataset_assets\(costs=…\) got .* 'kind'; did you mean 'kinds'"):
        build_dataset_assets(prompts=PROMPTS, costs={"kind": ["a"]})


@pytest.mark.parametrize("options", [{"deps": "rules"}, {"owners": "team:video"}, {"kinds": "video"}])
def test_a_text_instead_of_a_list_is_refused(options: Any) -> None:
    ((name, value),) = options.items()

    for build in (build_video_assets, build_dataset_assets):
        with pytest.raises(TypeError, match=rf"{name} is a list, not a text; write {name}=\['{value}'\]"):
            build(prompts=PROMPTS, **options)
    with pytest.raises(TypeError, match="is a dictionary of options, not str"):
        build_video_assets(prompts=PROMPTS, table=value)


def test_options_reach_the_videos_and_those_of_the_table_the_table() -> None:
    condition, policy = dg.AutomationCondition.eager(), dg.FreshnessPolicy.cron("0 8 * * *", timedelta(hours=1))
    found = specs_of(
        build_video_assets(
            prompts=PROMPTS,
            deps=["brand/rules"],
            owners=["team:video"],
            tags={"tier": "gold"},
            metadata={"wiki": "https://example.com"},
            description="Trailers",
            kinds=["video"],
            group_name="marketing",
            automation_condition=condition,
            table={"deps": [["warehouse", "scripts"]], "owners": ["team:data"], "freshness_policy": policy},
        )
    )

    videos, table, requests = found["videos"], found["videos_prompts"], found["videos_requests"]
    assert [dep.asset_key.to_user_string() for dep in videos.deps] == ["videos_requests", "brand/rules"]
    assert (videos.description, videos.kinds, videos.metadata["wiki"]) == ("Trailers", {"video"}, "https://example.com")
    assert (videos.owners, videos.automation_condition) == (["team:video"], condition)
    assert [dep.asset_key.to_user_string() for dep in table.deps] == ["warehouse/scripts"]
    assert (table.owners, table.freshness_policy) == (["team:data"], policy)
    assert (table.kinds, table.automation_condition, videos.freshness_policy) == ({"table", "csv"}, None, None)
    for spec in (videos, table, requests):
        assert (spec.group_name, spec.tags["tier"]) == ("marketing", "gold")


def test_none_is_the_default_of_an_option() -> None:
    nothing: Any = dict.fromkeys(("severities", "table", "deps", "owners", "retry_policy", "on_progress", "kinds"))

    specs = specs_of(build_video_assets(prompts=PROMPTS, **nothing), build_dataset_assets(prompts=PROMPTS, costs=None))

    assert specs["videos"].kinds == {"runware", "mp4"}
    assert sorted(specs) == ["videos", "videos_costs", "videos_dataset", "videos_prompts", "videos_requests"]


@pytest.mark.slow
def test_everything_below_a_prefix_runs_and_nothing_has_a_name_twice(tmp_path: Path) -> None:
    prompts = written(tmp_path, table_of("A kite", "A boat"))
    first = everything(prompts, str(tmp_path / "export"), name="trailers", key_prefix=["marketing", "eu"])
    others = [everything(prompts), everything(prompts, name="trailers"), everything(prompts, key="us-east/trailers")]
    together = dg.Definitions.merge(first, *others, dg.Definitions(resources=RESOURCES))
    dg.Definitions.validate_loadable(together)
    videos = dg.AssetKey(["marketing", "eu", "trailers"])

    def beside(suffix: str) -> dg.AssetKey:
        return dg.AssetKey(["marketing", "eu", f"trailers_{suffix}"])

    with studio(tmp_path) as made:
        definitions = dg.Definitions.merge(first, dg.Definitions(resources=made.resources()))
        (sensor,) = first.sensors or ()
        ticked = sensor(dg.build_sensor_context(instance=made.instance, resources=made.resources()))
        job = definitions.resolve_implicit_global_asset_job_def()
        table = job.execute_in_process(instance=made.instance, asset_selection=[beside("prompts")])
        (missing,) = first.jobs or ()
        generated = definitions.resolve_job_def(missing.name).execute_in_process(instance=made.instance)
        rest = dg.materialize(
            [*(first.assets or ()), *(first.asset_checks or ())],
            instance=made.instance,
            resources=made.resources(),
            selection=dg.AssetSelection.assets(beside("dataset"), beside("costs"), beside("export"))
            | dg.AssetSelection.checks_for_assets(videos),
            raise_on_error=False,
        )

        assert sensor.name == "marketing__eu__trailers_sensor"
        assert [request.tags["dagster/asset_partition_range_end"] for request in ticked.run_requests] == ["b"]
        assert table.success, failure_of(table)
        assert generated.success
        assert made.instance.get_dynamic_partitions("marketing/eu/trailers") == ["a", "b"]
        assert made.instance.get_materialized_partitions(videos) == {"a", "b"}
        assert rest.success, failure_of(rest)
        assert all(evaluation.passed for evaluation in rest.get_asset_check_evaluations())
        ledger: LedgerResource = made.resources()["ledger"]
        assert [line.key for line in Ledger(ledger.url).spending("asset")] == ["marketing/eu/trailers"]
    assert (tmp_path / "store" / "datasets" / "marketing" / "eu" / "trailers_dataset.parquet").is_file()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"name": "a", "key": "b"}, "give either `key`, or `name` and `key_prefix`"),
        ({"key_prefix": "a", "key": "b"}, "give either `key`, or `name` and `key_prefix`"),
        ({"name": "a/b"}, "'a/b' is not a valid name of an asset; use `key_prefix`"),
        ({"name": "a-b"}, "'a-b' is not a valid name of an asset; use letters, digits and _"),
    ],
)
def test_a_key_is_given_once_and_a_name_is_one(named: dict[str, str], said: str) -> None:
    for build in (build_video_assets, build_video_checks, build_missing_job, build_video_sensor, build_dataset_assets):
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=said):
            build(prompts=PROMPTS, **named)


@pytest.mark.slow
def test_a_further_upstream_asset_makes_videos_stale_only_when_it_changes(tmp_path: Path) -> None:
    rules = dg.AssetKey("rules")

    def report(version: str) -> None:
        tags = {"dagster/data_version": version}
        made.instance.report_runless_asset_event(dg.AssetMaterialization(rules, tags=tags))

    with studio(tmp_path) as made:
        prompts = written(tmp_path, table_of("A kite", "A boat"))
        report("1")
        made.run(prompts, deps=[rules])
        before = stale(made, prompts, "ab", deps=[rules])
        report("2")
        after = stale(made, prompts, "ab", deps=[rules])
        made.run(prompts, only="videos", deps=[rules])

        assert before == {}
        assert list(after) == ["a", "b"]
        assert stale(made, prompts, "ab", deps=[rules]) == {}
        assert len(made.simulator.journal.charges()) == 2


def test_nothing_that_is_built_is_in_beta() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", dg.BetaWarning)
        warnings.simplefilter("error", dg.PreviewWarning)
        days = dg.DailyPartitionsDefinition("2026-01-01")
        of_days = everything(UpstreamPrompts("raw", partitions_def=days), name="daily")
        together = [everything(PROMPTS), of_days, dg.Definitions(assets=[dg.AssetSpec("raw")], resources=RESOURCES)]
        dg.Definitions.validate_loadable(dg.Definitions.merge(*together))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, dg.BackfillPolicy.multi_run(100)),
        ({"partitions_per_run": 10}, dg.BackfillPolicy.multi_run(10)),
        ({"backfill_policy": dg.BackfillPolicy.single_run()}, dg.BackfillPolicy.single_run()),
    ],
    ids=["default", "partitions_per_run", "backfill_policy"],
)
def test_a_backfill_policy_replaces_the_number_of_partitions_per_run(
    options: dict[str, Any], expected: dg.BackfillPolicy
) -> None:
    assets = build_video_assets(prompts=PROMPTS, **options).assets or ()

    (videos,) = (asset for asset in assets if isinstance(asset, dg.AssetsDefinition) and asset.key.path == ["videos"])
    assert videos.backfill_policy == expected
