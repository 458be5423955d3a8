"""What a request's video must be, as far as the request decides it."""

from __future__ import annotations

from wan_assets.models import SIZES, Tier, VideoRequest
from wan_assets.video import Expected

_PIXELS_SLACK = 0.15
"""Where a picture or the provider decides the shape, the number of pixels still tells the resolution."""


def expected_of(request: VideoRequest) -> Expected:
    """Container, size, length and audio; the size is fixed only where no picture and no preset decides it."""
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
    return int(min(areas) * (1 - _PIXELS_SLACK)), int(max(areas) * (1 + _PIXELS_SLACK))
