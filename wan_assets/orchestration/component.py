"""The assets of a prompt table declared in YAML, and what watches, schedules and checks them."""

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
from wan_assets.orchestration.partitions.keys import definition_by
from wan_assets.orchestration.resources import LedgerResource, ledger_url_of, resources_of
from wan_assets.prompts import Prompts, SqlQuery
from wan_assets.settings import Settings, local_path, settings_from

Severity = Literal["ERROR", "WARN"]

_FIRST_TABLE_NAME = "prompts.csv"
_FIRST_TABLE = "prompt_id,positive_prompt,resolution\nkite,A red kite over a beach,480p\n"


class Query(dg.Model, dg.Resolvable):
    """Prompts in a database."""

    url: str = Field(description="A SQLAlchemy URL; keep its password out of the file: '{{ env.PROMPTS_URL }}'.")
    query: str = Field(description="A SELECT with an ORDER BY, its columns named as in a table's file.")


class Batches(dg.Model, dg.Resolvable):
    """Partitions of many rows each: windows of time by the column `date`, shards, or campaigns by `campaign`."""

    by: Literal["hour", "day", "week", "month", "shard", "campaign"] = Field(description="What a partition is.")
    start_date: str | None = Field(default=None, description="The first window, such as 2026-01-01.")
    end_date: str | None = Field(default=None, description="Where the windows end; open by default.")
    timezone: str = Field(default="UTC", description="Of the windows, such as Europe/Paris.")
    shards: int | None = Field(default=None, ge=1, le=10_000, description="How many shards there are; never change it.")

    def definition(self, name: str) -> dg.PartitionsDefinition[str]:
        """Dagster's partitions for the videos' asset `name`; raises `ValueError` where something is left open."""
        try:
            return definition_by(**self.model_dump(), campaigns=f"{name}_campaigns")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


class Sensor(dg.Model, dg.Resolvable):
    """A sensor that watches the table."""

    runs_per_tick: int = Field(default=10, ge=1, description="Runs requested in one tick at most.")
    minimum_interval_seconds: int = Field(default=30, ge=1, description="Seconds between two ticks at least.")
    requests_runs: bool = Field(default=True, description="False: just partitions and staleness are kept in step.")
    is_running: bool = Field(default=False, description="Whether it runs without being switched on in the UI.")
    run_tags: dict[str, str | int] = Field(default_factory=dict, description="Of the runs, such as dagster/priority.")


class _Scaffolder(dg.Scaffolder[Any]):
    """Writes a component that loads: with a first table beside its YAML."""

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
    partitions: Literal["prompt"] | Batches = Field(default="prompt", description="One prompt each, or batches.")
    partitions_per_run: int | None = Field(default=None, ge=1, description="Partitions in each run of a backfill.")
    retries: int = Field(default=0, ge=0, description="How often a run's step is repeated for rows without a video.")
    severities: dict[str, Severity] | None = Field(
        default=None, description="Judges each partition as it is made; severity by check, {} for the defaults."
    )
    on_mismatch: Literal["keep", "fail"] | None = Field(
        default=None,
        description="What to do with a playable video that deviates from its request: store it as the row's video, or "
        "set it aside and fail the row; by default what the resource runware says, which is keep.",
    )
    sensor: Sensor | None = Field(default=None, description="Watches the table.")
    missing_schedule: str | None = Field(
        default=None, description="Cron expression, in UTC, of runs that make whatever is missing or changed."
    )
    checks: bool = Field(default=False, description="Whether there are checks of the whole dataset.")
    dataset: bool = Field(default=False, description="Whether there is a manifest of all videos and a report of costs.")
    fresh_within_hours: float | None = Field(default=None, gt=0, description="Of table, manifest and costs.")
    resources: bool = Field(
        default=True,
        description="Whether the resources runware, store and ledger come with it; false where the project has them or "
        "whose first component brings others.",
    )
    store: str | None = Field(default=None, description="Root of the store; WAN_ASSETS_STORE by default.")
    ledger: str | None = Field(default=None, description="SQLAlchemy URL; WAN_ASSETS_LEDGER by default.")
    budget_usd_total: float | None = Field(default=None, ge=0, description="Cap in dollars; WAN_ASSETS_BUDGET_USD.")
    budget_usd_per_day: float | None = Field(default=None, ge=0, description="Cap in dollars on one UTC day.")
    budget_usd_per_run: float | None = Field(default=None, ge=0, description="Cap in dollars on one run.")
    max_in_flight: int | None = Field(default=None, ge=1, description="Cap on tasks in flight in all runs together.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets and what belongs to them, with the resources of the environment and of these attributes."""
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
    """The same objects for the same settings: Dagster merges several components only if they share them."""
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
    """What the attributes of a component ask for."""

    asked: WanVideosComponent
    prompts: Prompts

    def table(self) -> dict[str, Any]:
        """What all that concerns the table is given alike."""
        cut = self.asked.partitions
        partitions = cut if cut == "prompt" else cut.definition(self.asked.name)
        return {"name": self.asked.name, "prompts": self.prompts, "partitions": partitions}

    def videos(self) -> dg.Definitions:
        asked, options = self.asked, VideoOptions()
        if asked.retries:
            options["retry_policy"] = dg.RetryPolicy(max_retries=asked.retries)
        if freshness := self.freshness():
            options["freshness_policy"] = freshness
        if asked.on_mismatch:
            options["on_mismatch"] = asked.on_mismatch
        if asked.severities is not None:
            options["severities"] = {name: dg.AssetCheckSeverity[said] for name, said in asked.severities.items()}
        per_run = asked.partitions_per_run
        return build_video_assets(**self.table(), group_name=asked.group_name, partitions_per_run=per_run, **options)

    def others(self) -> Iterator[dg.Definitions]:
        asked = self.asked
        if asked.sensor:
            yield dg.Definitions(sensors=[self.sensor(asked.sensor)])
        if asked.missing_schedule:
            job = build_missing_job(**self.table(), on_mismatch=asked.on_mismatch)
            yield dg.Definitions(schedules=[dg.ScheduleDefinition(job=job, cron_schedule=asked.missing_schedule)])
        if asked.checks:
            yield dg.Definitions(asset_checks=build_video_checks(name=asked.name, prompts=self.prompts))
        if asked.dataset:
            yield dg.Definitions(assets=self.dataset())

    def sensor(self, wanted: Sensor) -> dg.SensorDefinition:
        status = dg.DefaultSensorStatus.RUNNING if wanted.is_running else dg.DefaultSensorStatus.STOPPED
        settings: dict[str, Any] = wanted.model_dump(exclude={"is_running", "run_tags"})
        settings["run_tags"] = {name: str(said) for name, said in wanted.run_tags.items()}
        per_run = self.asked.partitions_per_run
        return build_video_sensor(**self.table(), partitions_per_run=per_run, **settings, default_status=status)

    def dataset(self) -> list[dg.AssetsDefinition]:
        name = self.asked.name
        names = ("video_dataset", "generation_costs") if name == "videos" else (f"{name}_dataset", f"{name}_costs")
        return build_dataset_assets(
            name=name,
            prompts=self.prompts,
            dataset_name=names[0],
            costs_name=names[1],
            group_name=self.asked.group_name,
            freshness_policy=self.freshness(),
        )

    def freshness(self) -> dg.FreshnessPolicy | None:
        hours = self.asked.fresh_within_hours
        return dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours)) if hours else None
