"""Opens connections to hosts, directly or through the proxy that the environment names for a host."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from wan_assets.settings import SettingsError, is_loopback

_PROXY_SCHEMES = ("http", "https")
_MAX_PORT = 65_535


class Connections:
    """Pools of connections, one per proxy, with `kept` idle connections each.

    It uses the transport below httpx's client, because the client costs more time than the requests. Cookies, redirects
    and logging are features of that client, and the API needs none of them. Every error that an HTTP library raises
    about a host or its response leaves this class as an `httpx.HTTPError`.
    """

    def __init__(self, kept: int, *, has_proxies: bool) -> None:
        self._limits = httpx.Limits(max_connections=2 * kept, max_keepalive_connections=kept)
        self._has_proxies = has_proxies
        self._proxies: dict[tuple[str, str], str] = {}
        self._transports: dict[str, AiohttpTransport] = {}

    async def close(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()

    async def open(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; the caller reads and closes the response. Raises `httpx.HTTPError`."""
        proxy = self._proxy_to(request.url) if self._has_proxies else ""
        transport = self._transports.get(proxy) or self._transports.setdefault(proxy, self._transport_through(proxy))
        with _as_http_error():
            response = await transport.handle_async_request(request)
            response.stream = _CheckedStream(response.stream)
            return response

    def refuse_unusable_proxy(self, url: httpx.URL) -> None:
        """Raises `SettingsError` if the environment names an unusable proxy for a host."""
        if self._has_proxies:
            self._proxy_to(url)

    def _proxy_to(self, url: httpx.URL) -> str:
        target = (url.scheme, url.host)
        if target not in self._proxies:
            self._proxies[target] = _proxy_to(*target)
        return self._proxies[target]

    def _transport_through(self, proxy: str) -> AiohttpTransport:
        through = httpx.Proxy(proxy) if proxy else None
        return AiohttpTransport(verify=_ssl_context(), client=self._session, proxy=through)

    def _session(self) -> aiohttp.ClientSession:
        """Creates a session without cookies, because a server could write any content into them."""
        connector = _Connector(
            limit=self._limits.max_connections or 0,
            keepalive_timeout=self._limits.keepalive_expiry,
            ssl=_ssl_context(),
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class _Connector(aiohttp.TCPConnector):
    """Discards idle connections that received unrequested data, because it would be read as the next response."""

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        while True:
            connection = await super().connect(*args, **kwargs)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                return connection
            connection.close()


class _CheckedStream(httpx.AsyncByteStream):
    """A body whose reading raises only `httpx.HTTPError`."""

    def __init__(self, stream: httpx.AsyncByteStream | httpx.SyncByteStream) -> None:
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("the transport must return bodies that are read asynchronously")
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_http_error():
            async for piece in self._stream:
                yield piece

    async def aclose(self) -> None:
        with _as_http_error():
            await self._stream.aclose()


@contextmanager
def _as_http_error() -> Iterator[None]:
    """Converts errors of HTTP parsers, which raise own errors and `ValueError` for malformed responses."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL):
        raise
    except Exception as error:
        message = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
        raise httpx.RemoteProtocolError(f"the answer is not valid HTTP: {message}") from error


def _proxy_to(scheme: str, host: str) -> str:
    """Returns the environment's proxy for a host, or an empty text; raises `SettingsError` if it is unusable."""
    if is_loopback(host) or proxy_bypass(host):
        return ""
    named = getproxies()
    name = scheme if named.get(scheme) else "all"
    proxy = named.get(name, "")
    proxy = proxy if "://" in proxy or not proxy else f"http://{proxy}"
    if proxy:
        _refuse_unusable(proxy, f"{name.upper()}_PROXY")
    return proxy


def _refuse_unusable(proxy: str, variable: str) -> None:
    """Raises `SettingsError` for an unusable proxy. The message does not quote it, because it may contain a
    password.
    """
    scheme = proxy.partition("://")[0].lower()
    if scheme not in _PROXY_SCHEMES:
        raise SettingsError(
            f"{variable} names a {scheme[:20]}:// proxy, and only http:// and https:// proxies are supported; unset "
            f"{variable} (or {variable.lower()}), or set HTTPS_PROXY to an http:// proxy"
        )
    try:
        url = httpx.Proxy(proxy).url
        is_usable = bool(url.host) and (url.port or 0) <= _MAX_PORT
    except (httpx.InvalidURL, ValueError):
        is_usable = False
    if not is_usable:
        raise SettingsError(f"{variable} is not the address of a proxy, such as http://proxy.example.com:3128")


@cache
def _ssl_context() -> ssl.SSLContext:
    """Returns the trusted certificates. They are read once, because this takes as long as decoding a video."""
    return httpx.create_ssl_context()
