"""The options of an export: format, share for validation, links, shard size, title and license."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Format = Literal["videofolder", "parquet", "webdataset"]

FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class ExportOptions:
    """One export; raises `ValueError` for options that do not go together.

    `validation` is the share of videos kept for validation, from 0 to 1. With `links`, videos are hard links to the
    store's files where both lie on one disk: whoever changes the one changes the other. A shard holds up to
    `shard_bytes` of videos, unless one alone is larger. `license` is for the card, best as one of the Hub's
    identifiers.
    """

    format: Format
    validation: float = 0.1
    links: bool = False
    shard_bytes: int = 500_000_000
    title: str = "Generated videos"
    license: str = "unknown"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format: {self.format!r} is not supported; choose one of {', '.join(FORMATS)}")
        if not 0 <= self.validation <= 1:
            raise ValueError(f"validation: {self.validation} is not between 0 and 1")
        if self.shard_bytes < 1:
            raise ValueError(f"shard_bytes: {self.shard_bytes} is less than 1")
        if self.links and self.format == "webdataset":
            raise ValueError("links: webdataset shards contain copies; remove this option")
