"""Named predicates between parameters, which the rules of a model's description use.

A predicate yields the values of the placeholders in the rule's sentence and fix for each broken rule, under the name of
the parameter that it is reported for. It uses the given values before validation, so that an invalid number elsewhere
does not hide a broken rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeAlias

from pydantic.alias_generators import to_snake
from pydantic_core import PydanticCustomError

from wan_assets.models import rules

Broken: TypeAlias = tuple[str, Mapping[str, Any]]
"""The parameter that a broken rule is reported for, empty for that of the rule, and its placeholders."""


class RuleParameters(Protocol):
    """What a predicate is applied to."""

    @property
    def parameters(self) -> tuple[str, ...]: ...
    @property
    def others(self) -> tuple[str, ...]: ...
    @property
    def value(self) -> Any: ...


@dataclass(frozen=True)
class Given:
    """The given values of one request; `sizes` and `defaults` are those of its model."""

    values: Mapping[str, Any]
    sizes: Sequence[tuple[int, int]]
    defaults: Callable[[str], Any]

    def value(self, path: str) -> Any:
        """Returns the value at a path of the API's JSON, in either spelling; None if it is absent."""
        return value_at(self.values, path)

    def has(self, *paths: str) -> bool:
        """Whether a value is given at any of some paths; an empty list is none."""
        return any(self.value(path) not in (None, [], ()) for path in paths)

    def effective(self, path: str) -> Any:
        """Returns the given value, or the default."""
        value = self.value(path)
        return self.defaults(path) if value is None else value


def value_at(given: Any, path: str) -> Any:
    """Returns the value at a path with dots in nested mappings, in camel case or snake case; None if it is absent."""
    for name, in_snake in _spellings(path):
        if hasattr(given, "model_dump"):
            given = given.model_dump(by_alias=True, exclude_none=True)
        if not isinstance(given, Mapping):
            return None
        value = given.get(name)
        given = given.get(in_snake) if value is None else value
    return given


@cache
def _spellings(path: str) -> tuple[tuple[str, str], ...]:
    """Returns each part of a path in both spellings. Paths are those of the descriptions of models."""
    return tuple((name, to_snake(name)) for name in path.split("."))


def _needs_one_of(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """At least one of the parameters is given."""
    if not given.has(*rule.parameters):
        yield "", {}


def _excludes(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """None of the others is given with one of the parameters."""
    if given.has(*rule.parameters) and given.has(*rule.others):
        yield "", {}


def _together(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """All of the parameters are given, or none."""
    there = [path for path in rule.parameters if given.has(path)]
    if there:
        yield from ((path, {"given": there[0], "missing": path}) for path in rule.parameters if path not in there)


def _in_sizes(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """Width and height are a supported size."""
    if not all(given.has(path) for path in rule.parameters):
        return
    try:
        width, height = (rules.number(given.value(path)) for path in rule.parameters)
    except PydanticCustomError:
        return
    if (width, height) not in given.sizes:
        near = min(given.sizes, key=lambda size: abs(size[0] - width) + abs(size[1] - height))
        allowed = ", ".join(f"{w}x{h}" for w, h in given.sizes)
        yield "", {"given": f"{width}x{height}", "allowed": allowed, "nearest": f"{near[0]}x{near[1]}"}


def _requires(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """One of the others is given with any of the parameters."""
    if given.has(*rule.parameters) and not given.has(*rule.others):
        yield "", {}


def _required_without(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """All of the parameters are given unless one of the others is."""
    if not given.has(*rule.others):
        missing = [path for path in rule.parameters if not given.has(path)]
        if missing:
            yield missing[0], {"missing": " and ".join(missing)}


def _requires_value(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """The others have the value, given or by default, if one of the parameters is given."""
    if given.has(*rule.parameters) and any(given.effective(path) != rule.value for path in rule.others):
        yield "", {}


def _at_most_with(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """The parameters are at most the value if one of the others is given."""
    if not given.has(*rule.others):
        return
    for path in rule.parameters:
        try:
            number = rules.number(given.effective(path))
        except PydanticCustomError:
            continue
        if number > rule.value:
            yield path, {"given": number}


def _not_only_last(rule: RuleParameters, given: Given) -> Iterator[Broken]:
    """At least one of the images is not of the last frame."""
    images = given.value(rule.parameters[0])
    if isinstance(images, (list, tuple)) and images and all(frame_of(image) in ("last", -1) for image in images):
        yield "", {}


def frame_of(image: Any) -> Any:
    """Returns the frame of an image as given; None if the image has none."""
    frame = value_at(image, "frame") if not isinstance(image, str) else None
    return {"0": 0, "-1": -1}.get(frame, frame) if isinstance(frame, str) else frame


Predicate: TypeAlias = Callable[[RuleParameters, Given], Iterator[Broken]]

PREDICATES: Mapping[str, Predicate] = {
    "needs_one_of": _needs_one_of,
    "excludes": _excludes,
    "together": _together,
    "in_sizes": _in_sizes,
    "requires": _requires,
    "required_without": _required_without,
    "requires_value": _requires_value,
    "at_most_with": _at_most_with,
    "not_only_last": _not_only_last,
}
"""The predicates by name; the docstring of each says what it demands."""

PLACEHOLDERS: Mapping[str, tuple[str, ...]] = {
    "together": ("given", "missing"),
    "in_sizes": ("given", "allowed", "nearest"),
    "required_without": ("missing",),
    "at_most_with": ("given",),
}
"""The placeholders that a rule's sentence and fix may have, by predicate; the others have none."""

COMPARED_WITH_OTHERS = frozenset({"excludes", "requires", "required_without", "requires_value", "at_most_with"})
"""The predicates whose rules need `others`."""
