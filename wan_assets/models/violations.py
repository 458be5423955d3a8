"""Describes broken rules for people: the parameter, its value, the rule and the fix."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import ErrorDetails

from wan_assets.models.catalog import MODEL, catalog, description_of
from wan_assets.models.description import ModelDescription
from wan_assets.models.prompt_text import normalized
from wan_assets.models.request import VideoRequest
from wan_assets.models.rules import closest_name


@dataclass(frozen=True)
class Parameter:
    """One parameter of the API: its `column` in a table, its `path` in the API's JSON, and its allowed values if there
    are few.
    """

    column: str
    path: str
    allowed_values: tuple[Any, ...]


@dataclass(frozen=True)
class Violation:
    """One broken rule. `column` and `path` are the parameter's names in snake case and in the API's spelling."""

    column: str
    path: str
    value: Any
    rule: str
    fix: str
    allowed_values: tuple[Any, ...] = ()


def _parameters_of(model: type[BaseModel], column: str = "", path: str = "") -> Iterator[Parameter]:
    for name, field in model.model_fields.items():
        here = (f"{column}{name}", f"{path}{field.alias or name}")
        yield Parameter(*here, allowed_values=tuple(_literals_in(field.annotation)))
        for part in _models_in(field.annotation):
            yield from _parameters_of(part, f"{here[0]}.", f"{here[1]}.")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _literals_in(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) is typing.Literal:
        yield from typing.get_args(annotation)
    elif typing.get_origin(annotation) is not tuple:
        for argument in typing.get_args(annotation):
            yield from _literals_in(argument)


PARAMETERS: Mapping[str, Parameter] = {found.column: found for found in _parameters_of(VideoRequest)}
"""Every parameter of all models by its column. Nested parameters have dots: `provider_settings.alibaba.audio`."""

COLUMN_ALIASES = {
    **dict.fromkeys(("text", "caption", "description"), "positive_prompt"),
    **dict.fromkeys(("negative", "neg_prompt", "negative_text"), "negative_prompt"),
    **dict.fromkeys(("size", "dimensions", "res"), "resolution"),
    **dict.fromkeys(("length", "seconds", "secs", "duration_s", "video_length"), "duration"),
    **dict.fromkeys(("format", "container", "file_format"), "output_format"),
    **dict.fromkeys(("n", "count", "samples", "num_videos", "number_of_results"), "number_results"),
    "quality": "output_quality",
    **dict.fromkeys(
        (
            *("first_image", "first_frame", "start_image", "start_frame", "starting_image", "starting_frame"),
            *("init_image", "initial_image", "initial_frame", "seed_image", "source_image", "reference_image"),
            *("ref_image", "input_frame", "image_input", "conditioning_image", "base_image", "key_frame"),
            *("image_url", "image_path", "image_file", "image_uri", "frame_url", "frame_path", "frame_file"),
            *("images", "picture", "pictures", "photo", "img", "first_picture", "i2v_image"),
        ),
        "inputs.frame_images",
    ),
    **dict.fromkeys(
        (
            *("audio_url", "audio_path", "audio_file", "audio_uri", "audio_input", "source_audio", "driving_audio"),
            *("reference_audio", "sound", "sound_url", "sound_file", "soundtrack", "music", "voice", "speech"),
        ),
        "inputs.audio",
    ),
    **dict.fromkeys(("webhook", "callback", "callback_url"), "webhook_url"),
    **dict.fromkeys(("random_seed", "rng_seed", "noise_seed"), "seed"),
}
"""Names that are not parameters but are often used for one. They are suggested, and never applied."""

LAST_FRAME = re.compile(r"(?i)(.*\.)?(last|end|ending|final|tail)[ _-]*(frame|image|img|picture|photo)")
"""Names of a last frame, which the model does not accept. No other parameter is suggested for them, because the image
is not a first frame.
"""

_FIXES = {
    "missing": "fill it in",
    "literal_error": "use {expected}",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "string_type": "write text",
    "string_too_short": "write at least {min_length} character",
    "string_too_long": "shorten it to {max_length} characters",
    "greater_than_equal": "use {ge} or more",
    "less_than_equal": "use {le} or less",
    "too_long": "give at most {max_length}",
    "too_short": "give {min_length}",
    "model_type": "write an object with named fields",
    "tuple_type": "write a list",
}


def violations_of(error: ValidationError, given: Mapping[str, Any]) -> tuple[Violation, ...]:
    """Returns every broken rule of one request; `given` are the validated values."""
    return tuple(_violation_of(details, given) for details in error.errors(include_url=False))


def _violation_of(details: ErrorDetails, given: Mapping[str, Any]) -> Violation:
    context = details.get("ctx", {})
    model = description_of(catalog().id_of(given.get("model")) or MODEL)
    column = ".".join(to_snake(part) for part in details["loc"] if isinstance(part, str) and part not in _TAGS)
    known = PARAMETERS.get(column)
    rule, fix = str(context.get("rule", details["msg"])), context.get("fix")
    if details["type"] == "extra_forbidden":
        rule, fix = "is not a parameter of this model", _suggestion(column)
    elif details["type"] == "string_too_long":
        length = len(normalized(str(_value_at(given, column))))
        fix = f"{_FIXES['string_too_long'].format(**context)}; it has {length}"
    return Violation(
        column=column,
        path=model.wire_path(known.path if known else ".".join(str(part) for part in details["loc"])),
        value=_value_at(given, column),
        rule=rule[:1].lower() + rule[1:],
        fix=fix or _FIXES.get(details["type"], "correct it").format(**context),
        allowed_values=_allowed_values(known, model) if known else (),
    )


_TAGS = ("text", "object")


def _allowed_values(parameter: Parameter, model: ModelDescription) -> tuple[Any, ...]:
    frames = model.limits(parameter.path.removesuffix(".frame")) if parameter.path.endswith(".frame") else None
    limits = model.limits(parameter.path)
    return frames.frames if frames else (limits.values if limits else ()) or parameter.allowed_values


def _suggestion(column: str) -> str:
    if LAST_FRAME.match(column):
        return "remove it"
    known = [*PARAMETERS, *COLUMN_ALIASES]
    found = closest_name(column, known) or closest_name(column.rpartition(".")[2], known)
    return f"did you mean {COLUMN_ALIASES.get(found, found)}?" if found else "remove it"


def _value_at(given: Any, column: str) -> Any:
    """Returns the given value of a column; settings may be given in either place."""
    found = _value_in(given, column)
    if found is None and column.startswith(_SETTINGS):
        return _value_in(given, f"settings{column.removeprefix(_SETTINGS)}")
    return found


_SETTINGS = "provider_settings.alibaba"


def _value_in(given: Any, column: str) -> Any:
    for name in column.split("."):
        if isinstance(given, (list, tuple)) and len(given) == 1:
            given = given[0]
        if not isinstance(given, Mapping):
            return None
        named = (value for key, value in given.items() if to_snake(str(key)) == name and value is not None)
        given = next(named, None)
    return given
