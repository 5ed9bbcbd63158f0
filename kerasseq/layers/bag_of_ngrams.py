"""Frequent n-grams of a sequence as one vector."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasseq.layers._checks import check_choice, check_mask, check_positive, check_rank
from kerasseq.layers._explicit_mask import ExplicitMaskLayer

# FNV-1a: the same 32-bit arithmetic in NumPy and in the graph.
_OFFSET, _PRIME = 2166136261, 16777619
_NO_KEY = np.iinfo(np.int32).max


@keras.saving.register_keras_serializable(package="kerasseq")
class BagOfNgrams(ExplicitMaskLayer):
    """Sum of the vectors of the n-grams that occur, `y = sum_g E[g] / sqrt(|g|)`.

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
        mask: bool `[batch, time]`, padded on the right; `None` means that all steps are valid.

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
        found = [self._keys_of(ids, unknown) for ids in sequences]
        if not found:
            raise ValueError("BagOfNgrams: `sequences` must hold a sequence. Received: none")
        keys, documents = np.unique(np.concatenate(found), return_counts=True)
        order = np.argsort(-documents, kind="stable")[: self.rows]
        known = np.sort(keys[order[documents[order] >= min_documents]])
        padded = np.full(self.rows, _NO_KEY, np.int32)
        padded[: len(known)] = known
        self.keys.assign(padded)
        return len(known)

    def log_ratios(
        self, sequences: Iterable[Any], labels: Iterable[int], classes: int
    ) -> np.ndarray:
        """Log-count ratios of the known n-grams
        ([Wang & Manning, 2012](https://aclanthology.org/P12-2018/)), for each class against the
        others: `r = log(p / |p|) - log(q / |q|)`, where `p` counts the sequences of the class that
        have the n-gram, `q` those of the others, each and one more.

        Args:
            sequences: id vectors.
            labels: the class of each.
            classes: how many there are.

        Returns:
            float32 `[known, classes]`, in the order of the first rows of the vectors.
        """
        keys = ops.convert_to_numpy(self.keys)
        keys = keys[keys != _NO_KEY]
        counts = np.zeros((classes, len(keys)))
        for ids, label in zip(sequences, labels, strict=True):
            found = self._keys_of(ids)
            rows = np.searchsorted(keys, found)
            known = rows < len(keys)
            counts[label, rows[known][keys[rows[known]] == found[known]]] += 1
        others = counts.sum(axis=0) - counts + 1
        counts += 1
        ratios = np.log(counts / counts.sum(axis=1, keepdims=True))
        ratios -= np.log(others / others.sum(axis=1, keepdims=True))
        return ratios.T.astype(np.float32)

    def _keys_of(self, ids: Any, unknown: int | None = None) -> np.ndarray:
        """The distinct n-grams of a sequence, but for those that hold an unknown id."""
        ids = np.asarray(ids)
        hashes = _hashes(ids, self.longest)
        if unknown is not None:
            bad = ids == unknown
            for n, keys in enumerate(hashes):
                windows = np.lib.stride_tricks.sliding_window_view(bad, n + 1)
                hashes[n] = keys[~windows.any(axis=1)]
        return np.unique(np.concatenate(hashes))

    def call(self, ids: Any, mask: Any = None) -> Any:
        check_rank("BagOfNgrams", "ids", ids.shape, "batch, time")
        if mask is None:
            mask = ops.ones_like(ids, dtype="bool")
        mask = check_mask("BagOfNgrams", mask, ids)
        total, count = 0.0, 0.0
        hashes = ops.full_like(ids, _OFFSET, dtype="uint32")
        shifted, valid = ops.cast(ids, "uint32"), mask
        for _ in range(self.longest):
            hashes = ops.bitwise_xor(hashes, shifted) * ops.cast(_PRIME, "uint32")
            keys = ops.cast(ops.right_shift(hashes, ops.cast(1, "uint32")), "int32")
            flat = ops.reshape(keys, (-1,))
            row = ops.minimum(ops.searchsorted(self.keys, flat), self.rows - 1)
            row = ops.reshape(row, ops.shape(keys))
            known = ops.logical_and(ops.equal(ops.take(self.keys, row), keys), valid)
            more, found = self._sum(row, known)
            total, count = total + more, count + found
            shifted, valid = _next(shifted), _next(valid)
        return self._scaled(total, count)

    def pool(self, rows: Any) -> Any:
        """The output for n-grams that were looked up already.

        Args:
            rows: int `[batch, n-grams]`, rows of the vectors; -1 stands for none.
        """
        return self._scaled(*self._sum(ops.maximum(rows, 0), rows >= 0))

    def _sum(self, rows: Any, known: Any) -> tuple[Any, Any]:
        """The vectors of the n-grams that are known, summed, and how many they are."""
        vectors = ops.cast(ops.take(self.embeddings, rows, axis=0), "float32")
        total = ops.sum(ops.where(known[..., None], vectors, 0.0), axis=1)
        return total, ops.sum(ops.cast(known, "float32"), axis=1, keepdims=True)

    def _scaled(self, total: Any, count: Any) -> Any:
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


def _hashes(ids: np.ndarray, longest: int) -> list[np.ndarray]:
    """Hashes int32 of the n-grams of each length, 1 first."""
    ids = ids.astype(np.uint32)
    hashes, result = np.full(len(ids), _OFFSET, np.uint32), []
    for n in range(min(longest, len(ids))):
        hashes = (hashes[: len(ids) - n] ^ ids[n:]) * np.uint32(_PRIME)
        result.append((hashes >> np.uint32(1)).astype(np.int32))
    return result
