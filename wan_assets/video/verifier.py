"""Inspection of video files in decoder processes, so that a file that crashes a decoder fails only its own row."""

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
_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_BURST = 4
"""Starting a process takes about as long as decoding four small files. The engine requests up to `max_downloads` files
at the same time."""


class Verifier:
    """A pool of up to `processes` decoder processes, started when needed and reused.

    A file may use `limit_s` seconds and `memory_bytes` of memory. A decoder process inherits no environment
    variables and cannot write files; it has no network if the system allows this. If one is running, another one is
    started only when more than four files are requested, or when a file has waited `patience_s` seconds.
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
        self._slots = asyncio.Semaphore(processes)
        self._idle: asyncio.Queue[Process] = asyncio.Queue()
        self._pending = self._starting = 0
        self._alive: set[Process] = set()
        self._killed: set[Process] = set()
        self._is_open = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the running processes."""
        return tuple(process.pid for process in self._alive if process.returncode is None)

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for process in tuple(self._alive):
            self._kill(process)
        for process in tuple(self._killed):
            await process.wait()

    async def properties_of(self, path: str | os.PathLike[str]) -> VideoProperties:
        """Runs `properties_of` in a decoder process; raises DecoderError if that crashes, hangs or cannot start."""
        answer = await self._call({"do": "facts", "path": _absolute(path)})
        return VideoProperties.from_json(answer["facts"])

    async def inspect_file(
        self, path: str | os.PathLike[str], poster_bytes: int, *, has_contact_sheet: bool
    ) -> Inspection:
        """Runs `inspect_file` in a decoder process; raises the same errors as `properties_of`."""
        how = {"poster_bytes": poster_bytes, "has_contact_sheet": has_contact_sheet}
        answer = await self._call({"do": "inspection", "path": _absolute(path), **how})
        return Inspection.from_json(answer["inspection"])

    async def poster_of(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int] = (96, 54),
        max_bytes: int = 700,
        position: float = 0.5,
    ) -> bytes:
        """Runs `poster_of` in a decoder process."""
        how = {"size": size, "max_bytes": max_bytes, "position": position}
        answer = await self._call({"do": "poster", "path": _absolute(path), **how})
        return base64.b64decode(answer["poster"])

    async def _call(self, call: dict[str, Any]) -> dict[str, Any]:
        async with self._decoder_process() as process:
            try:
                answer = await asyncio.wait_for(_answer_of(process, call), self._limit_s)
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
    async def _decoder_process(self) -> AsyncIterator[Process]:
        """Yields a decoder process for one file. If the block fails it is killed: its answer may be pending."""
        patient_until_s = asyncio.get_running_loop().time() + self._patience_s
        self._pending += 1
        try:
            async with self._slots:
                process = await self._idle_process(patient_until_s) or await self._new_process()
                try:
                    yield process
                except BaseException:
                    self._kill(process)
                    raise
                self._idle.put_nowait(process)
        finally:
            self._pending -= 1

    async def _idle_process(self, until_s: float) -> Process | None:
        """Returns an idle process, waiting until `until_s` if no burst of files is pending; skips dead processes."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until_s if self._pending <= _BURST else 0.0):
                while self._alive or self._starting:
                    process = await self._idle.get()
                    if process.returncode is None:
                        return process
                    self._kill(process)
        return None

    async def _new_process(self) -> Process:
        self._starting += 1
        try:
            return await self._start_process()
        finally:
            self._starting -= 1

    async def _start_process(self) -> Process:
        """Starts a process and waits until it is ready; a failed start is an error of the process, not of a file."""
        if not self._is_open:
            raise RuntimeError("the Verifier is not open: use it as `async with Verifier() as verifier`")
        try:
            process = await asyncio.create_subprocess_exec(
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
        self._alive.add(process)
        try:
            await asyncio.wait_for(_line_of(process), _START_LIMIT_S)
        except (DecoderError, TimeoutError) as error:
            self._kill(process)
            raise DecoderError(f"the decoder process cannot start: {error or 'it does not answer'}") from None
        except BaseException:
            self._kill(process)
            raise
        return process

    def _command(self) -> tuple[str, ...]:
        """Returns the command: Python without environment settings, with the module search path of this process."""
        paths = [str(Path(path).absolute()) for path in sys.path if isinstance(path, str)]
        limits = json.dumps({"path": paths, "cpu_s": self._limit_s, "memory_bytes": self._memory_bytes})
        return (sys.executable, "-I", "-B", "-X", "utf8", "-c", _START, limits)

    def _kill(self, process: Process) -> None:
        """Kills a process; `__aexit__` waits for its end."""
        self._alive.discard(process)
        self._killed = {dying for dying in self._killed if dying.returncode is None}
        if process.returncode is None:
            process.kill()
            self._killed.add(process)


def _absolute(path: str | os.PathLike[str]) -> str:
    """Returns the absolute path, because a process has a different working directory."""
    return str(Path(path).absolute())


def _environment() -> dict[str, str]:
    """Returns only the variables that locate Python's libraries; processes receive no keys and no credentials."""
    return {name: os.environ[name] for name in _LIBRARY_PATHS if name in os.environ}


async def _answer_of(process: Process, call: dict[str, Any]) -> dict[str, Any]:
    stdin = cast("asyncio.StreamWriter", process.stdin)
    try:
        stdin.write(json.dumps(call).encode() + b"\n")
        await stdin.drain()
    except ConnectionError:
        raise DecoderError(await _end_of(process)) from None
    answer: dict[str, Any] = json.loads(await _line_of(process))
    return answer


async def _line_of(process: Process) -> bytes:
    try:
        line = await cast("asyncio.StreamReader", process.stdout).readline()
    except (ConnectionError, ValueError):
        line = b""
    if not line.endswith(b"\n"):
        raise DecoderError(await _end_of(process))
    return line


async def _end_of(process: Process) -> str:
    """Describes how a process ended that closed its output."""
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _END_LIMIT_S)
    code = process.returncode
    if code == -signal.SIGXCPU:
        return "the decoder process used up its CPU time"
    if code == -signal.SIGKILL:
        return "the decoder process was killed, possibly because memory ran out"
    if code is not None and code < 0:
        return f"the decoder process crashed with signal {-code}"
    return "the decoder process crashed"
