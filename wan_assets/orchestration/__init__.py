"""Everything that imports Dagster: resources, asset factories, checks, sensors, jobs and the YAML component."""

from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.assets.dataset_assets import build_dataset_assets
from wan_assets.orchestration.assets.export_assets import build_export_asset
from wan_assets.orchestration.assets.video_assets import assets_of, build_video_assets
from wan_assets.orchestration.automation import (
    build_budget_sensor,
    build_lost_run_sensor,
    build_missing_job,
    build_review_sensor,
    build_video_sensor,
)
from wan_assets.orchestration.budget import Budget
from wan_assets.orchestration.checks import VideoCheckResult, build_video_checks, video_check
from wan_assets.orchestration.component import WanVideosComponent
from wan_assets.orchestration.configured_resources import resources_of
from wan_assets.orchestration.generator.generated_row import GeneratedRow
from wan_assets.orchestration.generator.generation import VideoGeneration
from wan_assets.orchestration.generator.video_generator import VideoGenerator
from wan_assets.orchestration.loading.videos import load_videos
from wan_assets.orchestration.metadata.video import REASON
from wan_assets.orchestration.partitions.open_partitions import open_partitions
from wan_assets.orchestration.partitions.sync import range_tags, sync_table, table_id_of
from wan_assets.orchestration.resources import (
    LedgerResource,
    RunwareResource,
    SimulatedRunwareResource,
    VideoStoreResource,
)
from wan_assets.orchestration.runs.partitioning import partitioning_by_prompt
from wan_assets.orchestration.runs.pilot import Pilot
from wan_assets.orchestration.runs.run import POOL
from wan_assets.orchestration.tables.upstream import UpstreamPrompts

__all__ = [
    "POOL",
    "REASON",
    "AssetNames",
    "Budget",
    "GeneratedRow",
    "LedgerResource",
    "Pilot",
    "RunwareResource",
    "SimulatedRunwareResource",
    "UpstreamPrompts",
    "VideoCheckResult",
    "VideoGeneration",
    "VideoGenerator",
    "VideoStoreResource",
    "WanVideosComponent",
    "assets_of",
    "build_budget_sensor",
    "build_dataset_assets",
    "build_export_asset",
    "build_lost_run_sensor",
    "build_missing_job",
    "build_review_sensor",
    "build_video_assets",
    "build_video_checks",
    "build_video_sensor",
    "load_videos",
    "open_partitions",
    "partitioning_by_prompt",
    "range_tags",
    "resources_of",
    "sync_table",
    "table_id_of",
    "video_check",
]
