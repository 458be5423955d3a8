"""Posters and strips: frames of a video as WebP pictures small enough for Dagster's metadata."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import av
from av.video.frame import VideoFrame
from PIL import Image, WebPImagePlugin

from wan_assets.errors import InvalidVideoError
from wan_assets.video.decode_errors import BROKEN, error_of
from wan_assets.video.properties import open_video, video_stream_of
from wan_assets.video.scaler import Scaler

_QUALITIES = (80, 60, 40, 25, 10, 0)
_MIN_SIDE = 8
_GAP = 4
"""Pixels between the pictures of a strip."""


def poster_of(
    path: str | os.PathLike[str],
    size: tuple[int, int] = (96, 54),
    max_bytes: int = 700,
    position: float = 0.5,
) -> bytes:
    """The frame at `position` (0 to 1) of the length as WebP, inside `size`, as good as `max_bytes` allows.

    Raises InvalidVideoError if the file cannot be decoded up to there, and what `properties_of` raises.
    """
    try:
        frame = _frame_at(path, position)
    except BROKEN as error:
        raise error_of(error) from None
    return picture_of(frame, size, max_bytes)


def picture_of(frame: VideoFrame, size: tuple[int, int], max_bytes: int) -> bytes:
    """A frame as WebP, inside `size`, as good as `max_bytes` allows; raises InvalidVideoError if it has no picture."""
    return _small_webp(_thumbnail(frame, size, Scaler()), max_bytes)


def strip_of(frames: Sequence[VideoFrame], size: tuple[int, int] = (240, 240), max_bytes: int = 10_000) -> bytes:
    """Frames of one size side by side as WebP, each inside `size`, as good as `max_bytes` allows."""
    scaler = Scaler()
    pictures = [_thumbnail(frame, size, scaler) for frame in frames]
    width, height = pictures[0].size
    strip = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height), "white")
    for place, picture in enumerate(pictures):
        strip.paste(picture, (place * (width + _GAP), 0))
    return _small_webp(strip, max_bytes)


def _frame_at(path: str | os.PathLike[str], position: float) -> VideoFrame:
    """Decodes from the start, since a short video often has one keyframe only."""
    _, file = open_video(path)
    with file:
        found: VideoFrame | None = None
        target_s = ((file.start_time or 0) + (file.duration or 0) * position) / av.time_base
        for frame in file.decode(video_stream_of(file)):
            if found and frame.time is not None and frame.time > target_s:
                break
            found = frame
    if found is None:
        raise InvalidVideoError("the file has no frames")
    return found


def _thumbnail(frame: VideoFrame, size: tuple[int, int], scaler: Scaler) -> Image.Image:
    """The frame in its own shape, as large as the box allows."""
    scale = min(size[0] / frame.width, size[1] / frame.height)
    width, height = (max(round(side * scale), 1) for side in (frame.width, frame.height))
    try:
        return scaler.picture_of(frame, (width, height), "RGB")
    except BROKEN as error:
        raise error_of(error) from None


def _small_webp(image: Image.Image, max_bytes: int) -> bytes:
    """Lowers the quality first and then the size."""
    while True:
        for quality in _QUALITIES:
            data = _webp(image, quality)
            if len(data) <= max_bytes:
                return data
        if max(image.size) <= _MIN_SIDE:
            return data
        image = image.resize((max(image.width * 3 // 4, 1), max(image.height * 3 // 4, 1)))


def _webp(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, WebPImagePlugin.WebPImageFile.format, quality=quality, method=2)
    return out.getvalue()
