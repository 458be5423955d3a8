"""The failure of a row or a command: the same four fields in all output."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from wan_assets.errors import RunwareError, WanAssetsError


@dataclass(frozen=True)
class Failure:
    """The error's class (`kind`) and code, what happened, and the action to take."""

    kind: str
    message: str
    hint: str
    code: str = ""

    def as_json(self) -> dict[str, str]:
        """Returns the fields that `--json` prints."""
        return {"class": self.kind, "code": self.code, "message": self.message, "hint": self.hint}


def failure_of(error: WanAssetsError) -> Failure:
    """Converts an error of this package."""
    code = error.code if isinstance(error, RunwareError) else ""
    return Failure(type(error).__name__, str(error).removeprefix(f"{code}: "), error.hint, code)


def interruption(number: signal.Signals) -> Failure:
    """Returns the failure of a command that a signal ended."""
    return Failure("Interrupted", f"interrupted by {number.name}", "Run the same command again.", number.name)
