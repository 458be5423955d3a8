"""How far the sensor is with the table that it last saw."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Cursor(BaseModel):
    """`signature` is that of the table, `after` the last partition that was looked at, `trouble` why it is unusable."""

    model_config = ConfigDict(frozen=True)

    signature: str = ""
    after: str | None = None
    trouble: str = ""
    is_done: bool = False

    @classmethod
    def parse(cls, said: str | None) -> Self:
        """Reads what an earlier tick wrote; anything else means to start anew, which costs no more than a look."""
        try:
            return cls.model_validate_json(said or "{}")
        except ValidationError:
            return cls()
