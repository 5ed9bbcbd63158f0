"""Running text as one stream of ids for each split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from kerasseq.app.task import Data
from kerasseq.data.corpus import WHOLE, Corpus, length_percentiles
from kerasseq.data.cutting import by_position, cut_splits, whole_of
from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.tasks.language_model.settings import VocabularySettings
from kerasseq.text.codec import Codec, Units, count_tokens, guess_units
from kerasseq.text.vocabulary import EOS, SPECIAL_TOKENS, UNK, Vocabulary
from kerasseq.training.run_folder import RunFolder

ASSUMED_VOCABULARY = {"word": 10_000, "char": 100}
SAMPLES, SAMPLE = 24, 25
"""Pieces that are kept as samples, and tokens of each."""

RAW_MIN_COUNT = 5
_CHUNK = 1 << 22  # ids counted at once: bincount makes int64 of them


class Assets(NamedTuple):
    """What a language model needs beside its weights.

    Attributes:
        codec: text to ids and back.
        counts: training frequency of every id, int64 `[V]`.
    """

    codec: Codec
    counts: np.ndarray

    def save(self, run: RunFolder) -> None:
        """Writes them to a run folder."""
        self.codec.vocabulary.save(run / "vocabulary.txt")
        text = {"units": self.codec.units, "counts": self.counts.tolist()}
        write_json(run / "text.json", text)

    @classmethod
    def load(cls, run: RunFolder, settings: Any) -> Assets:
        """Reads what :meth:`save` wrote."""
        text, vocabulary = run.need_json("text.json"), Vocabulary.load(run / "vocabulary.txt")
        try:
            counts = np.array(text["counts"], np.int64).reshape(len(vocabulary))
            return cls(Codec(text["units"], vocabulary), counts)
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{run / 'text.json'} is damaged") from None

    @classmethod
    def assumed(cls, settings: Any) -> Assets:
        """Those of a usual vocabulary, where the settings do not say its size."""
        least = settings.model.clusters()[-1] + 1 if settings.model.softmax == "adaptive" else 0
        assumed = ASSUMED_VOCABULARY[settings.text.level]
        size = settings.text.vocabulary_size or max(assumed, least)
        return cls(Codec("words", Vocabulary.assumed(size)), np.ones(size, np.int64))


TextData = Data[np.ndarray, Assets]
"""Each split is its ids, int32 ``[T]``; every line end is EOS."""


def cut_corpus(
    corpus: Corpus[str], validation: float, test: float, unit: Literal["lines", "characters"]
) -> Corpus[str]:
    """Completes a corpus to train, validation and, if there is one, test.

    One text is cut by position: its end is the test split, what stands before that validation,
    and the rest train. Splits that the source has stay what they are, but validation is cut from
    the end of train if it is missing.

    Args:
        corpus: with the splits its source has, as lines.
        validation: share of the validation split.
        test: share of the test split, of one text; with 0 there is none.
        unit: see :func:`kerasseq.data.cutting.by_position`.

    Raises:
        UserError: if nothing is left for a split.
    """
    whole = whole_of(corpus)
    shares = {"validation": validation}
    if whole == WHOLE and test:
        shares["test"] = test
    missing = {name: share for name, share in shares.items() if name not in corpus.splits}
    try:
        cut = cut_splits(corpus, by_position(shares, unit), "text", wanted=tuple(shares))
        for part, lines in cut.splits.items():
            if all(line.isspace() for line in lines):
                raise UserError(f"{corpus.source}: no text is left for the {part} split")
    except UserError as error:
        length = sum(map(len, corpus.splits.get(whole, ())))
        raise UserError(
            f"{error} ({length:,} characters, validation {validation:g}, test {test:g})"
        ) from None
    notes = list(cut.notes)
    if missing:
        name = "the text" if whole == WHOLE else whole
        cuts = ", ".join(f"{share:.3g} {part}" for part, share in missing.items())
        notes.append(f"cut from the end of {name}, by position: {cuts} (shares of its characters)")
    if "test" not in cut.splits:
        notes.append("there is no test split")
    return replace(cut, notes=notes)


def encode_split(lines: Iterable[str], codec: Codec) -> tuple[np.ndarray, dict[str, Any]]:
    """Encodes a split and says what it holds.

    At word level its last line is ended, whether or not the text ends it.

    Returns:
        Ids, int32 ``[T]``, and the summary. Tokens and lengths of lines count EOS.
    """
    text = "".join(lines)
    ids = codec.encode(text)
    if codec.units != "characters" and not text.endswith("\n"):
        ids = np.append(ids, np.int32(EOS))
    ends = np.flatnonzero(ids == EOS) + 1
    if not len(ends) or ends[-1] < len(ids):
        ends = np.append(ends, len(ids))
    unknown = int(np.count_nonzero(ids == UNK))
    return ids, {
        "examples": len(ends),
        "labels": {},
        "tokens": len(ids),
        "characters": len(text),
        "unknown": unknown,
        "unknown_share": round(unknown / max(1, len(ids)), 4),
        "length_percentiles": length_percentiles(np.diff(ends, prepend=0)),
        "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    }


def check_length(ids: np.ndarray, source: str, split: str) -> None:
    """Raises:
    UserError: if a split has fewer than two tokens, line ends not counted.
    """
    if np.count_nonzero(ids != EOS) < 2:
        raise UserError(f"{source}: the {split} split has fewer than two tokens")


def encode_corpus(
    corpus: Corpus[str], settings: VocabularySettings, assets: Assets | None = None
) -> TextData:
    """Builds the vocabulary from the train split and encodes every split.

    Args:
        corpus: with the split train, and maybe others.
        settings: of the vocabulary.
        assets: whose vocabulary is taken, if there is one already.

    Raises:
        UserError: if a split has fewer than two tokens, or train fewer types than the vocabulary
            is to have.
    """
    codec = assets.codec if assets else _learned(corpus, settings)
    splits, reports = {}, {}
    for name, lines in corpus.splits.items():
        splits[name], reports[name] = encode_split(lines, codec)
        check_length(splits[name], corpus.source, name)
    counts = _counts(splits["train"], len(codec.vocabulary))
    report = {
        "source": corpus.source,
        "notes": list(corpus.notes),
        "level": settings.level,
        "units": codec.units,
        "vocabulary": len(codec.vocabulary),
        "types": int(np.count_nonzero(counts)),
        "splits": reports,
    }
    return Data(splits, Assets(codec, counts), report, _samples(splits.get("validation"), codec))


def _learned(corpus: Corpus[str], settings: VocabularySettings) -> Codec:
    """The codec of the train split."""
    train = "".join(corpus.splits["train"])
    units: Units = "characters"
    if settings.level == "word":
        units = guess_units(train) if settings.tokenizer == "auto" else settings.tokenizer
    return Codec(units, _vocabulary(train, units, corpus.source, settings))


def _samples(ids: np.ndarray | None, codec: Codec) -> list[str]:
    """Some pieces of a split, evenly spaced."""
    if ids is None:
        return []
    starts = np.linspace(0, max(0, len(ids) - SAMPLE), SAMPLES).astype(int)
    return [codec.decode(ids[start : start + SAMPLE]) for start in starts]


def encode_test(corpus: Corpus[str], split: str, assets: Assets) -> TextData:
    """Encodes a split of other data for a trained model, as ``test``.

    Raises:
        UserError: if it has fewer than two tokens.
    """
    ids, summary = encode_split(corpus.splits[split], assets.codec)
    check_length(ids, corpus.source, split)
    report = {
        "source": corpus.source,
        "notes": list(corpus.notes),
        "vocabulary": len(assets.codec.vocabulary),
        "splits": {"test": summary},
    }
    return Data({"test": ids}, assets, report)


def _counts(ids: np.ndarray, size: int) -> np.ndarray:
    """How often each id occurs, int64 ``[size]``."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(ids), _CHUNK):
        counts += np.bincount(ids[start : start + _CHUNK], minlength=size)
    return counts


def _vocabulary(text: str, units: Units, source: str, settings: VocabularySettings) -> Vocabulary:
    counts = count_tokens(text, units)
    if sum(counts.values()) < 2:
        raise UserError(f"{source}: the train split has fewer than two tokens")
    size = settings.vocabulary_size
    # without unknown words in training there is nothing to learn about them
    least = settings.min_count or (RAW_MIN_COUNT if units == "words" and not size else 1)
    vocabulary = Vocabulary.from_counts(counts, size or len(SPECIAL_TOKENS) + len(counts), least)
    types = len(vocabulary) - len(SPECIAL_TOKENS)
    often = f" (min_count is {least})" if least > 1 else ""
    if len(vocabulary) < size:
        raise UserError(
            f"{source}: vocabulary_size {size:,} is more than the text can fill: its train split "
            f"has {types:,} types{often}, which are {len(vocabulary):,} ids with the special ones "
            "(0 takes them all)"
        )
    if not types:
        raise UserError(
            f"{source}: no token of the train split occurs {least} times, as "
            f"{'text.min_count' if settings.min_count else 'a vocabulary of raw words'} asks for; "
            "give a lower --text.min_count"
        )
    return vocabulary
