"""Checking of video files in child processes, so that a file that crashes a decoder costs one row."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from wan_assets.durations import duration_text
from wan_assets.errors import DecoderError, DecoderMissingError, InvalidVideoError
from wan_assets.video.inspection import Inspection
from wan_assets.video.properties import VideoProperties
from wan_assets.video.sandbox import MEMORY_BYTES

_LONGEST_ANSWER = 16 * 2**20
_START_LIMIT_S = 60.0
_END_LIMIT_S = 5.0
_START = (
    "import json, sys; limits = json.loads(sys.argv[1]); sys.path[:] = limits.pop('path'); "
    "from wan_assets.video.decoder_process import main; main(**limits)"
)
_FINDS_PYTHON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_CROWD = 4
"""A start takes about as long as decoding so many small files; the engine asks for up to `max_downloads` at once."""


class Verifier:
    """Up to `processes` children, each started when needed and kept; a file may take `limit_s` and `memory_bytes`.

    A child inherits no environment, and has no network, where the system allows that, and no way to write a file.

    Where there is a child, another is started only for a crowd of files, or for one that has waited `patience_s`.
    """

    def __init__(
        self,
        processes: int = 2,
        limit_s: float = 60.0,
        patience_s: float = 1.0,
        *,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._limit_s = limit_s
        self._memory_bytes = memory_bytes
        self._patience_s = patience_s
        self._places = asyncio.Semaphore(processes)
        self._idle: asyncio.Queue[Process] = asyncio.Queue()
        self._asked = self._starting = 0
        self._alive: set[Process] = set()
        self._killed: set[Process] = set()
        self._is_open = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The children alive now."""
        return tuple(child.pid for child in self._alive if child.returncode is None)

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for child in tuple(self._alive):
            self._kill(child)
        for child in tuple(self._killed):
            await child.wait()

    async def properties_of(self, path: str | os.PathLike[str]) -> VideoProperties:
        """`properties_of` in a child; a crash, and a decoder that hangs or cannot start, are DecoderErrors."""
        answer = await self._ask({"do": "facts", "path": _whole(path)})
        return VideoProperties.from_json(answer["facts"])

    async def inspect_file(self, path: str | os.PathLike[str], poster_bytes: int, *, has_strip: bool) -> Inspection:
        """`inspect_file` in a child, with the same errors as `properties_of`."""
        how = {"poster_bytes": poster_bytes, "has_strip": has_strip}
        answer = await self._ask({"do": "seen", "path": _whole(path), **how})
        return Inspection.from_json(answer["seen"])

    async def poster_of(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int] = (96, 54),
        max_bytes: int = 700,
        position: float = 0.5,
    ) -> bytes:
        """`poster_of` in a child."""
        how = {"size": size, "max_bytes": max_bytes, "position": position}
        answer = await self._ask({"do": "poster", "path": _whole(path), **how})
        return base64.b64decode(answer["poster"])

    async def _ask(self, call: dict[str, Any]) -> dict[str, Any]:
        async with self._child() as child:
            try:
                answer = await asyncio.wait_for(_answer_of(child, call), self._limit_s)
            except TimeoutError:
                raise DecoderError(f"decoding took longer than {duration_text(self._limit_s)}") from None
            if "failed" in answer:
                raise DecoderError(answer["failed"])
        if "undecodable" in answer:
            raise DecoderMissingError(answer["undecodable"])
        if "damaged" in answer:
            raise InvalidVideoError(answer["damaged"])
        return answer

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[Process]:
        """A child for one file, which is kept unless the block fails: its answer may then still be on the way."""
        patient_until_s = asyncio.get_running_loop().time() + self._patience_s
        self._asked += 1
        try:
            async with self._places:
                child = await self._waiting(patient_until_s) or await self._another()
                try:
                    yield child
                except BaseException:
                    self._kill(child)
                    raise
                self._idle.put_nowait(child)
        finally:
            self._asked -= 1

    async def _waiting(self, until_s: float) -> Process | None:
        """A child that waits for work, or does so in time; those that died meanwhile are left out."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until_s if self._asked <= _CROWD else 0.0):
                while self._alive or self._starting:
                    child = await self._idle.get()
                    if child.returncode is None:
                        return child
                    self._kill(child)
        return None

    async def _another(self) -> Process:
        self._starting += 1
        try:
            return await self._started()
        finally:
            self._starting -= 1

    async def _started(self) -> Process:
        """A new child that has said that it is ready: one that cannot start says nothing about a file."""
        if not self._is_open:
            raise RuntimeError("the Verifier is not open: use it as `async with Verifier() as verifier`")
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                limit=_LONGEST_ANSWER,
                env=_environment(),
                cwd="/",
            )
        except OSError as error:
            raise DecoderError(f"the decoder process cannot start: {error.strerror or error}") from None
        self._alive.add(child)
        try:
            await asyncio.wait_for(_line_of(child), _START_LIMIT_S)
        except (DecoderError, TimeoutError) as error:
            self._kill(child)
            raise DecoderError(f"the decoder process cannot start: {error or 'it does not answer'}") from None
        except BaseException:
            self._kill(child)
            raise
        return child

    def _command(self) -> tuple[str, ...]:
        """Python without any setting of its environment, and with the places where this process finds modules."""
        places = [str(Path(place).absolute()) for place in sys.path if isinstance(place, str)]
        limits = json.dumps({"path": places, "cpu_s": self._limit_s, "memory_bytes": self._memory_bytes})
        return (sys.executable, "-I", "-B", "-X", "utf8", "-c", _START, limits)

    def _kill(self, child: Process) -> None:
        """Ends the child now; the end is waited for on leaving, at the latest."""
        self._alive.discard(child)
        self._killed = {dying for dying in self._killed if dying.returncode is None}
        if child.returncode is None:
            child.kill()
            self._killed.add(child)


def _whole(path: str | os.PathLike[str]) -> str:
    """The path from the root: a child stays in the folder in which it was started."""
    return str(Path(path).absolute())


def _environment() -> dict[str, str]:
    """Nothing of this process's but what finds the libraries of Python itself: no keys, no credentials."""
    return {name: os.environ[name] for name in _FINDS_PYTHON if name in os.environ}


async def _answer_of(child: Process, call: dict[str, Any]) -> dict[str, Any]:
    stdin = cast("asyncio.StreamWriter", child.stdin)
    try:
        stdin.write(json.dumps(call).encode() + b"\n")
        await stdin.drain()
    except ConnectionError:
        raise DecoderError(await _end_of(child)) from None
    answer: dict[str, Any] = json.loads(await _line_of(child))
    return answer


async def _line_of(child: Process) -> bytes:
    try:
        line = await cast("asyncio.StreamReader", child.stdout).readline()
    except (ConnectionError, ValueError):
        line = b""
    if not line.endswith(b"\n"):
        raise DecoderError(await _end_of(child))
    return line


async def _end_of(child: Process) -> str:
    """How a child ended that has hung up."""
    with suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), _END_LIMIT_S)
    code = child.returncode
    if code == -signal.SIGXCPU:
        return "the decoder process used up its CPU time"
    if code == -signal.SIGKILL:
        return "the decoder process was killed, as happens where memory runs out"
    if code is not None and code < 0:
        return f"the decoder process crashed with signal {-code}"
    return "the decoder process crashed"
