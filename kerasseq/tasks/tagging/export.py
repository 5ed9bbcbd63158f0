"""A tagger that takes raw strings, or words."""

from __future__ import annotations

import keras
import tensorflow as tf

from kerasseq.text.splitter import WordSplitter
from kerasseq.text.splitter_graph import SplitterOps
from kerasseq.text.word_features import WordFeatures
from kerasseq.text.word_features_graph import WordFeatureOps

GROUP, BUDGET = 32, 4096
"""Most sentences, and most positions with padding, that the network sees together."""

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

        def network(index: tf.RaggedTensor, features: dict[str, tf.Tensor]) -> list[tf.Tensor]:
            """Tags and probabilities of some sentences, one after the other."""
            distinct, position = tf.unique(index.values)
            own = {
                name: tf.gather(part, tf.pad(distinct, [[1, 0]])) for name, part in features.items()
            }
            padded = index.with_values(position + 1).to_tensor(0)
            # the network gets one step at least, whatever the texts
            missing = tf.cast(tf.shape(padded)[1] == 0, tf.int32)
            padded = tf.pad(padded, [[0, 0], [0, missing]])
            outputs = model({"index": padded, **own}, training=False)
            tags = tf.cast(outputs["tags"], tf.int32)
            shares = tf.gather(outputs["shares"], tags, batch_dims=2)
            return [tf.boolean_mask(part, padded != 0) for part in (tags, shares)]

        def tag(words: tf.RaggedTensor) -> dict[str, tf.Tensor]:
            index, features = self.featurise(words)
            # sentences of similar length go together: less padding, several times the speed
            lengths = tf.cast(index.row_lengths(), tf.int32)
            order = tf.argsort(lengths, direction="DESCENDING", stable=True)
            ordered = tf.gather(index, order)
            lengths = tf.gather(lengths, order)
            count = tf.size(order)
            arrays = [
                tf.TensorArray(kind, 0, dynamic_size=True, element_shape=[None], infer_shape=False)
                for kind in (tf.int32, tf.float32)
            ]

            def body(k: tf.Tensor, at: tf.Tensor, *arrays: tf.TensorArray) -> tuple:
                size = tf.clip_by_value(BUDGET // tf.maximum(lengths[at], 1), 1, GROUP)
                found = network(ordered[at : at + size], features)
                written = (a.write(k, part) for a, part in zip(arrays, found, strict=True))
                return k + 1, at + size, *written

            _, _, *arrays = tf.while_loop(lambda k, at, *_: at < count, body, (0, 0, *arrays))
            back = tf.argsort(order)
            tags, shares = (
                tf.gather(ordered.with_values(array.concat()), back).to_tensor() for array in arrays
            )
            tokens = words.to_tensor("")
            return {
                "tokens": tokens,
                "tags": tf.where(tokens != "", tf.gather(names, tags), ""),
                "probabilities": shares,
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
