"""Contestants in processes of their own, which are timed in turns.

A busy machine then slows all of them alike, and a ratio is the median over the turns. Two
libraries' thread pools in one process would fight, and peak memory is a process's. Nothing but
the standard library is imported, so that a contestant may run under another Python.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resident_mib() -> float:
    """The largest resident set that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def serve(tasks: dict[str, Callable[[], Any]], **about: Any) -> None:
    """A contestant's process: runs each task once, then a line in (its name), its seconds out.

    Args:
        tasks: what is timed, by name.
        about: what else the other end is told, e.g. which kernel was chosen.
    """
    before = resident_mib()
    for task in tasks.values():
        task()
    print(json.dumps({"memory_mib": resident_mib() - before, **about}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        tasks[line.strip()]()
        print(json.dumps(time.perf_counter() - start), flush=True)


class Worker:
    """The other end of `serve`.

    Args:
        python: the interpreter.
        module: a benchmark that knows `--worker SPEC`.
        spec: which contestant.
    """

    def __init__(self, python: str, module: str, spec: str):
        self.name = f"{module} --worker {spec}"
        self.process = subprocess.Popen(
            [python, "-m", module, "--worker", spec],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        self.about = json.loads(self._read())

    def _read(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a contestant ended; to see why: python -m {self.name}")
        return line

    def time(self, task: str) -> float:
        assert self.process.stdin
        self.process.stdin.write(task + "\n")
        self.process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def take_turns(
    workers: dict[str, Worker], tasks: Iterable[str], repeats: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Seconds by contestant and task, and what each said about itself; ends the workers.

    Args:
        workers: the contestants.
        tasks: what each runs in a turn.
        repeats: most turns, after one that warms up.
        seconds: no turn is begun after this time, but three are taken.
    """
    tasks = list(tasks)
    found: dict[str, dict[str, Any]] = {
        name: {**worker.about, **{task: [] for task in tasks}} for name, worker in workers.items()
    }
    end = time.perf_counter() + seconds
    for turn in range(repeats + 1):
        for task in tasks:
            for name, worker in workers.items():
                spent = worker.time(task)
                if turn:
                    found[name][task].append(spent)
        if turn >= 3 and time.perf_counter() > end:
            break
    for worker in workers.values():
        worker.close()
    return found


def speed_ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times as fast ours is: the median of the turns' ratios."""
    return round(statistics.median(t / o for t, o in zip(theirs, ours, strict=True)), 3)
