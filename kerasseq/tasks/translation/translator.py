"""What a translation model is used for, from Python.

:mod:`kerasseq.tasks.translation.export` is the same inside one graph.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasseq.config import replace
from kerasseq.data.batches import TokenBatchSettings, blocks, fixed_batches, lengths_of, pad
from kerasseq.tasks.translation.data import EncodedPairs, batch_of, cut_source, encode_sources
from kerasseq.decoding.encoder_decoder import attention_of, draw, search
from kerasseq.decoding.settings import BeamSettings
from kerasseq.export.serving import EDGE_CASES, Serving, Signature, text_signature
from kerasseq.tasks.translation.export import TextTranslator, can_copy, ends_of
from kerasseq.text.shortened import shortened
from kerasseq.text.subwords import SubwordCodec
from kerasseq.text.vocabulary import BOS, UNK

BLOCK = 1024
"""Sentences that are sorted by length together."""

HYPOTHESES = 320
"""Most hypotheses in a batch."""

CELLS = 2**16
"""Most hypotheses times source tokens in a batch, unless one sentence has more."""

SCORED = 2**12
"""Tokens, padding counted, of a batch whose nll is computed."""


class Translation(NamedTuple):
    """A translation.

    Attributes:
        text: readable.
        score: its log-probability, normalised by length, and the coverage penalty.
        log_prob: in nats, of all its tokens.
        tokens: as the vocabulary spells them, EOS last; without it the translation was cut.
        attention: for each token, the weight of each source token, float32 `[T, S]`; None if it was
            not asked for.
    """

    text: str
    score: float
    log_prob: float
    tokens: list[str]
    attention: np.ndarray | None = None


class Translator:
    """A translation model with its codecs.

    With a vocabulary of whole words, an unknown one in a translation becomes the source word that
    most attention was paid to; otherwise it is never given.

    Args:
        model: a :class:`kerasseq.tasks.translation.model.RecurrentTranslator`.
        source_codec, target_codec: text to ids and back.
        longest: tokens to which a longer source is cut.
    """

    def __init__(
        self,
        model: keras.Model,
        source_codec: SubwordCodec,
        target_codec: SubwordCodec,
        longest: int,
    ):
        self.model, self.longest = model, longest
        self.source_codec, self.target_codec = source_codec, target_codec
        ids, lengths = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        whole, real = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        self.copies = can_copy(model, target_codec)
        ends = ends_of(self.copies)

        def searching(beta: Any) -> Any:
            return tf.function(
                lambda source, lengths, width, n_best, alpha, beta=beta: search(
                    model, source, lengths, ends, width, n_best, alpha, beta
                ),
                input_signature=[ids, lengths, whole, whole, real, *([real] * (beta is None))],
            )

        self._search, self._search_covering = searching(0.0), searching(None)
        self._draw = tf.function(
            lambda source, lengths, *how: draw(model, source, lengths, ends, *how),
            input_signature=[ids, lengths, real, tf.TensorSpec([None], tf.int64)],
        )
        self._attention = tf.function(
            lambda source, lengths, outputs: attention_of(model, source, lengths, BOS, outputs),
            input_signature=[ids, lengths, ids],
        )

        def nll(source: Any, lengths: Any, inputs: Any, targets: Any) -> Any:
            mask = tf.sequence_mask(lengths, tf.shape(source)[1])
            return model.nll(model(source, mask, inputs, training=False)[0], targets)

        self._nll = tf.function(nll, input_signature=[ids, lengths, ids, ids])

    def source_tokens(self, text: str) -> list[str]:
        """The tokens that attention is paid to, EOS the last of them."""
        (ids,) = encode_sources([text], self.source_codec, self.longest)
        return self.source_codec.pieces(ids)

    def is_cut(self, text: str) -> bool:
        """Whether a source text has more tokens than are read."""
        # each character is at most 3 in NFC, and a subword may be a blank before them
        if 3 * len(text) + 1 <= self.longest:
            return False
        return len(self.source_codec.encode(text)) > self.longest

    def translate(
        self,
        texts: Iterable[str],
        beam: BeamSettings,
        n_best: int = 1,
        with_attention: bool = False,
    ) -> Iterator[tuple[str, list[Translation]]]:
        """Each text with its best translations, in order; sorted by length block by block.

        Args:
            texts: source sentences; one without a token has one, empty.
            beam: of the search.
            n_best: translations of each text, at most ``beam.size``.
            with_attention: whether to give the attention weights.
        """

        def found(source: Any, lengths: Any, _: Any) -> tuple[Any, Any, Any, Any]:
            how = source, lengths, beam.size, n_best, beam.length_penalty
            penalty = beam.coverage_penalty
            beams = self._search_covering(*how, penalty) if penalty else self._search(*how)
            return beams.tokens, beams.lengths, beams.log_probs, beams.scores

        return self._in_blocks(texts, beam.size, n_best, found, with_attention)

    def sample(
        self, texts: Iterable[str], temperature: float, seed: int
    ) -> Iterator[tuple[str, list[Translation]]]:
        """Each text with a translation that is drawn at random, in order.

        Args:
            texts: source sentences.
            temperature: above 0; below 1 likelier tokens are preferred.
            seed: of the first text; the others have the numbers after it.
        """

        def found(source: Any, lengths: Any, places: np.ndarray) -> tuple[Any, Any, Any, Any]:
            made = self._draw(source, lengths, temperature, seed + places)
            total = tf.reduce_sum(made.log_probs, 1)[:, tf.newaxis]
            return made.tokens[:, tf.newaxis], made.lengths[:, tf.newaxis], total, total

        return self._in_blocks(texts, 1, 1, found, with_attention=False)

    def nll(self, split: EncodedPairs) -> np.ndarray:
        """The summed nll of each target, EOS counted, in nats: float64 `[N]`; of cut sources."""
        found = np.empty(len(split))
        sources = [cut_source(ids, self.longest) for ids in split.sources]
        longer = np.maximum(lengths_of(sources), lengths_of(split.targets))
        for rows in fixed_batches(longer, TokenBatchSettings(tokens=SCORED)):
            batch = batch_of([sources[i] for i in rows], [split.targets[i] for i in rows])
            nll = self._nll(
                *(batch[name] for name in ("source", "source_lengths", "inputs", "targets"))
            )
            found[rows] = (nll.numpy() * batch["weights"]).sum(1, dtype=np.float64)
        return found

    def _in_blocks(
        self,
        texts: Iterable[str],
        width: int,
        n_best: int,
        find: Callable[[Any, Any, np.ndarray], tuple[Any, Any, Any, Any]],
        with_attention: bool,
    ) -> Iterator[tuple[str, list[Translation]]]:
        done = 0
        for block in blocks(iter(texts), BLOCK):
            sources = encode_sources(block, self.source_codec, self.longest)
            results: list[list[Translation]] = [[]] * len(block)
            for rows in _batches(sources, max(1, HYPOTHESES // width)):
                ids, lengths = pad([sources[i] for i in rows])
                outputs = [values.numpy() for values in find(ids, lengths, done + rows)]
                attention: Any = [None] * n_best
                if with_attention or (self.copies and (outputs[0] == UNK).any()):
                    attention = [
                        self._attention(ids, lengths, outputs[0][:, n]).numpy()
                        for n in range(n_best)
                    ]
                for at, row in enumerate(rows):
                    weights = [
                        None if part is None else part[at, :, : lengths[at]] for part in attention
                    ]
                    found = [part[at] for part in outputs]
                    results[row] = list(self._translations(block[row], found, weights))
                    if not with_attention:
                        results[row] = [t._replace(attention=None) for t in results[row]]
            done += len(block)
            yield from zip(block, results, strict=True)

    def _translations(
        self, text: str, outputs: Sequence[Any], attention: Sequence[Any]
    ) -> Iterator[Translation]:
        words = None
        for tokens, length, log_prob, score, weights in zip(*outputs, attention, strict=True):
            if not length:
                continue
            ids = tokens[:length].tolist()
            copies = None
            if weights is not None:
                weights = weights[:length]
                if self.copies and UNK in ids:
                    words = words or self.source_codec.words_of(text)[: self.longest]
                    copies = [words[i] for i in weights[:, :-1].argmax(1)]  # EOS is no word
            yield Translation(
                self.target_codec.decode(ids, copies),
                float(score),
                float(log_prob),
                self.target_codec.pieces(ids),
                weights,
            )


def _batches(sources: Sequence[np.ndarray], most: int) -> Iterator[np.ndarray]:
    """Positions, longest sentences first: at most so many, and fewer of long ones."""
    order = np.argsort([-len(ids) for ids in sources], kind="stable")
    while len(order):
        size = max(1, min(most, CELLS * most // (HYPOTHESES * len(sources[order[0]]))))
        yield order[:size]
        order = order[size:]


def serving(
    model: keras.Model,
    source_codec: SubwordCodec,
    target_codec: SubwordCodec,
    longest: int,
    beam: BeamSettings,
    samples: list[str],
) -> Serving:
    """The exported form of a translation model, compared with :class:`Translator`.

    Args:
        model: without GPU kernels.
        source_codec, target_codec, longest: as there.
        beam: of the search.
        samples: texts to compare on, beside awkward ones.
    """
    parts = model, source_codec, target_codec, longest
    reader, module = Translator(*parts), TextTranslator(*parts, beam)
    verbose = replace(beam, {"size": 3, "length_penalty": 0.6})

    def best(texts: list[str]) -> list[dict[str, Any]]:
        return [
            {"translation": found.text, "score": found.score, "cut": reader.is_cut(text)}
            for text, (found,) in reader.translate(texts, beam)
        ]

    def several(texts: list[str]) -> list[dict[str, Any]]:
        found = reader.translate(texts, verbose, verbose.size, with_attention=True)
        return [
            {
                **verbose_row(
                    reader.source_tokens(text), translations, verbose.size, model.has_attention
                ),
                "cut": reader.is_cut(text),
            }
            for text, translations in found
        ]

    inputs = {"beam_size": verbose.size, "length_penalty": verbose.length_penalty}
    signatures = {
        "serving_default": text_signature(module.serve, best, samples),
        "translate_verbose": Signature(
            module.translate_verbose,
            lambda block: {"text": block, **inputs},
            several,
            [*EDGE_CASES, *samples],
            unpadded,
        ),
    }
    return Serving(module, signatures)


def verbose_row(
    source_tokens: list[str], translations: list[Translation], size: int, has_attention: bool
) -> dict[str, Any]:
    """What ``translate_verbose`` gives for one text, without padding beyond its longest parts."""
    missing = Translation("", -1e30, -1e30, [], np.zeros((0, len(source_tokens)), np.float32))
    rows = [*translations, *[missing] * (size - len(translations))]
    longest = max(len(row.tokens) for row in rows)
    attention = np.zeros((size, longest, len(source_tokens) if has_attention else 0))
    for each, row in zip(attention, rows, strict=True):
        if has_attention:
            each[: len(row.tokens)] = row.attention
    return {
        "translations": [row.text for row in rows],
        "scores": [row.score for row in rows],
        "log_probs": [row.log_prob for row in rows],
        "tokens": [row.tokens + [""] * (longest - len(row.tokens)) for row in rows],
        "attention": attention,
        "source_tokens": source_tokens,
    }


def unpadded(row: dict[str, Any]) -> dict[str, Any]:
    """A row of ``translate_verbose`` without what pads it to the longest of its batch."""
    source = [token for token in row["source_tokens"] if token]
    longest = max(sum(token != "" for token in tokens) for tokens in row["tokens"])
    tokens = [tokens[:longest] for tokens in row["tokens"]]
    whole = {**row, "source_tokens": source, "tokens": tokens}
    if "attention" in row:
        whole["attention"] = [[weights[: len(source)] for weights in part[:longest]]
                              for part in row["attention"]]  # fmt: skip
    return whole


def say_cut(text: str, longest: int) -> None:
    """Warns that not all of a text is translated."""
    rule = f"only its first {longest} tokens are read (text.max_length)"
    print(f"{shortened(text)!r} is cut: {rule}", file=sys.stderr)
