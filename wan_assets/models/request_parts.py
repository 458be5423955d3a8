"""The nested parts of a request: inputs, settings and content checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag
from pydantic.alias_generators import to_camel

from wan_assets.models import rules

Image = Annotated[str, AfterValidator(rules.image)]
Video = Annotated[str, AfterValidator(rules.video)]
Audio = Annotated[str, AfterValidator(rules.audio)]
Document = Annotated[str, AfterValidator(rules.document)]
Url = Annotated[str, AfterValidator(rules.http_url)]


class Part(BaseModel):
    """A frozen part of a request, in snake case and in the API's camel case."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class FrameImage(Part):
    """An image and the frame that it defines."""

    image: Image
    frame: Annotated[Literal["first", "last", 0, -1] | None, BeforeValidator(rules.frame)] = None


def _form_of(image: Any) -> str:
    return "text" if isinstance(image, str) else "object"


FrameImageOrText = Annotated[
    Annotated[Image, Tag("text")] | Annotated[FrameImage, Tag("object")], Discriminator(_form_of)
]


class Inputs(Part):
    """The media that a video starts from, or refers to."""

    frame_images: tuple[FrameImageOrText, ...] | None = None
    audio: Audio | None = None
    reference_images: tuple[Image, ...] | None = None
    reference_videos: tuple[Video, ...] | None = None
    reference_audios: tuple[Audio, ...] | None = None
    documents: tuple[Document, ...] | None = None
    urls: tuple[Url, ...] | None = None

    @property
    def frames(self) -> dict[str, str]:
        """The images by frame, "first" and "last"; an image without a frame takes the next one that is free."""
        found: dict[str, str] = {}
        without: list[str] = []
        for item in self.frame_images or ():
            frame = None if isinstance(item, str) else item.frame
            image = item if isinstance(item, str) else item.image
            if frame is None:
                without.append(image)
            else:
                found["first" if frame in ("first", 0) else "last"] = image
        free = (name for name in ("first", "last") if name not in found)
        return found | dict(zip(free, without, strict=False))

    @property
    def further_frames(self) -> list[str]:
        """The images for which no frame is left, of a model that takes more than two."""
        images = [item if isinstance(item, str) else item.image for item in self.frame_images or ()]
        for image in self.frames.values():
            images.remove(image)
        return images

    def media(self) -> Iterator[tuple[str, str]]:
        """Yields each image, video, audio file, document and URL with the name of its parameter in snake case."""
        yield from (
            ("frame_images", image if isinstance(image, str) else image.image) for image in self.frame_images or ()
        )
        if self.audio:
            yield "audio", self.audio
        for name in LISTS_OF_MEDIA:
            yield from ((name, each) for each in getattr(self, name) or ())


LISTS_OF_MEDIA = ("reference_images", "reference_videos", "reference_audios", "documents", "urls")


class AlibabaSettings(Part):
    """Settings of the provider. A model that a user describes may have further ones."""

    model_config = ConfigDict(extra="allow")

    audio: bool | None = None
    prompt_extend: bool | None = None
    shot_type: str | None = None


class ProviderSettings(Part):
    """Settings by provider."""

    alibaba: AlibabaSettings | None = None


class Safety(Part):
    """Content checks; `mode` takes precedence over `check_content`."""

    check_content: bool | None = None
    mode: Literal["none", "fast", "full"] | None = None
