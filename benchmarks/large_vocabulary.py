"""Memory and time of the output losses for large vocabularies, beside the dense softmax.

    python -m benchmarks.large_vocabulary

A training step from the hidden states to the gradients of the states and of the tied matrix, at
tokens x vocabulary x width; see benchmarks/turns.py for how it is timed. Memory is what the first
full step adds to the resident set of a fresh process, in which the same step was traced and run
on a few tokens before. Targets are log-uniform (Zipf), as words are. Sampled and adaptive softmax
are other losses than the dense one, which is what they trade for speed; the chunked one is equal.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from typing import Any

from benchmarks.turns import Worker, serve, speed_ratio, take_turns

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIZES = ("700x33278x256", "4000x33278x256")
OURS = ("chunked", "sampled", "adaptive")
LOSSES: dict[str, dict[str, Any]] = {
    "chunked": {"chunk_size": 256},
    "sampled": {"num_sampled": 1024},
    "adaptive": {"cutoffs": [2000, 10000]},
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="about as long a size, at most")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def work(spec: str) -> None:
    """One contestant, in a process of its own."""
    import numpy as np
    import tensorflow as tf

    from kerasseq.layers import AdaptiveSoftmax, ChunkedCrossEntropy, SampledSoftmax, TiedEmbedding

    kind, size = spec.split(",")
    tokens, vocabulary, width = map(int, size.split("x"))
    embedding = TiedEmbedding(vocabulary, width)
    embedding.build()
    layer = None
    if kind != "dense":
        makers = {
            "chunked": ChunkedCrossEntropy,
            "sampled": SampledSoftmax,
            "adaptive": AdaptiveSoftmax,
        }
        layer = makers[kind](embedding, **settings(kind, vocabulary))
        layer.build((None, width))
    weights = [w.value for w in (layer or embedding).trainable_weights]

    @tf.function(input_signature=[tf.TensorSpec((None, width)), tf.TensorSpec((None,), tf.int32)])
    def step(hidden, targets):
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            if layer is None:
                logits = embedding.project(hidden)
                nll = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            elif kind == "sampled":
                nll = layer(hidden, targets, training=True)
            else:
                nll = layer(hidden, targets)
            loss = tf.reduce_mean(nll)
        return [loss, *map(tf.convert_to_tensor, tape.gradient(loss, [hidden, *weights]))]

    rng = np.random.default_rng(0)
    ids = np.exp(rng.uniform(0, np.log(vocabulary + 1), tokens)).astype("int32") - 1
    targets = tf.constant(np.clip(ids, 0, vocabulary - 1))
    hidden = tf.constant(rng.normal(size=(tokens, width)).astype("float32"))
    step(hidden[:8], targets[:8])
    serve({"train": lambda: step(hidden, targets)[-1].numpy()})


def settings(kind: str, vocabulary: int) -> dict[str, Any]:
    """The constructor arguments, cut to a small vocabulary where one is tried."""
    found = dict(LOSSES[kind])
    if kind == "adaptive":
        found["cutoffs"] = [c for c in found["cutoffs"] if c < vocabulary] or [vocabulary // 2]
    return found


def ratio(dense: dict[str, Any], ours: dict[str, Any]) -> float | None:
    """The dense form's memory over ours; None where ours needed no new memory at all."""
    return round(dense["memory_mib"] / ours["memory_mib"], 2) if ours["memory_mib"] else None


def measure(options: argparse.Namespace, size: str) -> dict[str, dict[str, Any]]:
    """Figures of one size, by contestant."""
    workers = {
        kind: Worker(sys.executable, "benchmarks.large_vocabulary", f"{kind},{size}")
        for kind in ("dense", *OURS)
    }
    found = take_turns(workers, ["train"], options.repeats, options.seconds)
    dense = found["dense"]
    return {
        kind: {
            "seconds": round(statistics.median(measured["train"]), 4),
            "memory_mib": round(measured["memory_mib"], 1),
            "speed_over_dense": speed_ratio(measured["train"], dense["train"]),
            "dense_memory_over_ours": ratio(dense, measured),
        }
        for kind, measured in found.items()
    }


def main() -> None:
    options = parse()
    if options.worker:
        work(options.worker)
        return
    from benchmarks.record import record

    rows = {}
    for size in options.sizes:
        rows[size] = measure(options, size)
        print(size, json.dumps(rows[size]), flush=True)
    cases = [(size, kind) for size in options.sizes for kind in OURS]
    record(
        "large-vocabulary",
        metric="training step: speed over the dense softmax's, median of ratios, one a case",
        split="random states, log-uniform targets",
        values=[rows[size][kind]["speed_over_dense"] for size, kind in cases],
        seconds=[rows[size][kind]["seconds"] for size, kind in cases],
        reference={"dense softmax, same run": 1.0, "measured": rows},
        settings={
            "cases": [f"{kind} {size}" for size, kind in cases],
            "losses": LOSSES,
            "repeats": options.repeats,
        },
    )


if __name__ == "__main__":
    main()
