"""The assets of a prompt table declared in YAML."""

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from wan_assets.assets import build_video_assets
from wan_assets.resources import resources_of
from wan_assets.settings import Settings, settings_from


class WanVideosComponent(dg.Component, dg.Model, dg.Resolvable):
    """One prompt table, its videos, and where they and their costs are kept.

    A `defs.yaml` for it::

        type: wan_assets.WanVideosComponent
        attributes:
          name: videos
          prompts: prompts.csv
          budget_usd_total: 25
    """

    prompts: str = Field(description="A table, a folder of them or a pattern; relative to the folder of this file.")
    name: str = Field(default="videos", description="The name of the videos' asset.")
    group_name: str = Field(default="videos", description="The asset group.")
    partitions_per_run: int = Field(default=100, ge=1, description="Prompts that a backfill takes in each run.")
    store: str | None = Field(default=None, description="Root of the store; WAN_ASSETS_STORE by default.")
    ledger: str | None = Field(default=None, description="SQLAlchemy URL; WAN_ASSETS_LEDGER by default.")
    budget_usd_total: float | None = Field(default=None, ge=0, description="Cap in dollars; WAN_ASSETS_BUDGET_USD.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets, and the resources `runware`, `store` and `ledger` of the environment and of these attributes."""
        assets = build_video_assets(
            name=self.name,
            prompts=Path(context.path) / self.prompts,
            group_name=self.group_name,
            partitions_per_run=self.partitions_per_run,
        )
        return dg.Definitions.merge(assets, dg.Definitions(resources=resources_of(self._settings())))

    def _settings(self) -> Settings:
        given = {
            "WAN_ASSETS_STORE": self.store,
            "WAN_ASSETS_LEDGER": self.ledger,
            "WAN_ASSETS_BUDGET_USD": None if self.budget_usd_total is None else str(self.budget_usd_total),
        }
        return settings_from(os.environ | {name: value for name, value in given.items() if value is not None})
