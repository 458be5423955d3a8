"""What an export is to be: its format, how much of it is for validation, and what its card says."""

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
            raise ValueError(f"format: there is no {self.format!r}; there are {', '.join(FORMATS)}")
        if not 0 <= self.validation <= 1:
            raise ValueError(f"validation: {self.validation} is no share from 0 to 1")
        if self.shard_bytes < 1:
            raise ValueError(f"shard_bytes: {self.shard_bytes} is less than 1")
        if self.links and self.format == "webdataset":
            raise ValueError("links: the shards of a webdataset hold copies; leave it out")
