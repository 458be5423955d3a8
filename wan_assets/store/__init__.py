"""The store: where videos lie, addressed by fingerprint, each task's beside one JSON sidecar.

::

    <root>/videos/ab/abcdef…/<task_uuid>-1.mp4     one file a result
    <root>/videos/ab/abcdef…/<task_uuid>-1.webp    its first, middle and last frame, to be looked at
    <root>/videos/ab/abcdef…/<task_uuid>.json      the sidecar, written last: what it names is whole
    <root>/simulated/…                             the same, for what a simulator made
    <root>/datasets/<name>.parquet                 what was written of all videos, each file replaced whole
    <root>/set_aside/<task_uuid>-1.mp4             paid for, and not counted as the row's video (see `ledger adopt`)
    <root>/.incoming/…                             downloads under way
    <root>/inbox/<task_uuid>-1.mp4                 what the API itself has put here, unchecked (S3 alone)
"""

from __future__ import annotations

from wan_assets.store.sidecar import StoredTask, StoredVideo
from wan_assets.store.video_store import VideoStore

__all__ = ["StoredTask", "StoredVideo", "VideoStore"]
