"""Requests that differ in their texts and seeds only: their other parameters are checked once for all of them.

A table of a million prompts has few different settings. A request of a template has the fingerprint, the validity and
the price of a `VideoRequest` with the same parameters, without one being built.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import sha256
from json.encoder import encode_basestring as json_of_text
from typing import Any, TypeAlias, TypeGuard

from wan_assets.models.description import ModelDescription
from wan_assets.models.limits import LONGEST_TEXT
from wan_assets.models.prompt_text import begin_visibly, is_visible, normalized
from wan_assets.models.request import MAX_SEED, VideoRequest, json_of
from wan_assets.models.rules import has_control_character

_NULL = json_of(None)
_SEED_DIGITS = 10
_TEXTS_AT_ONCE = 100
"""Texts that are normalized together; one that is not in its normal form delays only these."""

_OWN = ("negative_prompt", "positive_prompt", "seed")
"""The parameters that differ between the requests of one template, as they are sorted in the JSON of a fingerprint."""

OwnValues: TypeAlias = tuple[Any, Any, Any]
"""The positive prompt, the negative prompt and the seed of a request; the last two may be None."""


class RequestTemplate:
    """The parameters that many requests share, given as `VideoRequest` accepts them.

    Raises `pydantic.ValidationError` if requests with these parameters are not valid.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if name not in _OWN}
        self.example = VideoRequest.model_validate({**self._given, "positive_prompt": "A red kite"})
        parts = ["{"]
        for name, value in sorted(self.example.decisive().items()):
            is_first = parts == ["{"]
            parts[-1] += f"{'' if is_first else ','}{json_of(name)}:"
            if name in _OWN:
                parts.append("")
            else:
                parts[-1] += json_of(value)
        before, self.to_positive, self.to_seed, rest = parts
        self.before, self.after = before, f"{rest}}}"
        self.before_positive = f"{before}{_NULL}{self.to_positive}"

    @property
    def has_rules_of_own_values(self) -> bool:
        """Whether the model has a rule between parameters that the values of a single request may break."""
        return has_rules_of_own_values(self.example.description)

    def lengths(self, path: str) -> tuple[int, int]:
        """Returns the fewest and the most characters of a prompt; no text fits if the model does not have it."""
        return lengths_of_prompt(self.example.description, path)

    def request(self, own: OwnValues) -> VideoRequest:
        """Returns the request itself, with its values as they were written."""
        positive, negative, seed = own
        given = {"positive_prompt": positive, "negative_prompt": negative, "seed": seed}
        return VideoRequest.model_validate({**self._given, **given})


def has_rules_of_own_values(model: ModelDescription) -> bool:
    """Whether a model has a rule between parameters that the prompts or the seed of a request may break."""
    return any(
        "positivePrompt" in rule.others or {"negativePrompt", "seed"} & {*rule.parameters, *rule.others}
        for rule in model.rules
    )


def lengths_of_prompt(model: ModelDescription, path: str) -> tuple[int, int]:
    """Returns the fewest and the most characters of a prompt of a model; no text fits if it does not have it."""
    limits = model.limits(path)
    return (limits.min_characters or 1, limits.max_characters or LONGEST_TEXT) if limits else (1, 0)


class TemplateRequest:
    """One request of a template, with its own values as written and in their normal form.

    The `VideoRequest` is built when it is first needed.
    """

    __slots__ = ("_fingerprint", "_own", "_request", "normal", "template")

    def __init__(self, template: RequestTemplate, own: OwnValues, normal: OwnValues, fingerprint: bytes) -> None:
        self.template = template
        self.normal = normal
        self._own = own
        self._fingerprint = fingerprint
        self._request: VideoRequest | None = None

    @property
    def request(self) -> VideoRequest:
        """The request itself."""
        if self._request is None:
            self._request = self.template.request(self._own)
        return self._request

    def fingerprint(self) -> str:
        """Returns the fingerprint of the request."""
        return self._fingerprint.hex()

    def __eq__(self, other: object) -> bool:
        return self.request == (other.request if isinstance(other, TemplateRequest) else other)

    def __hash__(self) -> int:
        return hash(self._fingerprint)


def fingerprints_of(
    templates: Sequence[RequestTemplate],
    prompts: Sequence[str],
    negative_prompts: Sequence[str | None],
    seeds: Sequence[int | None],
) -> list[bytes]:
    """Returns the fingerprints, in binary, of requests whose texts are in their normal form."""
    numbers = [_NULL if seed is None else seed for seed in seeds]
    if any(negative_prompts):
        negatives = [_NULL if text is None else json_of_text(text) for text in negative_prompts]
        starts = [f"{t.before}{text}{t.to_positive}" for t, text in zip(templates, negatives, strict=True)]
    else:
        starts = [template.before_positive for template in templates]
    return [
        sha256(f"{start}{json_of_text(text)}{t.to_seed}{number}{t.after}".encode()).digest()
        for t, start, text, number in zip(templates, starts, prompts, numbers, strict=True)
    ]


def normal_prompts(texts: Sequence[Any], characters: int = LONGEST_TEXT) -> list[str | None]:
    """Returns the normal form of each prompt; None if it is not text, not valid, or has more characters."""
    parts = (texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE))
    return [normal for part in parts for normal in _normal_part(part, characters)]


def normal_values(
    templates: Sequence[RequestTemplate | None],
    prompts: Sequence[Any],
    negative_prompts: Sequence[Any],
    seeds: Sequence[Any],
) -> tuple[list[str | None], list[str | None], list[int | None]]:
    """Returns the values of requests of some templates in their normal form; None for those that are missing or may not
    be valid, such as texts that are longer than the model of the template allows.
    """
    return (
        _lengths_checked(templates, normal_prompts(prompts), "positivePrompt"),
        _lengths_checked(templates, normal_prompts(negative_prompts), "negativePrompt"),
        _whole_seeds(seeds),
    )


def _lengths_checked(
    templates: Sequence[RequestTemplate | None], texts: Sequence[str | None], path: str
) -> list[str | None]:
    lengths = [len(text) for text in texts if text is not None]
    if not lengths:
        return list(texts)
    limits = {template: template.lengths(path) for template in set(templates) if template}
    shortest, longest = min(lengths), max(lengths)
    if all(low <= shortest and longest <= high for low, high in limits.values()):
        return list(texts)
    return [
        text if text is None or template is None or limits[template][0] <= len(text) <= limits[template][1] else None
        for template, text in zip(templates, texts, strict=True)
    ]


def _normal_part(texts: Sequence[Any], characters: int) -> list[str | None]:
    given = texts if None not in texts else [text for text in texts if text is not None]
    if are_texts(given) and _are_normal(given) and max(map(len, given)) <= characters:
        return [text or None for text in texts]
    return [_normal_prompt(text, characters) if type(text) is str else None for text in texts]


def _are_normal(texts: Sequence[str]) -> bool:
    """Whether all texts are in their normal form: they are printable, without spaces at their ends, and in NFC, in
    which every part of a text in NFC is.
    """
    joined = "".join(texts)
    if not joined.isprintable() or list(map(str.strip, texts)) != list(texts):
        return False
    return joined.isascii() or (unicodedata.is_normalized("NFC", joined) and begin_visibly(texts))


def _normal_prompt(text: str, characters: int) -> str | None:
    is_plain = text.isprintable() and text[:1] != " " and text[-1:] != " "
    if is_plain and (text.isascii() or (unicodedata.is_normalized("NFC", text) and is_visible(text))):
        normal = text
    elif has_control_character(text) or not is_visible(text):
        return None
    else:
        normal = normalized(text)
    return normal if 1 <= len(normal) <= characters else None


def _whole_seeds(values: Sequence[Any]) -> list[int | None]:
    """Returns the seeds that are integers or written in digits; None for all other values, valid or not."""
    if are_texts(values) and all(values) and max(map(len, values)) <= _SEED_DIGITS:
        joined = "".join(values)
        if joined.isascii() and joined.isdigit() and max(numbers := list(map(int, values))) <= MAX_SEED:
            return [*numbers]
    return [_whole_seed(value) for value in values] if any(value is not None for value in values) else list(values)


def _whole_seed(value: Any) -> int | None:
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _SEED_DIGITS:
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_SEED else None


def are_texts(values: Sequence[Any]) -> TypeGuard[Sequence[str]]:
    """Whether all of at least one values are texts."""
    return set(map(type, values)) == {str}
