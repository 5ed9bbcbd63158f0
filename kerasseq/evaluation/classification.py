"""Figures of classes: intervals, calibration, confusion, and each class by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), 95 % by default.

    >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
    [0.826, 0.945]
    """
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return centre - half, centre + half


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over equal-width bins of confidence (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.zeros(bins)
    np.add.at(gap, index, right - confidence.astype(np.float64))
    return float(np.abs(gap).sum() / len(labels))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 ``[classes, classes]``: rows are true classes, columns predicted ones."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


class Figures(NamedTuple):
    """Of classes.

    Attributes:
        classes: precision, recall, F1 and support of each; 0 where a quotient is undefined.
        micro: F1 of all decisions together.
        macro: mean F1 of the classes.
    """

    classes: dict[str, dict[str, float]]
    micro: float
    macro: float


def class_figures(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> Figures:
    """Precision, recall and F1, where each example has one class.

    Args:
        labels, predicted: class indices ``[N]``.
        names: the classes.
    """
    right, found, there = (
        np.bincount(part, minlength=len(names))
        for part in (labels[labels == predicted], predicted, labels)
    )
    return _figures(right, found, there, names)


def label_figures(truth: np.ndarray, given: np.ndarray, names: list[str]) -> Figures:
    """Precision, recall and F1, where an example may have several classes.

    Args:
        truth, given: whether an example has a class, and is given it, bool ``[N, classes]``.
        names: the classes.
    """
    right, found, there = (truth & given).sum(axis=0), given.sum(axis=0), truth.sum(axis=0)
    return _figures(right, found, there, names)


def area_under_roc(shares: np.ndarray, truths: Iterable[np.ndarray]) -> float:
    """Area under the ROC curve of each class against the others, the mean over classes.

    A class that none or all of the examples have is passed over; nan, if all are.

    Args:
        shares: probabilities ``[N, classes]``.
        truths: for each class, whether an example has it, bool ``[N]``.
    """
    from sklearn.metrics import roc_auc_score

    areas = [
        roc_auc_score(truth, shares[:, i])
        for i, truth in enumerate(truths)
        if 0 < truth.sum() < len(truth)
    ]
    return float(np.mean(areas)) if areas else math.nan


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _figures(right: np.ndarray, found: np.ndarray, there: np.ndarray, names: list[str]) -> Figures:
    """From how often each class is rightly given, given, and there."""
    precision, recall = _share(right, found), _share(right, there)
    f1 = _share(2 * right, found + there)
    micro = _share(2 * right.sum(keepdims=True), found.sum() + there.sum(keepdims=True))
    classes = {
        name: {
            "precision": round(float(precision[i]), 4),
            "recall": round(float(recall[i]), 4),
            "f1": round(float(f1[i]), 4),
            "support": int(there[i]),
        }
        for i, name in enumerate(names)
    }
    return Figures(classes, float(micro[0]), float(f1.mean()))
