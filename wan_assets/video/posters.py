"""Posters and contact sheets: frames of a video as WebP images that are small enough for Dagster metadata."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import av
from av.video.frame import VideoFrame
from PIL import Image, WebPImagePlugin

from wan_assets.errors import InvalidVideoError
from wan_assets.video.decode_errors import DECODING_ERRORS, decoding_error_of
from wan_assets.video.properties import open_video, video_stream_of
from wan_assets.video.scaler import Scaler

_QUALITIES = (80, 60, 40, 25, 10, 0)
_MIN_SIDE = 8
_GAP = 4
"""Pixels between the frames of a contact sheet."""


def poster_of(
    path: str | os.PathLike[str],
    size: tuple[int, int] = (96, 54),
    max_bytes: int = 700,
    position: float = 0.5,
) -> bytes:
    """Returns the frame at `position` (0 to 1) of the duration as WebP, within `size` and at most `max_bytes` long.

    Raises InvalidVideoError if the file cannot be decoded up to this frame, and the errors of `properties_of`.
    """
    try:
        frame = _frame_at(path, position)
    except DECODING_ERRORS as error:
        raise decoding_error_of(error) from None
    return webp_of(frame, size, max_bytes)


def webp_of(frame: VideoFrame, size: tuple[int, int], max_bytes: int) -> bytes:
    """Converts a frame to WebP within `size` and `max_bytes`; raises InvalidVideoError if that is impossible."""
    return _small_webp(_thumbnail(frame, size, Scaler()), max_bytes)


def contact_sheet_of(
    frames: Sequence[VideoFrame], size: tuple[int, int] = (240, 240), max_bytes: int = 10_000
) -> bytes:
    """Returns frames side by side as WebP, each within `size`, and together at most `max_bytes` long."""
    scaler = Scaler()
    thumbnails = [_thumbnail(frame, size, scaler) for frame in frames]
    width, height = thumbnails[0].size
    sheet = Image.new("RGB", (len(thumbnails) * (width + _GAP) - _GAP, height), "white")
    for place, thumbnail in enumerate(thumbnails):
        sheet.paste(thumbnail, (place * (width + _GAP), 0))
    return _small_webp(sheet, max_bytes)


def _frame_at(path: str | os.PathLike[str], position: float) -> VideoFrame:
    """Decodes from the start, since a short video often has only one keyframe."""
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
    """Scales a frame to fit in the box, with its aspect ratio."""
    scale = min(size[0] / frame.width, size[1] / frame.height)
    width, height = (max(round(side * scale), 1) for side in (frame.width, frame.height))
    try:
        return scaler.scaled_image(frame, (width, height), "RGB")
    except DECODING_ERRORS as error:
        raise decoding_error_of(error) from None


def _small_webp(image: Image.Image, max_bytes: int) -> bytes:
    """Reduces the quality first and then the size."""
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
