"""Speed of the recurrent layers, beside the Keras built-ins and (if installed) PyTorch.

    python -m benchmarks.layers                      # LSTM, all sizes, one and both directions
    python -m benchmarks.layers --cell gru --repeats 5
    TORCH_PYTHON=/path/to/a/venv/bin/python python -m benchmarks.layers  # PyTorch lives elsewhere

Forward pass and training step (forward, backward to the inputs and all weights, a full-length
batch) at each size, batch x time x input x units; see benchmarks/turns.py for how it is timed.
Peak memory is what the first steps add to the resident set of a fresh process, by contestant.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.turns import Worker, cores, serve, speed_ratio, take_turns

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIZES = ("64x200x64x64", "32x200x128x64", "32x35x256x256", "64x35x650x650", "1x50x256x256")
DIRECTIONS = ("uni", "bi")
TASKS = ("forward", "train")
# A Python that has torch; in the environment, since a record shows the command but no machine.
TORCH_PYTHON = os.environ.get("TORCH_PYTHON", sys.executable)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", choices=("lstm", "gru"), default="lstm")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    parser.add_argument("--directions", nargs="+", choices=DIRECTIONS, default=list(DIRECTIONS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=20.0, help="about as long a size, at most")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def tensorflow_contestant(kind: str, cell: str, size: tuple[int, ...], both: bool) -> None:
    import keras
    import tensorflow as tf

    batch, steps, features, units = size
    if kind == "keras":
        base = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
        layer = base(units, return_sequences=True)
        layer = keras.layers.Bidirectional(layer) if both else layer
    else:
        from kerasseq.layers import RecurrentStack

        layer = RecurrentStack(units, cell=cell, bidirectional=both)
    x = tf.random.stateless_normal((batch, steps, features), (0, 1))
    layer.build(x.shape)
    weights = [weight.value for weight in layer.trainable_weights]

    @tf.function
    def forward(x):
        return layer(x, training=False)

    @tf.function
    def train(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(layer(x, training=True))
        return tape.gradient(loss, [x, *weights])

    plan = str(layer.kernel_plan()) if kind == "kerasseq" else "keras.layers"
    serve({"forward": lambda: forward(x).numpy(), "train": lambda: train(x)[-1].numpy()}, plan=plan)


def torch_contestant(cell: str, size: tuple[int, ...], both: bool) -> None:
    import torch

    torch.set_num_threads(cores())
    batch, steps, features, units = size
    base = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    layer = base(features, units, batch_first=True, bidirectional=both)
    x = torch.randn(batch, steps, features, requires_grad=True)

    def forward() -> None:
        with torch.no_grad():
            layer(x)

    def train() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x)[0].mean().backward()

    serve({"forward": forward, "train": train}, plan=f"torch {torch.__version__}")


def work(spec: str) -> None:
    """One contestant, in a process of its own."""
    kind, cell, size, direction = spec.split(",")
    numbers, both = tuple(map(int, size.split("x"))), direction == "bi"
    if kind == "torch":
        torch_contestant(cell, numbers, both)
    else:
        tensorflow_contestant(kind, cell, numbers, both)


def has_torch(python: str) -> bool:
    return subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0


def measure(options: argparse.Namespace, size: str, direction: str, kinds: list[str]) -> dict:
    """All figures of one size."""
    workers = {
        kind: Worker(
            TORCH_PYTHON if kind == "torch" else sys.executable,
            "benchmarks.layers",
            f"{kind},{options.cell},{size},{direction}",
        )
        for kind in kinds
    }
    found = take_turns(workers, TASKS, options.repeats, options.seconds)
    batch, steps, _, _ = map(int, size.split("x"))
    ours = found["kerasseq"]
    row: dict[str, Any] = {"size": f"{size}-{direction}"}
    row["seconds"] = round(statistics.median(ours["train"]), 5)
    for kind, measured in found.items():
        row[f"{kind}_plan"] = measured["plan"]
        for task in TASKS:
            row[f"{kind}_{task}_tokens_per_second"] = round(
                batch * steps / statistics.median(measured[task])
            )
            if kind != "kerasseq":
                row[f"{task}_over_{kind}"] = speed_ratio(ours[task], measured[task])
        row[f"{kind}_memory_mib"] = round(measured["memory_mib"], 1)
    return row


def main() -> None:
    options = parse()
    if options.worker:
        work(options.worker)
        return
    from benchmarks.record import record

    torch = has_torch(TORCH_PYTHON)
    kinds = ["keras", "kerasseq"] + (["torch"] if torch else [])
    rows = []
    for direction in options.directions:
        for size in options.sizes:
            rows.append(measure(options, size, direction, kinds))
            shown = {k: v for k, v in rows[-1].items() if "_over_" in k}
            print(rows[-1]["size"], json.dumps(shown), flush=True)
    reference: dict[str, Any] = {"Keras built-in, same run": 1.0}
    if torch:
        reference["PyTorch, same run: ours over theirs"] = {
            row["size"]: row["train_over_torch"] for row in rows
        }
    record(
        "layers-speed" if options.cell == "lstm" else f"layers-speed-{options.cell}",
        metric="training step: speed over the Keras built-in's, median of ratios, one a size",
        split="random batches of full length",
        values=[row["train_over_keras"] for row in rows],
        seconds=[row["seconds"] for row in rows],
        reference={**reference, "measured": rows},
        settings={
            "cell": options.cell,
            "sizes": [row["size"] for row in rows],
            "repeats": options.repeats,
        },
    )


if __name__ == "__main__":
    main()
