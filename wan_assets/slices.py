"""Slices of what is too many for one query, one statement or one piece of memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def slices_of(many: Iterable[T], length: int) -> Iterator[list[T]]:
    """Yields the next `length` of them at a time, in their order, and at last what is left.

    >>> list(slices_of("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(many)
    while some := list(islice(rest, length)):
        yield some
