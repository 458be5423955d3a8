"""What a case costs, measured in the process that is its own: time, CPU and memory."""

from __future__ import annotations

import resource
import time
from pathlib import Path


class Meter:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._begun_s, self._begun_cpu_s = time.perf_counter(), _cpu_s()

    def read(self) -> dict[str, float]:
        """Seconds, seconds of CPU and the most memory, in MB."""
        wall_s = time.perf_counter() - self._begun_s
        return {"wall_s": wall_s, "cpu_s": _cpu_s() - self._begun_cpu_s, "peak_mb": _peak_mb()}


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _peak_mb() -> float:
    """Of this program: what `getrusage` tells begins with the memory of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
