"""How much memory a process takes."""

from __future__ import annotations

import sys


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
