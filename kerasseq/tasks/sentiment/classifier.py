"""A classifier in use, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasseq.app.task import Use
from kerasseq.data.batches import blocks, lengths_of, pad, sorted_batches
from kerasseq.evaluation.paired import Outcome
from kerasseq.export.elementary import Elementary
from kerasseq.export.serving import Serving, text_signature
from kerasseq.tasks.sentiment.classification import MOST_AUC
from kerasseq.tasks.sentiment.data import Assets, LabelledData, encode_text
from kerasseq.tasks.sentiment.export import TextClassifier, elementary
from kerasseq.tasks.sentiment.settings import SentimentSettings

BLOCK, BATCH, MULTIPLE = 256, 128, 8


class Classifier(Use[LabelledData]):
    """Class probabilities of texts, by a model that maps ids ``[B, T]`` to logits.

    Args:
        model: the model; its weights at the time of a call are used.
        settings: of the task.
        assets: vocabulary and class names.
    """

    def __init__(self, model: keras.Model, settings: SentimentSettings, assets: Assets):
        self.model, self.settings, self.assets = model, settings, assets

        def probabilities(ids: tf.Tensor) -> tf.Tensor:
            return assets.kind.shares(model(ids, training=False))

        self._run = tf.function(
            probabilities, input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False
        )

    def probabilities(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities float32 ``[N, classes]`` of id sequences, in the order given."""
        lengths = lengths_of(sequences)
        batches = sorted_batches(lengths, BATCH)
        parts = [
            self._run(tf.constant(pad([sequences[i] for i in batch], MULTIPLE)[0])).numpy()
            for batch in batches
        ]
        result = np.empty((len(sequences), parts[0].shape[1]), np.float32)
        result[np.concatenate(batches)] = np.concatenate(parts)
        return result

    def validate(self, data: LabelledData) -> dict[str, float]:
        """See :meth:`kerasseq.tasks.sentiment.classification.Classification.metrics`."""
        split, kind = data.splits["validation"], self.assets.kind
        auc = len(kind.names) <= MOST_AUC or self.settings.training.monitor == "auc"
        return kind.metrics(self.probabilities(split.sequences), split.labels, auc)

    def evaluate(self, data: LabelledData, split: str) -> dict[str, Any]:
        """See :meth:`kerasseq.tasks.sentiment.classification.Classification.report`."""
        part = data.splits[split]
        return self.assets.kind.report(self.probabilities(part.sequences), part.labels)

    def errors(self, data: LabelledData, split: str) -> Iterator[dict[str, Any]]:
        """Texts with a wrong label: ``example`` (its number, from 1), ``text``, ``label``,
        ``predicted`` and its ``probability``; with several labels, ``labels``, ``predicted``, and
        the ``class`` that is most wrong with its ``probability``."""
        part = data.splits[split]
        shares = self.probabilities(part.sequences)
        for i, found in self.assets.kind.errors(shares, part.labels):
            yield {"example": i + 1, "text": part.texts[i], **found}

    def outcome(self, data: LabelledData, split: str) -> Outcome:
        """Which examples are right, and the log-loss of each."""
        part = data.splits[split]
        shares = self.probabilities(part.sequences)
        return Outcome("examples", self.assets.kind.compared(shares, part.labels))

    def predict(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """See :meth:`kerasseq.tasks.sentiment.classification.Classification.result`."""
        for block in blocks(iter(texts), BLOCK):
            vocabulary, how = self.assets.vocabulary, self.settings.text
            encoded = [encode_text(text, vocabulary, how) for text in block]
            shares = self.probabilities([ids for ids, _ in encoded]).tolist()
            for text, (_, cut), row in zip(block, encoded, shares, strict=True):
                yield self.assets.kind.result(text, row, cut)

    def serving(self, samples: Sequence[str]) -> Serving:
        """Texts to labels and probabilities."""

        def reference(texts: list[str]) -> list[dict[str, Any]]:
            return [
                {**result, "probabilities": list(result["probabilities"].values())}
                for result in map(without_text, self.predict(texts))
            ]

        module = TextClassifier(self.model, self.assets, self.settings.text)
        served = text_signature(module.serve, reference, samples)
        return Serving(module, {"serving_default": replace(served, unpadded=without_padding)})

    def elementary(self) -> Elementary:
        """Ids to probabilities."""
        return elementary(self.model, self.settings, self.assets)


def without_text(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result but for the text that it is of."""
    return {name: value for name, value in result.items() if name != "text"}


def without_padding(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs of one text, without what pads its labels to those of its batch."""
    labels = {"labels": [name for name in outputs["labels"] if name]} if "labels" in outputs else {}
    return {**outputs, **labels}
