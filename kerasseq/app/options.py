"""Verbs that only some tasks have: their options. What they do is imported when they are called."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from kerasseq.app.cli import download_option, input_options, json_option, late, run_option
from kerasseq.app.task import Verb


def tag_verb(name: str) -> Verb:
    """``tag``, for tasks that label words.

    Args:
        name: of the task.
    """

    def options(parser: argparse.ArgumentParser) -> None:
        parser.usage = f"python -m tasks.{name} tag [options] [texts ...]"
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
        run_option(parser, name)

    return Verb("tag", "Tag texts, words or CoNLL-U.", late("tag", "kerasseq.tasks.tagging.verbs"), options)


def language_verbs(name: str) -> tuple[Verb, ...]:
    """``next``, ``generate``, ``score`` and ``cache``, for language models.

    Args:
        name: of the task.
    """

    def texts_options(verb: str) -> Callable[[argparse.ArgumentParser], None]:
        def add(parser: argparse.ArgumentParser) -> None:
            parser.usage = f"python -m tasks.{name} {verb} [options] [texts ...]"
            input_options(parser)
            json_option(parser)
            run_option(parser, name)

        return add

    def next_options(parser: argparse.ArgumentParser) -> None:
        texts_options("next")(parser)
        parser.add_argument(
            "--k", type=int, default=10, help="How many tokens (default: %(default)s)."
        )

    def score_options(parser: argparse.ArgumentParser) -> None:
        texts_options("score")(parser)
        parser.add_argument("--tokens", action="store_true", help="Show every token too.")

    def generate_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = f"python -m tasks.{name} generate [options] [prompt]"
        parser.add_argument(
            "prompt",
            nargs="*",
            default=[],
            help="What to go on with, in quotes; none for the start of a line.",
        )
        parser.add_argument("--saved-model", help="Use an exported version instead of a run.")
        json_option(parser)
        run_option(parser, name)
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
        parser.add_argument(
            "--temperature",
            type=float,
            default=1.0,
            help="Below 1 likelier tokens are preferred, above 1 unlikelier ones get a chance "
            "(default: %(default)s).",
        )
        parser.add_argument(
            "--top-k", type=int, default=0, help="Draw from so many likeliest tokens; 0: from all."
        )
        parser.add_argument(
            "--top-p",
            type=float,
            default=1.0,
            help="Draw from the fewest likeliest tokens that have this probability together "
            "(default: %(default)s, from all).",
        )
        parser.add_argument(
            "--seed", type=int, default=1, help="Same seed, same text (default: %(default)s)."
        )
        parser.add_argument(
            "--samples",
            type=int,
            default=1,
            help="Texts, with the seed and the numbers after it (default: %(default)s).",
        )
        parser.add_argument(
            "--greedy", action="store_true", help="Take the likeliest token each time."
        )
        parser.add_argument(
            "--beam", type=int, metavar="WIDTH", help="Beam search instead of drawing."
        )
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

    def cache_options(parser: argparse.ArgumentParser) -> None:
        run_option(parser, name)
        parser.add_argument(
            "--size",
            type=int,
            default=2000,
            help="Positions that the cache remembers (default: %(default)s).",
        )
        parser.add_argument(
            "--split",
            choices=["test", "validation"],
            default="test",
            help="Split to report on (default: %(default)s).",
        )
        download_option(parser)

    def verb(name: str, about: str, options: Callable[[argparse.ArgumentParser], None]) -> Verb:
        return Verb(name, about, late(name, "kerasseq.tasks.language_model.verbs"), options)

    return (
        verb("next", "Show the likeliest next tokens.", next_options),
        verb("generate", "Go on with a text: by sampling, greedily, or by beam.", generate_options),
        verb("score", "Log-probability and perplexity of lines.", score_options),
        verb("cache", "Evaluate with a neural cache, its settings from validation.", cache_options),
    )


def translation_verbs(name: str) -> tuple[Verb, ...]:
    """``translate`` and ``compare``, for translation.

    Args:
        name: of the task.
    """

    def translate_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = f"python -m tasks.{name} translate [options] [texts ...]"
        input_options(parser)
        json_option(parser)
        run_option(parser, name)
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
        parser.add_argument(
            "--length-penalty", type=float, help="Of the beam (default: the run's)."
        )
        parser.add_argument(
            "--coverage-penalty", type=float, help="Of the beam (default: the run's)."
        )
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

    def compare_options(parser: argparse.ArgumentParser) -> None:
        run_option(parser, name)
        parser.add_argument("--with", dest="other", metavar="RUN", help="The other run.")
        parser.add_argument(
            "--split",
            choices=["test", "validation"],
            default="test",
            help="Split that both are scored on (default: %(default)s).",
        )
        download_option(parser)

    def verb(name: str, about: str, options: Callable[[argparse.ArgumentParser], None]) -> Verb:
        return Verb(name, about, late(name, "kerasseq.tasks.translation.verbs"), options)

    return (
        verb("translate", "Translate texts.", translate_options),
        verb("compare", "Compare the scores of two runs.", compare_options),
    )
