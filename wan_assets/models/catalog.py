"""The known models: those described in this package, and those in a folder of descriptions that a user adds.

`WAN_ASSETS_MODELS` names the folder. A description there replaces one of this package with the same id.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wan_assets.errors import ModelDescriptionError
from wan_assets.models.description import ModelDescription
from wan_assets.models.description_checks import faults_of
from wan_assets.settings import PathError, escaped, local_path

MODEL = "runware:201@1"
"""The default model, Wan2.5-Preview."""

MODELS_VARIABLE = "WAN_ASSETS_MODELS"
MAX_BYTES = 1 << 20
"""The longest file of a description or of a schema."""


@dataclass(frozen=True)
class Catalog:
    """The known models by id; `ids` also contains their other names, in lower case. `files` are those of models that a
    user described, by id.
    """

    models: Mapping[str, ModelDescription]
    ids: Mapping[str, str]
    files: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, models: Mapping[str, ModelDescription], files: Mapping[str, Path]) -> Catalog:
        """Raises `ModelDescriptionError` if two models have the same name."""
        ids: dict[str, str] = {}
        for each in models.values():
            for name in (each.id, *each.short_names):
                if ids.setdefault(name.lower(), each.id) != each.id:
                    both = " and ".join(_described(model, files) for model in (ids[name.lower()], each.id))
                    raise ModelDescriptionError(f"{both} are both named {name}; rename one")
        return cls(models, ids, files)

    def id_of(self, name: Any) -> str | None:
        """Returns the id of a model by its id or a short name; None if it is not known."""
        return self.ids.get(name.strip().lower()) if isinstance(name, str) else None

    @cached_property
    def digest(self) -> str:
        """A digest of all descriptions, which decide whether rows are valid."""
        known = "".join(self.models[name].model_dump_json() for name in sorted(self.models))
        return hashlib.sha256(known.encode()).hexdigest()

    @property
    def suggestion(self) -> str:
        """Returns what to write instead of the name of an unknown model."""
        names = ", ".join(each.short_name for each in self.models.values())
        return f"use one of {names}, or describe the model in a folder that {MODELS_VARIABLE} names"


def _described(model: str, files: Mapping[str, Path]) -> str:
    return f"{model} (in {files[model]})" if model in files else model


def description_of(model: str) -> ModelDescription:
    """Returns the description of a model by its id.

    A ledger may contain tasks of a model that is not described any more: its requests have no limits and no price.
    """
    return catalog().models.get(model) or _without_description(model)


def is_default(model: str) -> bool:
    """Whether requests are of this model unless they name one."""
    return model == MODEL


def catalog() -> Catalog:
    """Returns the known models; raises `ModelDescriptionError` if the user's folder cannot be read."""
    return _catalog(os.environ.get(MODELS_VARIABLE, ""), _added())


def add_models(folder: str) -> None:
    """Adds the descriptions in a folder for this process, beside those that `WAN_ASSETS_MODELS` names."""
    if not folder.strip():
        return
    path = str(_path_of(folder, _FIELD).absolute())
    if path not in _FOLDERS:
        _catalog(os.environ.get(MODELS_VARIABLE, ""), (*_added(), path))  # reports errors before it is added
        _FOLDERS.append(path)


_FOLDERS: list[str] = []


def _added() -> tuple[str, ...]:
    return tuple(_FOLDERS)


@lru_cache(8)
def _catalog(folder: str, added: tuple[str, ...]) -> Catalog:
    folders = {_path_of(text, name).resolve(): name for text, name in _named(folder, added)}
    own: dict[str, ModelDescription] = {}
    paths: dict[str, Path] = {}
    for place, name in folders.items():
        for path, found in _in_folder(place, name):
            if found.id in own:
                raise ModelDescriptionError(f"{paths[found.id]} and {path} both describe {found.id}; remove one")
            own[found.id], paths[found.id] = found, path
    return Catalog.of({**_packaged(), **own}, paths)


def _named(folder: str, added: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yields each folder with what names it."""
    yield from [(folder, MODELS_VARIABLE)] if folder.strip() else []
    yield from ((escaped(each), _FIELD) for each in added)


_FIELD = "RunwareResource(models=…)"


def _path_of(text: str, name: str) -> Path:
    try:
        return local_path(text, name)
    except PathError as error:
        raise ModelDescriptionError(str(error)) from None


@lru_cache(1)
def _packaged() -> Mapping[str, ModelDescription]:
    folder = resources.files("wan_assets.models") / "descriptions"
    texts = sorted((each.name, each.read_text("utf-8")) for each in folder.iterdir() if each.name.endswith(".toml"))
    found = (read_description(text) for _, text in texts)
    return {each.id: each for each in found}


def _in_folder(folder: Path, name: str) -> Iterator[tuple[Path, ModelDescription]]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        reason = f"the folder of models {folder} cannot be read: {error.strerror}"
        raise ModelDescriptionError(f"{reason}; correct {name}") from None
    for path in paths:
        try:
            yield path, read_description(_text_in(path))
        except (OSError, ValueError, ModelDescriptionError) as error:
            raise ModelDescriptionError(f"{path} does not describe a model: {error}") from None


def _text_in(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ModelDescriptionError("it is not a file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ModelDescriptionError(f"it has more than {MAX_BYTES:,} bytes")
    return content.decode()


def read_description(text: str) -> ModelDescription:
    """Reads a description in TOML; raises `ModelDescriptionError` that names each wrong field."""
    try:
        found = ModelDescription.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ModelDescriptionError(f"it is not valid TOML: {error}") from None
    except RecursionError:
        raise ModelDescriptionError("it is nested too deeply") from None
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
        raise ModelDescriptionError("; ".join(wrong)) from None
    if faults := [*faults_of(found)]:
        raise ModelDescriptionError("; ".join(faults))
    return found


@lru_cache(64)
def _without_description(model: str) -> ModelDescription:
    return ModelDescription.model_construct(
        id=model,
        name=model,
        short_names=(),
        page="",
        status="ended",
        released=None,
        ends=None,
        successor="",
        summary="",
        makes_videos_from=(),
        settings_path="settings",
        parameters={},
        sizes={},
        sizes_source="unknown",
        rules=(),
        price=None,
        latency=None,
        notes=(),
    )
