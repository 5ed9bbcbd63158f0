"""Pairs of sentences, and the languages that they are in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from kerasseq.data.blank import is_blank
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import Pair
from kerasseq.data.notes import Notes
from kerasseq.errors import UserError
from kerasseq.tasks.translation.cleaning import CLEANED

SEVERAL_SOURCES = "sentences of several sources: each source is a pair of its own"

SOURCES = ("src", "source", "quelle", "sentence1", "text1")
TARGETS = ("tgt", "trg", "target", "ziel", "sentence2", "text2")
"""Names of files and columns that say the direction, and no language."""

_WITH_LANGUAGE = re.compile(r"(.+):([a-zA-Z_-]+)")


class Named(NamedTuple):
    """What ``--source`` or ``--target`` says: a name, and the language that it stands for."""

    name: str
    language: str


def named(option: str) -> Named:
    """What an option says.

    >>> named("2:ja"), named("en")
    (Named(name='2', language='ja'), Named(name='en', language='en'))
    """
    match = _WITH_LANGUAGE.fullmatch(option)
    return Named(match[1], match[2]) if match else Named(option, option)


def speaks(found: str, asked: str) -> bool:
    """Whether a language is the one that is asked for; ``en-US`` is ``en`` too.

    >>> [speaks(*names) for names in (("en-US", "EN"), ("en_us", "en-US"), ("en", "en-US"))]
    [True, True, False]
    """
    one, other = (name.lower().replace("_", "-") for name in (found, asked))
    return one == other or one.startswith(other + "-")


def direction_of(names: Sequence[str]) -> tuple[str, str] | None:
    """The names that say which is source and which is target, if these do."""
    sources = [name for name in names if name.lower() in SOURCES]
    targets = [name for name in names if name.lower() in TARGETS]
    return (sources[0], targets[0]) if len(sources) == len(targets) == 1 else None


def check_differ(where: str, source: str, target: str) -> None:
    """Raises:
    UserError: if the languages are the same.
    """
    if source == target:
        raise UserError(f"{where}: {source} cannot be both --source and --target")


def turned(corpus: Corpus[Pair], source: str, target: str) -> Corpus[Pair]:
    """The corpus in the direction that is asked for; an empty language is whichever is left.

    Raises:
        UserError: if it is not in these languages.
    """
    for language in filter(None, (source, target)):
        if language not in corpus.languages:
            raise UserError(
                f"{corpus.source} has the languages {', '.join(corpus.languages)}, not {language}"
            )
    if source:
        check_differ(corpus.source, source, target)
    if corpus.languages[1] != source and corpus.languages[0] != target:
        return corpus
    splits = {
        name: [Pair(pair.target, pair.source, pair.group) for pair in pairs]
        for name, pairs in corpus.splits.items()
    }
    return replace(corpus, splits=splits, languages=corpus.languages[::-1])


def pair_of(source: str, target: str, split: str, where: tuple[str, str]) -> Pair:
    """A pair that is its own group, its sentences being made sure of where none may be left out.

    Args:
        source, target: the sentences.
        split: in which they are.
        where: names of their places, for messages.

    Raises:
        UserError: if a sentence of a validation or test split is empty.
    """
    for sentence, place in zip((source, target), where, strict=True):
        if split not in CLEANED and is_blank(sentence):
            raise UserError(
                f"{place}: an empty sentence in the {split} split, of which no pair is left out, "
                "since scores would not compare: mend it, or remove the pair"
            )
    return Pair(source, target, source)


def pairs_of(
    sources: Sequence[str],
    targets: Sequence[str],
    split: str,
    where: tuple[str, str],
    notes: Notes,
) -> Iterator[Pair]:
    """A pair for each source, with the first target and the others as further references.

    Args:
        sources, targets: of one meaning, at least one of each.
        split, where: as of :func:`pair_of`.
        notes: gets how many have several sources.

    Raises:
        UserError: as :func:`pair_of`.
    """
    if len(sources) > 1:
        notes.counts[SEVERAL_SOURCES] += 1
    for source in sources:
        for target in targets[1:]:
            pair_of(source, target, split, where)
        pair = pair_of(source, targets[0], split, where)
        yield pair._replace(group=sources[0], further=tuple(targets[1:]))
