"""Estimates what partitions still cost that open runs and backfills are to make, from those made so far."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from wan_assets.ledger.budget import Counter
from wan_assets.ledger.budget_history import partition_amounts

_ALL = Counter("total")


@dataclass(frozen=True)
class OpenPartitions:
    """The partitions of an asset that are still to be made.

    `made` is the number of other partitions, whose mean is the expected cost of a partition. `needed_microusd` is what
    the open ones are expected to take from each budget beyond what their tasks have spent and reserved already; None if
    no partition is made yet.
    """

    asset: str
    partitions: int
    made: int
    needed_microusd: Mapping[Counter, int] | None


def open_partitions(
    connection: sa.Connection, counters: Collection[Counter], wanted: Mapping[str, Collection[str]], *, simulated: bool
) -> Iterator[OpenPartitions]:
    """Yields an estimate for each asset with open partitions, given by asset."""
    for asset, keys in wanted.items():
        amounts = partition_amounts(connection, {*counters, _ALL}, asset, simulated=simulated)
        made = len(amounts[_ALL].keys() - set(keys))
        needed = {counter: _needed(amounts[counter], set(keys)) for counter in counters}
        yield OpenPartitions(asset, len(keys), made, needed if made else None)


def _needed(amounts: Mapping[str, int], keys: set[str]) -> int:
    """Returns the expected amount of some partitions without what they have spent and reserved already."""
    made = [amount for key, amount in amounts.items() if key not in keys]
    mean = round(sum(made) / len(made)) if made else 0
    return sum(max(0, mean - amounts.get(key, 0)) for key in keys)
