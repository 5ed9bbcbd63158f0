"""Beam search in plain Python, to the last step, and the exact answer by enumeration.

``log_probs`` maps a prefix (the first token included) to the log-probabilities of what follows.
A sequence is ``(tokens, log-probability)``.
"""

import itertools


def normalised(log_prob, length, normalise, alpha):
    return {
        "gnmt": log_prob / ((5 + length) / 6) ** alpha,
        "average": log_prob / length**alpha,
        "none": log_prob,
    }[normalise]


def best_of(finished, unfinished, n_best, normalise, alpha, bonus=lambda tokens: 0.0):
    """``[(tokens, log-probability, score, finished)]``, the unfinished after the finished."""
    ranked = []
    for sequences, done in ((finished, True), (unfinished, False)):
        scored = [
            (s, p, normalised(p, len(s), normalise, alpha) + bonus(s), done) for s, p in sequences
        ]
        ranked += sorted(scored, key=lambda entry: -entry[2])
    return ranked[:n_best]


def beam_reference(
    log_probs, first, width, length, stop, alpha, n_best, normalise, bonus=lambda tokens: 0.0
):
    live, finished = [((), 0.0)], []
    for _ in range(length):
        ranked = []
        for tokens, total in live:
            gains = log_probs((first, *tokens))
            ranked += [((*tokens, v), total + gain) for v, gain in enumerate(gains)]
        ranked = [entry for entry in ranked if entry[1] > -1e29]
        ranked.sort(key=lambda entry: -entry[1])
        live = []
        for tokens, total in ranked:
            if len(live) == width:
                break
            (finished if tokens[-1] in stop else live).append((tokens, total))
        if all(tokens[-1] in stop for tokens, _ in ranked[:width]):
            live = []
    return best_of(finished, live, n_best, normalise, alpha, bonus)


def every_sequence(log_probs, first, length, stop, size):
    """All finished and all unfinished sequences up to a length."""
    finished, unfinished = [], []
    for count in range(1, length + 1):
        for tokens in itertools.product(range(size), repeat=count):
            if any(token in stop for token in tokens[:-1]):
                continue
            ends = tokens[-1] in stop
            if not ends and count < length:
                continue
            total = sum(log_probs((first, *tokens[:t]))[tokens[t]] for t in range(count))
            (finished if ends else unfinished).append((tokens, total))
    return finished, unfinished
