"""The wide path begins as a logistic regression over n-grams: the numbers are scikit-learn's."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from kerasseq.data.batches import pad
from kerasseq.layers import BagOfNgrams
from kerasseq.layers.bag_of_ngrams import frequent_ngrams, known_ngrams
from kerasseq.tasks.sentiment.linear_start import linear_weights, start_wide
from kerasseq.tasks.sentiment.model import NGRAMS, build_model
from kerasseq.tasks.sentiment.multiclass import Multiclass
from kerasseq.tasks.sentiment.multilabel import Multilabel
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


def features(sequences, longest):
    """Features of each text as scikit-learn makes them, and the n-grams: binary, weighted by the
    square of their inverse document frequency, over the root of their number."""
    counts = CountVectorizer(ngram_range=(1, longest), min_df=2, binary=True, token_pattern=r"\d+")
    table = counts.fit_transform([" ".join(map(str, ids)) for ids in sequences]).toarray()
    names = [[int(i) for i in name.split()] for name in counts.get_feature_names_out()]
    rarity = TfidfTransformer(norm=None).fit(table).idf_ ** 2
    return table * rarity / np.sqrt(table.sum(axis=1, keepdims=True)), names, rarity


@pytest.mark.parametrize("balanced", [False, True])
def test_the_weights_are_those_of_logistic_regression(texts, balanced):
    sequences, labels = texts
    keys = frequent_ngrams(sequences, 2, 500, 2)
    rows = [known_ngrams(ids, keys, 2) for ids in sequences]
    table, names, rarity = features(sequences, 2)
    order = [row_of(keys, name) for name in names]
    weight = "balanced" if balanced else None
    three, at = linear_weights(rows, labels, len(keys), CLASSES, balanced)
    assert three.shape == (len(keys), CLASSES) == (len(names), CLASSES)
    two, _ = linear_weights(rows, (labels == 1).astype(int), len(keys), 2, balanced)
    several, _ = linear_weights(
        rows, [np.array([label]) for label in labels], len(keys), CLASSES, balanced
    )
    np.testing.assert_allclose(several, three)
    for label in range(CLASSES):
        model = LogisticRegression(C=10, class_weight=weight, solver="liblinear", tol=1e-8)
        wanted = model.fit(table, labels == label).coef_[0] * rarity
        assert at[label] == pytest.approx(model.intercept_[0], abs=0.05)
        np.testing.assert_allclose(three[order, label], wanted, atol=0.05 * np.abs(wanted).max())
        if label == 1:
            np.testing.assert_allclose(two[order, 1] - two[order, 0], three[order, 1], atol=0.1)
            np.testing.assert_allclose(two[:, 0], -two[:, 1])


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
    """A model that begins as the regression."""
    keys = frequent_ngrams(sequences, 2, 500, documents)
    options = ModelSettings(embedding=4, units=4, ngram_size=size)
    text = TextSettings(ngrams=2)
    model = build_model(options, text, 20, len(keys), len(kind.names), {}, "m")
    model.get_layer(NGRAMS).know(keys)
    start_wide(model, keys, sequences, labels, kind)
    return model


@pytest.mark.parametrize("size", [2, 8])
def test_the_model_begins_as_the_regression(texts, size):
    sequences, labels = texts
    model = started(sequences, labels, Multiclass(list("abc")), size)
    logits = np.asarray(model(pad(sequences)[0]))
    right = (logits.argmax(axis=1) == labels).mean()
    assert right >= (0.99 if size > CLASSES else 0.8)
    assert logits.std(axis=0).min() > 0.05


def test_it_begins_so_for_several_labels_too(texts):
    sequences, labels = texts
    several = [np.array([label, 3] if i % 2 else [label]) for i, label in enumerate(labels)]
    model = started(sequences, several, Multilabel(list("abcd")))
    logits = np.asarray(model(pad(sequences)[0]))
    for label in range(CLASSES):
        there = labels == label
        assert logits[there, label].mean() > logits[~there, label].mean() + 0.1


@pytest.mark.parametrize("kind", [Multiclass, Multilabel])
def test_the_prior_gives_the_shares(kind):
    labels = np.array([0, 1, 1, 2, 2, 2])
    kind = kind(list("abc"))
    given = labels if isinstance(kind, Multiclass) else [np.array([label]) for label in labels]
    shares = np.asarray(kind.shares(kind.prior(given)))
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6], abs=0.05)


def test_without_a_known_ngram_it_has_the_shares_of_the_classes():
    sequences = [np.array([2, 5], np.int32), np.array([2, 6], np.int32), np.array([2, 7], np.int32)]
    model = started(sequences, np.array([0, 1, 1]), Multiclass(["a", "b"]), documents=4)
    logits = np.asarray(model(np.array([[2, 5]], np.int32)))[0]
    assert np.exp(logits) / np.exp(logits).sum() == pytest.approx([1 / 3, 2 / 3])
