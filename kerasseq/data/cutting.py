"""How a corpus is cut into train, validation and test: one way to do it, and the rules for it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np

from kerasseq.data.corpus import WHOLE, Corpus, ordered, shared_notes
from kerasseq.errors import UserError

E = TypeVar("E")

_LONG = 1000
"""Characters of a line that is more than one sentence."""

ADVICE = "held_out is its share, or give a file for it"
"""Where a split would be empty."""

Rule = Callable[[Sequence[E], Sequence[str], list[str]], Mapping[str, Sequence[E]]]
"""Takes the examples that are cut, the names of the splits that are missing, and the notes, to
which it adds what it leaves out; gives the examples of each of these splits, and of ``train``."""


def cut_splits(
    corpus: Corpus[E],
    rule: Rule[E],
    unit: str,
    shared: tuple[str, Callable[[E], Hashable]] | None = None,
    wanted: Sequence[str] = ("validation", "test"),
    advice: str = "",
) -> Corpus[E]:
    """Completes a corpus by cutting what it lacks from ``all`` or ``train``.

    A split that the source has stays what it is.

    Args:
        corpus: with the splits its source has.
        rule: that cuts.
        unit: what an example is called.
        shared: what two splits may have in common, in the plural, and that of an example; how
            many are, is noted.
        wanted: splits that the corpus is to have beside train.
        advice: what to do if a split would be empty.

    Raises:
        UserError: if a split would be empty.
    """
    splits, notes = dict(corpus.splits), list(corpus.notes)
    whole = splits.pop(whole_of(corpus), [])
    parts = rule(whole, [name for name in wanted if name not in splits], notes)
    complete = ordered({**splits, **parts})
    for name, part in complete.items():
        if not part:
            raise UserError(
                f"{corpus.source}: no {unit} is left for the {name} split{advice and f': {advice}'}"
            )
    if shared:
        units, content = shared
        contents = {name: set(map(content, part)) for name, part in complete.items()}
        notes += shared_notes(contents, units)
    return replace(corpus, splits=complete, notes=notes)


def limited(corpus: Corpus[E], count: int, seed: int, running: bool) -> Corpus[E]:
    """A corpus with few examples, to try something out.

    Args:
        corpus: with the splits its source has.
        count: examples of each split, at most; with 0 the corpus stays as it is.
        seed: of the draw; what is drawn keeps its order.
        running: whether the examples follow each other, as the lines of a text do: then the first
            ones are taken.
    """
    splits, notes = {}, []
    for name, examples in corpus.splits.items():
        splits[name] = examples
        if count and len(examples) > count:
            drawn = sorted(np.random.default_rng(seed).permutation(len(examples))[:count])
            splits[name] = examples[:count] if running else [examples[i] for i in drawn]
            how = "the first" if running else "drawn by seed"
            notes.append(f"limit: {count:,} of {len(examples):,} examples of {name}, {how}")
    return replace(corpus, splits=splits, notes=[*notes, *corpus.notes])


def folds(
    corpus: Corpus[E],
    cut: Callable[[Corpus[E], float], Corpus[E]],
    count: int,
    label: Callable[[E], Hashable] | None = None,
) -> list[Corpus[E]]:
    """Corpora for cross-validation: each has another part of train and validation as validation,
    and the rest as train. The test split is the same in all of them.

    Args:
        corpus: complete.
        cut: completes a corpus that lacks validation, of which it is to have a share.
        count: of the parts.
        label: of an example, if each that is validated must occur in train: those that are in one
            part alone stay in train.

    Raises:
        UserError: if a part would be empty.
    """
    kept = {name: part for name, part in corpus.splits.items() if name == "test"}
    rest: Sequence[E] = [*corpus.splits["train"], *corpus.splits["validation"]]
    parts: list[Sequence[E]] = []
    for left in range(count, 1, -1):
        splits = cut(replace(corpus, splits={"train": rest, **kept}, notes=[]), 1 / left).splits
        rest = splits["train"]
        parts.insert(0, splits["validation"])  # a running text is cut at its end
    parts.insert(0, rest)
    found = []
    for number, part in enumerate(parts):
        train = [example for other in parts if other is not part for example in other]
        notes = [f"fold {number + 1} of {count} is validation, of train and validation together"]
        if label:
            known = set(map(label, train))
            rare = [example for example in part if label(example) not in known]
            if rare:
                train, part = train + rare, [one for one in part if label(one) in known]
                notes.append(f"{len(rare):,} examples of labels in no other fold stay in train")
        splits = ordered({"train": train, "validation": part, **kept})
        found.append(replace(corpus, splits=splits, notes=[*corpus.notes, *notes]))
    return found


def whole_of(corpus: Corpus) -> str:
    """The name of the split that others are cut from."""
    return WHOLE if WHOLE in corpus.splits else "train"


def stratified(fraction: float, seed: int, label: Callable[[E], str]) -> Rule[E]:
    """Parts with the same balance of labels, shuffled by ``seed``.

    Each label keeps at least one example in train. A label that is too rare to give a part one by
    itself gives some parts none, so that all rare labels together have their share there.

    Args:
        fraction: of the examples for each missing split.
        seed: of the shuffle.
        label: of an example.
    """

    def rule(examples: Sequence[E], missing: Sequence[str], notes: list[str]) -> dict[str, list[E]]:
        random = np.random.default_rng(seed)
        names = [*missing, "train"]
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        places: defaultdict[str, list[int]] = defaultdict(list)
        for position, example in enumerate(examples):
            places[label(example)].append(position)
        shares, carried = np.cumsum([fraction] * len(missing)), np.full(len(missing), 0.5)
        for one in sorted(places):
            members = random.permutation(np.array(places[one]))
            cuts = np.round(shares * len(members)).astype(int)
            if len(missing) and np.diff(cuts, prepend=0, append=len(members)).min() < 1:
                cuts, carried = _rare(fraction * len(members), len(members), carried)
            for name, positions in zip(names, np.split(members, cuts), strict=True):
                parts[name].append(positions)
        return {
            name: [examples[i] for i in random.permutation(np.concatenate(positions))]
            for name, positions in parts.items()
        }

    return rule


def _rare(exact: float, count: int, carried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cuts of a label that is too rare for its share of each part.

    Args:
        exact: examples that each part would get, a fraction.
        count: of the label.
        carried: what the rare labels before it owe each part.

    Returns:
        The cuts, and what is owed now.
    """
    owed, left, taken = carried + exact, count - 1, []
    for part in range(len(owed)):
        most = min(int(owed[part]), left)
        taken.append(most)
        left -= most
    return np.cumsum(taken), owed - taken


def at_random(fraction: float, seed: int) -> Rule[E]:
    """Parts drawn by ``seed``, each in the order of the source.

    Args:
        fraction: of the examples for each missing split.
        seed: of the draw.
    """

    def rule(
        examples: Sequence[E], missing: Sequence[str], notes: list[str]
    ) -> dict[str, Sequence[E]]:
        if not missing:
            return {"train": examples}
        order = np.random.default_rng(seed).permutation(len(examples))
        cuts = np.round(np.cumsum([fraction] * len(missing)) * len(examples)).astype(int)
        return {
            name: [examples[i] for i in sorted(positions)]
            for name, positions in zip([*missing, "train"], np.split(order, cuts), strict=True)
        }

    return rule


def by_group(fraction: float, seed: int, group: Callable[[E], Hashable]) -> Rule[E]:
    """Parts of whole groups, drawn by ``seed``, each in the order of the source.

    Args:
        fraction: of the examples for each missing split, as near as whole groups come to it.
        seed: of the draw.
        group: of an example.
    """

    def rule(examples: Sequence[E], missing: Sequence[str], notes: list[str]) -> dict[str, list[E]]:
        sizes = Counter(map(group, examples))
        groups = list(sizes)
        order = np.random.default_rng(seed).permutation(len(groups))
        counts = np.array([sizes[groups[i]] for i in order])
        middles = np.cumsum(counts) - counts / 2  # so a cut is at the nearest end of a group
        shares = np.cumsum([fraction] * len(missing))
        cuts = np.searchsorted(middles, shares * len(examples))
        names = [*missing, "train"]
        part_of = {
            groups[i]: name
            for name, positions in zip(names, np.split(order, cuts), strict=True)
            for i in positions
        }
        parts: dict[str, list[E]] = {name: [] for name in names}
        for example in examples:
            parts[part_of[group(example)]].append(example)
        return parts

    return rule


def by_position(shares: Mapping[str, float], unit: Literal["lines", "characters"]) -> Rule[str]:
    """Parts of a running text, given as lines with their ends: what is cut is the end of it.

    The last missing split is the end, the one before it what stands before that. A split begins at
    ``int(n * (1 - shares))`` of the text's ``n`` characters.

    Args:
        shares: of the text's characters, for each split that may be missing.
        unit: ``characters`` cuts exactly there; ``lines`` after the next line end, or after the
            next blank, if the text is one line; a long line that would take more than half of the
            split is cut at a blank too, which is noted.

    Raises:
        UserError: if a long line has no blank.
    """

    def rule(
        lines: Sequence[str], missing: Sequence[str], notes: list[str]
    ) -> dict[str, Sequence[str]]:
        parts: dict[str, Sequence[str]] = {}
        length, kept, one = sum(map(len, lines)), 1.0, len(lines) == 1
        for name in reversed(missing):
            kept -= shares[name]
            number, inside = _place(lines, max(0, int(length * kept)))
            if unit == "lines" and inside:
                inside = _end(lines, number, inside, length * shares[name] / 2, one, notes)
            lines, parts[name] = _cut_at(lines, number, inside)
        return {**parts, "train": lines}

    return rule


def _place(lines: Sequence[str], at: int) -> tuple[int, int]:
    """The line that holds a position of a text, and the position in it."""
    ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
    number = int(np.searchsorted(ends, at, side="right"))
    return number, (at - int(ends[number]) + len(lines[number]) if number < len(lines) else 0)


def _end(
    lines: Sequence[str], number: int, inside: int, near: float, one: bool, notes: list[str]
) -> int:
    """Where a line is cut that would be cut inside: at its end, or after the first blank from there
    if the end is far.

    Args:
        lines: of a text, with their ends.
        number, inside: the line, and the position in it.
        near: characters to a line end that is near enough.
        one: whether the whole text is one line.
        notes: gets that a line is cut.

    Raises:
        UserError: if there is no blank, either.
    """
    line = lines[number]
    end, long = len(line), len(line) > _LONG
    if not one and not (long and (end - inside > near or number + 1 == len(lines))):
        return end
    blank = re.compile(r"\s").search(line, inside - 1)
    if not long:
        return blank.end() if blank else end
    if not blank or blank.end() == end:
        raise UserError(
            f"line {number + 1:,} has {len(line):,} characters and no blank to cut it at: "
            "--text.level char reads characters"
        )
    notes.append(f"line {number + 1:,} has {len(line):,} characters, and is cut at a blank")
    return blank.end()


def _cut_at(lines: Sequence[str], number: int, inside: int) -> tuple[Sequence[str], Sequence[str]]:
    """Lines before and after a position in one of them."""
    if number == len(lines):
        return lines, []
    head, tail = lines[number][:inside], lines[number][inside:]
    before, after = lines[:number], lines[number + 1 :]
    return [*before, *([head] if head else [])], [*([tail] if tail else []), *after]
