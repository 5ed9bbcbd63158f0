"""Which settings to try next: KerasTuner's oracles behind a journal that survives.

KerasTuner saves its state in place, and a process that is killed while it does so leaves a broken
file. Here every start and every end of a trial is a line of ``journal.jsonl``; an oracle is a
function of its seed and of what it was told, so a sweep that is started again tells it the same
again, and is where it was.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras_tuner

from kerasseq import compat
from kerasseq.errors import UserError
from kerasseq.tuning.bayesian import BayesianOracle
from kerasseq.tuning.space import Choice, Range, Space, points

Kind = Literal["random", "bayesian", "hyperband", "grid"]
EPOCHS = "training.epochs"
OWN = "tuner/"  # what Hyperband notes among a trial's values

# The sweep ends when it has had its trials, and can be continued for more. The digits of this
# number are those of a trial's name.
MANY = 999

FACTOR = 3
"""Of Hyperband: how many times as long the better third is trained."""


@dataclass(frozen=True)
class Proposal:
    """A trial to be run.

    Attributes:
        number: its name, such as ``"07"``.
        changes: settings by dotted name.
    """

    number: str
    changes: dict[str, Any]


class Search:
    """Proposes trials and is told how they ended.

    Args:
        kind: ``random``, ``bayesian`` (see :class:`BayesianOracle`), ``hyperband`` (many settings
            for few epochs, the best third of them for three times as many, and so on: [Li et al.,
            2018](https://jmlr.org/papers/v18/16-558.html); a trial with more epochs starts anew,
            since its learning rate falls more slowly) or ``grid`` (every combination; of a range
            without step eleven values).
        space: what is varied.
        metric: of the trials.
        direction: which way it is better.
        max_trials: most trials.
        epochs: of a whole training, for ``hyperband``.
        seed: of the draws.
        journal: file of what happened; it is continued if it exists.

    Attributes:
        ended: what ended trials varied, and what :meth:`end` was given of them, by number.
        waiting: trials that were started and did not end, when the journal was read.
        exhausted: whether every point of the space was proposed.
    """

    def __init__(
        self,
        kind: Kind,
        space: Space,
        metric: str,
        direction: Literal["min", "max"],
        max_trials: int,
        epochs: int,
        seed: int,
        journal: Path,
    ):
        self._max_trials = max_trials
        self._kind, self._space = kind, space
        # what it saves there is not read: see above
        saved = tempfile.mkdtemp(prefix="kerasseq-oracle-")
        weakref.finalize(self, shutil.rmtree, saved, ignore_errors=True)
        self._oracle = _oracle(kind, space, metric, direction, epochs, seed, saved)
        self._metric = metric
        self._journal = journal
        self.ended: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._running: dict[str, Any] = {}
        self._count = 0
        self.exhausted = False
        for event in _read(journal):
            self._replay(event)
        self.waiting = [self._proposal(trial) for trial in self._running.values()]

    def propose(self) -> Proposal | None:
        """The next trial, or None: there is none as long as others run, or none at all."""
        if self._count >= self._max_trials:
            return None
        trial = self._start()
        if trial is None:
            self._write({"nothing": self._count})  # an answer moves the oracle's state, too
            return None
        values = {name: _plain(value) for name, value in trial.hyperparameters.values.items()}
        self._write({"started": trial.trial_id, "values": values})
        return self._proposal(trial)

    def end(self, number: str, outcome: Mapping[str, Any]) -> None:
        """Takes the outcome of a trial.

        Args:
            number: of the trial.
            outcome: with ``"value"``, the metric, or None for a trial that failed.
        """
        self._write({"ended": number, "outcome": dict(outcome)})
        self._end(number, outcome)

    def _start(self) -> Any:
        # one that is never asked twice: every trial runs for a tuner of its own
        with _one_thread() if self._kind == "bayesian" else nullcontext():
            trial = self._oracle.create_trial(f"trial-{self._count}")
        if trial.status != "RUNNING":
            self.exhausted = trial.status == "STOPPED"
            return None
        self._count += 1
        if self._kind == "grid":
            # or it would wait for each trial's end, since a trial might find new settings
            compat.ask_without_waiting(self._oracle, trial.trial_id)
        self._running[trial.trial_id] = trial
        return trial

    def _end(self, number: str, outcome: Mapping[str, Any]) -> None:
        trial = self._running.pop(number)
        if outcome["value"] is None:
            trial.status = "FAILED"
        else:
            trial.status = "COMPLETED"
            self._oracle.update_trial(number, {self._metric: outcome["value"]})
        self._oracle.end_trial(trial)
        self.ended[number] = self._proposal(trial).changes, dict(outcome)

    def _replay(self, event: dict[str, Any]) -> None:
        if "ended" in event:
            self._end(event["ended"], event["outcome"])
            return
        if self._kind == "bayesian" and "values" in event:
            self._oracle.known = event["values"]  # no process is fitted again
        trial = self._start()
        if "nothing" in event and trial is None:
            return
        made = trial and {n: _plain(value) for n, value in trial.hyperparameters.values.items()}
        if trial is None or trial.trial_id != event.get("started") or made != event.get("values"):
            raise UserError(
                f"{self._journal}: trial {event.get('started', self._count)} cannot be made again; "
                "was the sweep written by another version of KerasTuner?"
            )

    def _proposal(self, trial: Any) -> Proposal:
        values = {name: _plain(value) for name, value in trial.hyperparameters.values.items()}
        changes = {name: value for name, value in values.items() if not name.startswith(OWN)}
        for name, value in changes.items():
            entry = self._space.get(name)
            if isinstance(entry, Choice):  # KerasTuner makes 1 of True
                changes[name] = entry.values[entry.values.index(value)]
        if f"{OWN}epochs" in values:
            changes[EPOCHS] = values[f"{OWN}epochs"]
        return Proposal(trial.trial_id, changes)

    def _write(self, event: dict[str, Any]) -> None:
        with self._journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")


def check_search(kind: Kind, space: Space, max_trials: int, epochs: int) -> list[str]:
    """What needs no data to be known of a search.

    Returns:
        What there is to say about it.

    Raises:
        UserError: if it cannot be.
    """
    if max_trials > MANY:
        raise UserError(f"--max-trials is at most {MANY}, got {max_trials}")
    count = points(space)
    if kind == "grid" and count is not None and count > max_trials:
        return [f"--max-trials {max_trials}: {max_trials} of the grid's {count:,} combinations"]
    if kind != "hyperband":
        return []
    if EPOCHS in space:
        raise UserError(f"hyperband sets {EPOCHS} itself: take it out of the search space")
    if epochs < FACTOR:
        raise UserError(
            f"hyperband needs --{EPOCHS} {FACTOR} or more, of which it gives most trials a third "
            f"or less; got {epochs}"
        )
    first = first_bracket(epochs)
    cure = "--tuner random or grid trains each trial in full"
    if max_trials <= first:
        raise UserError(
            f"hyperband with --{EPOCHS} {epochs} begins with {first} short trials, of which it "
            f"trains the best third longer: --max-trials must be above {first}, got {max_trials}; "
            f"fewer epochs begin with fewer, or {cure}"
        )
    if count is not None and count < first:
        raise UserError(
            f"hyperband with --{EPOCHS} {epochs} begins with {first} short trials, and the search "
            f"space has {count} points: {cure}"
        )
    return []


def first_bracket(epochs: int) -> int:
    """How many trials Hyperband begins with (Li et al., 2018, algorithm 1)."""
    brackets = 1
    while FACTOR**brackets <= epochs:
        brackets += 1
    last = math.ceil(1 + math.log(epochs, FACTOR) - 1e-9)  # of the bracket without short trials
    return math.ceil(last / brackets * FACTOR ** (brackets - 1))


def _read(journal: Path) -> list[dict[str, Any]]:
    """The events; a line that was cut by a kill is taken off the file."""
    if not journal.exists():
        return []
    text = journal.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        journal.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]


def _plain(value: Any) -> Any:
    """A number of NumPy's as Python's."""
    return value.item() if hasattr(value, "item") else value


def _one_thread() -> Any:
    """KerasTuner's Gaussian process searches with matrices of some ten rows, where a library's
    threads wait for each other most of the time: with one it takes a fifth of it."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    return threadpool_limits(1)


def _oracle(
    kind: Kind,
    space: Space,
    metric: str,
    direction: Literal["min", "max"],
    epochs: int,
    seed: int,
    folder: str,
) -> Any:
    options: dict[str, Any] = {
        "objective": keras_tuner.Objective(metric, direction),
        "hyperparameters": _hyperparameters(space),
        "allow_new_entries": False,
        "max_consecutive_failed_trials": MANY,  # the sweep counts them itself
        "seed": seed + 1,  # 0 would be a random one
    }
    oracles = keras_tuner.oracles
    if kind == "hyperband":
        oracle = oracles.HyperbandOracle(
            max_epochs=epochs, factor=FACTOR, hyperband_iterations=None, **options
        )
    elif kind == "bayesian":
        # KerasTuner's own number, three for each setting, would leave it little to model
        oracle = BayesianOracle(max_trials=MANY, num_initial_points=len(space) + 1, **options)
    elif kind == "grid":
        oracle = oracles.GridSearchOracle(max_trials=MANY, **options)
    else:
        oracle = oracles.RandomSearchOracle(max_trials=MANY, **options)
    oracle.verbose = 0
    compat.place_oracle(oracle, folder)
    return oracle


def _hyperparameters(space: Space) -> Any:
    made = keras_tuner.HyperParameters()
    # a condition must be there before what depends on it; the order of a file's lines is no matter
    for name, entry in sorted(space.items(), key=lambda item: (item[1].when is not None, item[0])):
        if entry.when is None:
            _add(made, name, entry)
            continue
        with made.conditional_scope(entry.when.name, list(entry.when.values)):
            _add(made, name, entry)
    return made


def _add(made: Any, name: str, entry: Choice | Range) -> None:
    if isinstance(entry, Choice):
        made.Choice(name, list(entry.values))
        return
    add = made.Int if entry.whole else made.Float
    scale = {"sampling": "log"} if entry.log else {"step": entry.step} if entry.step else {}
    add(name, entry.low, entry.high, **scale)
