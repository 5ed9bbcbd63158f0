"""Speed of the recurrent layers, beside the Keras built-ins and (if installed) PyTorch.

    python benchmarks/layers.py                      # LSTM, all sizes, one and both directions
    python benchmarks/layers.py --cell gru --repeats 5
    python benchmarks/layers.py --torch_python /path/to/another/venv/bin/python

Forward pass and training step (forward, backward to the inputs and all weights, a full-length
batch) at each size, batch x time x input x units. The contestants take turns, so that a busy
machine slows all of them, and a ratio is the median over the turns. PyTorch runs in a process of
its own, which waits for its turn: the two libraries' thread pools would fight otherwise.
Peak memory is what one training step adds to the resident set of a fresh process, by contestant.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIZES = ("64x200x64x64", "32x200x128x64", "32x35x256x256", "64x35x650x650", "1x50x256x256")
DIRECTIONS = ("uni", "bi")
ROOT = Path(__file__).resolve().parent.parent


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", choices=("lstm", "gru"), default="lstm")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    parser.add_argument("--directions", nargs="+", choices=DIRECTIONS, default=list(DIRECTIONS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=20.0, help="at most this long a size")
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/layers-speed.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- contestants: make(cell, size, both) -> {"forward": f, "train": g}


def tensorflow_contestant(kind: str, cell: str, size: tuple[int, ...], both: bool) -> dict:
    import keras
    import tensorflow as tf

    batch, steps, features, units = size
    if kind == "keras":
        base = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
        layer = base(units, return_sequences=True)
        layer = keras.layers.Bidirectional(layer) if both else layer
    else:
        sys.path.insert(0, str(ROOT))
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
    return {
        "forward": lambda: forward(x).numpy(),
        "train": lambda: train(x)[-1].numpy(),
        "plan": plan,
    }


def torch_contestant(cell: str, size: tuple[int, ...], both: bool) -> dict:
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
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

    return {"forward": forward, "train": train, "plan": f"torch {torch.__version__}"}


def make(kind: str, cell: str, size: tuple[int, ...], both: bool) -> dict:
    if kind == "torch":
        return torch_contestant(cell, size, both)
    return tensorflow_contestant(kind, cell, size, both)


def resident_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def work(spec: str) -> None:
    """A contestant in a process of its own: a line in ("forward" or "train"), seconds out."""
    kind, cell, size, direction = spec.split(",")
    contestant = make(kind, cell, tuple(map(int, size.split("x"))), direction == "bi")
    before = resident_kib()
    for task in ("forward", "train"):
        contestant[task]()
    ready = {"memory_mib": (resident_kib() - before) / 1024, "plan": contestant["plan"]}
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        contestant[line.strip()]()
        print(json.dumps(time.perf_counter() - start), flush=True)


class Worker:
    """The other end of `work`."""

    def __init__(self, python: str, spec: str) -> None:
        command = [python, str(Path(__file__).resolve()), "--worker", spec]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.ready = json.loads(self._read())

    def _read(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the worker ended; run it by hand with --worker to see why")
        return line

    def time(self, task: str) -> float:
        self.process.stdin.write(task + "\n")
        self.process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def has_torch(python: str) -> bool:
    return subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0


def measure(options: argparse.Namespace, size: str, direction: str, kinds: list[str]) -> dict:
    """Seconds by contestant and task, in turns."""
    workers = {
        kind: Worker(
            options.torch_python if kind == "torch" else sys.executable,
            f"{kind},{options.cell},{size},{direction}",
        )
        for kind in kinds
    }
    times: dict = {kind: {"forward": [], "train": []} for kind in kinds}
    end = time.perf_counter() + options.seconds
    for turn in range(options.repeats + 1):
        for task in ("forward", "train"):
            for kind, worker in workers.items():
                seconds = worker.time(task)
                if turn:  # the first turn warms up
                    times[kind][task].append(seconds)
        if turn >= 3 and time.perf_counter() > end:
            break
    for kind, worker in workers.items():
        times[kind].update(worker.ready)
        worker.close()
    return times


def ratio(theirs: list[float], ours: list[float]) -> float:
    return round(statistics.median(t / o for t, o in zip(theirs, ours, strict=True)), 3)


def row(name: str, size: str, times: dict) -> dict:
    batch, steps, _, _ = map(int, size.split("x"))
    tokens = batch * steps
    result: dict = {"size": name, "plan": times["kerasseq"]["plan"]}
    for kind, measured in times.items():
        for task in ("forward", "train"):
            result[f"{kind}_{task}_tokens_per_second"] = round(
                tokens / statistics.median(measured[task])
            )
            if kind != "kerasseq":
                result[f"{task}_over_{kind}"] = ratio(measured[task], times["kerasseq"][task])
        result[f"{kind}_memory_mib"] = round(measured["memory_mib"], 1)
    return result


def versions(torch_python: str, torch: bool) -> dict[str, str]:
    from importlib.metadata import version

    found = {name: version(name) for name in ("keras", "tensorflow", "numpy")}
    found["python"] = platform.python_version()
    if torch:
        code = "import torch; print(torch.__version__)"
        run = subprocess.run([torch_python, "-c", code], capture_output=True, text=True)
        found["torch"] = run.stdout.strip()
    return found


def commit() -> str:
    run = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return run.stdout.strip() or "unknown"


def machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    return f"{model}, {os.cpu_count()} cores"


def main() -> None:
    options = parse()
    if options.worker:
        work(options.worker)
        return
    torch = has_torch(options.torch_python)
    kinds = ["keras", "kerasseq"] + (["torch"] if torch else [])
    rows, seconds = [], []
    for direction in options.directions:
        for size in options.sizes:
            times = measure(options, size, direction, kinds)
            rows.append(row(f"{size}-{direction}", size, times))
            seconds.append(statistics.median(times["kerasseq"]["train"]))
            shown = {k: v for k, v in rows[-1].items() if "_over_" in k}
            print(rows[-1]["size"], json.dumps(shown), flush=True)
    command = " ".join(["python", "benchmarks/layers.py", *sys.argv[1:]])
    reference = {"keras": "keras.layers, the same weights' shapes: 1.0"}
    if torch:
        reference["torch"] = {r["size"]: r["train_over_torch"] for r in rows}
    result = {
        "name": "layers-speed",
        "command": command,
        "metric": "training step, times the speed of the Keras built-in (median of ratios)",
        "split": [r["size"] for r in rows],
        "values": [r["train_over_keras"] for r in rows],
        "seconds": [round(s, 5) for s in seconds],
        "reference": reference,
        "settings": {"cell": options.cell, "repeats": options.repeats, "rows": rows},
        "versions": versions(options.torch_python, torch),
        "commit": commit(),
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
