"""A classifier in use, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasseq.app.task import Use
from kerasseq.data.batches import blocks, lengths_of, pad, sorted_batches
from kerasseq.evaluation.paired import Metric, Outcome
from kerasseq.export.elementary import Elementary
from kerasseq.export.serving import Serving, text_signature
from kerasseq.tasks.sentiment.data import Assets, LabelledData, encode_text
from kerasseq.tasks.sentiment.export import TextClassifier, elementary
from kerasseq.tasks.sentiment.report import log_loss, nll, report
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
            return keras.ops.softmax(model(ids, training=False))

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
        """Accuracy and log-loss on the validation split."""
        split = data.splits["validation"]
        shares = self.probabilities(split.sequences)
        right = shares.argmax(axis=1) == split.labels
        return {"accuracy": float(right.mean()), "loss": log_loss(shares, split.labels)}

    def evaluate(self, data: LabelledData, split: str) -> dict[str, Any]:
        """See :func:`kerasseq.tasks.sentiment.report.report`."""
        part = data.splits[split]
        return report(self.probabilities(part.sequences), part.labels, self.assets.class_names)

    def errors(self, data: LabelledData, split: str) -> Iterator[dict[str, Any]]:
        """Texts with a wrong label: ``example`` (its number, from 1), ``text``, ``label``,
        ``predicted`` and its ``probability``."""
        part, names = data.splits[split], self.assets.class_names
        shares = self.probabilities(part.sequences)
        chosen, best = shares.argmax(axis=1), shares.max(axis=1)
        for i in np.argsort(-best, kind="stable"):
            if chosen[i] != part.labels[i]:
                yield {
                    "example": int(i) + 1,
                    "text": part.texts[i],
                    "label": names[part.labels[i]],
                    "predicted": names[chosen[i]],
                    "probability": round(float(best[i]), 6),
                }

    def outcome(self, data: LabelledData, split: str) -> Outcome:
        """Which examples are right, and the log-loss of each."""
        part = data.splits[split]
        shares = self.probabilities(part.sequences)
        right = (shares.argmax(axis=1) == part.labels).astype(np.float64)
        ones, loss = np.ones(len(right)), nll(shares, part.labels)
        metrics = [Metric("accuracy", "max", right, ones), Metric("log-loss", "min", loss, ones)]
        return Outcome("examples", metrics)

    def predict(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """See :func:`result_of`."""
        for block in blocks(iter(texts), BLOCK):
            vocabulary, how = self.assets.vocabulary, self.settings.text
            encoded = [encode_text(text, vocabulary, how) for text in block]
            shares = self.probabilities([ids for ids, _ in encoded]).tolist()
            for text, (_, cut), row in zip(block, encoded, shares, strict=True):
                yield result_of(text, row, self.assets.class_names, cut)

    def serving(self, samples: Sequence[str]) -> Serving:
        """Texts to labels and probabilities."""

        def reference(texts: list[str]) -> list[dict[str, Any]]:
            return [
                {
                    "label": result["label"],
                    "probability": result["probability"],
                    "probabilities": list(result["probabilities"].values()),
                    "cut": result["cut"],
                }
                for result in self.predict(texts)
            ]

        module = TextClassifier(self.model, self.assets, self.settings.text)
        return Serving(
            module, {"serving_default": text_signature(module.serve, reference, samples)}
        )

    def elementary(self) -> Elementary:
        """Ids to probabilities."""
        return elementary(self.model, self.settings, self.assets)


def result_of(
    text: str, shares: Sequence[float], names: Sequence[str], cut: bool
) -> dict[str, Any]:
    """A text with its label, the label's probability, those of all classes, and whether only a
    part of it was read."""
    best = max(range(len(names)), key=shares.__getitem__)
    return {
        "text": text,
        "label": names[best],
        "probability": shares[best],
        "probabilities": dict(zip(names, shares, strict=True)),
        "cut": bool(cut),
    }
