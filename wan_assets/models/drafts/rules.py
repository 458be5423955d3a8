"""Recognizes the rules of a schema as predicates of this package. What is not recognized is noted, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wan_assets.models.drafts.conditions import Paths, all_of, any_of, negated, sizes_in
from wan_assets.models.drafts.notes import Notes, excerpt, is_plain, listed, mapping

_SIDES = ("width", "height")
_ABOUT = frozenset({"title", "description", "$id", "$comment"})


@dataclass(frozen=True)
class DraftRule:
    """A rule without examples; its fields are those of a description."""

    predicate: str
    at: str
    parameters: Paths
    others: Paths = ()
    value: Any = None
    sentence: str = ""
    fix: str = ""

    @property
    def named(self) -> Paths:
        """The parameters of the rule."""
        return (*self.parameters, *self.others)


def rules_of(task: Mapping[str, Any], known: Sequence[str], notes: Notes) -> Iterator[DraftRule]:
    """Yields the rules between the `known` parameters; `allOf` has one condition each."""
    if "inputs" in listed(task.get("required")):
        yield from _usable([_needs_one_of(("inputs",))], known, "required", notes)
    if "dependentRequired" in task:
        yield from _usable(_dependent(mapping(task["dependentRequired"])), known, "dependentRequired", notes)
    for number, condition in enumerate(listed(task.get("allOf"))):
        found = _rules_in(mapping(condition))
        if found is None:
            notes.add(f"allOf, number {number + 1}", f"is not understood, add it as a rule: {excerpt(condition)}")
        else:
            yield from _usable(found, known, f"allOf, number {number + 1}", notes)
    frames = mapping(mapping(mapping(task.get("properties")).get("inputs")).get("properties")).get("frameImages")
    if "contains" in mapping(frames):
        yield from _usable(_contained(mapping(frames)["contains"], notes), known, "inputs.frameImages", notes)


def sizes_of(task: Mapping[str, Any], resolutions: Sequence[Any], notes: Notes) -> dict[str, list[str]]:
    """Returns the sizes of each resolution, which is that of a size's title or of its shorter side."""
    found: dict[str, list[str]] = {}
    for title, width, height in _all_sizes(task):
        if not all(type(side) is int and side > 0 and is_plain(side) for side in (width, height)):
            notes.add("sizes", f"{excerpt([width, height])} is not a size")
            continue
        size, sides = f"{width}x{height}", f"{min(width, height)}p"
        named = next((each for each in resolutions if title.lower().startswith(str(each).lower())), None)
        resolution = named or (sides if sides in resolutions or not resolutions else None)
        if resolution is None:
            notes.add("sizes", f"the schema does not say which resolution {size} has: add it to [sizes]")
        elif size not in found.setdefault(str(resolution), []):
            found[str(resolution)].append(size)
    return found


def _all_sizes(task: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Returns the longest list of sizes; shorter ones are of single modes."""
    conditions = [mapping(each) for each in listed(task.get("allOf"))]
    lists = [sizes_in(part) for each in (task, *conditions) for part in (each, each.get("then"))]
    return max((each for each in lists if each), key=len, default=[])


def _usable(rules: Sequence[DraftRule], known: Sequence[str], where: str, notes: Notes) -> Iterator[DraftRule]:
    """Yields the rules whose parameters are all known; of those that may have one of several, the known ones."""
    for rule in rules:
        parameters, others = (_expanded(paths, known) for paths in (rule.parameters, rule.others))
        unknown = sorted({path for path in (*parameters, *others) if path not in known})
        if unknown:
            notes.add(where, f"the rule {rule.predicate} names {', '.join(unknown)}, which the draft does not have")
        else:
            at = rule.at if rule.at in ("inputs", *known) else parameters[0]
            yield _with_texts(DraftRule(rule.predicate, at, parameters, others, rule.value))


def _expanded(paths: Paths, known: Sequence[str]) -> Paths:
    """Replaces `inputs` by all inputs, and the settings of the provider by their path in descriptions."""
    found: list[str] = []
    for path in paths:
        within = [each for each in known if each.startswith(f"{path}.")] if path == "inputs" else []
        found += within or [f"settings.{path.removeprefix(f'{_PROVIDER}.')}" if path.startswith(_PROVIDER) else path]
    return tuple(dict.fromkeys(found))


_PROVIDER = "providerSettings.alibaba"


def _rules_in(condition: Mapping[str, Any]) -> list[DraftRule] | None:
    """Returns the rules that a condition means; None if it is not understood."""
    keys = {*condition} - _ABOUT
    if keys == {"dependentRequired"}:
        return _dependent(mapping(condition["dependentRequired"]))
    if keys == {"not"}:
        return _excluded(condition["not"])
    if keys == {"if", "then"}:
        return _conditional(condition["if"], mapping(condition["then"]))
    if keys in ({"anyOf"}, {"oneOf"}):
        return _alternatives(condition, is_one="oneOf" in keys)
    return None


def _dependent(dependent: Mapping[str, Any]) -> list[DraftRule]:
    if {path: listed(needed) for path, needed in dependent.items()} == {"width": ["height"], "height": ["width"]}:
        return [_together()]
    return [_requires((path,), (each,)) for path, needed in dependent.items() for each in map(str, listed(needed))]


def _excluded(node: Any) -> list[DraftRule] | None:
    """Returns the rule of a condition under `not`: two parameters, or two groups of which one of each is given."""
    parts = listed(mapping(node).get("allOf"))
    pair = all_of(node)
    if len(parts) == 2 and (one := any_of(parts[0])) and (other := any_of(parts[1])):
        return [_excludes(one, other)]
    return [_excludes(pair[:1], pair[1:])] if pair and len(pair) == 2 else None


def _conditional(condition: Any, then: Mapping[str, Any]) -> list[DraftRule] | None:
    unless = any_of(negated(condition)) if negated(condition) is not None else None
    if unless:
        if one := any_of(then):
            is_prompt = len(one) == 1 and one != ("inputs",)
            return [_required_without(one, unless) if is_prompt else _needs_one_of((*one, *unless))]
        needed = all_of(then)
        return [_required_without(needed, unless)] if needed else None
    given = any_of(condition)
    if not given:
        return None
    if (excluded := negated(then)) is not None:
        return [_excludes(given, others)] if (others := any_of(excluded)) else None
    return _consequences(given, then)


def _consequences(given: Paths, then: Mapping[str, Any]) -> list[DraftRule] | None:
    """Returns what follows from one of some given parameters."""
    if sizes_in(then):
        return (
            [_together(), _in_sizes()] if {*given} <= {*_SIDES} and {*then} <= {"required", "oneOf", "anyOf"} else None
        )
    if (others := any_of(then)) and {*given} != {*_SIDES}:
        return [_requires(given, others)]
    if needed := all_of(then):
        if {*needed} == {*_SIDES} and {*given} <= {*_SIDES}:
            return [_together()]
        return [_requires(given, (path,)) for path in needed if path not in given]
    limited = mapping(mapping(then.get("properties")).get("duration"))
    if {*then} == {"properties"} and {*mapping(then["properties"])} == {"duration"} and {*limited} == {"maximum"}:
        most = limited["maximum"]
        return [DraftRule("at_most_with", "duration", ("duration",), given, most)] if type(most) is int else None
    return None


def _alternatives(condition: Mapping[str, Any], *, is_one: bool) -> list[DraftRule] | None:
    """Returns the rules of `anyOf` or `oneOf`; with `oneOf`, the alternatives exclude each other."""
    if sizes_in(condition):
        return [_in_sizes()]
    parts = [any_of(each) or all_of(each) for each in listed(condition["oneOf" if is_one else "anyOf"])]
    alternatives = [part for part in parts if part]
    is_alike = all(len(part) == 1 or {*part} == {*_SIDES} for part in alternatives)
    if len(alternatives) != len(parts) or not parts or not is_alike:
        return None
    rules = [_needs_one_of(tuple(path for part in alternatives for path in part))]
    pairs = [(one, other) for at, one in enumerate(alternatives) for other in alternatives[at + 1 :]]
    return [*rules, *(_excludes(one, other) for one, other in pairs if is_one)]


def _contained(node: Any, notes: Notes) -> list[DraftRule]:
    frame = mapping(mapping(mapping(mapping(node).get("not")).get("properties")).get("frame"))
    if listed(frame.get("enum")) == ["last", -1]:
        return [DraftRule("not_only_last", "inputs.frameImages", ("inputs.frameImages",))]
    notes.add("inputs.frameImages", f"contains is not understood, add it as a rule: {excerpt(node)}")
    return []


def _together() -> DraftRule:
    return DraftRule("together", "height", _SIDES)


def _in_sizes() -> DraftRule:
    return DraftRule("in_sizes", "width", _SIDES)


def _excludes(one: Paths, other: Paths) -> DraftRule:
    return DraftRule("excludes", one[0], one, other)


def _requires(given: Paths, others: Paths) -> DraftRule:
    return DraftRule("requires", given[0], given, others)


def _required_without(needed: Paths, others: Paths) -> DraftRule:
    return DraftRule("required_without", needed[0], needed, others)


def _needs_one_of(paths: Paths) -> DraftRule:
    return DraftRule("needs_one_of", paths[0], paths)


def _with_texts(rule: DraftRule) -> DraftRule:
    one, others = _either(rule.parameters), _either(rule.others)
    texts = {
        "together": ("must be given together with {given}", "add {missing}"),
        "in_sizes": ("{given} is not supported; allowed: {allowed}", "try {nearest}"),
        "excludes": (f"cannot be used with {others}", "remove one of them"),
        "requires": (f"can be used only with {others}", f"add {others}, or remove {one}"),
        "required_without": (f"is required without {others}", "add {missing}"),
        "needs_one_of": (f"is required, or another one of {', '.join(rule.parameters)}", f"give {one}"),
        "at_most_with": (f"can be at most {rule.value} with {others}", f"use {rule.value} or less"),
        "not_only_last": ("needs an image that is not of the last frame", "add the first frame"),
    }
    sentence, fix = texts[rule.predicate]
    return DraftRule(rule.predicate, rule.at, rule.parameters, rule.others, rule.value, sentence, fix)


def _either(paths: Paths) -> str:
    return f"{', '.join(paths[:-1])} or {paths[-1]}" if len(paths) > 1 else "".join(paths)
