"""How good translations are: BLEU and chrF by sacrebleu, by sentence length, and the worst ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from kerasseq.errors import UserError
from kerasseq.plots import save

if TYPE_CHECKING:
    from sacrebleu import BLEU

RESAMPLES = 1000
WORST, SAMPLES = 10, 5

LENGTHS = (5, 10, 15, 20, 30)
"""Words of a source sentence at which a bin of lengths ends."""


def need_sacrebleu() -> ModuleType:
    try:
        import sacrebleu.significance
    except ImportError:
        raise UserError(
            "evaluating translations needs the package sacrebleu: "
            "pip install 'kerasseq[translation]'"
        ) from None
    return sacrebleu


def _bleu(language: str, **options: Any) -> BLEU:
    """BLEU with the tokenizer that sacrebleu chooses for a language, or characters without it."""
    sacrebleu = need_sacrebleu()
    code = language.replace("_", "-").split("-")[0].lower()
    try:
        return sacrebleu.BLEU(trg_lang=code, **options)
    except RuntimeError:  # MeCab, or its dictionary, is not installed
        return sacrebleu.BLEU(tokenize="char", **options)


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> float:
    """BLEU of a corpus, from 0 to 100."""
    return _bleu(language).corpus_score(hypotheses, [references]).score


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


def _check(sources: Sequence[str], *columns: Sequence[str]) -> None:
    # sacrebleu would leave out what is too much
    sizes = [len(sources), *map(len, columns)]
    if len(set(sizes)) > 1:
        raise ValueError(f"sources, references and hypotheses differ in number: {sizes}")
    if not sources:
        raise ValueError("no sentence to evaluate")


def _resampled(
    systems: dict[str, Sequence[str]], references: Sequence[str], language: str, seed: int
) -> dict[str, tuple[str, list[Any]]]:
    """BLEU and chrF2 of one or two systems over resamples: signatures and sacrebleu's results."""
    # not corpus_score(n_bootstrap=...), which sacrebleu 2.6 breaks off if a resample's chrF is 0
    sacrebleu = need_sacrebleu()
    metrics = {"BLEU": _bleu(language), "chrF2": sacrebleu.CHRF()}
    with _seeded(seed):
        signatures, scores = sacrebleu.significance.PairedTest(
            list(systems.items()), metrics, [references], test_type="bs", n_samples=RESAMPLES
        )()
    keys = {"bleu": "BLEU", "chrf": "chrF2"}
    return {key: (str(signatures[name]), scores[name]) for key, name in keys.items()}


def _figures(result: Any) -> dict[str, Any]:
    low, high = result.mean - result.ci, result.mean + result.ci
    return {
        "score": round(result.score, 4),
        "mean": round(float(result.mean), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
    }


def by_length(
    hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str], language: str
) -> list[dict[str, Any]]:
    """BLEU by the number of words of the source sentence; an empty one is in the first bin."""
    # where no n-gram of an order exists, as in a bin of sentences of two words, BLEU would be 0;
    # it is that of the lower orders then, and the same anywhere else
    bleu = _bleu(language, effective_order=True, force=True)
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
                [hypotheses[i] for i in part], [[references[i] for i in part]]
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


def report(
    hypotheses: Sequence[str],
    references: Sequence[str],
    sources: Sequence[str],
    language: str,
    seed: int,
) -> dict[str, Any]:
    """Everything that is measured on one split, as JSON values.

    BLEU and chrF2 are those of sacrebleu, on detokenised text with its case. ``mean`` and
    ``interval_95`` are over bootstrap resamples of the sentences. ``worst`` are the sentences of
    the lowest chrF2, ``samples`` some evenly spaced ones; a ``position`` counts from 0.

    Args:
        hypotheses: the translations.
        references: one for each of them.
        sources: what was translated.
        language: code of the target language, by which sacrebleu chooses BLEU's tokenizer:
            ``zh`` for Chinese, ``ja-mecab`` for Japanese and ``ko-mecab`` for Korean, where
            ``sacrebleu[ja]`` or ``sacrebleu[ko]`` is installed (else ``char``), ``13a`` for others.
            The signature names it.
        seed: of the resamples.

    Raises:
        UserError: if sacrebleu is not installed.
        ValueError: if there is no sentence, or the three do not correspond.
    """
    _check(sources, references, hypotheses)
    result: dict[str, Any] = {"sentences": len(sources)}
    resampled = _resampled({"": hypotheses}, references, language, seed)
    for key, (signature, (found,)) in resampled.items():
        result[key] = _figures(found) | {"signature": signature}
    bleu = _bleu(language, force=True).corpus_score(hypotheses, [references])
    result["bleu"] |= {
        "precisions": [round(precision, 4) for precision in bleu.precisions],
        "brevity_penalty": round(bleu.bp, 5),
        "length_ratio": round(bleu.ratio, 5),
    }
    result["by_length"] = by_length(hypotheses, references, sources, language)

    chrf = need_sacrebleu().CHRF()
    sentence_scores = [
        chrf.sentence_score(hypothesis, [reference]).score
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]

    def example(position: int) -> dict[str, Any]:
        return {
            "position": position,
            "source": sources[position],
            "reference": references[position],
            "hypothesis": hypotheses[position],
            "chrf": round(sentence_scores[position], 4),
        }

    count = len(sources)
    worst = sorted(range(count), key=sentence_scores.__getitem__)[:WORST]
    shown = min(count, SAMPLES)
    result["worst"] = [example(position) for position in worst]
    result["samples"] = [example(i * count // shown) for i in range(shown)]
    return result


def _score_line(figures: dict[str, Any]) -> str:
    low, high = figures["interval_95"]
    return (
        f"{figures['score']:.2f} (bootstrap mean {figures['mean']:.2f}, "
        f"95 % interval {low:.2f} to {high:.2f})"
    )


def report_lines(report: dict[str, Any]) -> list[str]:
    """A :func:`report` for people."""
    bleu, chrf = report["bleu"], report["chrf"]
    lines = [
        f"{report['sentences']:,} sentences",
        f"BLEU  {_score_line(bleu)}",
        f"      precisions {'/'.join(f'{precision:.1f}' for precision in bleu['precisions'])}, "
        f"brevity penalty {bleu['brevity_penalty']:.3f}, "
        f"length ratio {bleu['length_ratio']:.3f}",
        f"      {bleu['signature']}",
        f"chrF2 {_score_line(chrf)}",
        f"      {chrf['signature']}",
        "source words  sentences    BLEU",
    ]
    lines += [
        f"{row['words']:<12}  {row['sentences']:>9,}  {row['bleu']:>6.2f}"
        for row in report["by_length"]
    ]
    for title, key in (("lowest chrF2:", "worst"), ("samples:", "samples")):
        lines.append(title)
        for example in report[key]:
            lines += [
                f"  position {example['position']:,}, chrF2 {example['chrf']:.2f}",
                f"    source      {example['source']}",
                f"    reference   {example['reference']}",
                f"    hypothesis  {example['hypothesis']}",
            ]
    return lines


def compare(
    first: Sequence[str],
    second: Sequence[str],
    references: Sequence[str],
    sources: Sequence[str],
    language: str,
    seed: int,
) -> dict[str, Any]:
    """Whether one system is better than another: paired bootstrap resampling (Koehn 2004).

    ``p`` is sacrebleu's: the share of resamples whose absolute difference exceeds its mean by more
    than the true difference.

    Args:
        first: translations of one system.
        second: those of another.
        references, sources, language, seed: as of :func:`report`.

    Raises:
        UserError: if sacrebleu is not installed.
        ValueError: if there is no sentence, or the four do not correspond.
    """
    _check(sources, references, first, second)
    systems = {"first": first, "second": second}
    result: dict[str, Any] = {"sentences": len(sources)}
    resampled = _resampled(systems, references, language, seed)
    for key, (signature, (one, other)) in resampled.items():
        result[key] = {
            "first": _figures(one),
            "second": _figures(other),
            "difference": round(other.score - one.score, 4),
            # sacrebleu counts larger differences only, so that it finds equal systems different
            "p": 1.0 if one.score == other.score else round(other.p_value, 6),
            "signature": signature,
        }
    result["by_length"] = {
        name: by_length(hypotheses, references, sources, language)
        for name, hypotheses in systems.items()
    }
    return result


def compare_lines(
    comparison: dict[str, Any], first: str = "first", second: str = "second"
) -> list[str]:
    """What :func:`compare` found, for people.

    Args:
        comparison: as :func:`compare` gives it.
        first, second: names of the two systems.
    """
    width = max(len(first), len(second))
    lines = [f"{comparison['sentences']:,} sentences, paired bootstrap resampling"]
    for title, key in (("BLEU", "bleu"), ("chrF2", "chrf")):
        figures = comparison[key]
        lines += [
            f"{title:<5} {first:<{width}}  {_score_line(figures['first'])}",
            f"{'':<5} {second:<{width}}  {_score_line(figures['second'])}",
            f"{'':<5} difference ({second} less {first}) {figures['difference']:+.2f}, "
            f"p = {figures['p']:.4f}",
            f"{'':<5} {figures['signature']}",
        ]
    columns = [max(len(name), 6) for name in (first, second)]
    lines.append(f"source words  sentences  {first:>{columns[0]}}  {second:>{columns[1]}}  (BLEU)")
    curves = comparison["by_length"]
    for one, other in zip(curves["first"], curves["second"], strict=True):
        lines.append(
            f"{one['words']:<12}  {one['sentences']:>9,}  {one['bleu']:>{columns[0]}.2f}  "
            f"{other['bleu']:>{columns[1]}.2f}"
        )
    return lines


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
