"""The names of everything that is defined for one videos asset, derived from its key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeAlias

import dagster as dg

Key: TypeAlias = str | Sequence[str] | dg.AssetKey
KeyPrefix: TypeAlias = str | Sequence[str]

DEFAULT_NAME = "videos"
_VALID_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class AssetNames:
    """The keys and names of the definitions around the asset `videos`.

    >>> names = AssetNames.of("trailers", key_prefix="marketing")
    >>> names.prompts.to_user_string(), names.named("sensor")
    ('marketing/trailers_prompts', 'marketing__trailers_sensor')
    """

    videos: dg.AssetKey

    @classmethod
    def of(cls, name: str | None = None, key: Key | None = None, key_prefix: KeyPrefix | None = None) -> Self:
        """Returns the names for a key, or for a name below a prefix; by default for `videos`.

        Raises `DagsterInvalidDefinitionError` for both, and for an invalid name.
        """
        if key is not None:
            if name is not None or key_prefix is not None:
                raise dg.DagsterInvalidDefinitionError("give either `key`, or `name` and `key_prefix`")
            return cls(key_of(key))
        prefix = [] if key_prefix is None else list(key_of(key_prefix).path)
        return cls(dg.AssetKey([*prefix, _valid(DEFAULT_NAME if name is None else name)]))

    @property
    def prompts(self) -> dg.AssetKey:
        """The key of the prompt table's asset."""
        return self.beside("prompts")

    @property
    def requests(self) -> dg.AssetKey:
        """The key of the requests' asset."""
        return self.beside("requests")

    @property
    def partitions(self) -> str:
        """The name of the dynamic partitions: the key as text."""
        return "/".join(self.videos.path)

    @cached_property
    def identifier(self) -> str:
        """The key as a name of an op, a sensor, a job or a pool, which Dagster restricts to letters, digits and `_`."""
        return re.sub(r"[^A-Za-z0-9_]", "_", "__".join(self.videos.path))

    def named(self, suffix: str) -> str:
        """Returns the name of a sensor, a job or an op."""
        return f"{self.identifier}_{suffix}"

    def beside(self, suffix: str) -> dg.AssetKey:
        """Returns the key `<name>_<suffix>`, with the prefix of the videos."""
        return self._sibling(f"{self.videos.path[-1]}_{suffix}")

    def beside_or(self, name: str | None, suffix: str) -> dg.AssetKey:
        """Returns the key of a given name, with the prefix of the videos; without a name, `<name>_<suffix>`."""
        return self.beside(suffix) if name is None else self._sibling(_valid(name))

    def _sibling(self, name: str) -> dg.AssetKey:
        return dg.AssetKey([*self.videos.path[:-1], name])


def key_of(key: Key) -> dg.AssetKey:
    """Returns a key; a slash in a text separates its parts."""
    if isinstance(key, dg.AssetKey):
        return key
    return dg.AssetKey.from_user_string(key) if isinstance(key, str) else dg.AssetKey(list(key))


def _valid(name: str) -> str:
    if not _VALID_NAME.fullmatch(name):
        fix = "use `key_prefix` for the parts before the last one" if "/" in name else "use letters, digits and _"
        raise dg.DagsterInvalidDefinitionError(f"{name!r} is not a valid name of an asset; {fix}")
    return name
