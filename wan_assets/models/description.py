"""The format of a model's description: its parameters, sizes, rules, prices and status, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from wan_assets.models.predicates import PREDICATES

Source = Literal["documented", "schema", "observed", "third_party", "assumed", "unknown"]
"""Where a fact comes from: the model's page, its published schema, observed charges or answers, unconfirmed code of
others, or an assumption of this package. The limit of an "unknown" parameter is not known.
"""

Status = Literal["preview", "live", "deprecated", "ended"]
Size: TypeAlias = tuple[int, int]

SETTINGS = "providerSettings.alibaba"
"""The settings of all models are given under this name; a request has them where its model expects them."""


_NAME = r"^[\w.:@/-]+$"


def _size(text: Any) -> Any:
    width, separator, height = text.partition("x") if isinstance(text, str) else ("", "", "")
    return (int(width), int(height)) if separator and width.isdecimal() and height.isdecimal() else text


def _known_predicate(name: str) -> str:
    if name not in PREDICATES:
        raise ValueError(f"is not a predicate; known: {', '.join(sorted(PREDICATES))}")
    return name


def _given_path(path: str) -> str:
    """Returns the path at which requests have a setting, wherever the model expects it."""
    return f"{SETTINGS}.{path.removeprefix('settings.')}" if path.startswith("settings.") else path


_Path = Annotated[str, AfterValidator(_given_path)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ParameterLimits(_Part):
    """The limits of one parameter; several kinds may apply. `values` are allowed beside the range.

    A parameter without a limit says so with the source "unknown", or is of a type that has none, such as a boolean.
    """

    source: Source
    required: bool = False
    min_characters: int | None = None
    max_characters: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    values: tuple[Any, ...] = ()
    default: Any = None
    send_default: bool = False
    """The default is sent, because that of the API is not known."""
    max_items: int | None = None
    frames: tuple[str | int, ...] = ()
    type: Literal["text", "number", "boolean", "size", "media"] = "text"
    """The type of the values, for the parameters that have neither characters, numbers nor values."""

    @property
    def is_limited(self) -> bool:
        """Whether a limit is known, or none exists for the type."""
        given = (self.max_characters, self.maximum, self.max_items)
        return bool(self.values) or self.type in ("boolean", "size") or any(limit is not None for limit in given)

    @property
    def shortest(self) -> int | None:
        """The lowest allowed number; None if it is not known."""
        return min(self._with(self.minimum), default=None)

    @property
    def longest(self) -> int | None:
        """The highest allowed number; None if it is not known."""
        return max(self._with(self.maximum), default=None)

    def _with(self, limit: int | None) -> list[int]:
        return [value for value in (limit, *self.values) if type(value) is int]


class Rule(_Part):
    """A rule between parameters: a named predicate, the sentence that a broken rule shows after the name of the
    parameter `at`, and the fix. `valid` and `invalid` are examples of requests.
    """

    predicate: Annotated[str, AfterValidator(_known_predicate)]
    at: _Path
    parameters: tuple[_Path, ...]
    others: tuple[_Path, ...] = ()
    value: Any = None
    sentence: str
    fix: str
    source: Source
    valid: Mapping[str, Any]
    invalid: Mapping[str, Any]


class Price(_Part):
    """Prices in dollars per second of video by resolution. Text, so that they are exact.

    The highest price of the model is reserved for `unpublished` resolutions, which have none.

    With a reference video, the price of the output is charged once more for each if `repeats_for` names its parameter.
    The seconds of the input videos in `input_seconds_of` are charged at the same rate; their number is not known when
    the budget is checked, and `assumed_input_s` is reserved for each.
    """

    source: Source
    usd_per_s: Mapping[str, Decimal]
    usd_per_s_silent: Mapping[str, Decimal] = Field(default_factory=dict)
    unpublished: tuple[str, ...] = ()
    margin: Annotated[Decimal, Field(ge=0, le=1)] = Decimal("0.02")
    any_resolution_from_image: bool = False
    repeats_for: str = ""
    input_seconds_of: tuple[str, ...] = ()
    assumed_input_s: int = 0
    note: str = ""


class Latency(_Part):
    """The typical time of a task in seconds, and measured examples."""

    source: Source
    typical_s: Annotated[float, Field(gt=0)]
    examples: tuple[str, ...] = ()


class ModelDescription(_Part):
    """Everything that this package knows about one model."""

    id: Annotated[str, Field(min_length=3, max_length=100, pattern=_NAME)]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    short_names: tuple[Annotated[str, Field(max_length=100, pattern=_NAME)], ...] = ()
    page: str
    status: Status
    released: date | None = None
    ends: date | None = None
    successor: str = ""
    summary: str
    makes_videos_from: tuple[str, ...] = ()
    settings_path: Literal["providerSettings.alibaba", "settings"]
    parameters: Mapping[str, ParameterLimits]
    sizes: Mapping[str, tuple[Annotated[Size, BeforeValidator(_size)], ...]]
    sizes_source: Source
    rules: tuple[Rule, ...] = ()
    price: Price | None = None
    latency: Latency | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def resolution_of_size(self) -> Mapping[Size, str]:
        """The resolution of each supported (width, height)."""
        return {size: resolution for resolution, sizes in self.sizes.items() for size in sizes}

    @property
    def short_name(self) -> str:
        """The name that commands and tables use."""
        return self.short_names[0] if self.short_names else self.id

    def limits(self, path: str) -> ParameterLimits | None:
        """Returns the limits of a parameter, by its path in the API's JSON or under `SETTINGS`; None if the model has
        no such parameter.
        """
        if path.startswith(f"{SETTINGS}."):
            path = f"settings.{path.removeprefix(f'{SETTINGS}.')}"
        return self.parameters.get(path)

    def default(self, path: str) -> Any:
        """Returns the default of a parameter, or None."""
        found = self.limits(path)
        return found.default if found else None

    @property
    def sizes_of_image_rows(self) -> frozenset[str]:
        """The parameters of a size that an image does not replace: the model takes a resolution only with inputs, or
        has one resolution for all images without a size.
        """
        with_inputs = any(
            rule.predicate == "requires" and rule.parameters == ("resolution",) and "inputs.frameImages" in rule.others
            for rule in self.rules
        )
        every = ("width", "height") if self.default("resolution") is not None else ()
        return frozenset((*every, *(["resolution"] if with_inputs else [])))

    def wire_path(self, path: str) -> str:
        """Returns the path of a parameter in the JSON that this model takes."""
        return f"{self.settings_path}{path.removeprefix(SETTINGS)}" if path.startswith(SETTINGS) else path
