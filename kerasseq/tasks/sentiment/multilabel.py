"""Each text has any number of classes: a sigmoid and a threshold for each class, F1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kerasseq.data.examples import Label, LabelledText
from kerasseq.evaluation.classification import area_under_roc, label_figures, wilson_interval
from kerasseq.evaluation.paired import Metric
from kerasseq.tasks.sentiment.classification import MOST_AUC, Classification

HALF = 0.5
FEW = 5
"""Texts of a class in the validation split, fewer than which say nothing of its threshold."""


class Multilabel(Classification):
    """Any number of classes a text; labels are a list of int32 vectors, one a text."""

    @staticmethod
    def names_of(label: Label) -> tuple[str, ...]:
        return (label,) if isinstance(label, str) else label

    @property
    def _least(self) -> np.ndarray:
        """The thresholds, float32 ``[classes]``; one half, where none were found yet."""
        return np.array(self.thresholds or [HALF] * len(self.names), np.float32)

    def encode(self, examples: Sequence[LabelledText]) -> list[np.ndarray]:
        return [
            np.array(sorted(self._index[name] for name in self.names_of(example.label)), np.int32)
            for example in examples
        ]

    def targets(self, labels: Sequence[Any]) -> np.ndarray:
        found = np.zeros((len(labels), len(self.names)), np.float32)
        for row, classes in zip(found, labels, strict=True):
            row[classes] = 1
        return found

    def weights(self, labels: Any) -> tuple[np.ndarray, np.ndarray]:
        counts = np.bincount(np.concatenate(labels), minlength=len(self.names))
        return tuple(  # type: ignore[return-value]
            (len(labels) / (2 * np.maximum(1, part))).astype(np.float32)
            for part in (counts, len(labels) - counts)
        )

    def weight_of(self, targets: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return np.where(targets > 0, *weights)

    def prior(self, labels: Any) -> np.ndarray:
        counts = np.bincount(np.concatenate(labels), minlength=len(self.names))
        odds = (counts + 0.5) / (len(labels) - counts + 0.5)
        return np.log(odds).astype(np.float32)

    def nll(self, targets: Any, logits: Any, smoothing: float, weight: Any) -> Any:
        from keras import ops

        smooth = targets * (1 - smoothing) + smoothing / 2
        each = ops.binary_crossentropy(smooth, logits, from_logits=True)
        return ops.mean(each if weight is None else each * weight, axis=-1)

    def shares(self, logits: Any) -> Any:
        import keras

        return keras.ops.sigmoid(logits)

    def answer(self, shares: Any) -> dict[str, Any]:
        import tensorflow as tf

        given = shares >= tf.constant(self._least)
        names = tf.broadcast_to(tf.constant(self.names), tf.shape(shares))
        return {
            "labels": tf.ragged.boolean_mask(names, given).to_tensor(""),
            "probabilities": shares,
        }

    def find_thresholds(self, shares: np.ndarray, labels: Any) -> list[float]:
        """For each class the probability from which its F1 is best; one half, where the split has
        too few texts of it.

        Args:
            shares, labels: of the validation split.
        """
        truth = self.targets(labels) > 0
        return [_best_threshold(shares[:, i], truth[:, i]) for i in range(len(self.names))]

    def metrics(self, shares: np.ndarray, labels: Any, auc: bool) -> dict[str, float]:
        truth, given = self.targets(labels) > 0, shares >= self._least
        figures = label_figures(truth, given, self.names)
        found = {
            "accuracy": float((truth == given).all(axis=1).mean()),
            "micro_f1": figures.micro,
            "macro_f1": figures.macro,
            "loss": float(_nll(shares, truth).mean()),
        }
        return {**found, "auc": area_under_roc(shares, truth.T)} if auc else found

    def report(self, shares: np.ndarray, labels: Any) -> dict[str, Any]:
        truth, least = self.targets(labels) > 0, self._least
        given = shares >= least
        right = int((truth == given).all(axis=1).sum())
        low, high = wilson_interval(right, len(labels))
        figures = label_figures(truth, given, self.names)
        found: dict[str, Any] = {
            "examples": len(labels),
            "accuracy": round(right / len(labels), 5),
            "accuracy_95": [round(low, 5), round(high, 5)],
            "micro_f1": round(figures.micro, 5),
            "macro_f1": round(figures.macro, 5),
            "log_loss": round(float(_nll(shares, truth).mean()), 5),
            "classes": {
                name: {**figures.classes[name], "threshold": round(float(value), 4)}
                for name, value in zip(self.names, least, strict=True)
            },
        }
        if len(self.names) <= MOST_AUC:
            found["auc"] = round(area_under_roc(shares, truth.T), 5)
        return found

    def errors(self, shares: np.ndarray, labels: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        truth, least = self.targets(labels) > 0, self._least
        wrong = truth != (shares >= least)
        away = np.where(wrong, np.abs(shares - least), -1)
        for i in np.argsort(-away.max(axis=1), kind="stable"):
            if wrong[i].any():
                worst = int(away[i].argmax())
                yield (
                    int(i),
                    {
                        "labels": self._chosen(truth[i]),
                        "predicted": self._chosen(shares[i] >= least),
                        "class": self.names[worst],
                        "probability": round(float(shares[i, worst]), 6),
                    },
                )

    def compared(self, shares: np.ndarray, labels: Any) -> list[Metric]:
        truth, given = self.targets(labels) > 0, shares >= self._least
        right = (truth == given).all(axis=1).astype(np.float64)
        ones, both = np.ones(len(right)), 2.0 * (truth & given).sum(axis=1)
        return [
            Metric("subset accuracy", "max", right, ones, ("accuracy",)),
            Metric("micro F1", "max", both, 1.0 * truth.sum(axis=1) + given.sum(axis=1),
                   ("micro_f1",)),
            Metric("log-loss", "min", _nll(shares, truth), ones, ("loss",)),
        ]  # fmt: skip

    def result(self, text: str, shares: Sequence[float], cut: bool) -> dict[str, Any]:
        return {
            "text": text,
            "labels": self._chosen(np.array(shares, np.float32) >= self._least),
            "probabilities": dict(zip(self.names, shares, strict=True)),
            "cut": bool(cut),
        }

    def _chosen(self, given: np.ndarray) -> list[str]:
        return [self.names[i] for i in np.flatnonzero(given)]


def _nll(shares: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of each text, a mean over the classes, in nats, float64 ``[N]``."""
    right = np.where(truth, shares, 1 - shares).astype(np.float64)
    return -np.log(np.maximum(right, 1e-12)).mean(axis=1)


def _best_threshold(shares: np.ndarray, truth: np.ndarray) -> float:
    """The middle between two probabilities of a class, where F1 is best."""
    if truth.sum() < FEW or truth.all():
        return HALF
    order = np.argsort(-shares, kind="stable")
    values, hits = shares[order].astype(np.float64), np.cumsum(truth[order])
    ends = np.flatnonzero(np.diff(values, append=-1) < 0)  # equal ones go together
    f1 = 2 * hits[ends] / (ends + 1 + truth.sum())
    at = ends[int(f1.argmax())]
    below = values[at + 1] if at + 1 < len(values) else 0.0
    return round(float((values[at] + below) / 2), 6)
