"""The verb of translation, ``translate``, and its options.

What it does is in :mod:`kerasseq.tasks.translation.verbs`.
"""

from __future__ import annotations

import argparse

from kerasseq.app.options import input_options, json_option, late, run_option
from kerasseq.app.task import Task, Verb


def translate_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``translate``."""
    input_options(parser)
    json_option(parser)
    run_option(parser, task)
    parser.add_argument(
        "--beam",
        type=int,
        metavar="WIDTH",
        help="Width of the beam; 1 is greedy (default: the run's).",
    )
    parser.add_argument(
        "--n-best",
        type=int,
        default=1,
        help="Translations of each text, with their scores (default: %(default)s).",
    )
    parser.add_argument("--length-penalty", type=float, help="Of the beam (default: the run's).")
    parser.add_argument("--coverage-penalty", type=float, help="Of the beam (default: the run's).")
    parser.add_argument(
        "--sample", type=float, metavar="TEMPERATURE", help="Draw a translation at random."
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="Of --sample: same seed, same translation (default: %(default)s).",
    )
    parser.add_argument(
        "--plot-attention", metavar="PNG", help="Draw the attention of the first translation."
    )


VERBS = (
    Verb(
        "translate",
        "Translate texts.",
        late("translate", "kerasseq.tasks.translation.verbs"),
        translate_options,
        "[texts ...]",
    ),
)
