"""The recurrent kernels beside one another, in each precision, on the device that is there.

    python -m benchmarks.kernels             # on a GPU, cuDNN too

A training step of a bidirectional LSTM (forward, backward to the inputs and all weights), in turns;
see benchmarks/turns.py. What the device has no kernel for is left out, and said.
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

SIZES = ("64x200x128x128", "32x70x512x512")
KERNELS = ("cudnn", "closed_form", "loop")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), help="batch x time x in x units")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=60.0, help="about as long a size, at most")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def work(spec: str) -> None:
    """One contestant: a kernel, a precision, a size."""
    import keras
    import tensorflow as tf

    from kerasseq.layers import RecurrentStack
    from kerasseq.training import devices

    kernel, precision, size = spec.split(",")
    made = devices.plan(devices.detect(), devices.DeviceSettings(precision=precision))
    devices.apply(made)
    batch, steps, features, units = map(int, size.split("x"))
    layer = RecurrentStack(units, bidirectional=True, kernel=kernel)
    x = tf.random.stateless_normal((batch, steps, features), (0, 1))
    x = tf.cast(x, keras.config.dtype_policy().compute_dtype)
    layer.build(x.shape)
    weights = [weight.value for weight in layer.trainable_weights]

    @tf.function
    def train() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(tf.cast(layer(x, training=True), tf.float32))
        return tape.gradient(loss, [x, *weights])

    serve(
        {"train": lambda: train()[-1].numpy()}, device=made.lines(), plan=str(layer.kernel_plan())
    )


def measure(size: str, repeats: int, seconds: float) -> dict[str, Any]:
    """Tokens a second of every contestant, and each over closed_form in float32."""
    workers, missing = {}, []
    for kernel in KERNELS:
        for precision in PRECISIONS:
            name = f"{kernel}, {precision}"
            try:
                spec = f"{kernel},{precision},{size}"
                workers[name] = Worker(sys.executable, "benchmarks.kernels", spec)
            except RuntimeError:  # it ended with a message: no such kernel here
                missing.append(name)
    found = take_turns(workers, ["train"], repeats, seconds)
    batch, steps, _, _ = map(int, size.split("x"))
    base = found["closed_form, float32"]
    return {
        "size": size,
        "tokens a second": {
            name: round(batch * steps / statistics.median(row["train"]))
            for name, row in found.items()
        },
        "over closed_form in float32": {
            name: speed_ratio(row["train"], base["train"]) for name, row in found.items()
        },
        "not here": missing,
        "device": base["device"],
    }


def main() -> None:
    options = parse()
    if options.worker:
        work(options.worker)
        return
    from benchmarks.record import record

    rows = []
    for size in options.sizes:
        rows.append(measure(size, options.repeats, options.seconds))
        print(json.dumps(rows[-1], indent=2), flush=True)
    ratios = [row["over closed_form in float32"] for row in rows]
    record(
        "kernels-gpu" if "GPU: none" not in " ".join(rows[0]["device"]) else "kernels-cpu",
        metric="training step: speed of the fastest kernel and precision over closed_form, float32",
        split="random batches of full length",
        values=[max(row.values()) for row in ratios],
        seconds=[],
        reference={"measured": rows},
        settings={"sizes": options.sizes, "repeats": options.repeats},
    )


if __name__ == "__main__":
    main()
