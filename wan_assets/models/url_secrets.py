"""Removes the secret parts of URLs: query keys, and the password before the host."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus, urlsplit

_USER = re.compile(r"(?<=://)[^/]*@")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+")
_PATH = re.compile(r"(?<=[^:/])/.*", re.DOTALL)

DESTINATION_FIELDS = ("webhookURL", "uploadEndpoint")
"""Parameters of a task with an address that the API sends data to. The API only reads from the model's other
addresses.
"""

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
"""Options of a database URL that contain no secret; any other option may contain one."""

_MIN_LENGTH = 16
"""A shorter value may be an ordinary word, for example a word in the address of a video."""

_MIN_STORED = 8
"""A shorter value of a query is stored, unless it has the name of a secret."""

_SECRET_NAME = re.compile(r"sig|token|key|secret|pass|auth|cred", re.IGNORECASE)


def public_part_of(address: str) -> str:
    """Returns a URL without user, password and query; a path is unchanged.

    >>> public_part_of("https://me:word@example.com/a.png?token=0123456789abcdef")
    'https://example.com/a.png'
    """
    scheme, separator, rest = address.partition("?")[0].partition("://")
    return _USER.sub("", f"{scheme.lower()}://{rest}") if separator else address


def host_of(address: str) -> str:
    """Returns a URL up to the end of its host. The path of an address that receives data may be a secret too.

    >>> host_of("https://hooks.example.com:8443/T00/B00/0123456789")
    'https://hooks.example.com:8443'
    """
    return _PATH.sub("", public_part_of(address))


def public_text(text: str) -> str:
    """Returns a text in which each URL has lost user, password and query.

    >>> public_text("see https://me:word@example.com/a?token=0123456789abcdef, or call")
    'see https://example.com/a or call'
    """
    return _ADDRESS.sub(lambda found: public_part_of(found[0]), text)


def without_secrets(address: str, *, is_destination: bool) -> str:
    """Returns an address that may be stored: without anything that may be a secret.

    Everything after the host of a destination may be a secret. In other addresses, the user, the password and the query
    may be secrets; a query counts if it has a value of 8 characters or more, or a name such as `sig` or `token`.

    >>> without_secrets("https://example.com/a.png?v=2", is_destination=False)
    'https://example.com/a.png?v=2'
    >>> without_secrets("https://example.com/a.png?sig=x1", is_destination=False)
    'https://example.com/a.png'
    """
    if is_destination:
        return host_of(address)
    place, _, query = address.partition("?")
    values = [value for pair in query.split("&") for value in pair.partition("=")[2:]]
    is_secret = _USER.search(place) or _SECRET_NAME.search(query) or any(len(value) >= _MIN_STORED for value in values)
    return public_part_of(address) if is_secret else address


def may_hold_password(database_url: str) -> bool:
    """Whether any part of a database URL may be a password; a SQLite URL has none."""
    if database_url.lower().startswith("sqlite"):
        return False
    place, _, query = database_url.partition("?")
    options = {option.partition("=")[0].lower() for option in query.split("&") if option}
    return ":" in place.partition("://")[2].rpartition("@")[0] or "://" not in place or bool(options - PUBLIC_OPTIONS)


def without_secrets_of(address: str, text: str) -> str:
    """Returns a text that may quote an address, without the address's user and query."""
    place, _, query = address.partition("?")
    user = _USER.search(place)
    for secret in (user[0] if user else "", query if "://" in address else ""):
        text = text.replace(secret, "") if secret else text
    return text


def secrets_in(url: str) -> list[str]:
    """Returns the parts of a webhook address that may be secret, longest first: the whole address, and each long query
    value.
    """
    query = urlsplit(url).query
    values = [value for name_and_value in query.split("&") for value in name_and_value.partition("=")[2:]]
    long = {value for value in (*values, *map(unquote_plus, values)) if len(value) >= _MIN_LENGTH}
    return sorted(filter(None, {url, query, *long}), key=len, reverse=True)
