"""Sizes of resolutions: which one a request has if it keeps the form of another request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wan_assets.models.catalog import MODEL, catalog
from wan_assets.models.description import ModelDescription
from wan_assets.models.predicates import PREDICATES, Given

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


def _is_refused(given: Mapping[str, Any], model: ModelDescription) -> bool:
    """Whether the model has no resolution without other parameters that are not given."""
    view = Given(given, tuple(model.resolution_of_size), model.default)
    rules = [rule for rule in model.rules if rule.predicate == "requires" and tuple(rule.parameters) == (_RESOLUTION,)]
    return any(True for rule in rules for _ in PREDICATES[rule.predicate](rule, view))
