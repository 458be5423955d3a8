"""The limits of a decoder process: memory, CPU time, open files, no file writes and no network.

Each limit is applied if the system allows it, independently of the others.
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
"""A 1080p video needs less than a tenth of this."""

_UNUSED_BYTES = 2**30
"""An address space also contains mapped memory that is never used, mainly libraries and stacks."""

_OPEN_FILES = 64
_STATUS = Path("/proc/self/status")
_NO_NEW_PRIVILEGES = 38
_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000
"""Linux constants: PR_SET_NO_NEW_PRIVS, CLONE_NEWUSER and CLONE_NEWNET."""


def confine(memory_bytes: int) -> None:
    """Applies all limits to this process permanently. Must be called before a second thread starts."""
    if sys.platform == "linux":
        _leave_network()
    _lower(resource.RLIMIT_DATA, memory_bytes)
    _lower(resource.RLIMIT_AS, memory_bytes + _UNUSED_BYTES)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)


def allow_cpu(seconds: float) -> None:
    """Allows this process `seconds` more of CPU time; the system kills it when they are used up."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(time.process_time() + seconds)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


class Memory:
    """Compares the peak memory use of this process with its limit; values that are not available count as 0.

    The check is needed because a decoder without memory often reports that the file is damaged.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._peak_bytes = _status_bytes("VmPeak")
        self._left_bytes = memory_bytes - _status_bytes("VmData")

    def is_short(self) -> bool:
        """Returns whether the peak use exceeded half of the memory that was free at the start."""
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
    """Moves the process to a network namespace without interfaces; a container may forbid this."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        # Root keeps its user namespace, if allowed, to read files of other users; others need a user namespace.
        if libc.unshare(_NEW_NETWORK):
            libc.unshare(_NEW_USERS | _NEW_NETWORK)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
