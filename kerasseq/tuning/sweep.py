"""A sweep: KerasTuner proposes settings, every trial is the training path of ``train``.

The data is prepared once for all trials. A sweep is a folder, as a run is: the same command goes on
with one that was stopped or killed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from kerasseq.config import differences, replace
from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.training.progress import say
from kerasseq.training.run_folder import DATA, JOURNAL, RunFolder, versions
from kerasseq.training.settings import TaskSettings
from kerasseq.training.trainer import InterruptedRunError, stop_signals
from kerasseq.tuning import noise, plots, report
from kerasseq.tuning.board import Board, counted
from kerasseq.tuning.results import DEFAULTS, Trials
from kerasseq.tuning.search import EPOCHS, Kind, Proposal, Search, check_search
from kerasseq.tuning.space import Choice, Space, checked_space, described, fitted
from kerasseq.tuning.trials import Job, Outcome, Rules, Subject
from kerasseq.tuning.workers import ClusterOptions, Workers, make_workers

TOP = "top"
"""The folder of the best trials' settings."""

EXTENDED = ("sweep.space.", "sweep.tuner", "sweep.max_parameters", "sweep.prune")
"""What a sweep may go on with another of."""


@dataclass(frozen=True)
class SweepOptions:
    """What a sweep does.

    Attributes:
        tuner: see :class:`kerasseq.tuning.search.Search`.
        max_trials: most trials, beside that of the settings as they are.
        rules: what it allows its trials.
        cluster: where they run; None: one by one in this process.
        max_hours: after which no further trial begins; None: any time.
        chosen: settings by dotted name that are tried first.
        keep_best: of how many trials the models are kept, and the settings written.
        extend: whether a sweep of another space goes on with this one.
    """

    tuner: Kind
    max_trials: int
    rules: Rules
    cluster: ClusterOptions | None = None
    max_hours: float | None = None
    chosen: Sequence[Mapping[str, Any]] = ()
    keep_best: int = 3
    extend: bool = False

    def check(self) -> None:
        """Raises:
        UserError: if these cannot be, or do not go together.
        """
        if self.tuner not in get_args(Kind):
            raise UserError(f"tuner must be one of {', '.join(get_args(Kind))}, got {self.tuner!r}")
        if self.max_trials < 1:
            raise UserError(f"--max-trials must be 1 or more, got {self.max_trials}")
        if self.max_hours is not None and not self.max_hours > 0:
            raise UserError(f"--max-hours must be above 0, got {self.max_hours}")
        most = self.rules.max_parameters
        if most < 0:
            raise UserError(f"--max-parameters must be 0 or more, got {most}")
        if self.rules.folds and self.rules.folds < 2:
            raise UserError(f"--folds must be 2 or more, got {self.rules.folds}")
        if self.rules.seeds < 1:
            raise UserError(f"--seeds must be 1 or more, got {self.rules.seeds}")
        if self.rules.folds and self.rules.seeds > 1:
            raise UserError("--seeds or --folds, not both")
        if self.keep_best < 1:
            raise UserError(f"--keep-best must be 1 or more, got {self.keep_best}")
        if self.tuner == "hyperband" and self.rules.prune:
            raise UserError("hyperband prunes by itself: leave --prune out")


def sweep(
    subject: Subject,
    settings: TaskSettings,
    space: Space,
    folder: Path,
    options: SweepOptions,
) -> None:
    """Trains with settings drawn from a space; reports, and writes the best as YAML.

    Args:
        subject: what is trained.
        settings: as they are without a change.
        space: what is varied.
        folder: of the sweep.
        options: what it does.

    Raises:
        UserError: if the space cannot be searched, the folder holds another sweep, or no trial was
            completed.
    """
    options.check()
    monitor, rules = settings.training.monitor, options.rules
    space = checked_space(space, settings, subject.fixed)
    base = settings.flat()
    for number, point in enumerate(options.chosen, 1):
        try:
            fitted(point, space, base)
        except UserError as error:
            raise UserError(f"point {number} that is to be tried first: {error}") from None
    name, run = f"{subject.name} sweep", RunFolder(folder)
    record = {
        **settings.to_dict(),
        "sweep": {
            "tuner": options.tuner,
            **rules._asdict(),
            "space": described(space),
        },
    }
    before = _extended(run, name, record, options)
    run.check(name, before or record)
    for note in check_search(options.tuner, space, options.max_trials, settings.training.epochs):
        say(note)
    subject.read(settings)
    trainees = subject.trainees(settings, rules.folds)
    goal = subject.goals[monitor]
    with run.open(name, before or record):
        if run.read_json(DATA):
            run.check_data(trainees[0].report)
        write_json(run / DATA, trainees[0].report)
        search = Search(
            options.tuner,
            space,
            monitor,
            goal,
            options.max_trials,
            settings.training.epochs,
            settings.seed,
            folder / JOURNAL,
            base,
            options.chosen,
            before is not None,
        )
        if before:
            run.amend(record)
            kept = counted(len(search.ended), "trial")
            say(f"another space: taken over {kept} that it has, too")
        elif options.extend and not (run / JOURNAL).exists():
            say("--extend: there is no sweep yet, so it begins")
        if search.left_out:
            say(f"{counted(search.left_out, 'trial')} of an earlier space left out")
        crew = make_workers(
            Job(subject.name, goal, settings, folder.resolve(), rules), options.cluster
        )
        trials = Trials(folder, goal, rules, options.keep_best)
        try:
            board = Board(monitor, trials.sign, options.max_trials + 1, run)
            with board, stop_signals() as stop:  # Ray's own handler would abort
                _search(search, crew, subject, board, trials, options.max_hours, stop)
        except KeyboardInterrupt:
            raise InterruptedRunError("stopped; the same command continues the sweep") from None
        finally:
            crew.close()
        _report(trials, crew.job.settings, subject, space, run)


def _extended(
    run: RunFolder, name: str, record: dict[str, Any], options: SweepOptions
) -> dict[str, Any] | None:
    """The record of a sweep that is to go on with another space.

    Returns:
        None, if there is no sweep yet, or it is the same, or another in more than its space.

    Raises:
        UserError: if that was not asked for, or cannot be.
    """
    if options.extend and options.tuner == "hyperband":
        raise UserError("--extend is for other tuners: hyperband trains its trials unequally long")
    if not (run / JOURNAL).exists():
        return None
    before = run.record(name)["settings"]
    changed = differences(before, record)
    if not changed or not all(each.startswith(EXTENDED) for each in changed):
        return None
    if not options.extend:
        raise UserError(
            f"{run.path} holds a sweep of another space ({'; '.join(changed)}): --extend goes on "
            "with this one and takes over the trials that are points of it; or give another --run"
        )
    if before["sweep"]["tuner"] == "hyperband":
        raise UserError(
            "--extend is for other tuners: hyperband trains its trials differently long"
        )
    return before


def _search(
    search: Search,
    crew: Workers,
    subject: Subject,
    board: Board,
    trials: Trials,
    hours: float | None,
    stop: threading.Event,
) -> None:
    """Runs trials until there are no more, or for so long; the first is that of the settings as
    they are.

    Raises:
        KeyboardInterrupt: once it is told to stop.
    """
    end = time.monotonic() + 3600 * hours if hours else None
    running: dict[str, Proposal] = {}
    for number, (changes, outcome) in search.ended.items():
        board.ended(*trials.add(number, changes, Outcome(**outcome)), before=True)
    if trials.all:
        board.say(f"{counted(len(trials.all), 'trial')} had ended before")
    waiting = [Proposal(DEFAULTS, {}), *search.waiting]

    def more() -> Proposal | None:
        if end is not None and time.monotonic() > end and trials.all:
            return None
        return waiting.pop(0) if waiting else search.propose()

    def ended(number: str, outcome: Outcome) -> None:
        if number != DEFAULTS:
            search.end(number, asdict(outcome))
        board.ended(*trials.add(number, running.pop(number).changes, outcome))
        trials.check_failures()

    while True:
        while len(running) < crew.slots and (proposal := more()) is not None:
            if stop.is_set():
                raise KeyboardInterrupt
            running[proposal.number] = proposal
            board.started(proposal)
            try:
                settings = replace(crew.job.settings, proposal.changes)
                trainees = subject.trainees(settings, crew.job.rules.folds)
            except UserError as error:
                ended(proposal.number, Outcome("failed", reason=str(error)))
            else:
                crew.start(proposal, trainees)
        if not running:
            if end is not None and time.monotonic() > end:
                say(f"--max-hours {hours:g}: no further trial; the same command goes on with more")
            if search.exhausted:
                say(f"every point of the space was tried: {len(search.ended)} trials")
            return
        ended(*crew.wait(stop))


def _report(
    trials: Trials, settings: TaskSettings, subject: Subject, space: Space, run: RunFolder
) -> None:
    monitor, sign = settings.training.monitor, trials.sign
    order = trials.ranked()
    if not order:
        raise UserError(
            f"{run.path}: --max-hours were over before a trial beside the settings as they are; "
            "the same command with more goes on"
        )
    if order[0].outcome.status != "completed":
        reason = order[0].outcome.reason
        raise UserError(f"{run.path}: no trial was completed; the first one: {reason}")
    best, base = order[0], trials.defaults
    report.print_table([*order, base], monitor)
    epochs = sorted({t.changes[EPOCHS] for t in order if EPOCHS in t.changes})
    if len(epochs) > 1:  # hyperband's
        space = {**space, EPOCHS: Choice(tuple(epochs))}
    shares = report.importance(order, space, settings.seed)
    if shares is None:
        say(f"no importance of settings: that needs {report.FEWEST} trials with a value")
    report.draw(order, space, monitor, sign, run.path)
    report.draw_ranking(order, base, monitor, trials.rules, run / "ranking.png")
    if shares:
        plots.importances(shares, run / "importance.png", f"what moved {monitor}")
    report.write_hparams(order, monitor, run / "hparams")
    report.write_csv([*order, base], monitor, run / "trials.csv")
    last = run.read_json("report.json") or {}
    before = last.get("noise", {}).get("p", {}) if last.get("best") == best.number else {}
    chances = noise.chances(trials, settings, subject, before)
    write_json(
        run / "report.json",
        {
            "metric": monitor,
            "best": best.number,
            "seconds": round(sum(t.outcome.seconds for t in trials.all), 1),
            "importance": shares,
            "noise": {"test": noise.test_of(trials.rules), "p": chances},
            "trials": [
                {"trial": t.number, "changes": dict(t.changes), **asdict(t.outcome),
                 "spread": t.outcome.spread}
                for t in [*order, base]
            ],
            "versions": versions(),
        },
    )  # fmt: skip
    trials.write_best(settings, run / TOP)
    path = run / "best.yaml"
    path.write_text((run / TOP / "1.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    for line in noise.verdict(trials, monitor, chances):
        say(line)
    if EPOCHS in best.changes and best.changes[EPOCHS] < settings.training.epochs:
        trained = counted(best.changes[EPOCHS], "epoch")
        say(f"it was trained for {trained}, and so is what follows")
    say(f"pictures: {run.path}/; TensorBoard: --logdir {run / 'hparams'}")
    say(f"best settings: {subject.name} train --config {path}")
