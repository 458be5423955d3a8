"""Real, small, playable videos that say that they are simulated.

A clip differs from others of its form (size, length, container, sound) in its first frame only. The rest, in which
a strip moves and the picture stays, is encoded once per form and kept: its frames are differences that fit any
picture, because they are made over noise that lets the encoder say nothing but "as before" outside the strip.
"""

from __future__ import annotations

import io
import os
import threading
import uuid
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from wan_assets.video.picture import Luma, picture_of, strip_height, strip_of, texture_of

FPS = 24
MARK = "SIMULATED by wan-assets"
_TAG_CHARACTERS = 16_000  # a QuickTime string holds 65,535 bytes
_AUDIO_RATE = 48_000

_X264 = {
    "preset": "veryfast",
    "qp": "25",
    "x264-params": "aq-mode=0:mbtree=0:rc-lookahead=0:sync-lookahead=0:bframes=0:ref=1:weightp=0:scenecut=0"
    ":keyint=infinite:threads=1",
}
_VP9 = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",
    "error-resilient": "default",  # else a frame is decoded with statistics of those before it
    "crf": "34",
    "b": "0",
    "qmin": "34",
    "qmax": "34",
    "g": "9999",
}


@dataclass(frozen=True)
class Clip:
    """A video to render."""

    container: str
    width: int
    height: int
    duration_s: float
    has_audio: bool
    seed: int
    prompt: str


@dataclass(frozen=True)
class _Form:
    """What clips must share to share a template."""

    container: str
    width: int
    height: int
    frames: int
    has_audio: bool


def render(clip: Clip, path: str | os.PathLike[str]) -> None:
    """Writes the clip to `path`, which then holds either a whole video or what it held before."""
    target = Path(path)
    form = _Form(clip.container, clip.width, clip.height, round(clip.duration_s * FPS), clip.has_audio)
    body = _templates.template_of(form)
    head = _encoded(form, picture=_first_frame(clip))
    unfinished = target.with_name(f".{target.name[:80]}.{uuid.uuid4().hex}.part")
    try:
        _join(head, body, unfinished, form, _tags_of(clip))
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


class _Templates:
    """The templates of this process; each is made once, however many threads ask."""

    def __init__(self) -> None:
        self._locks: dict[_Form, threading.Lock] = {}
        self._made = lru_cache(maxsize=160)(_template)

    def template_of(self, form: _Form) -> bytes:
        with self._locks.setdefault(form, threading.Lock()):
            return self._made(form)


def _template(form: _Form) -> bytes:
    """A file of the form whose first frame is noise."""
    planes = texture_of(form.width, form.height * 3 // 2)
    return _encoded(form, picture=VideoFrame.from_ndarray(planes, format="yuv420p"), is_whole=True)


_templates = _Templates()


def _first_frame(clip: Clip) -> VideoFrame:
    note = f"{clip.width} x {clip.height}, {clip.duration_s:g} s, {clip.container}, by wan-assets"
    image = picture_of(clip.seed, clip.prompt, size=(clip.width, clip.height), note=note)
    return VideoFrame.from_image(image).reformat(format="yuv420p")


def _encoded(form: _Form, *, picture: VideoFrame, is_whole: bool = False) -> bytes:
    """A file in memory: the first frame alone, or all frames and the sound."""
    file = io.BytesIO()
    with av.open(file, "w", format=_format_of(form)) as out:
        video = _video_stream(out, form)
        audio = _audio_stream(out, form) if is_whole and form.has_audio else None
        _put_strip(picture, form, 0)
        picture.pts = 0
        first = video.encode(picture)
        out.mux(first)
        if is_whole:
            _encode_motion(out, video, _decoded(first[0], video), form)
        out.mux(video.encode(None))
        if audio:
            _encode_tone(out, audio, form.frames / FPS)
    return file.getvalue()


def _encode_motion(out: OutputContainer, video: VideoStream, picture: VideoFrame, form: _Form) -> None:
    """Encodes the moving strip over the picture as decoded, so that nothing but the strip differs."""
    for n in range(1, form.frames):
        _put_strip(picture, form, n)
        picture.pts = n
        out.mux(video.encode(picture))


def _decoded(packet: av.Packet, video: VideoStream) -> VideoFrame:
    """The encoder's first frame as a player sees it, in memory that may be written to."""
    decoder = av.VideoCodecContext.create("h264" if video.codec_context.name == "libx264" else "vp9", "r")
    decoder.extradata = video.codec_context.extradata
    frame = [*decoder.decode(packet), *decoder.decode(None)][0]
    copy = VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
    copy.time_base = Fraction(1, FPS)
    return copy


def _put_strip(frame: VideoFrame, form: _Form, n: int) -> None:
    rows = strip_height(form.height)
    _pixels(frame, 0)[:rows, : form.width] = strip_of(form.width, rows, n, form.frames)
    for plane in (1, 2):
        _pixels(frame, plane)[: rows // 2] = 128


def _pixels(frame: VideoFrame, plane: int) -> Luma:
    source = frame.planes[plane]
    return np.frombuffer(source, np.uint8).reshape(source.height, source.line_size)


def _video_stream(out: OutputContainer, form: _Form) -> VideoStream:
    codec, options = ("libvpx-vp9", _VP9) if form.container == "WEBM" else ("libx264", _X264)
    stream = out.add_stream(codec, rate=FPS, options=options)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = form.width, form.height, "yuv420p"
    stream.codec_context.time_base = Fraction(1, FPS)
    stream.codec_context.thread_count = 1
    return stream


def _audio_stream(out: OutputContainer, form: _Form) -> AudioStream:
    stream = out.add_stream("libopus" if form.container == "WEBM" else "aac", rate=_AUDIO_RATE, layout="mono")
    assert isinstance(stream, AudioStream)
    stream.bit_rate = 24_000
    return stream


def _encode_tone(out: OutputContainer, audio: AudioStream, duration_s: float) -> None:
    """A quiet chord that swells once a second."""
    t = np.arange(round(duration_s * _AUDIO_RATE), dtype=np.float32) / _AUDIO_RATE
    chord = np.sin(2 * np.pi * 220 * t) + np.sin(2 * np.pi * 330 * t)
    samples = (0.02 * chord * (1 - 0.5 * np.cos(2 * np.pi * t))).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
    frame.sample_rate = _AUDIO_RATE
    out.mux(audio.encode(frame))
    out.mux(audio.encode(None))


def _join(head: bytes, body: bytes, path: Path, form: _Form, tags: dict[str, str]) -> None:
    """Writes the body with the head's frame in place of its first."""
    options = {"fflags": "+bitexact"} | ({} if form.container == "WEBM" else {"movflags": "+faststart"})
    with (
        av.open(io.BytesIO(head)) as source,
        av.open(io.BytesIO(body)) as template,
        av.open(os.fspath(path), "w", format=_format_of(form), container_options=options) as out,
    ):
        out.metadata.update(tags)
        first = next(source.demux(video=0))
        _copy(template, first, out)


def _copy(template: InputContainer, first: av.Packet, out: OutputContainer) -> None:
    streams: dict[int, Any] = {s.index: out.add_stream_from_template(s) for s in template.streams}
    is_first = True
    for packet in template.demux():
        if packet.dts is None:
            continue
        if is_first and packet.stream.type == "video":
            first.pts, first.dts, first.time_base = packet.pts, packet.dts, packet.time_base
            first.duration = packet.duration
            index, packet, is_first = packet.stream.index, first, False
        else:
            index = packet.stream.index
        packet.stream = streams[index]
        out.mux(packet)


def _format_of(form: _Form) -> str:
    return form.container.lower()


def _tags_of(clip: Clip) -> dict[str, str]:
    """Tags that every one of the containers keeps; a tag ends at NUL and is UTF-8."""
    prompt = clip.prompt.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    comment = f"{MARK}, seed {clip.seed}: {prompt}"[:_TAG_CHARACTERS]
    return {"title": MARK, "comment": comment}
