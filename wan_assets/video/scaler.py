"""Scaling of decoded frames to small images."""

from __future__ import annotations

from typing import Literal

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PIL import Image

_FORMATS = {"L": "gray", "RGB": "rgb24"}


class Scaler:
    """Scales frames. Use one instance for all frames of a file, because setup takes longer than scaling."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def scaled_image(
        self, frame: VideoFrame, size: tuple[int, int], mode: Literal["L", "RGB"], interpolation: str | None = None
    ) -> Image.Image:
        """Returns the frame as a gray or color image of exactly this size; raises the errors of FFmpeg."""
        width, height = size
        small = self._reformatter.reformat(frame, width, height, _FORMATS[mode], interpolation=interpolation)
        plane = small.planes[0]
        return Image.frombytes(mode, size, bytes(plane), "raw", mode, plane.line_size)
