"""Defines a request for videos with Wan2.5-Preview (`runware:201@1`): its parameters, their validation and the API's
JSON.

Source of all limits, defaults and compatibility rules: the model's documentation page,
https://runware.ai/docs/models/alibaba-wan2-5-preview
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from wan_assets.models import rules
from wan_assets.models.url_secrets import DESTINATION_FIELDS, host_of, public_part_of

MODEL: Literal["runware:201@1"] = "runware:201@1"

PROMPT_CHARACTERS, NEGATIVE_CHARACTERS = 2000, 500
MAX_SEED = 2147483647

Tier = Literal["480p", "720p", "1080p"]

SIZES: dict[tuple[int, int], Tier] = {
    (854, 480): "480p",
    (480, 854): "480p",
    (640, 640): "480p",
    (1280, 720): "720p",
    (720, 1280): "720p",
    (960, 960): "720p",
    (1088, 832): "720p",
    (832, 1088): "720p",
    (1920, 1080): "1080p",
    (1080, 1920): "1080p",
    (1440, 1440): "1080p",
    (1632, 1248): "1080p",
    (1248, 1632): "1080p",
}
"""The 13 supported sizes in pixels, (width, height), and the resolution of each."""

Text = Annotated[str, BeforeValidator(rules.prompt)]
NegativeText = Annotated[str, Field(min_length=1, max_length=NEGATIVE_CHARACTERS), BeforeValidator(rules.prompt)]
Whole = Annotated[int, BeforeValidator(rules.number)]
Image = Annotated[str, AfterValidator(rules.image)]
Url = Annotated[str, AfterValidator(rules.http_url)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class FrameImage(_Part):
    """An image and the frame that it defines; this model supports only the first frame."""

    image: Image
    frame: Annotated[Literal["first", 0] | None, BeforeValidator(rules.frame)] = None


def _form_of(image: Any) -> str:
    return "text" if isinstance(image, str) else "object"


class Inputs(_Part):
    """The image and the audio that a video starts from."""

    frame_images: (
        tuple[Annotated[Annotated[Image, Tag("text")] | Annotated[FrameImage, Tag("object")], Discriminator(_form_of)]]
        | None
    ) = None
    audio: Annotated[str, AfterValidator(rules.audio)] | None = None


class AlibabaSettings(_Part):
    """Settings of the provider; the API enables both by default."""

    audio: bool | None = None
    prompt_extend: bool | None = None


class ProviderSettings(_Part):
    """Settings by provider."""

    alibaba: AlibabaSettings | None = None


class Safety(_Part):
    """Content checks; `mode` takes precedence over `check_content`."""

    check_content: bool | None = None
    mode: Literal["none", "fast", "full"] | None = None


@dataclass(frozen=True)
class _Written:
    """The texts of a request before normalization. Requests that differ only in these are equal."""

    texts: Mapping[str, Any] = field(default_factory=dict, compare=False)


class VideoRequest(_Part):
    """Describes one request for videos, with the parameters of the model checked.

    Parameters are accepted in snake case and in the API's camel case. Prompts are kept, submitted and compared in their
    normal form: NFC, line feeds between lines, no spaces at the ends.

    Args:
        task_type: Always "videoInference".
        task_uuid: UUID of the task. `to_task` replaces it.
        model: Always "runware:201@1".
        positive_prompt: 1 to 2000 characters.
        negative_prompt: 1 to 500 characters.
        width: Width in pixels, together with `height`: one of 13 sizes.
        height: Height in pixels.
        resolution: "480p", "720p" or "1080p", instead of a size.
        duration: 5 or 10 seconds.
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
        inputs: The image and the audio that the video starts from.
        provider_settings: Settings of the provider, such as generated audio.

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
    model: Literal["runware:201@1"] = MODEL
    positive_prompt: Text = Field(min_length=1, max_length=PROMPT_CHARACTERS)
    negative_prompt: NegativeText | None = None
    width: Whole | None = None
    height: Whole | None = None
    resolution: Tier | None = None
    duration: Annotated[Literal[5, 10], BeforeValidator(rules.number)] = 5
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
        violations = [
            InitErrorDetails(type=error, loc=tuple(parameter.split(".")), input=None)
            for parameter, error in rules.violations_between_parameters(given, SIZES)
        ]
        try:
            request = validate(given)
        except ValidationError as error:
            violations = [*map(_restated, error.errors(include_url=False)), *violations]
        if violations:
            raise ValidationError.from_exception_data(cls.__name__, violations)
        if info.context != rules.AS_RECORDED:
            request.keep_as_written(given)
        return request

    @property
    def image(self) -> str | None:
        """Image of the first frame, or None."""
        if self.inputs is None or self.inputs.frame_images is None:
            return None
        first = self.inputs.frame_images[0]
        return first if isinstance(first, str) else first.image

    @property
    def audio(self) -> str | None:
        """Audio that was given for the video, or None."""
        return self.inputs.audio if self.inputs else None

    @property
    def has_audio(self) -> bool:
        """Whether the video has an audio track, given or generated."""
        alibaba = self.provider_settings.alibaba if self.provider_settings else None
        return self.audio is not None or alibaba is None or alibaba.audio is not False

    @property
    def tier(self) -> Tier | None:
        """Requested resolution; None if the image of the first frame decides."""
        if self.resolution:
            return self.resolution
        return SIZES[self.width, self.height] if self.width and self.height else None

    @property
    def uploads(self) -> tuple[str, ...]:
        """References to local files that must be uploaded before the request is submitted."""
        return tuple(media for media in (self.image, self.audio) if media and media.startswith("sha256:"))

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
        return {**named, "inputs": [self.image, self.audio]}

    def as_written(self) -> dict[str, Any]:
        """Returns the given parameters under the API's names, with the prompts as they were written.

        `model_validate` reads them as an equal request with the same fingerprints. Addresses keep their secrets: this
        is for copies of the table, and not for records or logs.
        """
        return {**self._given(), **{to_camel(name): text for name, text in self._written.texts.items()}}

    def _given(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, mode="json")

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
        alibaba = (self.provider_settings.alibaba if self.provider_settings else None) or AlibabaSettings()
        return {
            **self.model_dump(include=_DECISIVE),
            "image": self.image,
            "sound": self.audio,
            "has_audio": self.has_audio,
            "prompt_extend": alibaba.prompt_extend is not False,
        }

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


def _restated(error: ErrorDetails) -> InitErrorDetails:
    context = {**error.get("ctx", {}), "rule": error["msg"]}
    custom = PydanticCustomError(error["type"], "{rule}", context)
    return InitErrorDetails(type=custom, loc=error["loc"], input=error["input"])
