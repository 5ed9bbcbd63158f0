"""A CRF by enumeration of every tag sequence, in float64 NumPy."""

import itertools

import numpy as np


def enumerate_crf(emissions, transitions, start, end):
    """`log Z`, the best path, node marginals [T, N] and pair marginals [T-1, N, N]."""
    steps, size = emissions.shape
    paths = list(itertools.product(range(size), repeat=steps))
    scores = np.array([path_score(emissions, transitions, start, end, p) for p in paths])
    top = scores.max()
    log_z = top + np.log(np.exp(scores - top).sum())
    nodes = np.zeros((steps, size))
    pairs = np.zeros((max(steps - 1, 0), size, size))
    for path, score in zip(paths, scores, strict=True):
        p = np.exp(score - log_z)
        for t, tag in enumerate(path):
            nodes[t, tag] += p
            if t:
                pairs[t - 1, path[t - 1], tag] += p
    return log_z, paths[int(scores.argmax())], nodes, pairs


def path_score(emissions, transitions, start, end, path):
    score = float(start[path[0]]) + float(end[path[-1]])
    score += sum(float(emissions[t, tag]) for t, tag in enumerate(path))
    return score + sum(float(transitions[a, b]) for a, b in itertools.pairwise(path))


def log_partition_float64(emissions, transitions, start, end):
    """`log Z` of one long sequence by the forward recursion in float64."""
    alpha = start.astype("float64") + emissions[0]
    for emission in emissions[1:].astype("float64"):
        moved = alpha[:, None] + transitions
        top = moved.max(axis=0)
        alpha = top + np.log(np.exp(moved - top).sum(axis=0)) + emission
    final = alpha + end
    return final.max() + np.log(np.exp(final - final.max()).sum())
