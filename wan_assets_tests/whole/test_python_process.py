"""Processes that the tests fork are as those that Python starts: whatever a program can see and do is the same."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_support import clean
from decoder_loop import DecoderLoop
from patience import PATIENCE_S
from python_process import PythonProcess, run_python

from wan_assets.video import Inspection, Verifier

SEES = """
print(sorted(set(globals()) - {"__annotations__", "__cached__", "__file__"}), __doc__)
import os, signal, sys
print(sys.argv, sys.path[0], os.getcwd(), sorted(set(os.environ) - {"LC_CTYPE"}), __name__)
print([sys.stdin.read(), sys.stdin.isatty(), sys.stdout.encoding, sys.stdout.line_buffering, sys.stderr.errors])
print(os.getppid(), os.getpgid(0), os.getpriority(os.PRIO_PROCESS, 0), len(os.listdir("/proc/self/task")))
print(sorted(os.listdir("/proc/self/fd"))[:3], os.umask(0), signal.getsignal(signal.SIGINT).__name__)
"""
PROGRAMS = {
    "sees": SEES,
    "ends": "import atexit; atexit.register(print, 'bye'); print('hello', end='')",
    "ends with a status": "import sys; sys.exit(7)",
    "ends with a sentence": "import sys; sys.exit('no')",
    "fails": "print('before'); 1 / 0",
    "is killed": "import os; os.kill(os.getpid(), 9)",
    "is interrupted": "import os; os.kill(os.getpid(), 2); __import__('time').sleep(9)",
    "ends after its threads": "import threading, time; threading.Timer(0.1, print, ['late']).start()",
    "has a reader that went away": "import os, sys; os.close(1); print('lost'); sys.exit(3)",
}


@pytest.fixture(autouse=True, scope="module")
def forks() -> None:
    """The first process of all is started, and those after it are forked."""
    run_python(["-c", ""])
    with PythonProcess(["-c", "input()"], stdin=subprocess.PIPE) as process:
        assert "fork_server" in Path(f"/proc/{process.pid}/cmdline").read_text()


def told(error: str) -> str:
    """The last line of a traceback."""
    return error.splitlines()[-1] if error else ""


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("way", ["-c", "-m", "script"])
def test_a_program_sees_and_says_the_same_and_ends_alike(tmp_path: Path, program: str, way: str) -> None:
    (tmp_path / "program.py").write_text(program)
    arguments = {"-c": ["-c", program], "-m": ["-m", "program"], "script": [tmp_path / "program.py"]}[way]
    how: dict[str, Any] = {"cwd": tmp_path, "env": clean(A="b"), "text": True}

    started = subprocess.run([sys.executable, *arguments, "x"], input="words", capture_output=True, check=False, **how)
    forked = run_python([*arguments, "x"], said="words", capture_output=True, **how)

    assert forked.stdout == started.stdout
    assert forked.returncode == started.returncode
    assert told(forked.stderr) == told(started.stderr)


def test_signals_reach_it_and_it_may_have_a_session_of_its_own() -> None:
    with PythonProcess(["-c", "import time; time.sleep(600)"], start_new_session=True) as process:
        assert os.getpgid(process.pid) == process.pid
        process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        os.killpg(process.pid, signal.SIGKILL)
        ended = process.wait(PATIENCE_S)

    assert os.WIFSTOPPED(status)
    assert ended == -signal.SIGKILL


def test_variables_that_python_reads_when_it_starts_are_read() -> None:
    command = ["-c", "import sys; print(sys.stdout.encoding)"]

    done = run_python(command, env=clean(PYTHONIOENCODING="cp1252"), capture_output=True, text=True)

    assert done.stdout == "cp1252\n"


def test_it_starts_at_once() -> None:
    began = time.process_time()
    before = os.times()

    run_python(["-m", "wan_assets", "plan", "--help"], stdout=subprocess.DEVNULL, check=True)

    after = os.times()
    assert after.children_user - before.children_user < 0.4
    assert time.process_time() - began < 0.4


def state_of(process: Path) -> dict[str, Any]:
    """What a process may do and can see."""
    return {
        "limits": [each for each in (process / "limits").read_text().splitlines() if "cpu time" not in each],
        "environment": (process / "environ").read_bytes(),
        "folder": (process / "cwd").readlink(),
        "open files": sorted(each.name for each in (process / "fd").iterdir()),
        "priority": os.getpriority(os.PRIO_PROCESS, int(process.name)),
        "threads": len(list((process / "task").iterdir())),
        "has a network of its own": (process / "ns" / "net").readlink() != Path("/proc/self/ns/net").readlink(),
    }


async def inspected(clip: Path) -> tuple[Inspection, dict[str, Any], str]:
    """What a decoder tells of a clip, its state, and its command."""
    async with Verifier(processes=1) as verifier:
        found = await verifier.inspect_file(clip, 700, has_contact_sheet=True)
        process = Path("/proc", *map(str, verifier.pids))
        return found, state_of(process), (process / "cmdline").read_text()


def test_a_forked_decoder_has_the_limits_of_a_started_one_and_answers_alike(tmp_path: Path, video: bytes) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(video)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        *started, command = runner.run(inspected(clip))
    with asyncio.Runner(loop_factory=DecoderLoop) as runner:
        *forked, server = runner.run(inspected(clip))

    assert ("fork_server" in command, "fork_server" in server) == (False, True)
    assert forked == started
