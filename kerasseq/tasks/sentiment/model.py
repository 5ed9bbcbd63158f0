"""The network of a text classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasseq import layers
from kerasseq.data.batches import pad
from kerasseq.tasks.sentiment.settings import ModelSettings
from kerasseq.text.vocabulary import PAD

NGRAMS = "ngrams"
"""Name of the wide path's layer."""


def build_model(
    options: ModelSettings,
    vocabulary_size: int,
    classes: int,
    kernels: dict[str, Any],
    name: str,
) -> keras.Model:
    """Embedding, recurrent stack, pooling, and a bag of n-grams beside them; to logits.

    Args:
        options: of the model.
        vocabulary_size: number of ids.
        classes: number of classes.
        kernels: arguments of recurrent layers that choose their kernel.
        name: of the model.

    Returns:
        A model of ids int32 ``[B, T]`` to logits float32 ``[B, classes]``.
    """
    poolings = {
        "last": lambda: layers.LastPooling(options.bidirectional, name="last"),
        "mean": lambda: layers.MeanPooling(name="mean"),
        "max": lambda: layers.MaxPooling(name="max"),
        "attention": lambda: layers.AttentionPooling(name="attention"),
    }
    ids = keras.Input([None], dtype="int32", name="ids")
    mask = keras.ops.not_equal(ids, PAD)
    x = layers.WordDropout(options.word_dropout, name="word_dropout")(ids)
    x = keras.layers.Embedding(vocabulary_size, options.embedding, name="embedding")(x)
    x = layers.LockedDropout(options.embedding_dropout, name="embedding_dropout")(x)
    x = layers.RecurrentStack(
        options.units,
        num_layers=options.layers,
        cell=options.cell,
        bidirectional=options.bidirectional,
        dropout=options.layer_dropout,
        recurrent_dropout=options.recurrent_dropout,
        **kernels,
        name="recurrent",
    )(x, mask=mask)
    pooled = [poolings[pooling]()(x, mask=mask) for pooling in options.pooling.split("+")]
    if options.ngrams:
        bag = layers.BagOfNgrams(
            options.ngram_rows, options.ngram_size, options.ngrams, name=NGRAMS
        )
        pooled.append(bag(ids, mask=mask))
    x = keras.layers.Concatenate(name="pooled")(pooled) if len(pooled) > 1 else pooled[0]
    x = keras.layers.Dropout(options.output_dropout, name="output_dropout")(x)
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(ids, logits, name=name)


_SCALE = 0.3
"""Of the first logits: texts of the length of a review have some of size 1."""


def start_wide(
    model: keras.Model, sequences: Sequence[np.ndarray], labels: np.ndarray, classes: int
) -> None:
    """Lets the model begin as naive Bayes over n-grams, to which the recurrent network adds.

    The n-grams' log-count ratios are what the wide path gives, the pooled vector counts for nothing
    at first, and the bias has the shares of the classes. With more classes than the wide path's
    vectors have numbers, it is the best approximation of that size.

    Args:
        model: whose wide path is adapted.
        sequences, labels: of train.
        classes: how many there are.
    """
    bag, output = model.get_layer(NGRAMS), model.get_layer("logits")
    ratios = bag.log_ratios(sequences, labels, classes)
    _, spread, directions = np.linalg.svd(ratios.T @ ratios)
    rank = min(bag.size, int(np.sum(spread > 1e-6 * spread[0])))
    directions = directions[:rank].T  # [classes, rank]
    vectors = np.array(bag.embeddings)
    vectors[: len(ratios), :rank] = ratios @ directions
    bag.embeddings.assign(vectors)
    kernel = np.array(output.kernel)
    kernel[: -bag.size] = 0
    kernel[-bag.size :][:rank] = _SCALE * directions.T
    output.kernel.assign(kernel)
    means = np.zeros((classes, classes))
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        sums = np.zeros(bag.size)
        for start in range(0, len(rows), 256):
            ids, _ = pad([sequences[row] for row in rows[start : start + 256]])
            sums += keras.ops.convert_to_numpy(bag(ids, mask=ids != PAD)).sum(axis=0)
        means[label] = sums / max(1, len(rows)) @ kernel[-bag.size :]
    shares = np.bincount(labels, minlength=classes) / len(labels)
    output.bias.assign(np.log(shares) - means.mean(axis=0))
