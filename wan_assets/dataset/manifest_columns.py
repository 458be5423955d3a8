"""The columns of the manifest."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from wan_assets.dataset.column import Column
from wan_assets.dataset.decision_columns import DECISION_COLUMNS
from wan_assets.dataset.entries import Entry
from wan_assets.models import AUTO, LISTS_OF_MEDIA, Safety, VideoRequest, public_part_of, usd

_MAX_IDENTIFIER_CHARACTERS = 100
"""Longer text is an inline image and not an identifier."""


def _requested(name: str, type_: pa.DataType, description: str, parameter: str = "") -> Column:
    parameter = parameter or name
    return Column(name, type_, description, lambda entry: getattr(entry.request, parameter), (parameter,))


def _fact(name: str, type_: pa.DataType, description: str) -> Column:
    return Column(name, type_, description, lambda entry: entry.video.facts.get(name))


def _video(name: str, type_: pa.DataType, description: str) -> Column:
    return Column(name, type_, description, lambda entry: getattr(entry.video, name))


def _origin(name: str, description: str) -> Column:
    return Column(name, pa.string(), description, lambda entry: entry.origin and getattr(entry.origin, name))


def _has_audio(entry: Entry) -> bool | None:
    facts = entry.video.facts
    return facts["audio_codec"] is not None if "audio_codec" in facts else None


def _safety(entry: Entry) -> Safety:
    return entry.request.safety or Safety()


def _media_identifier(media: str | None) -> str | None:
    """Identifies an image or audio input: inline content by its hash, a URL without parts that may be secret."""
    if media is None or media.startswith("sha256:"):
        return media
    if "://" in media:
        return public_part_of(media)
    return f"sha256:{hashlib.sha256(media.encode()).hexdigest()}" if len(media) > _MAX_IDENTIFIER_CHARACTERS else media


def _references(request: VideoRequest) -> str | None:
    found: dict[str, list[str | None]] = {}
    for name, media in request.media:
        if name in LISTS_OF_MEDIA:
            found.setdefault(name, []).append(_media_identifier(media))
    return json.dumps(found, ensure_ascii=False) if found else None


def _money(microusd: int | None) -> Decimal | None:
    return None if microusd is None else usd(microusd)


def _extra(entry: Entry) -> str:
    return json.dumps(dict(entry.dataset_row.row.extra), ensure_ascii=False, sort_keys=True)


def _checks(entry: Entry) -> str | None:
    found = {each.check_name: _check_values(each.passed, each.score, each.message) for each in entry.checks}
    return json.dumps(found, ensure_ascii=False, sort_keys=True) if found else None


def _check_values(passed: bool | None, score: float | None, message: str) -> dict[str, Any]:
    optional = {name: value for name, value in (("score", score), ("message", message)) if value not in (None, "")}
    return {"passed": passed, **optional}


_TEXT, _BOOL, _INT, _LONG, _FLOAT = pa.string(), pa.bool_(), pa.int32(), pa.int64(), pa.float64()
_USD = pa.decimal128(18, 6)
_SIZE = ("resolution", "width", "height")
_ALIBABA = "provider_settings.alibaba"

COLUMNS = (
    Column(
        "prompt_id",
        _TEXT,
        "ID of the row in the prompt table.",
        lambda entry: entry.dataset_row.row.prompt_id,
        ("prompt_id",),
    ),
    Column("result", _INT, "Number of the file among the results of its row, from 1.", lambda entry: entry.number),
    Column(
        "row", _LONG, "Number of the row in the prompt table, from 1.", lambda entry: entry.dataset_row.row.number, ()
    ),
    _requested("model", _TEXT, "Requested model."),
    _requested("positive_prompt", _TEXT, "Prompt: what the video should show."),
    _requested("negative_prompt", _TEXT, "Negative prompt: what the video should not show."),
    _requested(
        "requested_width",
        _INT,
        "Requested width in pixels; null if the resolution or the image determines it.",
        "width",
    ),
    _requested(
        "requested_height",
        _INT,
        "Requested height in pixels; null if the resolution or the image determines it.",
        "height",
    ),
    Column(
        "resolution",
        _TEXT,
        "480p, 720p or 1080p, as requested or derived from the size; null if the image determines it.",
        lambda entry: entry.request.tier,
        _SIZE,
    ),
    Column(
        "requested_duration_s",
        _INT,
        "Requested duration in seconds; null if the model chooses it.",
        lambda entry: None if entry.request.duration == AUTO else entry.request.duration,
        ("duration",),
    ),
    _requested("requested_seed", _LONG, "Requested seed; null if the model chose it.", "seed"),
    _requested("number_results", _INT, "Number of videos that the row requests."),
    _requested("output_format", _TEXT, "Requested container: MP4, WEBM or MOV."),
    _requested("output_quality", _INT, "Requested quality, 20 to 99."),
    Column(
        "image",
        _TEXT,
        "Input image, of the first frame if two are given: UUID, URL without query, or hash of a local or inline "
        "image.",
        lambda entry: _media_identifier(entry.request.image),
        ("inputs.frame_images",),
    ),
    Column(
        "audio",
        _TEXT,
        "Input audio: UUID, URL without query, or hash of a local file.",
        lambda entry: _media_identifier(entry.request.audio),
        ("inputs.audio",),
    ),
    Column(
        "last_image",
        _TEXT,
        "Input image of the last frame, if two are given, in the same form.",
        lambda entry: _media_identifier(entry.request.frames.get("last")) if len(entry.request.frames) > 1 else None,
        ("inputs.frame_images",),
    ),
    Column(
        "references",
        _TEXT,
        "Reference images, videos and audio files, documents and web pages, as a JSON object of lists; null without "
        "any.",
        lambda entry: _references(entry.request),
        tuple(f"inputs.{name}" for name in LISTS_OF_MEDIA),
    ),
    Column(
        "requested_audio",
        _BOOL,
        "Whether audio was requested.",
        lambda entry: entry.request.has_audio,
        ("inputs.audio", f"{_ALIBABA}.audio"),
    ),
    Column(
        "prompt_extend",
        _BOOL,
        "Whether the provider was allowed to extend the prompt.",
        lambda entry: entry.request.settings.prompt_extend is not False,
        (f"{_ALIBABA}.prompt_extend",),
    ),
    Column(
        "shot_type",
        _TEXT,
        "Requested type of shots: single or multi; null if not set.",
        lambda entry: entry.request.settings.shot_type,
        (f"{_ALIBABA}.shot_type",),
    ),
    Column(
        "safety_mode",
        _TEXT,
        "Requested mode of the content check: none, fast or full; null if not set.",
        lambda entry: _safety(entry).mode,
        ("safety.mode",),
    ),
    Column(
        "check_content",
        _BOOL,
        "Whether a content check was requested; null if not set.",
        lambda entry: _safety(entry).check_content,
        ("safety.check_content",),
    ),
    _fact("container", _TEXT, "Container of the file: MP4, WEBM, MOV or MATROSKA."),
    _fact("width", _INT, "Width of the video in pixels."),
    _fact("height", _INT, "Height of the video in pixels."),
    _fact("fps", _FLOAT, "Frames per second."),
    _fact("frames", _LONG, "Number of decoded frames."),
    _fact("duration_s", _FLOAT, "Duration of the video in seconds."),
    _fact("video_codec", _TEXT, "Video codec."),
    Column("has_audio", _BOOL, "Whether the file has audio.", _has_audio),
    _fact("audio_codec", _TEXT, "Audio codec; null without audio."),
    _fact("audio_s", _FLOAT, "Duration of the audio in seconds; null without audio."),
    _fact(
        "audio_start_s",
        _FLOAT,
        "Start of the audio in seconds after the first frame; null without audio or if not measured.",
    ),
    _fact(
        "audio_end_s",
        _FLOAT,
        "End of the audio in seconds after the first frame; null without audio or if not measured.",
    ),
    _fact(
        "brightest_luma", _FLOAT, "Luma of the brightest spot in the measured frames, 0 to 255; null if not measured."
    ),
    _fact("change_luma", _FLOAT, "Largest luma difference from the first frame, 0 to 255; null if not measured."),
    _fact("audio_peak", _FLOAT, "Audio peak as a fraction of full scale, 0 to 1; null if not measured."),
    Column(
        "cost_usd",
        _USD,
        "Cost in dollars; null if unknown; 0 if an earlier row has the same video, so that a sum counts it once.",
        lambda entry: _money(entry.cost_microusd),
    ),
    Column(
        "reserved_usd",
        _USD,
        "Dollars still reserved for the unknown cost of the task; only in the row of its first file.",
        lambda entry: _money(entry.reserved_microusd),
    ),
    Column("task_uuid", _TEXT, "UUID of the task that generated the video.", lambda entry: entry.stored.task_uuid),
    _video("video_uuid", _TEXT, "UUID of the video in the API."),
    _video("seed", _LONG, "Seed of the video; null if the API did not report it."),
    Column(
        "fingerprint",
        _TEXT,
        "Hash of all parameters that determine the video.",
        lambda entry: entry.dataset_row.fingerprint,
    ),
    _origin("run_id", "Dagster run that paid for the video; null if the ledger does not contain the task."),
    _origin("asset", "Asset for which the video was generated."),
    _origin("partition", "Partition for which the video was generated."),
    Column(
        "stored_at",
        pa.timestamp("us", tz="UTC"),
        "Time at which the video was stored.",
        lambda entry: datetime.fromisoformat(entry.stored.stored_at),
    ),
    Column(
        "generation_s", _FLOAT, "Seconds from the submission to the result.", lambda entry: entry.stored.generation_s
    ),
    _video("sha256", _TEXT, "SHA-256 of the file."),
    _video("bytes", _LONG, "Size of the file in bytes."),
    _video("uri", _TEXT, "Location of the file."),
    _video("is_nsfw", _BOOL, "Whether the provider flagged the video as NSFW; null if no check was requested."),
    Column(
        "matches_request",
        _BOOL,
        "Whether the video has the container, codecs, size, length and audio that were requested.",
        lambda entry: not entry.video.differences,
    ),
    Column(
        "differences",
        _TEXT,
        "How the video deviates from the request; null if it does not.",
        lambda entry: "; ".join(entry.video.differences) or None,
    ),
    Column(
        "is_simulated", _BOOL, "Whether the simulator generated the video.", lambda entry: entry.stored.is_simulated
    ),
    Column(
        "checks",
        _TEXT,
        "Results of checks that users define, as a JSON object by name: passed, score and message; null without any.",
        _checks,
    ),
    *DECISION_COLUMNS,
    Column("extra", _TEXT, "Extra columns of the row, as a JSON object of text values.", _extra, ()),
)

SCHEMA = pa.schema(
    [pa.field(column.name, column.type, metadata={"description": column.description}) for column in COLUMNS]
)
"""The manifest's schema, with a `description` in each field's metadata."""
