"""Assignment of samples to shards by the first bits of their keys, with as many bits as the shard size requires.

The assignment depends only on the samples. Adding or removing a sample changes one shard, splits it into two, or merges
two shards. All other shards stay unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

_MAX_BITS = 64


class Sized(Protocol):
    """A sample with a size in bytes and a key that begins with 16 hexadecimal digits."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...


S = TypeVar("S", bound=Sized)


def shards_of(samples: Sequence[S], max_bytes: int) -> Iterator[tuple[str, list[S]]]:
    """Yields the bits and samples of each shard in key order; only a shard with a single sample may be larger."""
    yield from _cut("", sorted(samples, key=lambda sample: sample.key), max_bytes)


def _cut(bits: str, samples: list[S], max_bytes: int) -> Iterator[tuple[str, list[S]]]:
    if not samples:
        return
    if len(samples) == 1 or len(bits) == _MAX_BITS or sum(sample.size for sample in samples) <= max_bytes:
        yield bits, samples
        return
    for bit in "01":
        yield from _cut(bits + bit, [sample for sample in samples if _bits(sample)[len(bits)] == bit], max_bytes)


def _bits(sample: Sized) -> str:
    return f"{int(sample.key[:16], 16):064b}"
