"""BLEU and chrF by sacrebleu, with bootstrap intervals, and by sentence length."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from kerasseq.errors import UserError
from kerasseq.installing import install_extra
from kerasseq.plots import save

if TYPE_CHECKING:
    from sacrebleu import BLEU

References = str | Sequence[str]
"""What a translation is compared with: one reference, or several."""

RESAMPLES = 1000

LENGTHS = (5, 10, 15, 20, 30)
"""Words of a source sentence at which a bin of lengths ends."""


def need_sacrebleu() -> ModuleType:
    """The package.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import sacrebleu.significance
    except ImportError:
        raise UserError(
            f"evaluating translations needs the package sacrebleu: {install_extra('translation')}"
        ) from None
    return sacrebleu


def bleu_metric(language: str, **options: Any) -> BLEU:
    """BLEU with the tokenizer that sacrebleu chooses for a language, or characters without it."""
    sacrebleu = need_sacrebleu()
    code = language.replace("_", "-").split("-")[0].lower()
    try:
        return sacrebleu.BLEU(trg_lang=code, **options)
    except RuntimeError:  # MeCab, or its dictionary, is not installed
        return sacrebleu.BLEU(tokenize="char", **options)


def bleu(hypotheses: Sequence[str], references: Sequence[References], language: str) -> float:
    """BLEU of a corpus, from 0 to 100."""
    return bleu_metric(language).corpus_score(hypotheses, streams(references)).score


def streams(references: Sequence[References]) -> list[list[Any]]:
    """References as sacrebleu takes them: the first of all sentences, the second of all, ...

    Where a sentence has fewer, there is None: sacrebleu leaves it out of that sentence's
    references. An empty string would be one more reference, of no words.

    >>> streams(["a", ("b", "c")])
    [['a', 'b'], [None, 'c']]
    """
    lists = [(one,) if isinstance(one, str) else one for one in references]
    return [list(column) for column in itertools.zip_longest(*lists)]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds the resamples of sacrebleu, which takes the seed from the environment alone."""
    name = "SACREBLEU_SEED"
    before = os.environ.get(name)
    os.environ[name] = str(seed or 12345)  # its default; a paired test takes 0 for no seed at all
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def check_columns(sources: Sequence[str], *columns: Sequence[Any]) -> None:
    """Raises:
    ValueError: if there is no sentence, or the columns do not correspond.
    """
    # sacrebleu would leave out what is too much
    sizes = [len(sources), *map(len, columns)]
    if len(set(sizes)) > 1:
        raise ValueError(f"sources, references and hypotheses differ in number: {sizes}")
    if not sources:
        raise ValueError("no sentence to evaluate")


def resampled(
    systems: dict[str, Sequence[str]], references: Sequence[References], language: str, seed: int
) -> dict[str, tuple[str, list[Any]]]:
    """BLEU and chrF2 of one or two systems over resamples: signatures and sacrebleu's results."""
    # not corpus_score(n_bootstrap=...), which sacrebleu 2.6 breaks off if a resample's chrF is 0
    sacrebleu = need_sacrebleu()
    metrics = {"BLEU": bleu_metric(language), "chrF2": sacrebleu.CHRF()}
    with _seeded(seed):
        signatures, scores = sacrebleu.significance.PairedTest(
            list(systems.items()), metrics, streams(references), test_type="bs", n_samples=RESAMPLES
        )()
    keys = {"bleu": "BLEU", "chrf": "chrF2"}
    return {key: (str(signatures[name]), scores[name]) for key, name in keys.items()}


def figures(result: Any) -> dict[str, Any]:
    """A score with its bootstrap interval."""
    low, high = result.mean - result.ci, result.mean + result.ci
    return {
        "score": round(result.score, 4),
        "mean": round(float(result.mean), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
    }


def by_length(
    hypotheses: Sequence[str],
    references: Sequence[References],
    sources: Sequence[str],
    language: str,
) -> list[dict[str, Any]]:
    """BLEU by the number of words of the source sentence; an empty one is in the first bin."""
    # where no n-gram of an order exists, as in a bin of sentences of two words, BLEU would be 0;
    # it is that of the lower orders then, and the same anywhere else
    bleu = bleu_metric(language, effective_order=True, force=True)
    words = np.array([len(source.split()) for source in sources])
    bins = np.searchsorted(LENGTHS, words)
    lows = [1, *(length + 1 for length in LENGTHS)]
    names = [f"{low}-{high}" for low, high in zip(lows, LENGTHS, strict=False)]
    names.append(f"over {LENGTHS[-1]}")
    rows = []
    for index, name in enumerate(names):
        part = np.flatnonzero(bins == index).tolist()
        if part:
            score = bleu.corpus_score(
                [hypotheses[i] for i in part], streams([references[i] for i in part])
            ).score
            rows.append(
                {
                    "words": name,
                    "sentences": len(part),
                    "mean_words": round(float(words[part].mean()), 2),
                    "bleu": round(score, 4),
                }
            )
    return rows


def score_line(figures: dict[str, Any]) -> str:
    """A score with its interval, for people."""
    low, high = figures["interval_95"]
    return (
        f"{figures['score']:.2f} (bootstrap mean {figures['mean']:.2f}, "
        f"95 % interval {low:.2f} to {high:.2f})"
    )


def length_curves(curves: dict[str, Sequence[dict[str, Any]]], path: Path, title: str) -> None:
    """BLEU of systems by the length of the source sentence, over bars of how many sentences it is.

    Args:
        curves: for each system the rows that
            :func:`by_length` gives, of the same sentences.
        path: of the PNG.
        title: of the figure.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    counts = axis.twinx()
    rows = next(iter(curves.values()))
    places = np.arange(len(rows))
    counts.bar(places, [row["sentences"] for row in rows], 0.6, color="0.9")
    counts.set_axis_off()  # the numbers stand below
    for name, curve in curves.items():
        axis.plot(places, [row["bleu"] for row in curve], "o-", label=name)
    axis.set_zorder(counts.get_zorder() + 1)  # the lines over the bars
    axis.patch.set_visible(False)
    axis.set_ylim(0, 1.08 * max(axis.get_ylim()[1], 1e-6))
    axis.set_ylabel("BLEU")
    axis.set_xticks(places, [f"{row['words']}\n({row['sentences']:,})" for row in rows])
    axis.set_xlabel("words of the source sentence (number of sentences)")
    axis.grid(alpha=0.3, axis="y")
    figure.legend(loc="outside lower center", ncols=min(3, len(curves)))
    figure.suptitle(title)
    save(figure, path)
