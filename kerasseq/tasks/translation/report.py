"""How good translations are: BLEU and chrF, by sentence length, and the worst ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasseq.tasks.translation.scores import (
    References,
    bleu_metric,
    by_length,
    check_columns,
    figures,
    need_sacrebleu,
    resampled,
    score_line,
    streams,
)

WORST, SAMPLES = 10, 5


def report(
    hypotheses: Sequence[str],
    references: Sequence[References],
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
        references: one for each of them, or several. BLEU and chrF2 take all; an example shows the
            first.
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
    check_columns(sources, references, hypotheses)
    result: dict[str, Any] = {"sentences": len(sources)}
    columns = streams(references)
    if len(columns) > 1:
        counts = [sum(one is not None for one in row) for row in zip(*columns, strict=True)]
        result["references"] = {"fewest": min(counts), "most": max(counts)}
    tested = resampled({"": hypotheses}, references, language, seed)
    for key, (signature, (found,)) in tested.items():
        result[key] = figures(found) | {"signature": signature}
    bleu = bleu_metric(language, force=True).corpus_score(hypotheses, columns)
    result["bleu"] |= {
        "precisions": [round(precision, 4) for precision in bleu.precisions],
        "brevity_penalty": round(bleu.bp, 5),
        "length_ratio": round(bleu.ratio, 5),
    }
    result["by_length"] = by_length(hypotheses, references, sources, language)

    return result | _examples(hypotheses, references, sources)


def _examples(
    hypotheses: Sequence[str], references: Sequence[References], sources: Sequence[str]
) -> dict[str, Any]:
    """The sentences of the lowest chrF2, and some evenly spaced ones."""
    chrf = need_sacrebleu().CHRF()
    lists = [[one] if isinstance(one, str) else one for one in references]
    sentence_scores = [
        chrf.sentence_score(hypothesis, all_of_it).score
        for hypothesis, all_of_it in zip(hypotheses, lists, strict=True)
    ]

    def example(position: int) -> dict[str, Any]:
        return {
            "position": position,
            "source": sources[position],
            "reference": lists[position][0],
            "hypothesis": hypotheses[position],
            "chrf": round(sentence_scores[position], 4),
        }

    count = len(sources)
    worst = sorted(range(count), key=sentence_scores.__getitem__)[:WORST]
    shown = min(count, SAMPLES)
    return {
        "worst": [example(position) for position in worst],
        "samples": [example(i * count // shown) for i in range(shown)],
    }


def report_lines(report: dict[str, Any]) -> list[str]:
    """A :func:`report` for people."""
    bleu, chrf = report["bleu"], report["chrf"]
    lines = [f"{report['sentences']:,} sentences"]
    if several := report.get("references"):
        fewest, most = several["fewest"], several["most"]
        count = f"{most}" if fewest == most else f"{fewest} to {most}"
        lines.append(
            f"{count} references a sentence: BLEU and chrF2 take all, perplexity and the examples "
            "below the first"
        )
    lines += [
        f"BLEU  {score_line(bleu)}",
        f"      precisions {'/'.join(f'{precision:.1f}' for precision in bleu['precisions'])}, "
        f"brevity penalty {bleu['brevity_penalty']:.3f}, "
        f"length ratio {bleu['length_ratio']:.3f}",
        f"      {bleu['signature']}",
        f"chrF2 {score_line(chrf)}",
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
