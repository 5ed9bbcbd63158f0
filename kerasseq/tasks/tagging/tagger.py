"""A tagger in use, from Python."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasseq.app.task import Use
from kerasseq.data.batches import TokenBatchSettings, blocks, fixed_batches, lengths_of
from kerasseq.evaluation.paired import Outcome
from kerasseq.export.elementary import Elementary
from kerasseq.export.serving import Serving, Signature, text_signature
from kerasseq.tasks.tagging import report
from kerasseq.tasks.tagging.data import Assets, TaggedData, WordTable
from kerasseq.tasks.tagging.export import AWKWARD_SENTENCES, TextTagger, elementary, pad_tokens
from kerasseq.tasks.tagging.settings import TaggingSettings

BLOCK = 256
BUDGET = TokenBatchSettings(tokens=4096, pad_to_multiple=4)


class Tagged(NamedTuple):
    """The tags of one sentence.

    Attributes:
        tags: indices int32 ``[T]``.
        probabilities: of these tags, float32 ``[T]``.
    """

    tags: np.ndarray
    probabilities: np.ndarray


class Tagger(Use[TaggedData]):
    """Tags sentences by a model that maps a :class:`WordTable`'s inputs to ``tags`` and ``shares``.

    Args:
        model: the model; its weights at the time of a call are used.
        settings: of the task.
        assets: of the model.
    """

    def __init__(self, model: keras.Model, settings: TaggingSettings, assets: Assets):
        self.model, self.settings, self.assets = model, settings, assets
        signature = {
            name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
            for name, tensor in model.input.items()
        }

        def run(inputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = model(inputs, training=False)
            tags = tf.cast(outputs["tags"], tf.int32)
            return tags, tf.gather(outputs["shares"], tags, batch_dims=2)

        self._run = tf.function(run, input_signature=[signature], autograph=False)

    def tag_table(self, table: WordTable) -> list[Tagged]:
        """Tags the sentences of a table, in their order."""
        lengths = lengths_of(table.sequences)
        found: list[Tagged] = [Tagged(lengths, lengths)] * len(lengths)
        for batch in fixed_batches(lengths, BUDGET):
            inputs = table.inputs([table.sequences[i] for i in batch], BUDGET.pad_to_multiple)
            tags, probabilities = (
                part.numpy() for part in self._run({k: tf.constant(v) for k, v in inputs.items()})
            )
            for row, i in enumerate(batch):
                length = lengths[i]
                found[i] = Tagged(tags[row, :length], probabilities[row, :length])
        return found

    def tag(self, sentences: Iterable[list[str]]) -> Iterator[dict[str, Any]]:
        """Tags sentences, which may be empty, in constant memory.

        Yields:
            ``tokens``, ``tags`` and ``probabilities`` of each sentence.
        """
        for block in blocks(iter(sentences), BLOCK):
            filled = [words for words in block if words]
            table = WordTable(self.assets.features, filled)
            tagged = iter(self.tag_table(table) if filled else [])
            for words in block:
                found = next(tagged) if words else Tagged(np.array([]), np.array([]))
                yield {
                    "tokens": words,
                    "tags": [self.assets.names[int(i)] for i in found.tags],
                    "probabilities": found.probabilities.tolist(),
                }

    def validate(self, data: TaggedData) -> dict[str, float]:
        """See :func:`kerasseq.tasks.tagging.report.quick`."""
        split = data.splits["validation"]
        words, true = split.rows(self.settings.column)
        tags = self._names(self.tag_table(split.table))
        return report.quick(words, true, tags, self.assets.baseline)

    def evaluate(self, data: TaggedData, split: str) -> dict[str, Any]:
        """See :func:`kerasseq.tasks.tagging.report.report`."""
        part, baseline = data.splits[split], self.assets.baseline
        words, true = part.rows(self.settings.column)
        tagged = self.tag_table(part.table)
        return report.report(
            words,
            true,
            self._names(tagged),
            [each.probabilities for each in tagged],
            self.assets.names,
            baseline,
            [baseline.tag(sentence) for sentence in words],
        )

    def errors(self, data: TaggedData, split: str) -> Iterator[dict[str, Any]]:
        """Words with a wrong tag: ``sentence`` and ``position`` (from 1), ``word``, ``tag``,
        ``predicted``, its ``probability``, and the words around, ``context``."""
        part = data.splits[split]
        words, true = part.rows(self.settings.column)
        rows = [
            (-float(share), number, position, self.assets.names[tag])
            for number, each in enumerate(self.tag_table(part.table))
            for position, (tag, share) in enumerate(zip(*each, strict=True))
            if self.assets.names[tag] != true[number][position]
        ]
        for share, number, position, tag in sorted(rows):
            yield {
                "sentence": number + 1,
                "position": position + 1,
                "word": words[number][position],
                "tag": true[number][position],
                "predicted": tag,
                "probability": round(-share, 6),
                "context": report.excerpt(words[number], position),
            }

    def outcome(self, data: TaggedData, split: str) -> Outcome:
        """Right tokens of each sentence; of IOB tags the spans too."""
        part = data.splits[split]
        _, true = part.rows(self.settings.column)
        return report.outcome(true, self._names(self.tag_table(part.table)), self.assets.names)

    def _names(self, tagged: Sequence[Tagged]) -> list[list[str]]:
        return [[self.assets.names[i] for i in each.tags] for each in tagged]

    def predict(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Each ``text`` and what :meth:`tag` gives for its words."""
        given, read = itertools.tee(texts)
        tagged = self.tag(map(self.assets.splitter.split, read))
        for text, result in zip(given, tagged, strict=True):
            yield {"text": text, **result}

    def serving(self, samples: Sequence[str]) -> Serving:
        """Texts, or words, to words with tags and probabilities."""
        split = self.assets.splitter.split

        def tag_tokens(sentences: list[list[str]]) -> list[dict[str, Any]]:
            return list(self.tag(sentences))

        def tag_texts(texts: list[str]) -> list[dict[str, Any]]:
            return tag_tokens([split(text) for text in texts])

        module = TextTagger(self.model, self.assets)
        sentences = [*AWKWARD_SENTENCES, *map(split, samples)]
        return Serving(
            module,
            {
                "serving_default": text_signature(module.serve, tag_texts, samples),
                "tag_tokens": Signature(module.serve_tokens, pad_tokens, tag_tokens, sentences),
            },
        )

    def elementary(self) -> Elementary:
        """Ids of words, characters and affixes to scores."""
        return elementary(self.model, self.settings, self.assets)
