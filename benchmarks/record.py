"""The JSON record of a measured figure."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from kerasseq.training.devices import usable_cores
from kerasseq.training.run_folder import versions

RESULTS = Path(__file__).parent / "results"


def data_folder() -> Path:
    """The folder of benchmark data sets, from ``KERASSEQ_DATA``."""
    folder = os.environ.get("KERASSEQ_DATA")
    if not folder or not Path(folder).is_dir():
        sys.exit("set KERASSEQ_DATA to the folder of data sets that docs/results.md describes")
    return Path(folder)


def record(
    name: str,
    *,
    metric: str,
    split: str,
    values: list[float],
    seconds: list[float],
    reference: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    """Writes ``benchmarks/results/NAME.json``.

    Args:
        name: of the figure.
        metric, split: what was measured, on what.
        values, seconds: one for each seed or repeat.
        reference: what it is compared with.
        settings: everything that determines the figure.
    """
    RESULTS.mkdir(exist_ok=True)
    result = {
        "name": name,
        "command": "python -m " + " ".join(["benchmarks." + Path(sys.argv[0]).stem, *sys.argv[1:]]),
        "metric": metric,
        "split": split,
        "values": values,
        "seconds": seconds,
        "reference": reference,
        "settings": settings,
        "versions": versions(),
        "commit": _git("rev-parse", "--short", "HEAD")
        + ("+" if _git("status", "-s", "-uno") else ""),
        "machine": f"{usable_cores()} cores, {_processor()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{name}: {metric} {values} -> {path}")


def recorded(name: str) -> dict[str, Any] | None:
    """What ``benchmarks/results/NAME.json`` holds, if it was measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
