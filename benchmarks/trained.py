"""Runs that benchmarks measure, trained through the command line as a user would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

RUNS = Path("runs/benchmarks")


def train(task: str, name: str, *words: str) -> tuple[dict[str, Any], float]:
    """Runs a task's train verb, or continues it.

    Args:
        task: its name.
        name: of the run's folder in :data:`RUNS`, and of its exports.
        words: settings and options.

    Returns:
        The run's records (``test`` is the report of the split that it was scored on), and the
        wall time in seconds.
    """
    run = RUNS / name
    if (run / "training.json").exists():
        sys.exit(f"{run} is a finished run, maybe of other code: remove it to measure again")
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", f"tasks.{task}", "train", "--run", str(run),
         "--saved-models", str(RUNS / "saved_models" / name), *words],
        check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    # data without a test split is scored on validation, and with --only-train on nothing
    scored = [run / f"evaluation/{split}.json" for split in ("test", "validation")]
    found = next((path for path in scored if path.exists()), None)
    return {
        "test": json.loads(found.read_text(encoding="utf-8")) if found else None,
        "training": json.loads((run / "training.json").read_text(encoding="utf-8")),
        "data": json.loads((run / "data.json").read_text(encoding="utf-8")),
        "history": [json.loads(line) for line in (run / "metrics.jsonl").open(encoding="utf-8")],
        "settings": yaml.safe_load((run / "settings.yaml").read_text(encoding="utf-8")),
    }, seconds
