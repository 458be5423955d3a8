"""Statistics for the dataset card, counted during the export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from wan_assets.dataset import Entries, Entry
from wan_assets.export.splits import SPLITS, Split, split_of

SplitEntries: TypeAlias = Iterable[tuple[Split, Entry]]

_PROMPTS_SHOWN = 3


@dataclass
class Counts:
    """The number of files of one split, their bytes and their seconds."""

    files: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass
class ExportStatistics:
    """The statistics of all entries so far; sets contain values that are counted once."""

    splits: dict[Split, Counts] = field(default_factory=lambda: {split: Counts() for split in SPLITS})
    models: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    requests: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    seeds: set[int] = field(default_factory=set)
    seeds_reported: int = 0
    seeds_requested: int = 0
    first_stored: str = ""
    last_stored: str = ""
    prompts: list[str] = field(default_factory=list)

    def counting(self, entries: Entries, validation: float) -> Iterator[tuple[Split, Entry]]:
        """Counts each entry and yields it with its split."""
        for entry in entries:
            split = split_of(entry.dataset_row.row_fingerprint, validation)
            self._count(split, entry)
            yield split, entry

    def _count(self, split: Split, entry: Entry) -> None:
        facts, request, stored = entry.video.facts, entry.request, entry.stored
        counts = self.splits[split]
        counts.files += 1
        counts.bytes += entry.video.bytes
        counts.seconds += facts.get("duration_s") or 0
        self.models[request.model] += 1
        self.sizes[f"{facts.get('width')}x{facts.get('height')} {facts.get('container')}"] += 1
        self.requests.add(entry.dataset_row.fingerprint)
        self.tasks.add(stored.task_uuid)
        self.versions.add(stored.package_version)
        if entry.origin and entry.origin.run_id:
            self.runs.add(entry.origin.run_id)
        self._count_seed(entry)
        self.first_stored = min(self.first_stored or stored.stored_at, stored.stored_at)
        self.last_stored = max(self.last_stored, stored.stored_at)
        if len(self.prompts) < _PROMPTS_SHOWN and request.prompt not in self.prompts:
            self.prompts.append(request.prompt)

    def _count_seed(self, entry: Entry) -> None:
        self.seeds_requested += entry.request.seed is not None
        if entry.video.seed is not None:
            self.seeds_reported += 1
            self.seeds.add(entry.video.seed)
