"""Parallel sentences as ids, and as training batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kerasseq.app.task import Data
from kerasseq.data.batches import (
    SequenceBatches,
    TokenBatchSettings,
    lengths_of,
    pad,
    token_batches,
)
from kerasseq.data.corpus import Corpus, length_percentiles
from kerasseq.data.examples import Pair
from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.tasks.translation.settings import PairTextSettings
from kerasseq.text.subwords import SubwordCodec
from kerasseq.text.vocabulary import BOS, EOS, UNK, Vocabulary
from kerasseq.training.run_folder import RunFolder

SAMPLES = 32


@dataclass(frozen=True)
class EncodedPairs:
    """A split.

    Attributes:
        pairs: as they were written.
        sources: ids of each source sentence and EOS, int32.
        targets: ids of each target sentence and EOS, int32.
    """

    pairs: Sequence[Pair]
    sources: list[np.ndarray]
    targets: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.pairs)


class Assets(NamedTuple):
    """What a translation model needs beside its weights."""

    source_codec: SubwordCodec
    target_codec: SubwordCodec
    languages: tuple[str, str]

    def save(self, run: RunFolder) -> None:
        """Writes them to a run folder."""
        self.source_codec.save(run / "source.json")
        self.target_codec.save(run / "target.json")
        write_json(run / "languages.json", list(self.languages))

    @classmethod
    def load(cls, run: RunFolder, settings: Any) -> Assets:
        """Reads what :meth:`save` wrote."""
        source, target = run.need_json("languages.json")
        return cls(
            SubwordCodec.load(run / "source.json"),
            SubwordCodec.load(run / "target.json"),
            (source, target),
        )

    @classmethod
    def assumed(cls, settings: Any) -> Assets:
        """Those of a full vocabulary, shared by two languages."""
        codec = SubwordCodec("word", Vocabulary.assumed(settings.text.vocabulary_size))
        return cls(codec, codec, ("source", "target"))


PairData = Data[EncodedPairs, Assets]


def encode_sources(texts: Sequence[str], codec: SubwordCodec, longest: int) -> list[np.ndarray]:
    """Ids of source sentences, int32, cut to ``longest`` tokens and ended by EOS."""
    return [cut_source(np.append(ids, np.int32(EOS)), longest) for ids in codec.encode_all(texts)]


def cut_source(ids: np.ndarray, longest: int) -> np.ndarray:
    """A source that ends with EOS, with at most ``longest`` tokens before that."""
    return ids if len(ids) <= longest + 1 else np.append(ids[:longest], np.int32(EOS))


def encode_pairs(
    pairs: Sequence[Pair], source_codec: SubwordCodec, target_codec: SubwordCodec
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
        line = "\t".join((pair.source, *pair.references)) + "\n"
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


def encode_corpus(
    corpus: Corpus[Pair], settings: PairTextSettings, assets: Assets | None = None
) -> PairData:
    """Learns the vocabularies from the train split and encodes every split.

    Args:
        corpus: with the splits train, validation and test.
        settings: of the vocabularies.
        assets: whose vocabularies are taken, if there are some already.

    Raises:
        UserError: if no training pair is short enough.
    """
    train, notes = corpus.splits["train"], list(corpus.notes)
    assets = assets or _learned(corpus, settings)
    source_codec, target_codec, _ = assets
    splits = {
        name: encode_pairs(pairs, source_codec, target_codec)
        for name, pairs in corpus.splits.items()
    }
    splits["train"] = _short(splits["train"], settings.max_length)
    if not len(splits["train"]):
        raise UserError(
            f"{corpus.source}: no training pair has at most {settings.max_length} tokens"
        )
    if left_out := len(train) - len(splits["train"]):
        notes.append(
            f"{left_out:,} training pairs left out with more than {settings.max_length} tokens"
        )
    report = {
        "source": corpus.source,
        "languages": list(corpus.languages),
        "notes": notes,
        "vocabulary": len(target_codec.vocabulary),
        "source_vocabulary": len(source_codec.vocabulary),
        "splits": {name: summary(split) for name, split in splits.items()},
    }
    samples = [pair.source for pair in corpus.splits["validation"][:SAMPLES]]
    return Data(splits, assets, report, samples)


def _learned(corpus: Corpus[Pair], settings: PairTextSettings) -> Assets:
    """The vocabularies of the train split."""
    train = corpus.splits["train"]
    sides = [pair.source for pair in train], [pair.target for pair in train]
    given = settings.level, settings.vocabulary_size, settings.min_count
    if settings.joint:
        source_codec = target_codec = SubwordCodec.learn([*sides[0], *sides[1]], *given)
    else:
        source_codec, target_codec = (SubwordCodec.learn(texts, *given) for texts in sides)
    return Assets(source_codec, target_codec, corpus.languages)


def encode_test(corpus: Corpus[Pair], split: str, assets: Assets) -> PairData:
    """Encodes a split of other data for a trained model, as ``test``."""
    part = encode_pairs(corpus.splits[split], assets.source_codec, assets.target_codec)
    report = {
        "source": corpus.source,
        "notes": list(corpus.notes),
        "vocabulary": len(assets.target_codec.vocabulary),
        "splits": {split: summary(part)},
    }
    return Data({"test": part}, assets, report)


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
