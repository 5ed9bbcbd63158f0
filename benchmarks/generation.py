"""Time of a generated token beside the memory bandwidth's bound.

    python -m benchmarks.generation

A language model (tied 2x650 LSTM, 10,000 words, random weights) is exported as the task exports it
and loaded in a process of its own, which generates with a batch of one. The bound is the time in
which every weight is read once, at the bandwidth measured in the same process, in turns with the
generation: the fastest of several passes over a large array by all cores. A token's time is the
difference between a long and a short text, over the tokens between them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHORT, LONG = 20, 220
VOCABULARY, UNITS, LAYERS = 10_000, 650, 2
ARRAY_MIB = 512
"""What is read to measure bandwidth, many times any cache."""


def bandwidth(threads: int) -> float:
    """Bytes a second at which memory is read by some threads together."""
    import numpy as np

    parts = [np.ones(ARRAY_MIB * 2**18 // threads, np.float32) for _ in range(threads)]
    readers = [threading.Thread(target=np.dot, args=(part, part)) for part in parts]
    start = time.perf_counter()
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return ARRAY_MIB * 2**20 / (time.perf_counter() - start)


def export(folder: str) -> int:
    """Writes the model; returns the bytes of its weights."""
    import tensorflow as tf

    from kerasseq.tasks.language_model.export import TextGenerator
    from kerasseq.tasks.language_model.model import RecurrentLanguageModel
    from kerasseq.text.codec import Codec
    from kerasseq.text.vocabulary import BOS, PAD, SPECIAL_TOKENS, Vocabulary

    words = [f"w{i}" for i in range(VOCABULARY + 2 - len(SPECIAL_TOKENS))]
    model = RecurrentLanguageModel(
        VOCABULARY + 2, UNITS, UNITS, num_layers=LAYERS, input_only=(PAD, BOS), use_cudnn=False
    )
    module = TextGenerator(model, Codec("words", Vocabulary((*SPECIAL_TOKENS, *words))))
    tf.saved_model.save(module, folder, signatures={"generate": module.generate})
    return sum(int(w.shape.num_elements()) * 4 for w in (v.value for v in model.weights))


def measure(repeats: int) -> dict[str, Any]:
    """Seconds a token and the bound, in turns."""
    import tensorflow as tf

    from kerasseq.training.devices import usable_cores

    with tempfile.TemporaryDirectory() as folder:
        weights = export(folder)
        loaded = tf.saved_model.load(folder)
        generate = loaded.signatures["generate"]

        def seconds(length: int) -> float:
            start = time.perf_counter()
            generate(
                text=tf.constant(["w1 w2"]),
                length=tf.constant(length),
                temperature=tf.constant(1.0),
                top_k=tf.constant(0),
                top_p=tf.constant(1.0),
                seed=tf.constant(1, tf.int64),
            )["text"].numpy()
            return time.perf_counter() - start

        seconds(SHORT)
        tokens, speeds = [], []
        for _ in range(repeats):
            speeds += [bandwidth(usable_cores()) for _ in range(3)]
            tokens.append((seconds(LONG) - seconds(SHORT)) / (LONG - SHORT))
    return {
        "weights_mb": weights / 1e6,
        "gigabytes_per_second": max(speeds) / 1e9,
        "bound_seconds": weights / max(speeds),
        "token_seconds": tokens,
        "token_seconds_median": statistics.median(tokens),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    from benchmarks.record import record

    start = time.perf_counter()
    found = measure(options.repeats)
    record(
        "generate-vs-bandwidth",
        metric="time of a token over the bound of memory bandwidth (lower is better)",
        split="random weights",
        values=[round(found["token_seconds_median"] / found["bound_seconds"], 3)],
        seconds=[round(time.perf_counter() - start, 1)],
        reference={k: v for k, v in found.items() if k != "token_seconds"},
        settings={
            "vocabulary": VOCABULARY, "units": UNITS, "layers": LAYERS, "batch": 1,
            "repeats": options.repeats,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
