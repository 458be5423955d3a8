"""All that is wanted of a new file, from decoding it once: its facts, a poster, and a strip of frames."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from wan_assets.video.posters import picture_of, strip_of
from wan_assets.video.properties import VideoProperties, properties_of

_POSTER = (96, 54)


@dataclass(frozen=True)
class Inspection:
    """What a file is and looks like; `strip` is empty where none was asked for. Pictures are WebP."""

    facts: VideoProperties
    poster: bytes
    strip: bytes

    def to_json(self) -> dict[str, Any]:
        """A plain dict."""
        pictures = {"poster": self.poster, "strip": self.strip}
        return {
            "facts": self.facts.to_json(),
            **{key: base64.b64encode(data).decode() for key, data in pictures.items()},
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        poster, strip = (base64.b64decode(said[key]) for key in ("poster", "strip"))
        return cls(VideoProperties.from_json(said["facts"]), poster, strip)


class _Kept:
    """The first, the middle and the last frame of those that go by."""

    def __init__(self) -> None:
        self._middle_s = 0.0
        self.frames: list[VideoFrame] = []

    def begin(self, file: InputContainer) -> None:
        self._middle_s = ((file.start_time or 0) + (file.duration or 0) / 2) / av.time_base

    def see(self, frame: VideoFrame) -> None:
        first, middle, _ = self.frames or [frame] * 3
        is_early = frame.time is None or frame.time <= self._middle_s
        self.frames = [first, frame if is_early else middle, frame]


def inspect_file(path: str | os.PathLike[str], poster_bytes: int, *, has_strip: bool) -> Inspection:
    """Decodes every frame of a file; raises InvalidVideoError, in one line, if it is not a whole video."""
    kept = _Kept()
    facts = properties_of(path, kept)
    poster = picture_of(kept.frames[1], _POSTER, poster_bytes)
    return Inspection(facts, poster, strip_of(kept.frames) if has_strip else b"")
