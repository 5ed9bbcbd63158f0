"""How well a language model predicts a text: perplexity, bits per character, frequency bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasseq.tasks.language_model.streams import (
    StreamBatches,
    StreamSettings,
    inputs_of,
    padded,
    sentences,
)
from kerasseq.text.vocabulary import UNK

POSITIONS = 1280
"""Tokens that are scored at once."""

MOST_NATS = 88.0
"""Where a perplexity ends, which float32 could not hold."""

BANDS = (10, 100, 1_000, 10_000, 100_000)
"""Training frequencies at which a band of types ends."""


def perplexity(nats: float) -> float:
    """`exp` of a mean nll in nats, cut at a large number."""
    return math.exp(min(nats, MOST_NATS))


def state_specs(model: keras.Model) -> list[tf.TensorSpec]:
    """Of the states of any number of rows, for an input signature."""
    return [tf.TensorSpec([None, *s.shape[1:]], s.dtype) for s in model.initial_state(1)]


class Scorer:
    """The nll of every token of a text, by the model's full distribution.

    Args:
        model: a :class:`kerasseq.tasks.language_model.model.RecurrentLanguageModel`.
        with_outputs: whether the stack's outputs are given too.
    """

    def __init__(self, model: keras.Model, with_outputs: bool = False):
        self._model = model
        ids, states = tf.TensorSpec([None, None], tf.int32), state_specs(model)

        def score(ids: Any, targets: Any, states: Any) -> Any:
            outputs, _, states = model(ids, states, training=False)
            nll = model.nll(outputs, targets)
            return nll, states, outputs if with_outputs else None

        self._score = tf.function(score, input_signature=[ids, ids, states])

    def pieces(self, ids: np.ndarray, streams: int = 1) -> Iterator[tuple[np.ndarray, Any, Any]]:
        """Reads a text in pieces, the state carried from one to the next.

        Args:
            ids: int32 `[N]`; EOS stands before the first.
            streams: into how many parts the text is cut, each of which starts at zeros.

        Yields:
            Positions, int64 `[n]`; the nll of the tokens there, in nats, float32 `[n]`; and the
            outputs `[n, units]`, or None.
        """
        streams = min(streams, max(1, len(ids)))
        length = max(1, POSITIONS // streams)
        settings = StreamSettings(size=streams, length=length, vary_length=False, rotate=False)
        batches = StreamBatches(ids, settings, 0)
        states = self._model.initial_state(streams)
        for piece in batches.epoch(0):
            batch = batches.fetch(piece)
            nll, states, outputs = self._score(
                tf.constant(batch["ids"]), tf.constant(batch["targets"]), states
            )
            valid = batch["weights"] > 0
            positions = batches.positions(piece)[valid]
            yield positions, nll.numpy()[valid], None if outputs is None else outputs.numpy()[valid]

    def nll(self, ids: np.ndarray, streams: int = 1) -> np.ndarray:
        """The nll of each token of a text, in nats, float32 `[N]`; see :meth:`pieces`."""
        found = np.empty(len(ids), np.float32)
        for positions, nll, _ in self.pieces(ids, streams):
            found[positions] = nll
        return found

    def nll_of_sentences(self, ids: np.ndarray) -> np.ndarray:
        """The same where every line stands for itself; lines of similar length go together.

        Args:
            ids: int32 `[N]`, each line ended by EOS.
        """
        inputs = inputs_of(ids)
        starts, lengths = sentences(ids, max(1, len(ids)))
        found = np.empty(len(ids), np.float32)
        order = np.argsort(-lengths, kind="stable")
        while len(order):
            longest = int(lengths[order[0]])
            rows, order = np.split(order, [max(1, POSITIONS // longest)])
            states = self._model.initial_state(len(rows))
            for start in range(0, longest, POSITIONS):
                steps = np.arange(start, min(start + POSITIONS, longest))
                at = starts[rows][:, None] + steps
                batch = padded(inputs, ids, at, lengths[rows] - start)
                nll, states, _ = self._score(
                    tf.constant(batch["ids"]), tf.constant(batch["targets"]), states
                )
                valid = batch["weights"] > 0
                found[at[valid]] = nll.numpy()[valid]
        return found


def evaluator(
    model: keras.Model, sentence_mode: bool, streams: int
) -> Callable[[np.ndarray], np.ndarray]:
    """The nll of each token of a text, int32 `[N]` -> float32 `[N]`, read as in training.

    Args:
        model: a :class:`kerasseq.tasks.language_model.model.RecurrentLanguageModel`.
        sentence_mode: whether every line stands for itself.
        streams: else into how many streams a text is cut.
    """
    scorer = Scorer(model)
    return scorer.nll_of_sentences if sentence_mode else lambda ids: scorer.nll(ids, streams)


def report(nll: np.ndarray, ids: np.ndarray, characters: int, counts: np.ndarray) -> dict[str, Any]:
    """What a text's nll comes to.

    Perplexity is that of the summed nll over the summed tokens, line ends and unknown words
    counted.

    Args:
        nll: float `[N]`, in nats.
        ids: the tokens, int32 `[N]`.
        characters: of the text as it was written.
        counts: training frequency of every id, int64 `[V]`.
    """
    total = float(nll.sum(dtype=np.float64))
    nats = total / len(ids)
    return {
        "tokens": len(ids),
        "nll": round(total, 3),
        "nats_per_token": round(nats, 6),
        "perplexity": round(perplexity(nats), 4),
        "bits_per_token": round(nats / math.log(2), 6),
        "characters": characters,
        "bits_per_character": round(total / math.log(2) / max(1, characters), 6),
        "unknown": int(np.count_nonzero(ids == UNK)),
        "bands": bands(nll, ids, counts),
    }


def bands(nll: np.ndarray, ids: np.ndarray, counts: np.ndarray) -> list[dict[str, Any]]:
    """Perplexity by how often a token occurs in training; unknown words are a band of their own.

    Args:
        nll, ids: of the text, `[N]`.
        counts: training frequency of every id, int64 `[V]`.
    """
    frequency = counts[ids]
    edges = [0, *BANDS, np.iinfo(np.int64).max]
    names = [f"{low + 1:,} to {high:,}" for low, high in zip(edges, BANDS, strict=False)]
    names += [f"over {BANDS[-1]:,}"]
    parts = {"unknown": ids == UNK}
    for name, low, high in zip(names, edges, edges[1:], strict=False):
        parts[name] = (ids != UNK) & (frequency > low) & (frequency <= high)
    parts["never"] = (ids != UNK) & (frequency == 0)
    return [
        {
            "frequency": name,
            "types": len(np.unique(ids[part])),
            "tokens": int(part.sum()),
            "share": round(float(part.mean()), 4),
            "perplexity": round(perplexity(float(nll[part].mean(dtype=np.float64))), 2),
            "nll_share": round(float(nll[part].sum() / max(float(nll.sum()), 1e-30)), 4),
        }
        for name, part in parts.items()
        if part.any()
    ]


def report_lines(report: dict[str, Any]) -> list[str]:
    """A report for people."""
    if report["level"] == "char":
        head = (
            f"{report['nats_per_token']:.4f} nats, {report['bits_per_token']:.4f} bits per "
            f"character (perplexity {report['perplexity']:.3f})"
        )
    else:
        head = (
            f"perplexity {report['perplexity']:.2f} ({report['nats_per_token']:.4f} nats a token)"
        )
    lines = [
        head,
        f"{report['tokens']:,} tokens, line ends counted; {report['unknown']:,} of them unknown",
        "  in training       tokens   share  perplexity  share of nll",
    ]
    for band in report["bands"]:
        lines.append(
            f"  {band['frequency']:<17} {band['tokens']:>7,} {band['share']:>7.1%}  "
            f"{band['perplexity']:>10,.2f}  {band['nll_share']:>12.1%}"
        )
    return lines
