"""Frequent n-grams of a sequence as one vector."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasseq.layers._checks import check_choice, check_mask, check_positive, check_rank
from kerasseq.layers._packing import Packing
from kerasseq.layers._sequence_layer import SequenceLayer

# FNV-1a: the same 32-bit arithmetic in NumPy and in the graph.
_OFFSET, _PRIME = 2166136261, 16777619
_NO_KEY = np.iinfo(np.int32).max

_BLOCK = 1_000_000
"""N-grams that are counted at a time."""
_KEPT = 4
"""Counts that are kept, as a multiple of the n-grams that are wanted; beyond it the rarest go."""


@keras.saving.register_keras_serializable(package="kerasseq")
class BagOfNgrams(SequenceLayer):
    """Sum of the vectors of the n-grams that occur, each once: `y = sum_g E[g] / sqrt(|g|)`.

    The n-grams are those of 1 to `longest` ids that are frequent in the data given to `adapt`;
    others are passed over, since an n-gram of one document only helps to memorise it. Word pairs
    carry much of what a short-sighted classifier needs ("not good"), so this is the wide half of a
    wide and deep model ([Cheng et al., 2016](https://arxiv.org/abs/1606.07792)), with the n-grams
    of [Wang & Manning, 2012](https://aclanthology.org/P12-2018/) and the averaged embeddings of
    [Joulin et al., 2017](https://aclanthology.org/E17-2068/).

    N-grams are known by a 31-bit hash, so about one in `2**31 / rows` unknown n-grams is taken for
    a known one.

    Args:
        rows: most n-grams known.
        size: size of an n-gram's vector.
        longest: longest n-gram, in ids.
        embeddings_initializer: of the vectors.

    Call arguments:
        ids: integers `[batch, time]`.
        mask: bool `[batch, time]`; `None` means that all steps are valid.

    Output shape: `[batch, size]`.

    Masking: n-grams that reach into the padding do not count; a row without any known n-gram
    gives zeros.

    Example:

    >>> import numpy as np
    >>> layer = BagOfNgrams(rows=10, size=4, longest=2)
    >>> layer.adapt([[5, 6, 7], [5, 6], [7, 5]], min_documents=2)  # 5, 6, 7 and (5, 6)
    4
    >>> tuple(layer(np.array([[5, 6, 8]])).shape)
    (1, 4)
    """

    output_has_steps = False

    def __init__(
        self,
        rows: int,
        size: int,
        longest: int = 3,
        embeddings_initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_positive("BagOfNgrams", "rows", rows)
        check_positive("BagOfNgrams", "size", size)
        check_choice("BagOfNgrams", "longest", longest, tuple(range(1, 9)))
        self.rows = rows
        self.size = size
        self.longest = longest
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.keys = self.add_weight(
            shape=(rows,),
            dtype="int32",
            initializer=keras.initializers.Constant(_NO_KEY),
            trainable=False,
            autocast=False,
            name="keys",
        )
        self.embeddings = self.add_weight(
            shape=(rows, size), initializer=self.embeddings_initializer, name="embeddings"
        )
        self.built = True

    def adapt(
        self, sequences: Iterable[Any], min_documents: int = 3, unknown: int | None = None
    ) -> int:
        """Learns which n-grams are known: the most widespread ones.

        Args:
            sequences: id vectors.
            min_documents: an n-gram must occur in this many sequences.
            unknown: an n-gram that holds this id is not known, since it may be anything.

        Returns:
            How many n-grams are known.
        """
        self.know(frequent_ngrams(sequences, self.longest, self.rows, min_documents, unknown))
        return int(np.sum(ops.convert_to_numpy(self.keys) != _NO_KEY))

    def know(self, keys: np.ndarray) -> None:
        """Sets which n-grams are known, as :func:`frequent_ngrams` gives them: ``rows`` at most."""
        padded = np.full(self.rows, _NO_KEY, np.int32)
        padded[: len(keys)] = keys
        self.keys.assign(padded)

    def call(self, ids: Any, mask: Any = None) -> Any:
        check_rank("BagOfNgrams", "ids", ids.shape, "batch, time")
        if mask is None:
            mask = ops.ones_like(ids, dtype="bool")
        else:
            packing = Packing(check_mask("BagOfNgrams", mask, ids))
            ids, mask = packing.pack(ids), packing.mask
        found = []
        # uint32 wraps around by itself; torch does not multiply it
        dtype = "int64" if keras.backend.backend() == "torch" else "uint32"
        hashes = ops.full_like(ids, _OFFSET, dtype=dtype)
        shifted, valid = ops.cast(ids, dtype), mask
        for _ in range(self.longest):
            hashes = ops.bitwise_xor(hashes, shifted) * ops.cast(_PRIME, dtype)
            if dtype == "int64":
                hashes = ops.bitwise_and(hashes, 0xFFFFFFFF)
            keys = ops.cast(ops.right_shift(hashes, ops.cast(1, dtype)), "int32")
            flat = ops.reshape(keys, (-1,))
            row = ops.minimum(ops.searchsorted(self.keys, flat), self.rows - 1)
            row = ops.reshape(row, ops.shape(keys))
            known = ops.logical_and(ops.equal(ops.take(self.keys, row), keys), valid)
            found.append(ops.where(known, row, -1))
            shifted, valid = _next(shifted), _next(valid)
        # equal ones stand beside each other then, and the first of them counts
        rows = ops.sort(ops.concatenate(found, axis=1), axis=1)
        before = ops.concatenate([ops.full_like(rows[:, :1], -1), rows[:, :-1]], axis=1)
        return self.pool(ops.where(ops.equal(rows, before), -1, rows))

    def pool(self, rows: Any) -> Any:
        """The output for n-grams that were looked up already.

        Args:
            rows: int `[batch, n-grams]`, different rows of the vectors; -1 stands for none.
        """
        known = rows >= 0
        vectors = ops.cast(ops.take(self.embeddings, ops.maximum(rows, 0), axis=0), self.wide_dtype)
        total = ops.sum(ops.where(known[..., None], vectors, 0.0), axis=1)
        count = ops.sum(ops.cast(known, self.wide_dtype), axis=1, keepdims=True)
        return ops.cast(total / ops.sqrt(ops.maximum(count, 1.0)), self.compute_dtype)

    def compute_output_shape(self, ids_shape: Any) -> Any:
        return (ids_shape[0], self.size)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rows": self.rows,
            "size": self.size,
            "longest": self.longest,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


def _next(values: Any) -> Any:
    """Each step's successor; zeros after the last."""
    return ops.concatenate([values[:, 1:], ops.zeros_like(values[:, :1])], axis=1)


def frequent_ngrams(
    sequences: Iterable[Any],
    longest: int,
    most: int,
    min_documents: int = 3,
    unknown: int | None = None,
) -> np.ndarray:
    """The keys (hashes) of the n-grams that are in the most sequences.

    Memory is bounded: of very many n-grams the rarest are forgotten now and then, so that one that
    becomes frequent late may count a little less
    ([Manku & Motwani, 2002](https://www.vldb.org/conf/2002/S10P03.pdf)).

    Args:
        sequences: id vectors.
        longest: longest n-gram, in ids.
        most: how many are kept.
        min_documents: an n-gram must occur in this many sequences.
        unknown: an n-gram that holds this id is not kept, since it may be anything.

    Returns:
        int32 ``[known]``, ascending.
    """
    keys: np.ndarray = np.zeros(0, np.int32)
    documents: np.ndarray = np.zeros(0, np.int32)
    distinct = (_distinct(np.asarray(ids), longest, unknown) for ids in sequences)
    empty = True
    for block in _blocks(distinct):
        empty = False
        found, counts = np.unique(block, return_counts=True)
        merged = np.concatenate([keys, found])
        order = np.argsort(merged, kind="stable")  # quick: two runs that are sorted
        merged, counts = merged[order], np.concatenate([documents, counts.astype(np.int32)])[order]
        starts = np.flatnonzero(np.diff(merged, prepend=-1))
        keys, documents = merged[starts], np.add.reduceat(counts, starts) if len(starts) else counts
        if len(keys) > _KEPT * most:
            rare = np.argpartition(documents, len(keys) - _KEPT * most // 2)
            kept = np.sort(rare[len(keys) - _KEPT * most // 2 :])
            keys, documents = keys[kept], documents[kept]
    if empty:
        raise ValueError("BagOfNgrams: `sequences` must hold a sequence. Received: none")
    order = np.argsort(-documents, kind="stable")[:most]
    return np.sort(keys[order[documents[order] >= min_documents]])


def _blocks(distinct: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The keys of many sequences at a time."""
    block: list[np.ndarray] = []
    size = 0
    for keys in distinct:
        block.append(keys)
        size += len(keys)
        if size > _BLOCK:
            yield np.concatenate(block)
            block, size = [], 0
    if block:
        yield np.concatenate(block)


def known_ngrams(ids: np.ndarray, keys: np.ndarray, longest: int) -> np.ndarray:
    """Where the n-grams of a sequence stand among the keys of known ones; each once, no others.

    Args:
        ids: of the sequence.
        keys: of :func:`frequent_ngrams`.
        longest: longest n-gram, in ids.
    """
    found = np.unique(np.concatenate(_hashes(np.asarray(ids), longest)))
    rows = np.searchsorted(keys, found)
    rows[rows == len(keys)] = 0
    return rows[keys[rows] == found] if len(keys) else rows[:0]


def _distinct(ids: np.ndarray, longest: int, unknown: int | None) -> np.ndarray:
    """The distinct n-grams of a sequence, but for those that hold an unknown id."""
    hashes = _hashes(ids, longest)
    if unknown is not None:
        bad = ids == unknown
        for n, keys in enumerate(hashes):
            windows = np.lib.stride_tricks.sliding_window_view(bad, n + 1)
            hashes[n] = keys[~windows.any(axis=1)]
    return np.unique(np.concatenate(hashes))


def _hashes(ids: np.ndarray, longest: int) -> list[np.ndarray]:
    """Hashes int32 of the n-grams of each length, 1 first."""
    ids = ids.astype(np.uint32)
    hashes, result = np.full(len(ids), _OFFSET, np.uint32), []
    for n in range(min(longest, len(ids))):
        hashes = (hashes[: len(ids) - n] ^ ids[n:]) * np.uint32(_PRIME)
        result.append((hashes >> np.uint32(1)).astype(np.int32))
    return result
