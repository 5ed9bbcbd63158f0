"""A tagger that takes raw strings, or words."""

from __future__ import annotations

import keras
import tensorflow as tf

from kerasseq.text.splitter import WordSplitter
from kerasseq.text.splitter_graph import SplitterOps
from kerasseq.text.word_features import WordFeatures
from kerasseq.text.word_features_graph import WordFeatureOps

AWKWARD_SENTENCES: list[list[str]] = [
    [],
    ["one"],
    ["a" * 2000, "b"],
    ["I\u0307stanbul", "e\u0301te\u0301", "10 000", "<unk>", "<pad>", "\u200b", "👍🏽"],
    ["word"] * 5000,
]
"""Sentences that an export has to stand."""


def pad_tokens(sentences: list[list[str]]) -> dict[str, list[list[str]]]:
    """The input ``tokens`` of a function that takes words, padded by empty strings."""
    width = max(map(len, sentences), default=0)
    return {"tokens": [words + [""] * (width - len(words)) for words in sentences]}


class TextTagger(tf.Module):
    """Word splitter, vocabularies, network, Viterbi and tag names in one graph.

    ``serve`` takes raw texts (string ``[N]``), ``serve_tokens`` words (string ``[N, T]``, padded
    by empty strings). Either gives ``tokens`` and ``tags`` (string ``[N, T]``), ``probabilities``
    of the tags (float32 ``[N, T]``), and ``lengths`` (int32 ``[N]``), beyond which there are empty
    strings and zeros.

    Args:
        model: maps a word table's inputs to ``tags`` and ``shares``, without GPU kernels.
        splitter: raw text to words.
        features: words to the model's inputs.
        tag_names: name of each tag.
    """

    def __init__(
        self,
        model: keras.Model,
        splitter: WordSplitter,
        features: WordFeatures,
        tag_names: list[str],
    ):
        super().__init__()
        self.split = SplitterOps(splitter)
        self.featurise = WordFeatureOps(features)
        self.weights = [variable.value for variable in model.variables]
        names = tf.constant(tag_names)

        def tag(words: tf.RaggedTensor) -> dict[str, tf.Tensor]:
            inputs = self.featurise(words)
            # the network gets one step at least, whatever the texts
            inputs["index"] = tf.pad(
                inputs["index"], [[0, 0], [0, tf.cast(tf.shape(inputs["index"])[1] == 0, tf.int32)]]
            )
            outputs = model(inputs, training=False)
            tags = tf.cast(outputs["tags"], tf.int32)
            shares = tf.gather(outputs["shares"], tags, batch_dims=2)
            tokens = words.to_tensor("")
            valid = inputs["index"] != 0
            width = tf.shape(tokens)[1]
            return {
                "tokens": tokens,
                "tags": tf.where(valid, tf.gather(names, tags), "")[:, :width],
                "probabilities": tf.where(valid, shares, 0.0)[:, :width],
                "lengths": tf.cast(words.row_lengths(), tf.int32),
            }

        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            return tag(self.split(text))

        def serve_tokens(tokens: tf.Tensor) -> dict[str, tf.Tensor]:
            return tag(tf.ragged.boolean_mask(tokens, tokens != ""))

        texts = tf.TensorSpec([None], tf.string, "text")
        words = tf.TensorSpec([None, None], tf.string, "tokens")
        self.serve = tf.function(serve, input_signature=[texts])
        self.serve_tokens = tf.function(serve_tokens, input_signature=[words])
