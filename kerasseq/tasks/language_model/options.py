"""The verbs of language models and their options: ``next``, ``generate``, ``score``, ``cache``.

What they do is in :mod:`kerasseq.tasks.language_model.verbs`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from kerasseq.app.options import (
    download_option,
    input_options,
    json_option,
    late,
    run_option,
    saved_model_option,
    split_option,
)
from kerasseq.app.task import Task, Verb
from kerasseq.decoding.settings import RULES, Sampling

Options = Callable[[argparse.ArgumentParser, Task], None]


def next_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``next``."""
    _texts_options(parser, task)
    parser.add_argument("--k", type=int, default=10, help="How many tokens (default: %(default)s).")


def score_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``score``."""
    _texts_options(parser, task)
    parser.add_argument("--tokens", action="store_true", help="Show every token too.")


def _texts_options(parser: argparse.ArgumentParser, task: Task) -> None:
    input_options(parser)
    json_option(parser)
    run_option(parser, task)


def generate_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``generate``."""
    parser.add_argument(
        "prompt",
        nargs="*",
        default=[],
        help="What to go on with, in quotes; none for the start of a line.",
    )
    saved_model_option(parser)
    json_option(parser)
    run_option(parser, task)
    parser.add_argument(
        "--length",
        type=int,
        default=100,
        help="Most tokens to generate (default: %(default)s).",
    )
    parser.add_argument(
        "--stop",
        action="append",
        metavar="TOKEN",
        help=r"End after this token; may be given several times; \n is the line end (default: "
        "none; for a beam the line end).",
    )
    _drawing_options(parser)
    _beam_options(parser)


def _drawing_options(parser: argparse.ArgumentParser) -> None:
    for name, value in Sampling()._asdict().items():
        rule = RULES[name]
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=rule.kind, default=value, help=rule.help)
    parser.add_argument(
        "--seed", type=int, default=1, help="Same seed, same text (default: %(default)s)."
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=1,
        help="Texts, with the seed and the numbers after it (default: %(default)s).",
    )
    parser.add_argument("--greedy", action="store_true", help="Take the likeliest token each time.")


def _beam_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--beam", type=int, metavar="WIDTH", help="Beam search instead of drawing.")
    parser.add_argument(
        "--n-best", type=int, default=1, help="Texts of a beam (default: %(default)s)."
    )
    parser.add_argument(
        "--length-penalty",
        type=float,
        default=1.0,
        help="Of a beam: log-probabilities are divided by length to this power; 1 ranks by "
        "perplexity, 0 prefers short texts (default: %(default)s).",
    )


def cache_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``cache``."""
    run_option(parser, task)
    parser.add_argument(
        "--size",
        type=int,
        default=2000,
        help="Positions that the cache remembers (default: %(default)s).",
    )
    split_option(parser)
    download_option(parser)


def _verb(name: str, about: str, options: Options, arguments: str = "") -> Verb:
    return Verb(name, about, late(name, "kerasseq.tasks.language_model.verbs"), options, arguments)


VERBS = (
    _verb("next", "Show the likeliest next tokens.", next_options, "[texts ...]"),
    _verb(
        "generate",
        "Go on with a text: by sampling, greedily, or by beam.",
        generate_options,
        "[prompt]",
    ),
    _verb("score", "Log-probability and perplexity of lines.", score_options, "[texts ...]"),
    _verb("cache", "Evaluate with a neural cache, its settings from validation.", cache_options),
)
