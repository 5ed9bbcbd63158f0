"""The wide path's start: naive Bayes over n-grams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasseq.layers.bag_of_ngrams import known_ngrams
from kerasseq.tasks.sentiment.classification import Classification, Sums
from kerasseq.tasks.sentiment.model import NGRAMS

_SCALE, _FEW = 0.3, 500
"""Of the first logits: texts of the length of a review have some of size 1. Where a class has more
training texts than these it is less, for what training finds is worth more then."""


def log_count_ratios(
    rows: Sequence[np.ndarray], labels: Sequence[Any], known: int, classes: int
) -> np.ndarray:
    """Log-count ratios of n-grams
    ([Wang & Manning, 2012](https://aclanthology.org/P12-2018/)), for each class against the others:
    `r = log(p / |p|) - log(q / |q|)`, where `p` counts the texts of the class that have the n-gram,
    `q` those of the others, each and one more.

    Args:
        rows: for each text the n-grams that it has, from 0.
        labels: for each text its class, or its classes.
        known: how many n-grams there are.
        classes: how many there are.

    Returns:
        float32 `[known, classes]`.
    """
    counts, total = np.zeros((classes, known), np.float32), np.zeros(known, np.float32)
    for found, own in zip(rows, labels, strict=True):
        distinct = np.unique(found)
        total[distinct] += 1
        for label in np.atleast_1d(own):
            counts[label, distinct] += 1
    others = total - counts + 1
    counts += 1
    ratios = np.log(counts / counts.sum(axis=1, keepdims=True))
    ratios -= np.log(others / others.sum(axis=1, keepdims=True))
    return ratios.T


def start_wide(
    model: keras.Model,
    keys: np.ndarray,
    sequences: Sequence[np.ndarray],
    labels: Sequence[Any],
    kind: Classification,
    balanced: bool = False,
) -> None:
    """Lets the model begin as naive Bayes over n-grams, to which the recurrent network adds.

    The n-grams' log-count ratios are what the wide path gives, the pooled vector counts for nothing
    at first, and the bias has the shares of the classes. With more classes than the wide path's
    vectors have numbers, it is the best approximation of that size.

    Args:
        model: with a wide path.
        keys: of the known n-grams.
        sequences, labels: of train.
        kind: of classification.
        balanced: whether its classes count alike.
    """
    bag, output = model.get_layer(NGRAMS), model.get_layer("logits")
    classes, size = len(kind.names), bag.size
    rows = [known_ngrams(ids, keys, bag.longest) for ids in sequences]
    ratios = log_count_ratios(rows, labels, len(keys), classes)
    _, spread, directions = np.linalg.svd(ratios.T @ ratios)
    rank = min(size, int(np.sum(spread > 1e-6 * spread[0])))
    directions = directions[:rank].T  # [classes, rank]
    vectors = np.array(bag.embeddings)
    vectors[: len(ratios), :rank] = ratios @ directions
    bag.embeddings.assign(vectors)
    kernel = np.array(output.kernel)
    kernel[:-size] = 0
    kernel[-size:][:rank] = _SCALE * min(1.0, _FEW * classes / len(rows)) * directions.T
    output.kernel.assign(kernel)
    sums = Sums(np.zeros((classes, size)), np.zeros(classes), np.zeros(size), len(rows))
    for found, own in zip(rows, labels, strict=True):
        vector = vectors[found].sum(axis=0) / np.sqrt(max(1, len(found)))
        sums.of_classes[own] += vector
        sums.counts[own] += 1
        sums.total[:] += vector
    output.bias.assign(kind.bias(sums, kernel[-size:], balanced))
