"""Assigns each prompt row to a partition: by its date, shard or campaign, or by a user's function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias

import dagster as dg

from wan_assets.errors import PromptTableError
from wan_assets.orchestration.partitions.keys import CheckKey, check_of, window_of, zone_of
from wan_assets.prompts import Chunk, Problem, PromptRow, Refusal

PartitionOf: TypeAlias = Callable[[PromptRow], str]

_DATES_KEPT = 10_000
_ERRORS_OF_FUNCTIONS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class NoPartitionError(PromptTableError):
    """A row belongs to no partition that can ever be materialized; `problem` is the reason."""

    def __init__(self, row: PromptRow, column: str, value: object, refusal: Refusal) -> None:
        line, prompt_id, file = row.line, row.prompt_id, row.file
        self.problem = Problem.of(
            refusal, row=row.number, line=line, prompt_id=prompt_id, column=column, value=value, file=file
        )
        found = f"{self.problem.value} " if self.problem.value else ""
        super().__init__(f"row {row.number} ({prompt_id}): {found}{self.problem.rule}; {self.problem.fix}")


class Assigned(NamedTuple):
    """A chunk in which rows without a valid partition are problems; its rows, and the partition key of each."""

    chunk: Chunk
    rows: Sequence[PromptRow]
    keys: Sequence[str]


def assign_partitions(chunk: Chunk, partition_of: PartitionOf) -> Assigned:
    """Returns the rows of a chunk with their partitions."""
    rows: list[PromptRow] = []
    keys: list[str] = []
    problems: list[Problem] = []
    for row in chunk.rows:
        try:
            keys.append(partition_of(row))
            rows.append(row)
        except NoPartitionError as error:
            problems.append(error.problem)
    if problems:
        chunk = replace(chunk, rows=tuple(rows), problems=(*chunk.problems, *problems))
    return Assigned(chunk, rows, keys)


def shard_of(prompt_id: str, shards: Sequence[str]) -> str:
    """Returns the shard of a row, determined by its ID alone: it does not change when other rows are added or removed.

    >>> shard_of("kite", ["a", "b", "c"]) in ("a", "b", "c")
    True
    """
    number = int.from_bytes(hashlib.sha256(prompt_id.encode()).digest()[:8])
    return shards[number % len(shards)]


def partition_of(partitions_def: dg.PartitionsDefinition[str]) -> PartitionOf:
    """Returns the function that assigns rows to the partitions of a definition.

    Time windows use the column `date`, static partitions `shard` or else `shard_of`, dynamic ones `campaign`, and
    multi-partitions the columns of each dimension. The function raises `NoPartitionError` for a row whose partition can
    never be materialized. Raises `ValueError` for a definition of another kind, or of an unknown time zone.
    """
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        dimensions = {part.name: partition_of(part.partitions_def) for part in partitions_def.partitions_defs}
        return _Checked(partial(_combined, dimensions), check_of(partitions_def), "")
    if isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        window = lru_cache(_DATES_KEPT)(partial(window_of, partitions_def, zone_of(partitions_def.timezone)))
        return _Checked(partial(_window_of, window), check_of(partitions_def), "date")
    if isinstance(partitions_def, dg.StaticPartitionsDefinition):
        keys = tuple(partitions_def.get_partition_keys())
        return _Checked(partial(_static_of, keys), check_of(partitions_def), "shard")
    if isinstance(partitions_def, dg.DynamicPartitionsDefinition):
        return _Checked(partial(_column, "campaign"), check_of(partitions_def), "campaign")
    kind = type(partitions_def).__name__
    raise ValueError(f"rows cannot be assigned to a {kind} automatically: give `partition_key_of`")


def partition_key_by(partition_key_of: PartitionOf, partitions_def: dg.PartitionsDefinition[str]) -> PartitionOf:
    """Returns a user's function with its keys checked as in `partition_of`."""
    return _Checked(partial(_checked_result, partition_key_of), check_of(partitions_def), "")


class _Checked:
    """A `PartitionOf` whose keys are checked; `column` is the source of the key."""

    def __init__(self, key_of: PartitionOf, check: CheckKey, column: str) -> None:
        self._key_of = key_of
        self._check = check
        self._column = column

    def __call__(self, row: PromptRow) -> str:
        key = self._key_of(row)
        if refusal := self._check(key):
            value = row.extra.get(self._column, key) if self._column else key
            raise NoPartitionError(row, self._column, value, refusal)
        return key


def _combined(dimensions: dict[str, PartitionOf], row: PromptRow) -> str:
    return dg.MultiPartitionKey({name: part(row) for name, part in dimensions.items()})


def _checked_result(partition_key_of: PartitionOf, row: PromptRow) -> str:
    try:
        key = partition_key_of(row)
    except _ERRORS_OF_FUNCTIONS as error:
        rule = f"has no partition: partition_key_of raises {type(error).__name__}: {error}"
        raise NoPartitionError(row, "", None, Refusal(rule, "correct the row, or the function")) from error
    if isinstance(key, str):
        return key
    rule = f"has no partition: partition_key_of returns {type(key).__name__}"
    raise NoPartitionError(row, "", None, Refusal(rule, "return a partition key as text"))


def _window_of(window: Callable[[str], str | Refusal], row: PromptRow) -> str:
    text = _column("date", row)
    found = window(text)
    if isinstance(found, Refusal):
        raise NoPartitionError(row, "date", text, found)
    return found


def _static_of(keys: tuple[str, ...], row: PromptRow) -> str:
    return row.extra.get("shard", "").strip() or (shard_of(row.prompt_id, keys) if keys else "")


def _column(name: str, row: PromptRow) -> str:
    text = row.extra.get(name, "").strip()
    if not text:
        refusal = Refusal(f"has no {name}, which determines its partition", f"fill in the column {name}")
        raise NoPartitionError(row, name, None, refusal)
    return text
