"""The verb ``tag``: texts, words or CoNLL-U in; a table, JSON lines or CoNLL-U out; as a stream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import Namespace

from kerasseq.app.runs import load_run
from kerasseq.app.task import Task
from kerasseq.app.verbs import first, given_lines
from kerasseq.data import conllu
from kerasseq.data.columns import split_blanks
from kerasseq.errors import UserError
from kerasseq.export import saved_model
from kerasseq.export.serving import collate_texts
from kerasseq.export.versions import read_manifest_of
from kerasseq.tasks.tagging.export import pad_tokens
from kerasseq.tasks.tagging.tagger import Tagger
from kerasseq.training.progress import say


class Item(NamedTuple):
    """One sentence that was given.

    Attributes:
        text: as it was written, to be split into words.
        words: its words, if they were given.
        source: its lines, if it came as CoNLL-U.
    """

    text: str = ""
    words: list[str] | None = None
    source: conllu.ConlluSentence | None = None


Answered = Iterator[tuple[Item, Mapping[str, Any]]]


def tag(task: Task, options: Namespace) -> None:
    """Tags sentences, with a run or an exported version, and prints them.

    Args:
        task: whose use is a :class:`~kerasseq.tasks.tagging.tagger.Tagger`.
        options: of :data:`kerasseq.tasks.tagging.options.TAG`.
    """
    items = first(_items(given_lines(options), options), options.limit)
    if options.saved_model:
        path = Path(options.saved_model)
        column = read_manifest_of(path, task.name)["settings"]["column"]
        answered = _by_saved_model(path, items, options.input == "text")
    else:
        trained = load_run(task, Path(options.run))
        column = trained.settings.column
        answered = _by_run(trained.use, items)
    as_read = options.input == "conllu" and not column.isdigit()  # its header may name it
    if options.output == "conllu" and column not in conllu.COLUMNS and not as_read:
        raise UserError(
            f"--output conllu has no place for the column {column!r}; give table or json"
        )
    show = {"table": _table, "json": _json, "conllu": _conllu(column)}[options.output]
    for item, answer in answered:
        # CoNLL-U has no empty sentences, but comments
        if answer["tokens"] or item.source is not None or options.output != "conllu":
            say(show(item, answer))


def _items(lines: Iterator[str], options: Namespace) -> Iterator[Item]:
    if options.input == "conllu":
        if options.texts:
            raise UserError("--input conllu reads a --file or standard input, no arguments")
        where = options.file or "standard input"
        # comments that stand alone come back with the rest; a table has no place for them
        for sentence in conllu.parse(lines, where, comments=options.output == "conllu"):
            yield Item(words=sentence.tagged().words, source=sentence)
    elif options.input == "tokens":
        for line in lines:
            yield Item(words=split_blanks(line))
    else:
        for line in lines:
            yield Item(text=line)


def _by_run(tagger: Tagger, items: Iterable[Item]) -> Answered:
    def words(item: Item) -> list[str]:
        return tagger.assets.splitter.split(item.text) if item.words is None else item.words

    given, read = itertools.tee(items)
    return zip(given, tagger.tag(map(words, read)), strict=True)


def _by_saved_model(path: Path, items: Iterable[Item], from_text: bool) -> Answered:
    if from_text:
        return saved_model.run(
            path, items, "serving_default", lambda block: collate_texts([i.text for i in block])
        )
    return saved_model.run(
        path, items, "tag_tokens", lambda block: pad_tokens([i.words or [] for i in block])
    )


def _rows(answer: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    return list(zip(answer["tokens"], answer["tags"], answer["probabilities"], strict=True))


def _table(item: Item, answer: Mapping[str, Any]) -> str:
    """A word a line, aligned, and an empty line behind the sentence."""
    rows = _rows(answer)
    width = min(40, max((len(word) for word, _, _ in rows), default=0))
    tags = max((len(tag) for _, tag, _ in rows), default=0)
    return "".join(f"{word:<{width}}  {tag:<{tags}}  {share:.4f}\n" for word, tag, share in rows)


def _json(item: Item, answer: Mapping[str, Any]) -> str:
    row = {} if item.words is not None else {"text": item.text}
    row |= {name: answer[name] for name in ("tokens", "tags", "probabilities")}
    return json.dumps(row, ensure_ascii=False)


def _conllu(column: str) -> Callable[[Item, Mapping[str, Any]], str]:
    def show(item: Item, answer: Mapping[str, Any]) -> str:
        shares = [f"TagProbability={share:.4f}" for share in answer["probabilities"]]
        if item.source is not None:
            lines = item.source.with_column(column, answer["tags"], shares)
        else:
            text = None if item.words is not None else item.text
            lines = conllu.from_words(answer["tokens"], column, answer["tags"], text, shares)
        return "".join(f"{line}\n" for line in lines)

    return show
