"""The network of a tagger."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasseq import layers
from kerasseq.tasks.tagging.data import Assets
from kerasseq.tasks.tagging.settings import TaggingSettings
from kerasseq.text.vocabulary import PAD
from kerasseq.text.word_features import WordFeatures

CHARACTERS, CRF_LAYER, SCORES = "character_encoder", "crf", "scores"
"""Names of layers that exports take apart."""


def build_model(
    settings: TaggingSettings, assets: Assets, kernels: dict[str, Any], name: str
) -> keras.Model:
    """Word, characters and affixes; bidirectional stack; softmax or CRF.

    Args:
        settings: of the task.
        assets: of the model.
        kernels: arguments of recurrent layers that choose their kernel.
        name: of the model.

    Returns:
        A model of a word table's inputs (:meth:`kerasseq.tasks.tagging.data.WordTable.inputs`) to
        ``scores`` float32 ``[B, T, tags]``, ``tags`` int ``[B, T]`` and ``shares``, the tags'
        probabilities, ``[B, T, tags]``.
    """
    options = settings.model
    # distinct words with their features, and sentences as positions among them (0 is padding)
    inputs = {
        "index": keras.Input([None], dtype="int32", name="index"),
        "words": keras.Input([], dtype="int32", name="words"),
        "characters": keras.Input([None], dtype="int32", name="characters"),
        "affixes": keras.Input([2 * settings.words.affixes], dtype="int32", name="affixes"),
    }
    mask = ops.not_equal(inputs["index"], 0)
    x = _words(inputs, settings, assets.features, kernels)
    x = keras.layers.Dropout(options.input_dropout, name="input_dropout")(x)
    x = layers.RecurrentStack(
        options.units,
        num_layers=options.layers,
        cell=options.cell,
        bidirectional=True,
        dropout=options.layer_dropout,
        **kernels,
        name="recurrent",
    )(x, mask=mask)
    x = keras.layers.Dropout(options.output_dropout, name="output_dropout")(x)
    scores = keras.layers.Dense(len(assets.names), dtype="float32", name=SCORES)(x)
    if options.output == "crf":
        crf = layers.CRF(len(assets.names), name=CRF_LAYER, **layers.tag_constraints(assets.names))
        tags = crf(scores, mask=mask)
        shares = crf(scores, mask=mask, output="marginals")
    else:
        tags, shares = ops.argmax(scores, axis=-1), ops.softmax(scores)
    return keras.Model(inputs, {"scores": scores, "tags": tags, "shares": shares}, name=name)


def _words(
    inputs: dict[str, Any], settings: TaggingSettings, features: WordFeatures, kernels: Any
) -> Any:
    """What is known of each word of the sentences: its vector, its characters, its affixes."""
    options, index = settings.model, inputs["index"]
    ids = ops.take(inputs["words"], index, axis=0)
    ids = layers.WordDropout(options.word_dropout, name="word_dropout")(ids)
    embedding = keras.layers.Embedding(len(features.words), options.embedding, name="embedding")
    parts = [embedding(ids)]
    if options.characters != "none":
        encoder = layers.CharacterEncoder(
            len(features.characters),
            options.character_units,
            method=options.characters,
            embedding_dim=options.character_embedding,
            **kernels,
            name=CHARACTERS,
        )
        vectors = encoder(ops.expand_dims(inputs["characters"], 0))[0]
        parts.append(ops.take(vectors, index, axis=0))
    if settings.words.affixes:
        vectors = keras.layers.Embedding(
            len(features.affixes), options.affix_embedding, name="affix_vectors"
        )(inputs["affixes"])
        known = ops.cast(ops.not_equal(inputs["affixes"], PAD), vectors.dtype)
        bag = ops.sum(vectors * known[..., None], axis=1)
        parts.append(ops.take(bag, index, axis=0))
    return keras.layers.Concatenate(name="word")(parts) if len(parts) > 1 else parts[0]
