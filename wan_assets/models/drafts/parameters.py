"""Reads the parameters of a schema: types, limits, defaults and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wan_assets.models.description import ParameterLimits, Source
from wan_assets.models.description_checks import INPUTS, OF_ALL_MODELS, OF_MODELS, allows
from wan_assets.models.drafts.notes import Notes, excerpt, is_plain, listed, mapping

_SIZE = ("width", "height")
_KNOWN = frozenset(
    {
        *("type", "title", "description", "$id", "examples", "format", "pattern", "x-order", "items", "contains"),
        *("enum", "const", "default", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "oneOf"),
        *("anyOf", "properties", "required", "additionalProperties"),
    }
)
_OF_ALL = {"seed": (0, 2147483647), "numberResults": (1, 4), "outputQuality": (20, 99)}
_PROVIDER = "alibaba"


def parameters_of(task: Mapping[str, Any], notes: Notes) -> dict[str, dict[str, Any]]:
    """Returns the parameters of the model by path, as a description has them."""
    required = set(map(str, listed(task.get("required"))))
    found = {}
    for path, node in _nodes_of(mapping(task.get("properties")), notes):
        limits = _size_of(path, node, notes) if path in _SIZE else _limits_of(path, node, notes)
        if path in required:
            limits = {"required": True, **limits}
        found[path] = limits
    return found


def settings_path_of(task: Mapping[str, Any], notes: Notes) -> str:
    """Returns where the schema has the settings; `settings`, the newer place, if it has none or both."""
    properties = mapping(task.get("properties"))
    if "settings" in properties and "providerSettings" in properties:
        notes.add("providerSettings", "the schema has settings too; the description uses settings only")
    return (
        "providerSettings.alibaba" if "providerSettings" in properties and "settings" not in properties else "settings"
    )


def _nodes_of(properties: Mapping[str, Any], notes: Notes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, node in properties.items():
        if name in OF_MODELS:
            yield name, mapping(node)
        elif name in OF_ALL_MODELS:
            _compare(name, mapping(node), notes)
        elif name == "inputs":
            yield from _inputs_of(mapping(mapping(node).get("properties")), notes)
        elif name == "settings":
            yield from _settings_of(mapping(mapping(node).get("properties")), name, notes)
        elif name == "providerSettings":
            yield from _provider_settings_of(mapping(mapping(node).get("properties")), "settings" in properties, notes)
        else:
            notes.add(name, "requests of this package cannot have this parameter; it is left out")


def _inputs_of(inputs: Mapping[str, Any], notes: Notes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, node in inputs.items():
        if name in INPUTS:
            yield f"inputs.{name}", mapping(node)
        else:
            notes.add(f"inputs.{name}", "requests of this package cannot have this input; it is left out")


def _settings_of(settings: Mapping[str, Any], at: str, notes: Notes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, node in settings.items():
        if name.isidentifier() and mapping(node).get("type") != "object":
            yield f"settings.{name}", mapping(node)
        else:
            notes.add(f"{at}.{name}", "is not a setting with one value; it is left out")


def _provider_settings_of(
    providers: Mapping[str, Any], is_left_out: bool, notes: Notes
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, node in providers.items():
        if name == _PROVIDER and not is_left_out:
            yield from _settings_of(mapping(mapping(node).get("properties")), f"providerSettings.{name}", notes)
        else:
            notes.add(f"providerSettings.{name}", "settings of this provider are left out")


def _compare(name: str, node: Mapping[str, Any], notes: Notes) -> None:
    """Reports limits of a parameter of all models that differ from those which this package has."""
    expected = _OF_ALL.get(name)
    given = (node.get("minimum"), node.get("maximum"))
    if expected and given not in ((None, None), expected):
        notes.add(name, f"is {given[0]} to {given[1]} in the schema; this package has {expected[0]} to {expected[1]}")


def _size_of(path: str, node: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    for key in ("default", "enum", "minimum", "maximum", "multipleOf"):
        if key in node:
            notes.add(path, f"{key} {excerpt(node[key])} is left out: [sizes] has the allowed sizes")
    return {"type": "size", "source": "schema"}


def _limits_of(path: str, node: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    found = dict(_limits_in(path, node, notes))
    for key in node.keys() - _KNOWN:
        notes.add(path, f"{key} {excerpt(node[key])} is not understood")
    if path.startswith("inputs."):
        found = {**_of_media(node), "type": "media"}
    elif node.get("type") == "boolean":
        found["type"] = "boolean"
    source: Source = "schema" if _is_limited(found) else "unknown"
    found["source"] = source
    if "default" in found and not allows(ParameterLimits(**found), found["default"]):
        notes.add(path, f"the default {excerpt(found.pop('default'))} is not an allowed value")
    return found


def _is_limited(found: Mapping[str, Any]) -> bool:
    return bool(found.keys() & {"values", "maximum", "max_characters", "max_items"}) or found.get("type") == "boolean"


def _limits_in(path: str, node: Mapping[str, Any], notes: Notes) -> Iterator[tuple[str, Any]]:
    """Yields the limits of a value; alternatives of `oneOf` and `anyOf` add values and one range."""
    names = {"minLength": "min_characters", "maxLength": "max_characters", "minimum": "minimum", "maximum": "maximum"}
    parts = [node, *(mapping(each) for key in ("oneOf", "anyOf") for each in listed(node.get(key)))]
    for key, name in names.items():
        given = [part[key] for part in parts if key in part]
        if len(given) == 1 and type(given[0]) is int and is_plain(given[0]):
            yield name, given[0]
        elif given:
            notes.add(path, f"{key} {excerpt(given)} is not one whole number")
    values = [
        value for part in parts for value in (*listed(part.get("enum")), *([part["const"]] if "const" in part else []))
    ]
    if any(not is_plain(value) for value in values):
        notes.add(path, f"some of the values {excerpt(values)} cannot be written in a table; they are left out")
    if values := [value for value in values if is_plain(value)]:
        yield "values", values
    if "default" in node:
        if is_plain(node["default"]):
            yield "default", node["default"]
        else:
            notes.add(path, f"the default {excerpt(node['default'])} is not understood")


def _of_media(node: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the limits of a list of media; a single one is at most one."""
    most = node.get("maxItems") if node.get("type") == "array" else 1
    found: dict[str, Any] = {"max_items": most} if type(most) is int and most > 0 and is_plain(most) else {}
    items = mapping(node.get("items"))
    for item in (items, *map(mapping, listed(items.get("anyOf"))), *map(mapping, listed(items.get("oneOf")))):
        frame = mapping(mapping(item.get("properties")).get("frame"))
        frames = [*listed(frame.get("enum")), *(mapping(each).get("const") for each in listed(frame.get("oneOf")))]
        if frames := [each for each in frames if is_plain(each) and not isinstance(each, bool)]:
            found["frames"] = frames
    return found
