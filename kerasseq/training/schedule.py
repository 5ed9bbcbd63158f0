"""The learning rate as a function of the step."""

from __future__ import annotations

import math
from typing import Literal

Decay = Literal["none", "linear", "cosine"]


def learning_rate(
    step: int, *, peak: float, total: int, warmup: int = 0, decay: Decay = "none"
) -> float:
    """Linear warm-up to ``peak``, then a decay that ends at 0 after ``total`` steps.

    >>> [round(learning_rate(s, peak=1.0, total=8, warmup=2, decay="linear"), 2) for s in range(8)]
    [0.5, 1.0, 1.0, 0.83, 0.67, 0.5, 0.33, 0.17]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    if decay == "linear":
        return peak * (1 - done)
    if decay == "cosine":
        return peak * (1 + math.cos(math.pi * done)) / 2
    return peak


def replica_scale(replicas: int, rule: str, optimizer: str) -> float:
    """What the learning rate is multiplied by for the larger batch of several replicas.

    >>> replica_scale(4, "auto", "sgd"), replica_scale(4, "auto", "adam")
    (4.0, 2.0)
    """
    if rule == "auto":
        rule = "linear" if optimizer == "sgd" else "sqrt"
    return {"none": 1.0, "sqrt": replicas**0.5, "linear": float(replicas)}[rule]
