"""What a decoder process gives up before it opens a file: memory, CPU time, open files, writing, and the network.

Each measure is taken as far as the system allows it: one that is refused leaves the others in place.
"""

from __future__ import annotations

import ctypes
import math
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

MEMORY_BYTES = 2**30
"""A video of 1080p takes less than a tenth of it."""

_UNUSED_BYTES = 2**30
"""An address space also holds what is mapped and never used, libraries and stacks above all."""

_OPEN_FILES = 64
_STATUS = Path("/proc/self/status")
_NO_NEW_PRIVILEGES = 38
_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000
"""Numbers of Linux: PR_SET_NO_NEW_PRIVS, CLONE_NEWUSER and CLONE_NEWNET."""


def confine(memory_bytes: int) -> None:
    """Takes all measures for this process, for good. Has to be called before its second thread starts."""
    if sys.platform == "linux":
        _leave_network()
    _lower(resource.RLIMIT_DATA, memory_bytes)
    _lower(resource.RLIMIT_AS, memory_bytes + _UNUSED_BYTES)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)


def allow_cpu(seconds: float) -> None:
    """Gives this process some seconds of CPU time from now on; the system ends it when they are used up."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(time.process_time() + seconds)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


class Memory:
    """How much of its memory this process has ever taken; what the system does not tell counts as nothing.

    A decoder that gets no memory often says that the file is damaged.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._peak_bytes = _status_bytes("VmPeak")
        self._left_bytes = memory_bytes - _status_bytes("VmData")

    def is_short(self) -> bool:
        """Whether more than half of what was left was taken at some time."""
        return _status_bytes("VmPeak") - self._peak_bytes > self._left_bytes / 2


def _status_bytes(name: str) -> int:
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def _lower(which: int, maximum: int) -> None:
    _, hard = resource.getrlimit(which)
    least = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(which, (least, least))


def _leave_network() -> None:
    """Moves into a network of its own, without any interface; a container may forbid it."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        # Root stays root where it may, and so can read files of others; everybody else needs users of their own.
        if libc.unshare(_NEW_NETWORK):
            libc.unshare(_NEW_USERS | _NEW_NETWORK)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
