"""Pictures of a run: learning curves and confusion matrices, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasseq.errors import UserError

MOST_CLASSES = 100


def _save(figure: Figure, path: Path) -> None:
    try:
        FigureCanvasAgg(figure).print_png(str(path))
    except OSError as error:
        raise UserError(f"{path} could not be written: {error.strerror}") from None


def learning_curves(
    history: Sequence[dict[str, Any]], best_step: int, path: Path, title: str
) -> None:
    """Loss, and every validation metric, over epochs; a line marks the weights that were kept."""
    epochs = [record["epoch"] for record in history]
    metrics = [
        name.removeprefix("validation_")
        for name in history[0]
        if name.startswith("validation_") and name != "validation_loss"
    ]
    figure = Figure(figsize=(4.6 * (1 + len(metrics)), 3.6), layout="constrained")
    axes = figure.subplots(1, 1 + len(metrics), squeeze=False)[0]
    axes[0].plot(epochs, [r["loss"] for r in history], "o-", label="training (what is minimised)")
    if "validation_loss" in history[0]:
        axes[0].plot(epochs, [r["validation_loss"] for r in history], "o-", label="validation")
    axes[0].set_ylabel("loss (nats)")
    for axis, name in zip(axes[1:], metrics, strict=True):
        axis.plot(epochs, [r[f"validation_{name}"] for r in history], "o-", color="tab:orange")
        axis.set_ylabel(f"validation {name}")
    best = next((r["epoch"] for r in history if r["step"] == best_step), None)
    for axis in axes:
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if best is not None:
            axis.axvline(best, color="grey", linestyle=":", label="weights kept")
    axes[0].legend()
    figure.suptitle(title)
    _save(figure, path)


def confusion_figure(matrix: Sequence[Sequence[int]], names: Sequence[str], title: str) -> Figure:
    """A confusion matrix with counts; colours show shares of the true class.

    With many classes zeros are left out, thin lines lead from a cell to its names, which then stand
    on all four sides, and the colour scale shows small shares too. Of more than 100 classes the
    most frequent ones are drawn.
    """
    counts, shown = np.array(matrix), list(names)
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    if len(shown) > MOST_CLASSES:
        kept = np.sort(np.argsort(-support[:, 0], kind="stable")[:MOST_CLASSES])
        title += f" ({MOST_CLASSES} most frequent of {len(shown)} classes)"
        counts, shares = counts[np.ix_(kept, kept)], shares[np.ix_(kept, kept)]
        shown = [shown[i] for i in kept]
    many = len(shown) > 10
    side = max(4.0, (0.42 if many else 0.55) * len(shown) + 2)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axis = figure.subplots()
    # the square root spreads small shares: with many classes an error is some percent of a class
    norm = PowerNorm(0.5 if many else 1.0, vmin=0, vmax=1)
    image = axis.imshow(shares, cmap="Blues", norm=norm)
    figure.colorbar(image, ax=axis, label="share of the true class", shrink=0.8, aspect=4 * side)
    ticks = np.arange(len(shown))
    axis.set_xticks(ticks, shown, parse_math=False)
    axis.set_yticks(ticks, shown, parse_math=False)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(title)
    if len(shown) > 3:
        axis.tick_params("x", rotation=90 if many else 45)
    if many:
        axis.tick_params(labeltop=True, labelright=True, top=True, right=True)
        axis.set_xticks(ticks[1:] - 0.5, minor=True)
        axis.set_yticks(ticks[1:] - 0.5, minor=True)
        axis.grid(which="minor", color="0.85", linewidth=0.5)
        axis.tick_params(which="minor", length=0)
    for i, j in np.argwhere(counts > 0) if many else np.ndindex(counts.shape):
        colour = "white" if norm(shares[i, j]) > 0.5 else "black"
        count = f"{counts[i, j]}" if many else f"{counts[i, j]:,}"
        axis.text(j, i, count, ha="center", va="center", color=colour, size=7 if many else 11)
    return figure


def confusion(
    matrix: Sequence[Sequence[int]], names: Sequence[str], path: Path, title: str
) -> None:
    """Writes :func:`confusion_figure` as PNG."""
    _save(confusion_figure(matrix, names, title), path)


def frequency_bands(bands: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Perplexity, and share of the whole nll, of tokens by how often they occur in training.

    Args:
        bands: as :func:`kerasseq.evaluation.language_model.bands` gives them.
        path: of the PNG.
        title: of the figure.
    """
    names = [f"{band['frequency']}\n({band['tokens']:,} tokens)" for band in bands]
    figure = Figure(figsize=(9.2, 0.55 * len(bands) + 1.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(bands))
    left.barh(places, [band["perplexity"] for band in bands], color="tab:blue")
    left.set_xscale("log")
    left.set_xlabel("perplexity")
    left.set_yticks(places, names)
    left.set_ylabel("occurrences in training")
    left.invert_yaxis()
    right.barh(places - 0.2, [band["nll_share"] for band in bands], 0.4, label="of the nll")
    right.barh(places + 0.2, [band["share"] for band in bands], 0.4, label="of the tokens")
    right.set_xlabel("share")
    right.legend()
    for axis in (left, right):
        axis.grid(alpha=0.3, axis="x")
    figure.suptitle(title)
    _save(figure, path)
