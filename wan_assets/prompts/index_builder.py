"""Collects what an index keeps of each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic_core import to_json

from wan_assets.models import RequestTemplate
from wan_assets.prompts.columns import CAMPAIGN
from wan_assets.prompts.identity import derived_id
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.row_batch import RowBatch, parts_of
from wan_assets.prompts.table import Chunk
from wan_assets.prompts.table_blocks import IndexUnusableError
from wan_assets.prompts.table_index import DIGEST_BYTES, RowColumns, RowGroup

_DERIVED = derived_id("")
_MOST_GROUPS = 20_000
_OWN = ("positivePrompt", "negativePrompt", "seed")


class IndexBuilder:
    """Numbers the groups and the partitions of rows; starts with those of an earlier index."""

    def __init__(self, groups: Sequence[RowGroup] = (), partitions: Sequence[str] = ()) -> None:
        self._groups = {group: number for number, group in enumerate(groups)}
        self._partitions = {key: number for number, key in enumerate(partitions)}
        self._settings: dict[RequestTemplate, str] = {}
        self._shapes: dict[tuple[Any, ...], int] = {}

    @property
    def groups(self) -> tuple[RowGroup, ...]:
        """The groups of all rows so far."""
        return tuple(self._groups)

    @property
    def partitions(self) -> tuple[str, ...]:
        """The partitions of all rows so far."""
        return tuple(self._partitions)

    def columns(self, chunk: Chunk, keys: Sequence[str]) -> RowColumns:
        """Returns the columns of valid rows; `keys` are their partitions, or empty if each row is one.

        Raises `IndexUnusableError` if the rows do not depend on their own records alone: local files, derived ids that
        are repeated, too many groups, or problems.
        """
        if chunk.media or chunk.problems:
            raise IndexUnusableError
        parts = parts_of(chunk.rows)
        groups = [group for part in parts for group in self._groups_of(part)]
        ids = [prompt_id for part in parts for prompt_id in _ids_of(part)]
        fingerprints = b"".join(fingerprint for part in parts for fingerprint in _fingerprints_of(part))
        _refuse_repeated(ids, fingerprints)
        numbers = [self._partitions.setdefault(key, len(self._partitions)) for key in keys] or [0] * len(ids)
        binary = np.frombuffer(fingerprints, np.uint8).reshape(-1, DIGEST_BYTES)
        return RowColumns(pa.array(ids, pa.string()), binary, np.array(groups, np.int32), np.array(numbers, np.int32))

    def _groups_of(self, part: RowBatch | Sequence[PromptRow]) -> Iterator[int]:
        if isinstance(part, RowBatch):
            yield from self._groups_of_batch(part)
        else:
            yield from map(self._group_of, part)

    def _groups_of_batch(self, batch: RowBatch) -> list[int]:
        names = tuple(batch.extra)
        campaigns = batch.extra.get(CAMPAIGN) or repeat("", len(batch))
        given = ([value is not None for value in values] for values in (batch.own[1], batch.normal[2]))
        filled = (map(bool, texts) for texts in batch.extra.values())
        shapes = list(zip(repeat(names, len(batch)), batch.templates, campaigns, *given, *filled, strict=True))
        for shape in set(shapes) - self._shapes.keys():
            _, template, campaign, has_negative, has_seed, *is_filled = shape
            extra = tuple(name for name, is_given in zip(names, is_filled, strict=True) if is_given)
            group = RowGroup(self._settings_of(template), campaign or None, has_negative, has_seed, extra)
            self._shapes[shape] = self._number_of(group)
        return list(map(self._shapes.__getitem__, shapes))

    def _settings_of(self, template: RequestTemplate) -> str:
        if template not in self._settings:
            self._settings[template] = _settings_in(template.request(("A red kite", None, None)).as_written())
        return self._settings[template]

    def _group_of(self, row: PromptRow) -> int:
        given = row.request.as_written()
        has_negative, has_seed = (name in given for name in _OWN[1:])
        campaign = row.extra.get(CAMPAIGN)
        return self._number_of(RowGroup(_settings_in(given), campaign, has_negative, has_seed, tuple(row.extra)))

    def _number_of(self, group: RowGroup) -> int:
        if len(self._groups) >= _MOST_GROUPS:
            raise IndexUnusableError
        return self._groups.setdefault(group, len(self._groups))


def _settings_in(given: dict[str, Any]) -> str:
    return to_json({name: value for name, value in given.items() if name not in _OWN}).decode()


def _ids_of(part: RowBatch | Sequence[PromptRow]) -> Sequence[str]:
    return part.prompt_ids if isinstance(part, RowBatch) else [row.prompt_id for row in part]


def _fingerprints_of(part: RowBatch | Sequence[PromptRow]) -> Sequence[bytes]:
    return part.fingerprints if isinstance(part, RowBatch) else [bytes.fromhex(row.fingerprint) for row in part]


def _refuse_repeated(ids: Sequence[str], fingerprints: bytes) -> None:
    """Refuses derived ids with a suffix, which depend on other rows."""
    for at, prompt_id in enumerate(ids):
        if prompt_id.startswith(_DERIVED):
            start = at * DIGEST_BYTES
            derived = derived_id(fingerprints[start : start + DIGEST_BYTES].hex())
            if prompt_id != derived and prompt_id.startswith(derived):
                raise IndexUnusableError
