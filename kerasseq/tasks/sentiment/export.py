"""A text classifier that takes raw strings."""

from __future__ import annotations

import keras
import tensorflow as tf

from kerasseq.tasks.sentiment.data import TextSettings
from kerasseq.text.graph import TextToIds
from kerasseq.text.vocabulary import Vocabulary


class TextClassifier(tf.Module):
    """Tokenizer, vocabulary, network and class names in one graph.

    Args:
        model: ids ``[B, T]`` to logits ``[B, classes]``, without GPU kernels.
        vocabulary: of the training data.
        class_names: name of each class.
        settings: how texts are cut.
    """

    def __init__(
        self,
        model: keras.Model,
        vocabulary: Vocabulary,
        class_names: list[str],
        settings: TextSettings,
    ):
        super().__init__()
        self.text_to_ids = TextToIds(vocabulary, settings.max_length, settings.keep)
        self.weights = [variable.value for variable in model.variables]
        names = tf.constant(class_names)

        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            ids, _ = self.text_to_ids(text)
            shares = tf.nn.softmax(model(ids, training=False))
            best = tf.argmax(shares, axis=-1)
            return {
                "label": tf.gather(names, best),
                "probability": tf.reduce_max(shares, axis=-1),
                "probabilities": shares,
            }

        self.serve = tf.function(serve, input_signature=[tf.TensorSpec([None], tf.string, "text")])
