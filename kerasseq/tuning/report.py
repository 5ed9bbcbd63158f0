"""What a sweep has found: a table, pictures, TensorBoard's HParams, and the best settings."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.table import Table
from tensorboard.plugins.hparams import api as hparams

from kerasseq.training.progress import clock, make_console
from kerasseq.tuning import plots
from kerasseq.tuning.board import shown, shown_changes
from kerasseq.tuning.noise import half_width
from kerasseq.tuning.results import Trial
from kerasseq.tuning.space import Choice, Range, Space
from kerasseq.tuning.trials import Outcome, Rules

FEWEST = 8
"""Trials that an importance is computed of."""

RANKED = 30
"""Most trials in the picture of their values."""


def print_table(trials: Sequence[Trial], metric: str) -> None:
    """The trials, as they come."""
    table = Table("trial", "state", metric, "epochs", "time", "parameters")
    for column in table.columns:
        column.no_wrap = True
    for number, _, outcome in trials:
        table.add_row(
            number,
            outcome.status,
            _valued(outcome),
            f"{outcome.epochs:g}",
            clock(outcome.seconds),
            f"{outcome.parameters:,}",
        )
    console = make_console()
    console.print(table)
    for number, changes, outcome in trials:
        lines = [f"  {number}: {shown_changes(changes) or 'the settings as they are'}"]
        if outcome.reason:
            lines.append(f"    {outcome.status}: {outcome.reason}")
        for line in lines:
            console.print(line, highlight=False, markup=False)


def _valued(outcome: Outcome) -> str:
    """A value, of several runs with their standard deviation."""
    if outcome.value is None:
        return ""
    spread = outcome.spread
    return f"{outcome.value:.4f}" + ("" if spread is None else f" (sd {spread:.4f})")


def importance(trials: Sequence[Trial], space: Space, seed: int) -> dict[str, float] | None:
    """How much of the trials' order goes with each setting.

    A random forest learns the places of the trials from their settings (places, since the value of
    a pruned trial is of an early epoch). A setting's importance is what shuffling it costs the
    forest's fit, as a share of the sum over all settings
    ([Breiman, 2001](https://doi.org/10.1023/A:1010933404324)). It says what mattered among these
    trials, and is a rough guess for few of them.

    Args:
        trials: best first.
        space: their settings.
        seed: of the forest.

    Returns:
        Shares by name, largest first; None for fewer than 8 trials with a value.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    valued = [trial for trial in trials if trial.outcome.value is not None]
    if len(valued) < FEWEST:
        return None
    names = sorted(space)
    inputs = np.array([[_position(t, name, space[name]) for name in names] for t in valued])
    targets = np.arange(len(valued))
    forest = RandomForestRegressor(200, random_state=seed % 2**32).fit(inputs, targets)
    found = permutation_importance(forest, inputs, targets, n_repeats=20, random_state=0)
    shares = np.maximum(found.importances_mean, 0)
    shares = shares / max(shares.sum(), 1e-12)
    pairs = zip(names, shares.tolist(), strict=True)
    return dict(sorted(pairs, key=lambda pair: -pair[1]))


def _position(trial: Trial, name: str, entry: Choice | Range) -> float:
    """Where a value lies in its range, from 0 to 1; -0.25 where it is not varied."""
    if name not in trial.changes:
        return plots.NOT_VARIED
    value = trial.changes[name]
    if isinstance(entry, Choice):
        return entry.values.index(value) / max(1, len(entry.values) - 1)
    low, high = entry.low, entry.high
    if entry.log:
        value, low, high = np.log([value, low, high])
    return float((value - low) / (high - low))


def draw(trials: Sequence[Trial], space: Space, metric: str, sign: int, folder: Path) -> None:
    """Parallel coordinates of the trials that have a value."""
    valued = [trial for trial in trials if trial.outcome.value is not None]
    axes: list[plots.Coordinate] = []
    for name in sorted(space):
        entry = space[name]
        if isinstance(entry, Choice):
            count = max(1, len(entry.values) - 1)
            ticks = {i / count: shown(value) for i, value in enumerate(entry.values)}
        else:
            middle = (entry.low * entry.high) ** 0.5 if entry.log else (entry.low + entry.high) / 2
            ticks = {0.0: shown(entry.low), 0.5: shown(middle), 1.0: shown(entry.high)}
        if entry.when is not None:
            ticks[plots.NOT_VARIED] = "-"
        positions = [_position(trial, name, entry) for trial in valued]
        axes.append(plots.Coordinate(name, positions, ticks))
    values = [
        t.outcome.value or 0.0 if t.outcome.status == "completed" else math.nan for t in valued
    ]
    plots.parallel_coordinates(axes, values, metric, sign, folder / "trials.png")


def draw_ranking(
    trials: Sequence[Trial], base: Trial, metric: str, rules: Rules, path: Path
) -> None:
    """The completed trials by their value, the best on top, with that of the settings as they are.

    Args:
        trials: best first.
        base: of the settings as they are.
        metric: their name.
        rules: of the sweep; with several runs a trial, each is a dot, and the mean has an interval.
        path: of the PNG.
    """
    rows = []
    for trial in [*trials[:RANKED], base]:
        outcome = trial.outcome
        if outcome.status == "completed" and outcome.value is not None:
            width = half_width(outcome.values, rules) if outcome.values else 0.0
            rows.append(plots.Ranked(trial.number, outcome.value, width, outcome.values))
    runs = "folds" if rules.folds else "seeds"
    count = rules.folds or rules.seeds
    title = f"mean of {count} {runs}, 95 % interval" if count > 1 else "one training each"
    plots.ranking(rows, base.number, metric, title, path)


def write_hparams(trials: Sequence[Trial], metric: str, folder: Path) -> None:
    """The trials for TensorBoard's HParams page, in place of those that were there."""
    shutil.rmtree(folder, ignore_errors=True)
    for number, changes, outcome in trials:
        if outcome.value is None:
            continue
        with tf.summary.create_file_writer(str(folder / number)).as_default():
            hparams.hparams(dict(changes), trial_id=number)
            tf.summary.scalar(metric, outcome.value, step=0)


def write_csv(trials: Sequence[Trial], metric: str, path: Path) -> None:
    """A row for each trial; a setting that a trial did not vary is empty."""
    names = sorted({name for trial in trials for name in trial.changes})
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(
            [
                "trial",
                metric,
                "spread",
                "status",
                "reason",
                "seconds",
                "epochs",
                "parameters",
                *names,
            ]
        )
        for number, changes, outcome in trials:
            told = (outcome.status, outcome.reason, outcome.seconds, outcome.epochs)
            value = "" if outcome.value is None else outcome.value
            spread = "" if outcome.spread is None else outcome.spread
            varied = [changes.get(name, "") for name in names]
            rows.writerow([number, value, spread, *told, outcome.parameters, *varied])
