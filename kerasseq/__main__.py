"""``python -m kerasseq TASK VERB``: any task that is installed, by its name."""

from __future__ import annotations

import sys

from kerasseq.app.cli import main as run_task
from kerasseq.app.registry import find_task, task_names

USAGE = "usage: python -m kerasseq TASK VERB [options]"


def main() -> None:
    """Runs a task's command line."""
    name, *words = sys.argv[1:] or ["--help"]
    if name not in ("-h", "--help"):
        run_task(name, words)
    print(f"{USAGE}\n\ntasks:")
    for task in map(find_task, task_names()):
        print(f"  {task.name:<16} {task.title}")


if __name__ == "__main__":
    main()
