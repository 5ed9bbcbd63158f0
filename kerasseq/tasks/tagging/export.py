"""A tagger as it is exported: raw strings or words in one graph, or ids for other runtimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasseq.export.elementary import Elementary, ids_spec, step_by_step
from kerasseq.tasks.tagging.data import Assets
from kerasseq.tasks.tagging.model import CHARACTERS, CRF_LAYER, SCORES
from kerasseq.tasks.tagging.settings import TaggingSettings
from kerasseq.text.cut import parts
from kerasseq.text.splitter_graph import SplitterOps
from kerasseq.text.vocabulary import PAD
from kerasseq.text.word_features_graph import WordFeatureOps

CLIENT = Path(__file__).with_name("client.py")

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
        assets: of the model.
    """

    def __init__(self, model: keras.Model, assets: Assets):
        super().__init__()
        self.split = SplitterOps(assets.splitter)
        self.featurise = WordFeatureOps(assets.features)
        self.weights = [variable.value for variable in model.variables]
        self._model = lambda inputs: model(inputs, training=False)  # no layers to be saved
        names = tf.constant(assets.names)

        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._tag(self.split(text), names)

        def serve_tokens(tokens: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._tag(tf.ragged.boolean_mask(tokens, tokens != ""), names)

        texts = tf.TensorSpec([None], tf.string, "text")
        words = tf.TensorSpec([None, None], tf.string, "tokens")
        self.serve = tf.function(serve, input_signature=[texts], autograph=False)
        self.serve_tokens = tf.function(serve_tokens, input_signature=[words], autograph=False)

    def _network(self, index: tf.RaggedTensor, features: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """Tags and probabilities of some sentences, one after the other."""
        distinct, position = tf.unique(index.values)
        own = {name: tf.gather(part, tf.pad(distinct, [[1, 0]])) for name, part in features.items()}
        padded = index.with_values(position + 1).to_tensor(0)
        # the network gets one step at least, whatever the texts
        missing = tf.cast(tf.shape(padded)[1] == 0, tf.int32)
        padded = tf.pad(padded, [[0, 0], [0, missing]])
        outputs = self._model({"index": padded, **own})
        tags = tf.cast(outputs["tags"], tf.int32)
        shares = tf.gather(outputs["shares"], tags, batch_dims=2)
        return [tf.boolean_mask(part, padded != 0) for part in (tags, shares)]

    def _tag(self, words: tf.RaggedTensor, names: tf.Tensor) -> dict[str, tf.Tensor]:
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
            found = self._network(ordered[at : at + size], features)
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


def elementary(model: keras.Model, settings: TaggingSettings, assets: Assets) -> Elementary:
    """``spell(characters [1, C]) -> vector [1, units]`` of one word, and ``tag(words [T], vectors
    [T, units], affixes [T, A]) -> scores [1, T, tags]`` of one sentence.

    A CRF's decoding is the client's.

    Args:
        model: of a word table's inputs.
        settings: of the task.
        assets: of the model.
    """
    step_by_step(model)
    spells = settings.model.characters != "none"
    crf = model.get_layer(CRF_LAYER) if settings.model.output == "crf" else None
    longest = settings.words.affixes
    functions = {}
    signature = [ids_spec("words", None)]
    if spells:
        characters = model.get_layer(CHARACTERS)
        functions["spell"] = _spell(characters)
        signature.append(tf.TensorSpec([None, characters.units], tf.float32, "vectors"))
    if longest:
        signature.append(ids_spec("affixes", None, 2 * longest))
    functions["tag"] = tf.function(
        _tag(model, signature, longest), input_signature=signature, autograph=False
    )
    head, tail = parts(settings.words.max_characters, "head+tail")
    features = assets.features
    vocabulary = {
        "words": list(features.words.tokens),
        "characters": list(features.characters.tokens),
        "affixes": list(features.affixes.tokens),
        "tags": list(assets.names),
        "head": head,
        "tail": tail,
        "longest": longest,
        "spells": spells,
        "crf": None if crf is None else _decoding(crf),
    }
    return Elementary(model, functions, vocabulary, CLIENT, settings, _answer, _line)


def _spell(characters: keras.Layer) -> Any:
    """The vector of one word, of the model's :class:`kerasseq.layers.CharacterEncoder`."""

    def spell(characters_: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"vector": characters(characters_[tf.newaxis])[0]}

    return tf.function(spell, input_signature=[ids_spec("characters", 1, None)], autograph=False)


def _tag(
    model: keras.Model, signature: list[tf.TensorSpec], longest: int
) -> Callable[..., dict[str, tf.Tensor]]:
    """The scores of one sentence; what stands in the signature is given, in its order."""
    names = [spec.name for spec in signature]
    inputs = {name: model.input[name] for name in ("index", "words", "affixes")}
    if "vectors" in names:
        inputs["vectors"] = model.get_layer(CHARACTERS).output
    inner = keras.Model(list(inputs.values()), model.get_layer(SCORES).output)

    def tag(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        # the first row stands for padding, of which there is none
        rows = {
            name: tf.pad(value, [[1, 0], *[[0, 0]] * (len(value.shape) - 1)])
            for name, value in zip(names, given, strict=True)
        }
        rows["index"] = tf.range(1, tf.shape(given[0])[0] + 1)[tf.newaxis]
        if "vectors" in rows:
            rows["vectors"] = rows["vectors"][tf.newaxis]
        rows.setdefault("affixes", tf.fill([tf.shape(rows["words"])[0], 2 * longest], PAD))
        return {"scores": inner([rows[name] for name in inputs], training=False)}

    return tag


def _decoding(crf: Any) -> dict[str, Any]:
    """What Viterbi needs."""
    weights = crf.effective_weights()
    names = ("transitions", "start", "end")
    return {name: values.numpy().tolist() for name, values in zip(names, weights, strict=True)}


def _line(result: Mapping[str, Any]) -> str | None:
    # a word may hold a blank, which the client takes for the end of it
    text = " ".join(result["tokens"])
    return text if text.split() == result["tokens"] else None


def _answer(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"tokens": result["tokens"], "tags": result["tags"]}
