"""Where the settings of a request are in the API's JSON: all models have the same ones in one of two places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from wan_assets.models import rules
from wan_assets.models.description import ModelDescription, ParameterLimits

KNOWN_SETTINGS = frozenset({"audio", "promptExtend", "shotType"})
"""The settings whose types are those of fields of requests; a described model may have further ones."""

_PROVIDERS, _PROVIDER = ("providerSettings", "provider_settings"), "alibaba"


def completed(given: Mapping[str, Any], model: ModelDescription) -> dict[str, Any]:
    """Returns the given values with `settings` among those of the provider, and with the defaults that are sent.

    Raises `PydanticCustomError` if a setting is given twice with different values.
    """
    found = dict(given)
    limits = model.limits("duration")
    if limits and limits.send_default:
        found.setdefault("duration", limits.default)
    given_settings = found.pop("settings", None)
    if given_settings is None:
        return _with_types(found, model)
    if not isinstance(_plain(given_settings), Mapping):
        raise rules.error_of("model_type", "must be an object with named fields", "write an object")
    settings = _in_camel_case(_as_mapping(given_settings))
    name = next((name for name in _PROVIDERS if found.get(name) is not None), _PROVIDERS[0])
    provider = _as_mapping(found.get(name))
    alibaba = _in_camel_case(_as_mapping(provider.get(_PROVIDER)))
    twice = [key for key, value in settings.items() if alibaba.get(key, value) != value]
    if twice:
        rule = f"gives {twice[0]} another value than providerSettings.alibaba"
        raise rules.error_of("given_twice", rule, "remove one of them")
    found[name] = {**provider, _PROVIDER: {**alibaba, **settings}}
    return _with_types(found, model)


def _with_types(given: dict[str, Any], model: ModelDescription) -> dict[str, Any]:
    """Converts the texts of settings that only this model has to numbers and booleans, as its limits say."""
    name = next((name for name in _PROVIDERS if given.get(name) is not None), "")
    provider = _as_mapping(given.get(name))
    settings = _in_camel_case(_as_mapping(provider.get(_PROVIDER)))
    own = {key: _typed(value, limits) for key, value in settings.items() if (limits := _own_limits(key, model))}
    return {**given, name: {**provider, _PROVIDER: {**settings, **own}}} if own else given


def _own_limits(setting: str, model: ModelDescription) -> ParameterLimits | None:
    return None if setting in KNOWN_SETTINGS else model.limits(f"settings.{setting}")


def _typed(value: Any, limits: ParameterLimits) -> Any:
    if not isinstance(value, str) or value in limits.values:
        return value
    if limits.type == "boolean":
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    is_number = limits.type == "number" or limits.longest is not None or limits.shortest is not None
    return _number(value) if is_number and _NUMBER.fullmatch(value) else value


def _number(text: str) -> int | float:
    try:
        whole: int = rules.number(text)
    except PydanticCustomError:
        return float(text)
    return whole


_NUMBER = re.compile(r"\s*[+-]?\d{1,15}(\.\d{1,15})?\s*")


def placed(given: dict[str, Any], model: ModelDescription) -> dict[str, Any]:
    """Returns the JSON of a request with its settings where the model expects them."""
    if model.settings_path == "settings" and "providerSettings" in given:
        alibaba = given.pop("providerSettings").get(_PROVIDER)
        return {**given, "settings": alibaba} if alibaba is not None else given
    return given


def _plain(value: Any) -> Any:
    return value.model_dump(by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


def _as_mapping(value: Any) -> Mapping[str, Any]:
    plain = _plain(value)
    return plain if isinstance(plain, Mapping) else {}


def _in_camel_case(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {camel_name(str(name)): value for name, value in settings.items() if value is not None}


def camel_name(name: str) -> str:
    """Returns a name in camel case; one without underscores is in camel case already."""
    return to_camel(name) if "_" in name else name
