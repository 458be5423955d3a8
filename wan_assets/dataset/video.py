"""A stored video as an object: its file, its measured properties, and the row that requested it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

from upath import UPath

from wan_assets.errors import VideoNotLocalError
from wan_assets.settings import LOCAL_PROTOCOLS

_LOCAL = (*LOCAL_PROTOCOLS, "local")


@dataclass(frozen=True, repr=False)
class Video:
    """One stored video file, with its measured properties and the row that requested it.

    `load_videos` and the parameters of downstream assets provide videos. A row with `number_results` above 1 has
    several videos. The file is not read before `open`, `local_path` or `path` is used.

    Args:
        uri: Path or URL of the file, as in the metadata `dagster/uri`.
        prompt_id: ID of the row.
        partition: Partition of the videos asset.
        number: Number of the file among the results of its row, from 1.
        prompt: Positive prompt, as submitted.
        row: Values of the row: `prompt_id`, the parameters in snake case, and additional columns as text. Addresses
            lack user, password and query. Additional columns are missing if 0.1.0 materialized the partition.
        width: Width in pixels. None if it was not measured.
        height: Height in pixels. None if it was not measured.
        duration_s: Duration in seconds. None if it was not measured.
        fps: Frames per second. None if it was not measured.
        has_audio: Whether the file has audio. None if it was not measured.
        seed: Seed that the API reported. None if it reported none.
        cost_usd: Cost of the video in US dollars. None if it is unknown. Rows with the same request share one video, so
            that a sum over their videos exceeds the amount in the ledger.
        bytes: Size of the file in bytes.
        sha256: SHA-256 of the file, in hex.
        is_simulated: Whether the simulator rendered the video.
        is_nsfw: Whether the provider flagged the video. None if the content was not checked.
        differences: Descriptions of how the video deviates from its request; empty if it does not.
        task_uuid: UUID of the task.
        video_uuid: UUID of the video at the API.
        facts: All measured properties of the file, by name.
        file: The file in its store, with the options of the store; by default the file at `uri`.

    Example:
        >>> from wan_assets import Video
        >>> video = Video(uri="/srv/videos/kite.mp4", prompt_id="kite", partition="kite", width=854, height=480)
        >>> video.path.name, video.matches_request
        ('kite.mp4', True)
    """

    uri: str
    prompt_id: str
    partition: str
    number: int = 1
    prompt: str = ""
    row: Mapping[str, Any] = field(default_factory=dict, hash=False)
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    fps: float | None = None
    has_audio: bool | None = None
    seed: int | None = None
    cost_usd: Decimal | None = None
    bytes: int = 0
    sha256: str = ""
    is_simulated: bool = False
    is_nsfw: bool | None = None
    differences: tuple[str, ...] = ()
    task_uuid: str = ""
    video_uuid: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    file: UPath | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Video(prompt_id={self.prompt_id!r}, partition={self.partition!r}, uri={self.uri!r})"

    @property
    def is_local(self) -> bool:
        """Whether the file is on this machine."""
        return self._file.protocol in _LOCAL

    @property
    def path(self) -> Path:
        """Path of the file on this machine.

        Raises:
            VideoNotLocalError: The store is a bucket.
        """
        if not self.is_local:
            raise VideoNotLocalError(self.prompt_id, self.uri)
        return Path(self._file.path)

    @property
    def matches_request(self) -> bool:
        """Whether the video has the requested properties."""
        return not self.differences

    @property
    def sidecar(self) -> dict[str, Any]:
        """Content of the JSON file beside the video, read from the store at each access; empty if there is none.

        It describes all files of the task, the request, and the time of the generation.
        """
        try:
            with (self._file.parent / f"{self.task_uuid}.json").open("rb") as sidecar:
                return cast("dict[str, Any]", json.load(sidecar))
        except FileNotFoundError:
            return {}

    def open(self) -> BinaryIO:
        """Opens the file for reading, in a folder or in a bucket.

        Returns:
            A binary file object that can seek, for `with`.

        Raises:
            OSError: The file does not exist, or the store cannot be read.
        """
        return self._file.open("rb")

    @contextmanager
    def local_path(self) -> Iterator[Path]:
        """Provides the file as a path, for `with`.

        A file in a bucket is downloaded to a temporary folder, which is removed afterwards.

        Yields:
            Path of the file, or of its copy. Do not change or move the file.

        Raises:
            OSError: The file does not exist, or the store cannot be read.
        """
        if self.is_local:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="wan-assets-") as folder:
            copy = Path(folder) / self._file.name
            with self.open() as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            yield copy

    @property
    def _file(self) -> UPath:
        return self.file if self.file is not None else UPath(self.uri)
