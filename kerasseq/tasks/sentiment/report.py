"""How good a classifier is: accuracy, log-loss, calibration, and each class by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasseq.evaluation.classification import (
    calibration_error,
    confusion_matrix,
    per_class,
    wilson_interval,
)


def nll(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-probability of the true class of each example, in nats, float64 ``[N]``."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(true, 1e-12))


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean of :func:`nll`."""
    return float(nll(probabilities, labels).mean())


def report(probabilities: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Everything that is measured on one split, as JSON values.

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
