"""Sequences of different lengths to right-padded batches of similar lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass

import numpy as np

from kerasseq.config import Settings, setting
from kerasseq.text.vocabulary import PAD


@dataclass(frozen=True)
class BatchSettings(Settings):
    """Batches: sequences of similar length, right-padded."""

    size: int = setting(64, ge=1)
    """Sequences in a training batch."""
    pool: int = setting(100, ge=1)
    """Batches' worth of shuffled sequences that are sorted by length together: more wastes less
    padding, fewer mixes lengths better."""
    pad_to_multiple: int = setting(1, ge=1)
    """Batch lengths are rounded up to a multiple of this, for kernels that like few shapes."""


@dataclass(frozen=True)
class TokenBatchSettings(Settings):
    """Batches of about equally many tokens, of sequences of similar length, right-padded."""

    tokens: int = setting(1500, ge=1)
    """Most positions in a training batch, padding counted; a longer sequence is a batch alone."""
    pool: int = setting(20_000, ge=1)
    """Shuffled sequences that are sorted by length together: more wastes less padding, fewer mixes
    lengths better."""
    pad_to_multiple: int = setting(4, ge=1)
    """Batch lengths are rounded up to a multiple of this, for kernels that like few shapes."""


def pad(sequences: Sequence[np.ndarray], multiple: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Right-pads sequences to the longest one.

    Args:
        sequences: id vectors, none of them empty.
        multiple: round the padded length up to a multiple of this.

    Returns:
        ids int32 ``[B, T]`` and lengths int32 ``[B]``.
    """
    lengths = lengths_of(sequences)
    width = _rounded_up(int(lengths.max()), multiple)
    ids = np.full((len(sequences), width), PAD, np.int32)
    for row, sequence in zip(ids, sequences, strict=True):
        row[: len(sequence)] = sequence
    return ids, lengths


def lengths_of(sequences: Iterable[Sized]) -> np.ndarray:
    """Lengths, int32 ``[N]``."""
    return np.array([len(sequence) for sequence in sequences], np.int32)


def shuffled_batches(
    lengths: np.ndarray, settings: BatchSettings, seed: int, epoch: int
) -> list[np.ndarray]:
    """One epoch's batches, as positions; a function of its arguments alone.

    That makes the position in an epoch the only state a resumed run needs.

    Args:
        lengths: of every sequence.
        settings: batch size and pool.
        seed: of the run.
        epoch: from 0; every epoch has another order.

    Returns:
        Arrays of positions; together they hold every position once.
    """

    def cut(chunk: np.ndarray) -> list[np.ndarray]:
        return _split(chunk[np.argsort(lengths[chunk], kind="stable")], settings.size)

    return _pooled(len(lengths), settings.size * settings.pool, cut, seed, epoch)


def token_batches(
    lengths: np.ndarray, settings: TokenBatchSettings, seed: int, epoch: int
) -> list[np.ndarray]:
    """One epoch's batches by a budget of tokens; like :func:`shuffled_batches` otherwise.

    How many sequences a batch has is 1, 2, 3, 4, 6, 8, 12, 16, ... (but for the last of a pool),
    since compiled kernels are compiled anew for every number.

    Args:
        lengths: of every sequence.
        settings: budget and pool.
        seed: of the run.
        epoch: from 0; every epoch has another order.

    Returns:
        Arrays of positions; together they hold every position once.
    """

    def cut(chunk: np.ndarray) -> list[np.ndarray]:
        return _by_budget(lengths, chunk, settings)

    return _pooled(len(lengths), settings.pool, cut, seed, epoch)


def _pooled(
    count: int, pool: int, cut: Callable[[np.ndarray], list[np.ndarray]], seed: int, epoch: int
) -> list[np.ndarray]:
    """Shuffles positions, cuts each pool of them into batches, and shuffles the batches."""
    random = np.random.default_rng([seed, epoch])
    batches = [batch for part in _split(random.permutation(count), pool) for batch in cut(part)]
    return [batches[i] for i in random.permutation(len(batches))]


def fixed_batches(lengths: np.ndarray, settings: TokenBatchSettings) -> list[np.ndarray]:
    """Batches by a budget of tokens, longest sequences first, for evaluation."""
    return _by_budget(lengths, np.arange(len(lengths)), settings)


def _by_budget(
    lengths: np.ndarray, chosen: np.ndarray, settings: TokenBatchSettings
) -> list[np.ndarray]:
    rest = chosen[np.argsort(-lengths[chosen], kind="stable")]
    batches = []
    while len(rest):
        width = _rounded_up(max(1, int(lengths[rest[0]])), settings.pad_to_multiple)
        size = _round_size(max(1, settings.tokens // width))
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


def _round_size(size: int) -> int:
    """The largest of 1, 2, 3, 4, 6, 8, 12, ... that is not above ``size``."""
    power = 1 << (size.bit_length() - 1)
    return power + power // 2 if power + power // 2 <= size else power


def _rounded_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def sorted_batches(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Batches by ascending length, for evaluation."""
    return _split(np.argsort(lengths, kind="stable"), size)


def _split(order: np.ndarray, size: int) -> list[np.ndarray]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def padding_waste(lengths: np.ndarray, batches: Sequence[np.ndarray], multiple: int) -> float:
    """Share of a set of batches' positions that is padding."""
    cells = sum(len(b) * _rounded_up(int(lengths[b].max()), multiple) for b in batches)
    return 1 - sum(int(lengths[b].sum()) for b in batches) / cells


def blocks(items: Iterator, size: int) -> Iterator[list]:
    """Cuts a stream into lists of at most ``size`` items."""
    block: list = []
    for item in items:
        block.append(item)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


class SequenceBatches:
    """What training batches of sequences have in common; a subclass cuts epochs and fetches.

    Args:
        lengths: of every sequence, int32 ``[N]``.
        seed: of the order.
    """

    def __init__(self, lengths: np.ndarray, seed: int):
        self._lengths, self._seed = lengths, seed

    def tokens(self, item: np.ndarray) -> int:
        """Tokens in a batch, padding not counted."""
        return int(self._lengths[item].sum())

    def learning_rate_scale(self, item: np.ndarray) -> float:
        """The same for all."""
        return 1.0
