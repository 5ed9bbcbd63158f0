"""The verbs that every task has, their options, and options that several verbs share.

What the verbs do is in :mod:`kerasseq.app.verbs`, which is imported when one is called.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
from collections.abc import Callable
from typing import Any

from jsonargparse import Namespace

from kerasseq.app import early
from kerasseq.app.task import Task, Verb


def run_option(parser: argparse.ArgumentParser, task: Task, more: str = "") -> None:
    """Adds ``--run``, a run folder, by default ``runs/TASK``.

    Args:
        parser: of the verb.
        task: that the run is of.
        more: what the default ends with.
    """
    folder = f"runs/{task.name}{more}"
    parser.add_argument("--run", default=folder, help="Run folder (default: %(default)s).")


def download_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--download``."""
    parser.add_argument(
        "--download", action="store_true", help="Fetch a tfds:NAME that is not prepared yet."
    )


def json_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--json``."""
    parser.add_argument("--json", action="store_true", help="Print a JSON object a line.")


def saved_model_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--saved-model``."""
    parser.add_argument("--saved-model", help="Use an exported version instead of a run.")


def split_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--split``, for verbs that report on one."""
    parser.add_argument(
        "--split",
        choices=["test", "validation"],
        default="test",
        help="Split to report on (default: %(default)s).",
    )


def any_split_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--split``, for verbs that take any, by default the one that stands for a run."""
    parser.add_argument(
        "--split",
        choices=["test", "validation", "train"],
        help=f"{what} (default: test; validation, if there is no test split).",
    )


def moved_data_option(parser: argparse.ArgumentParser, whose: str) -> None:
    """Adds ``--data``, for verbs that read the data of a finished run."""
    parser.add_argument(
        "--data", help=f"Where {whose} lies now, if it has moved; its digest is checked."
    )


def input_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that :func:`kerasseq.app.verbs.read_texts` reads."""
    parser.add_argument(
        "texts",
        nargs="*",
        default=[],
        help="Texts; a text a line from standard input if none.",
    )
    saved_model_option(parser)
    parser.add_argument("--file", help="File of texts, a text a line (.gz too).")
    parser.add_argument("--encoding", default="utf-8", help="Of the file.")
    limit_option(parser, "Texts, at most, the first ones (default: all).")


def limit_option(parser: argparse.ArgumentParser, of: str) -> None:
    """Adds ``--limit``, where it is no setting."""
    parser.add_argument("--limit", type=int, default=0, metavar="N", help=of)


def late(
    name: str,
    module: str = "kerasseq.app.verbs",
    first: Callable[[Task, Namespace], Any] | None = None,
) -> Any:
    """A verb in a module that imports tensorflow, imported when it is called.

    Args:
        name, module: of its function.
        first: called before the import with the same arguments; if it gives something, the
            function gets that too.
    """

    def call(task: Task, options: Namespace) -> None:
        found = first(task, options) if first else None
        import_tensorflow()
        more = [] if found is None else [found]
        getattr(importlib.import_module(module), name)(task, options, *more)

    return call


def import_tensorflow() -> None:
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


# -- the verbs that every task has -----------------------------------------------------------------


def saved_models_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--saved-models``."""
    parser.add_argument(
        "--saved-models",
        default="saved_models",
        help="Folder for exports; a version lands in SAVED_MODELS/NAME/VERSION "
        "(default: %(default)s).",
    )
    parser.add_argument(
        "--name", default="", help="Of the exported model (default: that of the run's folder)."
    )


def recipe_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--recipe``, which :func:`kerasseq.app.cli.parse` takes."""
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="Settings that gave a recorded figure (kerasseq recipes lists them); the run is "
        "runs/NAME then. What comes after it on the line changes it.",
    )


def train_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``train``."""
    run_option(parser, task)
    recipe_option(parser)
    download_option(parser)
    saved_models_option(parser)
    parser.add_argument(
        "--only-train",
        action="store_true",
        help="Stop after training: no test score, no examples, no export.",
    )


def evaluate_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``evaluate``."""
    run_option(parser, task)
    download_option(parser)
    any_split_option(parser, "Split of the data")
    parser.add_argument(
        "--on", metavar="DATA", help="Other labelled data instead: a path or tfds:NAME."
    )
    limit_option(parser, "Examples of that data, at most (default: all).")
    for name in task.reading_settings:
        parser.add_argument(f"--{name}", help="Of that data, if it is not the run's own.")
    moved_data_option(parser, "the run's own data")
    parser.add_argument(
        "--errors",
        metavar="FILE",
        help="Also write what the model got wrong, the most confident errors first, as a table "
        "(.csv, .tsv, .jsonl, .parquet).",
    )


def compare_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``compare``."""
    parser.add_argument("runs", nargs="*", default=[], help="Two run folders.")
    any_split_option(parser, "Split to compare on")
    moved_data_option(parser, "the data of both")
    download_option(parser)


def predict_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``predict``."""
    input_options(parser)
    parser.add_argument(
        "--column",
        help="Column of the texts, if the file is a table: .csv, .tsv, .jsonl or .parquet "
        "(default: the run's text_column, where it has one).",
    )
    parser.add_argument(
        "--output",
        metavar="TABLE",
        help="Write a table with all columns of the file and the results beside them.",
    )
    json_option(parser)
    run_option(parser, task)


def export_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``export``."""
    run_option(parser, task)
    saved_models_option(parser)
    parser.add_argument(
        "--format",
        choices=["saved_model", "litert", "onnx"],
        default="saved_model",
        help="What it is for: TensorFlow, which takes texts (default), or LiteRT and ONNX "
        "Runtime, which take ids: a vocabulary and a client in NumPy are put beside the model, "
        "in SAVED_MODELS/NAME-FORMAT/VERSION.",
    )


def describe_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``describe``."""
    parser.add_argument(
        "--run", help="Describe this run, with its settings and vocabulary (default: the settings)."
    )


def tune_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``tune``."""
    run_option(parser, task, "-sweep")
    recipe_option(parser)
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
        "--max-hours",
        type=float,
        help="Begin no further trial after so long (default: any time).",
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
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="Train each trial from N seeds; its value is their mean (default: %(default)s).",
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="N",
        help="Train each trial N times, each with another part of train and validation as "
        "validation; its value is their mean (default: the data as it is cut).",
    )
    parser.add_argument(
        "--enqueue",
        metavar="FILE",
        help="Try these settings first: a YAML list of them, or a file such as best.yaml.",
    )
    parser.add_argument(
        "--extend",
        action="store_true",
        help="Go on with a changed space or another tuner; trials that are points of the space are "
        "taken over.",
    )
    parser.add_argument(
        "--keep-best",
        type=int,
        default=3,
        metavar="N",
        help="Keep the models of the best N trials, and write their settings as top/1.yaml and so "
        "on (default: %(default)s).",
    )
    parser.add_argument(
        "--max-parameters",
        type=int,
        default=0,
        help="Fail trials of larger models, before they are built (default: any size).",
    )
    _cluster_options(parser)


def _cluster_options(parser: argparse.ArgumentParser) -> None:
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


def _common(
    name: str, help: str, first: Callable[[Task, Namespace], Any], options: Any, **more: Any
) -> Verb:
    return Verb(name, help, late(name, first=first), options, **more)


COMMON_VERBS = (
    _common("train", "Train, score on test, show examples, export.", early.train,
            train_options, settings=True),
    _common("evaluate", "Report on a split, or on other labelled data.", early.evaluate,
            evaluate_options),
    _common("compare", "Compare two runs on the same split.", early.runs,
            compare_options, arguments="RUN RUN"),
    _common("predict", "Predict for arguments, a file or standard input.", early.predict,
            predict_options, arguments="[texts ...]"),
    _common("tune", "Search the task's space for better settings.", early.tune,
            tune_options, settings=True),
    _common("export", "Write a SavedModel or another format, and verify it.", early.run,
            export_options),
    _common("describe", "Print settings, model and device plan.", early.describe,
            describe_options, settings=True),
)  # fmt: skip
"""``train``, ``evaluate``, ``compare``, ``predict``, ``tune``, ``export`` and ``describe``."""
