"""The summary of a prompt table: counts, problems and prices, computed chunk by chunk with bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import Self

from wan_assets.models import FINGERPRINT_BYTES
from wan_assets.prompts.column_types import ColumnTypes
from wan_assets.prompts.column_use import ColumnUse
from wan_assets.prompts.columns import CAMPAIGN
from wan_assets.prompts.findings import Findings
from wan_assets.prompts.price_list import PriceList
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.row_batch import RowBatch, parts_of
from wan_assets.prompts.row_tags import tag_text
from wan_assets.prompts.table import Chunk

FIRST_ROWS = 20


@dataclass
class Summary:
    """Counts, problems and prices of the chunks added so far.

    `source_rows` is the number of rows in the source, from which variants make more. Equal requests are priced once.
    `prices` has the prices by kind and campaign. `findings` are the problems by kind. `columns` tells how the columns
    are used, and `first` are the first valid rows. `distinct_before` is the number of different requests that were
    counted without their fingerprints.
    """

    rows: int = 0
    source_rows: int = 0
    valid: int = 0
    findings: Findings = field(default_factory=Findings)
    columns: ColumnUse = field(default_factory=ColumnUse)
    fingerprints: set[bytes] = field(default_factory=set)
    prices: PriceList = field(default_factory=PriceList)
    first: list[PromptRow] = field(default_factory=list)
    distinct_before: int = 0
    _types: ColumnTypes = field(default_factory=ColumnTypes)

    @property
    def problem_count(self) -> int:
        """The number of all problems."""
        return self.findings.count

    @property
    def distinct_requests(self) -> int:
        """The number of different requests."""
        return self.distinct_before + len(self.fingerprints)

    @property
    def types(self) -> Mapping[str, str]:
        """The types by name of the first 1,000 columns that valid rows use."""
        return self._types.by_name

    @classmethod
    def of(cls, chunks: Iterable[Chunk], prices: PriceList | None = None) -> Self:
        """Summarizes all chunks of a table; `prices` knows the requests that are paid already."""
        summary = cls(prices=prices or PriceList())
        for chunk in chunks:
            summary.add(chunk)
        return summary

    def add(self, chunk: Chunk) -> None:
        """Adds the rows of the next chunk."""
        self.rows += chunk.row_count
        self.source_rows += chunk.source_rows
        self.valid += len(chunk.rows)
        self.findings.add(chunk.problems)
        self.columns |= chunk.columns
        self.first += islice(chunk.rows, FIRST_ROWS - len(self.first))
        for part in parts_of(chunk.rows):
            self._types.add(part)
            if isinstance(part, RowBatch):
                self._add_batch(part)
            else:
                self._add_rows(part)

    def add_types(self, rows: Iterable[PromptRow]) -> None:
        """Adds the columns of rows, which are counted otherwise."""
        self._types.add(rows)

    def _add_rows(self, rows: Iterable[PromptRow]) -> None:
        for row in rows:
            fingerprint = bytes.fromhex(row.fingerprint)[:FINGERPRINT_BYTES]
            if fingerprint not in self.fingerprints:
                self.fingerprints.add(fingerprint)
                tags = self._tags_of(row.extra.get(name, "") for name in self.prices.tag_names)
                new = fingerprint not in self.prices.paid
                self.prices.add(row.request, row.extra.get(CAMPAIGN), new=new, tags=tags)

    def _add_batch(self, batch: RowBatch) -> None:
        """Adds rows in columns: the requests that are new, counted by template, campaign, tags, and whether they are
        paid.
        """
        fingerprints = [fingerprint[:FINGERPRINT_BYTES] for fingerprint in batch.fingerprints]
        first = dict(zip(reversed(fingerprints), reversed(range(len(fingerprints))), strict=True))
        for known in self.fingerprints.intersection(first):
            del first[known]
        self.fingerprints.update(first)
        names = (CAMPAIGN, *self.prices.tag_names)
        columns = (batch.extra.get(name) or repeat("", len(batch)) for name in names)
        groups = list(zip(batch.templates, *columns, strict=True))
        paid = Counter(groups[first[fingerprint]] for fingerprint in self.prices.paid.intersection(first))
        for group, count in Counter(map(groups.__getitem__, first.values())).items():
            template, campaign, *tags = group
            new = count - paid[group]
            self.prices.add(template.example, campaign or None, count=count, new=new, tags=self._tags_of(tags))

    def _tags_of(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Returns texts of columns by which budgets count, as the ledger records them."""
        return tuple(map(tag_text, self.prices.tag_names, texts))
