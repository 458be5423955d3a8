"""Commands suggested in the output, completed with the options of the current ledger and store."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

from wan_assets.cli.failures import Failure
from wan_assets.models import may_hold_password
from wan_assets.settings import Settings

_COMMAND = re.compile(r"`wan-assets ledger(?P<name> [a-z]+)?(?P<rest>[^`]*)`")
_WITH_STORE = ("adopt", "recover")


@dataclass(frozen=True)
class Suggestions:
    """A ledger and a store, as command line options."""

    ledger: str
    store: str

    @classmethod
    def of(cls, settings: Settings, *, store: str | None = None) -> Suggestions:
        """Returns those of the settings, or with another `store`."""
        return cls(settings.ledger, store or settings.store)

    @property
    def url_option(self) -> str:
        """The option for the ledger; empty if its URL may contain a password."""
        return "" if may_hold_password(self.ledger) else f" --url {shlex.quote(self.ledger)}"

    @property
    def options(self) -> str:
        """The options for the ledger and the store."""
        return f"{self.url_option} --store {shlex.quote(self.store)}"

    def completed(self, text: str) -> str:
        """Adds the options for the ledger, and if needed for the store, to `wan-assets ledger` commands in a text."""
        return _COMMAND.sub(self._completed, text)

    def failure(self, failure: Failure) -> Failure:
        """Returns a failure whose message and hint contain complete commands."""
        return replace(failure, message=self.completed(failure.message), hint=self.completed(failure.hint))

    def of_unknown_costs(self, *, simulated: bool) -> str:
        """Returns the hint for tasks of unknown cost, whose reservations are kept."""
        by_usage = (
            "`wan-assets ledger reconcile --release` settles them for days on which the account charged exactly what "
            "the ledger knows; "
        )
        one = "`wan-assets ledger settle TASK --cost USD` records the cost of one task. `wan-assets ledger` lists them."
        return self.completed(f"{'' if simulated else by_usage}{one}")

    def _completed(self, found: re.Match[str]) -> str:
        command = found[0].removesuffix("`")
        if " --url " in command or " --store " in command:
            return found[0]
        name = (found["name"] or "").strip()
        return f"{command}{self.options if name in _WITH_STORE else self.url_option}`"
