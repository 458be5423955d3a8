"""How large a local picture or sound may be, known from its first bytes: nothing of it is decoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Literal

from PIL import Image

from wan_assets.prompts.problems import Refusal

MAX_BYTES: Mapping[Literal["picture", "sound"], int] = {"picture": 32 << 20, "sound": 50 << 20}
MAX_PIXELS = 64_000_000
"""The largest video has two million."""


def too_large(content: bytes, medium: Literal["picture", "sound"]) -> Refusal | None:
    """Why the content of a file is not taken, or None."""
    size, maximum = len(content), MAX_BYTES[medium]
    if size > maximum:
        return Refusal(f"the file has {size:,} bytes; a {medium} may have {maximum:,}", f"make the {medium} smaller")
    return _too_many_pixels(content) if medium == "picture" else None


def _too_many_pixels(content: bytes) -> Refusal | None:
    """A picture whose header nobody understands is left to the other rules and to the API."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
    except Image.DecompressionBombError:
        return Refusal(f"the picture has more than {MAX_PIXELS:,} pixels", "make the picture smaller")
    except (OSError, ValueError, SyntaxError, LookupError, ArithmeticError):
        return None
    if width * height <= MAX_PIXELS:
        return None
    said = f"the picture has {width:,} x {height:,} pixels; a picture may have {MAX_PIXELS:,}"
    return Refusal(said, "make the picture smaller")
