"""How good a classifier is: accuracy, log-loss, calibration, and each class by itself."""

from __future__ import annotations

import math
from typing import Any

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


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-probability of the true class, in nats."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.mean(np.log(np.maximum(true, 1e-12))))


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


def per_class(matrix: np.ndarray, names: list[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support of every class; 0 where a quotient is undefined."""
    right = np.diag(matrix)

    def share(whole: np.ndarray) -> np.ndarray:
        return np.divide(right, whole, out=np.zeros(len(right)), where=whole > 0)

    precision, recall = share(matrix.sum(axis=0)), share(matrix.sum(axis=1))
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros(len(right)), where=total > 0)
    return {
        name: {
            "precision": round(float(precision[i]), 4),
            "recall": round(float(recall[i]), 4),
            "f1": round(float(f1[i]), 4),
            "support": int(matrix[i].sum()),
        }
        for i, name in enumerate(names)
    }


def report(probabilities: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Everything above for one split.

    Args:
        probabilities: ``[N, classes]``, rows summing to 1.
        labels: class indices ``[N]``.
        names: the classes.
    """
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, len(names))
    right = int(np.trace(matrix))
    low, high = wilson_interval(right, len(labels))
    return {
        "examples": len(labels),
        "accuracy": round(right / len(labels), 5),
        "accuracy_95": [round(low, 5), round(high, 5)],
        "log_loss": round(log_loss(probabilities, labels), 5),
        "calibration_error": round(calibration_error(probabilities, labels), 5),
        "classes": per_class(matrix, names),
        "confusion": matrix.tolist(),
    }


def report_lines(report: dict[str, Any]) -> list[str]:
    """A :func:`report` for people."""
    low, high = report["accuracy_95"]
    width = max(map(len, [*report["classes"], "class"]))
    lines = [
        f"accuracy {report['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}, "
        f"{report['examples']:,} examples)",
        f"log-loss {report['log_loss']:.4f}, calibration error {report['calibration_error']:.4f}",
        f"{'class':<{width}}  precision  recall      F1  support",
    ]
    for name, c in report["classes"].items():
        lines.append(
            f"{name:<{width}}     {c['precision']:.4f}  {c['recall']:.4f}  {c['f1']:.4f}  "
            f"{c['support']:7,}"
        )
    return lines
