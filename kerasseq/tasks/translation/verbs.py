"""The verb of translation: ``translate``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import Namespace

from kerasseq import plots
from kerasseq.app.runs import load_run
from kerasseq.app.task import Task
from kerasseq.app.verbs import read_texts
from kerasseq.decoding.beam import check_beam
from kerasseq.decoding.sampling import check_sampling
from kerasseq.decoding.settings import BeamSettings, Sampling
from kerasseq.errors import UserError
from kerasseq.export import saved_model
from kerasseq.export.versions import read_manifest_of
from kerasseq.tasks.translation.run import chosen_beam
from kerasseq.tasks.translation.serving import Translation, unpadded
from kerasseq.tasks.translation.translator import say_cut
from kerasseq.training.progress import note, say

LARGEST_SEED = 2**62
"""So that the numbers after it, one for each text, have 64 bits."""


# -- translate -------------------------------------------------------------------------------------


def translate(task: Task, options: Namespace) -> None:
    """Prints translations of texts, in order."""
    of_a_beam = (options.beam, options.length_penalty, options.coverage_penalty)
    searches = of_a_beam != (None, None, None) or options.n_best > 1
    if options.sample is not None and (searches or options.plot_attention):
        raise UserError("--sample draws: a beam's options and --plot-attention are for a search")
    texts = read_texts(options)
    found = _by_saved_model if options.saved_model else _by_run
    plotted = False
    for text, source_tokens, translations in found(task, texts, options):
        _show(text, source_tokens, translations, options)
        if options.plot_attention and not plotted:
            plotted = True
            _plot(source_tokens, translations, Path(options.plot_attention))


Found = Iterator[tuple[str, list[str], list[Translation]]]


def _by_run(task: Task, texts: Iterable[str], options: Namespace) -> Found:
    trained = load_run(task, Path(options.run))
    reader = trained.use
    beam = _chosen(trained.settings.beam, options)

    def read() -> Iterator[str]:
        for text in texts:
            if reader.is_cut(text):
                say_cut(text, reader.longest)
            yield text

    with_attention = reader.model.has_attention and _reads_attention(options)
    if options.plot_attention and not reader.model.has_attention:
        raise UserError(f"{options.run} was trained without attention: there is none to plot")
    if options.sample is not None:
        check_sampling(Sampling(options.sample), 1)
        if abs(options.seed) > LARGEST_SEED:
            raise UserError(f"--seed must be within 2**62, got {options.seed}")
        answers = reader.sample(read(), options.sample, options.seed)
    else:
        check_beam(beam.size, options.n_best, 1)
        answers = reader.translate(read(), beam, options.n_best, with_attention)
    for text, translations in answers:
        yield text, reader.source_tokens(text) if with_attention else [], translations


def _chosen(beam: BeamSettings, options: Namespace) -> BeamSettings:
    """The settings of the search, with what was given on the command line."""
    given = {
        "size": options.beam,
        "length_penalty": options.length_penalty,
        "coverage_penalty": options.coverage_penalty,
    }
    return chosen_beam(beam, {name: value for name, value in given.items() if value is not None})


def _reads_attention(options: Namespace) -> bool:
    return options.plot_attention is not None or options.json


def _by_saved_model(task: Task, texts: Iterable[str], options: Namespace) -> Found:
    if options.sample is not None or options.coverage_penalty is not None:
        raise UserError("an exported version searches by its own coverage penalty: give a --run")
    path = Path(options.saved_model)
    settings = read_manifest_of(path, task.name)["settings"]
    longest = settings["text"]["max_length"]
    beam = _chosen(BeamSettings(**settings["beam"]), options)
    check_beam(beam.size, options.n_best, 1)
    how = {"beam_size": beam.size, "length_penalty": beam.length_penalty}
    without = () if _reads_attention(options) else ("attention",)
    for text, padded in saved_model.run(
        path, texts, "translate_verbose", lambda block: {"text": block, **how}, without
    ):
        row = unpadded(padded)
        if row["cut"]:
            say_cut(text, longest)
        columns = (row[name] for name in ("translations", "scores", "log_probs", "tokens"))
        attention = row.get("attention", [None] * beam.size)
        translations = [
            Translation(
                one, score, log_prob, [t for t in tokens if t],
                None if weights is None else np.array(weights)[: sum(t != "" for t in tokens)],
            )
            for one, score, log_prob, tokens, weights in zip(*columns, attention, strict=True)
            if any(tokens)  # where fewer were found, the others are missing
        ]  # fmt: skip
        yield text, row["source_tokens"], translations[: options.n_best]


def _show(
    text: str, source_tokens: list[str], translations: list[Translation], options: Namespace
) -> None:
    if options.json:
        say(json.dumps(result(text, source_tokens, translations), ensure_ascii=False))
        return
    for one in translations:
        head = f"{one.score:>9.4f}  " if options.n_best > 1 else ""
        say(f"{head}{one.text}")
    if options.n_best > 1:
        say()


def result(text: str, source_tokens: list[str], translations: list[Translation]) -> dict[str, Any]:
    """A text's translations as JSON values.

    With attention, ``alignment`` has for each token of a translation the position of the source
    token that most of it was paid to.
    """

    def entry(one: Translation) -> dict[str, Any]:
        found = {
            "text": one.text,
            "score": one.score,
            "log_prob": one.log_prob,
            "tokens": one.tokens,
        }
        if one.attention is not None and one.attention.size:
            found["alignment"] = one.attention.argmax(1).tolist()
        return found

    entries = [entry(one) for one in translations]
    read = {"source_tokens": source_tokens} if "alignment" in entries[0] else {}
    return {"text": text, **read, "translations": entries}


def _plot(source_tokens: list[str], translations: list[Translation], path: Path) -> None:
    best = translations[0]
    if best.attention is None or not best.attention.size:
        raise UserError("the exported version was trained without attention: there is none to plot")
    for missing in plots.attention(best.attention, source_tokens, best.tokens, path, "Attention"):
        note(missing)
    note(f"attention of the first text: {path}")
