"""How far a sweep is: a live table in a terminal, a line for each trial anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table

from kerasseq.training.progress import clock, make_console
from kerasseq.training.run_folder import RunFolder
from kerasseq.tuning.search import Proposal
from kerasseq.tuning.trials import Outcome, trial_folder

SHOWN = 5
"""Best trials in the live table."""


def shown_changes(changes: Mapping[str, Any]) -> str:
    """What a trial varies, for people."""
    return ", ".join(
        f"{name.rpartition('.')[2]} {shown(changes[name])}" for name in sorted(changes)
    )


def shown(value: Any) -> str:
    """A setting's value, for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def counted(count: int, what: str) -> str:
    """``"1 trial"``, ``"2 trials"``."""
    return f"{count:,} {what}{'s' * (count != 1)}"


class Board:
    """Shows which trials are done, run and failed, the best ones, and the time left.

    Args:
        metric: that trials are compared by.
        sign: 1 if more of it is better, else -1.
        total: most trials.
        folder: of the sweep.
    """

    def __init__(self, metric: str, sign: int, total: int, folder: RunFolder):
        # what trials print is sent elsewhere, by name; the table goes where output goes now
        self._console = make_console(sys.stdout)
        self._metric, self._sign, self._total, self._folder = metric, sign, total, folder
        self._changes: dict[str, Mapping[str, Any]] = {}
        self._running: dict[str, float] = {}
        self._ended: dict[str, Outcome] = {}
        self._slots = 1
        self._live: Live | None = None

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._table,
                console=self._console,
                refresh_per_second=1,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live:
            self._live.stop()

    def started(self, proposal: Proposal) -> None:
        """Notes that a trial runs."""
        self._changes[proposal.number] = proposal.changes
        self._running[proposal.number] = time.monotonic()
        self._slots = max(self._slots, len(self._running))

    def ended(
        self, number: str, changes: Mapping[str, Any], outcome: Outcome, before: bool = False
    ) -> None:
        """Notes how a trial ended, and says it, unless it did so `before` this start."""
        self._changes[number] = changes
        self._running.pop(number, None)
        self._ended[number] = outcome
        if not self._live and not before:
            self.say(self._line(number))

    def say(self, text: str) -> None:
        """Prints a line, above the table if there is one."""
        self._console.print(text, highlight=False, markup=False)

    def _best(self) -> list[str]:
        """Trials with a value, best first."""
        ended = dict(self._ended)  # another thread draws
        values = {n: o.value for n, o in ended.items() if o.value is not None}
        return sorted(values, key=lambda number: -self._sign * values[number])

    def _counts(self) -> str:
        states = [outcome.status for outcome in self._ended.values()]
        parts = [f"{states.count(state)} {state}" for state in ("completed", "pruned", "failed")
                 if state in states]  # fmt: skip
        if self._running:
            parts.append(f"{len(self._running)} running")
        text = f"{len(self._ended)} of {self._total} trials: {', '.join(parts) or 'none yet'}"
        if best := self._best():
            text += f"; best {self._metric} {self._ended[best[0]].value:.4f} (trial {best[0]})"
        if (left := self._left()) is not None:
            text += f"; about {clock(left)} left"
        return text

    def _left(self) -> float | None:
        """Seconds, by the mean of the trials that have ended."""
        times = [outcome.seconds for outcome in self._ended.values() if outcome.seconds]
        if not times:
            return None
        mean = sum(times) / len(times)
        spent = sum(min(time.monotonic() - start, mean) for start in self._running.values())
        return max(0.0, (self._total - len(self._ended)) * mean - spent) / self._slots

    def _line(self, number: str) -> str:
        outcome = self._ended[number]
        value = "" if outcome.value is None else f" {self._metric} {outcome.value:.4f}"
        value += "" if outcome.spread is None else f" (sd {outcome.spread:.4f})"
        reason = f" ({outcome.reason})" if outcome.reason else ""
        changes = shown_changes(self._changes[number])
        return (
            f"  trial {number} {outcome.status}{value}{reason} in {clock(outcome.seconds)}"
            f"{': ' if changes else ''}{changes}\n  {self._counts()}"
        )

    def _table(self) -> Group:
        table = Table("trial", "state", self._metric, "settings")
        for number in list(self._running):
            histories = trial_folder(self._folder.path, number).rglob("metrics.jsonl")
            done = sum(len(history.read_text().splitlines()) for history in histories)
            state = f"running, {done} validations"
            table.add_row(number, state, "", shown_changes(self._changes[number]))
        for number in self._best()[:SHOWN]:
            outcome = self._ended[number]
            table.add_row(
                number, outcome.status, f"{outcome.value:.4f}", shown_changes(self._changes[number])
            )
        return Group(table, self._counts())
