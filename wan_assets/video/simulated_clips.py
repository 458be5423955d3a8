"""Rendering of small, playable videos that are marked as simulated, in the frames and in the file's tags."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from wan_assets.video.clip_template import FPS, ClipFormat, TemplateCache, draw_strip, streams_of
from wan_assets.video.simulated_image import still_image_of

SIMULATED_TITLE = "SIMULATED by wan-assets"
_TAG_CHARACTERS = 16_000  # a QuickTime string holds 65,535 bytes
_CONTAINERS = ("MP4", "MOV", "WEBM")
_TEMPLATES = TemplateCache()


@dataclass(frozen=True)
class Clip:
    """A video to render; `container` is MP4, MOV or WEBM, and width and height are even.

    Its audio ends after `audio_s` seconds, or with the video if this is None.
    """

    container: str
    width: int
    height: int
    duration_s: float
    has_audio: bool
    seed: int
    prompt: str
    audio_s: float | None = None

    def __post_init__(self) -> None:
        sides = (self.width, self.height)
        if self.container not in _CONTAINERS or min(*sides, self.duration_s * FPS) < 1 or any(n % 2 for n in sides):
            what = f"{self.container} of {self.width}x{self.height} and {self.duration_s:g} s"
            raise ValueError(f"{what} cannot be rendered")


def render(clip: Clip, path: str | os.PathLike[str]) -> None:
    """Writes the clip to `path` atomically."""
    target = Path(path)
    unfinished = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        _write(clip, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _write(clip: Clip, path: Path) -> None:
    frames = round(clip.duration_s * FPS)
    clip_format = ClipFormat(clip.container == "WEBM", clip.width, clip.height, frames, clip.has_audio)
    template = _TEMPLATES.template_of(clip_format)
    options = {"fflags": "+bitexact"} | ({} if clip_format.is_vp9 else {"movflags": "+faststart"})
    url = f"file:{path.absolute()}"
    with av.open(url, "w", format=clip.container.lower(), container_options=options) as out:
        out.metadata.update(_tags_of(clip))
        streams = streams_of(out, clip_format)
        out.mux(streams.video.encode(_first_frame(clip, clip_format)))
        for packet_data in template:
            if (
                packet_data.is_audio
                and clip.audio_s is not None
                and packet_data.time * packet_data.time_base >= clip.audio_s
            ):
                continue
            out.mux(packet_data.packet_for(streams))


def _first_frame(clip: Clip, clip_format: ClipFormat) -> VideoFrame:
    note = f"{clip.width} x {clip.height}, {clip.duration_s:g} s, {clip.container}, made by wan-assets"
    image = still_image_of(clip.seed, clip.prompt, size=(clip.width, clip.height), note=note)
    frame = VideoFrame.from_ndarray(np.asarray(image), format="rgb24").reformat(format="yuv420p")
    draw_strip(frame, clip_format, 0)
    frame.pts = 0
    return frame


def _tags_of(clip: Clip) -> dict[str, str]:
    """Returns tags that all containers support; a tag is UTF-8 text without NUL."""
    prompt = clip.prompt.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return {"title": SIMULATED_TITLE, "comment": f"{SIMULATED_TITLE}, seed {clip.seed}: {prompt}"[:_TAG_CHARACTERS]}
