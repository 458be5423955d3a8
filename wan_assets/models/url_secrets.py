"""What of an address nobody is to read: keys in its query, a password before its host."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus, urlsplit

_USER = re.compile(r"(?<=://)[^/]*@")
_PATH = re.compile(r"(?<=[^:/])/.*", re.DOTALL)

DESTINATION_FIELDS = ("webhookURL", "uploadEndpoint")
"""What a task says of where it is to be sent to; the model's other addresses are taken from."""

HIDDEN = "***"

PUBLIC_OPTIONS = frozenset(
    (
        "application_name",
        "connect_timeout",
        "host",
        "hostaddr",
        "port",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    )
)
"""Options in a database's URL that hold no secret; any other may."""

_MIN_LENGTH = 16
"""Anything shorter may be an innocent word, such as one in the address of a video."""


def public_part_of(address: str) -> str:
    """A URL without user, password and query; a path as it is.

    >>> public_part_of("https://me:word@example.com/a.png?token=0123456789abcdef")
    'https://example.com/a.png'
    """
    scheme, separator, rest = address.partition("?")[0].partition("://")
    return _USER.sub("", f"{scheme.lower()}://{rest}") if separator else address


def host_of(address: str) -> str:
    """A URL up to the end of its host: of one that takes whatever is sent to it, the path may be a secret too.

    >>> host_of("https://hooks.example.com:8443/T00/B00/0123456789")
    'https://hooks.example.com:8443'
    """
    return _PATH.sub("", public_part_of(address))


def may_hold_password(database_url: str) -> bool:
    """Whether anything in a database's URL may be a password; a SQLite file has none."""
    if database_url.lower().startswith("sqlite"):
        return False
    place, _, query = database_url.partition("?")
    options = {option.partition("=")[0].lower() for option in query.split("&") if option}
    return ":" in place.partition("://")[2].rpartition("@")[0] or "://" not in place or bool(options - PUBLIC_OPTIONS)


def without_secrets_of(address: str, text: str) -> str:
    """A text that may quote an address, without its user and query."""
    place, _, query = address.partition("?")
    user = _USER.search(place)
    for secret in (user[0] if user else "", query if "://" in address else ""):
        text = text.replace(secret, "") if secret else text
    return text


def secrets_in(url: str) -> list[str]:
    """What of a webhook's address may be secret, longest first: all of it, and each long value of its query."""
    query = urlsplit(url).query
    values = [value for name_and_value in query.split("&") for value in name_and_value.partition("=")[2:]]
    long = {value for value in (*values, *map(unquote_plus, values)) if len(value) >= _MIN_LENGTH}
    return sorted(filter(None, {url, query, *long}), key=len, reverse=True)
