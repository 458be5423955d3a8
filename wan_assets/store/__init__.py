"""The store: videos in a folder or a bucket, addressed by fingerprint, with one JSON sidecar for each task.

A task counts as stored when its sidecar is written. Its files are written first.
"""

from wan_assets.store.sidecar import StoredTask, StoredVideo
from wan_assets.store.video_store import VideoStore

__all__ = [
    "StoredTask",
    "StoredVideo",
    "VideoStore",
]
