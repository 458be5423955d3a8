"""Size limits for local images, videos, audio files and documents, checked without decoding them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Literal

from PIL import Image

from wan_assets.prompts.problems import Refusal

Medium = Literal["image", "audio", "video", "document"]

MAX_BYTES: Mapping[Medium, int] = {"image": 32 << 20, "audio": 50 << 20, "video": 50 << 20, "document": 50 << 20}
NOUNS: Mapping[Medium, str] = {
    "image": "an image",
    "audio": "an audio file",
    "video": "a video file",
    "document": "a document",
}
MAX_PIXELS = 64_000_000
"""The largest video frame has two million pixels."""


def too_large(content: bytes, medium: Medium) -> Refusal | None:
    """Returns the refusal of a file that is too large, or None."""
    size, maximum = len(content), MAX_BYTES[medium]
    if size > maximum:
        noun = NOUNS[medium]
        smaller = f"use a smaller {noun.partition(' ')[2]}"
        return Refusal(f"the file has {size:,} bytes; {noun} may have {maximum:,}", smaller)
    return _too_many_pixels(content) if medium == "image" else None


def _too_many_pixels(content: bytes) -> Refusal | None:
    """Ignores an image whose header Pillow cannot read: other rules and the API check it."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        return Refusal(f"the image has more than {MAX_PIXELS:,} pixels", "use a smaller image")
    except (OSError, ValueError, SyntaxError, LookupError, ArithmeticError):
        return None
    if width * height <= MAX_PIXELS:
        return None
    rule = f"the image has {width:,} x {height:,} pixels; an image may have {MAX_PIXELS:,}"
    return Refusal(rule, "use a smaller image")
