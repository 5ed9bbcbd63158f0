"""How much memory a process takes."""

from __future__ import annotations

import sys


def peak_memory_mib() -> int | None:
    """The largest resident set that this process ever had; None where it is not told."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))
