"""Processes of Python that tests start, without the seconds in which each would import the same modules."""

from __future__ import annotations

import atexit
import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import fork_server

_SUBREAPER = 36
"""A constant of Linux: PR_SET_CHILD_SUBREAPER."""

_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OPENBLAS_", "DAGSTER_", "FSSPEC_", "ARROW_")
_READ_LATER = ("PYTHONPATH", "DAGSTER_HOME")
_NUMBERS = count()
_DECODER_OPTIONS = ("-I", "-B", "-X", "utf8")


class PythonProcess(subprocess.Popen):
    """As `Popen` of this interpreter with arguments, but forked from a process that has imported the package.

    It is a child of this process with a number, streams, environment, folder, signals and exit status of its own. Where
    a fork would differ from a start (another system, or variables that are read when Python or a library starts), it is
    started.
    """

    def __init__(self, arguments: list[Any], **how: Any) -> None:
        super().__init__([sys.executable, *map(str, arguments)], **how)

    def _execute_child(self, *given: Any) -> None:
        how = inspect.signature(super()._execute_child).bind(*given).arguments
        server = self._server_for(how)
        if server is None:
            super()._execute_child(*given)
            return
        streams = [how[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        asked = {
            "arguments": how["args"][1 + len(server.options) :],
            "folder": os.fspath(how["cwd"] or Path.cwd()),
            "environment": dict(os.environ if how["env"] is None else how["env"]),
            "is_session": how["start_new_session"],
        }
        try:
            self.pid = server.fork(asked, [number if fd == -1 else fd for number, fd in enumerate(streams)])
            self._child_created = True
        finally:
            self._close_pipe_fds(*(how[name] for name in _PIPES))

    @staticmethod
    def _server_for(how: dict[str, Any]) -> _ForkServer | None:
        """The process to fork, if that is the same as a start. A fork server pays from the second process on."""
        if sys.platform != "linux" or next(_NUMBERS) == 0 or not _is_plain(how):
            return None
        server = _command_server()
        return server if _early(os.environ if how["env"] is None else how["env"]) == server.early else None


class DecoderProcess(PythonProcess):
    """As `Popen` of a decoder's command, but forked from a process that has imported what decoders do, and no more."""

    @staticmethod
    def takes(arguments: Sequence[str]) -> bool:
        """Whether these are the arguments of a start of Python for a decoder."""
        options, program = tuple(arguments[: len(_DECODER_OPTIONS)]), arguments[-2:-1]
        return sys.platform == "linux" and options == _DECODER_OPTIONS and "decoder_process import main" in str(program)

    @staticmethod
    def _server_for(how: dict[str, Any]) -> _ForkServer | None:
        """There are always many decoders."""
        server = _decoder_server()
        return server if _is_plain(how) and how["env"] == server.early else None


_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


def run_python(
    arguments: list[Any], *, said: Any = None, check: bool = False, timeout: float | None = None, **how: Any
) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run` of this interpreter, by a PythonProcess; `said` is what it reads."""
    if said is not None:
        how["stdin"] = subprocess.PIPE
    if how.pop("capture_output", False):
        how |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with PythonProcess(arguments, **how) as process:
        try:
            outputs = process.communicate(said, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, *outputs)
    if check:
        done.check_returncode()
    return done


def _is_plain(how: dict[str, Any]) -> bool:
    return how["preexec_fn"] is None and not how["pass_fds"] and not how["shell"]


def _early(environment: Any) -> dict[str, str]:
    found = {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
    return {name: value for name, value in found.items() if name not in _READ_LATER}


class _ForkServer:
    def __init__(
        self, modules: tuple[str, ...], options: tuple[str, ...] = (), environment: dict[str, str] | None = None
    ) -> None:
        self._lock = threading.Lock()
        self.options = options
        self.early = _early(os.environ if environment is None else environment)
        self._requests, theirs = socket.socketpair()
        with theirs:
            main = f"import fork_server; fork_server.main({theirs.fileno()}, {modules})"
            command = [sys.executable, *options, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {main}"]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        atexit.register(self._end)

    def fork(self, asked: dict[str, Any], streams: list[int]) -> int:
        """The process id of a new child of this process."""
        request = json.dumps(asked).encode()
        with self._lock, _adoption():
            socket.send_fds(self._requests, [str(len(request)).encode().ljust(8)], streams)
            self._requests.sendall(request)
            answer = self._requests.recv(8, socket.MSG_WAITALL)
        assert answer.strip(), "no process was forked"
        return int(answer)

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()


@cache
def _command_server() -> _ForkServer:
    """One for all tests of this process."""
    return _ForkServer(fork_server.COMMAND)


@cache
def _decoder_server() -> _ForkServer:
    """Started with the options and variables that decoders are started with."""
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return _ForkServer(fork_server.DECODER, _DECODER_OPTIONS, libraries)


@contextmanager
def _adoption() -> Iterator[None]:
    """Children of the fork server whose parent ends become children of this process."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SUBREAPER, 0, 0, 0, 0)
