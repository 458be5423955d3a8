"""The properties of a video that its request determines."""

from __future__ import annotations

from wan_assets.models import SIZES, Tier, VideoRequest
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
        duration_s=float(request.duration),
        has_audio=request.has_audio,
        pixels=None if is_fixed or is_preset or request.tier is None else _pixels_of(request.tier),
        sizes=tuple(size for size, tier in SIZES.items() if tier == request.resolution) if is_preset else (),
    )


def _pixels_of(tier: Tier) -> tuple[int, int]:
    areas = [width * height for (width, height), of_tier in SIZES.items() if of_tier == tier]
    return int(min(areas) * (1 - _PIXEL_TOLERANCE)), int(max(areas) * (1 + _PIXEL_TOLERANCE))
