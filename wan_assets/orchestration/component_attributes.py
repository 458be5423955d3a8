"""Attributes of the component in YAML: the options of an asset, the source of the prompts, batches and the sensor."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import dagster as dg
from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from wan_assets.orchestration.asset_options import AssetOptions
from wan_assets.orchestration.partitions.keys import definition_by
from wan_assets.orchestration.tables.upstream import UpstreamPrompts
from wan_assets.prompts import ApprovedVideos, SqlQuery
from wan_assets.settings import local_path


@dataclass(frozen=True)
class Range:
    """Limits a number. Unlike `Field(ge=…)` it accepts a template such as `{{ env.LIMIT }}`, because the model that
    Dagster derives from a component has these limits too; the component itself limits the value of the template.
    """

    minimum: float
    maximum: float = inf
    is_open: bool = False
    """Whether the minimum itself is refused."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Adds the limits to the schema of the field."""
        return no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Shows the limits to editors of YAML."""
        limits = {"exclusiveMinimum" if self.is_open else "minimum": self.minimum, "maximum": self.maximum}
        return handler(schema) | {name: limit for name, limit in limits.items() if limit < inf}

    def _checked(self, given: Any) -> Any:
        is_number = isinstance(given, (int, float))
        if is_number and not (self.minimum <= given <= self.maximum and not (self.is_open and given == self.minimum)):
            most = f" and at most {self.maximum:,}" if self.maximum < inf else ""
            raise ValueError(f"must be {'more than' if self.is_open else 'at least'} {self.minimum:,}{most}")
        return given


Condition = Annotated[
    dg.AutomationCondition[dg.AssetKey] | None, dg.Resolver.default(model_field_type=str | None)  # a template
]


class AssetAttributes(dg.Model, dg.Resolvable):
    """Options of an asset, with the names and meanings of `dagster.asset`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    deps: list[str] | None = Field(default=None, description="Keys of further upstream assets: warehouse/scripts.")
    owners: list[str] | None = Field(default=None, description="Owners: email addresses, or team:name.")
    tags: dict[str, str | int | float | bool] | None = Field(default=None, description="Tags of the asset.")
    metadata: dict[str, Any] | None = Field(default=None, description="Metadata of the definition.")
    description: str | None = Field(default=None, description="The description, instead of the default one.")
    kinds: list[str] | None = Field(default=None, description="Up to three kinds, instead of the default ones.")
    group_name: str | None = Field(default=None, description="The asset group; videos by default.")
    automation_condition: Condition = Field(
        default=None, description="When Dagster materializes it: '{{ dg.AutomationCondition.eager() }}'."
    )

    def options(self) -> AssetOptions:
        """Returns the options that are given."""
        given = {name: getattr(self, name) for name in AssetAttributes.model_fields}
        options = {name: value for name, value in given.items() if value is not None}
        if self.tags:
            options["tags"] = {name: str(value) for name, value in self.tags.items()}
        return cast(AssetOptions, options)


class Query(dg.Model, dg.Resolvable):
    """Prompts in a database."""

    url: str = Field(description="A SQLAlchemy URL; keep its password out of the file: '{{ env.PROMPTS_URL }}'.")
    query: str = Field(description="A SELECT with an ORDER BY; its columns are named as in a file.")


class UpstreamAsset(dg.Model, dg.Resolvable):
    """Prompts in the value of an upstream asset, or in a database table that the asset builds."""

    asset: str = Field(description="The key of the asset, such as warehouse/prompts.")
    url: str | None = Field(
        default=None, description="A SQLAlchemy URL, with `query`: the table is read from this database."
    )
    query: str | None = Field(default=None, description="A SELECT with an ORDER BY, with `url`.")
    partitioned: bool = Field(
        default=False, description="Whether the asset has the partitions of the videos; each partition has its rows."
    )
    base_dir: str | None = Field(
        default=None, description="Folder of the local files that rows name, relative to the folder of this file."
    )

    def prompts(self, folder: Path, partitions: dg.PartitionsDefinition[str] | None) -> UpstreamPrompts:
        """Returns the upstream prompts; `partitions` are those of the videos, or None by prompt."""
        if (self.url is None) != (self.query is None):
            raise ValueError("prompts: a table that an asset builds in a database needs both `url` and `query`")
        if self.partitioned and self.url:
            raise ValueError("prompts: a table in a database is read as a whole; leave out `partitioned`")
        if self.partitioned and partitions is None:
            raise ValueError("prompts: `partitioned` needs `partitions`, the batches of the videos and of the asset")
        return UpstreamPrompts(
            self.asset,
            source=SqlQuery(self.url, self.query) if self.url and self.query else None,
            partitions_def=partitions if self.partitioned else None,
            base_dir=folder / local_path(self.base_dir, "base_dir") if self.base_dir else None,
        )


class ApprovedDrafts(dg.Model, dg.Resolvable):
    """Prompts of the approved videos of another asset, with other settings for their final versions."""

    approved_videos_of: str = Field(description="The key of the videos asset of the drafts, such as drafts.")
    overrides: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Values that differ from the draft, such as resolution: 1080p."
    )
    keep_seed: bool = Field(default=True, description="Whether a final has the seed of its draft.")
    approved_for_s: Annotated[float, Range(0)] = Field(
        default=0.0, description="Seconds for which a draft must have been approved before its final is bought."
    )

    def prompts(self) -> ApprovedVideos:
        """Returns the source of the prompts."""
        return ApprovedVideos(
            self.approved_videos_of, self.overrides, self.keep_seed, approved_for_s=self.approved_for_s
        )


class Batches(dg.Model, dg.Resolvable):
    """Partitions of many rows each: time windows by the column `date`, shards, or campaigns by `campaign`."""

    by: Literal["hour", "day", "week", "month", "shard", "campaign"] = Field(description="The kind of partition.")
    start_date: str | None = Field(default=None, description="The first window, such as 2026-01-01.")
    end_date: str | None = Field(default=None, description="The end of the windows; open by default.")
    timezone: str = Field(default="UTC", description="The time zone of the windows, such as Europe/Paris.")
    shards: Annotated[int | None, Range(1, 10_000)] = Field(
        default=None, description="The number of shards; never change it."
    )

    def definition(self, name: str) -> dg.PartitionsDefinition[str]:
        """Returns the partitions of the videos asset `name`; raises `ValueError` for missing attributes."""
        try:
            return definition_by(**self.model_dump(), campaigns=f"{name}_campaigns")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


class ReviewSensor(dg.Model, dg.Resolvable):
    """A sensor that reports decisions about the videos, and requests runs for videos that were sent back."""

    minimum_interval_seconds: Annotated[int, Range(1)] = Field(
        default=30, description="Minimum number of seconds between two ticks."
    )
    policy: dict[str, Any] | None = Field(
        default=None,
        description="Rules that decide about new videos: rules, person_share and name, as in the file of a policy.",
    )
    requests_runs: bool = Field(default=True, description="False: only report decisions.")
    is_running: bool = Field(default=False, description="Whether the sensor is on by default.")
    run_tags: dict[str, str | int] = Field(
        default_factory=dict, description="Tags of the runs, such as dagster/priority."
    )


class BudgetSensor(dg.Model, dg.Resolvable):
    """A sensor that delivers alerts of budgets that no run has delivered."""

    minimum_interval_seconds: Annotated[int, Range(1)] = Field(
        default=60, description="Minimum number of seconds between two ticks."
    )
    is_running: bool = Field(default=False, description="Whether the sensor is on by default.")


class Manifest(dg.Model, dg.Resolvable):
    """A manifest of the videos, and a report of costs."""

    only: Literal["approved"] | None = Field(
        default=None, description="Limit the manifest to approved videos; all videos by default."
    )


class Sensor(dg.Model, dg.Resolvable):
    """A sensor that watches the table."""

    runs_per_tick: Annotated[int, Range(1)] = Field(
        default=10, description="Maximum number of runs requested in one tick."
    )
    minimum_interval_seconds: Annotated[int, Range(1)] = Field(
        default=30, description="Minimum number of seconds between two ticks."
    )
    requests_runs: bool = Field(default=True, description="False: only update partitions and staleness.")
    is_running: bool = Field(default=False, description="Whether the sensor is on by default.")
    run_tags: dict[str, str | int] = Field(
        default_factory=dict, description="Tags of the runs, such as dagster/priority."
    )
