"""Serves an application on a port that is bound before the address is printed, without a log line per request.

An idle connection is closed early, so that no client can occupy all connections.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from wan_assets.errors import WanAssetsError

IDLE_S = 10.0
"""Seconds until a complete request must arrive after the connection is opened or the previous response ends."""

STALL_S = 60.0
"""Seconds after which a client that reads nothing of a response is disconnected."""

MAX_CONNECTIONS = 256
"""The number of connections at once. One more closes the connection that has been idle for the longest time."""


class ListenError(WanAssetsError):
    """A server cannot listen on the given address."""

    hint = "Give another --port or --host, or stop the process that listens there."


def serve(app: ASGIApp, *, host: str, port: int, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM; calls `on_ready` with the address, without a path. Raises `ListenError`."""
    with _bound(host, port) as listening, suppress(KeyboardInterrupt):
        if on_ready:
            shown = f"[{host}]" if ":" in host else host
            on_ready(f"http://{shown}:{listening.getsockname()[1]}")
        server_of(app).run(sockets=[listening])


def server_of(
    app: ASGIApp, *, idle_s: float = IDLE_S, stall_s: float = STALL_S, maximum: int = MAX_CONNECTIONS
) -> uvicorn.Server:
    """Returns a server that logs no requests and keeps at most `maximum` connections."""
    protocol: Any = partial(_TimeoutProtocol, idle_s=idle_s, stall_s=stall_s, maximum=maximum)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    return uvicorn.Server(config)


class _TimeoutProtocol(H11Protocol):
    """A connection with timeouts for missing requests and unread responses. uvicorn itself has none."""

    def __init__(self, *args: Any, idle_s: float, stall_s: float, maximum: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle_s = idle_s
        self._stall_s = stall_s
        self._maximum = maximum
        self._idle: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._is_ending = False
        self.idle_since = 0.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._update_idle_timer()
        if len(self.connections) > self._maximum:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._update_idle_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._update_idle_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._is_ending:
            self.transport.abort()
        self._stalled = self.loop.call_later(self._stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled = _cancelled(self._stalled)

    def shutdown(self) -> None:
        """Ends the connection when the server stops; a paused player reads nothing, and would delay the end."""
        super().shutdown()
        self._is_ending = True
        if self._stalled:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._idle, self._stalled = _cancelled(self._idle), _cancelled(self._stalled)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _update_idle_timer(self) -> None:
        """Measures the time without a complete request; a partial request does not extend it."""
        if not self.is_idle:
            self._idle = _cancelled(self._idle)
        elif self._idle is None:
            self.idle_since = self.loop.time()
            self._idle = self.loop.call_later(self._idle_s, self.transport.abort)

    def _make_room(self) -> None:
        others = (each for each in self.connections if isinstance(each, _TimeoutProtocol) and each is not self)
        idle = [each for each in others if each.is_idle and not each.transport.is_closing()]
        if idle:
            min(idle, key=lambda each: each.idle_since).transport.abort()


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer:
        timer.cancel()
    return None


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
