"""Which format a file of tagged sentences has: told by its name, or by its first lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kerasseq.data import conllu
from kerasseq.data.brackets import is_tree, parse_trees
from kerasseq.data.columns import is_layout_line, parse_columns, peek, split_blanks
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.layouts import FREE, Asked, Layout
from kerasseq.data.notes import Notes
from kerasseq.data.slashed import mark_of, parse_slashed
from kerasseq.errors import UserError

CONLLU = (".conllu", ".conllx")
"""Suffixes of files that are in ten columns, or in those of CoNLL-U Plus, and in nothing else."""

SUFFIXES = (
    *CONLLU, ".txt", ".conll", ".tsv", ".pos", ".conllup", ".bio", ".iob", ".iob1", ".iob2",
    ".bioes", ".bilou", ".mrg", ".wikiner", ".ner", ".annotated", ".gold_conll", ".v4_gold_conll",
)  # fmt: skip
"""Suffixes of files of tagged sentences, in a folder; a file that is named may have any."""

_ID = re.compile(r"[0-9]+(?:[-.][0-9]+)?")


@dataclass
class TaggedReader:
    """Reads files of one corpus.

    Attributes:
        asked: columns that the settings name.
        notes: what is found, skipped and written otherwise, for the report.
    """

    asked: Asked = FREE
    notes: Notes = field(default_factory=Notes)
    _layouts: dict[int, Layout] = field(default_factory=dict)

    def read(self, lines: Iterable[str], where: str, suffix: str) -> Iterator[TaggedSentence]:
        """The sentences of a file, one by one.

        Args:
            lines: without line ends.
            where: name of the source, for messages.
            suffix: of the file, in lower case.

        Raises:
            UserError: if a line is not of the file's format, or the format is none that is known.
        """
        if suffix in CONLLU:
            return self._conllu(lines, where)
        head, lines = peek(lines)
        if names := next(filter(None, map(conllu.plus_columns, head)), []):
            if "id" in names:
                return self._conllu(lines, where)
            return self._columns(lines, where, names)
        if is_tree(head):
            check_free_word(self.asked, f"{where}: trees in brackets")
            return parse_trees(lines, where, self.notes)
        if mark := mark_of(head):
            return parse_slashed(lines, where, mark, self.asked, self.notes)
        first = next((line for line in head if not is_layout_line(line)), "")
        fields = split_blanks(first.removeprefix("\ufeff"))
        tabs = first.count("\t") == conllu.FIELDS - 1
        if (tabs or len(fields) == conllu.FIELDS) and _ID.fullmatch(fields[0]):
            return self._conllu(lines, where)
        return self._columns(lines, where)

    def _columns(
        self, lines: Iterable[str], where: str, names: list[str] | None = None
    ) -> Iterator[TaggedSentence]:
        return parse_columns(lines, where, self.asked, self.notes, names or (), self._layouts)

    def _conllu(self, lines: Iterable[str], where: str) -> Iterator[TaggedSentence]:
        counts = {
            "multi-word tokens skipped (their words are kept)": lambda one: len(one.multiword),
            "empty nodes skipped": lambda one: one.empty_nodes,
            "blocks of comments without a word skipped": lambda one: not one.word_lines,
            "words and tags with blanks at an end, which are left out": lambda one: one.trimmed,
        }
        layout = None
        for sentence in conllu.parse(lines, where, comments=True):
            for what, count in counts.items():
                self.notes.count(what, int(count(sentence)))
            if not sentence.word_lines:
                continue
            if layout is None:
                layout = sentence.layout.asked(self.asked, where)
                if layout != conllu.STANDARD:
                    self.notes.say(layout.note("separated by tabs"))
            yield sentence.tagged(self.asked)


def check_free_word(asked: Asked, what: str) -> None:
    """Raises:
    UserError: if a column of words or of sentences is asked for where there are no columns.
    """
    if asked.word or asked.sentence:
        option = "word_column" if asked.word else "sentence_column"
        raise UserError(f"{what} have no columns to choose from: leave --{option} out")
