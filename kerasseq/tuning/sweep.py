"""A sweep: KerasTuner proposes settings, every trial is the training path of ``train``.

The data is prepared once for all trials. A sweep is a folder, as a run is: the same command goes on
with one that was stopped or killed.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from kerasseq.config import replace
from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.training.progress import say
from kerasseq.training.run_folder import DATA, JOURNAL, RunFolder, versions
from kerasseq.training.settings import TaskSettings
from kerasseq.training.trainer import InterruptedRunError
from kerasseq.tuning import plots, report
from kerasseq.tuning.board import Board
from kerasseq.tuning.report import Trial
from kerasseq.tuning.search import EPOCHS, Kind, Proposal, Search, check_search
from kerasseq.tuning.space import Choice, Space, checked_space, described
from kerasseq.tuning.trials import Job, Outcome, Rules, Subject
from kerasseq.tuning.workers import ClusterOptions, Workers, make_workers

DEFAULTS = "defaults"
"""The trial of the settings as they are, which the best one is compared with."""

MOST_FAILURES = 5
"""A sweep ends when as many trials have failed, one after the other."""


@dataclass(frozen=True)
class SweepOptions:
    """What a sweep does.

    Attributes:
        tuner: see :class:`kerasseq.tuning.search.Search`.
        max_trials: most trials, beside that of the settings as they are.
        rules: what it allows its trials.
        cluster: where they run; None: one by one in this process.
        max_hours: after which no further trial begins; None: any time.
    """

    tuner: Kind
    max_trials: int
    rules: Rules
    cluster: ClusterOptions | None = None
    max_hours: float | None = None

    def check(self) -> None:
        """Raises:
        UserError: if these cannot be, or do not go together.
        """
        if self.max_trials < 1:
            raise UserError(f"--max-trials must be 1 or more, got {self.max_trials}")
        if self.max_hours is not None and not self.max_hours > 0:
            raise UserError(f"--max-hours must be above 0, got {self.max_hours}")
        most = self.rules.max_parameters
        if most < 0:
            raise UserError(f"--max-parameters must be 0 or more, got {most}")
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
    space = checked_space(space, settings, subject.data_settings)
    monitor = settings.training.monitor
    name, run = f"{subject.name} sweep", RunFolder(folder)
    record = {
        **settings.to_dict(),
        "sweep": {
            "tuner": options.tuner,
            "max_parameters": options.rules.max_parameters,
            "prune": options.rules.prune,
            "space": described(space),
        },
    }
    run.check(name, record)
    for note in check_search(options.tuner, space, options.max_trials, settings.training.epochs):
        say(note)
    report_of_data = subject.prepare(settings)
    with run.open(name, record):
        if run.read_json(DATA):
            run.check_data(report_of_data)
        write_json(run / DATA, report_of_data)
        job = Job(subject, settings, folder.resolve(), options.rules)
        search = Search(
            options.tuner,
            space,
            monitor,
            subject.goals[monitor],
            options.max_trials,
            settings.training.epochs,
            settings.seed,
            folder / JOURNAL,
        )
        sign = 1 if subject.goals[monitor] == "max" else -1
        crew = make_workers(job, options.cluster)
        try:
            with Board(monitor, sign, options.max_trials + 1, run) as board:
                trials = _search(search, crew, board, folder, options.max_hours)
        except KeyboardInterrupt:
            raise InterruptedRunError("stopped; the same command continues the sweep") from None
        finally:
            crew.close()
        _report(trials, crew.job.settings, space, monitor, sign, run)


def _search(
    search: Search, crew: Workers, board: Board, folder: Path, hours: float | None
) -> list[Trial]:
    """Runs trials until there are no more, or for so long; the first is that of the settings as
    they are."""
    end = time.monotonic() + 3600 * hours if hours else None
    failures = 0
    running: dict[str, Proposal] = {}
    trials = [
        Trial(number, changes, Outcome(**outcome))
        for number, (changes, outcome) in search.ended.items()
    ]
    for trial in trials:
        board.ended(*trial)
    waiting = [Proposal(DEFAULTS, {}), *search.waiting]

    def more() -> Proposal | None:
        if end is not None and time.monotonic() > end and trials:
            return None
        return waiting.pop(0) if waiting else search.propose()

    while True:
        while len(running) < crew.slots and (proposal := more()) is not None:
            running[proposal.number] = proposal
            board.started(proposal)
            crew.start(proposal)
        if not running:
            if end is not None and time.monotonic() > end:
                say(f"--max-hours {hours:g}: no further trial; the same command goes on with more")
            if search.exhausted:
                say(f"every point of the space was tried: {len(search.ended)} trials")
            return trials
        number, outcome = crew.wait()
        changes = running.pop(number).changes
        if number != DEFAULTS:
            search.end(number, asdict(outcome))
        trials.append(Trial(number, changes, outcome))
        board.ended(*trials[-1])
        failures = failures + 1 if outcome.status == "failed" and not outcome.too_large else 0
        if failures >= MOST_FAILURES and all(t.outcome.status == "failed" for t in trials):
            raise UserError(
                f"{folder}: {failures} trials failed one after the other; the last one: "
                f"{outcome.reason}. The same command goes on with others"
            )


def _report(
    trials: list[Trial], settings: TaskSettings, space: Space, monitor: str, sign: int, run: Any
) -> None:
    order = report.ranked([t for t in trials if t.number != DEFAULTS], sign)
    if not order or order[0].outcome.status != "completed":
        reason = order[0].outcome.reason if order else "there was none"
        raise UserError(f"{run.path}: no trial was completed; the first one: {reason}")
    best = order[0]
    base = next(trial for trial in trials if trial.number == DEFAULTS)
    report.print_table([*order, base], monitor)
    epochs = sorted({t.changes[EPOCHS] for t in order if EPOCHS in t.changes})
    if len(epochs) > 1:  # hyperband's
        space = {**space, EPOCHS: Choice(tuple(epochs))}
    shares = report.importance(order, space, settings.seed)
    if shares is None:
        say(f"no importance of settings: that needs {report.FEWEST} trials with a value")
    report.draw(order, space, monitor, sign, run.path)
    if shares:
        plots.importances(shares, run / "importance.png", f"what moved {monitor}")
    report.write_hparams(order, monitor, run / "hparams")
    report.write_csv([*order, base], monitor, run / "trials.csv")
    write_json(
        run / "report.json",
        {
            "metric": monitor,
            "best": best.number,
            "seconds": round(sum(t.outcome.seconds for t in trials), 1),
            "importance": shares,
            "trials": [
                {"trial": t.number, "changes": dict(t.changes), **asdict(t.outcome)}
                for t in [*order, base]
            ],
            "versions": versions(),
        },
    )
    path = run / "best.yaml"
    chosen = replace(settings, best.changes)
    path.write_text(yaml.safe_dump(chosen.to_dict(), sort_keys=False), encoding="utf-8")
    value = best.outcome.value or 0.0
    if base.outcome.value is None:
        say(
            f"best: trial {best.number}, {monitor} {value:.4f}; the settings as they are failed: "
            f"{base.outcome.reason}"
        )
    else:
        gain = sign * (value - base.outcome.value)
        verdict = "better than" if gain > 0 else "no better than"
        say(
            f"best: trial {best.number}, {monitor} {value:.4f}, {verdict} the settings as they "
            f"are with {base.outcome.value:.4f}"
        )
    if EPOCHS in best.changes and best.changes[EPOCHS] < settings.training.epochs:
        say(f"it was trained for {best.changes[EPOCHS]} epochs, and so does what follows")
    say(f"pictures: {run.path}/; TensorBoard: --logdir {run / 'hparams'}")
    say(f"best settings: train --config {path}")
