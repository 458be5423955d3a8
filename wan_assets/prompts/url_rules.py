"""Addresses that a table may not name: the API would fetch them, or send to them, for whoever wrote the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from wan_assets.models import VideoRequest
from wan_assets.prompts.columns import PICTURE, SOUND
from wan_assets.prompts.hosts import is_public_host
from wan_assets.prompts.problems import Refusal

_RULE = "must not lead to a private, local or otherwise reserved address"
_FIX = "name a host that is public"
_UNSEEN = re.compile(r"[\x00-\x20\x7f]")


def violations_of_urls(request: VideoRequest) -> Iterator[tuple[str, str, Refusal]]:
    """Yields column, value and rule for each address of a request that is not public; names are not looked up."""
    named = {
        PICTURE: request.image,
        SOUND: request.audio,
        "webhook_url": request.webhook_url,
        "upload_endpoint": request.upload_endpoint,
    }
    for column, value in named.items():
        if value and re.match(r"https?:", value, re.IGNORECASE) and not is_public(value):
            yield column, value, Refusal(_RULE, _FIX)


def is_public(url: str) -> bool:
    """Whether the host of a URL is public in whatever form it is written; names are not looked up.

    >>> [is_public(f"https://{host}/a.png") for host in ("example.com", "8.8.8.8", "localhost", "[::1]", "0x7f.1")]
    [True, True, False, False, False]
    """
    host = _host_of(url)
    return host is not None and is_public_host(host)


def _host_of(url: str) -> str | None:
    """The host as it is written; None for a URL that clients read in several ways."""
    if "\\" in url or _UNSEEN.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return host if parts.netloc.count("@") <= 1 else None
