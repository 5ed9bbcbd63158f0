"""A classifier as it is exported: raw strings in one graph, or ids for runtimes without strings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasseq.export.elementary import Elementary, ids_spec, step_by_step
from kerasseq.tasks.sentiment.data import Assets
from kerasseq.tasks.sentiment.model import NGRAMS
from kerasseq.tasks.sentiment.settings import SentimentSettings, TextSettings
from kerasseq.text.cut import parts
from kerasseq.text.graph import TextToIds
from kerasseq.text.tokenizer import tokenizer_patterns

CLIENT = Path(__file__).with_name("client.py")

ANSWERED = ("label", "probability", "labels", "cut")
"""Fields that the client has."""


class TextClassifier(tf.Module):
    """Tokenizer, vocabulary, network and class names in one graph.

    Args:
        model: ids ``[B, T]`` to logits ``[B, classes]``, without GPU kernels.
        assets: vocabulary of the training data, and the classes.
        settings: how texts are cut.
    """

    def __init__(self, model: keras.Model, assets: Assets, settings: TextSettings):
        super().__init__()
        self.text_to_ids = TextToIds(assets.vocabulary, settings.max_length, settings.keep)
        self.weights = [variable.value for variable in model.variables]

        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            ids, cut = self.text_to_ids(text)
            shares = assets.kind.shares(model(ids, training=False))
            return {**assets.kind.answer(shares), "cut": cut}

        self.serve = tf.function(
            serve, input_signature=[tf.TensorSpec([None], tf.string, "text")], autograph=False
        )


def elementary(model: keras.Model, settings: SentimentSettings, assets: Assets) -> Elementary:
    """``classify(ids [1, T], ngrams [1, G]) -> probabilities [1, classes]``.

    ``ngrams`` are rows of the vectors of the model's :class:`kerasseq.layers.BagOfNgrams`, -1 for
    none; a model without it takes ids alone.

    Args:
        model: ids ``[B, T]`` to logits ``[B, classes]``.
        settings: of the task.
        assets: of the model.
    """
    step_by_step(model)
    ngrams = model.get_layer(NGRAMS) if settings.text.ngrams else None
    if ngrams is None:

        def classify(ids: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": assets.kind.shares(model(ids, training=False))}

        signature = [ids_spec("ids", 1, None)]
    else:
        inner = keras.Model([model.input, ngrams.output], model.output)

        def classify(ids: tf.Tensor, ngrams: tf.Tensor) -> dict[str, tf.Tensor]:  # type: ignore[misc]
            bag = pooled(ngrams)
            return {"probabilities": assets.kind.shares(inner([ids, bag], training=False))}

        pooled = ngrams.pool
        signature = [ids_spec("ids", 1, None), ids_spec("ngrams", 1, None)]
    head, tail = parts(settings.text.max_length, settings.text.keep)
    vocabulary = {
        **tokenizer_patterns(),
        "tokens": list(assets.vocabulary.tokens),
        "labels": assets.kind.names,
        "thresholds": assets.kind.thresholds if settings.multi_label else None,
        "head": head,
        "tail": tail,
        "longest": ngrams.longest if ngrams else 0,
        "ngrams": ngrams.keys.numpy().tolist() if ngrams else [],
    }

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in result.items() if name in ANSWERED}

    functions = {"classify": tf.function(classify, input_signature=signature, autograph=False)}
    return Elementary(model, functions, vocabulary, CLIENT, settings, answer)
