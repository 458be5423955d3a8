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
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

_SUBREAPER = 36
"""A constant of Linux: PR_SET_CHILD_SUBREAPER."""

_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OPENBLAS_", "DAGSTER_", "FSSPEC_", "ARROW_")
_READ_LATER = ("PYTHONPATH", "DAGSTER_HOME")
_NUMBERS = count()


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
        if not _is_forkable(how):
            super()._execute_child(*given)
            return
        streams = [how[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        asked = {
            "arguments": how["args"][1:],
            "folder": os.fspath(how["cwd"] or Path.cwd()),
            "environment": dict(os.environ if how["env"] is None else how["env"]),
            "is_session": how["start_new_session"],
        }
        try:
            self.pid = _fork_server().fork(asked, [number if fd == -1 else fd for number, fd in enumerate(streams)])
            self._child_created = True
        finally:
            self._close_pipe_fds(*(how[name] for name in _PIPES))


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


def _is_forkable(how: dict[str, Any]) -> bool:
    """A fork server pays from the second process on."""
    if sys.platform != "linux" or next(_NUMBERS) == 0:
        return False
    plain = how["preexec_fn"] is None and not how["pass_fds"] and not how["shell"]
    environment = os.environ if how["env"] is None else how["env"]
    return plain and _early(environment) == _fork_server().early


def _early(environment: Any) -> dict[str, str]:
    found = {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
    return {name: value for name, value in found.items() if name not in _READ_LATER}


class _ForkServer:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.early = _early(os.environ)
        self._requests, theirs = socket.socketpair()
        with theirs:
            code = f"import sys; sys.path[:0] = {sys.path!r}; import fork_server; fork_server.main({theirs.fileno()})"
            self._process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()])
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
def _fork_server() -> _ForkServer:
    """One for all tests of this process."""
    return _ForkServer()


@contextmanager
def _adoption() -> Iterator[None]:
    """Children of the fork server whose parent ends become children of this process."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SUBREAPER, 0, 0, 0, 0)
