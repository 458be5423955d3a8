"""The options of an export: format, share for validation, links, shard size, title and license."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from wan_assets.dataset import Only

Format = Literal["videofolder", "parquet", "webdataset"]

FORMATS: tuple[Format, ...] = get_args(Format)
ONLY: tuple[Only, ...] = get_args(Only)


@dataclass(frozen=True)
class ExportOptions:
    """Describes one export.

    Args:
        format: "videofolder", "parquet" or "webdataset".
        validation: Share of videos in the validation split, from 0 to 1.
        links: Whether videos are hard links to the store's files, if both are on one disk. A change of the one file is
            then a change of the other.
        shard_bytes: Maximum size of the videos in a shard, in bytes. A single video may be larger.
        title: Title of the dataset's card.
        license: License on the card, best as an identifier of the Hugging Face Hub.
        only: "approved" exports only videos that are approved. None exports all videos.

    Raises:
        ValueError: A value is not valid, or the options contradict each other.

    Example:
        >>> from wan_assets import ExportOptions
        >>> ExportOptions(format="webdataset", validation=0.2).validation
        0.2
        >>> ExportOptions(format="webdataset", links=True)
        Traceback (most recent call last):
            ...
        ValueError: links: webdataset shards contain copies; remove this option
    """

    format: Format
    validation: float = 0.1
    links: bool = False
    shard_bytes: int = 500_000_000
    title: str = "Generated videos"
    license: str = "unknown"
    only: Only | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format: {self.format!r} is not supported; choose one of {', '.join(FORMATS)}")
        if self.only not in (None, *ONLY):
            raise ValueError(f"only: {self.only!r} is not supported; choose {', '.join(ONLY)}, or leave it out")
        if not 0 <= self.validation <= 1:
            raise ValueError(f"validation: {self.validation} is not between 0 and 1")
        if self.shard_bytes < 1:
            raise ValueError(f"shard_bytes: {self.shard_bytes} is less than 1")
        if self.links and self.format == "webdataset":
            raise ValueError("links: webdataset shards contain copies; remove this option")
