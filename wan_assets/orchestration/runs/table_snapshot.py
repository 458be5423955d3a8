"""A whole table that was read, with digests of its requests, and the status of its partitions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from more_itertools import chunked

from wan_assets.orchestration.partitions.data_versions import RecordedVersions
from wan_assets.prompts import PromptRow, Summary

_KEYS_AT_ONCE = 10_000

NO_REQUESTS = "0" * 64
"""The digest of a batch without rows."""


@dataclass(frozen=True)
class TableSnapshot:
    """A whole table: its summary, and a digest of the requests of each partition, in the table's order."""

    summary: Summary
    request_versions: Mapping[str, str]

    @property
    def is_valid(self) -> bool:
        """Whether rows may be submitted: a table with any problem is not submitted."""
        return not self.summary.problem_count

    @property
    def version(self) -> str:
        """A digest of all requests."""
        digest = hashlib.sha256(b"[")
        for at, keys in enumerate(chunked(sorted(self.request_versions), _KEYS_AT_ONCE)):
            digest.update(f"{', ' if at else ''}{_items_of(keys, self.request_versions)}".encode())
        digest.update(b"]")
        return digest.hexdigest()


def _items_of(keys: Sequence[str], values: Mapping[str, str]) -> str:
    """Returns the items as `repr` writes them in a list; keys that need no escapes take half the time."""
    text = "".join(keys)
    if text.isprintable() and "'" not in text and "\\" not in text:
        return ", ".join([f"('{key}', '{values[key]}')" for key in keys])
    return repr([(key, values[key]) for key in keys])[1:-1]


@dataclass(frozen=True)
class PartitionStatus:
    """The requests of each partition, compared with the versions in Dagster's events."""

    request_versions: Mapping[str, str]
    reported: RecordedVersions

    def needs_run(self, key: str) -> bool:
        """Whether a partition has or had rows, and lacks the videos of its current requests."""
        return key in self.request_versions and self.reported.is_outdated(key, self.request_versions[key])


def with_row(before: str, row: PromptRow) -> str:
    """Adds a row to a batch's digest; the order of rows has no effect."""
    return with_content(before, row.prompt_id, row.fingerprint)


def with_content(before: str, prompt_id: str, fingerprint: str, count: int = 1) -> str:
    """Adds a row to a batch's digest, or removes it if `count` is -1."""
    content = int.from_bytes(hashlib.sha256(f"{prompt_id}\n{fingerprint}".encode()).digest())
    return f"{(int(before, 16) + count * content) % 2**256:064x}"
