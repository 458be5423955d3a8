"""The sensor's cursor: its position in the table that it last evaluated."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Cursor(BaseModel):
    """The state of an evaluation.

    `signature` identifies the table, `table` is the version of its snapshot, `after` is the last partition processed,
    and `error` is the error of an invalid table.
    """

    model_config = ConfigDict(frozen=True)

    signature: str = ""
    table: str = ""
    after: str | None = None
    error: str = ""
    is_done: bool = False

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Reads the cursor of the previous tick; an unreadable one restarts the evaluation, which is cheap."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()
