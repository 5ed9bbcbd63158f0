"""The verbs of language models: ``next``, ``generate``, ``score`` and ``cache``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from kerasseq.app.runs import load_run, split_data
from kerasseq.app.task import Task
from kerasseq.app.verbs import read_texts
from kerasseq.decoding.beam import check_beam
from kerasseq.decoding.sampling import check_sampling
from kerasseq.decoding.settings import Sampling
from kerasseq.errors import UserError
from kerasseq.evaluation.perplexity import perplexity
from kerasseq.export import saved_model
from kerasseq.export.versions import read_manifest_of
from kerasseq.storage import write_json
from kerasseq.tasks.language_model import neural_cache
from kerasseq.tasks.language_model.run import generated
from kerasseq.tasks.language_model.text_model import (
    Continuation,
    TextModel,
    next_result,
    shown_token,
    stop_ids,
)
from kerasseq.text.shortened import shortened
from kerasseq.text.vocabulary import EOS
from kerasseq.training.progress import note, say

LARGEST = 2**31 - 1
"""Whole number that an exported version takes."""

LEAST = 1e-8
"""Number from which on a smaller one makes no difference; float32 has no much smaller one."""


# -- next ------------------------------------------------------------------------------------------


def next(task: Task, options: Namespace) -> None:
    """Prints the likeliest next tokens of each text."""
    if options.k < 1:
        raise UserError(f"--k must be 1 or more, got {options.k}")
    k = min(options.k, LARGEST)
    texts = read_texts(options)
    find = _next_by_saved_model if options.saved_model else _next_by_run
    for result in find(task, texts, k, options):
        say(
            json.dumps(result, ensure_ascii=False) if options.json else task.show_prediction(result)
        )


def _next_by_run(
    task: Task, texts: Iterable[str], k: int, options: Namespace
) -> Iterator[dict[str, Any]]:
    model = load_run(task, Path(options.run)).use
    for text in _known(model, texts):
        yield next_result(text, *zip(*model.next(text, k), strict=True))


def _next_by_saved_model(
    task: Task, texts: Iterable[str], k: int, options: Namespace
) -> Iterator[dict[str, Any]]:
    path = _version(task, options)
    for text, answer in saved_model.run(
        path, texts, "next_token", lambda block: {"text": block, "k": k}
    ):
        _say_unknown(text, answer["unknown"])
        yield next_result(text, answer["tokens"], answer["probabilities"])


# -- generate --------------------------------------------------------------------------------------


def generate(task: Task, options: Namespace) -> None:
    """Goes on with a text."""
    prompts = options.prompt or [""]
    if len(prompts) > 1:
        raise UserError("give one prompt, in quotes if it has blanks")
    prompt = prompts[0].encode("utf-8", "replace").decode()
    sampling = Sampling(*(getattr(options, name) for name in Sampling._fields))
    _check_generation(sampling, options)
    if options.saved_model:
        _generate_by_saved_model(task, prompt, sampling, options)
        return
    model = load_run(task, Path(options.run)).use
    (prompt,) = _known(model, [prompt])
    try:
        # a shell passes a line end on as the two characters \n
        stop = stop_ids(model.codec, [s.replace("\\n", "\n") for s in options.stop or ()])
    except ValueError as error:
        raise UserError(f"--stop: {error}") from None
    if options.beam is not None:
        found = model.beams(
            prompt, options.length, options.beam, options.n_best, options.length_penalty,
            stop or [EOS],
        )  # fmt: skip
        for continuation in found:
            _show(prompt, continuation, options.json, title=True)
        return
    for seed, how in _draws(sampling, options):
        if options.json:
            made = model.generate(prompt, options.length, how, seed, stop)
            _show(prompt, made, as_json=True)
            continue
        for added, _ in model.stream(prompt, options.length, how, seed, stop):
            print(added, end="", flush=True)
        say("\n" if options.samples > 1 else "")


def _check_generation(sampling: Sampling, options: Namespace) -> None:
    """Raises:
    UserError: if what was asked for cannot be, or does not go together.
    """
    if options.samples < 1:
        raise UserError(f"--samples must be 1 or more, got {options.samples}")
    check_sampling(sampling, options.length)
    _check_seeds(options.seed, options.samples)
    drawing = sampling != Sampling() or options.samples != 1
    if (options.beam is not None) + options.greedy + drawing > 1:
        names = ", ".join(name.replace("_", "-") for name in Sampling._fields)
        raise UserError(f"give --beam, --greedy, or how to draw ({names}, samples)")
    if options.beam is not None:
        check_beam(options.beam, options.n_best, options.length)
    elif (options.n_best, options.length_penalty) != (1, 1):
        raise UserError("--n-best and --length-penalty are for --beam; --samples draws several")
    if not math.isfinite(options.length_penalty):
        raise UserError(f"--length-penalty must be a finite number, got {options.length_penalty}")


def _draws(sampling: Sampling, options: Namespace) -> Iterator[tuple[int, Sampling]]:
    """The seed of each text, and how it is drawn, in numbers that a graph takes."""
    bounded = Sampling(*map(_bounded, sampling, Sampling()))
    how = bounded._replace(top_k=1) if options.greedy else bounded
    for number in range(options.samples):
        yield options.seed + number, how


def _generate_by_saved_model(
    task: Task, prompt: str, sampling: Sampling, options: Namespace
) -> None:
    if options.beam is not None or options.stop:
        raise UserError("an exported version draws or is greedy; --beam and --stop need a --run")
    path = _version(task, options)
    for number, (seed, how) in enumerate(_draws(sampling, options)):
        inputs = {"length": options.length, **how._asdict(), "seed": seed}
        for _, answer in saved_model.run(
            path, [prompt], "generate",
            lambda block: {"text": block, **inputs},  # noqa: B023 (used at once)
        ):  # fmt: skip
            if number == 0:
                _say_unknown(prompt, answer["unknown"])
            made = Continuation(answer["text"], answer["generated"], answer["log_prob"])
            _show(prompt, made, options.json)


def _bounded(value: Any, neutral: Any) -> Any:
    if value == neutral:  # 0 may be that
        return value
    return min(value, LARGEST) if isinstance(value, int) else max(value, LEAST)


def _check_seeds(first: int, count: int) -> None:
    if not -(2**63) <= first <= 2**63 - count:
        raise UserError(f"--seed must be a number of 64 bits, with all {count} samples")


def _show(prompt: str, made: Continuation, as_json: bool, title: bool = False) -> None:
    row = generated(prompt, made)
    if as_json:
        say(json.dumps(asdict(row), ensure_ascii=False))
        return
    if title:
        say(f"perplexity {row.perplexity:.2f}, log-probability {row.log_prob:.2f}:")
    say(made.text.rstrip("\n"))


# -- score -----------------------------------------------------------------------------------------


def score(task: Task, options: Namespace) -> None:
    """Prints how likely each line is."""
    texts = read_texts(options)
    if options.saved_model:
        if options.tokens:
            raise UserError("an exported version scores whole lines; --tokens needs a --run")
        path = _version(task, options)
        scored: Iterator[dict[str, Any]] = (
            {"text": text, **answer}
            for text, answer in saved_model.run(path, texts, "score", lambda block: {"text": block})
        )
    else:
        scored = load_run(task, Path(options.run)).use.score(texts)
    lines, tokens, total = 0, 0, 0.0
    for row in scored:
        pairs = row.pop("token_log_probs", ())
        if options.json:
            each = {"token_log_probs": [list(p) for p in pairs]} if options.tokens else {}
            say(json.dumps({**row, **each}, ensure_ascii=False))
        else:
            say(score_line(row))
            if options.tokens:
                for token, log_prob in pairs:
                    say(f"  {log_prob:>10.4f}  {shown_token(token)}")
        lines, tokens, total = lines + 1, tokens + row["tokens"], total + row["log_prob"]
    if lines > 1:
        note(
            f"{lines:,} lines, {tokens:,} tokens with line ends: log-probability {total:.2f}, "
            f"perplexity {perplexity(-total / tokens):.2f}"
        )


def score_line(row: dict[str, Any]) -> str:
    """A scored line for people."""
    unknown = f", {row['unknown']} unknown" if row["unknown"] else ""
    return (
        f"{row['log_prob']:>12.4f}  perplexity {row['perplexity']:>10.2f}  "
        f"{row['tokens']:>4} tokens{unknown}  {shortened(row['text'])}"
    )


# -- cache -----------------------------------------------------------------------------------------


def cache(task: Task, options: Namespace) -> None:
    """Evaluates a run with a neural cache, whose settings the validation split chooses."""
    if options.size < 1:
        raise UserError(f"--size must be 1 or more, got {options.size}")
    trained = load_run(task, Path(options.run))
    if trained.settings.streams.mode == "sentences":
        raise UserError("a neural cache remembers what was read before; this run reads sentences")
    data = split_data(task, trained, options.split, options.download)

    def read(split: str, thetas: Sequence[float]) -> neural_cache.Cached:
        return neural_cache.read(trained.use.model, data.splits[split], options.size, thetas)

    chosen = read("validation", neural_cache.THETAS)
    theta, weight = neural_cache.choose(chosen)
    if options.split != "validation":
        chosen = read(options.split, [theta])
    report = neural_cache.report(chosen, theta, weight, options.size)
    (trained.run / "evaluation").mkdir(exist_ok=True)
    path = trained.run / f"evaluation/{options.split}-cache.json"
    write_json(path, report)
    say(
        f"{options.split} split, {report['tokens']:,} tokens: "
        f"perplexity {report['perplexity']:.2f}, "
        f"with a cache of {options.size:,} positions {report['perplexity_with_cache']:.2f} "
        f"(theta {report['theta']:g}, lambda {report['lambda']:g}: best on validation)"
    )
    say(f"  written to {path}")


# -- shared ----------------------------------------------------------------------------------------


def _version(task: Task, options: Namespace) -> Path:
    """The exported version that was named, made sure to be this task's."""
    path = Path(options.saved_model)
    read_manifest_of(path, task.name)
    return path


def _known(model: TextModel, texts: Iterable[str]) -> Iterator[str]:
    """The texts; says how many of their tokens the model does not know."""
    for text in texts:
        _say_unknown(text, model.unknown(text))
        yield text


def _say_unknown(text: str, count: int) -> None:
    if count:
        note(f"tokens of {shortened(text)!r} that the model does not know: {count}")
