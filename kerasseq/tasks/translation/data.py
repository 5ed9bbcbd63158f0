"""Parallel sentences as ids, and as training batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kerasseq.config import Settings, setting
from kerasseq.data.batches import (
    SequenceBatches,
    TokenBatchSettings,
    lengths_of,
    pad,
    token_batches,
)
from kerasseq.tasks.translation.reading import Pair, ParallelCorpus
from kerasseq.data.splits import length_percentiles
from kerasseq.errors import UserError
from kerasseq.text.subwords import SubwordCodec
from kerasseq.text.vocabulary import BOS, EOS, UNK


@dataclass(frozen=True)
class PairTextSettings(Settings):
    """Sentences to ids, and which pairs training leaves out."""

    level: Literal["subword", "word"] = "subword"
    """What a token is: a part of a word that byte-pair encoding made, or a whole word or mark."""
    joint: bool = True
    """Whether both languages have one vocabulary."""
    vocabulary_size: int = setting(8_000, ge=5)
    """Most ids of a vocabulary, the 4 special ones included; built from the train split only."""
    min_count: int = setting(2, ge=1)
    """A token (of subwords: a character, and a pair to be merged) must occur this often in the
    train split to enter the vocabulary."""
    max_length: int = setting(100, ge=1)
    """Longest sentence, in tokens: longer pairs are left out of training, and a longer source is
    cut when it is translated."""
    max_words: int = setting(80, ge=1)
    """Training pairs with more words on a side are left out."""
    max_ratio: float = setting(4.0, ge=1)
    """Training pairs with so many times more words on one side than on the other are left out,
    unless the longer side has at most 7 or the script has no blanks."""


@dataclass(frozen=True)
class EncodedPairs:
    """A split.

    Attributes:
        pairs: as they were written.
        sources: ids of each source sentence and EOS, int32.
        targets: ids of each target sentence and EOS, int32.
    """

    pairs: list[Pair]
    sources: list[np.ndarray]
    targets: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class PairData:
    """Encoded splits with what is needed to encode more."""

    splits: dict[str, EncodedPairs]
    source_codec: SubwordCodec
    target_codec: SubwordCodec
    languages: tuple[str, str]
    report: dict[str, Any]
    """Where the data came from and what it holds, as the run folder's ``data.json``."""


def encode_sources(texts: Sequence[str], codec: SubwordCodec, longest: int) -> list[np.ndarray]:
    """Ids of source sentences, int32, cut to ``longest`` tokens and ended by EOS."""
    return [cut_source(np.append(ids, np.int32(EOS)), longest) for ids in codec.encode_all(texts)]


def cut_source(ids: np.ndarray, longest: int) -> np.ndarray:
    """A source that ends with EOS, with at most ``longest`` tokens before that."""
    return ids if len(ids) <= longest + 1 else np.append(ids[:longest], np.int32(EOS))


def encode_pairs(
    pairs: list[Pair], source_codec: SubwordCodec, target_codec: SubwordCodec
) -> EncodedPairs:
    """Encodes a split."""
    ended = [
        [np.append(ids, np.int32(EOS)) for ids in codec.encode_all(texts)]
        for codec, texts in (
            (source_codec, (pair.source for pair in pairs)),
            (target_codec, (pair.target for pair in pairs)),
        )
    ]
    return EncodedPairs(pairs, *ended)


def summary(split: EncodedPairs) -> dict[str, Any]:
    """What a split holds. Lengths count EOS."""
    lengths = lengths_of(split.targets)
    tokens = int(lengths.sum())
    unknown = sum(int(np.count_nonzero(ids == UNK)) for ids in split.targets)
    digest = hashlib.sha256()
    for pair in split.pairs:
        line = f"{pair.source}\t{pair.target}\n"
        digest.update(line.encode("utf-8", "surrogatepass"))
    return {
        "examples": len(split),
        "labels": {},
        "tokens": tokens,
        "source_tokens": int(lengths_of(split.sources).sum()),
        "unknown_share": round(unknown / max(1, tokens), 4),
        "length_percentiles": length_percentiles(lengths),
        "sha256": digest.hexdigest(),
    }


def encode_corpus(corpus: ParallelCorpus, settings: PairTextSettings) -> PairData:
    """Learns the vocabularies from the train split and encodes every split.

    Args:
        corpus: with the splits train, validation and test.
        settings: of the vocabularies.

    Raises:
        UserError: if no training pair is short enough.
    """
    train, notes = corpus.splits["train"], list(corpus.notes)
    sides = [pair.source for pair in train], [pair.target for pair in train]
    given = settings.level, settings.vocabulary_size, settings.min_count
    if settings.joint:
        source_codec = target_codec = SubwordCodec.learn([*sides[0], *sides[1]], *given)
    else:
        source_codec, target_codec = (SubwordCodec.learn(texts, *given) for texts in sides)
    splits = {
        name: encode_pairs(pairs, source_codec, target_codec)
        for name, pairs in corpus.splits.items()
    }
    splits["train"] = _short(splits["train"], settings.max_length)
    if not len(splits["train"]):
        raise UserError(
            f"{corpus.origin}: no training pair has at most {settings.max_length} tokens"
        )
    if left_out := len(train) - len(splits["train"]):
        notes.append(
            f"{left_out:,} training pairs left out with more than {settings.max_length} tokens"
        )
    sizes = len(source_codec.vocabulary), len(target_codec.vocabulary)
    report = {
        "source": corpus.origin,
        "languages": list(corpus.languages),
        "notes": notes,
        "vocabulary": sizes[1],
        "source_vocabulary": sizes[0],
        "splits": {name: summary(split) for name, split in splits.items()},
    }
    return PairData(splits, source_codec, target_codec, corpus.languages, report)


def _short(split: EncodedPairs, longest: int) -> EncodedPairs:
    """The pairs of at most so many tokens, EOS not counted."""
    parts = zip(split.pairs, split.sources, split.targets, strict=True)
    kept = [part for part in parts if max(len(part[1]), len(part[2])) <= longest + 1]
    return EncodedPairs(*map(list, zip(*kept, strict=True))) if kept else EncodedPairs([], [], [])


class PairBatches(SequenceBatches):
    """Training batches by a budget of tokens, the longer side of a pair counting.

    Args:
        split: the training data.
        settings: budget, pool and padding.
        seed: of the order.
    """

    def __init__(self, split: EncodedPairs, settings: TokenBatchSettings, seed: int):
        super().__init__(lengths_of(split.targets), seed)
        self._split, self._settings = split, settings
        self._longer = np.maximum(self._lengths, lengths_of(split.sources))

    def epoch(self, number: int) -> list[np.ndarray]:
        """The positions that make up each batch of an epoch."""
        return token_batches(self._longer, self._settings, self._seed, number)

    def fetch(self, item: np.ndarray) -> dict[str, np.ndarray]:
        """As :func:`batch_of`."""
        split = self._split
        return batch_of(
            [split.sources[i] for i in item],
            [split.targets[i] for i in item],
            self._settings.pad_to_multiple,
        )


def batch_of(
    sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], multiple: int = 1
) -> dict[str, np.ndarray]:
    """Right-padded pairs.

    Returns:
        ``source`` int32 ``[B, S]`` and ``source_lengths`` ``[B]``; ``inputs`` (BOS and all but the
        last of the target) and ``targets``, int32 ``[B, T]``, and ``weights`` float32 ``[B, T]``,
        0 at padding.
    """
    source, source_lengths = pad(sources, multiple)
    padded, lengths = pad(targets, multiple)
    valid = np.arange(padded.shape[1]) < lengths[:, None]
    begun = np.concatenate([np.full_like(padded[:, :1], BOS), padded[:, :-1]], 1)
    return {
        "source": source,
        "source_lengths": source_lengths,
        "inputs": np.where(valid, begun, 0).astype(np.int32),
        "targets": padded,
        "weights": valid.astype(np.float32),
    }
