"""The manifest's columns, each declared here alone: its name, type and meaning, and where its value comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from wan_assets.dataset.entries import Entry
from wan_assets.models import AlibabaSettings, Safety, public_part_of, usd

_LONGEST_NAME = 100
"""Text longer than this is a picture itself, not a name of one."""


@dataclass(frozen=True)
class Column:
    """One column; `asked` names the prompt table's columns that it comes from, None where it comes from the videos."""

    name: str
    type: pa.DataType
    description: str
    value: Callable[[Entry], Any]
    asked: tuple[str, ...] | None = None


def _asked(name: str, type_: pa.DataType, description: str, parameter: str = "") -> Column:
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


def _settings(entry: Entry) -> AlibabaSettings:
    provider = entry.request.provider_settings
    return (provider.alibaba if provider else None) or AlibabaSettings()


def _safety(entry: Entry) -> Safety:
    return entry.request.safety or Safety()


def _named(media: str | None) -> str | None:
    """A picture or sound by its name: inline ones by their hash, URLs without what may be a secret."""
    if media is None or media.startswith("sha256:"):
        return media
    if "://" in media:
        return public_part_of(media)
    return f"sha256:{hashlib.sha256(media.encode()).hexdigest()}" if len(media) > _LONGEST_NAME else media


def _money(microusd: int | None) -> Decimal | None:
    return None if microusd is None else usd(microusd)


def _extra(entry: Entry) -> str:
    return json.dumps(dict(entry.dataset_row.row.extra), ensure_ascii=False, sort_keys=True)


_TEXT, _YES, _INT, _LONG, _FLOAT = pa.string(), pa.bool_(), pa.int32(), pa.int64(), pa.float64()
_USD = pa.decimal128(18, 6)
_SIZE = ("resolution", "width", "height")
_ALIBABA = "provider_settings.alibaba"

COLUMNS = (
    Column(
        "prompt_id",
        _TEXT,
        "The row's id in the prompt table.",
        lambda entry: entry.dataset_row.row.prompt_id,
        ("prompt_id",),
    ),
    Column("result", _INT, "The file's number among those of its row, from 1.", lambda entry: entry.number),
    Column(
        "row", _LONG, "The row's number in the prompt table, from 1.", lambda entry: entry.dataset_row.row.number, ()
    ),
    _asked("model", _TEXT, "The model that was asked."),
    _asked("positive_prompt", _TEXT, "What the video was to show."),
    _asked("negative_prompt", _TEXT, "What it was not to show."),
    _asked("requested_width", _INT, "Width asked for in pixels; null where resolution or picture decide.", "width"),
    _asked("requested_height", _INT, "Height asked for in pixels; null where resolution or picture decide.", "height"),
    Column(
        "resolution",
        _TEXT,
        "480p, 720p or 1080p, as asked for or as the size has it; null where the picture decides.",
        lambda entry: entry.request.tier,
        _SIZE,
    ),
    _asked("requested_duration_s", _INT, "Length asked for in seconds.", "duration"),
    _asked("requested_seed", _LONG, "Seed asked for; null where it was left to the model.", "seed"),
    _asked("number_results", _INT, "Videos asked for by the row."),
    _asked("output_format", _TEXT, "Container asked for: MP4, WEBM or MOV."),
    _asked("output_quality", _INT, "Quality asked for, 20 to 99."),
    Column(
        "image",
        _TEXT,
        "The picture the video starts from: UUID, URL without query, or hash of a local or inline one.",
        lambda entry: _named(entry.request.image),
        ("inputs.frame_images",),
    ),
    Column(
        "audio",
        _TEXT,
        "The sound the video was to go with: UUID, URL without query, or hash of a local one.",
        lambda entry: _named(entry.request.audio),
        ("inputs.audio",),
    ),
    Column(
        "requested_audio",
        _YES,
        "Whether a sound track was asked for.",
        lambda entry: entry.request.has_audio,
        ("inputs.audio", f"{_ALIBABA}.audio"),
    ),
    Column(
        "prompt_extend",
        _YES,
        "Whether the provider might extend the prompt.",
        lambda entry: _settings(entry).prompt_extend is not False,
        (f"{_ALIBABA}.prompt_extend",),
    ),
    Column(
        "safety_mode",
        _TEXT,
        "Mode of the content check: none, fast or full; null where not given.",
        lambda entry: _safety(entry).mode,
        ("safety.mode",),
    ),
    Column(
        "check_content",
        _YES,
        "Whether the content was to be checked; null where not given.",
        lambda entry: _safety(entry).check_content,
        ("safety.check_content",),
    ),
    _fact("container", _TEXT, "Container found: MP4, WEBM, MOV or MATROSKA."),
    _fact("width", _INT, "Width found in pixels."),
    _fact("height", _INT, "Height found in pixels."),
    _fact("fps", _FLOAT, "Frames a second."),
    _fact("frames", _LONG, "Frames decoded."),
    _fact("duration_s", _FLOAT, "Length found in seconds."),
    _fact("video_codec", _TEXT, "Codec of the picture."),
    Column("has_audio", _YES, "Whether there is a sound track.", _has_audio),
    _fact("audio_codec", _TEXT, "Codec of the sound; null without sound."),
    _fact("audio_s", _FLOAT, "Length of the sound in seconds; null without sound."),
    _fact("audio_start_s", _FLOAT, "Seconds from the first frame to the sound; null without sound or not measured."),
    _fact("audio_end_s", _FLOAT, "Seconds from the first frame to the end of the sound; null as above."),
    _fact("brightest_luma", _FLOAT, "Brightest spot of the looked-at frames, 0 to 255; null where not measured."),
    _fact("change_luma", _FLOAT, "Largest change against the first frame, 0 to 255; null where not measured."),
    _fact("audio_peak", _FLOAT, "Loudest moment as a share of full scale; null where not measured."),
    Column(
        "cost_usd",
        _USD,
        "Cost in dollars, null where unknown; 0 where an earlier row has the same video, so that sums count it once.",
        lambda entry: _money(entry.cost_microusd),
    ),
    Column(
        "reserved_usd",
        _USD,
        "Dollars still reserved for the task's unknown cost, told with its first file alone.",
        lambda entry: _money(entry.reserved_microusd),
    ),
    Column("task_uuid", _TEXT, "The task that made the video.", lambda entry: entry.stored.task_uuid),
    _video("video_uuid", _TEXT, "The API's UUID of the video."),
    _video("seed", _LONG, "The seed that was used; null where the API did not tell."),
    Column("fingerprint", _TEXT, "Hash of all that decides the picture.", lambda entry: entry.dataset_row.fingerprint),
    _origin("run_id", "The Dagster run that bought the video; null where the ledger does not have the task."),
    _origin("asset", "The asset it was bought for."),
    _origin("partition", "The partition it was bought for."),
    Column(
        "stored_at",
        pa.timestamp("us", tz="UTC"),
        "When the video was stored.",
        lambda entry: datetime.fromisoformat(entry.stored.stored_at),
    ),
    Column("generation_s", _FLOAT, "Seconds from sending to the result.", lambda entry: entry.stored.generation_s),
    _video("sha256", _TEXT, "SHA-256 of the file."),
    _video("bytes", _LONG, "Size of the file."),
    _video("uri", _TEXT, "Where the file lies."),
    _video("is_nsfw", _YES, "Whether the provider flagged it; null where it was not asked to look."),
    Column(
        "matches_request",
        _YES,
        "Whether the video has the container, codecs, size, length and audio that were requested.",
        lambda entry: not entry.video.differences,
    ),
    Column(
        "differences",
        _TEXT,
        "How the video deviates from the request; null where it does not.",
        lambda entry: "; ".join(entry.video.differences) or None,
    ),
    Column("is_simulated", _YES, "Whether the simulator made it.", lambda entry: entry.stored.is_simulated),
    Column("extra", _TEXT, "What the row carried along, as a JSON object of texts.", _extra, ()),
)

SCHEMA = pa.schema(
    [pa.field(column.name, column.type, metadata={"description": column.description}) for column in COLUMNS]
)
"""The manifest's schema, with a `description` in each field's metadata."""
