"""What a video file is, found by decoding all of it."""

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
from wan_assets.video.decode_errors import BROKEN, error_of
from wan_assets.video.signal_stats import SignalStats

_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""Odd bytes in a file's texts are no reason to refuse it; from its version 19 on PyAV thinks so too."""

LENGTH_TOLERANCE_S = 0.5

MAX_SIDE, MAX_PIXELS = 8192, 4096 * 4096
"""Larger pictures are not decoded: the memory that a decoder takes grows with them."""

_DEMUXERS = {"MP4": "mov", "MOV": "mov", "WEBM": "matroska", "MATROSKA": "matroska"}
_DECODING = {"max_pixels": str(MAX_PIXELS)}
"""For the decoders themselves: a container may claim another size than its stream has."""


@dataclass(frozen=True)
class VideoProperties:
    """A video as decoded; `audio_*` are None where it has no sound.

    `audio_s` is the length of the audio without gaps, in seconds. `audio_start_s` and `audio_end_s` are its first and
    last moment, relative to the first frame. `brightest_luma`, `change_luma` and `audio_peak` are those of
    `SignalStats`. Fields with a default are also None if the file was decoded before they were measured.
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
        """A plain dict of the fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> VideoProperties:
        """Reads such a dict; raises `TypeError` where it lacks a field without a default."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in names})


@dataclass
class _Tally:
    """What has been decoded so far of one stream."""

    frames: int = 0
    packets: int = 0
    sound_s: float = 0.0
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


def properties_of(path: str | os.PathLike[str], watcher: Watcher | None = None) -> VideoProperties:
    """Decodes every frame of the file.

    Raises InvalidVideoError, in one line, if it is not a whole video; DecoderMissingError where nothing here decodes
    it; DecoderError where decoding fails for reasons that are not the file's.
    """
    try:
        return _facts_of(path, watcher)
    except BROKEN as error:
        raise error_of(error) from None


def open_video(path: str | os.PathLike[str]) -> tuple[str, InputContainer]:
    """The container's name, and the file opened as that and as nothing else."""
    container = container_of(path)
    url = f"file:{Path(path).absolute()}"
    return container, av.open(url, format=_DEMUXERS[container], options=_DECODING, **_LENIENT)


def video_stream_of(file: InputContainer) -> VideoStream:
    """The first video stream that is not a cover picture, set to decode in this thread alone."""
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
        raise DecoderError(f"the file's picture of {width}x{height} is not decoded, since it has more than {maximum}")


def _facts_of(path: str | os.PathLike[str], watcher: Watcher | None) -> VideoProperties:
    container, file = open_video(path)
    with file:
        if watcher:
            watcher.begin(file)
        video = video_stream_of(file)
        audio = next(iter(file.streams.audio), None)
        if audio:
            _prepare(audio)
        seen, heard, signal = _Tally(), _Tally(), SignalStats()
        for packet in file.demux([video, audio] if audio else [video]):
            _decode(packet, seen if packet.stream_index == video.index else heard, signal, watcher)
        _check_streams(seen, heard, audio)
        _check_claims(file, video, seen, heard)
        rate = video.average_rate or video.guessed_rate
        return VideoProperties(
            container=container,
            video_codec=video.codec_context.name,
            width=seen.size[0],
            height=seen.size[1],
            duration_s=round(seen.span_s, 3),
            fps=round(float(rate), 3) if rate else round(seen.frames / seen.span_s, 3),
            frames=seen.frames,
            brightest_luma=signal.brightest_luma,
            change_luma=signal.change_luma,
            **_sound_facts(audio if heard.sound_s else None, heard, signal, start_s=seen.start_s or 0.0),
        )


def _sound_facts(audio: AudioStream | None, heard: _Tally, signal: SignalStats, *, start_s: float) -> dict[str, Any]:
    """Those of the sound, its moments counted from that of the first frame."""
    if audio is None:
        return {"audio_codec": None, "audio_s": None}
    return {
        "audio_codec": audio.codec_context.name,
        "audio_s": round(heard.sound_s, 3),
        "audio_peak": signal.audio_peak,
        "audio_start_s": round((heard.start_s or 0.0) - start_s, 3),
        "audio_end_s": round(heard.end_s - start_s, 3),
    }


def _decode(packet: Packet[Stream], tally: _Tally, signal: SignalStats, watcher: Watcher | None) -> None:
    if packet.is_corrupt:
        raise InvalidVideoError("the file has a broken packet")
    tally.packets += packet.size > 0
    tally.discarded += packet.is_discard
    for frame in packet.decode():
        if isinstance(frame, VideoFrame):
            _count_picture(frame, tally)
            signal.see(frame)
            if watcher:
                watcher.see(frame)
        elif isinstance(frame, AudioFrame):
            signal.hear(frame)
            length_s = frame.samples / frame.sample_rate
            tally.sound_s += length_s
            _count_time(frame.time, length_s, tally)


def _count_picture(frame: VideoFrame, tally: _Tally) -> None:
    if frame.is_corrupt:
        raise InvalidVideoError(f"the file's frame {tally.frames + 1} is broken")
    size = (frame.width, frame.height)
    if tally.size not in ((0, 0), size):
        raise InvalidVideoError("the file's size changes from {}x{} to {}x{}".format(*tally.size, *size))
    tally.frames, tally.size = tally.frames + 1, size
    length_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
    _count_time(frame.time, length_s, tally)


def _count_time(time_s: float | None, length_s: float, tally: _Tally) -> None:
    start_s = tally.end_s if time_s is None else time_s
    tally.start_s = start_s if tally.start_s is None else min(tally.start_s, start_s)
    tally.end_s = max(tally.end_s, start_s + length_s)


def _check_streams(seen: _Tally, heard: _Tally, audio: AudioStream | None) -> None:
    """A track without any sound is no sound; one whose sound cannot be decoded is broken."""
    if not seen.frames or seen.span_s <= 0:
        raise InvalidVideoError("the file has no frames")
    if audio and not heard.sound_s and (heard.packets or audio.frames):
        raise InvalidVideoError("the file's sound is empty")


def _check_claims(file: InputContainer, video: VideoStream, seen: _Tally, heard: _Tally) -> None:
    """Compares what was decoded with what the container claims to hold."""
    if seen.frames + seen.discarded < video.frames:
        raise InvalidVideoError(_shortfall(f"{seen.frames} of {video.frames} frames"))
    starts = [tally.start_s for tally in (seen, heard) if tally.start_s is not None]
    decoded_s, claimed_s = max(seen.end_s, heard.end_s) - min(starts), (file.duration or 0) / av.time_base
    if decoded_s < claimed_s - LENGTH_TOLERANCE_S:
        raise InvalidVideoError(_shortfall(f"{decoded_s:.2f} of {claimed_s:.2f} s"))


def _shortfall(part: str) -> str:
    return f"the file is cut off or broken: {part} can be decoded"
