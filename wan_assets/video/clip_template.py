"""TemplateCache of simulated videos: the packets that all videos of one format share.

A template contains every packet except the first video packet. In the later frames only a strip at the top changes.
These frames are encoded over noise, so that outside the strip the encoder can only repeat the previous frame.
Therefore they can follow any first frame.
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
"""The strip moves only in every third frame of a VP9 file, so that the other frames need no encoding."""

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
    "error-resilient": "default",  # otherwise a frame is decoded with statistics of earlier frames
    "crf": "32",
    "b": "0",
    "qmin": "32",
    "qmax": "32",
    "g": "9999",
}
_VP9_MOTION = _VP9 | {"lossless": "1", "crf": "0", "qmin": "0", "qmax": "0"}
"""Lossless frames skip the loop filter, which would blur the image more with each frame."""


@dataclass(frozen=True)
class ClipFormat:
    """The properties that determine a template; MP4 and MOV files share templates."""

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
    """The streams of an output file."""

    video: VideoStream
    audio: AudioStream | None


@dataclass(frozen=True)
class PacketData:
    """The content of a packet; `time` and `duration` are in units of `time_base`."""

    is_audio: bool
    data: bytes
    time: int
    duration: int
    time_base: Fraction

    def packet_for(self, streams: Streams) -> Packet[Any]:
        """Creates the packet for its stream."""
        packet: Packet[Any] = Packet(self.data)
        stream = streams.audio if self.is_audio else streams.video
        packet.pts = packet.dts = self.time
        packet.duration, packet.time_base, packet.stream = self.duration, self.time_base, stream
        packet.is_keyframe = self.is_audio
        return packet


class TemplateCache:
    """The cached templates of this process; concurrent threads create each template only once."""

    def __init__(self, kept: int = 160) -> None:
        self._locks: dict[ClipFormat, threading.Lock] = {}
        self._cached = lru_cache(maxsize=kept)(_template)

    def template_of(self, clip_format: ClipFormat) -> tuple[PacketData, ...]:
        """Returns the packets of a template in order of time, without the first video packet."""
        with self._locks.setdefault(clip_format, threading.Lock()):
            return self._cached(clip_format)


def streams_of(out: OutputContainer, clip_format: ClipFormat) -> Streams:
    """Adds the video and audio streams to an output file."""
    video = out.add_stream(clip_format.video_codec, rate=FPS, options=_VP9 if clip_format.is_vp9 else _X264)
    _set_up(video.codec_context, clip_format)
    audio = out.add_stream(clip_format.audio_codec, rate=_AUDIO_RATE) if clip_format.has_audio else None
    if audio:
        _set_up_audio(audio.codec_context)
    return Streams(video, audio)


def draw_strip(frame: VideoFrame, clip_format: ClipFormat, n: int) -> None:
    """Draws the strip of frame `n` over the top of a frame, in place."""
    rows = strip_height(clip_format.height)
    _pixels(frame, 0)[:rows, : clip_format.width] = strip_of(clip_format.width, rows, n, clip_format.frames)
    for plane in (1, 2):
        _pixels(frame, plane)[: rows // 2] = 128


def _pixels(frame: VideoFrame, plane: int) -> Luma:
    source: Any = frame.planes[plane]
    pixels: Luma = np.frombuffer(source, np.uint8).reshape(source.height, source.line_size)
    return pixels


def _template(clip_format: ClipFormat) -> tuple[PacketData, ...]:
    motion = _vp9_motion(clip_format) if clip_format.is_vp9 else _h264_motion(clip_format)
    video = [PacketData(False, data, n, 1, Fraction(1, FPS)) for n, data in enumerate(motion, start=1)]
    audio = _tone(clip_format) if clip_format.has_audio else ()
    return tuple(sorted([*video, *audio], key=lambda packet_data: packet_data.time * packet_data.time_base))


def _h264_motion(clip_format: ClipFormat) -> Iterator[bytes]:
    """Encodes frames over the decoded noise, so that only the strip differs between frames."""
    encoder = _video_encoder(clip_format, _X264)
    first = _encode_still(encoder, _noise(clip_format), clip_format, 0)
    frame = _decoded(first, encoder)
    for n in range(1, clip_format.frames):
        yield _encode_still(encoder, frame, clip_format, n)


def _vp9_motion(clip_format: ClipFormat) -> Iterator[bytes]:
    """Encodes frames over noise; the packet for an unchanged frame is created once and reused between steps."""
    encoder = _video_encoder(clip_format, _VP9_MOTION)
    frame = _noise(clip_format)
    _encode_still(encoder, frame, clip_format, 0)
    frame.pts = 1
    same = b"".join(map(bytes, encoder.encode(frame)))
    for n in range(1, clip_format.frames):
        yield same if n % _VP9_STEP else _encode_still(encoder, frame, clip_format, n)


def _encode_still(encoder: VideoCodecContext, frame: VideoFrame, clip_format: ClipFormat, n: int) -> bytes:
    draw_strip(frame, clip_format, n)
    frame.pts = n + 1 if clip_format.is_vp9 and n else n
    return b"".join(map(bytes, encoder.encode(frame)))


def _noise(clip_format: ClipFormat) -> VideoFrame:
    return VideoFrame.from_ndarray(texture_of(clip_format.width, clip_format.height * 3 // 2), format="yuv420p")


def _decoded(packet: bytes, encoder: VideoCodecContext) -> VideoFrame:
    """Decodes the encoder's first frame into writable memory."""
    decoder = CodecContext.create("h264", "r")
    decoder.extradata = encoder.extradata
    frame = [*decoder.decode(Packet(packet)), *decoder.decode(None)][0]
    return VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")


def _video_encoder(clip_format: ClipFormat, options: dict[str, str]) -> VideoCodecContext:
    encoder = CodecContext.create(clip_format.video_codec, "w")
    encoder.options = options
    encoder.flags |= Flags.global_header
    _set_up(encoder, clip_format)
    return encoder


def _set_up(encoder: VideoCodecContext, clip_format: ClipFormat) -> None:
    encoder.width, encoder.height, encoder.pix_fmt = clip_format.width, clip_format.height, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(FPS), Fraction(1, FPS)
    encoder.thread_count = 1


def _set_up_audio(encoder: AudioCodecContext) -> None:
    encoder.sample_rate, encoder.layout, encoder.bit_rate = _AUDIO_RATE, "mono", 24_000
    encoder.time_base = Fraction(1, _AUDIO_RATE)


def _tone(clip_format: ClipFormat) -> Iterator[PacketData]:
    """Encodes a quiet chord whose volume rises and falls once a second."""
    encoder = CodecContext.create(clip_format.audio_codec, "w")
    encoder.flags |= Flags.global_header
    encoder.format = "flt" if clip_format.is_vp9 else "fltp"
    _set_up_audio(encoder)
    t = np.arange(clip_format.frames * _AUDIO_RATE // FPS, dtype=np.float32) / _AUDIO_RATE
    chord = np.sin(2 * np.pi * 220 * t) + np.sin(2 * np.pi * 330 * t)
    samples = (0.02 * chord * (1 - 0.5 * np.cos(2 * np.pi * t))).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = _AUDIO_RATE, 0, encoder.time_base
    for packet in [*encoder.encode(frame), *encoder.encode(None)]:
        yield PacketData(True, bytes(packet), packet.pts or 0, packet.duration or 0, Fraction(1, _AUDIO_RATE))
