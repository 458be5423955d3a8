"""Inspection of a new file in one decoding pass: its properties, a poster and a contact sheet."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from wan_assets.video.posters import contact_sheet_of, webp_of
from wan_assets.video.properties import VideoProperties, properties_of

_POSTER = (96, 54)


@dataclass(frozen=True)
class Inspection:
    """The properties and WebP images of a file; `contact_sheet` is empty if it was not requested."""

    facts: VideoProperties
    poster: bytes
    contact_sheet: bytes

    def to_json(self) -> dict[str, Any]:
        """Converts the inspection to JSON values."""
        images = {"poster": self.poster, "contact_sheet": self.contact_sheet}
        return {
            "facts": self.facts.to_json(),
            **{key: base64.b64encode(data).decode() for key, data in images.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        poster, contact_sheet = (base64.b64decode(data[key]) for key in ("poster", "contact_sheet"))
        return cls(VideoProperties.from_json(data["facts"]), poster, contact_sheet)


class _SampledFrames:
    """Keeps the first, the middle and the last frame during decoding."""

    def __init__(self) -> None:
        self._middle_s = 0.0
        self.frames: list[VideoFrame] = []

    def begin(self, file: InputContainer) -> None:
        self._middle_s = ((file.start_time or 0) + (file.duration or 0) / 2) / av.time_base

    def add_frame(self, frame: VideoFrame) -> None:
        first, middle, _ = self.frames or [frame] * 3
        is_early = frame.time is None or frame.time <= self._middle_s
        self.frames = [first, frame if is_early else middle, frame]


def inspect_file(path: str | os.PathLike[str], poster_bytes: int, *, has_contact_sheet: bool) -> Inspection:
    """Decodes every frame of a file; raises InvalidVideoError with a one-line message if it is not a complete video."""
    sampled = _SampledFrames()
    facts = properties_of(path, sampled)
    poster = webp_of(sampled.frames[1], _POSTER, poster_bytes)
    return Inspection(facts, poster, contact_sheet_of(sampled.frames) if has_contact_sheet else b"")
