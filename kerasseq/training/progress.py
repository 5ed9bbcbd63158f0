"""How far a training run is: a live bar in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_INTERVAL = 15.0
"""Seconds between plain lines."""


_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silence(silent: bool = True) -> Iterator[None]:
    """Within it nothing is said, if so wished."""
    token = _SILENT.set(silent or _SILENT.get())
    try:
        yield
    finally:
        _SILENT.reset(token)


def say(text: str = "") -> None:
    """Prints a line at once, whatever reads it."""
    if not _SILENT.get():
        print(text, flush=True)


def note(text: str) -> None:
    """Says a line on standard error, which is no part of a result."""
    if not _SILENT.get():
        print(text, file=sys.stderr, flush=True)


def make_console(file: TextIO | None = None) -> Console:
    """Where tables and bars go: standard output, if no file is given."""
    return Console(file=file, soft_wrap=True, quiet=_SILENT.get())


def clock(seconds: float) -> str:
    """``"2:05"``: minutes and seconds; ``"1:02:05"`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TrainingProgress:
    """Shows step, loss, throughput and time left.

    Args:
        total: steps of the whole run.
        done: steps made before this process.
        console: where to print; standard output if None.
    """

    def __init__(self, total: int, done: int = 0, console: Console | None = None):
        self.console = console or make_console()
        self._total, self._first = total, done
        self._start = self._printed = time.perf_counter()
        self._tokens = 0
        self._bar = None
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                TextColumn("step {task.completed}/{task.total}  {task.fields[numbers]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task("", total=total, completed=done, epoch="", numbers="")

    def __enter__(self) -> TrainingProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, done: int, epoch: str, tokens: int, loss: float) -> None:
        """Notes that ``done`` steps are made, the last one of ``tokens`` tokens."""
        self._tokens += tokens
        now = time.perf_counter()
        elapsed = now - self._start
        speed = self._tokens / elapsed
        rate = f"{speed / 1000:.0f}k" if speed >= 9500 else f"{speed:.0f}"
        numbers = f"loss {loss:.4f}  {rate} tokens/s"
        if self._bar:
            self._bar.update(self._task, completed=done, epoch=epoch, numbers=numbers)
        elif now - self._printed >= PLAIN_INTERVAL:
            self._printed = now
            left = elapsed / (done - self._first) * (self._total - done)
            self.console.print(
                f"  epoch {epoch}  step {done}/{self._total}  {numbers}  "
                f"{clock(elapsed)} elapsed, {clock(left)} left",
                highlight=False,
            )

    def pause(self, seconds: float) -> None:
        """Leaves some time (an evaluation) out of the throughput."""
        self._start += seconds

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self.console.print(text, highlight=False, markup=False)
