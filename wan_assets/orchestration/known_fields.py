"""Refuses fields that a resource does not have, which pydantic would ignore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, model_validator

from wan_assets.models import closest_name


class KnownFields(BaseModel):
    """The base of our resources. A misspelled budget would otherwise be no limit, and money would be spent.

    The error is a `TypeError`, as for an argument of a function: one of pydantic would show all values, also secrets.
    """

    @model_validator(mode="before")
    @classmethod
    def _has_known_fields(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and cls.model_config.get("extra") != "allow":
            known = [field.alias or name for name, field in cls.model_fields.items()]
            if unknown := [name for name in given if name not in known]:
                raise TypeError(_message(cls.__name__, unknown[0], known))
        return given


def _message(owner: str, unknown: str, known: list[str]) -> str:
    close = closest_name(unknown, known)
    hint = f"did you mean {close!r}?" if close else f"the fields are {', '.join(known)}"
    return f"{owner} has no field {unknown!r}; {hint}"
