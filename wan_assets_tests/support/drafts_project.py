"""A project of drafts and finals in Dagster, whose drafts are decided about in the ledger."""

from typing import Any

import dagster as dg
from dagster_support import Studio

from wan_assets import ApprovedVideos, build_video_assets
from wan_assets.ledger import Decision, DecisionValue, Ledger, NewDecision, Takes, VideoKey
from wan_assets.settings import sqlite_url

DRAFTS, FINALS, TABLE = dg.AssetKey("drafts"), dg.AssetKey("finals"), dg.AssetKey("finals_prompts")


class Project:
    """Drafts of a table, and finals of the approved ones, in one instance."""

    def __init__(self, made: Studio, prompts: Any, overrides: dict[str, Any] | None = None, **options: Any) -> None:
        self.made = made
        self.approved = ApprovedVideos("drafts", overrides or {"resolution": "720p"}, **options.pop("approved", {}))
        self.definitions = dg.Definitions.merge(
            build_video_assets(name="drafts", prompts=prompts, **options.pop("drafts", {})),
            build_video_assets(name="finals", prompts=self.approved, **options.pop("finals", {})),
            dg.Definitions(resources=made.resources(), **options),
        )

    @property
    def ledger(self) -> Ledger:
        return Ledger(sqlite_url(self.made.folder / "ledger.db"))

    def run(self, *keys: dg.AssetKey | str, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """One run over assets."""
        selection = [dg.AssetKey(key) if isinstance(key, str) else key for key in keys]
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.made.instance, asset_selection=selection, tags=tags, raise_on_error=False
        )

    def make(self, name: str) -> dg.ExecuteInProcessResult:
        """Reads the table of an asset, and makes all its videos."""
        assert self.run(f"{name}_prompts").success
        return self.videos(name)

    def videos(self, name: str) -> dg.ExecuteInProcessResult:
        """Makes all videos of the partitions that an asset has."""
        keys = self.made.instance.get_dynamic_partitions(name)
        ends = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        return self.run(name, tags=ends)

    def decide(self, value: str, *prompt_ids: str, reviewer: str = "ada", **details: Any) -> list[Decision]:
        """Decides about the chosen takes of drafts."""
        with self.ledger as ledger:
            takes = [self._takes(ledger, prompt_id) for prompt_id in prompt_ids]
            return ledger.decide(
                [
                    NewDecision(
                        VideoKey(take.fingerprint, result["sha256"], number), DecisionValue(value), reviewer, **details
                    )
                    for take in (each.chosen for each in takes)
                    for number, result in enumerate(take.task.results if take.task else (), 1)
                ]
            )

    def _takes(self, ledger: Ledger, prompt_id: str) -> Takes:
        rows = [row for record in ledger.recorded_partitions("drafts").values() for row in record.rows]
        (row,) = [row for row in rows if row.prompt_id == prompt_id]
        return ledger.takes_of([row])[0]
