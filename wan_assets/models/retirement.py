"""The end of models: requests of a model that ends soon cause a warning, and those of an ended one are refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from wan_assets.models.catalog import catalog
from wan_assets.models.description import ModelDescription

WARNED_DAYS = 30


@dataclass(frozen=True)
class Retirement:
    """A model that has ended, or that ends within 30 days; `message` names the date and the successor."""

    model: str
    is_ended: bool
    message: str


def retirement_of(model: ModelDescription, today: date) -> Retirement | None:
    """Returns the retirement of a model, or None. A model can be used on the day of its end.

    >>> from wan_assets.models import description_of
    >>> described = description_of("alibaba:wan@2.6").model_copy(update={"ends": date(2027, 1, 31)})
    >>> retirement_of(described, date(2027, 1, 30)).message
    'Wan2.6 ends on 2027-01-31, in 1 day'
    """
    if model.ends is None:
        ended = Retirement(model.id, is_ended=True, message=f"{model.name} has ended{_advice(model)}")
        return ended if model.status == "ended" else None
    if model.status == "ended" or today > model.ends:
        return Retirement(model.id, is_ended=True, message=f"{model.name} ended on {model.ends}{_advice(model)}")
    left = model.ends - today
    if left > timedelta(days=WARNED_DAYS):
        return None
    when = "today" if not left.days else f"in {left.days} day{'s' if left.days > 1 else ''}"
    return Retirement(model.id, is_ended=False, message=f"{model.name} ends on {model.ends}, {when}{_advice(model)}")


def _advice(model: ModelDescription) -> str:
    """Returns what to do, after a semicolon; empty without a successor."""
    successor = catalog().id_of(model.successor)
    if successor is None:
        return ""
    name = catalog().models[successor].short_name
    return f"; use its successor {name}, for example with --default model={name}"
