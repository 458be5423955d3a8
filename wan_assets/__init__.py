"""The public interface of wan-assets: Dagster assets of generated videos, built from prompt tables.

A name that needs Dagster is imported on first use, so that `plan`, `ledger` and `simulator` start without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wan_assets.dataset import ApprovalPolicy, ApprovalRule, Video
    from wan_assets.export import ExportOptions
    from wan_assets.ledger import BudgetAlert
    from wan_assets.models import VideoRequest
    from wan_assets.orchestration import (
        Budget,
        GeneratedRow,
        LedgerResource,
        RunwareResource,
        SimulatedRunwareResource,
        UpstreamPrompts,
        VideoCheckResult,
        VideoGeneration,
        VideoGenerator,
        VideoStoreResource,
        WanVideosComponent,
        build_budget_sensor,
        build_dataset_assets,
        build_export_asset,
        build_lost_run_sensor,
        build_missing_job,
        build_review_sensor,
        build_video_assets,
        build_video_checks,
        build_video_sensor,
        load_videos,
        video_check,
    )
    from wan_assets.prompts import ApprovedVideos, PromptSource, PromptTable

__all__ = [
    "ApprovalPolicy",
    "ApprovalRule",
    "ApprovedVideos",
    "Budget",
    "BudgetAlert",
    "ExportOptions",
    "GeneratedRow",
    "LedgerResource",
    "PromptSource",
    "PromptTable",
    "RunwareResource",
    "SimulatedRunwareResource",
    "UpstreamPrompts",
    "Video",
    "VideoCheckResult",
    "VideoGeneration",
    "VideoGenerator",
    "VideoRequest",
    "VideoStoreResource",
    "WanVideosComponent",
    "__version__",
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
    "video_check",
]

_HOMES = {
    "ApprovalPolicy": "dataset",
    "ApprovalRule": "dataset",
    "ApprovedVideos": "prompts",
    "Budget": "orchestration",
    "BudgetAlert": "ledger",
    "ExportOptions": "export",
    "GeneratedRow": "orchestration",
    "LedgerResource": "orchestration",
    "PromptSource": "prompts",
    "PromptTable": "prompts",
    "RunwareResource": "orchestration",
    "SimulatedRunwareResource": "orchestration",
    "UpstreamPrompts": "orchestration",
    "Video": "dataset",
    "VideoCheckResult": "orchestration",
    "VideoGeneration": "orchestration",
    "VideoGenerator": "orchestration",
    "VideoRequest": "models",
    "VideoStoreResource": "orchestration",
    "WanVideosComponent": "orchestration",
    "build_budget_sensor": "orchestration",
    "build_dataset_assets": "orchestration",
    "build_export_asset": "orchestration",
    "build_lost_run_sensor": "orchestration",
    "build_missing_job": "orchestration",
    "build_review_sensor": "orchestration",
    "build_video_assets": "orchestration",
    "build_video_checks": "orchestration",
    "build_video_sensor": "orchestration",
    "load_videos": "orchestration",
    "video_check": "orchestration",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"wan_assets.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists all public names, also those that are not imported yet: Dagster looks for components here."""
    return sorted({*globals(), *_HOMES})
