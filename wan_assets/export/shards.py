"""Which shard a sample lies in: by the first bits of its key, as many as it takes for shards of a given size.

The cut depends on the samples alone, and a sample that comes or goes changes its own shard, or cuts it in two, or joins
two to one; all others stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

_MAX_BITS = 64


class Sized(Protocol):
    """What a shard holds: a key that begins with 16 hexadecimal digits, and its size."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...


S = TypeVar("S", bound=Sized)


def shards_of(samples: Sequence[S], most_bytes: int) -> Iterator[tuple[str, list[S]]]:
    """Yields each shard's bits and samples in order of their keys; none holds more unless it holds one sample alone."""
    yield from _cut("", sorted(samples, key=lambda sample: sample.key), most_bytes)


def _cut(bits: str, samples: list[S], most_bytes: int) -> Iterator[tuple[str, list[S]]]:
    if not samples:
        return
    if len(samples) == 1 or len(bits) == _MAX_BITS or sum(sample.size for sample in samples) <= most_bytes:
        yield bits, samples
        return
    for bit in "01":
        yield from _cut(bits + bit, [sample for sample in samples if _bits(sample)[len(bits)] == bit], most_bytes)


def _bits(sample: Sized) -> str:
    return f"{int(sample.key[:16], 16):064b}"
