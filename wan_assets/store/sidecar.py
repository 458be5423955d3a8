"""The sidecar: a JSON file that describes one stored task and its video files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from upath import UPath

MAX_SIDECAR_BYTES = 64 << 20
"""A request may contain an inline image."""

_MAX_POSTER_CHARACTERS = 65_536
_MAX_NAME_CHARACTERS = 255

_Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Long = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Money = Annotated[int, Field(ge=-(10**15), le=10**15)]
_Number = Annotated[float, Field(ge=-1e9, le=1e9)]


def _iso_time(value: str) -> str:
    datetime.fromisoformat(value)
    return value


@dataclass(frozen=True)
class _Facts:
    """The types of the facts that other modules use in calculations; an older sidecar may lack any of them."""

    container: str | None = None
    video_codec: str | None = None
    width: _Count | None = None
    height: _Count | None = None
    duration_s: _Number | None = None
    fps: _Number | None = None
    frames: _Long | None = None
    audio_codec: str | None = None
    audio_s: _Number | None = None
    brightest_luma: _Number | None = None
    change_luma: _Number | None = None
    audio_peak: _Number | None = None
    audio_start_s: _Number | None = None
    audio_end_s: _Number | None = None


@dataclass(frozen=True)
class _VideoWithFacts:
    facts: _Facts


@dataclass(frozen=True)
class _TaskWithFacts:
    videos: tuple[_VideoWithFacts, ...]


@dataclass(frozen=True)
class StoredVideo:
    """One file in the store.

    `cost_microusd` is None if the API did not report the cost. `facts` are the measured properties of the file.
    `differences` describes how the video deviates from its request, and is empty if it does not.
    """

    uri: str
    bytes: _Long
    sha256: str
    video_uuid: str
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None
    cost_microusd: _Money | None
    is_nsfw: bool | None
    facts: Mapping[str, Any]
    poster: Annotated[str, Field(max_length=_MAX_POSTER_CHARACTERS)]
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredTask:
    """All files of one task, as its sidecar describes them; `missing` are the errors of failed results."""

    task_uuid: str
    fingerprint: str
    is_simulated: bool
    prompt: str
    videos: tuple[StoredVideo, ...]
    missing: tuple[str, ...]
    reserved_microusd: _Money
    generation_s: _Number
    stored_at: Annotated[str, AfterValidator(_iso_time)]
    request: Mapping[str, Any]
    package_version: str

    @property
    def cost_microusd(self) -> int | None:
        """The cost of all results in µ$, or None if any cost is unknown."""
        costs = [video.cost_microusd for video in self.videos]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) and not self.missing else None

    @property
    def differences(self) -> tuple[str, ...]:
        """Descriptions of how the videos deviate from the request, numbered if there are several videos."""
        is_alone = len(self.videos) == 1
        of_videos = (
            difference if is_alone else f"video {number} {difference}"
            for number, video in enumerate(self.videos, 1)
            for difference in video.differences
        )
        results = len(self.videos) + len(self.missing)
        lacking = (f"{len(self.missing)} of {results} results are missing",) if self.missing else ()
        return (*of_videos, *lacking)


def as_json(task: StoredTask) -> dict[str, Any]:
    """Converts a task to the content of its sidecar."""
    return asdict(task)


def from_json(content: bytes, folder: UPath) -> StoredTask:
    """Reads a sidecar. Its videos are in the same folder, even if the store has been moved since.

    Raises `ValueError` with a one-line message if the content is not a sidecar.
    """
    if len(content) > MAX_SIDECAR_BYTES:
        raise ValueError(f"it has more than {MAX_SIDECAR_BYTES:,} bytes")
    try:
        task = _TASK.validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(_reason_of(error)) from None
    unusable = _unusable_facts(content)
    videos = (_with_local_uri(video, folder, unusable.get(number, set())) for number, video in enumerate(task.videos))
    return replace(task, videos=tuple(videos))


def _unusable_facts(content: bytes) -> dict[int, set[str]]:
    """Returns the facts with invalid values by the index of their video; they are treated as missing."""
    found: dict[int, set[str]] = {}
    try:
        _WITH_FACTS.validate_json(content, strict=True)
    except ValidationError as error:
        for _, number, _, name in (each["loc"][:4] for each in error.errors(include_url=False, include_input=False)):
            found.setdefault(int(number), set()).add(str(name))
    return found


def _with_local_uri(video: StoredVideo, folder: UPath, unusable: set[str]) -> StoredVideo:
    name = video.uri.rpartition("/")[2]
    if name in ("", ".", "..") or len(name) > _MAX_NAME_CHARACTERS or not name.isprintable():
        raise ValueError("uri: its last part is not a file name")
    facts = {fact: value for fact, value in video.facts.items() if fact not in unusable}
    return replace(video, uri=str(folder / name), facts=facts)


def _reason_of(error: ValidationError) -> str:
    """Describes the first error without the content, which may be long and is not trusted."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))[:100]
    return f"{place}: {first['msg'][:100]}" if place else first["msg"][:100]


_TASK, _WITH_FACTS = TypeAdapter(StoredTask), TypeAdapter(_TaskWithFacts)
