"""A long text as training batches: parallel streams read piece by piece, or single lines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kerasseq.data.batches import BatchSettings, SequenceBatches, shuffled_batches
from kerasseq.tasks.language_model.settings import StreamSettings
from kerasseq.text.vocabulary import EOS, PAD


class Piece(NamedTuple):
    """What every stream reads in one batch.

    Attributes:
        start: steps that the streams have behind them.
        length: steps that they read.
        shift: the place of the text where the first stream begins.
        part: which of the batches of an update this is; each has its own streams.
    """

    start: int
    length: int
    shift: int = 0
    part: int = 0


class StreamBatches:
    """Parallel streams of a text, cut into pieces.

    Stream `b` of `B` holds tokens `[b N / B, (b + 1) N / B)`, counted from a place that the epoch
    draws ([Press, 2019](https://arxiv.org/abs/1903.04167), draws one for every stream). So lengths
    differ by at most one, and every token is a target exactly once an epoch. The token before a
    target is its input; EOS comes before the first.

    Args:
        ids: int32 `[N]`.
        settings: streams and their pieces.
        seed: of the lengths.
        parts: batches that read the same piece of other streams; there are so many times more of
            them, and the batches come one after the other.
    """

    def __init__(self, ids: np.ndarray, settings: StreamSettings, seed: int, parts: int = 1):
        self._settings, self._seed, self._parts = settings, seed, parts
        self._targets = ids
        self._inputs = inputs_of(ids)
        streams = settings.size * parts
        self._edges = np.arange(streams + 1) * len(ids) // streams
        self._longest = int(np.diff(self._edges).max())

    def epoch(self, number: int) -> list[Piece]:
        """The pieces of an epoch, in the order of the text."""
        random = np.random.default_rng([self._seed, number])
        shift = int(random.integers(len(self._targets))) if self._settings.rotate else 0
        pieces = []
        start = 0
        while start < self._longest:
            length = min(self._draw(random), self._longest - start)
            pieces += [Piece(start, length, shift, part) for part in range(self._parts)]
            start += length
        return pieces

    def _draw(self, random: np.random.Generator) -> int:
        """Steps of the next piece (Merity et al. 2018, section 5)."""
        usual = self._settings.length
        if not self._settings.vary_length:
            return usual
        mean = usual if random.random() < 0.95 else usual / 2
        return max(min(5, usual), round(random.normal(mean, self._settings.spread)))

    def fetch(self, item: Piece) -> dict[str, np.ndarray]:
        """``ids`` and ``targets`` int32 ``[B, T]``, ``weights`` float32 ``[B, T]`` (0 where a
        stream has ended), and of the batch ``fresh`` (whether its streams start here), bool
        ``[]``, and ``part``, int32 ``[]``."""
        lengths = np.minimum(item.length, self._left(item))
        positions = self.positions(item)
        return {
            **padded(self._inputs, self._targets, positions, lengths),
            "fresh": np.array(item.start == 0),
            "part": np.array(item.part, np.int32),
        }

    def _streams(self, item: Piece) -> slice:
        """Those that a batch reads."""
        size = self._settings.size
        return slice(item.part * size, (item.part + 1) * size)

    def _left(self, item: Piece) -> np.ndarray:
        """How much of each of them is left, ``[B]``."""
        return np.diff(self._edges)[self._streams(item)] - item.start

    def positions(self, item: Piece) -> np.ndarray:
        """Where each target of a batch stands in the text, int64 ``[B, T]``; also beyond the end
        of a stream, where the weight is 0."""
        begins = self._edges[:-1][self._streams(item)] + item.start + item.shift
        places = begins[:, None] + np.arange(item.length)
        return places % len(self._targets)

    def tokens(self, item: Piece) -> int:
        """Targets in a batch."""
        return int(np.clip(self._left(item), 0, item.length).sum())

    def learning_rate_scale(self, item: Piece) -> float:
        """A shorter piece gets a lower learning rate, in proportion."""
        return item.length / self._settings.length


class SentenceBatches(SequenceBatches):
    """Lines of a text, each on its own; pieces of the longest ones.

    Args:
        ids: int32 `[N]`, each line ended by EOS.
        settings: lines in a batch, and their greatest length.
        seed: of the order.
    """

    def __init__(self, ids: np.ndarray, settings: StreamSettings, seed: int):
        self._starts, lengths = sentences(ids, settings.length)
        super().__init__(lengths, seed)
        self._targets, self._inputs = ids, inputs_of(ids)
        self._batches = BatchSettings(size=settings.size)

    def epoch(self, number: int) -> list[np.ndarray]:
        """Lines of similar length together, in a random order."""
        return shuffled_batches(self._lengths, self._batches, self._seed, number)

    def fetch(self, item: np.ndarray) -> dict[str, np.ndarray]:
        """As :meth:`StreamBatches.fetch`."""
        lengths = self._lengths[item]
        positions = self._starts[item][:, None] + np.arange(lengths.max())
        return {
            **padded(self._inputs, self._targets, positions, lengths),
            "fresh": np.array(True),
            "part": np.array(0, np.int32),
        }


def inputs_of(ids: np.ndarray) -> np.ndarray:
    """The token before each token of a text, int32 `[N]`; EOS comes before the first."""
    return np.concatenate([[EOS], ids])[: len(ids)].astype(np.int32)


def sentences(ids: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each line begins, and its length with EOS; a longer line in pieces.

    Args:
        ids: int32 `[N]`.
        longest: greatest length.

    Returns:
        starts and lengths, int64, which together cover every token once.
    """
    ends = np.flatnonzero(ids == EOS) + 1
    if not len(ends) or ends[-1] < len(ids):
        ends = np.append(ends, len(ids))
    begins = np.concatenate([[0], ends[:-1]])
    pieces = -(-(ends - begins) // longest)
    line = np.repeat(np.arange(len(ends)), pieces)
    order = np.arange(len(line)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = begins[line] + order * longest
    return starts, np.minimum(ends[line] - starts, longest)


def padded(
    inputs: np.ndarray, targets: np.ndarray, positions: np.ndarray, lengths: np.ndarray
) -> dict[str, np.ndarray]:
    """Rows of a text, padded on the right: ``ids``, ``targets`` and ``weights``, `[B, T]`.

    Args:
        inputs, targets: of the text, int32 `[N]`.
        positions: int64 `[B, T]`.
        lengths: how many of each row count, `[B]`; the other weights are 0.
    """
    valid = np.arange(positions.shape[1]) < lengths[:, None]
    at = np.where(valid, positions, 0)
    return {
        "ids": np.where(valid, inputs[at], PAD).astype(np.int32),
        "targets": np.where(valid, targets[at], PAD).astype(np.int32),
        "weights": valid.astype(np.float32),
    }
