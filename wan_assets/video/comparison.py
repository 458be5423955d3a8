"""Comparison of a decoded video with its request, as one sentence for each difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wan_assets.video.properties import LENGTH_TOLERANCE_S, VideoProperties

AUDIO_TOLERANCE_S = 0.3
"""Encoders pad or trim a few hundredths of a second at both ends."""

_FRAME_TOLERANCE = (3, 0.03)
_VIDEO_CODECS = {"MP4": ("h264", "hevc"), "MOV": ("h264", "hevc"), "WEBM": ("vp8", "vp9", "av1")}
_AUDIO_CODECS = {"MP4": ("aac",), "MOV": ("aac",), "WEBM": ("opus", "vorbis")}
_SAME_CODEC = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9", "libopus": "opus"}
"""Decoders whose names differ from the names of their codecs."""


@dataclass(frozen=True)
class Expected:
    """The requested properties; `width` and `height` are None if the request does not determine them.

    In this case, `sizes` are the allowed sizes, or `pixels` is the allowed range of width times height. If the model
    chooses the duration, it is from `duration_s` to `longest_s`.
    """

    container: str
    width: int | None
    height: int | None
    duration_s: float
    has_audio: bool
    pixels: tuple[int, int] | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    longest_s: float | None = None


def mismatches(facts: VideoProperties, expected: Expected) -> tuple[str, ...]:
    """Returns one sentence for each difference between a video and its request."""
    found = (
        _container_mismatch(facts, expected),
        _size_mismatch(facts, expected),
        _length_mismatch(facts, expected),
        _frames_mismatch(facts),
        *audio_mismatches(facts, has_audio=expected.has_audio),
        *_codec_mismatches(facts),
    )
    return tuple(sentence for sentence in found if sentence)


def audio_mismatches(facts: VideoProperties, *, has_audio: bool) -> tuple[str, ...]:
    """Returns one sentence for each audio difference: missing or unexpected audio, or timing unlike the video's."""
    if facts.has_audio != has_audio:
        return ("has audio, requested without audio" if facts.has_audio else "has no audio, requested with audio",)
    return tuple(_audio_timing(facts)) if has_audio else ()


def _audio_timing(facts: VideoProperties) -> Iterator[str]:
    """Compares the start, end and length of the audio with those of the video; skips values not measured."""
    start_s, end_s = facts.audio_start_s, facts.audio_end_s
    if start_s is not None and abs(start_s) > AUDIO_TOLERANCE_S:
        yield f"audio starts {abs(start_s):.2f} s {'after' if start_s > 0 else 'before'} the video"
    end_s = facts.audio_s if end_s is None else end_s
    if end_s is None:
        return
    late_s = end_s - facts.duration_s
    if abs(late_s) > AUDIO_TOLERANCE_S:
        yield f"audio ends {abs(late_s):.2f} s {'after' if late_s > 0 else 'before'} the video"
    span_s = end_s - (start_s or 0.0)
    if facts.audio_s is not None and facts.audio_s < span_s - AUDIO_TOLERANCE_S:
        yield f"audio has gaps: {facts.audio_s:.2f} s of audio in {span_s:.2f} s"


def _container_mismatch(facts: VideoProperties, expected: Expected) -> str:
    if facts.container == expected.container:
        return ""
    return f"container is {facts.container}, requested {expected.container}"


def _size_mismatch(facts: VideoProperties, expected: Expected) -> str:
    requested = (expected.width or facts.width, expected.height or facts.height)
    if (facts.width, facts.height) != requested:
        return f"size is {_by(facts.width, facts.height)}, requested {_by(*requested)}"
    if expected.width is not None and expected.height is not None:
        return ""
    if expected.sizes and (facts.width, facts.height) not in expected.sizes:
        allowed = " or ".join(_by(*size) for size in expected.sizes)
        return f"size is {_by(facts.width, facts.height)}, requested {allowed}"
    low, high = expected.pixels or (0, facts.width * facts.height)
    if low <= facts.width * facts.height <= high:
        return ""
    return f"size is {_by(facts.width, facts.height)}, requested {low} to {high} pixels"


def _length_mismatch(facts: VideoProperties, expected: Expected) -> str:
    longest_s = expected.longest_s or expected.duration_s
    if expected.duration_s - LENGTH_TOLERANCE_S <= facts.duration_s <= longest_s + LENGTH_TOLERANCE_S:
        return ""
    up_to = f" to {longest_s:g}" if longest_s > expected.duration_s else ""
    return f"length is {facts.duration_s:.2f} s, requested {expected.duration_s:g}{up_to} s"


def _frames_mismatch(facts: VideoProperties) -> str:
    due = facts.duration_s * facts.fps
    fixed, share = _FRAME_TOLERANCE
    if abs(facts.frames - due) <= max(fixed, share * due):
        return ""
    return f"has {facts.frames} frames, {facts.duration_s:.2f} s at {facts.fps:g} fps should have {due:.0f}"


def _codec_mismatches(facts: VideoProperties) -> tuple[str, ...]:
    streams = (("video", facts.video_codec, _VIDEO_CODECS), ("audio", facts.audio_codec, _AUDIO_CODECS))
    return tuple(
        f"{kind} codec is {codec}, {facts.container} should have {' or '.join(table[facts.container])}"
        for kind, codec, table in streams
        if codec is not None and _SAME_CODEC.get(codec, codec) not in table.get(facts.container, (codec,))
    )


def _by(width: int, height: int) -> str:
    return f"{width}x{height}"
