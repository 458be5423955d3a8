"""The format `webdataset`: tar files in which the files of a sample are adjacent and share one key.

A sample consists of its video, a `.json` file with its record and a `.txt` file with its prompt.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wan_assets.dataset import Entry
from wan_assets.export.metadata_rows import json_of
from wan_assets.export.shards import shards_of
from wan_assets.export.source_files import suffix_of, verified_file
from wan_assets.export.splits import SPLITS, Split
from wan_assets.export.statistics import SplitEntries
from wan_assets.export.target import Target
from wan_assets.store import StoredVideo

_KEY_DIGITS = 32


@dataclass(frozen=True, slots=True)
class _Sample:
    """One sample; its record starts at the offset `at` of a temporary file of records."""

    key: str
    video: StoredVideo
    at: int
    length: int
    version: bytes

    @property
    def size(self) -> int:
        return self.video.bytes


def write_webdataset(entries: SplitEntries, target: Target, shard_bytes: int) -> None:
    """Writes new and changed shards."""
    samples: dict[Split, list[_Sample]] = {split: [] for split in SPLITS}
    with tempfile.TemporaryFile() as records:
        for split, entry in entries:
            samples[split].append(_sample_of(entry, records))
        for split, found in samples.items():
            for bits, some in shards_of(found, shard_bytes):
                _put(f"{split}/shard{'-' if bits else ''}{bits}.tar", some, records, target)


def _sample_of(entry: Entry, records: BinaryIO) -> _Sample:
    digest = hashlib.sha256(entry.dataset_row.row.prompt_id.encode()).hexdigest()
    key = f"{digest[:_KEY_DIGITS]}-{entry.number}"
    record = json_of(entry, f"{key}{suffix_of(entry.video)}")
    at = records.tell()
    records.write(record)
    return _Sample(key, entry.video, at, len(record), hashlib.sha256(record).digest())


def _put(name: str, samples: list[_Sample], records: BinaryIO, target: Target) -> None:
    version = hashlib.sha256(b"".join(sample.version for sample in samples)).hexdigest()
    if target.has_version(name, version):
        return
    with target.draft() as path:
        _write(path, samples, records)
        target.put(name, version, path)


def _write(path: Path, samples: list[_Sample], records: BinaryIO) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            records.seek(sample.at)
            record = records.read(sample.length)
            with verified_file(sample.video) as video:
                tar.addfile(_member(f"{sample.key}{suffix_of(sample.video)}", sample.size), video)
            for suffix, content in ((".json", record), (".txt", json.loads(record)["positive_prompt"].encode())):
                tar.addfile(_member(sample.key + suffix, len(content)), io.BytesIO(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Creates a tar member without machine-specific data, so that equal samples produce equal bytes."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member
