"""One HTTP exchange with the API, and how long anything may take."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import unquote_plus, urlsplit

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from wan_assets.client.wire import Answer, answer_of
from wan_assets.errors import AccessDeniedError, ApiFault, RunwareBusyError, WrongAddressError
from wan_assets.version import __version__

_MOST_PORT = 65_535
_NOT_HERE = (404, 405)
_WORDS_OF_THE_API = ('"taskUUID"', '"parameter"', 'NotFound"')
"""What the API itself does not find, it names."""

_SECRET_OF_A_WEBHOOK = 16
"""Anything shorter may be an innocent word, such as one in the address of a video."""

_KEY = re.compile(r"[\x21-\x7e]*")

Heed: TypeAlias = Callable[[Sequence[Mapping[str, Any]], Answer], None]
"""Is told of each exchange: the tasks that were posted, and what was answered."""

_is_ours: ContextVar[bool] = ContextVar("is_ours", default=False)


@dataclass(frozen=True)
class Pace:
    """How long to wait, in seconds, and how often to try; tests give small numbers.

    `retry_first_s` is never to be under 1 s against the real API: it has accepted two copies of one task that came
    faster (wire notes, "Same taskUUID submitted twice"). `asked_most_s` is the longest Retry-After that is waited for.
    `wake_s` is how often a run asks for tasks that a webhook told of, and how often such a task is polled at most.
    `delivery_s` is how long a finished task's file may take to the bucket before it is downloaded instead.
    """

    connect_s: float = 10.0
    answer_s: float = 60.0
    retry_first_s: float = 1.0
    retry_most_s: float = 30.0
    retry_jitter_s: float = 1.0
    retry_tries: int = 8
    asked_most_s: float = 600.0
    poll_first_s: float = 2.0
    poll_most_s: float = 10.0
    wake_s: float = 1.0
    download_stall_s: float = 60.0
    download_tries: int = 8
    delivery_s: float = 30.0


class Transport:
    """Posts arrays of task objects. The key goes with each post and nowhere else; no answer is kept with `secrets`."""

    def __init__(
        self,
        api_key: str,
        base_url: str,
        pace: Pace,
        *,
        secrets: Sequence[str] = (),
        on_answer: Heed | None = None,
        connections: int = 32,
    ) -> None:
        try:
            self._url = parsed(base_url)
        except ValueError as error:
            raise _misdirected(base_url, str(error)) from None
        logging.getLogger("httpx").addFilter(_is_for_others)
        self._api_key = api_key
        self._secrets = (api_key, *secrets)
        self._on_answer = on_answer
        self.base_url = base_url
        self._pace = pace
        # httpx spends most of its time on its own pool when many callers wait in it, so they wait here.
        self._gate = asyncio.Semaphore(connections)
        limits = httpx.Limits(max_connections=2 * connections, max_keepalive_connections=connections)
        self._http = HttpxAiohttpClient(
            verify=_trusted(),
            limits=limits,
            headers={"User-Agent": f"wan-assets/{__version__}"},
            trust_env=not is_loopback(self._url.host),
        )
        self._headers = dict(self._http.headers)

    async def close(self) -> None:
        await self._http.aclose()

    async def post(self, tasks: Sequence[Mapping[str, Any]]) -> Answer:
        """Sends tasks as the array the API wants; raises `RunwareBusyError` when no answer can be read."""
        if not _KEY.fullmatch(self._api_key):
            # The layers below would complain by quoting the header, and with it the key.
            fault = ApiFault("invalidApiKey", "the key holds a space, a line end or another character that no key has")
            raise AccessDeniedError(fault)
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        request = self._request("POST", self._url, self._pace.answer_s, headers, json=list(tasks))
        async with self._gate:
            response = await self._answered(request)
        if response.is_redirect:
            raise _misdirected(self.base_url, f"it redirects ({response.status_code})")
        text = str(response.content, "utf-8-sig", "replace")  # JSON is UTF-8, whatever a header claims
        if response.status_code in _NOT_HERE and not any(word in text for word in _WORDS_OF_THE_API):
            raise _misdirected(self.base_url, f"it takes no tasks ({response.status_code})")
        answer = answer_of(response.status_code, text, _retry_after_s(response), secrets=self._secrets)
        if self._on_answer:
            self._on_answer(tasks, answer)
        return answer

    async def server_header(self, name: str) -> str | None:
        """One header of the API's answer to a GET, which carries no key and costs nothing."""
        response = await self._answered(self._request("GET", self._url, self._pace.answer_s, {}))
        return str(response.headers[name]) if name in response.headers else None

    @asynccontextmanager
    async def stream(self, url: httpx.URL, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """Opens a download, without the key."""
        try:
            request = self._request("GET", url, self._pace.download_stall_s, headers)
            with _unlogged():
                response = await self._http.send(request, stream=True)
            async with aclosing(response):
                yield response
        except httpx.HTTPError as error:
            raise _unreachable(error) from None

    def _request(
        self, method: str, url: httpx.URL, limit_s: float, headers: Mapping[str, str], **content: Any
    ) -> httpx.Request:
        """A request as it goes out: merging it with a client's defaults would cost more than sending it."""
        timeout = httpx.Timeout(limit_s, connect=self._pace.connect_s).as_dict()
        return httpx.Request(
            method, url, headers={**self._headers, **headers}, extensions={"timeout": timeout}, **content
        )

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        try:
            async with asyncio.timeout(self._pace.answer_s):
                with _unlogged():
                    return await self._http.send(request)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise _misdirected(self.base_url, str(error)) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise _unreachable(error) from None


def _is_for_others(record: logging.LogRecord) -> bool:
    """Whether httpx may log a request: not one of ours, as it writes a line for each poll, and signed addresses."""
    return not _is_ours.get() or record.levelno > logging.INFO


@contextmanager
def _unlogged() -> Iterator[None]:
    token = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(token)


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine, which no proxy of the environment can reach."""
    return host in ("localhost", "::1") or host.startswith("127.")


def parsed(url: str) -> httpx.URL:
    """The parts of a URL; raises `ValueError` for what is none, which the layers below say in several ways."""
    try:
        parts = httpx.URL(url)
        is_host, port = bool(parts.host), parts.port or 0
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    if not is_host or port > _MOST_PORT:
        raise ValueError("it names no host" if port <= _MOST_PORT else f"there is no port {port}")
    return parts


def secrets_in(url: str) -> list[str]:
    """What of a webhook's address nobody is to read, longest first: all of it, and each long value of its query."""
    query = urlsplit(url).query
    values = [value for name_and_value in query.split("&") for value in name_and_value.partition("=")[2:]]
    long = {value for value in (*values, *map(unquote_plus, values)) if len(value) >= _SECRET_OF_A_WEBHOOK}
    return sorted(filter(None, {url, query, *long}), key=len, reverse=True)


@cache
def _trusted() -> ssl.SSLContext:
    """Who signs certificates: read once, which takes as long as decoding a video."""
    return httpx.create_ssl_context()


def _misdirected(base_url: str, why: str) -> WrongAddressError:
    return WrongAddressError(ApiFault("base_url", f"{base_url} is not the API's address: {why}"))


def _unreachable(error: Exception) -> RunwareBusyError:
    # The transport calls every failure to connect, and every lost connection, a ConnectTimeout.
    is_slow = isinstance(error, (TimeoutError, httpx.TimeoutException)) and not isinstance(error, httpx.ConnectTimeout)
    kind = "timeout" if is_slow else "connection"
    return RunwareBusyError(ApiFault(kind, str(error) or type(error).__name__))


def _retry_after_s(response: httpx.Response) -> float | None:
    """Reads the header in both its forms, seconds and HTTP date."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
