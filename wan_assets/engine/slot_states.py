"""Defines the states of a row's slot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class SlotState(Enum):
    """The state of a row's slot."""

    FREE = auto()
    HELD = auto()
    """The row works on a task that it does not submit now."""
    SENDING = auto()
    """The row is about to submit a task, or waits for a late answer."""
    POSTED = auto()
    """The row has submitted a task and waits for the answer."""
    REFUSED = auto()
    """The API accepts no more tasks, and the row waits."""
    IN_FLIGHT = auto()
    """The API works on the row's task."""


@dataclass(eq=False)
class Slot:
    """One row's slot; only `Slots` changes its state."""

    state: SlotState = SlotState.FREE
