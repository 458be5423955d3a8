"""The prices of a table's requests by kind and by campaign, computed row by row with bounded memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from wan_assets.models import (
    Quote,
    Retirement,
    VideoRequest,
    description_of,
    list_price_microusd,
    quote_of,
    references_of,
    retirement_of,
)

_CAMPAIGNS_KEPT = 1000
_TAGGED_KEPT = 100_000
_TYPICAL_S = 150.0
"""For models without a stated time. Published examples of 5 s of video take 128 s from an image and 186 s from text."""


class PricedKind(NamedTuple):
    """What the price of a request depends on. `resolution` is "as the image" if the image decides, and `duration_s` is
    "auto" if the model chooses it.
    """

    model: str
    kind: str
    resolution: str
    duration_s: int | str
    has_audio: bool
    videos: int


class PriceLine(NamedTuple):
    """The videos of some requests, and their prices in µ$.

    `price_microusd` is the list price, with the highest rate of the model where none is published. `reserved_microusd`
    is the most that is reserved. `expected_microusd` is the recent cost of each kind where one is known, otherwise its
    list price. `unpriced` requests have no published price.
    """

    requests: int
    videos: int
    price_microusd: int
    reserved_microusd: int
    expected_microusd: int
    unpriced: int


class QuotedKind(NamedTuple):
    """One kind of request as the ledger counts it: an example, its prices, and the number of all and of new requests.

    Requests of one kind cost the same.
    """

    example: VideoRequest
    quote: Quote
    requests: int
    new: int


class _Key(NamedTuple):
    """Requests with one key are of one kind for the ledger too; it takes less time than the kind's name."""

    kind: PricedKind
    size: tuple[int | None, int | None] | None
    media: tuple[str, ...]


class _Price(NamedTuple):
    example: VideoRequest
    quote: Quote
    listed_microusd: int


@dataclass
class PriceList:
    """The prices of the requests added so far; each different request is added once.

    `paid` are the first 16 bytes of the fingerprints of requests that have a task already: nothing more is paid for
    them. `quote` returns the prices of a request. A request of several rows belongs to the campaign of the first. At
    most 1,000 campaigns are kept; the others count as one. `tag_names` are extra columns by which budgets count rows:
    `new_where` knows their values.
    """

    paid: frozenset[bytes] = frozenset()
    quote: Callable[[VideoRequest], Quote] = quote_of
    tag_names: tuple[str, ...] = ()
    _tagged: Counter[tuple[_Key, tuple[str, ...]]] = field(default_factory=Counter)
    _new: Counter[tuple[_Key, str | None]] = field(default_factory=Counter)
    _counts: Counter[tuple[_Key, str | None]] = field(default_factory=Counter)
    _prices: dict[_Key, _Price] = field(default_factory=dict)
    _campaigns: set[str] = field(default_factory=set)

    def add(
        self, request: VideoRequest, campaign: str | None, *, count: int = 1, new: int = 1, tags: tuple[str, ...] = ()
    ) -> None:
        """Adds requests with the price of one of them, and the campaign and the tags of their rows; `new` of them are
        not paid.
        """
        start, tier = ("image-to-video", "as the image") if request.image else (_start_of(request), "as the input")
        kind = PricedKind(
            request.model, start, request.tier or tier, request.duration, request.has_audio, request.number_results
        )
        size = (request.width, request.height) if request.image else None
        key = _Key(kind, size, tuple(sorted(name for name, _ in request.media)))
        if key not in self._prices:
            self._prices[key] = _Price(request, self.quote(request), list_price_microusd(request))
        kept = self._kept(campaign)
        self._counts[key, kept] += count
        self._new[key, kept] += new
        if new and len(self._tagged) <= _TAGGED_KEPT:
            self._tagged[key, tags] += new

    @property
    def total(self) -> PriceLine:
        """All requests."""
        return self._line((key, count) for (key, _), count in self._counts.items())

    @property
    def new(self) -> PriceLine:
        """The requests that are not paid yet."""
        return self._line((key, new) for (key, _), new in self._new.items())

    def new_where(self, counts: Callable[[str, Mapping[str, str]], bool]) -> PriceLine | None:
        """Returns the requests that are not paid yet, of models and tags that a predicate accepts; None if the rows
        have too many different tags.
        """
        if len(self._tagged) > _TAGGED_KEPT:
            return None
        return self._line(
            (key, new) for (key, tags), new in self._tagged.items() if counts(key.kind.model, self._named(tags))
        )

    def _named(self, tags: tuple[str, ...]) -> dict[str, str]:
        return {name: value for name, value in zip(self.tag_names, tags, strict=False) if value}

    @property
    def typical_s(self) -> float:
        """The mean of the typical times of the new requests' tasks, in seconds, as the descriptions of models state."""
        known = {key: description_of(key.kind.model).latency for key, _ in self._new}
        times = {key: latency.typical_s if latency else _TYPICAL_S for key, latency in known.items()}
        count = self._new.total()
        return sum(times[key] * new for (key, _), new in self._new.items()) / count if count else _TYPICAL_S

    def retirements(self, today: date) -> dict[Retirement, int]:
        """Returns the models that have ended or end soon, each with the number of its requests that are new."""
        found: dict[Retirement, int] = {}
        for (key, _), count in self._new.items():
            retirement = retirement_of(description_of(key.kind.model), today) if count else None
            if retirement:
                found[retirement] = found.get(retirement, 0) + count
        return found

    @property
    def by_kind(self) -> dict[PricedKind, PriceLine]:
        """The prices by kind, where `videos` of the kind is 0: requests of one and of several videos are one kind."""
        found: dict[PricedKind, list[tuple[_Key, int]]] = defaultdict(list)
        for (key, _), count in self._counts.items():
            found[key.kind._replace(videos=0)].append((key, count))
        return {kind: self._line(found[kind]) for kind in sorted(found, key=_in_order)}

    @property
    def by_request(self) -> list[QuotedKind]:
        """The prices by kind of request as the ledger counts them, in the order of `by_kind`."""
        counts: Counter[_Key] = Counter()
        new: Counter[_Key] = Counter()
        for (key, campaign), count in self._counts.items():
            counts[key] += count
            new[key] += self._new[key, campaign]
        keys = sorted(counts, key=lambda key: (_in_order(key.kind), self._prices[key].quote.kind))
        return [QuotedKind(*self._prices[key][:2], counts[key], new[key]) for key in keys]

    @property
    def by_campaign(self) -> dict[str, PriceLine]:
        """The prices by campaign; empty if no row has a campaign."""
        found: dict[str, list[tuple[_Key, int]]] = defaultdict(list)
        for (key, campaign), count in self._counts.items():
            found[campaign or ""].append((key, count))
        return {name: self._line(found[name]) for name in sorted(found)} if found.keys() - {""} else {}

    def _kept(self, campaign: str | None) -> str | None:
        if campaign is None or campaign in self._campaigns:
            return campaign
        if len(self._campaigns) >= _CAMPAIGNS_KEPT:
            return "(other campaigns)"
        self._campaigns.add(campaign)
        return campaign

    def _line(self, counts: Iterable[tuple[_Key, int]]) -> PriceLine:
        requests = videos = price = reserved = expected = unpriced = 0
        for key, count in counts:
            found = self._prices[key]
            requests, videos = requests + count, videos + count * key.kind.videos
            price, reserved = price + count * found.listed_microusd, reserved + count * found.quote.worst_microusd
            expected += count * found.quote.expected_microusd
            unpriced += 0 if found.quote.list_microusd else count
        return PriceLine(requests, videos, price, reserved, expected, unpriced)


def _start_of(request: VideoRequest) -> str:
    """Returns the name of a kind that depends on the number of each input."""
    counts = references_of(request).items()
    references = " and ".join(f"{count} {name if count > 1 else name[:-1]}" for name, count in counts)
    return f"{references} to video" if references else "text-to-video"


def _in_order(kind: PricedKind) -> tuple[str, ...]:
    duration = f"{kind.duration_s:06}" if isinstance(kind.duration_s, int) else kind.duration_s
    return (kind.model, kind.kind, kind.resolution, duration, str(kind.has_audio))
