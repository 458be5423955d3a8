"""Fetching results: in pieces, from expected hosts only, again when a result is cut off or not ready yet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import httpx

from wan_assets.client.connections import is_loopback
from wan_assets.client.retrying import Troubles, tried
from wan_assets.client.transport import Pace, Transport, parsed
from wan_assets.errors import ApiFault, OutputUnavailableError, RunwareBusyError

_NOT_READY = {408, 409, 422, 425, 429}
_PIECE_BYTES = 1 << 18
_MOST_BYTES = 2 << 30
_MOST_REDIRECTS = 3


class Downloads:
    """Streams results to files with bounded memory."""

    def __init__(self, transport: Transport, pace: Pace, hosts: Sequence[str], troubles: Troubles) -> None:
        self._transport = transport
        self._pace = pace
        self._troubles = troubles
        api_host = parsed(transport.base_url).host
        self._hosts = {api_host, *map(str.lower, hosts)}
        self._is_local = is_loopback(api_host)

    async def fetch(self, url: str, path: Path) -> None:
        """Writes the file at `url` to `path`; raises `OutputUnavailableError` when it cannot be had."""
        try:
            await tried(partial(self._fetch_once, url, path), self._pace, self._pace.download_tries, self._troubles)
        except (RunwareBusyError, OutputUnavailableError) as error:
            raise OutputUnavailableError(self._transport.redaction.fault(error.fault)) from None

    async def _fetch_once(self, url: str, path: Path) -> None:
        for _ in range(_MOST_REDIRECTS + 1):
            address = self._expected(url)
            async with self._transport.stream(address) as response:
                if not response.has_redirect_location:
                    await _written(response, path)
                    return
                url = _led_to(address, response.headers["Location"])
        raise _unavailable("redirects", f"more than {_MOST_REDIRECTS} redirects")

    def _expected(self, url: str) -> httpx.URL:
        """The address of a file, if it is on a host that files are expected on."""
        try:
            parts = parsed(url)
        except ValueError as error:
            raise _unavailable("url", f"{url[:200]!r} is no address: {error}") from None
        is_known = parts.host in self._hosts or parts.host.endswith(".runware.ai")
        if not is_known or parts.scheme not in (("http", "https") if self._is_local else ("https",)):
            hint = f"name {parts.host} in allowed_download_hosts if you trust it"
            raise _unavailable("host", f"{parts.scheme}://{parts.host} is not an expected host; {hint}")
        return parts


def _led_to(address: httpx.URL, location: str) -> str:
    try:
        return str(address.join(location))
    except httpx.InvalidURL:
        return location


async def _written(response: httpx.Response, path: Path) -> None:
    status = response.status_code
    if status in _NOT_READY or status >= 500:
        raise RunwareBusyError(ApiFault(f"http_{status}", "the result is not ready yet", http_status=status))
    if status not in (200, 203):
        raise _unavailable(f"http_{status}", "the result's file is not there (it may have expired)", status)
    size = 0
    with path.open("wb") as file:
        async for piece in response.aiter_bytes(_PIECE_BYTES):
            size += len(piece)
            if size > _MOST_BYTES:
                raise _unavailable("too_large", f"the result is larger than {_MOST_BYTES} bytes")
            file.write(piece)
    stated = response.headers.get("Content-Length", "")
    if size == 0 or ("Content-Encoding" not in response.headers and stated.isdigit() and int(stated) != size):
        raise RunwareBusyError(ApiFault("cut", f"{size} of {stated or 'unknown'} bytes came"))


def _unavailable(code: str, message: str, status: int | None = None) -> OutputUnavailableError:
    return OutputUnavailableError(ApiFault(code, message, http_status=status))
