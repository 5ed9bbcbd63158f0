"""Parallel sentences, cleaned of what teaches nothing, and cut without an overlap."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kerasseq.data.blank import is_blank
from kerasseq.data.corpus import WHOLE, Corpus
from kerasseq.data.cutting import ADVICE, Rule, by_group, cut_splits, whole_of
from kerasseq.data.examples import Pair
from kerasseq.errors import UserError

CLEANED = (WHOLE, "train")
"""Splits that pairs may be left out of."""

_ANY_RATIO = 7
"""Up to so many words, idioms rule: ``Get lost!`` is ``Va voir ailleurs si j'y suis !``."""
# Thai, Lao, Tibetan, Burmese, Khmer; kana; Han
_WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def clean(corpus: Corpus[Pair], max_words: int, max_ratio: float) -> Corpus[Pair]:
    """The corpus with tidy white space, and without the training pairs that teach nothing.

    White space (no-break blanks too) becomes one blank, and goes at both ends, in every split. From
    ``train`` or ``all`` these pairs are left out, counted by the first reason that holds; each
    reference makes a pair here:

    - a side is empty, or has only characters that nobody sees;
    - a side has more than ``max_words`` words;
    - one side has more than ``max_ratio`` times the words of the other. This asks for more than 7
      words on the longer side, as short sentences are translated freely, and is not asked of pairs
      with a letter of a script without blanks (Chinese, Japanese, Thai, Lao, Burmese, Khmer);
    - the same pair came before.

    Words are what stands between blanks.

    Args:
        corpus: as it was read.
        max_words: of either side.
        max_ratio: of the words of the two sides.

    Raises:
        UserError: if nothing is left.
    """
    splits, notes = {}, list(corpus.notes)
    for name, part in corpus.splits.items():
        tidy = list(map(_tidy, part))
        if name in CLEANED:
            tidy, left_out = _cleaned(tidy, max_words, max_ratio)
            reasons = [
                f"{count:,} pairs left out: {why}" for why, count in left_out.items() if count
            ]
            if not tidy:
                raise UserError(
                    f"{corpus.source}: nothing is left after cleaning ({'; '.join(reasons)})"
                )
            notes += reasons
        splits[name] = tidy
    return replace(corpus, splits=splits, notes=notes)


def _tidy(pair: Pair) -> Pair:
    """The pair with tidy white space; what is blank is empty."""
    source, target, group = map(_tidy_text, pair[:3])
    return Pair(source, target, group, tuple(map(_tidy_text, pair.further)))


def _tidy_text(text: str) -> str:
    return "" if is_blank(text) else " ".join(text.split())


def _cleaned(
    pairs: Sequence[Pair], max_words: int, max_ratio: float
) -> tuple[list[Pair], dict[str, int]]:
    """The pairs that are kept, and how many are not, by reason."""
    empty, again = "a side is empty", "repeats of another"
    long = f"more than {max_words:,} words on a side"
    uneven = f"more than {max_ratio:g} times the words of the other side"
    left_out = dict.fromkeys((empty, long, uneven, again), 0)
    seen: set[tuple[str, str]] = set()
    kept = []
    for pair in pairs:
        references = []
        for target in pair.references:
            key = pair.source, target
            shorter, longer = sorted(len(text.split()) for text in key)
            if not shorter:
                left_out[empty] += 1
            elif longer > max_words:
                left_out[long] += 1
            elif (
                longer > max(_ANY_RATIO, max_ratio * shorter)
                and not _WITHOUT_BLANKS.search(pair.source)
                and not _WITHOUT_BLANKS.search(target)
            ):
                left_out[uneven] += 1
            elif key in seen:
                left_out[again] += 1
            else:
                seen.add(key)
                references.append(target)
        if references:
            kept.append(Pair(pair.source, references[0], pair.group, tuple(references[1:])))
    return kept, left_out


def cut_corpus(corpus: Corpus[Pair], fraction: float, seed: int) -> Corpus[Pair]:
    """Completes a corpus to train, validation and test, by whole groups.

    A split that the source has stays what it is, but for the one that is cut. What is cut shares no
    sentence with another split: where a source or a target sentence is in two of them, its pairs
    stay in the one that the source has, or else in test before validation before train.

    The references of a sentence stay together in validation and test, where all of them count. In
    train each is a pair of its own, as a model learns one target at a time.

    Args:
        corpus: with the splits its source has.
        fraction: share of the pairs for the validation split, and for the test split where there
            is none, as near as whole groups come to it.
        seed: of the cut.

    Raises:
        UserError: if a split would be empty.
    """
    groups: Rule[Pair] = by_group(fraction, seed, lambda pair: pair.group)
    given = [part for name, part in corpus.splits.items() if name != whole_of(corpus)]

    def rule(
        pairs: Sequence[Pair], missing: Sequence[str], notes: list[str]
    ) -> Mapping[str, Sequence[Pair]]:
        parts = groups(pairs, missing, notes)
        return _apart(parts, itertools.chain(*given), notes) if missing else parts

    shared = "source sentences", lambda pair: pair.source
    return _one_target_each(cut_splits(corpus, rule, "pair", shared, advice=ADVICE))


def _one_target_each(corpus: Corpus[Pair]) -> Corpus[Pair]:
    """The corpus with a pair for each reference of the train split."""
    train = corpus.splits["train"]
    further = sum(len(pair.further) for pair in train)
    if not further:
        return corpus
    pairs = [Pair(pair.source, target, pair.group) for pair in train for target in pair.references]
    note = f"{further:,} further references in train: each is a pair of its own"
    return replace(corpus, splits={**corpus.splits, "train": pairs}, notes=[*corpus.notes, note])


def _apart(
    parts: Mapping[str, Sequence[Pair]], given: Iterable[Pair], notes: list[str]
) -> dict[str, list[Pair]]:
    """The parts without the pairs that have a sentence of another split; notes how many go."""
    taken = set(itertools.chain.from_iterable(map(_sides, given)))
    kept: dict[str, list[Pair]] = {}
    for name in ("test", "validation", "train"):
        if name not in parts:
            continue
        kept[name] = [pair for pair in parts[name] if taken.isdisjoint(_sides(pair))]
        if len(kept[name]) < len(parts[name]):
            notes.append(
                f"{len(parts[name]) - len(kept[name]):,} pairs of {name} left out after the cut: "
                "their source or target sentence is in another split"
            )
        taken.update(itertools.chain.from_iterable(map(_sides, kept[name])))
    return kept


def _sides(pair: Pair) -> list[tuple[int, str]]:
    """Its sentences, which are no match for the same text on the other side."""
    return [(0, pair.source), *((1, target) for target in pair.references)]
