"""Signal statistics of decoded frames: brightness, motion and loudness."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from av.audio.frame import AudioFrame
from av.error import FFmpegError
from av.video.frame import VideoFrame
from PIL import Image, ImageChops

from wan_assets.video.scaler import Scaler

_GRID = (64, 36)
_FRAMES_BETWEEN = 12
_SAMPLES: Mapping[str, tuple[Callable[[bytes], Sequence[float]], float]] = {
    "flt": (lambda raw: memoryview(raw).cast("f"), 1.0),
    "dbl": (lambda raw: memoryview(raw).cast("d"), 1.0),
    "s16": (lambda raw: memoryview(raw).cast("h"), 2.0**15),
    "s32": (lambda raw: memoryview(raw).cast("i"), 2.0**31),
}
"""For each sample format: the function that reads samples, and the value of full scale."""

_UNMEASURABLE = (FFmpegError, ValueError, LookupError, ArithmeticError, AssertionError)
"""A frame in an unusual format is valid but is not measured."""


@dataclass
class SignalStats:
    """The statistics so far; luma is 0 to 255, the audio peak is 0 to 1, and None means not measured.

    Every twelfth frame is measured as a grid of 64 by 36 cells. `brightest_luma` is the luma of the brightest cell.
    `change_luma` is the largest difference between a cell and the same cell in the first frame.
    """

    brightest_luma: float | None = None
    change_luma: float | None = None
    audio_peak: float | None = None
    _frame_count: int = 0
    _first: Image.Image | None = None
    _scaler: Scaler = field(default_factory=Scaler)

    def add_video_frame(self, frame: VideoFrame) -> None:
        """Adds the next video frame."""
        if self._frame_count % _FRAMES_BETWEEN == 0 and (cells := self._cells_of(frame)):
            self._compare(cells)
        self._frame_count += 1

    def add_audio_frame(self, frame: AudioFrame) -> None:
        """Adds the next audio frame."""
        if (peak := _peak_of(frame)) is not None:
            self.audio_peak = round(max(self.audio_peak or 0.0, peak), 5)

    def _cells_of(self, frame: VideoFrame) -> Image.Image | None:
        try:
            return self._scaler.scaled_image(frame, _GRID, "L", "AREA")
        except _UNMEASURABLE:
            return None

    def _compare(self, cells: Image.Image) -> None:
        self.brightest_luma = max(self.brightest_luma or 0.0, _highest(cells))
        if self._first:
            change = _highest(ImageChops.difference(cells, self._first))
            self.change_luma = max(self.change_luma or 0.0, change)
        self._first = self._first or cells


def _highest(cells: Image.Image) -> float:
    return float(cast("tuple[int, int]", cells.getextrema())[1])


def _peak_of(frame: AudioFrame) -> float | None:
    """Returns the loudest sample, excluding the padding at the end of each plane."""
    name = frame.format.name.removesuffix("p")
    if name not in _SAMPLES or not frame.samples:
        return None
    read, full = _SAMPLES[name]
    channels = 1 if frame.format.is_planar else frame.layout.nb_channels
    length = frame.samples * channels * frame.format.bytes
    try:
        planes = [read(bytes(plane)[:length]) for plane in frame.planes]
        peak = max(max(*_ends(samples)) for samples in planes) / full
    except _UNMEASURABLE:
        return None
    return peak if math.isfinite(peak) else None


def _ends(samples: Sequence[float]) -> tuple[float, float]:
    return max(samples), -min(samples)
