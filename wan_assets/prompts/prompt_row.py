"""One valid row of a prompt table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from wan_assets.models import PRIORITY, TemplateRequest, VideoRequest

NOT_COLUMNS = frozenset({"task_type", "task_uuid"})
"""Parameters that the package sets."""


class PromptRow(NamedTuple):
    """One valid row: its number counted from 1, its id, its request, and the text of its extra columns.

    `line` is the physical line where it begins, in formats that have lines. `file` is the file's name if the table has
    several files, and empty otherwise.
    """

    number: int
    prompt_id: str
    requested: VideoRequest | TemplateRequest
    extra: Mapping[str, str]
    line: int | None = None
    file: str = ""

    @property
    def request(self) -> VideoRequest:
        """The request, built when it is first needed."""
        requested = self.requested
        return requested if isinstance(requested, VideoRequest) else requested.request

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the request."""
        return self.requested.fingerprint()

    @property
    def priority(self) -> int:
        """The priority, 0 by default; rows with a higher priority are submitted first."""
        return int(self.extra.get(PRIORITY, "0"))

    def cells(self) -> dict[str, Any]:
        """Returns the values that the row sets, by canonical column name; nested parameters have dots."""
        given = self.request.model_dump(exclude_unset=True, exclude=set(NOT_COLUMNS))
        return {"prompt_id": self.prompt_id, **dict(_flat("", given)), **self.extra}


def _flat(prefix: str, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
