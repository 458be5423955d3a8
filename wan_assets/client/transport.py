"""Sends HTTP requests to the API, with time limits and redaction."""

from __future__ import annotations

import asyncio
import email.utils
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

import httpx

from wan_assets import __version__
from wan_assets.client.body_reader import TooLargeError, pieces_of
from wan_assets.client.bounds import clean_text, wait_in
from wan_assets.client.connections import Connections
from wan_assets.client.error_codes import WRONG_ADDRESS
from wan_assets.client.http_config import HttpConfig
from wan_assets.client.redaction import Redaction
from wan_assets.client.responses import ApiResponse, response_of
from wan_assets.errors import AccessDeniedError, ApiFault, RunwareBusyError, RunwareError, WrongAddressError
from wan_assets.models import public_part_of
from wan_assets.settings import is_loopback

_MAX_PORT = 65_535
_MAX_MESSAGE = 300
_NOT_FOUND_STATUSES = (404, 405)
_API_ERROR_MARKERS = ('"taskUUID"', '"parameter"', 'NotFound"')
"""A 404 of the API itself contains one of these; a 404 of another server does not."""

_HEADERS = httpx.Headers(
    {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": f"wan-assets/{__version__}"}
)
_DOWNLOAD_HEADERS = httpx.Headers({**_HEADERS, "Accept": "video/*, */*"})
_KEY = re.compile(r"[\x21-\x7e]*")

ResponseHook: TypeAlias = Callable[[Sequence[Mapping[str, Any]], ApiResponse], None]
"""Is called for each exchange with the submitted tasks and the response."""

BeforePost: TypeAlias = Callable[[], Awaitable[None]]
"""Is called when a connection is open and before the first byte of a body is written. An error that it raises stops the
POST."""


class Transport:
    """Posts arrays of task objects. The key is sent only with each POST, and `secrets` are removed from every response.

    `has_been_answered` states whether the address has answered a POST with a success, as the API does.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str,
        http_config: HttpConfig,
        *,
        secrets: Sequence[str] = (),
        on_response: ResponseHook | None = None,
        connections: int = 32,
    ) -> None:
        try:
            self._url = _checked_api_url(parse_url(base_url))
        except ValueError as error:
            raise _wrong_address(base_url, str(error)) from None
        self._headers = _headers_with(api_key)
        self.redaction = Redaction((api_key, *secrets))
        self._on_response = on_response
        self.base_url = base_url
        self.has_been_answered = False
        self._http_config = http_config
        # Requests wait here for a connection, so that this wait does not count as response time of the API.
        self._slots = asyncio.Semaphore(connections)
        self._connections = Connections(connections, has_proxies=not is_loopback(self._url.host))
        self._connections.refuse_unusable_proxy(self._url)

    async def close(self) -> None:
        await self._connections.close()

    async def post(self, tasks: Sequence[Mapping[str, Any]], before_post: BeforePost | None = None) -> ApiResponse:
        """Posts an array of tasks; raises `RunwareBusyError` if no response can be read.

        No response and no error contains a secret of the key, of the tasks, or of any address that was hidden earlier.
        """
        for task in tasks:
            self.redaction.hide_task(task)
        try:
            answer = await self._exchange(tasks, before_post)
        except RunwareError as error:
            raise self.redaction.error(error) from None
        data, faults = map(self.redaction.value, answer.data), map(self.redaction.fault, answer.faults)
        answer = replace(answer, data=tuple(data), faults=tuple(faults))
        self.has_been_answered = self.has_been_answered or answer.is_success
        if self._on_response:
            self._on_response(tasks, answer)
        return answer

    async def _exchange(self, tasks: Sequence[Mapping[str, Any]], before_post: BeforePost | None) -> ApiResponse:
        if self._headers is None:
            fault = ApiFault("invalidApiKey", "the key contains a space, a line end or another invalid character")
            raise AccessDeniedError(fault)
        content = json.dumps(list(tasks), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        request_body = _CheckedBody(content, before_post) if before_post else content
        async with self._slots:
            try:
                response, body = await self._response_and_body("POST", self._headers, request_body)
            except RunwareBusyError:
                if isinstance(request_body, _CheckedBody) and request_body.refusal:
                    raise request_body.refusal from None
                raise
        if response.is_redirect:
            raise _wrong_address(self.base_url, f"it redirects ({response.status_code})")
        text = str(body, "utf-8-sig", "replace")  # JSON is always UTF-8; the header may state something else
        if response.status_code in _NOT_FOUND_STATUSES and not any(word in text for word in _API_ERROR_MARKERS):
            raise _wrong_address(self.base_url, f"it does not accept tasks ({response.status_code})")
        return response_of(response.status_code, text, _retry_after_s(response))

    async def server_header(self, name: str) -> str | None:
        """Returns one header of the API's response to a GET, which carries no key and costs nothing."""
        response, _ = await self._response_and_body("GET", _HEADERS)
        return str(response.headers[name]) if name in response.headers else None

    @asynccontextmanager
    async def stream(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        """Opens the download of a video, without the key."""
        try:
            request = self._request("GET", url, _DOWNLOAD_HEADERS, limit_s=self._http_config.download_read_timeout_s)
            async with asyncio.timeout(self._http_config.response_timeout_s):
                response = await self._connections.open(request)
            async with aclosing(response):
                yield response
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise self._unreachable(error) from None

    def _request(
        self, method: str, url: httpx.URL, headers: httpx.Headers, *, limit_s: float, content: Body = None
    ) -> httpx.Request:
        timeout = httpx.Timeout(limit_s, connect=self._http_config.connect_timeout_s).as_dict()
        if isinstance(content, _CheckedBody):
            headers = httpx.Headers({**headers, "Content-Length": str(content.length)})
        return httpx.Request(method, url, headers=headers, content=content, extensions={"timeout": timeout})

    async def _response_and_body(
        self, method: str, headers: httpx.Headers, content: Body = None
    ) -> tuple[httpx.Response, bytes]:
        """Returns a response and its whole, decompressed body."""
        request = self._request(
            method, self._url, headers, limit_s=self._http_config.response_timeout_s, content=content
        )
        try:
            async with asyncio.timeout(self._http_config.response_timeout_s):
                async with aclosing(await self._connections.open(request)) as response:
                    pieces = [piece async for piece in pieces_of(response, self._http_config.max_response_bytes)]
                    return response, b"".join(pieces)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise _wrong_address(self.base_url, str(error)) from None
        except TooLargeError as error:
            raise RunwareBusyError(ApiFault("answerTooLarge", f"the answer was not read: {error}")) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> RunwareBusyError:
        # The transport calls every failure to connect, and every lost connection, a ConnectTimeout.
        is_timeout = isinstance(error, (TimeoutError, httpx.TimeoutException))
        kind = "timeout" if is_timeout and not isinstance(error, httpx.ConnectTimeout) else "connection"
        silence = (
            f"no complete answer arrived within {self._http_config.response_timeout_s:g} s"
            if kind == "timeout"
            else type(error).__name__
        )
        message = " ".join(self.redaction.text(str(error)).split()) or silence
        return RunwareBusyError(ApiFault(kind, clean_text(message, _MAX_MESSAGE)))


class _CheckedBody:
    """A body that calls `before_post` before its first byte is sent; `refusal` is the error of that call."""

    def __init__(self, content: bytes, before_post: BeforePost) -> None:
        self.refusal: Exception | None = None
        self._content = content
        self._before_post = before_post

    @property
    def length(self) -> int:
        return len(self._content)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            await self._before_post()
        except Exception as error:
            self.refusal = error
            raise
        yield self._content


Body: TypeAlias = bytes | _CheckedBody | None


def parse_url(url: str) -> httpx.URL:
    """Returns the parts of a URL; raises `ValueError` if it is not valid. The libraries below raise several other
    errors.
    """
    try:
        parts = httpx.URL(url)
        is_host, port = bool(parts.host), parts.port or 0
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    if not is_host or port > _MAX_PORT:
        raise ValueError("it has no host" if port <= _MAX_PORT else f"there is no port {port}")
    return parts


def _checked_api_url(url: httpx.URL) -> httpx.URL:
    """Returns an http or https address; raises `ValueError` for any other address."""
    if url.scheme not in ("http", "https"):
        raise ValueError(f"it begins with {url.scheme}://, not with http:// or https://")
    if url.userinfo:
        raise ValueError("it contains a user or a password, and the API accepts only a key")
    return url


def _headers_with(api_key: str) -> httpx.Headers | None:
    """Returns the headers of each POST; None if the key cannot be valid, because a library's error would quote it."""
    if not _KEY.fullmatch(api_key):
        return None
    key = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return httpx.Headers({**_HEADERS, **key, "Content-Type": "application/json"})


def _wrong_address(base_url: str, why: str) -> WrongAddressError:
    return WrongAddressError(ApiFault(WRONG_ADDRESS, f"{public_part_of(base_url)} is not the API's address: {why}"))


def _retry_after_s(response: httpx.Response) -> float | None:
    """Reads the header in both its forms, seconds and HTTP date; None if the wait is not plausible."""
    header = response.headers.get("Retry-After", "").strip()[:_MAX_MESSAGE]
    if header.isdecimal():
        return wait_in(float(header))
    try:
        return wait_in(max(0.0, (email.utils.parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
