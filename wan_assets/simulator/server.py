"""Serving the simulator: in the foreground, or in a thread of this process."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from wan_assets.simulator.app import create_app
from wan_assets.simulator.behaviour import Behaviour, SimulatorError
from wan_assets.simulator.books import Books


def serve(state: str | Path, behaviour: Behaviour, *, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serves until interrupted."""
    with _bound(host, port) as listening:
        _server(state, behaviour).run(sockets=[listening])


class LocalSimulator:
    """A simulator on a free loopback port, served by a thread of this process while the block lasts.

    >>> with LocalSimulator(folder) as simulator:
    ...     simulator.base_url
    'http://127.0.0.1:…/v1'
    """

    def __init__(self, state: str | Path, behaviour: Behaviour | None = None) -> None:
        self._state = state
        self._behaviour = behaviour or Behaviour()
        self.base_url = ""

    @property
    def books(self) -> Books:
        """The books, opened anew."""
        return Books(self._state)

    def __enter__(self) -> Self:
        self._socket = _bound("127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._server = _server(self._state, self._behaviour)
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="simulator", daemon=True)
        self._thread.start()
        started.wait(30)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self, started: threading.Event) -> None:
        # The socket listens from the start, so a client that connects early waits in its queue.
        started.set()
        self._server.run(sockets=[self._socket])


def _server(state: str | Path, behaviour: Behaviour) -> uvicorn.Server:
    try:
        app = create_app(state, behaviour)
    except OSError as error:
        raise SimulatorError(f"cannot keep state in {state}: {error.strerror}") from None
    config = uvicorn.Config(
        _abortable(app),
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
        server_header=False,
        ws="none",
    )
    return uvicorn.Server(config)


def _abortable(app: ASGIApp) -> ASGIApp:
    """Hands the connection's own abort to the application, which ASGI has no word for."""

    async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            scope["abort"] = transport.abort
        await app(scope, receive, send)

    return with_abort


def _bound(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        why = "it is in use" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
        raise SimulatorError(f"cannot listen on {host}:{port}: {why}") from None
    listening.listen(2048)
    return listening
