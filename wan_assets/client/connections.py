"""Connections to hosts, straight or through the proxy that the environment names for them."""

from __future__ import annotations

import ssl
from functools import cache
from urllib.request import getproxies, proxy_bypass

import httpx
from httpx_aiohttp import AiohttpTransport

from wan_assets.settings import SettingsError

_PROXY_SCHEMES = ("http", "https")
_MOST_PORT = 65_535


class Connections:
    """Kept connections, so many of each kind. Requests go out as they are: a client above would cost more than they do.

    Cookies, redirects and logging are such a client's; the API needs none of them.
    """

    def __init__(self, kept: int, *, has_proxies: bool) -> None:
        self._limits = httpx.Limits(max_connections=2 * kept, max_keepalive_connections=kept)
        self._has_proxies = has_proxies
        self._proxies: dict[tuple[str, str], str] = {}
        self._ways: dict[str, AiohttpTransport] = {}

    async def close(self) -> None:
        for way in self._ways.values():
            await way.aclose()

    async def open(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; the response is still to be read and closed. Raises `httpx.HTTPError`."""
        proxy = self._proxy_to(request.url) if self._has_proxies else ""
        way = self._ways.get(proxy) or self._ways.setdefault(proxy, self._way_through(proxy))
        return await way.handle_async_request(request)

    def _proxy_to(self, url: httpx.URL) -> str:
        whither = (url.scheme, url.host)
        if whither not in self._proxies:
            self._proxies[whither] = _proxy_to(*whither)
        return self._proxies[whither]

    def _way_through(self, proxy: str) -> AiohttpTransport:
        return AiohttpTransport(verify=_trusted(), limits=self._limits, proxy=httpx.Proxy(proxy) if proxy else None)

    def refuse_unusable_proxy(self, url: httpx.URL) -> None:
        """Raises `SettingsError` where the environment names a proxy to a host that cannot be used."""
        if self._has_proxies:
            self._proxy_to(url)


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine, which no proxy of the environment can reach."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _proxy_to(scheme: str, host: str) -> str:
    """The environment's proxy for a host, empty where there is none; raises `SettingsError` for one of no use."""
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
    """A proxy may hold a password, and is not repeated."""
    scheme = proxy.partition("://")[0].lower()
    if scheme not in _PROXY_SCHEMES:
        raise SettingsError(
            f"{variable} names a {scheme[:20]}:// proxy, and only http:// and https:// proxies are supported; unset "
            f"{variable} (or {variable.lower()}), or set HTTPS_PROXY to an http:// proxy"
        )
    try:
        url = httpx.Proxy(proxy).url
        is_usable = bool(url.host) and (url.port or 0) <= _MOST_PORT
    except (httpx.InvalidURL, ValueError):
        is_usable = False
    if not is_usable:
        raise SettingsError(f"{variable} is not the address of a proxy, such as http://proxy.example.com:3128")


@cache
def _trusted() -> ssl.SSLContext:
    """Who signs certificates: read once, which takes as long as decoding a video."""
    return httpx.create_ssl_context()
