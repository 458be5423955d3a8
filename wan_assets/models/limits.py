"""Checks of single parameters and of the rules between them, by the description of a request's model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from wan_assets.models import rules
from wan_assets.models.catalog import catalog
from wan_assets.models.description import SETTINGS, ModelDescription, ParameterLimits
from wan_assets.models.description_checks import INPUTS, OF_MODELS, is_among
from wan_assets.models.placement import KNOWN_SETTINGS, camel_name
from wan_assets.models.predicates import PREDICATES, Given, frame_of, value_at

Error: TypeAlias = PydanticCustomError | PydanticKnownError

LONGEST_TEXT = 20_000
"""Characters of a text whose limit is not known."""


def checked(value: Any, limits: ParameterLimits) -> Any:
    """Returns a text or a number; raises an error of pydantic if it breaks the limits of its parameter."""
    is_text = not limits.values and limits.maximum is None
    error = _error_of_text(value, limits) if is_text else _error_of(value, limits)
    if error:
        raise error
    return value


def _error_of_text(value: str, limits: ParameterLimits) -> PydanticKnownError | None:
    shortest, longest = limits.min_characters or 1, limits.max_characters or LONGEST_TEXT
    if len(value) < shortest:
        return PydanticKnownError("string_too_short", {"min_length": shortest})
    return PydanticKnownError("string_too_long", {"max_length": longest}) if len(value) > longest else None


def _error_of(value: Any, limits: ParameterLimits) -> PydanticKnownError | None:
    if is_among(value, limits.values):
        return None
    if (limits.minimum is None and limits.maximum is None) or isinstance(value, str):
        others = [f"a whole number from {limits.minimum} to {limits.maximum}"] if limits.maximum is not None else []
        expected = _listed([*map(repr, limits.values), *others])
        return PydanticKnownError("literal_error", {"expected": expected}) if limits.values or others else None
    if limits.minimum is not None and value < limits.minimum:
        return PydanticKnownError("greater_than_equal", {"ge": limits.minimum})
    if limits.maximum is not None and value > limits.maximum:
        return PydanticKnownError("less_than_equal", {"le": limits.maximum})
    return None


def _listed(expected: Sequence[str]) -> str:
    return f"{', '.join(expected[:-1])} or {expected[-1]}" if len(expected) > 1 else "".join(expected)


def violations_of_parameters(given: Mapping[str, Any], model: ModelDescription) -> Iterator[InitErrorDetails]:
    """Yields an error for each parameter that the model does not have, each missing one, and each input or setting
    beyond its limits.
    """
    for path in _paths_in(given):
        limits = model.limits(path)
        if limits is None:
            yield _details(path, _not_of(model, path))
        else:
            yield from (_details(at, error) for at, error in _input_errors(path, value_at(given, path), limits))
    for path, limits in model.parameters.items():
        if limits.required and value_at(given, path) is None:
            yield _details(path, PydanticKnownError("missing"))


def violations_between_parameters(given: Mapping[str, Any], model: ModelDescription) -> Iterator[InitErrorDetails]:
    """Yields an error for each broken rule of the model."""
    view = Given(given, tuple(model.resolution_of_size), model.default)
    for rule in model.rules:
        for at, placeholders in PREDICATES[rule.predicate](rule, view):
            rule_text, fix = rule.sentence.format(**placeholders), rule.fix.format(**placeholders)
            yield _details(at or rule.at, rules.error_of(rule.predicate, rule_text, fix))


def _paths_in(given: Mapping[str, Any]) -> Iterator[str]:
    """Yields the paths of the parameters of the model that are given."""
    for name in given:
        camel = camel_name(name)
        if camel == "inputs":
            part = value_at(given, camel)
            yield from (f"{camel}.{each}" for each in INPUTS if value_at(part, each) is not None)
        elif camel == "providerSettings" and isinstance(settings := value_at(given, SETTINGS), Mapping):
            named = {str(key): value for key, value in settings.items() if value is not None}
            yield from (f"{SETTINGS}.{camel_name(key)}" for key in named)
        elif camel in OF_MODELS:
            yield camel


def _input_errors(path: str, value: Any, limits: ParameterLimits) -> Iterator[tuple[str, Error]]:
    if path.startswith("inputs.") and isinstance(value, (list, tuple)):
        if not value:
            yield path, PydanticKnownError("missing")
        elif limits.max_items is not None and len(value) > limits.max_items:
            sizes = {"field_type": "List", "max_length": limits.max_items, "actual_length": len(value)}
            yield path, PydanticKnownError("too_long", sizes)
        frames = [frame_of(image) for image in value] if limits.frames else []
        for frame in frames:
            is_right_type = frame is None or type(frame) in (str, int)
            if is_right_type and frame is not None and not is_among(frame, limits.frames):
                expected = _listed([*map(repr, limits.frames)])
                yield f"{path}.frame", PydanticKnownError("literal_error", {"expected": expected})
        known = (frame for frame in frames if type(frame) in (str, int))
        named = [{"first": 0, "last": -1}.get(frame, frame) for frame in known]
        if len(set(named)) < len(named):
            yield path, rules.error_of("frame_twice", "gives two images for one frame", "give each frame one image")
    elif path.startswith(SETTINGS) and (error := _setting_error(path, value, limits)):
        yield path, error


def _setting_error(path: str, value: Any, limits: ParameterLimits) -> Error | None:
    """Checks a setting; pydantic checks the types of those that the package knows."""
    is_limited = limits.values or (limits.minimum, limits.maximum) != (None, None)
    if limits.type == "boolean" and not limits.values:
        is_known = path.removeprefix(f"{SETTINGS}.") in KNOWN_SETTINGS
        return None if is_known or isinstance(value, bool) else PydanticKnownError("bool_type")
    if limits.type == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        return rules.error_of("number", "must be a number", "write it in digits, such as 0.5")
    if isinstance(value, str) and not is_limited:
        return _error_of_text(value, limits)
    return _error_of(value, limits) if is_limited else None


def _not_of(model: ModelDescription, path: str) -> PydanticCustomError:
    having = [each.short_name for each in catalog().models.values() if each.limits(path)]
    if not having:
        return PydanticCustomError("extra_forbidden", "{rule}", {"rule": "is not a parameter of any model"})
    fix = f"remove it, or use a model that has it: {', '.join(having)}"
    return rules.error_of("not_of_model", f"is not a parameter of {model.name}", fix)


def _details(path: str, error: Error) -> InitErrorDetails:
    if isinstance(error, PydanticKnownError):
        error = PydanticCustomError(error.type, "{rule}", {**(error.context or {}), "rule": error.message()})
    return InitErrorDetails(type=error, loc=tuple(path.split(".")), input=None)
