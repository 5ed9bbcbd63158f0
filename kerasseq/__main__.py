"""``python -m kerasseq TASK VERB``: any task that is installed, by its name."""

from __future__ import annotations

import sys

from kerasseq.app.cli import fail, run, typed_program
from kerasseq.app.registry import find_task, task_names
from kerasseq.errors import UserError

USAGE = "usage: python -m kerasseq TASK VERB [options]"


def main() -> None:
    """Runs a task's command line."""
    name, *words = sys.argv[1:] or ["--help"]
    if name not in ("-h", "--help"):
        sys.exit(_run(name, words))
    print(f"{USAGE}\n\ntasks:")
    for name in task_names():
        print(f"  {name:<16} {_title(name)}")


def _run(name: str, words: list[str]) -> int:
    program = f"{typed_program()} {name}"
    try:
        task = find_task(name)
    except UserError as error:
        return fail(program, error)
    return run(task, words, program)


def _title(name: str) -> str:
    try:
        return find_task(name).title
    except UserError as error:  # one package's fault keeps nobody from the other tasks
        return " ".join(str(error).split())


if __name__ == "__main__":
    main()
