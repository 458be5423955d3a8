"""The measured properties of a video file, from decoding all its frames."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from wan_assets.errors import DecoderError, DecoderMissingError, InvalidVideoError
from wan_assets.video.containers import container_of
from wan_assets.video.decode_errors import DECODING_ERRORS, decoding_error_of
from wan_assets.video.signal_stats import SignalStats

_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""Invalid bytes in a file's tags are no reason to refuse it; PyAV 19 and later ignores them by default."""

LENGTH_TOLERANCE_S = 0.5

MAX_SIDE, MAX_PIXELS = 8192, 4096 * 4096
"""Larger frames are not decoded, because the memory of a decoder grows with the frame size."""

_DEMUXERS = {"MP4": "mov", "MOV": "mov", "WEBM": "matroska", "MATROSKA": "matroska"}
_DECODING = {"max_pixels": str(MAX_PIXELS)}
"""Options of the decoders; a container may declare a different size than its stream has."""


@dataclass(frozen=True)
class VideoProperties:
    """The properties of a decoded video; `audio_*` are None if it has no audio.

    `audio_s` is the length of the audio without gaps, in seconds. `audio_start_s` and `audio_end_s` are its start and
    end in seconds, relative to the first frame. `brightest_luma`, `change_luma` and `audio_peak` come from
    `SignalStats`. Fields with a default are also None if an older release decoded the file and did not measure them.
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
    audio_start_s: float | None = None
    audio_end_s: float | None = None

    @property
    def has_audio(self) -> bool:
        return self.audio_codec is not None

    def to_json(self) -> dict[str, Any]:
        """Converts the properties to JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> VideoProperties:
        """Reads the result of `to_json`; raises `TypeError` if a field without a default is missing."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in names})


@dataclass
class _StreamTotals:
    """The totals of one stream decoded so far."""

    frames: int = 0
    packets: int = 0
    audio_s: float = 0.0
    discarded: int = 0
    size: tuple[int, int] = (0, 0)
    start_s: float | None = None
    end_s: float = 0.0

    @property
    def span_s(self) -> float:
        return self.end_s - (self.start_s or 0.0)


class FrameObserver(Protocol):
    """Receives a file before decoding starts, and then each of its video frames."""

    def begin(self, file: InputContainer) -> None: ...

    def add_frame(self, frame: VideoFrame) -> None: ...


def properties_of(path: str | os.PathLike[str], observer: FrameObserver | None = None) -> VideoProperties:
    """Decodes every frame of the file.

    Raises InvalidVideoError with a one-line message if it is not a complete video, DecoderMissingError if no decoder
    for it is installed, and DecoderError if decoding fails for a reason that is not in the file.
    """
    try:
        return _facts_of(path, observer)
    except DECODING_ERRORS as error:
        raise decoding_error_of(error) from None


def open_video(path: str | os.PathLike[str]) -> tuple[str, InputContainer]:
    """Detects the container, and opens the file with the demuxer of this container only."""
    container = container_of(path)
    url = f"file:{Path(path).absolute()}"
    return container, av.open(url, format=_DEMUXERS[container], options=_DECODING, **_LENIENT)


def video_stream_of(file: InputContainer) -> VideoStream:
    """Returns the first video stream that is not a cover image, configured to decode in one thread."""
    for stream in file.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            _prepare(stream)
            _check_size(stream)
            return stream
    raise InvalidVideoError("the file has no video stream")


def _prepare(stream: VideoStream | AudioStream) -> None:
    codec = getattr(stream, "codec_context", None)
    if codec is None:
        raise DecoderMissingError(f"this installation has no decoder for the file's {stream.type} stream")
    codec.options = _DECODING
    codec.thread_type = "NONE"


def _check_size(stream: VideoStream) -> None:
    width, height = stream.width, stream.height
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        maximum = f"{MAX_PIXELS:,} pixels, or more than {MAX_SIDE:,} on a side"
        raise DecoderError(f"the file's frame size of {width}x{height} is not decoded: it has more than {maximum}")


def _facts_of(path: str | os.PathLike[str], observer: FrameObserver | None) -> VideoProperties:
    container, file = open_video(path)
    with file:
        if observer:
            observer.begin(file)
        video = video_stream_of(file)
        audio = next(iter(file.streams.audio), None)
        if audio:
            _prepare(audio)
        video_totals, audio_totals, signal = _StreamTotals(), _StreamTotals(), SignalStats()
        for packet in file.demux([video, audio] if audio else [video]):
            _decode(packet, video_totals if packet.stream_index == video.index else audio_totals, signal, observer)
        _check_streams(video_totals, audio_totals, audio)
        _check_claims(file, video, video_totals, audio_totals)
        rate = video.average_rate or video.guessed_rate
        return VideoProperties(
            container=container,
            video_codec=video.codec_context.name,
            width=video_totals.size[0],
            height=video_totals.size[1],
            duration_s=round(video_totals.span_s, 3),
            fps=round(float(rate), 3) if rate else round(video_totals.frames / video_totals.span_s, 3),
            frames=video_totals.frames,
            brightest_luma=signal.brightest_luma,
            change_luma=signal.change_luma,
            **_audio_facts(
                audio if audio_totals.audio_s else None, audio_totals, signal, start_s=video_totals.start_s or 0.0
            ),
        )


def _audio_facts(
    audio: AudioStream | None, audio_totals: _StreamTotals, signal: SignalStats, *, start_s: float
) -> dict[str, Any]:
    """Returns the audio properties, with times relative to the first frame."""
    if audio is None:
        return {"audio_codec": None, "audio_s": None}
    return {
        "audio_codec": audio.codec_context.name,
        "audio_s": round(audio_totals.audio_s, 3),
        "audio_peak": signal.audio_peak,
        "audio_start_s": round((audio_totals.start_s or 0.0) - start_s, 3),
        "audio_end_s": round(audio_totals.end_s - start_s, 3),
    }


def _decode(packet: Packet[Stream], totals: _StreamTotals, signal: SignalStats, observer: FrameObserver | None) -> None:
    if packet.is_corrupt:
        raise InvalidVideoError("the file has a broken packet")
    totals.packets += packet.size > 0
    totals.discarded += packet.is_discard
    for frame in packet.decode():
        if isinstance(frame, VideoFrame):
            _count_frame(frame, totals)
            signal.add_video_frame(frame)
            if observer:
                observer.add_frame(frame)
        elif isinstance(frame, AudioFrame):
            signal.add_audio_frame(frame)
            length_s = frame.samples / frame.sample_rate
            totals.audio_s += length_s
            _count_time(frame.time, length_s, totals)


def _count_frame(frame: VideoFrame, totals: _StreamTotals) -> None:
    if frame.is_corrupt:
        raise InvalidVideoError(f"the file's frame {totals.frames + 1} is broken")
    size = (frame.width, frame.height)
    if totals.size not in ((0, 0), size):
        raise InvalidVideoError("the file's size changes from {}x{} to {}x{}".format(*totals.size, *size))
    totals.frames, totals.size = totals.frames + 1, size
    length_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
    _count_time(frame.time, length_s, totals)


def _count_time(time_s: float | None, length_s: float, totals: _StreamTotals) -> None:
    start_s = totals.end_s if time_s is None else time_s
    totals.start_s = start_s if totals.start_s is None else min(totals.start_s, start_s)
    totals.end_s = max(totals.end_s, start_s + length_s)


def _check_streams(video_totals: _StreamTotals, audio_totals: _StreamTotals, audio: AudioStream | None) -> None:
    """Accepts an audio track without content as no audio; refuses a track whose content cannot be decoded."""
    if not video_totals.frames or video_totals.span_s <= 0:
        raise InvalidVideoError("the file has no frames")
    if audio and not audio_totals.audio_s and (audio_totals.packets or audio.frames):
        raise InvalidVideoError("the file's audio is empty")


def _check_claims(
    file: InputContainer, video: VideoStream, video_totals: _StreamTotals, audio_totals: _StreamTotals
) -> None:
    """Compares the decoded frames and seconds with those that the container declares."""
    if video_totals.frames + video_totals.discarded < video.frames:
        raise InvalidVideoError(_shortfall(f"{video_totals.frames} of {video.frames} frames"))
    starts = [totals.start_s for totals in (video_totals, audio_totals) if totals.start_s is not None]
    decoded_s, claimed_s = (
        max(video_totals.end_s, audio_totals.end_s) - min(starts),
        (file.duration or 0) / av.time_base,
    )
    if decoded_s < claimed_s - LENGTH_TOLERANCE_S:
        raise InvalidVideoError(_shortfall(f"{decoded_s:.2f} of {claimed_s:.2f} s"))


def _shortfall(part: str) -> str:
    return f"the file is cut off or broken: only {part} can be decoded"
