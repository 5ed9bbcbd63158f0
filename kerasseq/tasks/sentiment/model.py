"""The network of a text classifier."""

from __future__ import annotations

from typing import Any

import keras

from kerasseq import layers
from kerasseq.tasks.sentiment.settings import ModelSettings, TextSettings
from kerasseq.text.vocabulary import PAD

LEAST, MOST = 8, 64
"""Bounds of the size of an n-gram's vector, where the classes say it."""

NGRAMS = "ngrams"
"""Name of the wide path's layer."""


def build_model(
    options: ModelSettings,
    text: TextSettings,
    vocabulary_size: int,
    ngrams: int,
    classes: int,
    kernels: dict[str, Any],
    name: str,
) -> keras.Model:
    """Embedding, recurrent stack, pooling, and a bag of n-grams beside them; to logits.

    Args:
        options: of the model.
        text: its longest n-gram; 0 for none.
        vocabulary_size: number of ids.
        ngrams: number of known n-grams.
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
    x = keras.layers.Concatenate(name="pooled")(pooled) if len(pooled) > 1 else pooled[0]
    x = keras.layers.Dropout(options.output_dropout, name="output_dropout")(x)
    if text.ngrams:
        size = options.ngram_size or min(MOST, max(LEAST, classes))
        bag = layers.BagOfNgrams(max(1, ngrams), size, text.ngrams, name=NGRAMS)
        # not dropped: a number of its vectors may be all that speaks for a class
        x = keras.layers.Concatenate(name="wide_and_deep")([x, bag(ids, mask=mask)])
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(ids, logits, name=name)
