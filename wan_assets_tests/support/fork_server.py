"""A process that has imported what a command or a decoder needs, and forks itself for each one that tests start."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

COMMAND = (
    "alembic.command",
    "chaos_run",
    "dagster._core.execution.execute_in_process",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.controller",
    "engine_support",
    "pandas",
    "pyarrow.compute",
    "pyarrow.pandas_compat",
    "sqlalchemy.dialects.mysql",
    "upath.implementations.local",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "wan_assets.cli.commands.materialize",
    "wan_assets.cli.commands.ledger",
    "wan_assets.cli.commands.plan",
)
"""What most starts import in the end. No module that reads the environment when it is imported."""

DECODER = (
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin",
    "wan_assets.video.decoder_process",
)
"""What a decoder process imports until it has answered its first request, and no more: its memory is limited."""


def serve(requests: socket.socket) -> tuple[str, ...]:
    """Forks a process for each request until there are no more; returns in the forked processes only, what to run."""
    while True:
        size, descriptors, *_ = socket.recv_fds(requests, 8, 3)
        if not size:
            os._exit(0)
        asked = json.loads(requests.recv(int(size), socket.MSG_WAITALL))
        ours, theirs = os.pipe()
        if not (parent := os.fork()):
            # Its parent ends at once, so that the system gives it to the process that asked for it.
            parent = os.getpid()
            if os.fork():
                os._exit(0)
            while os.getppid() == parent:
                time.sleep(0.001)
            what = _become(asked, descriptors)
            os.write(theirs, str(os.getpid()).encode())
            for each in (ours, theirs, requests.detach()):
                os.close(each)
            return what
        os.waitpid(parent, 0)
        os.close(theirs)
        requests.sendall(os.read(ours, 8).ljust(8))  # when it is what was asked for
        for each in (ours, *descriptors):
            os.close(each)


def _become(asked: dict, descriptors: list[int]) -> tuple[str, ...]:
    """Makes this process what a start with these streams, environment, folder and arguments would have made."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if asked["is_session"]:
        os.setsid()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    tempfile.tempdir = None
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    what, *arguments = asked["arguments"]
    sys.path[:1] = [_first_of_path(what), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return (what, *arguments)


def _first_of_path(what: str) -> str:
    return {"-m": str(Path.cwd()), "-c": ""}.get(what, str(Path(what).absolute().parent))


def run(what: str, *arguments: str) -> None:
    """Runs a module, a program or a script, as the interpreter does with the same arguments."""
    if what == "-m":
        sys.argv[:] = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        sys.argv[:] = ["-c", *arguments[1:]]
        program = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(arguments[0], "<string>", "exec"), program.__dict__)
    else:
        sys.argv[:] = [what, *arguments]
        runpy.run_path(what, run_name="__main__")


class _Exit:
    """Ends a process once all that ends with it has ended, without taking every imported module apart first."""

    status: int | None = None

    def __call__(self) -> None:
        if self.status is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.status)


def _status_of(ending: BaseException | None) -> int | None:
    """The exit status of a program that ended so; None for an interrupt, whose signal the interpreter passes on."""
    match ending:
        case None | SystemExit(code=None):
            return 0
        case SystemExit(code=int(status)):
            return status & 0xFF
        case KeyboardInterrupt():
            return None
    return 1


def main(descriptor: int, modules: tuple[str, ...]) -> None:
    end = _Exit()
    atexit.register(end)  # the first to be registered is the last to be called
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    asked = serve(socket.socket(fileno=descriptor))
    ending = None
    try:
        run(*asked)
    except BaseException as error:
        ending = error
        raise
    finally:
        end.status = _status_of(ending)
