"""Perplexity of a mean negative log-likelihood, which has an end."""

from __future__ import annotations

import math

MOST_NATS = 88.0
"""Where a perplexity ends, which float32 could not hold."""


def perplexity(nats: float) -> float:
    """`exp` of a mean nll in nats, cut at a large number.

    >>> round(perplexity(math.log(72)), 6), perplexity(1e9) == perplexity(MOST_NATS)
    (72.0, True)
    """
    return math.exp(min(nats, MOST_NATS))
