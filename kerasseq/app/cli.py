"""The command line of every task, generated from its settings and verbs."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import importlib
import os
import re
import sys
import tempfile
from collections.abc import Container, Sequence
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from kerasseq.config import Settings, describe_bounds
from kerasseq.errors import UserError
from kerasseq.app.task import Task, Verb


def main(task: Task, arguments: Sequence[str] | None = None) -> None:
    """Runs a task's command line and exits: 0 done, 2 the user's to mend, 130 interrupted."""
    sys.exit(run(task, arguments))


def run(task: Task, arguments: Sequence[str] | None = None) -> int:
    """Runs a task's command line.

    Args:
        task: the task.
        arguments: words after the program's name; ``sys.argv`` if None.

    Returns:
        The exit status.
    """
    verbs = {verb.name: verb for verb in (*common_verbs(task), *task.extra_verbs)}
    try:
        name, options = parse(task, verbs, arguments)
        verbs[name].run(task, options)
        sys.stdout.flush()
    except UserError as error:
        print(f"{prog(task)}: {_one_line(str(error))}", file=sys.stderr)
        return error.status
    except OSError as error:  # a full disk, a missing permission
        if isinstance(error, BrokenPipeError):  # the reader (head, less) has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"{prog(task)}: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog(task)}: interrupted", file=sys.stderr)
        return 130
    return 0


def prog(task: Task) -> str:
    """How the task is called."""
    return f"python -m tasks.{task.name}"


def parse(
    task: Task, verbs: dict[str, Verb], arguments: Sequence[str] | None
) -> tuple[str, Namespace]:
    """The verb and its options, with ``options.settings`` where the verb takes settings.

    Raises:
        UserError: for anything that is not a valid command.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog=prog(task), description=task.title, exit_on_error=False)
    commands = parser.add_subcommands(dest="verb", required=True)
    children = {}
    for verb in verbs.values():
        child = ArgumentParser(
            description=verb.help,
            exit_on_error=False,
            usage=f"{prog(task)} {verb.name} [options]",
        )
        verb.options(child)
        if verb.settings:
            child.add_argument("--config", action="config", help="YAML file of settings.")
            child.add_class_arguments(task.settings_class)
            _add_bounds(child, task.settings_class)
        commands.add_subcommand(verb.name, child, help=verb.help)
        children[verb.name] = child
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in words if word in children), "")
    actions = children[chosen]._actions if chosen else []
    known = [option for action in actions for option in action.option_strings]
    words = [_as_known(word, known) for word in words]
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
    return parsed.verb, options


def _as_known(word: str, known: Container[str]) -> str:
    """A setting that was spelled with dashes, as it is known: ``--init-from``, ``--init_from``."""
    name, equals, value = word.partition("=")
    spelled = name[:2] + name[2:].replace("-", "_")
    if word.startswith("--") and name not in known and spelled in known:
        return spelled + equals + value
    return word


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
            action = next(a for a in parser._actions if a.dest == prefix + entry.name)
            action.help = f"{(action.help or '').removesuffix('.')} [{bounds}]."


def _parse_message(message: str, verb: str, known: Sequence[str]) -> str:
    """jsonargparse's report as one line, with the nearest known name for an unknown one."""
    unknown = (
        r"unrecognized arguments: -*([\w.-]+)",
        r"does not accept option '([\w.]+)'",
        r"[Kk]ey '?\"?([\w.]+)'?\"? (?:is not expected|does not exist)",
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


# -- the verbs that every task has -----------------------------------------------------------------


def common_verbs(task: Task) -> tuple[Verb, ...]:
    """``train``, ``evaluate``, ``predict``, ``tune``, ``export`` and ``describe``."""

    def own_run(parser: argparse.ArgumentParser) -> None:
        run_option(parser, task.name)

    def saved_models_option(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--saved-models",
            default="saved_models",
            help="Folder for exports; a version lands in SAVED_MODELS/TASK/VERSION "
            "(default: %(default)s).",
        )

    def train_options(parser: argparse.ArgumentParser) -> None:
        own_run(parser)
        download_option(parser)
        saved_models_option(parser)
        parser.add_argument(
            "--only-train",
            action="store_true",
            help="Stop after training: no test score, no examples, no export.",
        )

    def evaluate_options(parser: argparse.ArgumentParser) -> None:
        own_run(parser)
        download_option(parser)
        parser.add_argument(
            "--split",
            choices=["test", "validation", "train"],
            help="Split of the data (default: test; validation, if there is no test split).",
        )
        parser.add_argument(
            "--on", metavar="DATA", help="Other labelled data instead: a path or tfds:NAME."
        )
        parser.add_argument("--encoding", help="Of that data, if it is not the run's own.")

    def predict_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = f"{prog(task)} predict [options] [texts ...]"
        input_options(parser)
        json_option(parser)
        own_run(parser)

    def export_options(parser: argparse.ArgumentParser) -> None:
        own_run(parser)
        saved_models_option(parser)
        parser.add_argument(
            "--format",
            choices=["saved_model", "litert", "onnx"],
            default="saved_model",
            help="What it is for: TensorFlow, which takes texts (default), or LiteRT and ONNX "
            "Runtime, which take ids: a vocabulary and a client in NumPy are put beside the model, "
            "in SAVED_MODELS/TASK-FORMAT/VERSION.",
        )

    def tune_options(parser: argparse.ArgumentParser) -> None:
        own_run(parser)
        parser.set_defaults(run=f"runs/{task.name}-sweep")
        download_option(parser)
        parser.add_argument(
            "--tuner",
            choices=["random", "bayesian", "hyperband", "grid"],
            default="random",
            help="How settings are chosen (default: %(default)s).",
        )
        parser.add_argument(
            "--max-trials", type=int, default=10, help="Most trials (default: %(default)s)."
        )
        parser.add_argument(
            "--space",
            metavar="FILE",
            help="YAML file that changes what is varied: settings by "
            "name, each with a list of values, with {low, high, log or step}, or null.",
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help="Stop a trial that is worse than the median of the completed ones so far.",
        )
        parser.add_argument(
            "--max-parameters",
            type=int,
            default=0,
            help="Fail trials of larger models, before they are built (default: any size).",
        )
        parser.add_argument(
            "--workers",
            type=int,
            default=1,
            help="Trials at once, as Ray tasks if more than 1 (default: %(default)s).",
        )
        parser.add_argument(
            "--ray-address", default="", help="Of a Ray cluster that is there, such as auto."
        )
        parser.add_argument(
            "--gpus-per-trial",
            type=float,
            default=0.0,
            help="GPUs that Ray gives a trial, or a part of one (default: %(default)s).",
        )

    return (
        Verb("train", "Train, score on test, show examples, export.", late("train"),
             train_options, settings=True),
        Verb("evaluate", "Report on a split, or on other labelled data.", late("evaluate"),
             evaluate_options),
        Verb("predict", "Predict for arguments, a file or standard input.", late("predict"),
             predict_options),
        Verb("tune", "Search the task's space for better settings.", late("tune"),
             tune_options, settings=True),
        Verb("export", "Write a SavedModel or another format, and verify it.", late("export"),
             export_options),
        Verb("describe", "Print settings, model and device plan.", late("describe"),
             own_run, settings=True),
    )  # fmt: skip


def run_option(parser: argparse.ArgumentParser, name: str) -> None:
    """Adds ``--run``, the run folder of the task ``name``."""
    parser.add_argument("--run", default=f"runs/{name}", help="Run folder (default: %(default)s).")


def download_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--download``."""
    parser.add_argument(
        "--download", action="store_true", help="Fetch a tfds:NAME that is not prepared yet."
    )


def json_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--json``."""
    parser.add_argument("--json", action="store_true", help="Print a JSON object a line.")


def input_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that :func:`kerasseq.app.verbs.read_texts` reads."""
    parser.add_argument(
        "texts",
        nargs="*",
        default=[],
        help="Texts; a text a line from standard input if none.",
    )
    parser.add_argument("--saved-model", help="Use an exported version instead of a run.")
    parser.add_argument("--file", help="Text file, a text a line (.gz too).")
    parser.add_argument("--encoding", default="utf-8", help="Of the file.")


def late(name: str, module: str = "kerasseq.app.verbs") -> Any:
    """A verb in a module that imports tensorflow, imported when it is called."""

    def call(task: Task, options: Namespace) -> None:
        _import_tensorflow()
        getattr(importlib.import_module(module), name)(task, options)

    return call


def _import_tensorflow() -> None:
    """Imports tensorflow without its chatter, part of which no setting of its own can stop."""
    has_gpu = os.path.exists("/dev/nvidiactl")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if has_gpu else "3")
    with tempfile.TemporaryFile() as chatter:
        stderr = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            chatter.seek(0)
            os.write(stderr, chatter.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
