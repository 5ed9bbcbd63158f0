"""Each text has one class: softmax, accuracy, a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kerasseq.data.examples import Label, LabelledText
from kerasseq.evaluation.classification import (
    area_under_roc,
    calibration_error,
    class_figures,
    confusion_matrix,
    wilson_interval,
)
from kerasseq.evaluation.paired import Metric
from kerasseq.tasks.sentiment.classification import MOST_AUC, Classification

MOST_CONFUSION = 1000
"""Classes up to which a report has the confusion matrix, whose size is their square."""


class Multiclass(Classification):
    """One class a text; labels are int32 ``[N]``."""

    @staticmethod
    def names_of(label: Label) -> tuple[str, ...]:
        return (str(label),)

    def encode(self, examples: Sequence[LabelledText]) -> np.ndarray:
        return np.array([self._index[str(example.label)] for example in examples], np.int32)

    def targets(self, labels: Sequence[Any]) -> np.ndarray:
        return np.asarray(labels)

    def weights(self, labels: Any) -> tuple[np.ndarray, np.ndarray]:
        counts = np.bincount(labels, minlength=len(self.names))
        there = len(labels) / (len(self.names) * counts)
        return there.astype(np.float32), np.zeros(len(self.names), np.float32)

    def weight_of(self, targets: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return weights[0][targets]

    def prior(self, labels: Any) -> np.ndarray:
        shares = np.bincount(labels, minlength=len(self.names)) / len(labels)
        return np.log(shares).astype(np.float32)

    def nll(self, targets: Any, logits: Any, smoothing: float, weight: Any) -> Any:
        from kerasseq.layers.losses import token_nll

        each = token_nll(targets, logits, smoothing)
        return each if weight is None else each * weight

    def shares(self, logits: Any) -> Any:
        import keras

        return keras.ops.softmax(logits)

    def answer(self, shares: Any) -> dict[str, Any]:
        import tensorflow as tf

        best = tf.argmax(shares, axis=-1)
        return {
            "label": tf.gather(tf.constant(self.names), best),
            "probability": tf.reduce_max(shares, axis=-1),
            "probabilities": shares,
        }

    def metrics(self, shares: np.ndarray, labels: Any, auc: bool) -> dict[str, float]:
        chosen = shares.argmax(axis=1)
        found = {
            "accuracy": float((chosen == labels).mean()),
            "macro_f1": class_figures(labels, chosen, self.names).macro,
            "loss": float(nll(shares, labels).mean()),
        }
        return {**found, "auc": self._auc(shares, labels)} if auc else found

    def report(self, shares: np.ndarray, labels: Any) -> dict[str, Any]:
        predicted = shares.argmax(axis=1)
        right = int(np.sum(predicted == labels))
        low, high = wilson_interval(right, len(labels))
        figures = class_figures(labels, predicted, self.names)
        found = {
            "examples": len(labels),
            "accuracy": round(right / len(labels), 5),
            "accuracy_95": [round(low, 5), round(high, 5)],
            "macro_f1": round(figures.macro, 5),
            "log_loss": round(float(nll(shares, labels).mean()), 5),
            "calibration_error": round(calibration_error(shares, labels), 5),
            "classes": figures.classes,
        }
        if len(self.names) <= MOST_AUC:
            found["auc"] = round(self._auc(shares, labels), 5)
        if len(self.names) <= MOST_CONFUSION:
            found["confusion"] = confusion_matrix(labels, predicted, len(self.names)).tolist()
        return found

    def _auc(self, shares: np.ndarray, labels: np.ndarray) -> float:
        return area_under_roc(shares, (labels == i for i in range(len(self.names))))

    def errors(self, shares: np.ndarray, labels: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        chosen, best = shares.argmax(axis=1), shares.max(axis=1)
        for i in np.argsort(-best, kind="stable"):
            if chosen[i] != labels[i]:
                yield (
                    int(i),
                    {
                        "label": self.names[labels[i]],
                        "predicted": self.names[chosen[i]],
                        "probability": round(float(best[i]), 6),
                    },
                )

    def compared(self, shares: np.ndarray, labels: Any) -> list[Metric]:
        right = (shares.argmax(axis=1) == labels).astype(np.float64)
        ones, loss = np.ones(len(right)), nll(shares, labels)
        return [
            Metric("accuracy", "max", right, ones, ("accuracy",)),
            Metric("log-loss", "min", loss, ones, ("loss",)),
        ]

    def result(self, text: str, shares: Sequence[float], cut: bool) -> dict[str, Any]:
        best = max(range(len(self.names)), key=shares.__getitem__)
        return {
            "text": text,
            "label": self.names[best],
            "probability": shares[best],
            "probabilities": dict(zip(self.names, shares, strict=True)),
            "cut": bool(cut),
        }


def nll(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-probability of the true class of each example, in nats, float64 ``[N]``."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(true, 1e-12))
