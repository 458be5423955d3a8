"""Defines a request for videos: its parameters, their validation by its model's description, and the API's JSON."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from wan_assets.models import rules
from wan_assets.models.catalog import MODEL, catalog, description_of
from wan_assets.models.description import ModelDescription
from wan_assets.models.limits import checked, violations_between_parameters, violations_of_parameters
from wan_assets.models.placement import completed, placed
from wan_assets.models.request_parts import LISTS_OF_MEDIA, AlibabaSettings, Inputs, Part, ProviderSettings, Safety, Url
from wan_assets.models.url_secrets import DESTINATION_FIELDS, host_of, public_part_of

MAX_SEED = 2147483647

LONGEST_S = 300
"""Seconds that no video exceeds whose duration the model chooses, if no limit of the model is known."""

Whole = Annotated[int, BeforeValidator(rules.number)]


def _model_id(value: Any, info: ValidationInfo) -> Any:
    """Returns the id of a model for any of its names; a record may be of a model that is not described any more."""
    known = catalog().id_of(value)
    if known is None and not (info.context == rules.AS_RECORDED and isinstance(value, str)):
        raise rules.error_of("unknown_model", "is not a known model", catalog().suggestion)
    if known and description_of(known).price is None and info.context != rules.AS_RECORDED:
        rule = f"has no price in its description, so that no budget can be checked: {known}"
        raise rules.error_of("no_price", rule, "add [price] with usd_per_s to its description, or use another model")
    return known or value


def _within_limits(value: Any, info: ValidationInfo) -> Any:
    """Checks a value by the limits of the request's model, which is validated first."""
    if value is None or "model" not in info.data or info.context == rules.AS_RECORDED:
        return value
    limits = description_of(info.data["model"]).limits(to_camel(info.field_name or ""))
    return value if limits is None else checked(value, limits)


Text = Annotated[str, BeforeValidator(rules.prompt), AfterValidator(_within_limits)]


@dataclass(frozen=True)
class _Written:
    """The texts of a request before normalization. Requests that differ only in these are equal."""

    texts: Mapping[str, Any] = field(default_factory=dict, compare=False)


class VideoRequest(Part):
    """Describes one request for videos, with the parameters of the model checked.

    Parameters are accepted in snake case and in the API's camel case. Prompts are kept, submitted and compared in their
    normal form: NFC, line feeds between lines, no spaces at the ends.

    Args:
        task_type: Always "videoInference".
        task_uuid: UUID of the task. `to_task` replaces it.
        model: Id or short name of a model, such as "wan2.6". By default Wan2.5-Preview, "runware:201@1". It decides the
            limits of the parameters below; `wan-assets models show` lists them.
        positive_prompt: What the video shows; with the default model 1 to 2000 characters. Some models do not require
            it with images.
        negative_prompt: What the video does not show; with the default model 1 to 500 characters.
        width: Width in pixels, together with `height`: with the default model one of 13 sizes.
        height: Height in pixels.
        resolution: "480p", "720p" or "1080p", instead of a size.
        duration: Seconds, with the default model 5 or 10; "auto" if the model may choose.
        seed: 0 to 2147483647. The API draws a seed if it is None.
        number_results: Number of videos, 1 to 4.
        output_type: Always "URL".
        output_format: "MP4", "WEBM" or "MOV".
        output_quality: 20 to 99.
        delivery_method: Always "async".
        include_cost: Whether the API reports the cost of the task.
        ttl: Lifetime of the result's URL in seconds, at least 60.
        webhook_url: Address to which the API sends the result.
        upload_endpoint: Address to which the API uploads the video.
        safety: Content checks.
        inputs: The images, videos, audio files and documents that the video starts from or refers to.
        provider_settings: Settings of the provider, such as generated audio. `settings` is accepted too; a task has
            them where its model expects them.

    Raises:
        pydantic.ValidationError: Parameters break rules. It holds every broken rule; `violations_of` reads it.

    Example:
        >>> from wan_assets import VideoRequest
        >>> request = VideoRequest.model_validate({"positivePrompt": "A red kite", "resolution": "720p"})
        >>> request.to_task("5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10")["positivePrompt"]
        'A red kite'
    """

    task_type: Literal["videoInference"] = "videoInference"
    task_uuid: Annotated[str, AfterValidator(rules.uuid4)] | None = Field(default=None, alias="taskUUID")
    model: Annotated[str, BeforeValidator(_model_id)] = MODEL
    positive_prompt: Text | None = None
    negative_prompt: Text | None = None
    width: Whole | None = None
    height: Whole | None = None
    resolution: Annotated[str, AfterValidator(_within_limits)] | None = None
    duration: Annotated[int | Literal["auto"], BeforeValidator(rules.duration), AfterValidator(_within_limits)] = 5
    seed: Whole | None = Field(default=None, ge=0, le=MAX_SEED)
    number_results: Whole = Field(default=1, ge=1, le=4)
    output_type: Literal["URL"] = "URL"
    output_format: Annotated[Literal["MP4", "WEBM", "MOV"], BeforeValidator(rules.upper)] = "MP4"
    output_quality: Whole = Field(default=95, ge=20, le=99)
    delivery_method: Literal["async"] = "async"
    include_cost: bool = False
    ttl: Whole | None = Field(default=None, ge=60)
    webhook_url: Url | None = Field(default=None, alias="webhookURL")
    upload_endpoint: Url | None = None
    safety: Safety | None = None
    inputs: Inputs | None = None
    provider_settings: ProviderSettings | None = None
    _written: _Written = PrivateAttr(default=_Written())

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Reads a request from a ledger record with its submitted texts, also from a record of an older release."""
        return cls.model_validate(record, context=rules.AS_RECORDED)

    @model_validator(mode="wrap")
    @classmethod
    def _report_every_violation(
        cls, data: Any, validate: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if not isinstance(data, Mapping):
            return validate(data)
        given = {name: value for name, value in data.items() if value is not None}
        is_recorded = info.context == rules.AS_RECORDED
        known = catalog().id_of(given.get("model", MODEL))
        model = description_of(known or MODEL)
        violations: list[InitErrorDetails] = []
        try:
            given = completed(given, model)
        except PydanticCustomError as error:
            violations.append(InitErrorDetails(type=error, loc=("settings",), input=None))
            given = {name: value for name, value in given.items() if name != "settings"}
        between = []
        if known and not is_recorded:
            violations += violations_of_parameters(given, model)
            between = [*violations_between_parameters(given, model)]
        try:
            request = validate(given)
        except ValidationError as error:
            violations += map(_restated, error.errors(include_url=False))
        if violations or between:
            in_order = sorted(violations, key=partial(_position, [*cls.model_fields]))
            raise ValidationError.from_exception_data(cls.__name__, [*in_order, *between])
        if "duration" not in request.model_fields_set:
            request.__dict__["duration"] = model.default("duration") or request.duration  # known before it is frozen
        if not is_recorded:
            request.keep_as_written(given)
        return request

    @property
    def description(self) -> ModelDescription:
        """The description of the model."""
        return description_of(self.model)

    @property
    def prompt(self) -> str:
        """The positive prompt, or an empty text."""
        return self.positive_prompt or ""

    @property
    def frames(self) -> Mapping[str, str]:
        """The images by frame, "first" and "last"."""
        return self.inputs.frames if self.inputs else {}

    @property
    def image(self) -> str | None:
        """Image of the first frame or, without one, of the last frame; None if no frame is given."""
        return self.frames.get("first") or self.frames.get("last")

    @property
    def media(self) -> tuple[tuple[str, str], ...]:
        """The name of the parameter in `inputs`, and the value, of each input."""
        return tuple(self.inputs.media()) if self.inputs else ()

    @property
    def settings(self) -> AlibabaSettings:
        """The given settings."""
        return (self.provider_settings.alibaba if self.provider_settings else None) or AlibabaSettings()

    @property
    def shortest_s(self) -> int:
        """The shortest duration in seconds that the video may have."""
        limits = self.description.limits("duration")
        return self.duration if isinstance(self.duration, int) else (limits and limits.shortest) or 1

    @property
    def longest_s(self) -> int:
        """The longest duration in seconds that the video may have."""
        limits = self.description.limits("duration")
        return self.duration if isinstance(self.duration, int) else (limits and limits.longest) or LONGEST_S

    @property
    def audio(self) -> str | None:
        """Audio that was given for the video, or None."""
        return self.inputs.audio if self.inputs else None

    @property
    def has_audio(self) -> bool:
        """Whether the video has an audio track, given or generated. Videos of a model that has no sound do not."""
        if self.audio is not None or self.settings.audio is not None:
            return self.audio is not None or self.settings.audio is True
        limits = self.description.limits("settings.audio")
        return limits.default is not False if limits else not self.description.parameters

    @property
    def _is_prompt_extended(self) -> bool:
        given = self.settings.prompt_extend
        return self.description.default("settings.promptExtend") is not False if given is None else given

    @property
    def tier(self) -> str | None:
        """Requested resolution, or that of the size; None if an image decides."""
        if self.resolution:
            return self.resolution
        if self.width and self.height:
            return self.description.resolution_of_size.get((self.width, self.height))
        return self._default_resolution

    @property
    def _default_resolution(self) -> str | None:
        default: str | None = self.description.default("resolution")
        return default

    @property
    def uploads(self) -> tuple[str, ...]:
        """References to local files that must be uploaded before the request is submitted."""
        return tuple(media for _, media in self.media if media.startswith("sha256:"))

    def to_task(self, task_uuid: str, media: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Returns the request as the API takes it: the given parameters under the API's names.

        Args:
            task_uuid: UUID of the task.
            media: The API's UUID for each reference in `uploads`.

        Returns:
            A JSON object.

        Raises:
            KeyError: `media` lacks a reference of `uploads`.
        """
        task = {**self._given(), "taskType": self.task_type, "taskUUID": task_uuid, "model": self.model}
        uploaded = {reference: (media or {})[reference] for reference in self.uploads}
        return _with_each_text(lambda text: uploaded.get(text, text), task) if uploaded else task

    def with_media(self, replaced: Mapping[str, str]) -> Self:
        """Returns the request with other values for some of its images, videos, audio files and documents."""
        given = self._given()
        inputs = _with_each_text(lambda text: replaced.get(text, text), given.get("inputs", {}))
        return self.model_validate({**given, "inputs": inputs})

    def to_record(self) -> dict[str, Any]:
        """Returns the given parameters under the API's names without secrets: addresses lose user, password and query.

        Of destination addresses, only the host is kept. The record is a valid request too, but has another fingerprint.
        """
        given = self._given()
        sent_to = {name: host_of(given[name]) for name in DESTINATION_FIELDS if name in given}
        taken_from = {"inputs": _with_each_text(public_part_of, given["inputs"])} if "inputs" in given else {}
        return {**given, **taken_from, **sent_to}

    def to_addresses(self) -> dict[str, Any]:
        """Returns the addresses in the request, under the API's names."""
        named = {"webhookURL": self.webhook_url, "uploadEndpoint": self.upload_endpoint}
        return {**named, "inputs": [media for _, media in self.media]}

    def as_written(self) -> dict[str, Any]:
        """Returns the given parameters under the API's names, with the prompts as they were written.

        `model_validate` reads them as an equal request with the same fingerprints. Addresses keep their secrets: this
        is for copies of the table, and not for records or logs.
        """
        return {**self._given(), **{to_camel(name): text for name, text in self._written.texts.items()}}

    def _given(self) -> dict[str, Any]:
        given = self.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, mode="json")
        return placed(given, self.description)

    def fingerprint(self) -> str:
        """Returns the identity of the video that is requested.

        Returns:
            SHA-256, in hex, of the parameters that decide the video. A default counts like the same value written out.
        """
        return self._fingerprint_with({})

    def former_fingerprint(self) -> str | None:
        """Returns the fingerprint that releases before 0.2 computed from the texts as written, if it differs; else
        None.

        Those releases treated every difference in spaces, line breaks and Unicode forms as another request.
        """
        return self._fingerprint_with(self._written.texts) if self._written.texts else None

    def keep_as_written(self, given: Mapping[str, Any]) -> None:
        """Keeps the original form of normalized texts for `former_fingerprint`."""
        texts = {name: given.get(name, given.get(to_camel(name))) for name in _TEXTS}
        changed = {name: text for name, text in texts.items() if text is not None and text != getattr(self, name)}
        if changed:
            self._written = _Written({name: str.__str__(text) for name, text in changed.items()})

    def decisive(self) -> dict[str, Any]:
        """Returns the values that decide the video, from which `fingerprint` is computed."""
        return {
            **self.model_dump(include=_DECISIVE),
            "resolution": self.resolution or (None if self.width else self._default_resolution),
            "image": self.frames.get("first"),
            "sound": self.audio,
            "has_audio": self.has_audio,
            "prompt_extend": self._is_prompt_extended,
            **self._decisive_if_given(),
        }

    def _decisive_if_given(self) -> dict[str, Any]:
        """Returns the values of parameters that the first supported model does not have, and which are therefore part
        of a fingerprint only if they are given.
        """
        inputs = self.inputs or Inputs()
        others = self.settings.model_dump(exclude={"audio", "prompt_extend"}, by_alias=True, exclude_none=True)
        found: dict[str, Any] = {"last_image": self.frames.get("last"), "settings": others}
        found["further_images"] = inputs.further_frames
        found |= {name: list(getattr(inputs, name) or ()) for name in LISTS_OF_MEDIA}
        return {name: value for name, value in found.items() if value}

    def _fingerprint_with(self, texts: Mapping[str, str]) -> str:
        return fingerprint_of(json_of({**self.decisive(), **texts}))


FINGERPRINT_BYTES = 16
"""The first bytes of a fingerprint identify a request among those of a table or a ledger, and take less memory."""


def json_of(decisive: Any) -> str:
    """Returns the JSON of values that decide a video, in the form that fingerprints are computed from."""
    return _DECISIVE_JSON.encode(decisive)


def fingerprint_of(json_text: str) -> str:
    """Returns the fingerprint for the JSON of all values that decide a video."""
    return hashlib.sha256(json_text.encode()).hexdigest()


_DECISIVE_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))

_TEXTS = ("positive_prompt", "negative_prompt")

_DECISIVE = {
    "model",
    "positive_prompt",
    "negative_prompt",
    "width",
    "height",
    "resolution",
    "duration",
    "seed",
    "number_results",
    "output_format",
    "output_quality",
}
"""Together with the inputs and the provider's settings, all parameters that determine the video. The others concern
delivery.
"""


def task_uuid_of(fingerprint: str, attempt: int, namespace: str) -> str:
    """Returns the UUID of a request's `attempt`-th task, in the format of version 4; it is the same on every
    machine.
    """
    digest = hashlib.sha256(f"{namespace}\n{fingerprint}\n{attempt}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _with_each_text(change: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_each_text(change, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_each_text(change, item) for item in value]
    return change(value) if isinstance(value, str) else value


def _position(names: Sequence[str], error: InitErrorDetails) -> int:
    """Returns the position of the parameter of an error; unknown ones are the last."""
    name = to_snake(str(error["loc"][0])) if error.get("loc") else ""
    return names.index(name) if name in names else len(names)


def _restated(error: ErrorDetails) -> InitErrorDetails:
    context = {**error.get("ctx", {}), "rule": error["msg"]}
    custom = PydanticCustomError(error["type"], "{rule}", context)
    return InitErrorDetails(type=custom, loc=error["loc"], input=error["input"])
