"""Why a row, or a whole command, has failed: the same four fields wherever it is told."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from wan_assets.errors import RunwareError, WanAssetsError


@dataclass(frozen=True)
class Failure:
    """The error's class and code, what happened, and what to do. `kind` is the class."""

    kind: str
    message: str
    hint: str
    code: str = ""

    def as_json(self) -> dict[str, str]:
        """The fields that `--json` prints."""
        return {"class": self.kind, "code": self.code, "message": self.message, "hint": self.hint}


def failure_of(error: WanAssetsError) -> Failure:
    """What an error of ours tells."""
    code = error.code if isinstance(error, RunwareError) else ""
    return Failure(type(error).__name__, str(error).removeprefix(f"{code}: "), error.hint, code)


def interruption(number: signal.Signals) -> Failure:
    """What a signal that ended a command tells."""
    return Failure("Interrupted", f"interrupted by {number.name}", "Run the same command again.", number.name)
