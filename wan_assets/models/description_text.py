"""Texts about a model's limits, rules and prices for people, the same in the command and in the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wan_assets.models.description import Latency, ModelDescription, ParameterLimits, Price, Rule

NOT_PUBLISHED = "not published"
_OF_ANY_REQUEST = {
    "together": {"given": "the other one", "missing": "the missing one"},
    "in_sizes": {"given": "another size", "allowed": "the sizes of the model", "nearest": "the nearest one"},
    "at_most_with": {"given": "a higher value"},
}
"""What stands for the placeholders of rules where there is no request."""


def status_text(model: ModelDescription) -> str:
    """Returns the status with its dates.

    >>> from wan_assets.models import description_of
    >>> status_text(description_of("alibaba:wan@2.6"))
    'live since 2025-12-16'
    """
    since = f" since {_day(model.released)}" if model.released else ""
    ends = f", ends on {_day(model.ends)}" if model.ends else ""
    return f"{model.status}{since}{ends}"


def _day(day: date) -> str:
    return day.isoformat()


def limits_text(limits: ParameterLimits) -> str:
    """Returns the limits of a parameter in words.

    >>> limits_text(ParameterLimits(source="schema", minimum=2, maximum=30, values=("auto",)))
    '2 to 30, or auto'
    """
    found = [*_limits_in(limits)]
    if limits.source == "unknown" and not limits.is_limited:
        found.append("limit not known")
    return f"{'required; ' if limits.required else ''}{'; '.join(found) or 'no limit'}"


def _limits_in(limits: ParameterLimits) -> Iterator[str]:
    if limits.max_characters is not None:
        yield f"{limits.min_characters or 1} to {limits.max_characters:,} characters"
    values = ", ".join(map(str, limits.values))
    if limits.minimum is not None or limits.maximum is not None:
        yield f"{_range(limits)}{f', or {values}' if values else ''}"
    elif values:
        yield values
    if limits.type == "boolean":
        yield "true or false"
    if limits.type == "size":
        yield "pixels of one of the sizes"
    if limits.max_items is not None:
        yield f"at most {limits.max_items}"
    if limits.frames:
        yield f"frames {', '.join(map(str, limits.frames))}"


def _range(limits: ParameterLimits) -> str:
    if limits.minimum is None:
        return f"at most {limits.maximum:,}"
    return f"{limits.minimum:,} or more" if limits.maximum is None else f"{limits.minimum:,} to {limits.maximum:,}"


def default_text(limits: ParameterLimits) -> str:
    """Returns the default of a parameter; empty without one."""
    if limits.default is None:
        return ""
    text = str(limits.default).lower() if isinstance(limits.default, bool) else str(limits.default)
    return f"{text} (sent)" if limits.send_default else text


def duration_text(model: ModelDescription) -> str:
    """Returns the allowed durations in seconds."""
    limits = model.limits("duration")
    return limits_text(limits) if limits else ""


def rule_text(rule: Rule) -> tuple[str, str]:
    """Returns the sentence and the fix of a rule for any request.

    >>> from wan_assets.models import description_of
    >>> rules = description_of("alibaba:wan@2.6").rules
    >>> next(rule_text(rule) for rule in rules if rule.predicate == "together")
    ('must be given together with the other one', 'add the missing one, or use resolution')
    """
    names = _OF_ANY_REQUEST.get(rule.predicate, {"missing": " and ".join(rule.parameters)})
    return rule.sentence.format(**names), rule.fix.format(**names)


def prices_of(price: Price) -> Iterator[tuple[str, str, str]]:
    """Yields each resolution with its price per second, and with that of silent videos if it differs, else empty."""
    yield from ((resolution, NOT_PUBLISHED, "") for resolution in price.unpublished)
    for resolution, usd_per_s in price.usd_per_s.items():
        silent = price.usd_per_s_silent.get(resolution, usd_per_s)
        yield resolution, f"${usd_per_s}", f"${silent}" if silent != usd_per_s else ""


def price_notes_of(price: Price) -> Iterator[str]:
    """Yields what the price depends on besides resolution, sound and seconds."""
    yield f"{(price.margin * 100).normalize():f} % above the list price is reserved."
    if price.unpublished:
        yield f"For {' and '.join(price.unpublished)}, the highest price of the model is reserved."
    if price.repeats_for:
        yield f"The price of the output is charged once more for each of {price.repeats_for}."
    if price.input_seconds_of:
        inputs = " and ".join(price.input_seconds_of)
        yield f"The seconds of {inputs} are charged too; {price.assumed_input_s} s are reserved for each."
    if price.any_resolution_from_image:
        yield "A request with an image reserves the rate of the highest resolution."
    if price.note:
        yield price.note


def latency_text(latency: Latency) -> str:
    """Returns the typical time of a task, and measured examples."""
    examples = f" ({'; '.join(latency.examples)})" if latency.examples else ""
    return f"{latency.typical_s:g} s{examples}"
