"""The properties of a video that its request determines."""

from __future__ import annotations

from wan_assets.models import VideoRequest
from wan_assets.video import Expected

_PIXEL_TOLERANCE = 0.15
"""If an image or the provider decides the aspect ratio, the number of pixels still indicates the resolution."""


def expected_of(request: VideoRequest) -> Expected:
    """Returns container, size, duration and audio; the size is exact only if no image and no preset decides it."""
    is_fixed = request.width is not None and request.image is None
    is_preset = request.resolution is not None and request.image is None
    return Expected(
        container=request.output_format,
        width=request.width if is_fixed else None,
        height=request.height if is_fixed else None,
        duration_s=float(request.shortest_s),
        longest_s=float(request.longest_s),
        has_audio=request.has_audio,
        pixels=None if is_fixed or is_preset else _pixels_of(request),
        sizes=tuple(request.description.sizes.get(request.resolution or "", ())) if is_preset else (),
    )


def _pixels_of(request: VideoRequest) -> tuple[int, int] | None:
    areas = [width * height for width, height in request.description.sizes.get(request.tier or "", ())]
    if not areas:
        return None
    return int(min(areas) * (1 - _PIXEL_TOLERANCE)), int(max(areas) * (1 + _PIXEL_TOLERANCE))
