"""The store: videos in a folder or a bucket, addressed by fingerprint, with one JSON sidecar for each task.

A task counts as stored when its sidecar is written. Its files are written first. The access to files is imported on
first use, so that commands without it start faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from wan_assets.store.sidecar import StoredTask, StoredVideo

if TYPE_CHECKING:
    from wan_assets.store.video_store import VideoStore

__all__ = [
    "StoredTask",
    "StoredVideo",
    "VideoStore",
]

_LAZY_NAMES = {"video_store": ["VideoStore"]}

__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs=_LAZY_NAMES)
