"""The YAML component: the assets of a prompt table with their sensor, schedule and checks."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import dagster as dg
from pydantic import Field

from wan_assets.dataset import ApprovalPolicy
from wan_assets.ledger import DollarsOrNone
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.asset_options import AssetOptions, ReviewOptions, shared_options
from wan_assets.orchestration.assets.dataset_assets import DatasetOptions, build_dataset_assets
from wan_assets.orchestration.assets.video_assets import VideoOptions, build_video_assets
from wan_assets.orchestration.automation import (
    build_budget_sensor,
    build_missing_job,
    build_review_sensor,
    build_video_sensor,
)
from wan_assets.orchestration.budget import Budget, configured_budgets
from wan_assets.orchestration.checks import build_video_checks
from wan_assets.orchestration.component_attributes import (
    ApprovedDrafts,
    AssetAttributes,
    Batches,
    BudgetSensor,
    Manifest,
    Query,
    Range,
    ReviewSensor,
    Sensor,
    UpstreamAsset,
)
from wan_assets.orchestration.configured_resources import ledger_url_of, resources_of
from wan_assets.orchestration.resources import LedgerResource
from wan_assets.orchestration.run_context import OnBudgetAlert
from wan_assets.orchestration.tables.upstream import PromptsOrAsset
from wan_assets.prompts import MAX_VARIANTS, PromptSource, SqlQuery
from wan_assets.settings import BUDGETS_VARIABLE, Settings, settings_from, table_path

Severity = Literal["ERROR", "WARN"]
_Options = TypeVar("_Options", Sensor, ReviewSensor, BudgetSensor)

_FIRST_TABLE_NAME = "prompts.csv"
_FIRST_TABLE = "prompt_id,positive_prompt,resolution\nkite,A red kite over a beach,480p\n"


class _Scaffolder(dg.Scaffolder[Any]):
    """Writes a component that loads, with a first table next to its YAML."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        name = re.sub(r"[^A-Za-z0-9_]", "_", request.target_path.name)
        dg.scaffold_component(request, {"name": name, "prompts": _FIRST_TABLE_NAME})
        (request.target_path / _FIRST_TABLE_NAME).write_text(_FIRST_TABLE)


@dg.scaffold_with(_Scaffolder)
class WanVideosComponent(dg.Component, AssetAttributes):
    """Declares a prompt table, its videos, its resources and its automation in YAML.

    Args:
        prompts: A table, a folder or a pattern, relative to the folder of `defs.yaml`; a URL; a query; an upstream
            asset; or the approved videos of another asset.
        columns: Source column of each parameter, such as `{positive_prompt: prompt_en}`.
        defaults: Values for cells that are empty or missing, such as `{resolution: 720p}`.
        extra: Columns that are no parameters: "keep" or "refuse".
        seeds: Number of seeds of each row, each of which becomes a row.
        variants: Values of parameters that vary, such as `{resolution: [480p, 720p]}`; each becomes a row.
        name: Name of the videos' asset, by default `videos`. `dg scaffold` writes the name of the component's folder.
        key: Key of the videos' asset, such as `marketing/trailers`, instead of `name` and `key_prefix`.
        key_prefix: Prefix of the keys of all assets of the component.
        deps: Keys of further upstream assets of the videos.
        owners: Owners of the assets of the component.
        tags: Tags of the assets of the component.
        metadata: Metadata of the definition of the videos.
        description: Description of the videos, instead of the default one.
        kinds: Kinds of the videos, instead of the default ones.
        group_name: Dagster's asset group, by default `videos`.
        automation_condition: Automation condition of the videos, such as `"{{ dg.AutomationCondition.eager() }}"`.
        table: The same options for the asset of the table, such as `{deps: [warehouse/scripts]}`.
        partitions: "prompt" for one partition per prompt, or batches.
        partitions_per_run: Maximum number of partitions in each run of a backfill.
        retries: How often a run's step is repeated for rows without a video.
        severities: Enables the check `quality` of each partition; severity by check name, `{}` for the defaults.
        on_mismatch: Handling of a playable video that deviates from its request: "keep" or "fail".
        video_checks: Import paths of checks that are decorated with `@video_check`, such as `my_project.checks.sharp`.
        review: Whether each partition has the check `reviewed`, which fails until its videos are approved.
        max_takes: The most takes of a row whose videos are sent back, by default 3.
        retake_rejected: Whether rejected videos are generated again too.
        review_sensor: Whether the sensor that reports decisions is built, or its options.
        budget_sensor: Whether the sensor that delivers alerts of budgets is built, or its options.
        on_budget_alert: Import path of a function that runs and the sensor call with each `BudgetAlert`, such as
            `my_project.alerts.to_slack`.
        sensor: Whether the sensor that watches the table is built, or its options.
        missing_schedule: Cron expression, in UTC, of runs that make missing and changed partitions.
        checks: Whether checks of the whole dataset are built.
        dataset: Whether a manifest of all videos and a report of costs are built. `{only: approved}` limits the
            manifest to approved videos.
        fresh_within_hours: Maximum age in hours of the table, the manifest and the costs.
        resources: Whether the component provides the resources `runware`, `store` and `ledger`.
        store: Root of the store. The default is `WAN_ASSETS_STORE`.
        ledger: SQLAlchemy URL of the ledger. The default is `WAN_ASSETS_LEDGER`.
        budget_usd_total: Budget of all spent and reserved money, in US dollars. The default is `WAN_ASSETS_BUDGET_USD`.
        budget_usd_per_day: Budget of one UTC day, in US dollars.
        budget_usd_per_run: Budget of one run, in US dollars.
        budget_usd_retakes: Budget of further takes of rows, in US dollars. The default is
            `WAN_ASSETS_BUDGET_USD_RETAKES`.
        budgets: Further budgets by scope and period. The default is `WAN_ASSETS_BUDGETS`.
        max_in_flight: Maximum number of tasks in flight in all runs.

    Raises:
        pydantic.ValidationError: An attribute does not exist, or its value is not valid.

    Example:
        >>> from wan_assets import WanVideosComponent
        >>> component = WanVideosComponent.resolve_from_yaml("{name: trailers, prompts: a.csv, budget_usd_total: 25}")
        >>> component.name, component.budget_usd_total
        ('trailers', 25.0)
    """

    prompts: str | UpstreamAsset | ApprovedDrafts | Query = Field(
        description="A table, a folder of them or a pattern, relative to the folder of this file; a URL; a query; "
        "an upstream asset; or the approved videos of another asset."
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="The source column of each parameter, such as positive_prompt: prompt_en."
    )
    defaults: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="Values for cells that are empty or missing, such as resolution: 720p and duration: 5.",
    )
    extra: Literal["keep", "refuse"] = Field(
        default="keep", description="Keep columns that are no parameters with their row, or report them as problems."
    )
    seeds: Annotated[int | None, Range(1, MAX_VARIANTS)] = Field(
        default=None, description="Number of seeds of each row, each of which becomes a row."
    )
    variants: dict[str, list[str | int | float | bool]] = Field(
        default_factory=dict,
        description="Values of parameters that vary, such as resolution: [480p, 720p]; each becomes a row.",
    )
    name: str | None = Field(default=None, description="The name of the videos' asset; videos by default.")
    key: str | None = Field(default=None, description="The key of the videos' asset, instead of name and key_prefix.")
    key_prefix: str | list[str] | None = Field(default=None, description="A prefix of the keys of all assets.")
    table: AssetAttributes | None = Field(default=None, description="Options of the asset of the table.")
    partitions: Literal["prompt"] | Batches = Field(
        default="prompt", description="One partition per prompt, or batches."
    )
    partitions_per_run: Annotated[int | None, Range(1)] = Field(
        default=None, description="Partitions in each run of a backfill."
    )
    retries: Annotated[int, Range(0)] = Field(
        default=0, description="Number of retries of a run's step for rows without a video."
    )
    severities: dict[str, Severity] | None = Field(
        default=None,
        description="Severity by check; records the check `quality` of each partition. {} for the defaults.",
    )
    on_mismatch: Literal["keep", "fail"] | None = Field(
        default=None,
        description="What to do with a playable video that deviates from its request: store it as the row's video, or "
        "quarantine it and fail the row. The default is the setting of the resource runware, which is keep.",
    )
    video_checks: list[str] = Field(
        default_factory=list,
        description="Import paths of checks that are decorated with @video_check, such as my_project.checks.sharp.",
    )
    review: bool = Field(
        default=False,
        description="Define the check reviewed, which fails until the videos of a partition are approved.",
    )
    max_takes: Annotated[int | None, Range(1)] = Field(
        default=None, description="The most takes of a row whose videos are sent back; 3 by default."
    )
    retake_rejected: bool | None = Field(default=None, description="Generate rejected videos again too.")
    review_sensor: bool | ReviewSensor = Field(
        default=False, description="A sensor that reports decisions; true, or its options."
    )
    budget_sensor: bool | BudgetSensor = Field(
        default=False, description="A sensor that delivers alerts of budgets; true, or its options."
    )
    on_budget_alert: str | None = Field(
        default=None,
        description="Import path of a function that is called with each alert of a budget, such as "
        "my_project.alerts.to_slack.",
    )
    sensor: bool | Sensor = Field(default=False, description="A sensor that watches the table; true, or its options.")
    missing_schedule: str | None = Field(
        default=None, description="Cron expression, in UTC, of runs that generate missing and changed partitions."
    )
    checks: bool = Field(default=False, description="Whether to define checks of the whole dataset.")
    dataset: bool | Manifest = Field(
        default=False,
        description="Whether to define a manifest of all videos and a report of costs; {only: approved} limits the "
        "manifest to approved videos.",
    )
    fresh_within_hours: Annotated[float | None, Range(0, is_open=True)] = Field(
        default=None, description="Hours after which table, manifest and costs are stale."
    )
    resources: bool = Field(
        default=True,
        description="Whether to define the resources runware, store and ledger; false if the project or another "
        "component defines them.",
    )
    store: str | None = Field(default=None, description="Root of the store; WAN_ASSETS_STORE by default.")
    ledger: str | None = Field(default=None, description="SQLAlchemy URL; WAN_ASSETS_LEDGER by default.")
    budget_usd_total: DollarsOrNone = Field(
        default=None, description="Total budget in dollars; WAN_ASSETS_BUDGET_USD by default."
    )
    budget_usd_per_day: DollarsOrNone = Field(default=None, description="Budget in dollars for one UTC day.")
    budget_usd_per_run: DollarsOrNone = Field(default=None, description="Budget in dollars for one run.")
    budget_usd_retakes: DollarsOrNone = Field(
        default=None,
        description="Budget in dollars for further takes of rows; WAN_ASSETS_BUDGET_USD_RETAKES by default.",
    )
    budgets: list[Budget] = Field(
        default_factory=list,
        description="Further budgets by scope and period; WAN_ASSETS_BUDGETS by default.",
    )
    max_in_flight: Annotated[int | None, Range(1)] = Field(
        default=None, description="Maximum number of tasks in flight in all runs together."
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the assets and related definitions, with resources from the environment and the attributes."""
        parts = _Parts(self, Path(context.path))
        resources = _resources_of(self._settings(), *self._caps()) if self.resources else {}
        return dg.Definitions.merge(parts.videos(), *parts.others(), dg.Definitions(resources=resources))

    def _settings(self) -> Settings:
        given = {
            "WAN_ASSETS_STORE": self.store,
            "WAN_ASSETS_LEDGER": self.ledger,
            "WAN_ASSETS_BUDGET_USD": self.budget_usd_total,
            "WAN_ASSETS_BUDGET_USD_RETAKES": self.budget_usd_retakes,
            BUDGETS_VARIABLE: _as_json(self.budgets),
        }
        return settings_from(os.environ | {name: str(value) for name, value in given.items() if value is not None})

    def _caps(self) -> tuple[float | None, float | None, int | None]:
        return self.budget_usd_per_day, self.budget_usd_per_run, self.max_in_flight


def _as_json(budgets: list[Budget]) -> str | None:
    return json.dumps([budget.model_dump() for budget in budgets]) if budgets else None


@cache
def _resources_of(
    settings: Settings, per_day: float | None, per_run: float | None, max_in_flight: int | None
) -> dict[str, object]:
    """Returns the same objects for the same settings: Dagster merges several components only if they share them."""
    ledger = LedgerResource(
        url=ledger_url_of(settings.ledger),
        budget_usd_total=settings.budget_usd,
        budget_usd_per_day=per_day,
        budget_usd_per_run=per_run,
        budget_usd_retakes=settings.budget_usd_retakes,
        budgets=configured_budgets(settings),
        max_in_flight=max_in_flight,
    )
    return {**resources_of(settings), "ledger": ledger}


@dataclass(frozen=True)
class _Parts:
    """The definitions that the attributes of a component request."""

    attributes: WanVideosComponent
    folder: Path

    @cached_property
    def names(self) -> AssetNames:
        return AssetNames.of(self.attributes.name, self.attributes.key, self.attributes.key_prefix)

    @cached_property
    def batches(self) -> dg.PartitionsDefinition[str] | None:
        """The partitions of the videos, or None by prompt."""
        partitions = self.attributes.partitions
        return None if partitions == "prompt" else partitions.definition(self.names.partitions)

    @cached_property
    def prompts(self) -> PromptsOrAsset:
        attributes = self.attributes
        given = PromptSource(
            self.source(),
            attributes.columns,
            attributes.defaults,
            attributes.extra,
            seeds=attributes.seeds,
            variants=attributes.variants,
        )
        return given if given.has_options else given.source

    def source(self) -> PromptsOrAsset:
        prompts = self.attributes.prompts
        if isinstance(prompts, Query):
            return SqlQuery(prompts.url, prompts.query)
        if isinstance(prompts, UpstreamAsset):
            return prompts.prompts(self.folder, self.batches)
        if isinstance(prompts, ApprovedDrafts):
            return prompts.prompts()
        location = table_path(prompts, "prompts")
        return location if isinstance(location, str) else self.folder / location

    def table(self) -> dict[str, Any]:
        """Returns the arguments that all definitions of the table share."""
        partitions = "prompt" if self.batches is None else self.batches
        return {"key": self.names.videos, "prompts": self.prompts, "partitions": partitions}

    def videos(self) -> dg.Definitions:
        attributes = self.attributes
        options = cast(VideoOptions, {**attributes.options(), "table": self.table_options(), **self.review_options()})
        if attributes.retries:
            options["retry_policy"] = dg.RetryPolicy(max_retries=attributes.retries)
        if attributes.on_mismatch:
            options["on_mismatch"] = attributes.on_mismatch
        if checks := self.checks_of_videos():
            options["video_checks"] = checks
        if on_alert := self.on_alert():
            options["on_budget_alert"] = on_alert
        if attributes.severities is not None:
            options["severities"] = {
                name: dg.AssetCheckSeverity[value] for name, value in attributes.severities.items()
            }
        return build_video_assets(**self.table(), partitions_per_run=attributes.partitions_per_run, **options)

    def review_options(self) -> ReviewOptions:
        """Returns the options of reviews that the videos and the job for missing ones share."""
        attributes = self.attributes
        given = {
            "review": attributes.review,
            "max_takes": attributes.max_takes,
            "retake_rejected": attributes.retake_rejected,
        }
        return cast(ReviewOptions, {name: value for name, value in given.items() if value is not None})

    def table_options(self) -> AssetOptions:
        options = self.attributes.table.options() if self.attributes.table else AssetOptions()
        if freshness := self.freshness():
            options["freshness_policy"] = freshness
        return options

    def checks_of_videos(self) -> list[Any]:
        return [_imported(path, "video_checks") for path in self.attributes.video_checks]

    def on_alert(self) -> OnBudgetAlert | None:
        path = self.attributes.on_budget_alert
        return cast(OnBudgetAlert, _imported(path, "on_budget_alert")) if path else None

    def others(self) -> Iterator[dg.Definitions]:
        attributes = self.attributes
        if sensor := _options_of(attributes.sensor, Sensor):
            yield dg.Definitions(sensors=[self.sensor(sensor)])
        if review_sensor := _options_of(attributes.review_sensor, ReviewSensor):
            yield dg.Definitions(sensors=[self.review_sensor(review_sensor)])
        if budget_sensor := _options_of(attributes.budget_sensor, BudgetSensor):
            yield dg.Definitions(sensors=[self.budget_sensor(budget_sensor)])
        if attributes.missing_schedule:
            job = build_missing_job(
                **self.table(),
                on_mismatch=attributes.on_mismatch,
                deps=attributes.deps or (),
                video_checks=self.checks_of_videos(),
                on_budget_alert=self.on_alert(),
                **self.review_options(),
            )
            yield dg.Definitions(schedules=[dg.ScheduleDefinition(job=job, cron_schedule=attributes.missing_schedule)])
        if attributes.checks:
            yield dg.Definitions(asset_checks=build_video_checks(key=self.names.videos, prompts=self.prompts))
        if attributes.dataset:
            yield dg.Definitions(assets=self.dataset())

    def sensor(self, wanted: Sensor) -> dg.SensorDefinition:
        status = dg.DefaultSensorStatus.RUNNING if wanted.is_running else dg.DefaultSensorStatus.STOPPED
        settings: dict[str, Any] = wanted.model_dump(exclude={"is_running", "run_tags"})
        settings["run_tags"] = {name: str(value) for name, value in wanted.run_tags.items()}
        per_run = self.attributes.partitions_per_run
        return build_video_sensor(**self.table(), partitions_per_run=per_run, **settings, default_status=status)

    def review_sensor(self, wanted: ReviewSensor) -> dg.SensorDefinition:
        status = dg.DefaultSensorStatus.RUNNING if wanted.is_running else dg.DefaultSensorStatus.STOPPED
        takes: dict[str, Any] = {name: value for name, value in self.review_options().items() if name != "review"}
        settings: dict[str, Any] = wanted.model_dump(exclude={"is_running", "run_tags", "policy"})
        settings["run_tags"] = {name: str(value) for name, value in wanted.run_tags.items()}
        if wanted.policy is not None:
            settings["policy"] = ApprovalPolicy.model_validate(wanted.policy)
        return build_review_sensor(key=self.names.videos, **takes, **settings, default_status=status)

    def budget_sensor(self, wanted: BudgetSensor) -> dg.SensorDefinition:
        status = dg.DefaultSensorStatus.RUNNING if wanted.is_running else dg.DefaultSensorStatus.STOPPED
        interval_s = wanted.minimum_interval_seconds
        return build_budget_sensor(
            key=self.names.videos,
            on_alert=self.on_alert(),
            minimum_interval_seconds=interval_s,
            default_status=status,
        )

    def dataset(self) -> list[dg.AssetsDefinition]:
        options = cast(DatasetOptions, shared_options(self.attributes.options()))
        if freshness := self.freshness():
            options["freshness_policy"] = freshness
        wanted = self.attributes.dataset
        only = wanted.only if isinstance(wanted, Manifest) else None
        return build_dataset_assets(key=self.names.videos, prompts=self.prompts, only=only, **options)

    def freshness(self) -> dg.FreshnessPolicy | None:
        hours = self.attributes.fresh_within_hours
        return dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours)) if hours else None


def _options_of(given: bool | _Options, options: type[_Options]) -> _Options | None:
    """Returns the options of a sensor, which are the defaults for true; None for false."""
    return options() if given is True else given or None


def _imported(path: str, attribute: str) -> Any:
    """Returns what the import path in an attribute names; raises `ValueError` if there is nothing."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{attribute}: {path!r} cannot be imported: {error}") from None
