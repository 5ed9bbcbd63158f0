"""Whether trials differ by more than noise: that of training, or of the validation split."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from kerasseq.config import replace
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.settings import TaskSettings
from kerasseq.tuning.results import DEFAULTS, Trial, Trials
from kerasseq.tuning.trials import Rules, Subject, trial_folder

LEVEL = 0.05
"""A difference that chance alone makes more often than so is called noise."""

SHOWN = 8
"""Most trials that are named as no different from the best."""


def test_of(rules: Rules) -> str:
    """The test of a difference, in words."""
    if rules.folds:
        return (
            f"corrected t-test over {rules.folds} folds (Nadeau and Bengio, 2003, "
            "https://doi.org/10.1023/A:1024068626366)"
        )
    if rules.seeds > 1:
        return f"Welch's t-test over {rules.seeds} seeds"
    return "paired bootstrap over the validation split"


def half_width(values: Sequence[float], rules: Rules) -> float:
    """Half of the 95 % interval of the mean over a trial's runs.

    Args:
        values: of the runs.
        rules: of the sweep; the runs of folds share training data, which widens the interval.
    """
    from scipy import stats  # comes with scikit-learn

    count = len(values)
    t = float(stats.t.ppf(1 - LEVEL / 2, count - 1))
    return t * statistics.stdev(values) * math.sqrt(_variance_factor(count, rules))


def _variance_factor(count: int, rules: Rules) -> float:
    """Of the mean over runs, of the variance of one."""
    return 1 / count + (1 / (count - 1) if rules.folds else 0)


def chance(first: Sequence[float], second: Sequence[float], rules: Rules) -> float:
    """How likely chance alone makes the means of two trials' runs differ as they do: the ``p`` of
    :func:`test_of`.

    Args:
        first, second: the values of their runs.
        rules: of the sweep.
    """
    from scipy import stats

    if rules.folds:
        pairs = zip(first, second, strict=True)
        differences = [one - other for one, other in pairs]
        mean, spread = statistics.fmean(differences), statistics.stdev(differences)
        if not spread:
            return float(mean == 0)
        count = len(differences)
        t = mean / (spread * math.sqrt(_variance_factor(count, rules)))
        return float(2 * stats.t.sf(abs(t), count - 1))
    if len(set(first)) == len(set(second)) == 1:  # no spread
        return float(first[0] == second[0])
    one, other = ((statistics.fmean(v), statistics.stdev(v), len(v)) for v in (first, second))
    return float(stats.ttest_ind_from_stats(*one, *other, equal_var=False).pvalue)


def chances(
    trials: Trials, settings: TaskSettings, subject: Subject, before: Mapping[str, float | None]
) -> dict[str, float | None]:
    """How likely chance alone made the difference between the best trial and others, by number;
    None if that is not known.

    Trials with several runs are all compared. Of single runs the second best and the settings as
    they are: their models predict the validation split once more.

    Args:
        trials: of the sweep.
        settings: as they are without a change.
        subject: of the sweep.
        before: what it was when the sweep ended with the same best trial before, if it did: models
            may be gone since.
    """
    best, *others = [t for t in trials.ranked() if t.outcome.status == "completed"]
    if trials.defaults.outcome.status == "completed":
        others.append(trials.defaults)
    if trials.rules.parts:
        return {
            other.number: chance(best.outcome.values, other.outcome.values, trials.rules)
            for other in others
        }
    found: dict[str, float | None] = {}
    for other in {others[i].number: others[i] for i in (0, -1) if others}.values():
        found[other.number] = before.get(other.number)
        if trials.models(best) and trials.models(other):
            (one, run), (two, its) = (
                (subject.trainees(replace(settings, dict(t.changes)), 0)[0],
                 RunFolder(trial_folder(trials.folder, t.number)))
                for t in (best, other)
            )  # fmt: skip
            found[other.number] = one.significance(run, two, its)
    return found


def verdict(trials: Trials, monitor: str, chances: Mapping[str, float | None]) -> list[str]:
    """What to say of the best trial.

    Args:
        trials: of the sweep.
        monitor: the metric.
        chances: from :func:`chances`.
    """
    order = trials.ranked()
    best, base = order[0], trials.defaults
    said = f"best: trial {best.number}, {monitor} {_shown(best)}"
    lines = []
    if base.outcome.value is None:
        lines.append(f"{said}; the settings as they are failed: {base.outcome.reason}")
    else:
        gain = trials.sign * ((best.outcome.value or 0.0) - base.outcome.value)
        p = chances.get(DEFAULTS)
        if gain == 0:
            how = "a tie with"
        elif p is not None and p >= LEVEL:
            how = "no different from"
        else:
            how = "better than" if gain > 0 else "worse than"
        lines.append(
            f"{said}, {how} the settings as they are with {_shown(base)}{_reason(p, trials.rules)}"
        )
    if len(order) > 1 and (equal := _no_different(order, chances)):
        more = f" and {len(equal) - SHOWN} more" if len(equal) > SHOWN else ""
        lines.append(f"no different from the best: trial {', '.join(equal[:SHOWN])}{more}")
        if not trials.rules.parts and len(order) > 2:
            lines[-1] += " (of the others only the second best was compared; --seeds compares all)"
    return lines


def _reason(p: float | None, rules: Rules) -> str:
    if p is None:
        return "; whether that is more than noise is not known: --seeds 3"
    return f" (p = {p:.3f}, {test_of(rules).split(' (')[0]})"


def _no_different(order: Sequence[Trial], chances: Mapping[str, float | None]) -> list[str]:
    """Numbers of trials that are as good as the best, or differ from it by noise."""
    best = order[0].outcome.value
    found = []
    for trial in order[1:]:
        p = chances.get(trial.number)
        if trial.outcome.status == "completed" and (
            trial.outcome.value == best or (p is not None and p >= LEVEL)
        ):
            found.append(trial.number)
    return found


def _shown(trial: Trial) -> str:
    spread = trial.outcome.spread
    value = f"{trial.outcome.value or 0.0:.4f}"
    return value if spread is None else f"{value} (standard deviation {spread:.4f})"
