"""How well a language model predicts a text: perplexity, bits per character, frequency bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kerasseq.evaluation.perplexity import perplexity
from kerasseq.plots import save
from kerasseq.text.vocabulary import UNK

BANDS = (10, 100, 1_000, 10_000, 100_000)
"""Training frequencies at which a band of types ends."""


def report(nll: np.ndarray, ids: np.ndarray, characters: int, counts: np.ndarray) -> dict[str, Any]:
    """What a text's nll comes to.

    Perplexity is that of the summed nll over the summed tokens, line ends and unknown words
    counted.

    Args:
        nll: float `[N]`, in nats.
        ids: the tokens, int32 `[N]`.
        characters: of the text as it was written.
        counts: training frequency of every id, int64 `[V]`.
    """
    total = float(nll.sum(dtype=np.float64))
    nats = total / len(ids)
    return {
        "tokens": len(ids),
        "nll": round(total, 3),
        "nats_per_token": round(nats, 6),
        "perplexity": round(perplexity(nats), 4),
        "bits_per_token": round(nats / math.log(2), 6),
        "characters": characters,
        "bits_per_character": round(total / math.log(2) / max(1, characters), 6),
        "unknown": int(np.count_nonzero(ids == UNK)),
        "bands": bands(nll, ids, counts),
    }


def bands(nll: np.ndarray, ids: np.ndarray, counts: np.ndarray) -> list[dict[str, Any]]:
    """Perplexity by how often a token occurs in training; unknown words are a band of their own.

    Args:
        nll, ids: of the text, `[N]`.
        counts: training frequency of every id, int64 `[V]`.
    """
    frequency = counts[ids]
    edges = [0, *BANDS, np.iinfo(np.int64).max]
    names = [f"{low + 1:,} to {high:,}" for low, high in zip(edges, BANDS, strict=False)]
    names += [f"over {BANDS[-1]:,}"]
    parts = {"unknown": ids == UNK}
    for name, low, high in zip(names, edges, edges[1:], strict=False):
        parts[name] = (ids != UNK) & (frequency > low) & (frequency <= high)
    parts["never"] = (ids != UNK) & (frequency == 0)
    return [
        {
            "frequency": name,
            "types": len(np.unique(ids[part])),
            "tokens": int(part.sum()),
            "share": round(float(part.mean()), 4),
            "perplexity": round(perplexity(float(nll[part].mean(dtype=np.float64))), 2),
            "nll_share": round(float(nll[part].sum() / max(float(nll.sum()), 1e-30)), 4),
        }
        for name, part in parts.items()
        if part.any()
    ]


def report_lines(report: dict[str, Any]) -> list[str]:
    """A report for people."""
    if report["level"] == "char":
        head = (
            f"{report['nats_per_token']:.4f} nats, {report['bits_per_token']:.4f} bits per "
            f"character (perplexity {report['perplexity']:.3f})"
        )
    else:
        head = (
            f"perplexity {report['perplexity']:.2f} ({report['nats_per_token']:.4f} nats a token)"
        )
    lines = [
        head,
        f"{report['tokens']:,} tokens, line ends counted; {report['unknown']:,} of them unknown",
        "  in training       tokens   share  perplexity  share of nll",
    ]
    for band in report["bands"]:
        lines.append(
            f"  {band['frequency']:<17} {band['tokens']:>7,} {band['share']:>7.1%}  "
            f"{band['perplexity']:>10,.2f}  {band['nll_share']:>12.1%}"
        )
    return lines


def frequency_bands(bands: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Perplexity, and share of the whole nll, of tokens by how often they occur in training.

    Args:
        bands: as :func:`bands` gives them.
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
    save(figure, path)
