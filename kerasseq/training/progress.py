"""How far a training run is: a live bar in a terminal or a notebook, plain lines anywhere else."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_INTERVAL = 15.0
"""Seconds between plain lines."""

NOTEBOOK_INTERVAL = 0.5
"""Seconds between updates of a notebook's bar."""

NOTEBOOK_WIDTH = 100
"""Columns that a notebook shows without breaking lines."""


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
    console = Console(file=file, soft_wrap=True, quiet=_SILENT.get())
    if console.is_jupyter:
        # rich shows each line there as an output of its own, past whatever redirects the stream;
        # the kernel asks for colours, which must not make a terminal of it
        console = Console(
            file=file,
            soft_wrap=True,
            quiet=_SILENT.get(),
            force_jupyter=False,
            force_terminal=False,
            width=NOTEBOOK_WIDTH,
        )
    return console


def clock(seconds: float) -> str:
    """``"2:05"``: minutes and seconds; ``"1:02:05"`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class NotebookBar:
    """One output of a notebook's cell, which is replaced as a run goes on."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str, share: float) -> None:
        """Shows a line after a bar that is full by a share."""
        data = {
            "text/plain": text,
            "text/html": f'<progress value="{share:.4f}" max="1"></progress> '
            f'<code style="white-space: pre-wrap">{escape(text)}</code>',
        }
        if self._handle is None:
            display = importlib.import_module("IPython.display").display
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def in_notebook(console: Console) -> bool:
    """Whether what is printed goes to the output of a notebook's cell, and is not silent."""
    return not console.quiet and type(console.file).__module__.startswith("ipykernel.")


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
        self._cell = NotebookBar() if in_notebook(self.console) else None
        self._interval = NOTEBOOK_INTERVAL if self._cell else PLAIN_INTERVAL
        self._last = f"step {done}/{total}", done
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
        self._show_last()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        self._show_last()

    def _show_last(self) -> None:
        if self._cell:
            text, done = self._last
            self._cell.show(text, done / max(self._total, 1))

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
            return
        left = elapsed / (done - self._first) * (self._total - done)
        times = f"{clock(elapsed)} elapsed, {clock(left)} left"
        self._last = f"epoch {epoch}  step {done}/{self._total}  {numbers}  {times}", done
        if now - self._printed >= self._interval:
            self._printed = now
            if self._cell:
                self._show_last()
            else:
                self.console.print(f"  {self._last[0]}", highlight=False)

    def pause(self, seconds: float) -> None:
        """Leaves some time (an evaluation) out of the throughput."""
        self._start += seconds

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self.console.print(text, highlight=False, markup=False)
