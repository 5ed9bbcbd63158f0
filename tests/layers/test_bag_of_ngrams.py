import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.layers import BagOfNgrams, bag_of_ngrams
from kerasseq.layers.bag_of_ngrams import _hashes
from tests.examples import examples
from tests.layers.contract import run_layer_contract

sequences = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=9), min_size=1, max_size=5)


def test_contract():
    ids = np.array([[2, 5, 6, 7], [2, 5, 0, 0], [2, 0, 0, 0]], np.int32)
    run_layer_contract(
        BagOfNgrams,
        init_kwargs={"rows": 20, "size": 4, "longest": 2},
        inputs={"ids": ids, "mask": ids != 0},
        expected_output_shape=(3, 4),
        time_arguments={"ids": 1, "mask": 1},
        fit=False,  # no n-gram is known before adapt, so nothing would train: see the next test
    )


def test_fit_moves_the_vectors_of_what_is_known():
    ids = np.array([[5, 6, 7], [5, 6, 0], [7, 9, 0]], np.int32)
    layer = BagOfNgrams(rows=6, size=4, longest=2)
    assert layer.adapt([[5, 6, 7], [5, 6], [7, 5]], min_documents=2) == 4
    inputs = [keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="bool")]
    model = keras.Model(inputs, layer(inputs[0], mask=inputs[1]))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    before = np.asarray(layer.embeddings)
    history = model.fit([ids, ids != 0], np.ones((3, 4)), verbose=0)
    assert np.isfinite(history.history["loss"][0])
    moved = (np.asarray(layer.embeddings) != before).all(axis=1)
    assert moved.tolist() == [True] * 4 + [False] * 2


def test_nothing_to_adapt_to_is_named():
    with pytest.raises(ValueError, match="BagOfNgrams: `sequences` must hold a sequence"):
        BagOfNgrams(rows=6, size=4).adapt([])


@examples(40)
@given(sequences, st.integers(1, 4), st.integers(1, 3))
def test_equals_counting_by_hand(rows, longest, min_documents):
    def ngrams(row):
        return [
            tuple(row[i : i + n]) for n in range(1, longest + 1) for i in range(len(row) - n + 1)
        ]

    documents = {}
    for row in rows:
        for gram in set(ngrams(row)):
            documents[gram] = documents.get(gram, 0) + 1
    known = {gram for gram, count in documents.items() if count >= min_documents}
    layer = BagOfNgrams(rows=500, size=3, longest=longest)
    assert layer.adapt(rows, min_documents) == len(known)
    keys, vectors = np.asarray(layer.keys), np.asarray(layer.embeddings)
    vector = {
        gram: vectors[np.searchsorted(keys, _hashes(np.array(gram), longest)[len(gram) - 1][0])]
        for gram in known
    }
    width = max(map(len, rows))
    ids = np.zeros((len(rows), width), np.int32)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    outputs = np.asarray(layer(ids, mask=ids != 0))
    for row, output in zip(rows, outputs, strict=True):
        found = [vector[gram] for gram in set(ngrams(row)) & known]
        expected = np.sum(found, axis=0) / np.sqrt(len(found)) if found else np.zeros(3)
        np.testing.assert_allclose(output, expected, atol=1e-5)


def test_the_most_widespread_are_kept():
    layer = BagOfNgrams(rows=2, size=3, longest=1)
    assert layer.adapt([[5, 6], [5, 7], [5, 6]], min_documents=1) == 2
    outputs = np.asarray(layer(np.array([[5], [6], [7]])))
    assert np.any(outputs[0])
    assert np.any(outputs[1])
    assert not np.any(outputs[2])


def test_counting_in_blocks_is_counting_at_once(monkeypatch):
    random = np.random.default_rng(5)
    rows = [random.integers(2, 40, random.integers(1, 9)) for _ in range(200)]
    whole = bag_of_ngrams.frequent_ngrams(rows, 2, 300, 2)
    monkeypatch.setattr(bag_of_ngrams, "_BLOCK", 50)
    np.testing.assert_array_equal(bag_of_ngrams.frequent_ngrams(rows, 2, 300, 2), whole)
    few = bag_of_ngrams.frequent_ngrams(rows, 2, 40, 2)  # the rarest are forgotten now and then
    assert len(np.intersect1d(few, whole)) == len(few) == 40
    alone = bag_of_ngrams.frequent_ngrams(rows, 1, 40, 1)
    assert len(np.intersect1d(few, alone)) > 30  # one word is in more texts than two
