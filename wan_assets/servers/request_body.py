"""Reads the bodies of requests within limits of size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from wan_assets.durations import duration_text

_BODY_TIMEOUT_S = 4.0


class RefusalError(Exception):
    """A request is answered with an HTTP status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def body_of(request: Request, max_bytes: int) -> bytes:
    """Returns the body of a request; raises `RefusalError` if it is too large or arrives too slowly."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > max_bytes:
                    raise RefusalError(413, f"the body has more than {max_bytes} bytes")
    except TimeoutError:
        raise RefusalError(408, f"the body did not arrive within {duration_text(_BODY_TIMEOUT_S)}") from None
    return bytes(body)
