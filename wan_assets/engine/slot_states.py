"""What a row does with its slot among the tasks that a run works on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class SlotState(Enum):
    """What a row does with its slot."""

    FREE = auto()
    HELD = auto()
    """It works on a task that it does not submit now."""
    SENDING = auto()
    """It is about to submit a task, or waits for an answer that is late."""
    POSTED = auto()
    """Its submission is on the way."""
    REFUSED = auto()
    """The API takes no more tasks, and the row waits until it does."""
    IN_FLIGHT = auto()
    """The API works on its task."""


@dataclass(eq=False)
class Slot:
    """One row's slot; only `Slots` changes its state."""

    state: SlotState = SlotState.FREE
