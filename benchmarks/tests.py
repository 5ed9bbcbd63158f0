"""How long the README's test command takes.

    python -m benchmarks.tests

Run it on a quiet machine with two cores, without the benchmark data: the first tier of checks may
take eight minutes there.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.record import record

README = Path(__file__).parent.parent / "README.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    line = next(x for x in README.read_text(encoding="utf-8").splitlines() if "pytest" in x)
    words = line.rpartition("-m pytest ")[2].split()
    environment = {k: v for k, v in os.environ.items() if k != "KERASSEQ_DATA"}
    seconds, counts = [], []
    for _ in range(options.repeats):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=README.parent, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds.append(round(time.perf_counter() - start, 1))
        last = done.stdout.strip().splitlines()[-1]
        if done.returncode:
            sys.exit(f"the tests fail: {last}")
        counts.append({kind: int(n) for n, kind in re.findall(r"(\d+) (passed|skipped)", last)})
    record(
        "tests-minutes",
        metric="minutes of the README's test command",
        split="without KERASSEQ_DATA",
        values=[round(each / 60, 2) for each in seconds],
        seconds=seconds,
        reference={"must": 8, "counts": counts},
        settings={"command": f"python -m pytest {' '.join(words)}"},
    )


if __name__ == "__main__":
    main()
