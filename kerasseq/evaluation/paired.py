"""Whether one model is better than another on the same data: McNemar's test and the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

RESAMPLES = 1000


class Metric(NamedTuple):
    """A metric that is a ratio of sums over the units of a split.

    Attributes:
        name: as reports have it.
        better: ``max`` or ``min``.
        above: what is summed above the line, float64 ``[N]``.
        below: what is summed below it, float64 ``[N]``: ones for a mean.
        goals: validation metrics that it is, or rises and falls with.
    """

    name: str
    better: str
    above: np.ndarray
    below: np.ndarray
    goals: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """Over all units."""
        return float(self.above.sum() / self.below.sum())


class Outcome(NamedTuple):
    """What a model did on a split.

    Attributes:
        unit: what is drawn in resamples, in the plural: ``sentences``.
        metrics: of the split.
    """

    unit: str
    metrics: Sequence[Metric]

    def of(self, goal: str) -> Metric | None:
        """The metric that stands for a validation metric, if there is one."""
        return next((metric for metric in self.metrics if goal in metric.goals), None)


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test (McNemar 1947) of two classifiers on the same examples.

    >>> mcnemar(np.array([1, 1, 1, 1, 1, 0]), np.array([0, 0, 0, 0, 0, 0]))
    {'only_first_right': 5, 'only_second_right': 0, 'p': 0.0625}

    Args:
        first, second: whether each example is right, bool or 0 and 1, ``[N]``.

    Returns:
        How many only the one and only the other has right, and the two-sided ``p``.
    """
    one = int(np.sum((first > 0) & ~(second > 0)))
    other = int(np.sum(~(first > 0) & (second > 0)))
    count, least = one + other, min(one, other)
    # the binomial tail of a fair coin, by logarithms: factorials of thousands have no float
    log_ways = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        for k in range(least + 1)
    ]
    tail = sum(math.exp(ways - count * math.log(2)) for ways in log_ways)
    p = 1.0 if one == other else min(1.0, 2 * tail)
    return {"only_first_right": one, "only_second_right": other, "p": round(p, 6)}


def bootstrap(first: Metric, second: Metric, seed: int = 1) -> dict[str, Any]:
    """Paired bootstrap of a difference (Koehn 2004): both models see the same resamples.

    ``p`` is the share of resamples whose difference is as far from the mean difference as that is
    from 0, which is sacrebleu's two-sided rule.

    Args:
        first, second: of two models on the same units.
        seed: of the resamples.
    """
    random = np.random.default_rng(seed)
    count = len(first.above)
    differences = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        drawn = random.integers(0, count, count)
        values = [
            metric.above[drawn].sum() / max(metric.below[drawn].sum(), 1e-300)
            for metric in (first, second)
        ]
        differences[i] = values[1] - values[0]
    difference = second.value - first.value
    low, high = np.percentile(differences, [2.5, 97.5])
    extreme = np.abs(differences - differences.mean()) >= abs(difference)
    p = 1.0 if difference == 0 else (1 + int(extreme.sum())) / (1 + RESAMPLES)
    return {
        "difference": round(difference, 6),
        "interval_95": [round(float(low), 6), round(float(high), 6)],
        "p": round(p, 6),
    }


def compared(first: Outcome, second: Outcome, seed: int) -> dict[str, Any]:
    """Every metric that both models have, with its difference and how likely chance made it.

    Args:
        first, second: of two models on the same split.
        seed: of the resamples.
    """
    others = {metric.name: metric for metric in second.metrics}
    found: dict[str, Any] = {
        "unit": first.unit,
        "count": len(first.metrics[0].above),
        "metrics": {},
    }
    for one in first.metrics:
        other = others.get(one.name)
        if other is None:
            continue
        row: dict[str, Any] = {"first": round(one.value, 6), "second": round(other.value, 6)}
        row |= {"better": one.better, **bootstrap(one, other, seed)}
        if _right_or_wrong(one) and _right_or_wrong(other):
            row["mcnemar"] = mcnemar(one.above, other.above)
        found["metrics"][one.name] = row
    return found


def _right_or_wrong(metric: Metric) -> bool:
    return bool(np.all(metric.below == 1) and np.isin(metric.above, (0, 1)).all())


def compared_lines(found: Mapping[str, Any], first: str, second: str) -> list[str]:
    """What :func:`compared` found, for people.

    Args:
        found: as it gives it.
        first, second: names of the two models.
    """
    width = max(len(first), len(second))
    lines = [f"{found['count']:,} {found['unit']}, paired bootstrap of {RESAMPLES:,} resamples"]
    for name, row in found["metrics"].items():
        low, high = row["interval_95"]
        lines += [
            f"{name} ({'higher' if row['better'] == 'max' else 'lower'} is better)",
            f"  {first:<{width}}  {row['first']:.4f}",
            f"  {second:<{width}}  {row['second']:.4f}",
            f"  difference ({second} less {first}) {row['difference']:+.4f}, "
            f"95 % interval {low:+.4f} to {high:+.4f}, p = {row['p']:.4f}",
        ]
        if "mcnemar" in row:
            test = row["mcnemar"]
            lines.append(
                f"  right only by {first}: {test['only_first_right']:,}, only by {second}: "
                f"{test['only_second_right']:,}; McNemar's exact p = {test['p']:.4g}"
            )
    return lines
