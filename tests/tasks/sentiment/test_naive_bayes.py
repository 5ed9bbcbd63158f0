"""The wide path begins as naive Bayes over n-grams: the numbers are scikit-learn's."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from kerasseq.data.batches import pad
from kerasseq.layers import BagOfNgrams
from kerasseq.tasks.sentiment.model import NGRAMS, build_model, start_wide
from kerasseq.tasks.sentiment.settings import ModelSettings

CLASSES = 3


@pytest.fixture(scope="module")
def texts():
    random = np.random.default_rng(1)
    labels = random.integers(0, CLASSES, 60)
    return [
        random.choice(np.array([4 + label, 5, 6, 7, 8, 9]), random.integers(4, 12)).astype(np.int32)
        for label in labels
    ], labels


def counted(sequences, longest):
    """Whether each text has each n-gram that two texts have, and the n-grams."""
    counts = CountVectorizer(ngram_range=(1, longest), min_df=2, binary=True, token_pattern=r"\d+")
    table = counts.fit_transform([" ".join(map(str, ids)) for ids in sequences])
    names = [[int(i) for i in name.split()] for name in counts.get_feature_names_out()]
    return table.toarray(), names


def test_log_ratios_are_those_of_naive_bayes(texts):
    sequences, labels = texts
    bag = BagOfNgrams(rows=500, size=4, longest=2)
    known = bag.adapt(sequences, 2)
    ratios = bag.log_ratios(sequences, labels, CLASSES)
    table, names = counted(sequences, 2)
    assert ratios.shape == (known, CLASSES) == (len(names), CLASSES)
    for label in range(CLASSES):
        bayes = MultinomialNB().fit(table, labels == label)
        wanted = dict(
            zip(map(tuple, names), np.diff(bayes.feature_log_prob_, axis=0)[0], strict=True)
        )
        for name in names:
            (row,) = np.flatnonzero(np.asarray(bag.keys)[:known] == key_of(bag, name))
            assert ratios[row, label] == pytest.approx(wanted[tuple(name)], abs=1e-5)


def key_of(bag, name):
    """The key of an n-gram, which its parts have not."""
    keys = set(bag._keys_of(np.array(name)))
    if len(name) > 1:
        keys -= {*bag._keys_of(np.array(name[:-1])), *bag._keys_of(np.array(name[1:]))}
    (key,) = keys
    return key


def test_an_ngram_with_an_unknown_id_is_not_known():
    bag = BagOfNgrams(rows=50, size=4, longest=2)
    assert bag.adapt([[5, 1, 6], [5, 1, 6]], 2) == 5
    assert bag.adapt([[5, 1, 6], [5, 1, 6]], 2, unknown=1) == 2  # 5 and 6


@pytest.mark.parametrize("size", [2, 8])
def test_the_model_begins_as_naive_bayes(texts, size):
    sequences, labels = texts
    options = ModelSettings(embedding=4, units=4, ngram_rows=500, ngram_size=size, ngrams=2)
    model = build_model(options, 20, CLASSES, {}, "m")
    bag = model.get_layer(NGRAMS)
    bag.adapt(sequences, 2)
    start_wide(model, sequences, labels, CLASSES)
    logits = np.asarray(model(pad(sequences)[0]))
    table, _ = counted(sequences, 2)
    right = (logits.argmax(axis=1) == labels).mean()
    bayes = MultinomialNB().fit(table, labels)
    assert right >= bayes.score(table, labels) - 0.1
    shares = np.log(np.bincount(labels) / len(labels))
    spread = logits - shares
    assert spread.std(axis=0).min() > 0.05
    means = np.stack([spread[labels == label].mean(axis=0) for label in range(CLASSES)])
    np.testing.assert_allclose(means.mean(axis=0), 0, atol=2e-3)


def test_without_a_known_ngram_it_has_the_shares_of_the_classes():
    model = build_model(ModelSettings(embedding=4, units=4, ngram_rows=9), 20, 2, {}, "m")
    sequences = [np.array([2, 5], np.int32), np.array([2, 6], np.int32), np.array([2, 7], np.int32)]
    model.get_layer(NGRAMS).adapt(sequences, 4)
    start_wide(model, sequences, np.array([0, 1, 1]), 2)
    logits = np.asarray(model(np.array([[2, 5]], np.int32)))[0]
    assert np.exp(logits) / np.exp(logits).sum() == pytest.approx([1 / 3, 2 / 3])
