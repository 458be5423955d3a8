"""What a sidecar tells: one task's files, frozen, and the JSON that they are kept as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upath import UPath


@dataclass(frozen=True)
class StoredVideo:
    """One file in the store. `cost_microusd` is None where the API did not tell; `facts` are those of its decoding."""

    uri: str
    bytes: int
    sha256: str
    video_uuid: str
    seed: int | None
    cost_microusd: int | None
    is_nsfw: bool | None
    facts: Mapping[str, Any]
    poster: str


@dataclass(frozen=True)
class StoredTask:
    """All files of one task, as its sidecar tells; `missing` are results that were asked for and failed."""

    task_uuid: str
    fingerprint: str
    is_simulated: bool
    prompt: str
    videos: tuple[StoredVideo, ...]
    missing: tuple[str, ...]
    reserved_microusd: int
    generation_s: float
    stored_at: str
    request: Mapping[str, Any]
    package_version: str

    @property
    def cost_microusd(self) -> int | None:
        """What all results cost, or None where that of any is unknown."""
        costs = [video.cost_microusd for video in self.videos]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) and not self.missing else None


def as_json(task: StoredTask) -> dict[str, Any]:
    """Writes a sidecar."""
    return {**vars(task), "videos": [vars(video) for video in task.videos]}


def from_json(said: dict[str, Any], folder: UPath) -> StoredTask:
    """Reads a sidecar; its videos lie beside it, also where the store was moved since it was written."""
    beside = ({**video, "uri": str(folder / video["uri"].rpartition("/")[2])} for video in said["videos"])
    videos = tuple(StoredVideo(**video) for video in beside)
    return StoredTask(**{**said, "videos": videos, "missing": tuple(said["missing"])})
