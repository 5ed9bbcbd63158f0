"""The command line of a task, generated from its settings and verbs."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import re
import sys
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from kerasseq import compat
from kerasseq.app.options import COMMON_VERBS
from kerasseq.app.recipes import Recipe, find_recipe
from kerasseq.app.task import Task, Verb
from kerasseq.config import Settings, describe_bounds
from kerasseq.errors import UserError


def main(task: type[Task], arguments: Sequence[str] | None = None) -> None:
    """Runs the command line of a task and exits: 0 done, 2 the user's to mend, 130 interrupted.

    Args:
        task: the task.
        arguments: words after the program's name; ``sys.argv`` if None.
    """
    sys.exit(run(task(), arguments, typed_program()))


def typed_program() -> str:
    """How this process was started: ``python -m tasks.ner``."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        return f"python -m {spec.name.removesuffix('.__main__')}"
    script = Path(sys.argv[0]).name
    return f"python {sys.argv[0]}" if script.endswith(".py") else script


def run(task: Task, arguments: Sequence[str] | None = None, program: str | None = None) -> int:
    """Runs a task's command line.

    Args:
        task: the task.
        arguments: words after the program's name; ``sys.argv`` if None.
        program: how the task is called, for usage lines and errors.

    Returns:
        The exit status.
    """
    verbs = verbs_of(task)
    program = program or f"python -m kerasseq {task.name}"
    try:
        name, options = parse(task, verbs, arguments, program)
        verbs[name].run(task, options)
        sys.stdout.flush()
    except UserError as error:
        return fail(program, error)
    except OSError as error:  # a full disk, a missing permission
        if isinstance(error, BrokenPipeError):
            end_quietly()
            return 0
        return fail(program, UserError(str(error)))
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    return 0


def end_quietly() -> None:
    """Drops what is still to be printed: the reader (head, less, grep -q) has enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(program: str, error: UserError) -> int:
    """Says in a line what is wrong; gives the exit status."""
    print(f"{program}: {_one_line(str(error))}", file=sys.stderr)
    return error.status


def verbs_of(task: Task) -> dict[str, Verb]:
    """The verbs of a task, by name."""
    return {verb.name: verb for verb in (*COMMON_VERBS, *task.verbs)}


def parse(
    task: Task, verbs: Mapping[str, Verb], arguments: Sequence[str] | None, program: str
) -> tuple[str, Namespace]:
    """The verb and its options, with ``options.settings`` where the verb takes settings.

    Raises:
        UserError: for anything that is not a valid command.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog=program, description=task.title, exit_on_error=False)
    commands = parser.add_subcommands(dest="verb", required=True)
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in words if word in verbs), "")
    children = {}
    for verb in verbs.values():  # only the parser that is used has its options: they take long
        bare = verb.name != chosen
        child = ArgumentParser(exit_on_error=False) if bare else _verb_parser(task, verb, program)
        children[verb.name] = child
        commands.add_subcommand(verb.name, child, help=verb.help)
    actions = compat.parser_actions(children[chosen]) if chosen else []
    known = [option for action in actions for option in action.option_strings]
    words = [_as_known(word, known) for word in words]
    recipe = _take_recipe(words, task.name) if "--recipe" in known else None
    if recipe:
        children[chosen].set_defaults(run=f"runs/{recipe.name}")
    try:
        parsed = parser.parse_args(words)
    except (argparse.ArgumentError, TypeError, ValueError, OSError) as error:
        raise UserError(_parse_message(str(error), chosen, known)) from None
    options = parsed[parsed.verb]
    if verbs[parsed.verb].settings:
        try:
            options.settings = _settings(task.settings_class, options)
        except UserError as error:
            raise UserError(f"bad setting: {error}") from None
    if recipe:
        recipe.check_data(options.settings.data)
    return parsed.verb, options


def _take_recipe(words: list[str], task: str) -> Recipe | None:
    """The recipe that is asked for; its words become the ``--config`` that it stands for, so that
    what comes after it changes it."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--recipe" and (equals or place + 1 < len(words)):
            recipe = find_recipe(value if equals else words[place + 1], task)
            words[place : place + 2 - bool(equals)] = [f"--config={json.dumps(recipe.changes())}"]
            return recipe
    return None


def _verb_parser(task: Task, verb: Verb, program: str) -> ArgumentParser:
    usage = " ".join(filter(None, (program, verb.name, "[options]", verb.arguments)))
    parser = ArgumentParser(description=verb.help, exit_on_error=False, usage=usage)
    verb.options(parser, task)
    if verb.settings:
        parser.add_argument("--config", action="config", help="YAML file of settings.")
        parser.add_class_arguments(task.settings_class)
        _add_bounds(parser, task.settings_class)
    return parser


def verb_options(task: Task, verb: Verb) -> list[tuple[str, str]]:
    """The long options of a verb, each with the first sentence of its help."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    actions = compat.parser_actions(_verb_parser(task, verb, ""))
    return [
        (option, str(action.help or "").partition(". ")[0].replace("%", "%%"))
        for action in actions
        for option in action.option_strings
        if option.startswith("--")
        and not option.endswith("+")
        and action.help != argparse.SUPPRESS
        and option != "--help"
    ]


def _as_known(word: str, known: Container[str]) -> str:
    """A setting that was spelled with dashes, as it is known: ``--init-from``, ``--init_from``."""
    name, equals, value = word.partition("=")
    spelled = name[:2] + name[2:].replace("-", "_")
    if word.startswith("--") and name not in known and spelled in known:
        return spelled + equals + value
    return word


def settings_of(task: Task, changes: Mapping[str, Any]) -> Any:
    """A task's settings, from those that differ from the defaults.

    Args:
        task: whose they are.
        changes: nested, or by dotted names: ``{"model": {"units": 3}}``, ``{"model.units": 3}``; of
            two for one setting the later one wins.

    Raises:
        UserError: for a name that is no setting, or a value that it cannot have.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    tree = _plain(_nested(changes))
    _check_names(task.settings_class().to_dict(), tree)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(task.settings_class)
    try:
        values = parser.parse_object(tree)
    except (argparse.ArgumentError, TypeError, ValueError) as error:
        message = _parse_message(str(error), task.name, ())
        raise UserError(f"bad setting: {message}") from None
    try:
        return _settings(task.settings_class, values)
    except UserError as error:
        raise UserError(f"bad setting: {error}") from None


def _check_names(known: Mapping[str, Any], given: Mapping[str, Any], group: str = "") -> None:
    """Raises:
    UserError: if a name in nested settings is none of a setting, with the nearest one.
    """
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {group}{near[0]}?" if near else f"there are {', '.join(known)}"
            raise UserError(f"bad setting: no setting {group}{name}; {hint}")
        if isinstance(value, Mapping) and isinstance(known[name], Mapping):
            _check_names(known[name], value, f"{group}{name}.")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others in their place; both nested, or by dotted names."""
    tree = dict(_nested(base))
    for name, value in _nested(changes).items():
        inner = isinstance(value, Mapping) and isinstance(tree.get(name), Mapping)
        tree[name] = merged(tree[name], value) if inner else value
    return tree


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, and paths as strings."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in changes.items():
        head, dot, rest = name.partition(".")
        if dot or isinstance(value, Mapping):
            inner = _nested({rest: value} if dot else value)
            tree[head] = {**tree.get(head, {}), **inner}
        else:
            tree[head] = value
    return tree


def _settings(kind: type[Settings], values: Namespace) -> Any:
    hints = get_type_hints(kind)
    made = {}
    for name in (field.name for field in dataclasses.fields(kind)):
        made[name] = values[name]
        if values[name] is None:
            raise UserError(f"{name} has no value")
        if isinstance(hints[name], type) and issubclass(hints[name], Settings):
            if not isinstance(values[name], Namespace):
                raise UserError(f"{name} is a group of settings, not {values[name]!r}")
            try:
                made[name] = _settings(hints[name], values[name])
            except UserError as error:
                raise UserError(f"{name}.{error}") from None
    return kind(**made)


def _add_bounds(parser: ArgumentParser, kind: type[Settings], prefix: str = "") -> None:
    """Completes each setting's help by its bounds."""
    hints = get_type_hints(kind)
    for entry in dataclasses.fields(kind):
        inner = hints[entry.name]
        if isinstance(inner, type) and issubclass(inner, Settings):
            _add_bounds(parser, inner, f"{prefix}{entry.name}.")
        elif bounds := describe_bounds(entry):
            name = prefix + entry.name
            action = next(a for a in compat.parser_actions(parser) if a.dest == name)
            action.help = f"{(action.help or '').removesuffix('.')} [{bounds}]."


def _parse_message(message: str, verb: str, known: Sequence[str]) -> str:
    """jsonargparse's report as one line, with the nearest known name for an unknown one."""
    unknown = (
        r"unrecognized arguments: -*([\w.-]+)",
        r"does not accept option '([\w.]+)'",
        r"[Kk]ey '?\"?([\w.]+)'?\"? (?:is not expected|does not exist)",
    )
    if stray := re.search(r"unrecognized arguments: ([^-\s]\S*)", message):
        return (
            f"unexpected {stray[1]!r}: give all texts and names together, options before or after"
        )
    found = next(filter(None, (re.search(pattern, message) for pattern in unknown)), None)
    if not found:
        return _one_line(re.sub(r"<class '(\w+)'>", r"\1", message.replace("typing.", "")))
    given = f"--{found[1]}"
    near = difflib.get_close_matches(given, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; see {verb} --help".replace("  ", " ")
    return f"unknown setting or option {given}{hint}"


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip())
