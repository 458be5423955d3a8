"""Dagster's options of an asset, and the check of the keywords of public functions."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypedDict, TypeVar, cast

import dagster as dg

from wan_assets.models import closest_name
from wan_assets.orchestration.asset_names import DEFAULT_NAME, Key, key_of

P = ParamSpec("P")
T = TypeVar("T")

_SHARED = ("group_name", "owners", "tags")


Deps: TypeAlias = Iterable[Key | dg.AssetSpec | dg.AssetsDefinition | dg.SourceAsset | dg.AssetDep]


class AssetOptions(TypedDict, total=False):
    """Options of one asset, with the names and meanings of `dagster.asset`."""

    deps: Deps
    owners: Iterable[str]
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]
    description: str
    kinds: Collection[str]
    group_name: str
    automation_condition: dg.AutomationCondition[dg.AssetKey]
    freshness_policy: dg.FreshnessPolicy


class ReviewOptions(TypedDict, total=False):
    """Options of reviews, which the videos' asset and the job for missing videos share."""

    review: bool
    max_takes: int
    retake_rejected: bool


ASSET_OPTIONS = AssetOptions.__optional_keys__


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options without those that are None, which mean the default."""
    return {name: value for name, value in options.items() if value is not None}


def dependency_keys(deps: Iterable[Any]) -> list[dg.AssetKey]:
    """Returns the keys of upstream assets in any form that `deps` may have."""
    _refuse_text("deps", deps)
    return [dep.asset_key for dep in dg.AssetSpec("any", deps=[_dep_of(dep) for dep in deps]).deps]


def shared_options(options: AssetOptions, *also: str) -> AssetOptions:
    """Returns the options that also apply to the assets around the one for which they were given."""
    return cast(AssetOptions, {name: value for name, value in options.items() if name in (*_SHARED, *also)})


def asset_arguments(
    options: Mapping[str, Any],
    *,
    description: str,
    kinds: Collection[str],
    deps: Sequence[dg.AssetKey | dg.AssetDep] = (),
) -> dict[str, Any]:
    """Returns the arguments of an asset: the options that were given, and defaults for the others.

    Its own `deps` come before those that were given.
    """
    given = {name: value for name, value in given_options(options).items() if name in ASSET_OPTIONS}
    for name in ("deps", "owners", "kinds"):
        _refuse_text(name, given.get(name))
    return {
        "group_name": DEFAULT_NAME,
        "description": description,
        **given,
        "owners": list(given.get("owners", ())),
        "kinds": set(given.get("kinds", kinds)),
        "deps": [*deps, *map(_dep_of, given.get("deps", ()))],
    }


def defined_asset(function: Callable[..., Any], **arguments: Any) -> dg.AssetsDefinition:
    """Returns the asset that `function` materializes."""
    with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):  # `backfill_policy` is in beta
        defined: dg.AssetsDefinition = dg.asset(**arguments)(function)
    return defined


def _refuse_text(name: str, value: Any) -> None:
    """Raises `TypeError` for a text instead of a list: Python would use each of its letters."""
    if isinstance(value, str):
        raise TypeError(f"{name} is a list, not a text; write {name}=[{value!r}]")


def _dep_of(dep: Any) -> Any:
    """Returns a dependency as Dagster accepts it: a text with slashes is a key of several parts."""
    return key_of(dep) if isinstance(dep, (str, list, tuple)) else dep


def known_keywords(*options: Any) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a function refuse keywords that are neither its parameters nor in `options`, with the closest known one.

    At run time, Python accepts any keyword for `**options: Unpack[…]`.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        parameters = inspect.signature(function).parameters.values()
        known = [each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
        known += [name for each in options for name in each.__optional_keys__]

        @wraps(function)
        def checked(*arguments: P.args, **keywords: P.kwargs) -> T:
            check_keywords(f"{function.__name__}()", keywords, known)
            return function(*arguments, **keywords)

        return checked

    return decorate


def check_options(place: str, options: Any) -> None:
    """Raises `TypeError` if `options` is not a dictionary of asset options."""
    if not isinstance(options, Mapping):
        raise TypeError(f"{place} is a dictionary of options, not {type(options).__name__}")
    check_keywords(place, options, ASSET_OPTIONS)


def check_keywords(place: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raises `TypeError` for the first unknown keyword; `place` is the function or the argument that was given it."""
    for name in given:
        if name not in known:
            close = closest_name(name, known)
            hint = f"did you mean {close!r}?" if close else f"the keywords are {', '.join(sorted(known))}"
            raise TypeError(f"{place} got an unexpected keyword argument {name!r}; {hint}")
