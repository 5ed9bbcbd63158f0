"""Pictures of a run, as PNG: learning curves, confusion matrices, frequencies, attention."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ticker import MaxNLocator

from kerasseq.errors import UserError

MOST_CLASSES = 100
LONGEST_LABEL = 24  # characters


def save(figure: Figure, path: Path, bounds: Literal["tight"] | None = None) -> None:
    """Writes a figure as PNG.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        FigureCanvasAgg(figure).print_figure(str(path), format="png", bbox_inches=bounds)
    except OSError as error:
        raise UserError(f"{path} could not be written: {error.strerror}") from None


class ShownFigure(Figure):
    """A figure that shows itself in a notebook, where pyplot is not in use too."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        FigureCanvasAgg(self).print_figure(picture, format="png")
        return picture.getvalue()


def learning_curves(history: Sequence[dict[str, Any]], best_step: int, title: str) -> Figure:
    """Loss, and every validation metric, over epochs; a line marks the weights that were kept."""
    epochs = [record["epoch"] for record in history]
    metrics = [
        name.removeprefix("validation_")
        for name in history[0]
        if name.startswith("validation_") and name != "validation_loss"
    ]
    figure = ShownFigure(figsize=(4.6 * (1 + len(metrics)), 3.6), layout="constrained")
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
    return figure


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
    save(confusion_figure(matrix, names, title), path)


def _fonts(text: str) -> tuple[list[str], set[str]]:
    """Families of installed fonts that show a text, and the characters that none of them shows."""

    def shown(file: str) -> set[str]:
        font = get_font(file)
        return {character for character in missing if font.get_char_index(ord(character))}

    families, missing = ["sans-serif"], set(text)
    missing -= shown(findfont(FontProperties(family=families)))
    found: dict[str, set[str]] = {}
    for font in sorted(fontManager.ttflist, key=lambda font: font.name) if missing else ():
        regular = (font.style, font.weight, font.stretch) == ("normal", 400, "normal")
        # the "Last Resort" font that comes with matplotlib has a box for every character
        if regular and not font.name.startswith("Last Resort"):
            found[font.name] = shown(font.fname)
    while any(found.values()):
        best = max(found, key=lambda name: len(found[name]))
        families.append(best)
        missing -= found[best]
        found = {name: characters & missing for name, characters in found.items()}
    return families, missing


def attention(
    weights: np.ndarray,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    path: Path,
    title: str,
) -> list[str]:
    """Where a decoder looked: the attention weight of every source token at each target token.

    Args:
        weights: ``[T, S]``, from 0 to 1.
        source_tokens: ``S`` tokens; long ones are cut.
        target_tokens: ``T`` tokens.
        path: of the PNG.
        title: of the figure.

    Returns:
        A note on the characters that no installed font shows and that are drawn as boxes, if any.
    """
    if np.shape(weights) != (len(target_tokens), len(source_tokens)):
        raise ValueError(
            f"weights of shape {np.shape(weights)} for {len(target_tokens)} target and "
            f"{len(source_tokens)} source tokens"
        )
    families, missing = _fonts("".join([title, *source_tokens, *target_tokens]))
    boxes = dict.fromkeys(map(ord, missing), "□")

    def label(token: str) -> str:
        cut = token if len(token) <= LONGEST_LABEL else token[: LONGEST_LABEL - 1] + "…"
        return cut.translate(boxes)

    height, width = np.shape(weights)
    cell = max(0.27, 2.4 / max(height, width))  # inches
    # the axes are the whole figure: what stands around them widens the picture when it is saved,
    # so that labels of any length leave the cells their size
    figure = Figure(figsize=(cell * width, cell * height))
    axis = figure.add_axes((0, 0, 1, 1))
    image = axis.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    tall = max(1.0, 1.2 / (cell * height))
    bar = figure.add_axes((1 + 0.2 / (cell * width), 1 - tall, 0.15 / (cell * width), tall))
    figure.colorbar(image, cax=bar, label="attention weight")
    columns, rows = np.arange(width), np.arange(height)
    text: dict[str, Any] = {"fontfamily": families, "parse_math": False}
    axis.set_xticks(columns, [label(token) for token in source_tokens], **text, rotation=90)
    axis.set_yticks(rows, [label(token) for token in target_tokens], **text)
    axis.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False)
    axis.xaxis.set_label_position("top")
    axis.set_xlabel("source")
    axis.set_ylabel("target")
    axis.set_xticks(columns[1:] - 0.5, minor=True)
    axis.set_yticks(rows[1:] - 0.5, minor=True)
    axis.grid(which="minor", color="0.85", linewidth=0.5)
    axis.tick_params(which="minor", length=0)
    axis.set_title(title.translate(boxes), **text)
    save(figure, path, "tight")
    if not missing:
        return []
    codes = [f"U+{ord(character):04X}" for character in sorted(missing)]
    shown = ", ".join(codes[:5]) + ", ..." * (len(codes) > 5)
    return [f"{path.name}: no installed font shows {shown} ({len(codes)} in all), drawn as □"]
