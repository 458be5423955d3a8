"""Addresses that a table may not name: the API would fetch them, or send to them, for whoever wrote the table."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from wan_assets.prompts.columns import PICTURE, SOUND
from wan_assets.prompts.problem import Refusal
from wan_assets.request import VideoRequest

_OF_ONE_HOUSE = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".in-addr.arpa", ".ip6.arpa")
_RULE = "must not lead to a private, local or otherwise reserved address"
_FIX = "name a host that is public"


def breaches_of_addresses(request: VideoRequest) -> Iterator[tuple[str, str, Refusal]]:
    """Yields column, value and rule for each address of a request that is not public; names are not looked up."""
    named = {
        PICTURE: request.image,
        SOUND: request.sound,
        "webhook_url": request.webhook_url,
        "upload_endpoint": request.upload_endpoint,
    }
    for column, value in named.items():
        if value and re.match(r"https?:", value, re.IGNORECASE) and not is_public(value):
            yield column, value, Refusal(_RULE, _FIX)


def is_public(url: str) -> bool:
    """Whether the host of a URL is neither reserved nor of one house, in whatever form it is written.

    >>> [is_public(f"https://{host}/a.png") for host in ("example.com", "8.8.8.8", "localhost", "[::1]", "0x7f.1")]
    [True, True, False, False, False]
    """
    if "\\" in url:  # which some take for a slash, and others for a part of the host
        return False
    host = (urlsplit(url).hostname or "").rstrip(".")
    for address in _addresses_of(host):
        return address.is_global and not address.is_multicast
    return "." in host and not f".{host}".endswith(_OF_ONE_HOUSE)


def _addresses_of(host: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address that a host is, if it is one: also as one number, in octal, in hexadecimal, or within an IPv6 one."""
    with suppress(OSError, UnicodeError):
        yield ipaddress.IPv4Address(socket.inet_aton(host))
    with suppress(ValueError):
        address = ipaddress.IPv6Address(host.partition("%")[0])
        within = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        yield within or address
