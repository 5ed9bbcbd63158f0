"""How much memory a process takes."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_memory_mib(of_children: bool = False) -> int | None:
    """The largest resident set that this process ever had; None where it is not told.

    Args:
        of_children: that of the largest process that it started and waited for instead.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    whose = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    peak = resource.getrusage(whose).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))


def memory_kills() -> list[str] | None:
    """How many processes the machine has killed for memory since it was started, with a name for
    that start; None where it is not told."""
    try:
        counts = Path("/proc/vmstat").read_text(encoding="ascii").split()
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return [start, counts[counts.index("oom_kill") + 1]]
    except (OSError, ValueError, IndexError):
        return None
