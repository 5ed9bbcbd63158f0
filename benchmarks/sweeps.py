"""One real sweep a task, and its best trial trained anew.

    KERASSEQ_DATA=... python -m benchmarks.sweeps TASK

A sweep that was stopped goes on by the same command. The test splits are not looked at: what is
recorded is the validation metric of the best trial, of the task's defaults, and of the best
settings trained again by ``train --config``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

from benchmarks.record import record
from benchmarks.trained import RUNS, train
from kerasseq.app.recipes import find_recipe
from kerasseq.training.run_folder import RunFolder

# how each recipe sweep-TASK is swept
SWEEPS: dict[str, list[str]] = {
    "sentiment": ["--tuner", "hyperband", "--max-trials", "20", "--workers", "2"],
    "pos_tagging": ["--tuner", "bayesian", "--max-trials", "10", "--prune"],
    "language_model": ["--tuner", "random", "--max-trials", "8", "--prune"],
    "translation": ["--tuner", "bayesian", "--max-trials", "8", "--prune"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=SWEEPS)
    task = parser.parse_args().task
    folder = RunFolder(RUNS / f"sweep-{task}")
    recipe = find_recipe(f"sweep-{task}")
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", f"tasks.{task}", "tune", "--run", str(folder.path),
         "--recipe", recipe.name, *SWEEPS[task]],
        check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    report = folder.need_json("report.json")
    best = ["--config", str(folder / "best.yaml"), "--only-train"]
    again, _ = train(task, f"sweep-{task}-best", *best)
    metric, trials = report["metric"], {trial["trial"]: trial for trial in report["trials"]}
    record(
        f"sweep-{task}",
        metric=f"{metric} on validation, best trial",
        split="validation",
        values=[trials[report["best"]]["value"]],
        seconds=[round(seconds, 1)],
        reference={
            "seconds of all trials": report["seconds"],
            "defaults": trials["defaults"]["value"],
            "best settings trained again": again["training"]["validation"][metric],
            "best": trials[report["best"]]["changes"],
            "importance": report["importance"],
            "trials": [told(trial) for trial in report["trials"]],
        },
        settings={
            "data": recipe.data,
            "options": SWEEPS[task],
            "best": {**again["settings"], "data": recipe.data},
        },
    )


def told(trial: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a trial."""
    names = ("trial", "status", "value", "epochs", "seconds", "parameters", "changes", "reason")
    return {name: trial[name] for name in names if trial[name] not in ("", None)}


if __name__ == "__main__":
    main()
