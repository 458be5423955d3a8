"""The images of a simulated video: a still image derived from seed and prompt, and a moving strip above it."""

from __future__ import annotations

import hashlib
import io
import math
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Luma = NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc", "PingFang.ttc", "msyh.ttc")
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")
_SHOWN_CHARACTERS = 240
_PROMPT_LINES = 3


def strip_height(height: int) -> int:
    """Returns a multiple of 64, the largest block size of both codecs, so that no block crosses the strip's edge."""
    return 64 if height < 900 else 128


def still_image_of(seed: int, prompt: str, *, size: tuple[int, int], note: str) -> Image.Image:
    """Draws the still image of a clip; the area of the strip at its top stays free of text."""
    image = _background(seed, prompt, size)
    _write(image, _lines(seed, _printable(prompt), size, note))
    return image


def sample_image(seed: int, size: tuple[int, int] = (1280, 720)) -> bytes:
    """Returns a PNG of a gradient that can be used as an input image."""
    out = io.BytesIO()
    _background(seed, "", size).save(out, "PNG")
    return out.getvalue()


def strip_of(width: int, height: int, frame: int, frames: int) -> Luma:
    """Draws the luma of the strip at a frame: a progress bar and a clock in whole seconds."""
    strip = np.full((height, width), 28, np.uint8)
    clock = _clock(height, frame // 24)[:, : width // 2]
    end = width - clock.shape[1]
    strip[:, end:] = clock
    head = max(height // 4, 1)
    x = round((end - head) * frame / max(frames - 1, 1))
    strip[height // 4 : height * 3 // 4, :x] = 104
    strip[height // 8 : height * 7 // 8, x : x + head] = 220
    return strip


def texture_of(width: int, height: int) -> Luma:
    """Returns noise without repeated parts, so that an encoder finds no motion."""
    return np.random.default_rng(0).integers(96, 160, (height, width), np.uint8)


@lru_cache(maxsize=64)
def _clock(height: int, second: int) -> Luma:
    image = Image.new("L", (height * 2, height), 28)
    ImageDraw.Draw(image).text((height, height // 2), f"{second:02d} s", 200, _font(height // 2), anchor="mm")
    return np.asarray(image, np.uint8)


def _background(seed: int, prompt: str, size: tuple[int, int]) -> Image.Image:
    """Draws a gradient between twelve colors derived from the seed and the prompt."""
    digest = hashlib.blake2b(f"{seed}\n{prompt}".encode("utf-8", "surrogatepass"), digest_size=36).digest()
    colours = 30 + np.frombuffer(digest, np.uint8).reshape(3, 4, 3) // 2
    return Image.fromarray(colours.astype(np.uint8), "RGB").resize(size, Image.Resampling.BILINEAR)


def _lines(seed: int, prompt: str, size: tuple[int, int], note: str) -> list[tuple[str, Font]]:
    width, height = size
    max_width = width * 0.86
    em = max(min(width // 26, (height - strip_height(height)) // 16), 6)
    font = _font(em, wide=_is_wide(prompt), ascii_only=prompt.isascii())
    shown = list(_wrapped(prompt, font, max_width))
    cut = shown[:_PROMPT_LINES]
    if len(shown) > _PROMPT_LINES:
        cut[-1] = cut[-1][:-2] + " ..."
    facts = (f"seed {seed}", note)
    return [
        ("SIMULATED", _font(round(em * 2.6))),
        *((line, font) for line in cut),
        *((line, _font(round(em * 0.8))) for line in facts),
    ]


def _write(image: Image.Image, lines: list[tuple[str, Font]]) -> None:
    """Draws centered lines of white text with a dark outline."""
    draw = ImageDraw.Draw(image)
    top = strip_height(image.height)
    heights = [_size_of(font) * 1.5 for _, font in lines]
    y = top + max((image.height - top - sum(heights)) / 2, 0)
    for (text, font), line_height in zip(lines, heights, strict=True):
        at = (image.width / 2, y + line_height / 2)
        edge = max(round(_size_of(font) / 14), 1)
        draw.text(at, text, (255, 255, 255), font, anchor="mm", stroke_width=edge, stroke_fill=(16, 16, 16))
        y += line_height


def _printable(text: str) -> str:
    """Returns the beginning of a text as one line without characters that cannot be drawn."""
    start = text[: _SHOWN_CHARACTERS * 4]
    drawn = ("\ufffd" if unicodedata.category(c) == "Cs" else c for c in start)
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in drawn)
    return " ".join(kept.split())[:_SHOWN_CHARACTERS]


def _wrapped(text: str, font: Font, max_width: float) -> Iterator[str]:
    """Yields lines that fit the width, broken at spaces if possible."""
    while text:
        fits = _fitting(text, font, max_width)
        space = text.rfind(" ", 0, fits + 1) if fits < len(text) else -1
        end = space if space > 0 else fits
        yield text[:end]
        text = text[end:].lstrip()


def _fitting(text: str, font: Font, max_width: float) -> int:
    """Returns the number of characters that fit, at least 1."""
    low, high = 1, len(text)
    while low < high:
        middle = math.ceil((low + high) / 2)
        low, high = (middle, high) if font.getlength(text[:middle]) <= max_width else (low, middle - 1)
    return low


def _is_wide(text: str) -> bool:
    return any(ord(c) >= 0x2E80 for c in text)


def _size_of(font: Font) -> float:
    return font.size if isinstance(font, ImageFont.FreeTypeFont) else 11


@lru_cache(maxsize=128)
def _font(size: int, *, wide: bool = False, ascii_only: bool = True) -> Font:
    """Loads Pillow's own font for ASCII, or the first common font that is installed."""
    names = () if ascii_only else (*(_WIDE_FONTS if wide else ()), *_FONTS)
    for name in names:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
