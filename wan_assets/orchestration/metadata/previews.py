"""Previews in Dagster's metadata: thumbnails, frames, contact sheets and links.

The UI strips HTML from markdown. It shows a text of up to about 1,000 characters directly, and a longer one after a
click.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import dagster as dg

from wan_assets.errors import StoreError
from wan_assets.models import usd
from wan_assets.store import StoredTask, StoredVideo, VideoStore

_SHOWN_AT_ONCE = 990
_PROMPT_SHOWN = 600
_STRIPS_MAX = 2
_SHEET_COLUMNS = 4
_SHEET_MAX = 24
"""A thumbnail takes about 900 bytes of the event."""

_MARKS = re.compile(r"([!-/:-@\[-`{-~])")
"""All ASCII punctuation, which markdown shows unchanged after a backslash."""


class SheetVideo(NamedTuple):
    """One video of a contact sheet, with the row and the cost in its caption."""

    video: StoredVideo
    prompt_id: str
    cost_microusd: int | None


def thumbnail(stored: StoredTask, store: VideoStore) -> dg.MarkdownMetadataValue:
    """Returns a thumbnail that is shown directly, and that links to the video if the store is served."""
    simulated = " SIMULATED" if stored.is_simulated else ""
    linked = _thumbnail_of(stored.videos[0], store) + simulated
    is_short = len(linked) <= _SHOWN_AT_ONCE
    return dg.MetadataValue.md(linked if is_short else _thumbnail_image(stored.videos[0]) + simulated)


def link(video: StoredVideo, store: VideoStore) -> dg.UrlMetadataValue | None:
    """Returns the video's URL for a browser, if the store is served."""
    address = store.link_to(video)
    return dg.MetadataValue.url(address) if address else None


def frames(stored: StoredTask, store: VideoStore) -> dg.MarkdownMetadataValue | None:
    """Returns first, middle and last frame of each video with prompt, properties and cost; None if there are no images.

    Videos that would make the event too large are links only.
    """
    strips = [_strip_of(video, store) for video in stored.videos[:_STRIPS_MAX]]
    if not any(strips):
        return None
    linked = [_linked(strip, video, store) for strip, video in zip(strips, stored.videos, strict=False) if strip]
    reported = f"{_facts(stored.videos[0])} · {_escaped(_cost(stored.cost_microusd))}"
    links = [
        f"[open video {number}]({at})" for number, video in enumerate(stored.videos, 1) if (at := store.link_to(video))
    ]
    return dg.MetadataValue.md("\n\n".join([*linked, f"> {_escaped(stored.prompt)}", " · ".join([reported, *links])]))


def contact_sheet(shown: Sequence[SheetVideo], store: VideoStore) -> dg.MarkdownMetadataValue | None:
    """Returns the first videos of a batch as a table of thumbnails; None if there are no images."""
    if not shown or not store.has_pictures:
        return None
    head = [f"|{cell * _SHEET_COLUMNS}" for cell in ("   |", "---|")]
    rows = [*head, *_sheet_rows(shown[:_SHEET_MAX], store)]
    more = f"\n\n… and {len(shown) - _SHEET_MAX:,} more" if len(shown) > _SHEET_MAX else ""
    return dg.MetadataValue.md("\n".join(rows) + more)


def _sheet_rows(shown: Sequence[SheetVideo], store: VideoStore) -> Iterator[str]:
    for start in range(0, len(shown), _SHEET_COLUMNS):
        some = shown[start : start + _SHEET_COLUMNS]
        yield _row_of([_thumbnail_of(one.video, store) for one in some])
        yield _row_of([f"{_escaped(one.prompt_id)}: {_escaped(_cost(one.cost_microusd))}" for one in some])


def _row_of(cells: list[str]) -> str:
    return f"| {' | '.join([*cells, *[''] * (_SHEET_COLUMNS - len(cells))])} |"


def _thumbnail_of(video: StoredVideo, store: VideoStore) -> str:
    return _linked(_thumbnail_image(video), video, store)


def _linked(image: str, video: StoredVideo, store: VideoStore) -> str:
    address = store.link_to(video)
    return f"[{image}]({address})" if address else image


def _thumbnail_image(video: StoredVideo) -> str:
    return f"![poster](data:image/webp;base64,{video.poster})"


def _strip_of(video: StoredVideo, store: VideoStore) -> str | None:
    """Returns the frames as an image; an unreadable image is omitted, because the event must not fail."""
    strip = None
    if store.has_pictures:
        with suppress(StoreError):
            strip = store.contact_sheet_of(video)
    return f"![frames](data:image/webp;base64,{base64.b64encode(strip).decode()})" if strip else None


def _facts(video: StoredVideo) -> str:
    facts = video.facts
    audio = "audio" if facts.get("audio_codec") else "no audio"
    size, length = f"{facts.get('width')}x{facts.get('height')}", float(facts.get("duration_s") or 0)
    return f"{size} · {length:g} s · {audio} · {_size(video.bytes)}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def _cost(cost_microusd: int | None) -> str:
    return "cost unknown" if cost_microusd is None else f"${usd(cost_microusd)}"


def _escaped(text: str) -> str:
    """Escapes text for one line of markdown."""
    line = " ".join(text.split())
    return _MARKS.sub(r"\\\1", line[:_PROMPT_SHOWN] + ("…" if len(line) > _PROMPT_SHOWN else ""))
