"""A translation model in use, from Python.

:mod:`kerasseq.tasks.translation.export` is the same inside one graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasseq.app.task import Use
from kerasseq.config import replace
from kerasseq.data.batches import TokenBatchSettings, blocks, fixed_batches, lengths_of, pad
from kerasseq.data.examples import Pair
from kerasseq.decoding.encoder_decoder import attention_of, draw, search
from kerasseq.decoding.settings import BeamSettings
from kerasseq.evaluation.paired import Metric, bootstrap
from kerasseq.evaluation.perplexity import perplexity
from kerasseq.export.elementary import Elementary
from kerasseq.export.serving import Serving
from kerasseq.tasks.translation.data import (
    Assets,
    EncodedPairs,
    PairData,
    batch_of,
    cut_source,
    encode_sources,
)
from kerasseq.tasks.translation.export import can_copy, elementary, ends_of
from kerasseq.tasks.translation.report import report
from kerasseq.tasks.translation.scores import bleu, need_sacrebleu, resampled
from kerasseq.tasks.translation.serving import Translation, serving
from kerasseq.tasks.translation.settings import TranslationSettings
from kerasseq.text.shortened import shortened
from kerasseq.text.vocabulary import BOS, UNK
from kerasseq.training.progress import note

VALIDATION_SENTENCES = 1000
"""Most validation sentences that are translated while a model is trained."""

BLOCK = 1024
"""Sentences that are sorted by length together."""

HYPOTHESES = 320
"""Most hypotheses in a batch."""

CELLS = 2**16
"""Most hypotheses times source tokens in a batch, unless one sentence has more."""

SCORED = 2**12
"""Tokens, padding counted, of a batch whose nll is computed."""


class Translator(Use[PairData]):
    """A translation model in use.

    With a vocabulary of whole words, an unknown one in a translation becomes the source word that
    most attention was paid to; otherwise it is never given.

    Args:
        model: a :class:`kerasseq.tasks.translation.model.RecurrentTranslator`.
        settings: of the task; of its text, the tokens to which a longer source is cut.
        assets: of the model.
    """

    def __init__(self, model: keras.Model, settings: TranslationSettings, assets: Assets):
        self.model, self.settings = model, settings
        self.longest = settings.text.max_length
        self.source_codec, self.target_codec, self.languages = assets
        ids, lengths = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        whole, real = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        self.copies = can_copy(model, self.target_codec)
        ends = ends_of(self.copies)

        def searching(beta: Any) -> Any:
            return tf.function(
                lambda source, lengths, width, n_best, alpha, beta=beta: search(
                    model, source, lengths, ends, width, n_best, alpha, beta
                ),
                input_signature=[ids, lengths, whole, whole, real, *([real] * (beta is None))],
                autograph=False,
            )

        self._search, self._search_covering = searching(0.0), searching(None)
        self._draw = tf.function(
            lambda source, lengths, *how: draw(model, source, lengths, ends, *how),
            input_signature=[ids, lengths, real, tf.TensorSpec([None], tf.int64)],
            autograph=False,
        )
        self._attention = tf.function(
            lambda source, lengths, outputs: attention_of(model, source, lengths, BOS, outputs),
            input_signature=[ids, lengths, ids],
            autograph=False,
        )

        def nll(source: Any, lengths: Any, inputs: Any, targets: Any) -> Any:
            mask = tf.sequence_mask(lengths, tf.shape(source)[1])
            return model.nll(model(source, mask, inputs, training=False)[0], targets)

        self._nll = tf.function(nll, input_signature=[ids, lengths, ids, ids], autograph=False)

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
        """The summed nll of each first reference, EOS counted, in nats: float64 `[N]`; of cut
        sources."""
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

    def validate(self, data: PairData) -> dict[str, float]:
        """BLEU of greedy translations of some sentences; perplexity and loss in nats of all."""
        split = data.splits["validation"]
        loss = float(self.nll(split).sum()) / sum(map(len, split.targets))
        pairs, texts = self._greedy(split)
        score = bleu(texts, [pair.references for pair in pairs], self.languages[1])
        return {"bleu": score, "perplexity": perplexity(loss), "loss": loss}

    def _greedy(self, split: EncodedPairs) -> tuple[list[Pair], list[str]]:
        """Some pairs of a split, and their greedy translations."""
        count = min(len(split), VALIDATION_SENTENCES)
        chosen = [split.pairs[i] for i in np.linspace(0, len(split) - 1, count).astype(int)]
        found = self.translate(
            (pair.source for pair in chosen), replace(self.settings.beam, {"size": 1})
        )
        return chosen, [translation.text for _, (translation,) in found]

    def significance(
        self, goal: str, data: PairData, other: Use[PairData], others: PairData
    ) -> float | None:
        """See :meth:`kerasseq.app.task.Use.significance`; of BLEU, of the sentences that
        :meth:`validate` translates."""
        assert isinstance(other, Translator)
        split = data.splits["validation"]
        if goal == "bleu":
            pairs, texts = self._greedy(split)
            systems: dict[str, Sequence[str]] = {
                "first": texts,
                "second": other._greedy(others.splits["validation"])[1],
            }
            references = [pair.references for pair in pairs]
            found = resampled(systems, references, self.languages[1], self.settings.seed)
            _, (one, two) = found["bleu"]
            # sacrebleu counts larger differences only, so that it finds equal systems different
            return 1.0 if one.score == two.score else float(two.p_value)
        lengths = lengths_of(split.targets).astype(np.float64)
        nll = self.nll(split), other.nll(others.splits["validation"])
        first, second = (Metric("nats a token", "min", each, lengths) for each in nll)
        return bootstrap(first, second)["p"]

    def evaluate(self, data: PairData, split: str) -> dict[str, Any]:
        """See :func:`kerasseq.tasks.translation.report.report`; with the perplexity, and the
        translations."""
        part, beam = data.splits[split], self.settings.beam
        sources = [pair.source for pair in part.pairs]
        references = [pair.references for pair in part.pairs]
        texts = [found.text for _, (found,) in self.translate(sources, beam)]
        tokens = sum(map(len, part.targets))
        figures = report(texts, references, sources, self.languages[1], self.settings.seed)
        mean = float(self.nll(part).sum()) / tokens
        return {
            **figures,
            "sources_cut": sum(map(self.is_cut, sources)),
            "tokens": tokens,
            "perplexity": round(perplexity(mean), 4),
            "beam": beam.to_dict(),
            "translations": texts,
        }

    def errors(self, data: PairData, split: str) -> Iterator[dict[str, Any]]:
        """Translations that differ from all their references, the most confident first:
        ``source``, the first ``reference``, ``translation``, its ``chrf`` and its ``score``, by
        which they stand."""
        chrf, pairs = need_sacrebleu().CHRF(), data.splits[split].pairs
        found = self.translate((pair.source for pair in pairs), self.settings.beam)
        rows = [
            (best.score, pair, best.text)
            for pair, (_, (best,)) in zip(pairs, found, strict=True)
            if best.text not in pair.references
        ]
        for score, pair, text in sorted(rows, key=lambda row: -row[0]):
            yield {
                "source": pair.source,
                "reference": pair.target,
                "translation": text,
                "chrf": round(chrf.sentence_score(text, pair.references).score, 4),
                "score": round(score, 6),
            }

    def predict(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """See :func:`result_of`; says which texts are cut."""
        for text, (best,) in self.translate(texts, self.settings.beam):
            cut = self.is_cut(text)
            if cut:
                say_cut(text, self.longest)
            yield result_of(text, best.text, best.score, cut)

    def serving(self, samples: Sequence[str]) -> Serving:
        """Texts to translations, one or several, with attention."""
        return serving(self, samples)

    def elementary(self) -> Elementary:
        """The encoder, and a step of the decoder."""
        greedy = replace(self.settings, {"beam.size": 1})
        return elementary(self.model, greedy, self.source_codec, self.target_codec, self.copies)

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


def result_of(text: str, translation: str, score: float, cut: bool) -> dict[str, Any]:
    """A text with its translation, the score of that, and whether only a part of it was read."""
    return {"text": text, "translation": translation, "score": score, "cut": bool(cut)}


def say_cut(text: str, longest: int) -> None:
    """Warns that not all of a text is translated."""
    rule = f"only its first {longest} tokens are read (text.max_length)"
    note(f"{shortened(text)!r} is cut: {rule}")
