"""Addresses as they may be shown: without user, password and query."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^/@]*@")


def shown(address: str) -> str:
    """A URL without what may be a secret; a path as it is."""
    return _USER.sub("", address.partition("?")[0]) if "://" in address else address


def without_secrets(text: str, address: str) -> str:
    """A text that may quote an address, without its user and query."""
    user, query = _USER.search(address), address.partition("?")[2] if "://" in address else ""
    for secret in (user[0] if user else "", query):
        text = text.replace(secret, "") if secret else text
    return text
