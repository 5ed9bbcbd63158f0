"""The wide path's start: a logistic regression over n-grams."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasseq.layers.bag_of_ngrams import known_ngrams
from kerasseq.tasks.sentiment.classification import Classification
from kerasseq.tasks.sentiment.model import NGRAMS

_FEW = 500
"""Texts a class; of more the start is weaker, for what training finds is worth more then."""

_MOST = 25_000
"""Texts that the regression learns from; of twice as many or more it takes every other one."""

_C = 10.0
"""Inverse strength of the regression's regularisation; from 3 to 100 it makes no difference."""


def linear_weights(
    rows: Sequence[np.ndarray], labels: Sequence[Any], known: int, classes: int, balanced: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression on n-grams, for each class against the others.

    A text's features are the n-grams that it has, weighted by their inverse document frequency
    ([Sparck Jones, 1972](https://doi.org/10.1108/eb026526)), over the root of their number.

    Args:
        rows: for each text the n-grams that it has, each once, from 0.
        labels: for each text its class, or its classes.
        known: how many n-grams there are.
        classes: how many there are.
        balanced: whether classes count alike.

    Returns:
        What an n-gram adds to the logit of each class, before it is divided by the root of their
        number, float32 ``[known, classes]``; and the intercepts, float32 ``[classes]``.
    """
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    sizes = [len(found) for found in rows]
    columns = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
    documents = np.bincount(columns, minlength=known)
    rarity = np.square(np.log((1 + len(rows)) / (1 + documents)) + 1)
    values = rarity[columns] / np.sqrt(np.repeat(np.maximum(sizes, 1), sizes))
    ends = np.concatenate([[0], np.cumsum(sizes)])
    features = csr_matrix((values, columns, ends), (len(rows), known))
    there = np.zeros((classes, len(rows)), bool)
    for text, own in enumerate(labels):
        there[own, text] = True
    weights, intercepts = np.zeros((known, classes), np.float32), np.zeros(classes, np.float32)
    regression = LogisticRegression(
        C=_C, solver="liblinear", dual=True, class_weight="balanced" if balanced else None,
        random_state=0,
    )  # fmt: skip
    for label in range(classes if classes > 2 or isinstance(labels, list) else 1):
        if known and 0 < there[label].sum() < len(rows):
            with warnings.catch_warnings(action="ignore"):  # that it could go on is no matter
                regression.fit(features, there[label])
            weights[:, label] = regression.coef_[0] * rarity
            intercepts[label] = regression.intercept_[0]
    if classes == 2 and not isinstance(labels, list):  # one against the other
        for found in (weights, intercepts):
            found[..., 0], found[..., 1] = found[..., 0] / 2, -found[..., 0] / 2
    return weights, intercepts


def start_wide(
    model: keras.Model,
    keys: np.ndarray,
    sequences: Sequence[np.ndarray],
    labels: Sequence[Any],
    kind: Classification,
    balanced: bool = False,
) -> None:
    """Lets the model begin as a logistic regression over n-grams, to which the recurrent network
    adds.

    The regression's weights are what the wide path gives, and the pooled vector counts for nothing
    at first. Where the start is weaker, the shares of the classes stand for the rest of it. With
    more classes than the wide path's vectors have numbers, it is the best approximation of that
    size.

    Args:
        model: with a wide path.
        keys: of the known n-grams.
        sequences, labels: of train.
        kind: of classification.
        balanced: whether its classes count alike.
    """
    bag, output = model.get_layer(NGRAMS), model.get_layer("logits")
    classes, size = len(kind.names), bag.size
    strength = min(1.0, _FEW * classes / len(sequences)) if len(keys) else 0.0
    step = max(1, len(sequences) // _MOST)  # a start needs no more texts
    rows = [known_ngrams(ids, keys, bag.longest) for ids in sequences[::step]]
    weights, intercepts = linear_weights(rows, labels[::step], len(keys), classes, balanced)
    _, spread, directions = np.linalg.svd(weights.T @ weights)
    rank = min(size, int(np.sum(spread > 1e-6 * spread[0])))
    directions = directions[:rank].T  # [classes, rank]
    vectors = np.array(bag.embeddings)
    vectors[: len(weights), :rank] = weights @ directions
    bag.embeddings.assign(vectors)
    kernel = np.array(output.kernel)
    kernel[:-size] = 0
    kernel[-size:][:rank] = strength * directions.T
    output.kernel.assign(kernel)
    prior = np.zeros(classes) if balanced else kind.prior(labels)
    output.bias.assign(strength * intercepts + (1 - strength) * prior)
