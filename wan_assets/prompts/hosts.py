"""The check whether a host name or IP address is public, after the normalization that HTTP clients apply."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

import idna

_DOTS = re.compile("[\u3002\uff0e\uff61]")
_NAME = re.compile(r"(?!.{254})(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_DECODINGS = 4
_MAX_PARTS = 4

_PRIVATE_DOMAINS = (
    *("localhost", "localdomain", "localdomain6", "local", "internal", "intranet", "lan", "home", "corp", "private"),
    *("svc", "home.arpa", "in-addr.arpa", "ip6.arpa"),
)
_METADATA_HOSTS = ("metadata.goog", "metadata.tencentyun.com", "metadata.packet.net", "metadata.platformequinix.com")
_LOOPBACK_SERVICES = (
    *("nip.io", "sslip.io", "xip.io", "traefik.me", "backname.io", "1u.ms", "rbndr.us"),
    *("localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "localho.st", "fuf.me"),
)
"""Public names that resolve to an address that is part of the name, or to this machine."""

_NOT_PUBLIC = tuple(f".{name}" for name in (*_PRIVATE_DOMAINS, *_METADATA_HOSTS, *_LOOPBACK_SERVICES))

_CLOUD_METADATA = tuple(map(ipaddress.ip_address, ("168.63.129.16", "192.0.0.192")))
"""Metadata addresses of Azure and Oracle Cloud; those of other clouds are link-local."""
_UNICAST = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
_EMBEDDING = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""Networks whose last 32 bits are an IPv4 address: compatible, mapped, translated and NAT64."""

_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_LOW = 0xFFFF_FFFF


def is_public_host(host: str) -> bool:
    """Returns whether a host is a public address or a name outside private domains, without resolving the name.

    >>> [is_public_host(host) for host in ("example.com", "127.0.0.1", "127\u30020.0.1", "[64:ff9b::7f00:1]")]
    [True, False, False, False]
    """
    name = _normalized(host)
    if name is None:
        return False
    if ":" in name or name.startswith("["):
        return _is_public_ipv6(name.strip("[]").partition("%")[0])
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        readings = list(_ipv4_readings(name))
        return bool(readings) and all(map(_is_public_ipv4, readings))
    return _NAME.fullmatch(name) is not None and not f".{name}".endswith(_NOT_PUBLIC)


def _normalized(host: str) -> str | None:
    """Returns the host in lower-case ASCII with all encodings removed, or None if it is not a host name."""
    for _ in range(_DECODINGS):
        host = unquote(host)
    letters = unicodedata.normalize("NFKC", _DOTS.sub(".", host))
    visible = "".join(letter for letter in letters if not _is_ignored(letter))
    name = _DOTS.sub(".", unicodedata.normalize("NFKC", visible)).lower().rstrip(".")
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode().lower().rstrip(".")
    except (idna.IDNAError, UnicodeError):
        return None


def _is_ignored(letter: str) -> bool:
    """Returns whether clients ignore a character: soft hyphens, joiners, direction marks, variation selectors."""
    return (
        unicodedata.category(letter) == "Cf"
        or letter in "\u034f\u115f\u1160\u17b4\u17b5\u3164"
        or ("\ufe00" <= letter <= "\ufe0f" or "\u180b" <= letter <= "\u180f" or "\U000e0100" <= letter <= "\U000e01ef")
    )


def _ipv4_readings(name: str) -> Iterator[ipaddress.IPv4Address]:
    """Yields the addresses that clients read from a numeric host: a leading zero means octal or decimal."""
    parts = name.split(".")
    if len(parts) > _MAX_PARTS or not all(map(_NUMBER.fullmatch, parts)):
        return
    for reads_octal in (True, False):
        try:
            *first, last = (_number(part, reads_octal=reads_octal) for part in parts)
            if all(number <= 0xFF for number in first) and last < 256 ** (5 - len(parts)):
                total = sum(number << (24 - 8 * index) for index, number in enumerate(first)) + last
                yield ipaddress.IPv4Address(total)
        except ValueError:
            continue


def _number(part: str, *, reads_octal: bool) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if reads_octal and part.startswith("0") else 10)


def _is_public_ipv4(address: ipaddress.IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and address not in _CLOUD_METADATA


def _is_public_ipv6(text: str) -> bool:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    low = int(address) & _LOW
    if any(address in network for network in _EMBEDDING):
        return _is_public_ipv4(ipaddress.IPv4Address(low))
    within = [address.sixtofour, *(address.teredo or ())]
    if (int(address) >> 32) & _LOW in _ISATAP:
        within.append(ipaddress.IPv4Address(low))
    if embedded := [each for each in within if each is not None]:
        return all(map(_is_public_ipv4, embedded))
    return address in _UNICAST and address not in _DOCUMENTATION and address.is_global and not address.is_multicast
