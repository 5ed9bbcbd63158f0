"""Models for runtimes without strings: what takes ids, in elementary ops, one sequence at a time.

LiteRT and ONNX know no string ops, no hash tables, and no loop whose batch is not fixed, so text is
cut, looked up and searched outside the model, by a client that needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kerasseq.layers.crf import CRF
from kerasseq.layers.recurrent_stack import RecurrentStack
from kerasseq.text.codec import Codec
from kerasseq.text.subwords import SubwordCodec, patterns
from kerasseq.text.tokenizer import MARKUP, token_pattern
from kerasseq.text.vocabulary import PAD
from kerasseq.text.word_features import WordFeatures


def text_line(result: Mapping[str, Any]) -> str:
    """The text of a result."""
    return result["text"]


@dataclass(frozen=True)
class Elementary:
    """What is exported, and what its client has to give.

    Attributes:
        model: whose variables the functions read.
        functions: by name, each with an input signature of named tensors and a dict of outputs.
        vocabulary: what the client reads, as JSON values.
        client: name of the client, a file of ``kerasseq/export/clients``.
        settings: of the task, with which ``predict`` does what the client does.
        answer: what the client must give for a result of ``predict``.
        line: the line that it is given then; None for a result that no line gives.
    """

    model: keras.Model
    functions: Mapping[str, Any]
    vocabulary: Mapping[str, Any]
    client: str
    settings: Any
    answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    line: Callable[[Mapping[str, Any]], str | None] = text_line

    def module(self) -> tf.Module:
        """The functions, and every variable of theirs, as a SavedModel is made of them."""
        module = tf.Module()
        module.weights = [variable.value for variable in self.model.variables]
        module.functions = dict(self.functions)
        return module


def step_by_step(model: keras.Model) -> keras.Model:
    """The model, its recurrent layers as loops over their cells' own equations."""
    for layer in model._flatten_layers():
        if isinstance(layer, RecurrentStack):
            layer.kernel, layer.use_cudnn = "loop", False
    return model


def _ids(name: str, *shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.int32, name)


def _tokenizer() -> dict[str, str]:
    return {"markup": MARKUP, "token": token_pattern(False).pattern}


# -- a classifier ----------------------------------------------------------------------------------


def classifier(
    model: keras.Model,
    settings: Any,
    tokens: Sequence[str],
    labels: Sequence[str],
    kept: tuple[int, int],
    ngrams: Any = None,
) -> Elementary:
    """``classify(ids [1, T], ngrams [1, G]) -> probabilities [1, classes]``.

    Args:
        model: ids ``[B, T]`` to logits ``[B, classes]``.
        settings: of the task.
        tokens: of the vocabulary.
        labels: name of each class.
        kept: how many tokens of the front and of the end are kept of a long text.
        ngrams: the model's :class:`kerasseq.layers.BagOfNgrams`, if it has one; then ``ngrams`` are
            rows of its vectors, -1 for none.
    """
    step_by_step(model)
    if ngrams is None:

        def classify(ids: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": tf.nn.softmax(model(ids, training=False))}

        signature = [_ids("ids", 1, None)]
    else:
        inner = keras.Model([model.input, ngrams.output], model.output)

        def classify(ids: tf.Tensor, ngrams: tf.Tensor) -> dict[str, tf.Tensor]:  # type: ignore[misc]
            bag = pooled(ngrams)
            return {"probabilities": tf.nn.softmax(inner([ids, bag], training=False))}

        pooled = ngrams.pool
        signature = [_ids("ids", 1, None), _ids("ngrams", 1, None)]
    functions = {"classify": tf.function(classify, input_signature=signature)}
    vocabulary = {
        **_tokenizer(),
        "tokens": list(tokens),
        "labels": list(labels),
        "head": kept[0],
        "tail": kept[1],
        "longest": ngrams.longest if ngrams else 0,
        "ngrams": ngrams.keys.numpy().tolist() if ngrams else [],
    }

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {name: result[name] for name in ("label", "probability")}

    return Elementary(model, functions, vocabulary, "sentiment", settings, answer)


# -- a tagger --------------------------------------------------------------------------------------


def tagger(
    model: keras.Model,
    settings: Any,
    features: WordFeatures,
    tags: Sequence[str],
    kept: tuple[int, int],
    characters: Any = None,
    crf: CRF | None = None,
) -> Elementary:
    """``spell(characters [1, C]) -> vector [1, units]`` of one word, and ``tag(words [T], vectors
    [T, units], affixes [T, A]) -> scores [1, T, tags]`` of one sentence.

    Args:
        model: of a word table's inputs, with the layer ``scores``.
        settings: of the task.
        features: words to ids.
        tags: name of each tag.
        kept: how many characters of the front and of the end are kept of a long word.
        characters: the model's :class:`kerasseq.layers.CharacterEncoder`, if it has one.
        crf: the model's, if it has one; its decoding is the client's.
    """
    step_by_step(model)
    longest = features.settings.affixes
    inputs = {name: model.input[name] for name in ("index", "words", "affixes")}
    functions: dict[str, Any] = {}
    signature = [_ids("words", None)]
    if characters is not None:
        inputs["vectors"] = characters.output

        def spell(characters_: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"vector": characters(characters_[tf.newaxis])[0]}

        functions["spell"] = tf.function(spell, input_signature=[_ids("characters", 1, None)])
        signature.append(tf.TensorSpec([None, characters.units], tf.float32, "vectors"))
    if longest:
        signature.append(_ids("affixes", None, 2 * longest))
    inner = keras.Model(list(inputs.values()), model.get_layer("scores").output)
    names = [spec.name for spec in signature]

    def tag(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        # the first row stands for padding, of which there is none
        rows = {
            name: tf.pad(value, [[1, 0], *[[0, 0]] * (len(value.shape) - 1)])
            for name, value in zip(names, given, strict=True)
        }
        index = tf.range(1, tf.shape(given[0])[0] + 1)[tf.newaxis]
        rows["index"] = index
        if "vectors" in rows:
            rows["vectors"] = rows["vectors"][tf.newaxis]
        rows.setdefault("affixes", tf.fill([tf.shape(rows["words"])[0], 2 * longest], PAD))
        return {"scores": inner([rows[name] for name in inputs], training=False)}

    functions["tag"] = tf.function(tag, input_signature=signature)
    decoding = None
    if crf is not None:
        parts = crf.effective_weights()
        decoding = {
            name: values.numpy().tolist()
            for name, values in zip(("transitions", "start", "end"), parts, strict=True)
        }
    vocabulary = {
        "words": list(features.words.tokens),
        "characters": list(features.characters.tokens),
        "affixes": list(features.affixes.tokens),
        "tags": list(tags),
        "head": kept[0],
        "tail": kept[1],
        "longest": longest,
        "spells": characters is not None,
        "crf": decoding,
    }

    def line(result: Mapping[str, Any]) -> str | None:
        # a word may hold a blank, which the client takes for the end of it
        text = " ".join(result["tokens"])
        return text if text.split() == result["tokens"] else None

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {"tokens": result["tokens"], "tags": result["tags"]}

    return Elementary(model, functions, vocabulary, "pos_tagging", settings, answer, line)


# -- a language model ------------------------------------------------------------------------------


def language_model(model: keras.Model, settings: Any, codec: Codec, count: int) -> Elementary:
    """``step(ids [1], state_0 [1, units], ..) -> log_probs [1, V], new_state_0, ..``.

    Args:
        model: a :class:`kerasseq.tasks.language_model.model.RecurrentLanguageModel`.
        settings: of the task.
        codec: text to ids.
        count: next tokens that the client shows.
    """
    step_by_step(model)
    sizes = [state.shape[-1] for state in model.initial_state(1)]
    names = [f"state_{i}" for i in range(len(sizes))]

    def step(ids: tf.Tensor, *states: tf.Tensor) -> dict[str, tf.Tensor]:
        log_probs, after = model.step(ids, list(states))
        return {
            "log_probs": log_probs,
            **dict(zip(map("new_{}".format, names), after, strict=True)),
        }

    states = [
        tf.TensorSpec([1, size], tf.float32, name) for name, size in zip(names, sizes, strict=True)
    ]
    functions = {"step": tf.function(step, input_signature=[_ids("ids", 1), *states])}
    vocabulary = {
        **_tokenizer(),
        "units": codec.units,
        "tokens": list(codec.vocabulary.tokens),
        "shown": codec.spellings,
        "states": sizes,
        "count": min(count, int(model.embedding.predictable.sum())),
    }

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {"probabilities": [row["probability"] for row in result["next"]]}

    return Elementary(model, functions, vocabulary, "language_model", settings, answer)


# -- a translation model ---------------------------------------------------------------------------


def translator(
    model: keras.Model,
    settings: Any,
    source: SubwordCodec,
    target: SubwordCodec,
    longest: int,
    copies: bool,
) -> Elementary:
    """``encode(source [1, S]) -> memory_0, .., state_0, ..`` and ``step(token [1], memory_0, ..,
    state_0, ..) -> log_probs [1, V], attention [1, S], next_state_0, ..``.

    Args:
        model: a :class:`kerasseq.tasks.translation.model.RecurrentTranslator`.
        settings: of the task, with a beam of 1.
        source, target: text to ids and back.
        longest: tokens to which a longer source is cut.
        copies: whether the unknown word is copied from the source.
    """
    step_by_step(model)
    parts: list[Any] = []

    def flat() -> tuple[list[Any], list[str]]:
        state, memory = parts
        states, memories = tf.nest.flatten(state), tf.nest.flatten(memory)
        names = [f"state_{i}" for i in range(len(states))]
        return [*states, *memories], [*names, *(f"memory_{i}" for i in range(len(memories)))]

    def encode(source_: tf.Tensor) -> dict[str, tf.Tensor]:
        parts[:] = model.encode(source_, tf.ones_like(source_, tf.bool))
        values, names = flat()
        return {
            name: tf.cast(value, tf.int32) if value.dtype == tf.bool else value
            for name, value in zip(names, values, strict=True)
        }

    functions = {"encode": tf.function(encode, input_signature=[_ids("source", 1, None)])}
    outputs = functions["encode"].get_concrete_function().structured_outputs
    values, names = flat()
    given = [tf.TensorSpec(outputs[name].shape, outputs[name].dtype, name) for name in names]
    kinds = [value.dtype for value in values]
    structure = list(parts)

    def step(token: tf.Tensor, *rest: tf.Tensor) -> dict[str, tf.Tensor]:
        typed = [tf.cast(value, kind) for value, kind in zip(rest, kinds, strict=True)]
        state, memory = tf.nest.pack_sequence_as(structure, typed)
        after, logits, attention = model.decoder.step(state, token, memory)
        new = {f"next_state_{i}": value for i, value in enumerate(tf.nest.flatten(after))}
        return {"log_probs": tf.nn.log_softmax(logits), "attention": attention, **new}

    functions["step"] = tf.function(step, input_signature=[_ids("token", 1), *given])
    runs, unit = patterns(False)
    vocabulary = {
        "run": runs.pattern,
        "unit": unit.pattern,
        "level": source.level,
        "source": list(source.vocabulary.tokens),
        "merges": [" ".join(pair) for pair in source.merges],
        "target": target.spellings,
        "longest": longest,
        "copies": copies,
    }

    def answer(result: Mapping[str, Any]) -> dict[str, Any]:
        return {"translation": result["translation"]}

    return Elementary(model, functions, vocabulary, "translation", settings, answer)
