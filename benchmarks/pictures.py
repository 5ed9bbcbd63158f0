"""Draws the pictures of docs/ that show records.

python -m benchmarks.pictures
"""

from __future__ import annotations

from statistics import fmean

from matplotlib.figure import Figure

from benchmarks.record import recorded
from benchmarks.tables import ROOT, SMALL
from kerasseq import plots

PICTURES = ROOT / "docs/pictures"

LINES = (("kerasseq, defaults", "tab:blue"), ("TF-IDF + logistic regression", "tab:orange"))


def few_texts() -> None:
    """Draws accuracy over the number of labelled texts, from the records."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, len(SMALL))
    for axis, (name, title) in zip(axes, SMALL.items(), strict=True):
        result = recorded(f"small-data-{name}")
        assert result is not None, f"{name} was not measured"
        found = result["reference"]["each draw"]
        counts = [int(count) for count in found]
        for place, (label, colour) in enumerate(LINES):
            means = [fmean(pair[place] for pair in pairs) for pairs in found.values()]
            axis.plot(counts, means, "o-", color=colour, label=label)
            for count, pairs in zip(counts, found.values(), strict=True):
                axis.plot(
                    [count] * len(pairs), [p[place] for p in pairs], ".", color=colour, alpha=0.4
                )
        if len(counts) > 1:
            axis.set_xscale("log")
            axis.minorticks_off()
        axis.set_xticks(counts, [f"{count:,}" for count in counts])
        axis.set_title(title)
        axis.set_xlabel("labelled texts")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy")
    axes[0].legend(fontsize=8)
    plots.save(figure, PICTURES / "few-texts.png")


if __name__ == "__main__":
    few_texts()
