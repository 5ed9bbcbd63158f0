"""``kerasseq TASK VERB``: any task that is installed, by its name; beside them the server."""

from __future__ import annotations

import sys

from kerasseq.app.cli import fail, run, typed_program
from kerasseq.app.recipes import find_recipe, recipe_names
from kerasseq.app.registry import find_task, task_names, task_title
from kerasseq.errors import UserError

OTHERS = {
    "serve": "serve every exported model of a folder",
    "verify": "check that exported versions answer as they did",
    "tasks": "list the tasks",
    "recipes": "list the recipes: settings of recorded figures, for train --recipe",
}


def main() -> None:
    """Runs a task's command line, or what is not one task's."""
    name, *words = sys.argv[1:] or ["--help"]
    program = typed_program()
    if name in ("-h", "--help"):
        print(f"usage: {program} TASK VERB [options]\n\ntasks (TASK --help has its verbs):")
        _list_tasks()
        print("\nbeside them:")
        for other, what in OTHERS.items():
            print(f"  {other:<16} {what}")
    elif name == "tasks":
        _list_tasks()
    elif name == "recipes":
        for recipe in map(find_recipe, recipe_names()):
            print(f"  {recipe.name:<28} {recipe.task:<15} {recipe.comment[0]}")
    elif name == "serve":
        from kerasseq.serve.__main__ import main as serve

        serve(words)
    elif name == "verify":
        from kerasseq.export.__main__ import main as of_exports

        of_exports(["verify", *words])
    else:
        sys.exit(_run(name, words, f"{program} {name}"))


def _list_tasks() -> None:
    for name in task_names():
        print(f"  {name:<16} {task_title(name)}")


def _run(name: str, words: list[str], program: str) -> int:
    try:
        task = find_task(name)
    except UserError as error:
        return fail(program, error)
    return run(task, words, program)


if __name__ == "__main__":
    main()
