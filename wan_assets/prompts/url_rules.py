"""The rule that URLs in a table must have public hosts, because the API would access them for the table's author."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from wan_assets.models import VideoRequest
from wan_assets.prompts.hosts import is_public_host
from wan_assets.prompts.problems import Refusal

_RULE = "must not have a private, local or reserved host"
_FIX = "use a public host"
_HTTP = re.compile(r"[\x00-\x20]*https?:", re.IGNORECASE)
"""An address of the web, also after characters that clients remove."""

_INVISIBLE = re.compile(r"[\x00-\x20\x7f]")


def violations_of_urls(request: VideoRequest) -> Iterator[tuple[str, str, Refusal]]:
    """Yields column, value and refusal for each URL of a request whose host is not public."""
    sent_to = [("webhook_url", request.webhook_url), ("upload_endpoint", request.upload_endpoint)]
    for column, value in [*((f"inputs.{name}", media) for name, media in request.media), *sent_to]:
        if value and _HTTP.match(value) and not is_public(value):
            yield column, value, Refusal(_RULE, _FIX)


def is_public(url: str) -> bool:
    """Returns whether the host of a URL is public, in any notation, without resolving names.

    >>> [is_public(f"https://{host}/a.png") for host in ("example.com", "8.8.8.8", "localhost", "[::1]", "0x7f.1")]
    [True, True, False, False, False]
    """
    host = _host_of(url)
    return host is not None and is_public_host(host)


def _host_of(url: str) -> str | None:
    """Returns the host as written, or None if clients may parse the URL differently."""
    if "\\" in url or _INVISIBLE.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return host if parts.netloc.count("@") <= 1 else None
