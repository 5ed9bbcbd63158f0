"""A language model in use, from Python: it reads, goes on, and says how likely a text is.

:mod:`kerasseq.tasks.language_model.export` is the same inside one graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasseq.app.task import Use
from kerasseq.decoding.beam import beam_search
from kerasseq.decoding.sampling import choose, sampling_specs
from kerasseq.decoding.settings import Sampling
from kerasseq.decoding.step import without
from kerasseq.evaluation.paired import Metric, Outcome
from kerasseq.evaluation.perplexity import perplexity
from kerasseq.export.elementary import Elementary
from kerasseq.export.serving import Serving
from kerasseq.tasks.language_model.data import Assets, TextData
from kerasseq.tasks.language_model.export import DEFAULT_K, elementary
from kerasseq.tasks.language_model.report import report
from kerasseq.tasks.language_model.scorer import Scorer, state_specs
from kerasseq.tasks.language_model.serving import serving
from kerasseq.tasks.language_model.settings import LanguageModelSettings
from kerasseq.text.codec import Codec, StreamDecoder
from kerasseq.text.vocabulary import EOS, SPECIAL_TOKENS, UNK

VALIDATION_STREAMS = 20
"""Into how many streams validation text is cut while a model is trained, which is faster."""

ERRORS, BEFORE = 1000, 20
"""Most tokens in a list of errors, and how many are shown before each."""

PIECE = 512
"""Tokens of a prompt or a line that are read at once."""


class Continuation(NamedTuple):
    """A text that was generated.

    Attributes:
        text: the prompt, as the model reads it, and what follows.
        tokens: how many follow, a stop token counted.
        log_prob: of these, given the prompt and that none of them is the unknown word.
    """

    text: str
    tokens: int
    log_prob: float


class TextModel(Use[TextData]):
    """A language model in use. A text begins like a line: after EOS, in a zero state.

    Unknown words can be read and scored; they are never generated.

    Args:
        model: a :class:`kerasseq.tasks.language_model.model.RecurrentLanguageModel`.
        settings: of the task.
        assets: of the model.

    Attributes:
        draw: ``(last token [1], states, sampling, seed, position)`` to the next token, its
            log-probability and the states after it.
    """

    def __init__(self, model: keras.Model, settings: LanguageModelSettings, assets: Assets):
        self.model, self.settings, self.codec = model, settings, assets.codec
        self._counts = assets.counts
        self._scorer = Scorer(model)
        ids, token = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        state = state_specs(model)
        known = without(model.step, [UNK])
        self._read = tf.function(
            lambda ids, states: model(ids, states, training=False)[2],
            input_signature=[ids, state],
            autograph=False,
        )
        self._next = tf.function(model.step, input_signature=[token, state], autograph=False)
        self._step = tf.function(known, input_signature=[token, state], autograph=False)
        number = tf.TensorSpec([], tf.int64)

        def draw(token: Any, state: Any, sampling: Sampling, seed: Any, at: Any) -> Any:
            log_probs, state = known(token, state)
            chosen = choose(log_probs, sampling, seed, at)
            return chosen, tf.gather(log_probs, chosen, batch_dims=1), state

        self.draw = tf.function(
            draw, input_signature=[token, state, sampling_specs(), number, number], autograph=False
        )

    def read(self, ids: np.ndarray) -> tuple[Any, Any]:
        """The last token of a context, int32 `[1]`, and the state before it is read.

        Args:
            ids: of the text, int32 `[T]`; may be empty.
        """
        context = np.concatenate([[EOS], ids]).astype(np.int32)
        states = self.model.initial_state(1)
        for start in range(0, len(ids), PIECE):
            piece = context[None, start : min(start + PIECE, len(ids))]
            states = self._read(tf.constant(piece), states)
        return tf.constant(context[-1:]), states

    def unknown(self, text: str) -> int:
        """How many tokens of a text the model does not know."""
        return int(np.count_nonzero(self.codec.encode(text) == UNK))

    def next(self, text: str, k: int) -> list[tuple[str, float]]:
        """The `k` likeliest next tokens and their probabilities, likeliest first.

        A line end is `"\\n"`, an unknown word `"<unk>"`.
        """
        token, states = self.read(self.codec.encode(text))
        log_probs, _ = self._next(token, states)
        found = tf.math.top_k(log_probs[0], min(k, int(self.model.embedding.predictable.sum())))
        return [
            (self.codec.spellings[i], float(np.exp(p)))
            for i, p in zip(found.indices.numpy().tolist(), found.values.numpy(), strict=True)
        ]

    def stream(
        self, text: str, length: int, sampling: Sampling, seed: int, stop: Sequence[int] = ()
    ) -> Iterator[tuple[str, float]]:
        """Goes on with a text, token by token.

        Args:
            text: may be empty.
            length: most tokens to generate.
            sampling: how they are drawn.
            seed: same seed, same text.
            stop: ids that end it.

        Yields:
            The text that each token adds, and its log-probability (given that it is not the
            unknown word), whatever the temperature. First comes the prompt as the model reads it,
            with 0.
        """
        ids = self.codec.encode(text)
        decoder = StreamDecoder(self.codec)
        yield "".join(decoder.push(int(token)) for token in ids), 0.0
        token, states = self.read(ids)
        for at in range(length):
            token, log_prob, states = self.draw(token, states, sampling, seed, at)
            chosen = int(token[0])
            yield decoder.push(chosen), float(log_prob[0])
            if chosen in stop:
                break

    def generate(
        self, text: str, length: int, sampling: Sampling, seed: int, stop: Sequence[int] = ()
    ) -> Continuation:
        """The whole of :meth:`stream`."""
        (prompt, _), *rest = self.stream(text, length, sampling, seed, stop)
        return Continuation(
            prompt + "".join(added for added, _ in rest), len(rest), sum(p for _, p in rest)
        )

    def beams(
        self,
        text: str,
        length: int,
        width: int,
        n_best: int = 1,
        alpha: float = 1.0,
        stop: Sequence[int] = (EOS,),
    ) -> list[Continuation]:
        """The continuations of lowest perplexity that a beam finds; see
        :func:`kerasseq.decoding.beam.beam_search`.

        Args:
            text: may be empty.
            length: most tokens of a continuation.
            width: of the beam.
            n_best: how many are returned.
            alpha: strength of the length normalisation; 1 ranks by perplexity.
            stop: ids that end a continuation.
        """
        ids = self.codec.encode(text)
        token, states = self.read(ids)
        found = beam_search(
            self._step, states, token, width, length, list(stop), alpha, n_best, "average"
        )
        return [
            Continuation(self.codec.decode([*ids, *tokens[:count]]), int(count), float(log_prob))
            for tokens, count, log_prob in zip(
                found.tokens[0].numpy().tolist(),
                found.lengths[0].numpy().tolist(),
                found.log_probs[0].numpy(),
                strict=True,
            )
            if count
        ]

    def score(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Log-probability and perplexity of each line, by the chain rule, its end counted.

        A line of any length is read in pieces, with the state carried.

        Yields:
            ``text``, ``log_prob`` in nats, ``perplexity``, ``tokens``, ``unknown`` (how many of
            them the model does not know) and ``token_log_probs``, pairs of token and log_prob.
        """
        for line in lines:
            ids = np.append(self.codec.encode(line), np.int32(EOS))
            nll = self._scorer.nll(ids)
            total = float(nll.sum(dtype=np.float64))
            yield {
                "text": line,
                "log_prob": -total,
                "perplexity": perplexity(total / len(ids)),
                "tokens": len(ids),
                "unknown": int(np.count_nonzero(ids == UNK)),
                "token_log_probs": _Pairs(self.codec, ids, nll),
            }

    def validate(self, data: TextData) -> dict[str, float]:
        """Perplexity and loss in nats on the validation split, read in some streams."""
        nll = self._nll(data.splits["validation"], VALIDATION_STREAMS)
        loss = float(nll.mean(dtype=np.float64))
        return {"perplexity": perplexity(loss), "loss": loss}

    def evaluate(self, data: TextData, split: str) -> dict[str, Any]:
        """See :func:`kerasseq.tasks.language_model.report.report`."""
        ids = data.splits[split]
        nll = self._nll(ids, self.settings.score_streams)
        characters = data.report["splits"][split]["characters"]
        figures = report(nll, ids, characters, self._counts)
        return {"level": self.settings.text.level, **figures}

    def errors(self, data: TextData, split: str) -> Iterator[dict[str, Any]]:
        """The tokens that the model held least likely, at most :data:`ERRORS`: ``line`` and
        ``position`` (from 1), what stands ``before``, ``token``, its ``probability``."""
        ids = data.splits[split]
        nll = self._nll(ids, self.settings.score_streams)
        starts = _line_starts(ids)
        for at in np.argsort(-nll, kind="stable")[:ERRORS].tolist():
            line = int(np.searchsorted(starts, at, side="right"))
            first = max(int(starts[line - 1]), at - BEFORE)
            yield {
                "line": line,
                "position": at - int(starts[line - 1]) + 1,
                "before": self.codec.decode(ids[first:at]),
                "token": self.codec.spellings[int(ids[at])],
                "probability": float(np.exp(-nll[at])),
            }

    def outcome(self, data: TextData, split: str) -> Outcome:
        """The nll of each line, and of its tokens; the latter is compared only with a model of the
        same vocabulary."""
        ids = data.splits[split]
        nll = self._nll(ids, self.settings.score_streams).astype(np.float64)
        starts = _line_starts(ids)
        lines = np.add.reduceat(nll, starts)
        tokens = np.diff([*starts, len(ids)]).astype(np.float64)
        known = self.codec.vocabulary.tokens
        mark = hashlib.sha256("\n".join(known).encode("utf-8", "surrogatepass")).hexdigest()[:8]
        metrics = [
            Metric("nats a line", "min", lines, np.ones(len(lines))),
            Metric(
                f"nats a token (vocabulary {mark})", "min", lines, tokens, ("loss", "perplexity")
            ),
        ]
        return Outcome("lines", metrics)

    def _nll(self, ids: np.ndarray, streams: int) -> np.ndarray:
        """The nll of each token of a text, read as in training."""
        if self.settings.streams.mode == "sentences":
            return self._scorer.nll_of_sentences(ids)
        return self._scorer.nll(ids, streams)

    def predict(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Each text with its likeliest next tokens; see :func:`next_result`."""
        for text in texts:
            yield next_result(text, *zip(*self.next(text, DEFAULT_K), strict=True))

    def serving(self, samples: Sequence[str]) -> Serving:
        """Next tokens, continuations and scores of texts."""
        return serving(self, samples)

    def elementary(self) -> Elementary:
        """Token by token, with the states handed on."""
        return elementary(self.model, self.settings, self.codec)


def _line_starts(ids: np.ndarray) -> np.ndarray:
    """Where each line begins, int64 ``[L]``."""
    ends = np.flatnonzero(ids[:-1] == EOS) + 1
    return np.concatenate([[0], ends])


class _Pairs:
    """Tokens and their log-probabilities, spelled only if they are asked for."""

    def __init__(self, codec: Codec, ids: np.ndarray, nll: np.ndarray):
        self._codec, self._ids, self._nll = codec, ids, nll

    def __iter__(self) -> Iterator[tuple[str, float]]:
        for token, nll in zip(self._ids.tolist(), self._nll.tolist(), strict=True):
            yield self._codec.spellings[token], -nll


def next_result(text: str, tokens: Iterable[str], shares: Iterable[float]) -> dict[str, Any]:
    """A text with its likeliest next tokens, as JSON values."""
    rows = [{"token": t, "probability": p} for t, p in zip(tokens, shares, strict=True)]
    return {"text": text, "next": rows}


def stop_ids(codec: Codec, stops: Iterable[str]) -> list[int]:
    """The ids of stop tokens; `"\\n"` is the line end.

    Raises:
        ValueError: for what is not one known token.
    """
    found = []
    for stop in stops:
        ids = codec.encode(stop)
        if len(ids) != 1 or ids[0] == UNK:
            known = ", ".join(map(repr, codec.vocabulary.tokens[len(SPECIAL_TOKENS) :][:5]))
            raise ValueError(f"{stop!r} is not a token of the vocabulary (such as {known})")
        found.append(int(ids[0]))
    return found


def shown_token(token: str) -> str:
    """A token as people are shown it."""
    return {"\n": "(line end)", " ": "(blank)", "\t": "(tab)"}.get(token, token)
