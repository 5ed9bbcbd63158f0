"""Runs that benchmarks measure, trained through the command line as a user would."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kerasseq.training.run_folder import SUMMARY, RunFolder

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
    run = RunFolder(RUNS / name)
    if run.read_json(SUMMARY) is not None:
        sys.exit(f"{run.path} is a finished run, maybe of other code: remove it to measure again")
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", f"tasks.{task}", "train", "--run", str(run.path),
         "--saved-models", str(RUNS / "saved_models"), *words],
        check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    # data without a test split is scored on validation, and with --only-train on nothing
    scored = [run.read_json(f"evaluation/{split}.json") for split in ("test", "validation")]
    return {
        "test": next((report for report in scored if report is not None), None),
        "training": run.need_json(SUMMARY),
        "data": run.need_json("data.json"),
        "history": run.history(),
        "settings": run.record(task)["settings"],
    }, seconds
