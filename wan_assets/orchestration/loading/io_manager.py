"""The I/O manager of videos assets: a downstream asset takes the videos as a parameter."""

from __future__ import annotations

from typing import Any

import dagster as dg

from wan_assets.dataset import Video
from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.loading.opened_resources import Opened
from wan_assets.orchestration.loading.videos import found_videos, is_partitioned, ordered
from wan_assets.orchestration.metadata.video import failure_to_start
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource

_ALLOW_MISSING = "allow_missing_partitions"
"""Metadata of an input, as Dagster's own I/O managers have it."""


class VideosIOManager(dg.IOManager):
    """Loads the videos of the partitions that Dagster maps to a step. The run itself stores videos."""

    def __init__(self, store: VideoStoreResource, ledger: LedgerResource) -> None:
        self._store = store
        self._ledger = ledger

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Does nothing."""

    def load_input(self, context: dg.InputContext) -> dict[str, list[Video]]:
        """Returns the videos of each partition; raises a `Failure` if they cannot be loaded.

        A step of a partitioned asset fails if videos are missing, unless its input has the metadata
        `allow_missing_partitions`. Other steps leave missing videos out.
        """
        may_miss = bool((context.definition_metadata or {}).get(_ALLOW_MISSING))
        log = context.log if may_miss or not is_partitioned(context.step_context.assets_def) else None
        keys = ordered(context.instance, context.asset_key, context.asset_partition_keys)
        try:
            with self._ledger.open() as ledger:
                ready = Opened(self._store.open(), ledger)
                return found_videos(context.instance, context.asset_key, keys, ready, log=log)
        except WanAssetsError as error:
            raise failure_to_start(error) from None


@dg.io_manager(required_resource_keys={"store", "ledger"})
def videos_io_manager(init_context: dg.InitResourceContext) -> VideosIOManager:
    """Returns the I/O manager with the resources `store` and `ledger` of the run."""
    return VideosIOManager(init_context.resources.store, init_context.resources.ledger)
