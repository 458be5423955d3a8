"""What a video file is, found by decoding all of it, and how that differs from what was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from wan_assets.errors import InvalidVideoError
from wan_assets.video.containers import container_of
from wan_assets.video.signal import Signal

_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""Odd bytes in a file's texts are no reason to refuse it; from its version 19 on PyAV thinks so too."""


LENGTH_TOLERANCE_S = 0.5
_FRAME_TOLERANCE = (3, 0.03)
_DEMUXERS = {"MP4": "mov", "MOV": "mov", "WEBM": "matroska", "MATROSKA": "matroska"}
_VIDEO_CODECS = {"MP4": ("h264", "hevc"), "MOV": ("h264", "hevc"), "WEBM": ("vp8", "vp9", "av1")}
_AUDIO_CODECS = {"MP4": ("aac",), "MOV": ("aac",), "WEBM": ("opus", "vorbis")}
BROKEN = (av.FFmpegError, OSError, ValueError, LookupError, ArithmeticError, MemoryError, AssertionError)


@dataclass(frozen=True)
class VideoFacts:
    """A video as decoded; `audio_*` are None where it has no sound.

    The last three are those of `Signal`; None also where the file was decoded before they were measured.
    """

    container: str
    video_codec: str
    width: int
    height: int
    duration_s: float
    fps: float
    frames: int
    audio_codec: str | None
    audio_s: float | None
    brightest_luma: float | None = None
    change_luma: float | None = None
    audio_peak: float | None = None

    @property
    def has_audio(self) -> bool:
        return self.audio_codec is not None

    def to_json(self) -> dict[str, Any]:
        """A plain dict of the fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> VideoFacts:
        return cls(**data)


@dataclass(frozen=True)
class Expected:
    """What was asked for; `width` and `height` are None where the request does not fix them."""

    container: str
    width: int | None
    height: int | None
    duration_s: float
    has_audio: bool
    pixels: tuple[int, int] | None = None


@dataclass
class _Tally:
    """What has been decoded so far of one stream."""

    frames: int = 0
    samples: int = 0
    discarded: int = 0
    size: tuple[int, int] = (0, 0)
    start_s: float | None = None
    end_s: float = 0.0

    @property
    def span_s(self) -> float:
        return self.end_s - (self.start_s or 0.0)


class Watcher(Protocol):
    """Is shown a file before it is decoded, and then each frame of its picture."""

    def begin(self, file: InputContainer) -> None: ...

    def see(self, frame: VideoFrame) -> None: ...


def facts_of(path: str | os.PathLike[str], watcher: Watcher | None = None) -> VideoFacts:
    """Decodes every frame of the file; raises InvalidVideoError, in one line, if it is not a whole video."""
    try:
        return _facts_of(path, watcher)
    except BROKEN as error:
        raise InvalidVideoError(f"the file cannot be decoded: {reason_of(error)}") from None


def reason_of(error: BaseException) -> str:
    """The error's own words on one line, without file names or logs."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split())[:200] or type(error).__name__


def open_video(path: str | os.PathLike[str]) -> tuple[str, InputContainer]:
    """The container's name, and the file opened as that and as nothing else."""
    container = container_of(path)
    url = f"file:{Path(path).absolute()}"
    return container, av.open(url, format=_DEMUXERS[container], **_LENIENT)


def video_stream_of(file: InputContainer) -> VideoStream:
    """The first video stream that is not a cover picture, set to decode in this thread alone."""
    for stream in file.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            stream.thread_type = "NONE"
            return stream
    raise InvalidVideoError("the file has no video stream")


def mismatches(facts: VideoFacts, expected: Expected) -> tuple[str, ...]:
    """A sentence for each way in which the video is not what was asked for."""
    found = (
        _container_mismatch(facts, expected),
        _size_mismatch(facts, expected),
        _length_mismatch(facts, expected),
        _frames_mismatch(facts),
        _sound_mismatch(facts, expected),
        *_codec_mismatches(facts),
    )
    return tuple(sentence for sentence in found if sentence)


def _facts_of(path: str | os.PathLike[str], watcher: Watcher | None) -> VideoFacts:
    container, file = open_video(path)
    with file:
        if watcher:
            watcher.begin(file)
        video = video_stream_of(file)
        audio = next(iter(file.streams.audio), None)
        if audio:
            audio.codec_context.thread_type = "NONE"
        seen, heard, signal = _Tally(), _Tally(), Signal()
        for packet in file.demux([video, audio] if audio else [video]):
            _decode(packet, seen if packet.stream_index == video.index else heard, signal, watcher)
        _check_streams(seen, heard, has_audio=audio is not None)
        _check_claims(file, video, seen, heard)
        rate = video.average_rate or video.guessed_rate
        return VideoFacts(
            container=container,
            video_codec=video.codec_context.name,
            width=seen.size[0],
            height=seen.size[1],
            duration_s=round(seen.span_s, 3),
            fps=round(float(rate), 3) if rate else round(seen.frames / seen.span_s, 3),
            frames=seen.frames,
            audio_codec=audio.codec_context.name if audio else None,
            audio_s=round(heard.samples / audio.rate, 3) if audio else None,
            brightest_luma=signal.brightest_luma,
            change_luma=signal.change_luma,
            audio_peak=signal.audio_peak,
        )


def _decode(packet: Packet[Stream], tally: _Tally, signal: Signal, watcher: Watcher | None) -> None:
    if packet.is_corrupt:
        raise InvalidVideoError("the file has a broken packet")
    tally.discarded += packet.is_discard
    for frame in packet.decode():
        if isinstance(frame, VideoFrame):
            _count_picture(frame, tally)
            signal.see(frame)
            if watcher:
                watcher.see(frame)
        elif isinstance(frame, AudioFrame):
            signal.hear(frame)
            tally.samples += frame.samples
            _count_time(frame.time, frame.samples / frame.sample_rate, tally)


def _count_picture(frame: VideoFrame, tally: _Tally) -> None:
    if frame.is_corrupt:
        raise InvalidVideoError(f"the file's frame {tally.frames + 1} is broken")
    size = (frame.width, frame.height)
    if tally.size not in ((0, 0), size):
        raise InvalidVideoError(f"the file's size changes from {_by(*tally.size)} to {_by(*size)}")
    tally.frames, tally.size = tally.frames + 1, size
    length_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
    _count_time(frame.time, length_s, tally)


def _count_time(time_s: float | None, length_s: float, tally: _Tally) -> None:
    start_s = tally.end_s if time_s is None else time_s
    tally.start_s = start_s if tally.start_s is None else min(tally.start_s, start_s)
    tally.end_s = max(tally.end_s, start_s + length_s)


def _check_streams(seen: _Tally, heard: _Tally, *, has_audio: bool) -> None:
    if not seen.frames or seen.span_s <= 0:
        raise InvalidVideoError("the file has no frames")
    if has_audio and not heard.samples:
        raise InvalidVideoError("the file's sound is empty")


def _check_claims(file: InputContainer, video: VideoStream, seen: _Tally, heard: _Tally) -> None:
    """Compares what was decoded with what the container claims to hold."""
    if seen.frames + seen.discarded < video.frames:
        raise InvalidVideoError(_shortfall(f"{seen.frames} of {video.frames} frames"))
    decoded_s, claimed_s = max(seen.span_s, heard.span_s), (file.duration or 0) / av.time_base
    if decoded_s < claimed_s - LENGTH_TOLERANCE_S:
        raise InvalidVideoError(_shortfall(f"{decoded_s:.2f} of {claimed_s:.2f} s"))


def _shortfall(part: str) -> str:
    return f"the file is cut off or broken: {part} can be decoded"


def _container_mismatch(facts: VideoFacts, expected: Expected) -> str:
    if facts.container == expected.container:
        return ""
    return f"container is {facts.container}, asked was {expected.container}"


def _size_mismatch(facts: VideoFacts, expected: Expected) -> str:
    asked = (expected.width or facts.width, expected.height or facts.height)
    if (facts.width, facts.height) != asked:
        return f"size is {_by(facts.width, facts.height)}, asked was {_by(*asked)}"
    low, high = expected.pixels or (0, facts.width * facts.height)
    is_fixed = expected.width is not None and expected.height is not None
    if is_fixed or low <= facts.width * facts.height <= high:
        return ""
    return f"size is {_by(facts.width, facts.height)}, asked were {low} to {high} pixels"


def _length_mismatch(facts: VideoFacts, expected: Expected) -> str:
    if abs(facts.duration_s - expected.duration_s) <= LENGTH_TOLERANCE_S:
        return ""
    return f"length is {facts.duration_s:.2f} s, asked were {expected.duration_s:g} s"


def _frames_mismatch(facts: VideoFacts) -> str:
    due = facts.duration_s * facts.fps
    fixed, share = _FRAME_TOLERANCE
    if abs(facts.frames - due) <= max(fixed, share * due):
        return ""
    return f"has {facts.frames} frames, {facts.duration_s:.2f} s at {facts.fps:g} fps should have {due:.0f}"


def _sound_mismatch(facts: VideoFacts, expected: Expected) -> str:
    if facts.has_audio == expected.has_audio:
        return ""
    return "has sound, asked was none" if facts.has_audio else "has no sound, asked was sound"


def _codec_mismatches(facts: VideoFacts) -> tuple[str, ...]:
    streams = (("video", facts.video_codec, _VIDEO_CODECS), ("audio", facts.audio_codec, _AUDIO_CODECS))
    return tuple(
        f"{kind} codec is {codec}, {facts.container} should have {' or '.join(table[facts.container])}"
        for kind, codec, table in streams
        if codec is not None and codec not in table.get(facts.container, (codec,))
    )


def _by(width: int, height: int) -> str:
    return f"{width}x{height}"
