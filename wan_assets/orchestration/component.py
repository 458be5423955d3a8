"""The YAML component: the assets of a prompt table with their sensor, schedule and checks."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from wan_assets.orchestration.assets.dataset_assets import build_dataset_assets
from wan_assets.orchestration.assets.video_assets import VideoOptions, build_video_assets
from wan_assets.orchestration.automation import build_missing_job, build_video_sensor
from wan_assets.orchestration.checks import build_video_checks
from wan_assets.orchestration.configured_resources import ledger_url_of, resources_of
from wan_assets.orchestration.partitions.keys import definition_by
from wan_assets.orchestration.resources import LedgerResource
from wan_assets.prompts import Prompts, SqlQuery
from wan_assets.settings import Settings, local_path, settings_from

Severity = Literal["ERROR", "WARN"]

_FIRST_TABLE_NAME = "prompts.csv"
_FIRST_TABLE = "prompt_id,positive_prompt,resolution\nkite,A red kite over a beach,480p\n"


class Query(dg.Model, dg.Resolvable):
    """Prompts in a database."""

    url: str = Field(description="A SQLAlchemy URL; keep its password out of the file: '{{ env.PROMPTS_URL }}'.")
    query: str = Field(description="A SELECT with an ORDER BY; its columns are named as in a file.")


class Batches(dg.Model, dg.Resolvable):
    """Partitions of many rows each: time windows by the column `date`, shards, or campaigns by `campaign`."""

    by: Literal["hour", "day", "week", "month", "shard", "campaign"] = Field(description="The kind of partition.")
    start_date: str | None = Field(default=None, description="The first window, such as 2026-01-01.")
    end_date: str | None = Field(default=None, description="The end of the windows; open by default.")
    timezone: str = Field(default="UTC", description="The time zone of the windows, such as Europe/Paris.")
    shards: int | None = Field(default=None, ge=1, le=10_000, description="The number of shards; never change it.")

    def definition(self, name: str) -> dg.PartitionsDefinition[str]:
        """Returns the partitions of the videos asset `name`; raises `ValueError` for missing attributes."""
        try:
            return definition_by(**self.model_dump(), campaigns=f"{name}_campaigns")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


class Sensor(dg.Model, dg.Resolvable):
    """A sensor that watches the table."""

    runs_per_tick: int = Field(default=10, ge=1, description="Maximum number of runs requested in one tick.")
    minimum_interval_seconds: int = Field(default=30, ge=1, description="Minimum number of seconds between two ticks.")
    requests_runs: bool = Field(default=True, description="False: only update partitions and staleness.")
    is_running: bool = Field(default=False, description="Whether the sensor is on by default.")
    run_tags: dict[str, str | int] = Field(
        default_factory=dict, description="Tags of the runs, such as dagster/priority."
    )


class _Scaffolder(dg.Scaffolder[Any]):
    """Writes a component that loads, with a first table next to its YAML."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        dg.scaffold_component(request, {"prompts": _FIRST_TABLE_NAME})
        (request.target_path / _FIRST_TABLE_NAME).write_text(_FIRST_TABLE)


@dg.scaffold_with(_Scaffolder)
class WanVideosComponent(dg.Component, dg.Model, dg.Resolvable):
    """Declares a prompt table, its videos, its resources and its automation in YAML.

    Args:
        prompts: A table, a folder or a pattern, relative to the folder of `defs.yaml`; or a query.
        name: Name of the videos' asset.
        group_name: Dagster's asset group.
        partitions: "prompt" for one partition per prompt, or batches.
        partitions_per_run: Maximum number of partitions in each run of a backfill.
        retries: How often a run's step is repeated for rows without a video.
        severities: Enables the check `quality` of each partition; severity by check name, `{}` for the defaults.
        on_mismatch: Handling of a playable video that deviates from its request: "keep" or "fail".
        sensor: Options of the sensor that watches the table. None builds no sensor.
        missing_schedule: Cron expression, in UTC, of runs that make missing and changed partitions.
        checks: Whether checks of the whole dataset are built.
        dataset: Whether a manifest of all videos and a report of costs are built.
        fresh_within_hours: Maximum age in hours of the table, the manifest and the costs.
        resources: Whether the component provides the resources `runware`, `store` and `ledger`.
        store: Root of the store. The default is `WAN_ASSETS_STORE`.
        ledger: SQLAlchemy URL of the ledger. The default is `WAN_ASSETS_LEDGER`.
        budget_usd_total: Budget of all spent and reserved money, in US dollars. The default is `WAN_ASSETS_BUDGET_USD`.
        budget_usd_per_day: Budget of one UTC day, in US dollars.
        budget_usd_per_run: Budget of one run, in US dollars.
        max_in_flight: Maximum number of tasks in flight in all runs.

    Raises:
        pydantic.ValidationError: An attribute does not exist, or its value is not valid.

    Example:
        >>> from wan_assets import WanVideosComponent
        >>> component = WanVideosComponent.resolve_from_yaml("{name: trailers, prompts: a.csv, budget_usd_total: 25}")
        >>> component.name, component.budget_usd_total
        ('trailers', 25.0)
    """

    prompts: str | Query = Field(
        description="A table, a folder of them or a pattern, relative to the folder of this file; or a query."
    )
    name: str = Field(default="videos", description="The name of the videos' asset.")
    group_name: str = Field(default="videos", description="The asset group.")
    partitions: Literal["prompt"] | Batches = Field(
        default="prompt", description="One partition per prompt, or batches."
    )
    partitions_per_run: int | None = Field(default=None, ge=1, description="Partitions in each run of a backfill.")
    retries: int = Field(default=0, ge=0, description="Number of retries of a run's step for rows without a video.")
    severities: dict[str, Severity] | None = Field(
        default=None,
        description="Severity by check; records the check `quality` of each partition. {} for the defaults.",
    )
    on_mismatch: Literal["keep", "fail"] | None = Field(
        default=None,
        description="What to do with a playable video that deviates from its request: store it as the row's video, or "
        "quarantine it and fail the row. The default is the setting of the resource runware, which is keep.",
    )
    sensor: Sensor | None = Field(default=None, description="A sensor that watches the table.")
    missing_schedule: str | None = Field(
        default=None, description="Cron expression, in UTC, of runs that generate missing and changed partitions."
    )
    checks: bool = Field(default=False, description="Whether to define checks of the whole dataset.")
    dataset: bool = Field(
        default=False, description="Whether to define a manifest of all videos and a report of costs."
    )
    fresh_within_hours: float | None = Field(
        default=None, gt=0, description="Hours after which table, manifest and costs are stale."
    )
    resources: bool = Field(
        default=True,
        description="Whether to define the resources runware, store and ledger; false if the project or another "
        "component defines them.",
    )
    store: str | None = Field(default=None, description="Root of the store; WAN_ASSETS_STORE by default.")
    ledger: str | None = Field(default=None, description="SQLAlchemy URL; WAN_ASSETS_LEDGER by default.")
    budget_usd_total: float | None = Field(
        default=None, ge=0, description="Total budget in dollars; WAN_ASSETS_BUDGET_USD by default."
    )
    budget_usd_per_day: float | None = Field(default=None, ge=0, description="Budget in dollars for one UTC day.")
    budget_usd_per_run: float | None = Field(default=None, ge=0, description="Budget in dollars for one run.")
    max_in_flight: int | None = Field(
        default=None, ge=1, description="Maximum number of tasks in flight in all runs together."
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the assets and related definitions, with resources from the environment and the attributes."""
        parts = _Parts(self, self._prompts(Path(context.path)))
        resources = _resources_of(self._settings(), *self._caps()) if self.resources else {}
        return dg.Definitions.merge(parts.videos(), *parts.others(), dg.Definitions(resources=resources))

    def _prompts(self, folder: Path) -> Prompts:
        if isinstance(self.prompts, Query):
            return SqlQuery(self.prompts.url, self.prompts.query)
        return folder / local_path(self.prompts, "prompts")

    def _settings(self) -> Settings:
        given = {
            "WAN_ASSETS_STORE": self.store,
            "WAN_ASSETS_LEDGER": self.ledger,
            "WAN_ASSETS_BUDGET_USD": None if self.budget_usd_total is None else str(self.budget_usd_total),
        }
        return settings_from(os.environ | {name: value for name, value in given.items() if value is not None})

    def _caps(self) -> tuple[float | None, float | None, int | None]:
        return self.budget_usd_per_day, self.budget_usd_per_run, self.max_in_flight


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
        max_in_flight=max_in_flight,
    )
    return {**resources_of(settings), "ledger": ledger}


@dataclass(frozen=True)
class _Parts:
    """The definitions that the attributes of a component request."""

    attributes: WanVideosComponent
    prompts: Prompts

    def table(self) -> dict[str, Any]:
        """Returns the arguments that all definitions of the table share."""
        definition = self.attributes.partitions
        partitions = definition if definition == "prompt" else definition.definition(self.attributes.name)
        return {"name": self.attributes.name, "prompts": self.prompts, "partitions": partitions}

    def videos(self) -> dg.Definitions:
        attributes, options = self.attributes, VideoOptions()
        if attributes.retries:
            options["retry_policy"] = dg.RetryPolicy(max_retries=attributes.retries)
        if freshness := self.freshness():
            options["freshness_policy"] = freshness
        if attributes.on_mismatch:
            options["on_mismatch"] = attributes.on_mismatch
        if attributes.severities is not None:
            options["severities"] = {
                name: dg.AssetCheckSeverity[value] for name, value in attributes.severities.items()
            }
        per_run = attributes.partitions_per_run
        return build_video_assets(
            **self.table(), group_name=attributes.group_name, partitions_per_run=per_run, **options
        )

    def others(self) -> Iterator[dg.Definitions]:
        attributes = self.attributes
        if attributes.sensor:
            yield dg.Definitions(sensors=[self.sensor(attributes.sensor)])
        if attributes.missing_schedule:
            job = build_missing_job(**self.table(), on_mismatch=attributes.on_mismatch)
            yield dg.Definitions(schedules=[dg.ScheduleDefinition(job=job, cron_schedule=attributes.missing_schedule)])
        if attributes.checks:
            yield dg.Definitions(asset_checks=build_video_checks(name=attributes.name, prompts=self.prompts))
        if attributes.dataset:
            yield dg.Definitions(assets=self.dataset())

    def sensor(self, wanted: Sensor) -> dg.SensorDefinition:
        status = dg.DefaultSensorStatus.RUNNING if wanted.is_running else dg.DefaultSensorStatus.STOPPED
        settings: dict[str, Any] = wanted.model_dump(exclude={"is_running", "run_tags"})
        settings["run_tags"] = {name: str(value) for name, value in wanted.run_tags.items()}
        per_run = self.attributes.partitions_per_run
        return build_video_sensor(**self.table(), partitions_per_run=per_run, **settings, default_status=status)

    def dataset(self) -> list[dg.AssetsDefinition]:
        name = self.attributes.name
        names = ("video_dataset", "generation_costs") if name == "videos" else (f"{name}_dataset", f"{name}_costs")
        return build_dataset_assets(
            name=name,
            prompts=self.prompts,
            dataset_name=names[0],
            costs_name=names[1],
            group_name=self.attributes.group_name,
            freshness_policy=self.freshness(),
        )

    def freshness(self) -> dg.FreshnessPolicy | None:
        hours = self.attributes.fresh_within_hours
        return dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours)) if hours else None
