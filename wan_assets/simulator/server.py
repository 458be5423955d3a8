"""Servers for the simulator: in the foreground, or in a thread of this process."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from wan_assets.simulator.app import create_app
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.faults import SimulatorError
from wan_assets.simulator.journal import Journal

_LOGGER = logging.getLogger("uvicorn.error")
_KEEP_ALIVE_S = 120
_TICK_S = 0.1
_SHUTDOWN_S = 1.0


def serve(
    state: str | Path,
    behaviour: Behaviour,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, and then returns; calls `on_ready` with the URL of the API.

    Raises `SimulatorError` if the port or the folder cannot be used.
    """
    with (
        _listening_socket(host, port) as listening,
        _without_reraised_signals(),
        _without_logs(threading.current_thread()),
    ):
        server = _server(state, behaviour)
        if on_ready:
            on_ready(_url_of(host, listening))
        server.run(sockets=[listening])


class LocalSimulator:
    """A simulator on a loopback port, served by a thread of this process during a `with` block.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, LocalSimulator(folder) as simulator:
    ...     simulator.base_url.startswith("http://127.0.0.1:")
    True

    A `port` of 0 selects a free port. `journal` can be read at any time, also after the block.
    """

    def __init__(self, state: str | Path, behaviour: Behaviour | None = None, *, port: int = 0) -> None:
        self._state = state
        self._behaviour = behaviour or Behaviour()
        self._port = port
        self._journal: Journal | None = None
        self.base_url = ""

    @property
    def journal(self) -> Journal:
        """The journal, opened on first access."""
        self._journal = self._journal or Journal(self._state)
        return self._journal

    def __enter__(self) -> Self:
        self._socket = _listening_socket("127.0.0.1", self._port)
        try:
            self._server = _server(self._state, self._behaviour)
        except BaseException:
            self._socket.close()
            raise
        self.base_url = _url_of("127.0.0.1", self._socket)
        # The socket is already listening, so clients that connect before the thread serves wait in its queue.
        self._thread = threading.Thread(target=self._serve, name="wan-assets-simulator", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.end()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        with _without_logs(threading.current_thread()):
            self._server.run(sockets=[self._socket])


class _Server(uvicorn.Server):
    """Stops immediately and closes open connections."""

    _loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Stops the server from another thread, if it is still running."""
        self.should_exit = True
        if self._loop:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ended.set)

    async def main_loop(self) -> None:
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        ticks = itertools.count()
        while not await self.on_tick(next(ticks)):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if tasks := self.server_state.tasks:
            await asyncio.wait(tasks, timeout=_SHUTDOWN_S)
        await self.lifespan.shutdown()


def _server(state: str | Path, behaviour: Behaviour) -> _Server:
    config = uvicorn.Config(
        _with_raw_access(create_app(state, behaviour)),
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        server_header=False,
        ws="none",
    )
    return _Server(config)


def _with_raw_access(app: ASGIApp) -> ASGIApp:
    """Allows the application to close the connection and to write raw bytes, which ASGI does not support."""

    async def with_hang_up(scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            scope["hang_up"], scope["write_raw"] = transport.close, transport.write
        with suppress(asyncio.CancelledError):  # only the end of the server cancels; uvicorn would log a traceback
            await app(scope, receive, send)

    return with_hang_up


@contextmanager
def _without_logs(thread: threading.Thread) -> Iterator[None]:
    """Suppresses uvicorn's log records of one thread, except errors."""

    def is_wanted(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or record.thread != thread.ident

    _LOGGER.addFilter(is_wanted)
    try:
        yield
    finally:
        _LOGGER.removeFilter(is_wanted)


@contextmanager
def _without_reraised_signals() -> Iterator[None]:
    """Stops uvicorn from raising a signal again after it has handled it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _url_of(host: str, listening: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}/v1"


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only on sockets with an explicit protocol.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        why = "it is in use" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
        raise SimulatorError(f"cannot listen on {host}:{port}: {why}") from None
    return listening
