"""How good a tagger is: tokens, unseen words, sentences, spans, each tag, and what it confuses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from kerasseq.evaluation.classification import (
    calibration_error,
    class_figures,
    confusion_matrix,
    wilson_interval,
)
from kerasseq.evaluation.paired import Metric, Outcome
from kerasseq.tasks.tagging.iob import is_iob
from kerasseq.tasks.tagging.spans import span_scores, spans

RESAMPLES = 1000
CONFUSIONS, EXAMPLES = 10, 3
AROUND = 6  # words on either side of a marked one

Rows = Sequence[Sequence[str]]
"""Words or tags, sentence by sentence."""


def bootstrap_interval(
    right: np.ndarray, lengths: np.ndarray, seed: int = 1
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of token accuracy (Efron 1979), drawing whole sentences.

    The tokens of a sentence are not independent, one error brings the next; sentences nearly are.

    Args:
        right: the number of right tokens of each sentence.
        lengths: the number of tokens of each sentence.
        seed: of the resamples.
    """
    random = np.random.default_rng(seed)
    shares = np.empty(RESAMPLES)
    for i in range(RESAMPLES):  # not in one array, which takes gigabytes for 100,000 sentences
        drawn = random.integers(0, len(lengths), len(lengths))
        shares[i] = right[drawn].sum() / lengths[drawn].sum()
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def excerpt(words: Sequence[str], position: int) -> str:
    """The words around one, which is marked.

    >>> excerpt("a b c d e f g h i j k l m n o".split(), 7)
    '... b c d e f g [h] i j k l m n ...'
    """
    first, end = max(0, position - AROUND), position + AROUND + 1
    shown = [f"[{w}]" if i == position else w for i, w in enumerate(words[first:end], first)]
    return " ".join([*["..."] * (first > 0), *shown, *["..."] * (end < len(words))])


def _hits(true: Rows, tagged: Rows) -> list[np.ndarray]:
    """Which tokens of each sentence are right."""
    return [
        np.array([a == b for a, b in zip(*rows, strict=True)], bool)
        for rows in zip(true, tagged, strict=True)
    ]


def _figures(true: Rows, tagged: Rows, unseen: np.ndarray | None, iob: bool) -> dict[str, Any]:
    """What is measured of the model and of the baseline alike."""
    rows = _hits(true, tagged)
    hits = np.concatenate(rows)
    figures: dict[str, Any] = {"accuracy": round(float(hits.mean()), 5)}
    if unseen is not None:
        share = round(float(hits[unseen].mean()), 5) if unseen.any() else None
        figures["unseen_accuracy"] = share
    figures["sentence_accuracy"] = round(float(np.mean([row.all() for row in rows])), 5)
    if iob:
        figures["span_f1"] = span_scores(true, tagged)["f1"]
    return figures


def _confusions(sentences: Rows, true: Rows, predicted: Rows) -> list[dict[str, Any]]:
    """The most frequent pairs of true and predicted tag, each with a few sentences."""
    places: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for number, rows in enumerate(zip(true, predicted, strict=True)):
        for position, (gold, got) in enumerate(zip(*rows, strict=True)):
            if gold != got:
                places[gold, got].append((number, position))
    ranked = sorted(places.items(), key=lambda item: (-len(item[1]), item[0]))
    result = []
    for (gold, got), where in ranked[:CONFUSIONS]:
        first = dict(reversed(where))  # one place in each sentence: its first
        result.append(
            {
                "true": gold,
                "predicted": got,
                "count": len(where),
                "examples": [excerpt(sentences[i], first[i]) for i in sorted(first)[:EXAMPLES]],
            }
        )
    return result


def _unknown_tags(sentences: Rows, true: Rows, names: Sequence[str]) -> dict[str, Any]:
    """The true tags that the model does not know."""
    known = set(names)
    places = [
        (tag, number, position)
        for number, row in enumerate(true)
        for position, tag in enumerate(row)
        if tag not in known
    ]
    return {
        "tokens": len(places),
        "tags": dict(Counter(tag for tag, _, _ in places).most_common()),
        "examples": [
            {"tag": tag, "sentence": excerpt(sentences[number], position)}
            for tag, number, position in places[:EXAMPLES]
        ],
    }


def quick(sentences: Rows, true: Rows, predicted: Rows, known: Container[str]) -> dict[str, float]:
    """What is watched in training: accuracy, that of unseen words, and F1 of spans.

    The latter two are left out where there is no such word and where tags are not IOB.
    """
    hits = np.concatenate(_hits(true, predicted))
    unseen = np.array([word not in known for word in chain.from_iterable(sentences)])
    figures = {"accuracy": float(hits.mean())}
    if unseen.any():
        figures["unseen"] = float(hits[unseen].mean())
    if is_iob(set(chain(*true, *predicted))):
        figures["f1"] = span_scores(true, predicted)["f1"]
    return figures


def report(
    sentences: Rows,
    true: Rows,
    predicted: Rows,
    confidences: Sequence[np.ndarray],
    names: Sequence[str],
    known: Container[str] | None = None,
    baseline: Rows | None = None,
) -> dict[str, Any]:
    """Everything that is measured on one split, as JSON values.

    A true tag that the model does not know counts as wrong. ``accuracy_95``, Wilson's interval,
    takes tokens as independent, which they are not, so that it is too narrow;
    ``accuracy_95_sentences`` comes from :func:`bootstrap_interval`, which does not. Spans are
    scored if ``names`` are IOB tags. ``classes`` and ``confusion`` are about the tags that occur,
    true or predicted: first those of ``names``, in their order, then the unknown ones.

    Args:
        sentences: the words.
        true: their tags.
        predicted: the tags that the model chose.
        confidences: the model's probability of each of them.
        names: the tags that the model knows.
        known: the words of the training data, to tell unseen ones (a
            :class:`~kerasseq.tasks.tagging.baseline.MostFrequentTag` will do); without it
            nothing is said of unseen words.
        baseline: the tags that a baseline chose.

    Raises:
        ValueError: if there is no token, or words, tags and confidences do not correspond.
    """
    lengths = _checked_lengths(sentences, true, predicted, confidences)
    iob = is_iob(names)
    unseen = None
    if known is not None:
        unseen = np.array([word not in known for word in chain.from_iterable(sentences)])
    rows = _hits(true, predicted)
    hits, right = np.concatenate(rows), np.array([row.sum() for row in rows])

    result: dict[str, Any] = {"sentences": len(sentences), "tokens": len(hits)}
    result |= _figures(true, predicted, unseen, iob)
    wilson = wilson_interval(int(right.sum()), len(hits))
    result["accuracy_95"] = [round(bound, 5) for bound in wilson]
    bootstrap = bootstrap_interval(right, lengths)
    result["accuracy_95_sentences"] = [round(bound, 5) for bound in bootstrap]
    if unseen is not None:
        result["unseen"] = int(unseen.sum())
        result["unseen_share"] = round(float(unseen.mean()), 5)
    result |= _confidence(np.concatenate(confidences).astype(np.float64), hits)
    if baseline is not None:
        result["baseline"] = _figures(true, baseline, unseen, iob)
    if iob:
        result["spans"] = span_scores(true, predicted)
    result["unknown_tags"] = _unknown_tags(sentences, true, names)
    result |= _classes(true, predicted, names)
    result["confusions"] = _confusions(sentences, true, predicted)
    return result


def outcome(true: Rows, predicted: Rows, names: Sequence[str]) -> Outcome:
    """What is compared with another tagger, sentence by sentence: right tokens, and of IOB tags
    the F1 of spans.

    Args:
        true, predicted: tags.
        names: the tags that the model knows.
    """
    rows = _hits(true, predicted)
    right = np.array([row.sum() for row in rows], np.float64)
    lengths = np.array([len(row) for row in rows], np.float64)
    metrics = [Metric("accuracy", "max", right, lengths, ("accuracy",))]
    if is_iob(names):
        pairs = [
            (set(spans(one)), set(spans(other))) for one, other in zip(true, predicted, strict=True)
        ]
        both = np.array([2 * len(gold & guessed) for gold, guessed in pairs], np.float64)
        either = np.array([len(gold) + len(guessed) for gold, guessed in pairs], np.float64)
        metrics.append(Metric("F1 of spans", "max", both, either, ("f1",)))
    return Outcome("sentences", metrics)


def _checked_lengths(*columns: Sequence[Any]) -> np.ndarray:
    """The number of tokens of each sentence, of words, tags and confidences alike.

    Raises:
        ValueError: if there is no token, or they do not correspond.
    """
    for parts in zip(*columns, strict=True):
        sizes = [len(part) for part in parts]
        if len(set(sizes)) > 1:
            raise ValueError(
                "a sentence has {} words, {} true tags, {} predicted and {} confidences".format(
                    *sizes
                )
            )
    lengths = np.array([len(words) for words in columns[0]], int)
    if not lengths.sum():
        raise ValueError("no token to evaluate")
    return lengths


def _confidence(confidence: np.ndarray, hits: np.ndarray) -> dict[str, float]:
    """How sure the model is, and how rightly."""
    # of the chosen tag, which need not be the likeliest (a CRF chooses the best sequence)
    error = calibration_error(confidence[:, None], np.where(hits, 0, 1))
    return {
        "mean_confidence": round(float(confidence.mean()), 5),
        "calibration_error": round(error, 5),
    }


def _classes(true: Rows, predicted: Rows, names: Sequence[str]) -> dict[str, Any]:
    """Figures of each tag that occurs, and how often each is taken for each."""
    occurring = set(chain(*true, *predicted))
    tags = [name for name in names if name in occurring] + sorted(occurring - set(names))
    index = {tag: i for i, tag in enumerate(tags)}
    labels, guesses = (
        np.array([index[tag] for tag in chain.from_iterable(rows)]) for rows in (true, predicted)
    )
    matrix = confusion_matrix(labels, guesses, len(tags))
    return {"classes": class_figures(labels, guesses, tags).classes, "confusion": matrix.tolist()}


def _table(title: str, rows: Iterable[tuple[str, dict[str, Any], int]]) -> list[str]:
    """Precision, recall and F1 of each row, the most frequent ones first."""
    ordered = sorted(rows, key=lambda row: (-row[2], row[0]))
    width = max(map(len, [title, *(name for name, _, _ in ordered)]))
    return [
        f"{title:<{width}}  precision  recall      F1  support",
        *(
            f"{name:<{width}}     {s['precision']:.4f}  {s['recall']:.4f}  {s['f1']:.4f}  "
            f"{support:7,}"
            for name, s, support in ordered
        ),
    ]


def _headline(report: dict[str, Any]) -> list[str]:
    """The figures of the model, and the baseline's next to them."""
    notes = {
        "accuracy": ("token accuracy", f"{report['tokens']:,} tokens"),
        "sentence_accuracy": ("sentence accuracy", f"{report['sentences']:,} sentences"),
    }
    if "unseen" in report:
        note = f"{report['unseen']:,} tokens ({report['unseen_share']:.1%}) not seen in training"
        notes["unseen_accuracy"] = "of unseen words", note
    if "spans" in report:
        s = report["spans"]
        note = f"{s['gold']:,} spans, {s['predicted']:,} predicted, {s['correct']:,} correct"
        notes["span_f1"] = "span F1", note
    baseline = report.get("baseline")
    lines = [f"{'':<17}   model{'  baseline' if baseline else ''}"]
    for key in ("accuracy", "unseen_accuracy", "sentence_accuracy", "span_f1"):
        if key in notes:
            name, note = notes[key]
            values = [report[key], *([baseline[key]] if baseline else [])]
            shown = ["-" if value is None else f"{value:.4f}" for value in values]
            columns = f"{shown[0]:>6}" + "".join(f"{value:>10}" for value in shown[1:])
            lines.append(f"{name:<17}  {columns}  {note}")
    return lines


def report_lines(report: dict[str, Any]) -> list[str]:
    """A :func:`report` for people."""
    (low, high), (sentence_low, sentence_high) = (
        report["accuracy_95"],
        report["accuracy_95_sentences"],
    )
    lines = [
        *_headline(report),
        f"95 % interval of token accuracy: {low:.4f} to {high:.4f} if tokens were independent, "
        f"{sentence_low:.4f} to {sentence_high:.4f} over sentences (bootstrap)",
        f"mean probability of the chosen tag {report['mean_confidence']:.4f}, "
        f"calibration error {report['calibration_error']:.4f}",
    ]
    unknown = report["unknown_tags"]
    if unknown["tokens"]:
        tags = [f"{tag} {count:,}" for tag, count in unknown["tags"].items()]
        shown = ", ".join(tags[:10]) + ", ..." * (len(tags) > 10)
        lines.append(
            "tokens whose true tag is unknown to the model, counted as wrong: "
            f"{unknown['tokens']:,} ({shown})"
        )
        lines += [f"    {example['tag']}: {example['sentence']}" for example in unknown["examples"]]
    if report["confusions"]:
        lines.append("most frequent confusions:")
    pairs = [f"{c['true']} taken for {c['predicted']}" for c in report["confusions"]]
    width = max(map(len, pairs), default=0)
    for pair, confusion in zip(pairs, report["confusions"], strict=True):
        lines.append(f"  {pair:<{width}}  {confusion['count']:7,}")
        lines += [f"    {sentence}" for sentence in confusion["examples"]]
    if "spans" in report:
        kinds = report["spans"]["kinds"].items()
        lines += _table("span", [(name, scores, scores["gold"]) for name, scores in kinds])
    classes = report["classes"].items()
    return lines + _table("tag", [(name, scores, scores["support"]) for name, scores in classes])
