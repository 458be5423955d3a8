"""What a description must contain beyond its format, so that its requests can be checked and priced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from string import Formatter
from typing import Any

from pydantic_core import PydanticCustomError

from wan_assets.models import rules
from wan_assets.models.description import ModelDescription, ParameterLimits, Price, Rule
from wan_assets.models.placement import completed
from wan_assets.models.predicates import COMPARED_WITH_OTHERS, PLACEHOLDERS, PREDICATES, Given

INPUTS = ("frameImages", "audio", "referenceImages", "referenceVideos", "referenceAudios", "documents", "urls")
"""The parameters in `inputs` that requests may have."""

OF_MODELS = frozenset({"positivePrompt", "negativePrompt", "width", "height", "resolution", "duration"})
"""The parameters beside inputs and settings that a model may have or not."""

OF_ALL_MODELS = frozenset(
    {
        *("taskType", "taskUUID", "model", "seed", "numberResults", "outputType", "outputFormat", "outputQuality"),
        *("deliveryMethod", "includeCost", "ttl", "webhookURL", "uploadEndpoint", "safety"),
    }
)
"""The parameters of the task, which no description contains, because all models have them."""


def faults_of(model: ModelDescription) -> Iterator[str]:
    """Yields what is wrong or missing in a description."""
    if model.page and not _is_url(model.page):
        yield "page: must be an http or https URL, or empty"
    for path, limits in model.parameters.items():
        yield from (f"parameters.{path}: {fault}" for fault in _faults_of_parameter(path, limits))
    yield from _faults_of_duration(model)
    yield from _faults_of_sizes(model)
    for number, rule in enumerate(model.rules, 1):
        faults = [*_faults_of_rule(rule, model)]
        yield from (f"rules, number {number} ({rule.predicate} at {rule.at}): {fault}" for fault in faults)
    yield from (f"price.{fault}" for fault in _faults_of_price(model.price, model)) if model.price else ()


def allows(limits: ParameterLimits, value: Any) -> bool:
    """Whether a number or a word is within limits."""
    if is_among(value, limits.values):
        return True
    if isinstance(value, bool) or limits.type == "boolean":
        return isinstance(value, bool) and not limits.values
    if isinstance(value, int) and (limits.minimum, limits.maximum) != (None, None):
        return (limits.minimum is None or value >= limits.minimum) and (
            limits.maximum is None or value <= limits.maximum
        )
    return not limits.values and limits.minimum is None and limits.maximum is None


def is_among(value: Any, values: Sequence[Any]) -> bool:
    """Whether a value is one of some values of the same type: 1 and True are equal, but not the same value."""
    return any(value == each and type(value) is type(each) for each in values)


def is_parameter(path: str) -> bool:
    """Whether requests can have a parameter: one of the known ones, or any setting."""
    head, _, name = path.partition(".")
    return name in INPUTS if head == "inputs" else path in OF_MODELS or (head == "settings" and name.isidentifier())


def _is_url(text: str) -> bool:
    try:
        return bool(rules.http_url(text))
    except PydanticCustomError:
        return False


def _faults_of_parameter(path: str, limits: ParameterLimits) -> Iterator[str]:
    if not is_parameter(path):
        yield "is not a parameter that requests can have; use one of the API's, or settings.NAME"
    if not limits.is_limited and limits.source != "unknown":
        yield 'has no limit; add one, or source = "unknown"'
    if limits.minimum is not None and limits.maximum is not None and limits.minimum > limits.maximum:
        yield "minimum is above maximum"
    if limits.default is not None and not allows(limits, limits.default):
        yield f"the default {limits.default!r} is not within the limits"


def _faults_of_duration(model: ModelDescription) -> Iterator[str]:
    limits = model.limits("duration")
    if limits is None:
        yield "parameters.duration: is missing; prices depend on it"
    elif limits.longest is None or limits.shortest is None or limits.shortest < 1:
        yield "parameters.duration: needs values in whole seconds, or minimum and maximum, from 1 on"
    elif limits.default is None:
        yield "parameters.duration: needs a default, because the price of a request without one depends on it"


def _faults_of_sizes(model: ModelDescription) -> Iterator[str]:
    limits = model.limits("resolution")
    for resolution, sizes in model.sizes.items():
        if limits is not None and not allows(limits, resolution):
            yield f"sizes.{resolution}: is not a value of resolution"
        if not sizes or any(min(size) < 1 for size in sizes):
            yield f"sizes.{resolution}: needs sizes such as 1280x720"
    every = [size for sizes in model.sizes.values() for size in sizes]
    twice = sorted({f"{width}x{height}" for width, height in every if every.count((width, height)) > 1})
    yield from (f"sizes: {size} is given twice" for size in twice)


def _faults_of_rule(rule: Rule, model: ModelDescription) -> Iterator[str]:
    named = (*([] if rule.at == "inputs" else [rule.at]), *rule.parameters, *rule.others)
    yield from (f"{path} is not a parameter of the model" for path in dict.fromkeys(named) if not model.limits(path))
    for text in (rule.sentence, rule.fix):
        yield from _faults_of_text(text, PLACEHOLDERS.get(rule.predicate, ()))
    if not rule.parameters:
        yield "parameters is empty"
    elif rule.predicate in COMPARED_WITH_OTHERS and not rule.others:
        yield "others is empty"
    elif rule.predicate == "at_most_with" and type(rule.value) is not int:
        yield "value must be a whole number"
    elif rule.predicate == "in_sizes" and not (model.sizes and len(rule.parameters) == 2):
        yield "needs the parameters width and height, and [sizes]"
    else:
        yield from _faults_of_examples(rule, model)


def _faults_of_text(text: str, placeholders: tuple[str, ...]) -> Iterator[str]:
    try:
        fields = [(name, form, conversion) for _, name, form, conversion in Formatter().parse(text) if name is not None]
    except ValueError as error:
        yield f"{text!r} cannot be formatted: {error}; write {{{{ and }}}} for braces"
        return
    if not text.strip():
        yield "sentence and fix must not be empty"
    for name, form, conversion in fields:
        if name not in placeholders or form or conversion:
            known = f"; it has {', '.join(placeholders)}" if placeholders else ""
            yield f"{{{name}}} is not a placeholder of {text!r}{known}"


def _faults_of_examples(rule: Rule, model: ModelDescription) -> Iterator[str]:
    try:
        broken = [each for each in model.rules if _is_broken(each, rule.valid, model)]
        if broken:
            yield f"the valid example breaks the rule {broken[0].predicate} at {broken[0].at}"
        if not _is_broken(rule, rule.invalid, model):
            yield "the invalid example does not break the rule"
    except (PydanticCustomError, TypeError) as error:
        yield f"an example is not a request: {error}"


def _is_broken(rule: Rule, example: Mapping[str, Any], model: ModelDescription) -> bool:
    is_comparable = rule.predicate != "in_sizes" or (model.sizes and len(rule.parameters) == 2)
    given = Given(completed(example, model), tuple(model.resolution_of_size), model.default)
    return bool(is_comparable and rule.parameters and [*PREDICATES[rule.predicate](rule, given)])


_LOWEST_USD, _HIGHEST_USD = Decimal("0.000001"), Decimal(100)
"""Prices of a second are whole micro-dollars; a higher one would be no plausible cost of a video."""


def _faults_of_price(price: Price, model: ModelDescription) -> Iterator[str]:
    limits = model.limits("resolution")
    resolutions = dict.fromkeys([*model.sizes, *(limits.values if limits else ())])
    tables = {
        "usd_per_s": price.usd_per_s,
        **({"usd_per_s_silent": price.usd_per_s_silent} if price.usd_per_s_silent else {}),
    }
    for name, table in tables.items():
        missing = [str(each) for each in resolutions if each not in table and each not in price.unpublished]
        if missing or not table:
            yield f"{name}: has no price for {', '.join(missing) or 'any resolution'}"
        wrong = (key for key, usd_per_s in table.items() if not _LOWEST_USD <= usd_per_s <= _HIGHEST_USD)
        yield from (f"{name}.{key}: must be at least {_LOWEST_USD:f} and at most {_HIGHEST_USD}" for key in wrong)
        priced = [str(each) for each in price.unpublished if each in table]
        yield from (f"unpublished: {each} has a price in {name}; remove one of them" for each in priced)
    named = [*price.input_seconds_of, *([price.repeats_for] if price.repeats_for else [])]
    yield from (f"{path} is not a parameter of the model" for path in named if not model.limits(path))
    if price.input_seconds_of and price.assumed_input_s < 1:
        yield "assumed_input_s: is missing; it is reserved for each input video"
