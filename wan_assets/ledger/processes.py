"""This process, known to others by a name that tells whether it still lives."""

from __future__ import annotations

import os
import platform
import re
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path


def new_owner() -> str:
    """A name for one piece of work in this process: machine, process and a random part; fit for a file's name."""
    return f"{_machine()}.{os.getpid()}.{uuid.uuid4().hex[:12]}"


def is_surely_dead(owner: str) -> bool:
    """Whether an owner was a process of this very machine that has ended; never true of other machines."""
    machine, _, process = owner.rpartition(".")[0].rpartition(".")
    if machine != _machine() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@cache
def _machine() -> str:
    """Host name, boot and process namespace: hosts may share a name, and containers a host."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
        namespace = Path("/proc/self/ns/pid").readlink().name
    return re.sub(r"[^A-Za-z0-9.]+", "-", f"{platform.node()}-{boot}-{namespace}").strip("-")
