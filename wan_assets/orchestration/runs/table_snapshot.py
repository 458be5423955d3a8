"""A whole table that was read, with digests of its requests, and the status of its partitions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from wan_assets.orchestration.partitions.data_versions import RecordedVersions
from wan_assets.prompts import PromptRow, Summary

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
        return hashlib.sha256(repr(sorted(self.request_versions.items())).encode()).hexdigest()


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
    added = hashlib.sha256(f"{row.prompt_id}\n{row.fingerprint}".encode()).digest()
    return f"{(int(before, 16) + int.from_bytes(added)) % 2**256:064x}"
