"""Runs of the engine in a process of their own, which are killed at a point."""

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine_support import Studio
from python_process import PythonProcess

RUN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from engine_support import Studio, jobs_of
made = Studio(Path(sys.argv[1]), SimpleNamespace(base_url=sys.argv[2]))
made.run(jobs_of(int(sys.argv[3])))
"""


def killed(made: Studio, rows: int, *, when: Callable[[], bool]) -> int:
    """Starts a run in a process of its own, and kills it at a point; gives its end."""
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = ["-c", RUN, str(made.folder), made.simulator.base_url, str(rows)]
    return ended(command, when=when, environment=environment)


def ended(command: list[str], *, when: Callable[[], bool], environment: dict[str, str] | None = None) -> int:
    """Starts Python with arguments, and kills it at a point; gives its end."""
    process = PythonProcess(command, env=environment)
    while not when() and process.returncode is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.003)
    process.kill()
    return process.wait()
