"""Downloads results in pieces, only from expected hosts, with retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx

from wan_assets.client.body_reader import TooLargeError, pieces_of
from wan_assets.client.http_config import HttpConfig
from wan_assets.client.retrying import RetryMonitor, with_retries
from wan_assets.client.transport import Transport, parse_url
from wan_assets.errors import ApiFault, OutputUnavailableError, RunwareBusyError
from wan_assets.settings import is_loopback

_NOT_READY = {408, 409, 422, 425, 429}
_MAX_REDIRECTS = 3


class Downloads:
    """Streams results to files with bounded memory."""

    def __init__(
        self, transport: Transport, http_config: HttpConfig, hosts: Sequence[str], retries: RetryMonitor
    ) -> None:
        self._transport = transport
        self._http_config = http_config
        self._retries = retries
        api_host = parse_url(transport.base_url).host
        self._hosts = {api_host, *map(str.lower, hosts)}
        self._is_local = is_loopback(api_host)

    async def fetch(self, url: str, path: Path, slots: asyncio.Semaphore) -> None:
        """Writes the file at `url` to `path`; raises `OutputUnavailableError` if it cannot be downloaded."""
        http_config = self._http_config
        try:
            async with asyncio.timeout(http_config.download_timeout_s) as limit:

                async def fetch_once() -> None:
                    async with _slot_of(slots, limit):
                        await self._fetch_once(url, path)

                await with_retries(fetch_once, http_config, http_config.max_download_tries, self._retries)
        except TimeoutError:
            raise _unavailable("slow", f"the file did not arrive within {http_config.download_timeout_s:g} s") from None
        except (RunwareBusyError, OutputUnavailableError) as error:
            raise OutputUnavailableError(self._transport.redaction.fault(error.fault)) from None

    async def _fetch_once(self, url: str, path: Path) -> None:
        for _ in range(_MAX_REDIRECTS + 1):
            address = self._checked_url(url)
            async with self._transport.stream(address) as response:
                if not response.has_redirect_location:
                    await self._write(response, path)
                    return
                url = _redirect_target(address, response.headers["Location"])
        raise _unavailable("redirects", f"more than {_MAX_REDIRECTS} redirects")

    async def _write(self, response: httpx.Response, path: Path) -> None:
        _refuse_status(response.status_code)
        try:
            with path.open("wb") as file:
                async with aclosing(pieces_of(response, self._http_config.max_download_bytes)) as pieces:
                    async for piece in self._at_minimum_rate(pieces):
                        file.write(piece)
                size = file.tell()
        except TooLargeError as error:
            raise _unavailable("too_large", f"the result was not downloaded: {error}") from None
        stated = response.headers.get("Content-Length", "")
        if size == 0 or ("Content-Encoding" not in response.headers and stated.isdecimal() and int(stated) != size):
            raise RunwareBusyError(ApiFault("cut", f"{size} of {stated or 'unknown'} bytes arrived"))

    async def _at_minimum_rate(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yields pieces while they arrive at the minimum rate. A slow sender would otherwise keep its slot forever."""
        window_s, least = self._http_config.download_window_s, self._http_config.min_download_bytes
        ends, got = time.monotonic() + window_s, 0
        while True:
            try:
                async with asyncio.timeout(ends - time.monotonic()):
                    piece = await anext(pieces, None)
            except TimeoutError:
                message = f"{got} bytes arrived within {window_s:g} s; the minimum is {least}"
                raise RunwareBusyError(ApiFault("slow", message)) from None
            if piece is None:
                return
            yield piece
            got += len(piece)
            if got >= least:
                ends, got = time.monotonic() + window_s, 0

    def _checked_url(self, url: str) -> httpx.URL:
        """Returns the address of a file, if its host is expected."""
        try:
            parts = parse_url(url)
        except ValueError as error:
            raise _unavailable("url", f"{url[:200]!r} is not a valid address: {error}") from None
        is_known = parts.host in self._hosts or parts.host.endswith(".runware.ai")
        if not is_known or parts.scheme not in (("http", "https") if self._is_local else ("https",)):
            hint = f"add {parts.host} to allowed_download_hosts if you trust it"
            raise _unavailable("host", f"{parts.scheme}://{parts.host} is not an expected host; {hint}")
        return parts


@asynccontextmanager
async def _slot_of(slots: asyncio.Semaphore, limit: asyncio.Timeout) -> AsyncIterator[None]:
    """Holds one slot. The wait for the slot does not count against the time limit."""
    now, ends = asyncio.get_running_loop().time, limit.when() or 0.0
    limit.reschedule(None)
    left_s = ends - now()
    async with slots:
        limit.reschedule(now() + left_s)
        yield


def _redirect_target(address: httpx.URL, location: str) -> str:
    try:
        return str(address.join(location))
    except (httpx.InvalidURL, ValueError):
        return location


def _refuse_status(status: int) -> None:
    """Raises the error that an unsuccessful status means for a file."""
    if status in _NOT_READY or status >= 500:
        raise RunwareBusyError(ApiFault(f"http_{status}", "the result is not ready yet", http_status=status))
    if status not in (200, 203):
        raise _unavailable(f"http_{status}", "the result's file does not exist (it may have expired)", status)


def _unavailable(code: str, message: str, status: int | None = None) -> OutputUnavailableError:
    return OutputUnavailableError(ApiFault(code, message, http_status=status))
