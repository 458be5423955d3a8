"""Settings that the final of a draft keeps although its resolution or its model is another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticCustomError, PydanticKnownError

from wan_assets.models.catalog import MODEL, catalog
from wan_assets.models.description import ModelDescription
from wan_assets.models.limits import checked
from wan_assets.models.predicates import PREDICATES, Given
from wan_assets.models.request import VideoRequest

_RESOLUTION = "resolution"
_WIDE = 16 / 9


def size_for_resolution(given: Mapping[str, Any], form: float | None) -> tuple[int, int] | None:
    """Returns the width and height to give instead of a request's resolution, or None if the resolution is right.

    `form` is the width divided by the height that the video has to have; None leaves it to the model. A resolution has
    no form, unless an image gives it one, and some models have a resolution only with an image.
    """
    known = catalog()
    model = known.models.get(known.id_of(given.get("model") or MODEL) or "")
    if model is None or not (_is_refused(given, model) or (form and not given.get("inputs"))):
        return None
    sizes = [size for size, name in model.resolution_of_size.items() if name == given[_RESOLUTION]]
    return min(sizes, key=lambda size: abs(size[0] / size[1] - (form or _WIDE)), default=None)


def kept_duration(draft: VideoRequest, model: Any) -> int | None:
    """Returns the seconds of a draft that has the duration of its model by default, if another model can have it too.

    The default duration of the other model may be several times as long and as expensive.
    """
    known = catalog()
    other = known.models.get(known.id_of(model) or "")
    limits = other.limits("duration") if other else None
    if limits is None or "duration" in draft.model_fields_set or not isinstance(draft.duration, int):
        return None
    try:
        return int(checked(draft.duration, limits))
    except (PydanticCustomError, PydanticKnownError):
        return None


def _is_refused(given: Mapping[str, Any], model: ModelDescription) -> bool:
    """Whether the model has no resolution without other parameters that are not given."""
    view = Given(given, tuple(model.resolution_of_size), model.default)
    rules = [rule for rule in model.rules if rule.predicate == "requires" and tuple(rule.parameters) == (_RESOLUTION,)]
    return any(True for rule in rules for _ in PREDICATES[rule.predicate](rule, view))
