"""Pictures of a run: learning curves and confusion matrices, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerasseq.errors import UserError


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
    axes[0].plot(epochs, [r["loss"] for r in history], "o-", label="training (with dropout)")
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


def confusion(
    matrix: Sequence[Sequence[int]], names: Sequence[str], path: Path, title: str
) -> None:
    """A confusion matrix with counts; colours show shares of the true class."""
    counts = np.array(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(24.0, max(4.0, 0.55 * len(names) + 2))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, label="share of the true class", shrink=0.8)
    ticks = np.arange(len(names))
    axis.set_xticks(ticks, names, rotation=45 if len(names) > 3 else 0, parse_math=False)
    axis.set_yticks(ticks, names, parse_math=False)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(title)
    size = 11 if len(names) <= 10 else 6
    for i in range(len(names) if len(names) <= 40 else 0):  # beyond, only the colours are readable
        for j in range(len(names)):
            colour = "white" if shares[i, j] > 0.5 else "black"
            axis.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", color=colour, size=size)
    _save(figure, path)
