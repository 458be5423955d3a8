"""Names processes, so that others can find out whether they still run."""

from __future__ import annotations

import os
import platform
import re
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path


def new_owner() -> str:
    """Returns a new owner name: machine, process and a random part; it is valid as a file name."""
    return f"{_machine()}.{os.getpid()}.{uuid.uuid4().hex[:12]}"


def is_surely_dead(owner: str) -> bool:
    """Whether an owner was a process of this machine that has ended; False for all other machines."""
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
    """Identifies the machine by host name, boot and process namespace: hosts may share a name, and containers a
    host.
    """
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
        namespace = Path("/proc/self/ns/pid").readlink().name
    return re.sub(r"[^A-Za-z0-9.]+", "-", f"{platform.node()}-{boot}-{namespace}").strip("-")
