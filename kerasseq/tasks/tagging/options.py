"""The verb ``tag`` and its options; what it does is in :mod:`kerasseq.tasks.tagging.verbs`."""

from __future__ import annotations

import argparse

from kerasseq.app.options import input_options, late, run_option
from kerasseq.app.task import Task, Verb


def tag_options(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of ``tag``."""
    input_options(parser)
    parser.add_argument(
        "--input",
        choices=["text", "tokens", "conllu"],
        default="text",
        help="Raw text, words separated by blanks, or CoNLL-U (default: %(default)s).",
    )
    parser.add_argument(
        "--output",
        choices=["table", "json", "conllu"],
        default="table",
        help="A word a line, a JSON object a sentence, or CoNLL-U with the probability in MISC "
        "(default: %(default)s).",
    )
    run_option(parser, task)


TAG = Verb(
    "tag",
    "Tag texts, words or CoNLL-U.",
    late("tag", "kerasseq.tasks.tagging.verbs"),
    tag_options,
    "[texts ...]",
)
