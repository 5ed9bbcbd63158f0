"""Whether one system translates better than another: paired bootstrap resampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasseq.tasks.translation.scores import (
    References,
    by_length,
    check_columns,
    figures,
    resampled,
    score_line,
)


def compare(
    first: Sequence[str],
    second: Sequence[str],
    references: Sequence[References],
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
        references, sources, language, seed: as of :func:`kerasseq.tasks.translation.report.report`.

    Raises:
        UserError: if sacrebleu is not installed.
        ValueError: if there is no sentence, or the four do not correspond.
    """
    check_columns(sources, references, first, second)
    systems = {"first": first, "second": second}
    result: dict[str, Any] = {"sentences": len(sources)}
    tested = resampled(systems, references, language, seed)
    for key, (signature, (one, other)) in tested.items():
        result[key] = {
            "first": figures(one),
            "second": figures(other),
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
            f"{title:<5} {first:<{width}}  {score_line(figures['first'])}",
            f"{'':<5} {second:<{width}}  {score_line(figures['second'])}",
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
