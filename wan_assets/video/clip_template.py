"""The part that simulated videos of one form share: every packet but the first of the picture.

In the frames after the first a strip moves and the picture stays. They are differences, and they are encoded
over noise, so that outside the strip the encoder can say nothing but "as before, same place": they fit any
picture.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.context import CodecContext, Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from wan_assets.video.simulated_image import Luma, strip_height, strip_of, texture_of

FPS = 24
_AUDIO_RATE = 48_000
_VP9_STEP = 3
"""The strip moves in every third frame of a VP9 file: the others cost no encoding."""

_X264 = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "qp": "25",
    "x264-params": "cabac=1:8x8dct=1:aq-mode=0:weightp=0:scenecut=0:keyint=infinite:threads=1:sliced-threads=0",
}
_VP9 = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",
    "error-resilient": "default",  # else a frame is decoded with statistics of those before it
    "crf": "32",
    "b": "0",
    "qmin": "32",
    "qmax": "32",
    "g": "9999",
}
_VP9_MOTION = _VP9 | {"lossless": "1", "crf": "0", "qmin": "0", "qmax": "0"}
"""Lossless frames pass no loop filter, which would blur the picture a little more with each of them."""


@dataclass(frozen=True)
class Form:
    """What videos must share to share a template; MP4 and MOV do."""

    is_vp9: bool
    width: int
    height: int
    frames: int
    has_audio: bool

    @property
    def video_codec(self) -> Literal["libvpx-vp9", "libx264"]:
        return "libvpx-vp9" if self.is_vp9 else "libx264"

    @property
    def audio_codec(self) -> Literal["libopus", "aac"]:
        return "libopus" if self.is_vp9 else "aac"


@dataclass(frozen=True)
class Streams:
    """The streams of a file that is being written."""

    video: VideoStream
    audio: AudioStream | None


@dataclass(frozen=True)
class Chunk:
    """A packet apart from its file; `time` is in units of `time_base`."""

    is_audio: bool
    data: bytes
    time: int
    duration: int
    time_base: Fraction

    def packet_for(self, streams: Streams) -> Packet[Any]:
        """A packet of one of the streams."""
        packet: Packet[Any] = Packet(self.data)
        stream = streams.audio if self.is_audio else streams.video
        packet.pts = packet.dts = self.time
        packet.duration, packet.time_base, packet.stream = self.duration, self.time_base, stream
        packet.is_keyframe = self.is_audio
        return packet


class Templates:
    """The templates of this process; each is made once, however many threads ask."""

    def __init__(self, kept: int = 160) -> None:
        self._locks: dict[Form, threading.Lock] = {}
        self._made = lru_cache(maxsize=kept)(_template)

    def template_of(self, form: Form) -> tuple[Chunk, ...]:
        """Every packet of the form but the first of the picture, in the order of their times."""
        with self._locks.setdefault(form, threading.Lock()):
            return self._made(form)


def streams_of(out: OutputContainer, form: Form) -> Streams:
    """Adds the streams of the form to a file that is being written."""
    video = out.add_stream(form.video_codec, rate=FPS, options=_VP9 if form.is_vp9 else _X264)
    _set_up(video.codec_context, form)
    audio = out.add_stream(form.audio_codec, rate=_AUDIO_RATE) if form.has_audio else None
    if audio:
        _set_up_audio(audio.codec_context)
    return Streams(video, audio)


def put_strip(frame: VideoFrame, form: Form, n: int) -> None:
    """Draws the strip of frame `n` over the top of a picture in place."""
    rows = strip_height(form.height)
    _pixels(frame, 0)[:rows, : form.width] = strip_of(form.width, rows, n, form.frames)
    for plane in (1, 2):
        _pixels(frame, plane)[: rows // 2] = 128


def _pixels(frame: VideoFrame, plane: int) -> Luma:
    source: Any = frame.planes[plane]
    pixels: Luma = np.frombuffer(source, np.uint8).reshape(source.height, source.line_size)
    return pixels


def _template(form: Form) -> tuple[Chunk, ...]:
    motion = _vp9_motion(form) if form.is_vp9 else _h264_motion(form)
    video = [Chunk(False, data, n, 1, Fraction(1, FPS)) for n, data in enumerate(motion, start=1)]
    audio = _tone(form) if form.has_audio else ()
    return tuple(sorted([*video, *audio], key=lambda chunk: chunk.time * chunk.time_base))


def _h264_motion(form: Form) -> Iterator[bytes]:
    """Frames over the noise as decoded, so that from one to the next nothing but the strip differs."""
    encoder = _video_encoder(form, _X264)
    first = _encode_still(encoder, _noise(form), form, 0)
    frame = _decoded(first, encoder)
    for n in range(1, form.frames):
        yield _encode_still(encoder, frame, form, n)


def _vp9_motion(form: Form) -> Iterator[bytes]:
    """Frames over noise; the packet that says "as before" is made once and used again between the steps."""
    encoder = _video_encoder(form, _VP9_MOTION)
    frame = _noise(form)
    _encode_still(encoder, frame, form, 0)
    frame.pts = 1
    same = b"".join(map(bytes, encoder.encode(frame)))
    for n in range(1, form.frames):
        yield same if n % _VP9_STEP else _encode_still(encoder, frame, form, n)


def _encode_still(encoder: VideoCodecContext, frame: VideoFrame, form: Form, n: int) -> bytes:
    put_strip(frame, form, n)
    frame.pts = n + 1 if form.is_vp9 and n else n
    return b"".join(map(bytes, encoder.encode(frame)))


def _noise(form: Form) -> VideoFrame:
    return VideoFrame.from_ndarray(texture_of(form.width, form.height * 3 // 2), format="yuv420p")


def _decoded(packet: bytes, encoder: VideoCodecContext) -> VideoFrame:
    """The encoder's first frame as a player sees it, in memory that may be written to."""
    decoder = CodecContext.create("h264", "r")
    decoder.extradata = encoder.extradata
    seen = [*decoder.decode(Packet(packet)), *decoder.decode(None)][0]
    return VideoFrame.from_ndarray(seen.to_ndarray(), format="yuv420p")


def _video_encoder(form: Form, options: dict[str, str]) -> VideoCodecContext:
    encoder = CodecContext.create(form.video_codec, "w")
    encoder.options = options
    encoder.flags |= Flags.global_header
    _set_up(encoder, form)
    return encoder


def _set_up(encoder: VideoCodecContext, form: Form) -> None:
    encoder.width, encoder.height, encoder.pix_fmt = form.width, form.height, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(FPS), Fraction(1, FPS)
    encoder.thread_count = 1


def _set_up_audio(encoder: AudioCodecContext) -> None:
    encoder.sample_rate, encoder.layout, encoder.bit_rate = _AUDIO_RATE, "mono", 24_000
    encoder.time_base = Fraction(1, _AUDIO_RATE)


def _tone(form: Form) -> Iterator[Chunk]:
    """A quiet chord that swells once a second."""
    encoder = CodecContext.create(form.audio_codec, "w")
    encoder.flags |= Flags.global_header
    encoder.format = "flt" if form.is_vp9 else "fltp"
    _set_up_audio(encoder)
    t = np.arange(form.frames * _AUDIO_RATE // FPS, dtype=np.float32) / _AUDIO_RATE
    chord = np.sin(2 * np.pi * 220 * t) + np.sin(2 * np.pi * 330 * t)
    samples = (0.02 * chord * (1 - 0.5 * np.cos(2 * np.pi * t))).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = _AUDIO_RATE, 0, encoder.time_base
    for packet in [*encoder.encode(frame), *encoder.encode(None)]:
        yield Chunk(True, bytes(packet), packet.pts or 0, packet.duration or 0, Fraction(1, _AUDIO_RATE))
