"""Finds a valid and an invalid example for each rule of a draft, by trying requests with few parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from wan_assets.models.drafts.rules import DraftRule
from wan_assets.models.predicates import PREDICATES, Given

_MAX_PARAMETERS = 3
_MAX_ATOMS = 12
"""Parameters that are tried, so that the time is limited for any schema."""

_SAMPLES = {"documents": "story.pdf", "urls": "story", "audio": "wind.mp3", "referenceAudios": "wind.mp3"}

Request = dict[str, Any]


class Examples:
    """The examples for rules between some parameters, with the sizes of the model."""

    def __init__(self, parameters: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, Sequence[str]]) -> None:
        every = [size for each in sizes.values() for size in each]
        self._sizes = [(int(width), int(height)) for width, _, height in (size.partition("x") for size in every)]
        self._defaults = {path: limits.get("default") for path, limits in parameters.items()}
        self._required = [path for path, limits in parameters.items() if limits.get("required")]
        self._samples = {path: _sample(path, limits) for path, limits in parameters.items()}
        if self._sizes:
            self._samples |= dict(zip(("width", "height"), self._sizes[0], strict=True))

    def of(self, rule: DraftRule, rules: Sequence[DraftRule]) -> tuple[Request, Request] | None:
        """Returns a valid and an invalid example of a rule, or None. The best ones have a parameter of the rule, and
        break no other rule.
        """
        valid: dict[int, Request] = {}
        invalid: dict[int, Request] = {}
        for request in self._requests(rule):
            view = Given(_nested(request, of_provider=True), self._sizes, self._default)
            is_broken, others = (
                self._breaks(view, rule),
                sum(self._breaks(view, each) for each in rules if each != rule),
            )
            if is_broken:
                invalid.setdefault(others, request)
            elif not others:
                valid.setdefault(int(not {*request} & {*rule.parameters}), request)
            if 0 in valid and 0 in invalid:
                break
        return (_nested(valid[min(valid)]), _nested(invalid[min(invalid)])) if valid and invalid else None

    def _breaks(self, view: Given, rule: DraftRule) -> bool:
        if rule.predicate == "in_sizes" and not self._sizes:
            return False
        return bool([*PREDICATES[rule.predicate](_as_given(rule), view)])

    def _default(self, path: str) -> Any:
        return self._defaults.get(path.replace(_PROVIDER, "settings"))

    def _requests(self, rule: DraftRule) -> Iterator[dict[str, Any]]:
        """Yields requests, those with the rule's parameters first."""
        pairs = [("width", "height")] if {"width", "height"} <= self._samples.keys() else []
        single = [(path,) for path in self._samples if path not in self._required]
        atoms = sorted([*pairs, *single], key=lambda atom: not {*atom} & {*rule.named})[:_MAX_ATOMS]
        for count in range(_MAX_PARAMETERS + 1):
            for chosen in combinations(atoms, count):
                paths = [*self._required, *dict.fromkeys(path for atom in chosen for path in atom)]
                yield from self._filled(paths, rule)

    def _filled(self, paths: Sequence[str], rule: DraftRule) -> Iterator[dict[str, Any]]:
        request = {path: self._samples[path] for path in paths}
        yield request
        if rule.predicate == "in_sizes" and {"width", "height"} <= request.keys():
            yield {**request, "height": request["height"] + 1}
        if rule.predicate == "at_most_with" and "duration" in request:
            yield from ({**request, "duration": rule.value + more} for more in (0, 1))
        if rule.predicate == "not_only_last" and "inputs.frameImages" in request:
            yield {**request, "inputs.frameImages": [{"image": _address("hill.png"), "frame": "last"}]}


_PROVIDER = "providerSettings.alibaba"


def _as_given(rule: DraftRule) -> DraftRule:
    parameters, others = (
        tuple(path.replace("settings.", f"{_PROVIDER}.") for path in paths) for paths in (rule.parameters, rule.others)
    )
    return DraftRule(rule.predicate, rule.at, parameters, others, rule.value)


def _nested(given: Mapping[str, Any], *, of_provider: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in given.items():
        *groups, name = (path.replace("settings.", f"{_PROVIDER}.") if of_provider else path).split(".")
        target = found
        for group in groups:
            target = target.setdefault(group, {})
        target[name] = value
    return found


def _sample(path: str, limits: Mapping[str, Any]) -> Any:
    head, _, name = path.rpartition(".")
    if head == "inputs":
        address = _address(_SAMPLES.get(name, "hill.mp4" if "Video" in name else "hill.png"))
        return address if name == "audio" else [address]
    if limits.get("type") == "boolean":
        return True
    known = [limits.get("default"), *limits.get("values", ()), limits.get("minimum")]
    given = next((value for value in known if value is not None), None)
    if path in ("width", "height"):
        return 720
    return "A red kite" if given is None else given


def _address(name: str) -> str:
    return f"https://example.com/{name}"
