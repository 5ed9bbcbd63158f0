"""The wide path begins as naive Bayes over n-grams: the numbers are scikit-learn's."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from kerasseq.data.batches import pad
from kerasseq.layers import BagOfNgrams
from kerasseq.layers.bag_of_ngrams import frequent_ngrams, known_ngrams
from kerasseq.tasks.sentiment.model import NGRAMS, build_model
from kerasseq.tasks.sentiment.multiclass import Multiclass
from kerasseq.tasks.sentiment.multilabel import Multilabel
from kerasseq.tasks.sentiment.naive_bayes import log_count_ratios, start_wide
from kerasseq.tasks.sentiment.settings import ModelSettings, TextSettings

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
    keys = frequent_ngrams(sequences, 2, 500, 2)
    rows = [known_ngrams(ids, keys, 2) for ids in sequences]
    ratios = log_count_ratios(rows, labels, len(keys), CLASSES)
    table, names = counted(sequences, 2)
    assert ratios.shape == (len(keys), CLASSES) == (len(names), CLASSES)
    for label in range(CLASSES):
        bayes = MultinomialNB().fit(table, labels == label)
        wanted = np.diff(bayes.feature_log_prob_, axis=0)[0]
        for name, ratio in zip(names, wanted, strict=True):
            assert ratios[row_of(keys, name), label] == pytest.approx(ratio, abs=1e-5)


def row_of(keys, name):
    """The row of an n-gram, which its parts have not."""
    rows = set(known_ngrams(np.array(name), keys, len(name)))
    if len(name) > 1:
        rows -= {
            row for part in (name[:-1], name[1:]) for row in known_ngrams(part, keys, len(part))
        }
    (row,) = rows
    return row


def test_an_ngram_with_an_unknown_id_is_not_known():
    bag = BagOfNgrams(rows=50, size=4, longest=2)
    assert bag.adapt([[5, 1, 6], [5, 1, 6]], 2) == 5
    assert bag.adapt([[5, 1, 6], [5, 1, 6]], 2, unknown=1) == 2  # 5 and 6


def started(sequences, labels, kind, size=8, documents=2):
    """A model that begins as naive Bayes."""
    keys = frequent_ngrams(sequences, 2, 500, documents)
    options = ModelSettings(embedding=4, units=4, ngram_size=size)
    text = TextSettings(ngrams=2)
    model = build_model(options, text, 20, len(keys), len(kind.names), {}, "m")
    model.get_layer(NGRAMS).know(keys)
    start_wide(model, keys, sequences, labels, kind)
    return model


@pytest.mark.parametrize("size", [2, 8])
def test_the_model_begins_as_naive_bayes(texts, size):
    sequences, labels = texts
    model = started(sequences, labels, Multiclass(list("abc")), size)
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


def test_it_begins_so_for_several_labels_too(texts):
    sequences, labels = texts
    several = [np.array([label, 3] if i % 2 else [label]) for i, label in enumerate(labels)]
    model = started(sequences, several, Multilabel(list("abcd")))
    logits = np.asarray(model(pad(sequences)[0]))
    for label in range(CLASSES):
        there = labels == label
        assert logits[there, label].mean() > logits[~there, label].mean() + 0.1
    odds = np.log((there.sum() + 0.5) / ((~there).sum() + 0.5))
    middle = (logits[there, label].mean() + logits[~there, label].mean()) / 2
    assert middle == pytest.approx(odds, abs=2e-3)


def test_without_a_known_ngram_it_has_the_shares_of_the_classes():
    sequences = [np.array([2, 5], np.int32), np.array([2, 6], np.int32), np.array([2, 7], np.int32)]
    model = started(sequences, np.array([0, 1, 1]), Multiclass(["a", "b"]), documents=4)
    logits = np.asarray(model(np.array([[2, 5]], np.int32)))[0]
    assert np.exp(logits) / np.exp(logits).sum() == pytest.approx([1 / 3, 2 / 3])
