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
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import keras_tuner

from kerasseq import compat
from kerasseq.errors import UserError
from kerasseq.tuning.oracles import BayesianOracle, RandomOracle
from kerasseq.tuning.space import Choice, Range, Space, all_points, fitted, plain, points

Kind = Literal["random", "bayesian", "hyperband", "grid"]
EPOCHS = "training.epochs"
OWN = "tuner/"  # what Hyperband notes among a trial's values

# The sweep ends when it has had its trials, and can be continued for more. The digits of this
# number are those of a trial's name.
MANY = 999

FEW = 10_000
"""Points of a space that are looked through for one that was not tried."""

FACTOR = 3
"""Of Hyperband: how many times as long the better third is trained."""


class Proposal(NamedTuple):
    """A trial to be run.

    Attributes:
        number: its name, such as ``"07"``; ``"2-07"`` after the space was extended once,
            ``"chosen-1"`` if it was chosen.
        changes: settings by dotted name.
    """

    number: str
    changes: dict[str, Any]


class _Running(NamedTuple):
    """What a running trial varies; the oracle's trial, if that has proposed it."""

    changes: dict[str, Any]
    trial: Any


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
        base: settings by dotted name, as they are without a change; needed for points that do not
            name all that is varied.
        chosen: points of the space that are tried first, unless they were tried.
        extended: whether the journal is of another space: trials that are points of this one are
            taken over, the others left out.

    Attributes:
        ended: what ended trials varied, and what :meth:`end` was given of them, by number.
        waiting: trials that were started and did not end, when the journal was read.
        exhausted: whether every point of the space was proposed.
        left_out: trials of an earlier space that are no points of this one.
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
        base: Mapping[str, Any] = MappingProxyType({}),
        chosen: Sequence[Mapping[str, Any]] = (),
        extended: bool = False,
    ):
        self._max_trials = max_trials
        self._kind, self._space, self._base = kind, space, base
        self._chosen = [fitted(point, space, base) for point in chosen]
        self._metric = metric
        self._journal = journal
        self.ended: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._running: dict[str, _Running] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._count, self._enqueued = 0, 0
        self.exhausted, self.left_out = False, 0
        events = _read(journal)
        if extended:
            events.append({"extended": True})
            self._write(events[-1])
        starts = [i + 1 for i, event in enumerate(events) if "extended" in event]
        begin = starts[-1] if starts else 0
        self._prefix = f"{len(starts) + 1}-" if starts else ""
        # what it saves there is not read: see above
        saved = tempfile.mkdtemp(prefix="kerasseq-oracle-")
        weakref.finalize(self, shutil.rmtree, saved, ignore_errors=True)
        self._oracle = _oracle(kind, space, metric, direction, epochs, seed + len(starts), saved)
        self._take_over(events[:begin])
        for event in events[begin:]:
            self._replay(event)
        self.waiting = [Proposal(number, each.changes) for number, each in self._running.items()]

    def propose(self) -> Proposal | None:
        """The next trial, or None: there is none as long as others run, or none at all."""
        if self._count >= self._max_trials:
            return None
        known = [changes for changes, _ in self.ended.values()]
        known += [each.changes for each in self._running.values()]
        for point in self._chosen:
            if point not in known:
                number = f"chosen-{self._enqueued + 1}"
                self._write({"chosen": number, "values": point})
                self._enqueued += 1
                return self._begin(number, point)
        trial = self._start()
        if trial is None:
            self._write({"nothing": self._count})  # an answer moves the oracle's state, too
            return None
        self._write({"started": trial.trial_id, "values": _values(trial)})
        return self._begin(f"{self._prefix}{trial.trial_id}", self._changes(trial), trial)

    def end(self, number: str, outcome: Mapping[str, Any]) -> None:
        """Takes the outcome of a trial.

        Args:
            number: of the trial.
            outcome: with ``"value"``, the metric, or None for a trial that failed.
        """
        self._write({"ended": number, "outcome": dict(outcome)})
        self._end(number, outcome)

    def _begin(self, number: str, changes: Mapping[str, Any], trial: Any = None) -> Proposal:
        self._count += 1
        self._running[number] = _Running(dict(changes), trial)
        return Proposal(number, dict(changes))

    def _start(self) -> Any:
        """The oracle's next trial that was not tried outside of it."""
        while True:
            trial = self._ask()
            answer = trial and self._answers.get(_key(self._changes(trial)))
            if answer is None or self._kind == "hyperband":
                return trial
            self._write({"answered": trial.trial_id, "values": _values(trial)})
            self._tell(trial, answer)

    def _ask(self) -> Any:
        """The oracle's next trial; None if there is none."""
        # one that is never asked twice: every trial runs for a tuner of its own
        with _one_thread() if self._kind == "bayesian" else nullcontext():
            trial = self._oracle.create_trial(f"trial-{len(self._oracle.trials)}")
        if trial.status != "RUNNING":
            self.exhausted = trial.status == "STOPPED"
            return None
        if self._kind == "grid":
            # or it would wait for each trial's end, since a trial might find new settings
            compat.ask_without_waiting(self._oracle, trial.trial_id)
        return trial

    def _end(self, number: str, outcome: Mapping[str, Any]) -> None:
        changes, trial = self._running.pop(number)
        self.ended[number] = changes, dict(outcome)
        if trial is None:
            self._learn(number, changes, outcome)
        else:
            self._tell(trial, outcome)

    def _tell(self, trial: Any, outcome: Mapping[str, Any]) -> None:
        """Tells the oracle how its trial ended."""
        if outcome["value"] is None:
            trial.status = "FAILED"
        else:
            trial.status = "COMPLETED"
            self._oracle.update_trial(trial.trial_id, {self._metric: outcome["value"]})
        self._oracle.end_trial(trial)

    def _learn(self, number: str, changes: dict[str, Any], outcome: Mapping[str, Any]) -> None:
        """Takes the outcome of a trial that the oracle did not propose."""
        self._answers[_key(changes)] = dict(outcome)
        if isinstance(self._oracle, BayesianOracle) and outcome["value"] is not None:
            self._oracle.learn(number, changes, outcome["value"])

    def _take_over(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Trials of an earlier space."""
        space, prefix = 1, ""
        for event in events:
            if "extended" in event:
                space += 1
                prefix = f"{space}-"
            elif "values" in event and "answered" not in event:
                number = event.get("chosen") or prefix + event["started"]
                self._enqueued += "chosen" in event
                values = {n: v for n, v in event["values"].items() if not n.startswith(OWN)}
                try:
                    self._begin(number, fitted(values, self._space, self._base))
                except UserError:
                    self.left_out += 1
            elif event.get("ended") in self._running:
                self._end(event["ended"], event["outcome"])

    def _replay(self, event: dict[str, Any]) -> None:
        if "ended" in event:
            self._end(event["ended"], event["outcome"])
            return
        if "chosen" in event:
            self._enqueued += 1
            self._begin(event["chosen"], event["values"])
            return
        if isinstance(self._oracle, BayesianOracle) and "values" in event:
            self._oracle.known = event["values"]  # no process is fitted again
        trial = self._ask()
        if "nothing" in event and trial is None:
            return
        made = trial and _values(trial)
        number = event.get("started", event.get("answered"))
        if trial is None or trial.trial_id != number or made != event.get("values"):
            raise UserError(
                f"{self._journal}: trial {number or self._count} cannot be made again; was the "
                "sweep written by another version of KerasTuner?"
            )
        if "answered" in event:
            self._tell(trial, self._answers[_key(self._changes(trial))])
            return
        self._begin(f"{self._prefix}{trial.trial_id}", self._changes(trial), trial)

    def _changes(self, trial: Any) -> dict[str, Any]:
        """What a trial of the oracle varies."""
        values = _values(trial)
        changes = {name: value for name, value in values.items() if not name.startswith(OWN)}
        for name, value in changes.items():
            entry = self._space.get(name)
            if isinstance(entry, Choice):  # KerasTuner makes 1 of True
                changes[name] = entry.values[entry.values.index(value)]
        if f"{OWN}epochs" in values:
            changes[EPOCHS] = values[f"{OWN}epochs"]
        return changes

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


def _values(trial: Any) -> dict[str, Any]:
    """The values of a trial of KerasTuner's."""
    return {name: plain(value) for name, value in trial.hyperparameters.values.items()}


def _key(changes: Mapping[str, Any]) -> str:
    return json.dumps(changes, sort_keys=True)


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
    count = points(space)
    every = all_points(space) if count is not None and count <= FEW else None
    if kind == "hyperband":
        oracle = oracles.HyperbandOracle(
            max_epochs=epochs, factor=FACTOR, hyperband_iterations=None, **options
        )
    elif kind == "bayesian":
        # KerasTuner's own number, three for each setting, would leave it little to model
        first = len(space) + 1
        oracle = BayesianOracle(max_trials=MANY, num_initial_points=first, every=every, **options)
    elif kind == "grid":
        oracle = oracles.GridSearchOracle(max_trials=MANY, **options)
    else:
        oracle = RandomOracle(max_trials=MANY, every=every, **options)
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
