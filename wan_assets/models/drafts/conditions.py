"""Reads conditions of a JSON schema on the presence of parameters: which of them must be given, or one of which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from wan_assets.models.drafts.notes import listed, mapping

Paths: TypeAlias = tuple[str, ...]

_ABOUT = frozenset({"title", "description", "$id", "$comment", "type"})
_GROUPS = ("inputs", "settings", "providerSettings")


def any_of(node: Any, prefix: str = "") -> Paths | None:
    """Returns the paths of which at least one is given if a condition holds; None if it means anything else."""
    node, keys = mapping(node), _keys_of(node)
    if keys == {"anyOf"} or (keys == {"oneOf"} and len(listed(node["oneOf"])) == 1):
        return _union(any_of(each, prefix) for each in listed(next(iter(node[key] for key in keys))))
    return found if (found := all_of(node, prefix)) and len(found) == 1 else _any_in_group(node, prefix)


def all_of(node: Any, prefix: str = "") -> Paths | None:
    """Returns the paths that are all given if a condition holds; None if it means anything else."""
    node, keys = mapping(node), _keys_of(node)
    if keys == {"allOf"}:
        return _union(all_of(each, prefix) for each in listed(node["allOf"]))
    names = listed(node.get("required"))
    groups = mapping(node.get("properties"))
    if not keys <= {"required", "properties"} or not names or not all(isinstance(name, str) for name in names):
        return None
    if not groups.keys() <= set(names) or any(f"{prefix}{name}" not in _NESTED for name in groups):
        return None
    inside = _union(all_of(groups[name], f"{prefix}{name}.") for name in groups) if groups else ()
    direct = tuple(f"{prefix}{name}" for name in names if name not in groups)
    return None if inside is None else (*direct, *inside)


_NESTED = (*_GROUPS, "providerSettings.alibaba")


def _any_in_group(node: Mapping[str, Any], prefix: str) -> Paths | None:
    """Returns the paths of `{"properties": {"inputs": {"anyOf": …}}, "required": ["inputs"]}`."""
    groups = mapping(node.get("properties"))
    if _keys_of(node) != {"required", "properties"} or len(groups) != 1 or [*groups] != node["required"]:
        return None
    name, inside = next(iter(groups.items()))
    return any_of(inside, f"{prefix}{name}.") if f"{prefix}{name}" in _NESTED else None


def negated(node: Any) -> Any:
    """Returns the condition in a `not`; None if the condition is not negated."""
    return mapping(node).get("not") if _keys_of(node) == {"not"} else None


def sizes_in(node: Any) -> list[tuple[str, Any, Any]] | None:
    """Returns title, width and height of each alternative of a `oneOf` or `anyOf` of sizes; None if it is no such."""
    found = []
    for each in map(mapping, listed(mapping(node).get("oneOf")) or listed(mapping(node).get("anyOf"))):
        sides = mapping(each.get("properties"))
        if sides.keys() != {"width", "height"}:
            return None
        width, height = (mapping(sides[side]).get("const") for side in ("width", "height"))
        found.append((str(each.get("title", "")), width, height))
    return found or None


def _keys_of(node: Any) -> set[str]:
    return {*mapping(node)} - _ABOUT


def _union(parts: Iterable[Paths | None]) -> Paths | None:
    found = [*parts]
    if not found or any(part is None for part in found):
        return None
    return tuple(dict.fromkeys(path for part in found for path in part or ()))
