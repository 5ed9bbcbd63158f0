"""``kerasseq TASK VERB``: any task that is installed, by its name; beside them the server."""

from __future__ import annotations

import argparse
import sys

from kerasseq.app.cli import end_quietly, fail, run, typed_program, verb_options, verbs_of
from kerasseq.app.recipes import find_recipe, recipe_names
from kerasseq.app.registry import find_task, task_names, task_title
from kerasseq.errors import UserError
from kerasseq.installing import install_extra

OTHERS = {
    "serve": "serve every exported model of a folder",
    "verify": "check that exported versions answer as they did",
    "tasks": "list the tasks",
    "recipes": "list the recipes: settings of recorded figures, for train --recipe",
    "completion": "print what completes commands in bash, zsh or tcsh",
}


def main() -> None:
    """Runs a task's command line, or what is not one task's."""
    try:
        _main()
        sys.stdout.flush()
    except BrokenPipeError:
        end_quietly()


def _main() -> None:
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
    elif name == "completion":
        sys.exit(_completion(words, program))
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


def _completion(words: list[str], program: str) -> int:
    """Prints a script by shtab: tasks, their verbs, and the options of these."""
    try:
        import shtab
    except ImportError:
        return fail(program, UserError(f"completion needs: {install_extra('completion')}"))
    shells = list(shtab.SUPPORTED_SHELLS)
    if len(words) != 1 or words[0] not in shells:
        return fail(program, UserError(f"completion: give one of {', '.join(shells)}"))
    parser = argparse.ArgumentParser(prog="kerasseq")
    commands = parser.add_subparsers()
    for name, what in OTHERS.items():
        commands.add_parser(name, help=what)
    for name in task_names():
        task = find_task(name)
        verbs = commands.add_parser(name, help=task.title).add_subparsers()
        for verb in verbs_of(task).values():
            plain = verbs.add_parser(verb.name, help=verb.help)
            for option, help in verb_options(task, verb):
                plain.add_argument(option, help=help)
    print(shtab.complete(parser, words[0]))
    return 0


def _run(name: str, words: list[str], program: str) -> int:
    try:
        task = find_task(name)
    except UserError as error:
        return fail(program, error)
    return run(task, words, program)


if __name__ == "__main__":
    main()
