"""Pictures of a sweep, as PNG: parallel coordinates of its trials, importance of its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from kerasseq.plots import save

NOT_VARIED = -0.25
"""Where a trial is on an axis that it has no value of."""


class Coordinate(NamedTuple):
    """One axis of parallel coordinates.

    Attributes:
        name: of the setting.
        positions: of the trials, from 0 to 1.
        ticks: labels by position.
    """

    name: str
    positions: Sequence[float]
    ticks: Mapping[float, str]


def parallel_coordinates(
    axes: Sequence[Coordinate], values: Sequence[float], metric: str, sign: int, path: Path
) -> None:
    """A line for each trial through its settings, coloured by its value; the best one is wide.

    Args:
        axes: a setting each.
        values: of the trials; NaN for those that were pruned, which are grey.
        metric: their name.
        sign: 1 if more is better, else -1.
        path: of the PNG.
    """
    figure = Figure(figsize=(max(6.0, 1.7 * (len(axes) + 1)), 4.6), layout="constrained")
    axis = figure.subplots()
    ended = [value for value in values if not math.isnan(value)]
    low, high = min(ended), max(ended)
    best = high if sign > 0 else low
    span = (high - low) or 1.0
    norm = Normalize(low, high) if high > low else Normalize(low - 0.5, low + 0.5)
    colours = matplotlib.colormaps["viridis" if sign > 0 else "viridis_r"]
    heights = np.array([*(a.positions for a in axes), [(v - low) / span for v in values]])
    heights = np.where(np.isnan(heights), NOT_VARIED, heights)  # of pruned trials
    for trial in np.argsort([-math.inf if math.isnan(v) else sign * v for v in values]):
        pruned, wide = math.isnan(values[trial]), values[trial] == best
        axis.plot(
            range(len(axes) + 1),
            heights[:, trial],
            color="silver" if pruned else colours(norm(values[trial])),
            linewidth=3 if wide else 1.2,
            alpha=1 if wide else 0.7,
        )
    last = {NOT_VARIED: "pruned"} if len(ended) < len(values) else {}
    last |= {0.0: f"{low:.4g}"} if high == low else {0.0: f"{low:.4g}", 1.0: f"{high:.4g}"}
    axes = [*axes, Coordinate(metric, [], last)]
    for place, coordinate in enumerate(axes):
        axis.axvline(place, color="grey", linewidth=0.8)
        for height, label in coordinate.ticks.items():
            axis.annotate(
                label, (place, height), xytext=(3, 0), textcoords="offset points", fontsize=8,
                va="center", bbox={"facecolor": "white", "alpha": 0.7, "pad": 0.5, "lw": 0},
            )  # fmt: skip
    axis.set_xticks(range(len(axes)), [a.name.replace(".", ".\n") for a in axes], fontsize=8)
    axis.set_yticks([])
    axis.set_xlim(-0.1, len(axes) - 0.9)
    for side in axis.spines.values():
        side.set_visible(False)
    figure.colorbar(ScalarMappable(norm, colours), ax=axis, label=f"validation {metric}", pad=0.02)
    figure.suptitle(f"{len(values)} trials, without that of the settings as they are")
    save(figure, path)


class Ranked(NamedTuple):
    """A trial by its value.

    Attributes:
        name: of the trial.
        value: of the metric.
        half_width: of its interval; 0 for none.
        runs: the values of its runs, if it has several.
    """

    name: str
    value: float
    half_width: float
    runs: Sequence[float]


def ranking(rows: Sequence[Ranked], base: str, metric: str, title: str, path: Path) -> None:
    """A dot for each trial at its value, with an interval.

    Args:
        rows: best first.
        base: the name of one that is grey, with a line through all others.
        metric: what their values are of.
        title: of the picture.
        path: of the PNG.
    """
    figure = Figure(figsize=(6.4, 1.2 + 0.28 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(rows):
        colour = "grey" if row.name == base else "C0"
        if row.name == base:
            axis.axvline(row.value, color="grey", linestyle=":", linewidth=1)
        axis.plot(row.runs, [place] * len(row.runs), "o", color=colour, alpha=0.4, markersize=4)
        axis.errorbar(
            row.value, place, xerr=row.half_width or None, fmt="D", color=colour, capsize=3
        )
    axis.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_ylabel("trial")
    axis.set_xlabel(f"validation {metric}")
    if title:
        figure.suptitle(title)
    save(figure, path)


def importances(shares: Mapping[str, float], path: Path, title: str) -> None:
    """Bars of the settings' importance, the largest on top."""
    figure = Figure(figsize=(6.4, 0.8 + 0.4 * len(shares)), layout="constrained")
    axis = figure.subplots()
    names = list(shares)[::-1]
    axis.barh(names, [shares[name] for name in names])
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of the importance (shuffled in a random forest)")
    figure.suptitle(title)
    save(figure, path)
