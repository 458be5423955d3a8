"""The public interface of wan-assets: Dagster assets of generated videos, built from prompt tables.

A name that needs Dagster is imported on first use, so that `plan`, `ledger` and `simulator` start without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

_LAZY_NAMES = {
    "dataset": ["ApprovalPolicy", "ApprovalRule", "Video"],
    "export": ["ExportOptions"],
    "ledger": ["BudgetAlert"],
    "models": ["VideoRequest"],
    "orchestration": [
        "Budget",
        "GeneratedRow",
        "LedgerResource",
        "RunwareResource",
        "SimulatedRunwareResource",
        "UpstreamPrompts",
        "VideoCheckResult",
        "VideoGeneration",
        "VideoGenerator",
        "VideoStoreResource",
        "WanVideosComponent",
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
    ],
    "prompts": ["ApprovedVideos", "PromptSource", "PromptTable"],
}

__getattr__, _list_names, _ = lazy_loader.attach(__name__, submod_attrs=_LAZY_NAMES)


def __dir__() -> list[str]:
    """Lists all public names, also those that are not imported yet: Dagster looks for components here."""
    return sorted({*globals(), *_list_names()})
