"""Video files: inspection by decoding, comparison with a request, posters, and simulated clips.

Modules that draw or start processes are imported on first use, so that a decoder process starts faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from wan_assets.video.comparison import Expected, audio_mismatches, mismatches
from wan_assets.video.inspection import Inspection, inspect_file
from wan_assets.video.posters import poster_of
from wan_assets.video.properties import VideoProperties, properties_of

if TYPE_CHECKING:
    from wan_assets.video.expected_video import expected_of
    from wan_assets.video.simulated_clips import SIMULATED_TITLE, Clip, render
    from wan_assets.video.simulated_image import sample_image
    from wan_assets.video.verifier import Verifier

__all__ = [
    "SIMULATED_TITLE",
    "Clip",
    "Expected",
    "Inspection",
    "Verifier",
    "VideoProperties",
    "audio_mismatches",
    "expected_of",
    "inspect_file",
    "mismatches",
    "poster_of",
    "properties_of",
    "render",
    "sample_image",
]

_LAZY_NAMES = {
    "expected_video": ["expected_of"],
    "simulated_clips": ["SIMULATED_TITLE", "Clip", "render"],
    "simulated_image": ["sample_image"],
    "verifier": ["Verifier"],
}

__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs=_LAZY_NAMES)
