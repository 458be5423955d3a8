"""Posters and strips: frames of a video as WebP pictures small enough for Dagster's metadata."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import av
from av.video.frame import VideoFrame
from PIL import Image, WebPImagePlugin

from wan_assets.errors import InvalidVideoError
from wan_assets.video.facts import BROKEN, open_video, reason_of, video_stream_of

_QUALITIES = (80, 60, 40, 25, 10, 0)
_LEAST_SIDE = 8
_GAP = 4
"""Pixels between the pictures of a strip."""


def poster_of(
    path: str | os.PathLike[str],
    size: tuple[int, int] = (96, 54),
    max_bytes: int = 700,
    position: float = 0.5,
) -> bytes:
    """The frame at `position` (0 to 1) of the length as WebP, inside `size`, as good as `max_bytes` allows.

    Raises InvalidVideoError if the file cannot be decoded up to there.
    """
    (image,) = _pictures_of(path, size, (position,))
    return _small_webp(image, max_bytes)


def strip_of(path: str | os.PathLike[str], size: tuple[int, int] = (240, 240), max_bytes: int = 10_000) -> bytes:
    """The first, middle and last frame side by side as WebP, each inside `size`, as good as `max_bytes` allows.

    Raises InvalidVideoError if the file cannot be decoded.
    """
    pictures = _pictures_of(path, size, (0.0, 0.5, 1.0))
    width, height = pictures[0].size
    strip = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height), "white")
    for place, picture in enumerate(pictures):
        strip.paste(picture, (place * (width + _GAP), 0))
    return _small_webp(strip, max_bytes)


def _pictures_of(path: str | os.PathLike[str], size: tuple[int, int], positions: Sequence[float]) -> list[Image.Image]:
    try:
        return [_thumbnail(frame, size) for frame in _frames_at(path, positions)]
    except BROKEN as error:
        raise InvalidVideoError(f"the file cannot be decoded: {reason_of(error)}") from None


def _frames_at(path: str | os.PathLike[str], positions: Sequence[float]) -> list[VideoFrame]:
    """The last frames that do not come after some positions, in order.

    Decodes from the start, since a short video often has one keyframe only.
    """
    _, file = open_video(path)
    with file:
        targets = [((file.start_time or 0) + (file.duration or 0) * position) / av.time_base for position in positions]
        found: list[VideoFrame] = []
        latest: VideoFrame | None = None
        for frame in file.decode(video_stream_of(file)):
            while latest and len(found) < len(targets) and _is_after(frame, targets[len(found)]):
                found.append(latest)
            if len(found) == len(targets):
                return found
            latest = frame
    if latest is None:
        raise InvalidVideoError("the file has no frames")
    return found + [latest] * (len(targets) - len(found))


def _is_after(frame: VideoFrame, moment_s: float) -> bool:
    return frame.time is not None and frame.time > moment_s


def _thumbnail(frame: Any, size: tuple[int, int]) -> Image.Image:
    """The frame in its own shape, as large as the box allows."""
    scale = min(size[0] / frame.width, size[1] / frame.height)
    image: Image.Image = frame.to_image(
        width=max(round(frame.width * scale), 1), height=max(round(frame.height * scale), 1)
    )
    return image


def _small_webp(image: Image.Image, max_bytes: int) -> bytes:
    """Lowers the quality first and then the size."""
    while True:
        for quality in _QUALITIES:
            data = _webp(image, quality)
            if len(data) <= max_bytes:
                return data
        if max(image.size) <= _LEAST_SIDE:
            return data
        image = image.resize((max(image.width * 3 // 4, 1), max(image.height * 3 // 4, 1)))


def _webp(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, WebPImagePlugin.WebPImageFile.format, quality=quality, method=4)
    return out.getvalue()
