"""Small pictures of decoded frames."""

from __future__ import annotations

from typing import Literal

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PIL import Image

_FORMATS = {"L": "gray", "RGB": "rgb24"}


class Scaler:
    """Scales frames. One for all frames of a file: making ready for a size takes longer than scaling to it."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def picture_of(
        self, frame: VideoFrame, size: tuple[int, int], mode: Literal["L", "RGB"], interpolation: str | None = None
    ) -> Image.Image:
        """The frame as gray or coloured picture of just this size; raises what FFmpeg raises where it has none."""
        width, height = size
        small = self._reformatter.reformat(frame, width, height, _FORMATS[mode], interpolation=interpolation)
        plane = small.planes[0]
        return Image.frombytes(mode, size, bytes(plane), "raw", mode, plane.line_size)
