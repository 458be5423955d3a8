"""How an application is served: on a port that is known to be free before anything is said, and quietly."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from wan_assets.errors import WanAssetsError


class ListenError(WanAssetsError):
    """A server cannot listen where it was told to."""

    advice = "Give another --port or --host, or end what listens there."


def serve(app: ASGIApp, *, host: str, port: int, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM; `on_ready` is given the address, without a path. Raises `ListenError`."""
    with _bound(host, port) as listening, suppress(KeyboardInterrupt):
        if on_ready:
            shown = f"[{host}]" if ":" in host else host
            on_ready(f"http://{shown}:{listening.getsockname()[1]}")
        server_of(app).run(sockets=[listening])


def server_of(app: ASGIApp) -> uvicorn.Server:
    """A server that writes no line for a request."""
    config = uvicorn.Config(
        app, ws="none", lifespan="off", log_config=None, log_level="warning", access_log=False, server_header=False
    )
    return uvicorn.Server(config)


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
