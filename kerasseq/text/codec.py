"""Text to token ids and back, for language models. :mod:`kerasseq.text.codec_graph` is its twin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from kerasseq.text.detokenizer import detokenize
from kerasseq.text.tokenizer import tokenize
from kerasseq.text.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK, Vocabulary

Units = Literal["words", "blanks", "characters"]
"""What a token is: a word or mark of :func:`~kerasseq.text.tokenizer.tokenize`; what stands between
blanks, in a text that was tokenised before; or a Unicode code point, as it comes."""

_CHUNK = 1 << 22  # characters taken at once: their code points need four times as many bytes
_UNKNOWN_TOKEN = re.compile(rf"(?<!\S){SPECIAL_TOKENS[UNK]}(?!\S)")
_TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "words": tokenize,
    "blanks": str.split,
    "characters": list,
}


@dataclass(frozen=True)
class Codec:
    """Text to token ids and back; a line end is the token EOS.

    Args:
        units: what a token is.
        vocabulary: the tokens' ids.

    >>> codec = Codec("words", Vocabulary.from_counts({"a": 2, "film": 1, ".": 3}, size=7))
    >>> codec.encode("A film.\\nA bore.").tolist()
    [5, 6, 4, 3, 5, 1, 4]
    >>> codec.decode([5, 6, 4, 3, 5, 1, 4])
    'a film.\\na <unk>.'
    """

    units: Units
    vocabulary: Vocabulary

    def __post_init__(self) -> None:
        if self.units not in _TOKENIZERS:
            raise ValueError(f"units must be one of {list(_TOKENIZERS)}, got {self.units!r}")

    def tokens(self, line: str) -> list[str]:
        """The tokens of a line, which has no line end."""
        return _TOKENIZERS[self.units](line)

    def encode(self, text: str) -> np.ndarray:
        """Ids of a text, int32 ``[T]``: EOS for each line end in it, UNK for unknown tokens."""
        if self.units != "characters":
            lines = text.split("\n")
            counts: list[int] = []
            ids = self.vocabulary.encode(chain.from_iterable(self._counted(lines, counts)))
            return np.insert(ids, np.cumsum(counts[:-1], dtype=np.int64), EOS)
        ids = np.empty(len(text), np.int32)
        for start, codes in _code_points(text):
            # the last id of the table goes for all that is beyond it
            np.take(self._ids_of_codes, codes, mode="clip", out=ids[start : start + len(codes)])
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text of ids: EOS ends a line, PAD and BOS are nothing.

        Args:
            ids: int ``[T]``, each below the vocabulary's size.
        """
        spelled = (self.spellings[i] for i in ids if i not in (PAD, BOS))
        return "".join(spelled) if self.units == "characters" else detokenize(spelled)

    def _counted(self, lines: Iterable[str], counts: list[int]) -> Iterator[list[str]]:
        """The tokens of each line, whose number is added to ``counts``."""
        for line in lines:
            tokens = self.tokens(line)
            counts.append(len(tokens))
            yield tokens

    @cached_property
    def spellings(self) -> list[str]:
        """What each id stands for: nothing for PAD and BOS, a line end for EOS."""
        return ["", SPECIAL_TOKENS[UNK], "", "\n", *self.vocabulary.tokens[len(SPECIAL_TOKENS) :]]

    @cached_property
    def _ids_of_codes(self) -> np.ndarray:
        """Ids by code point, int32; the last is UNK."""
        codes = {ord(token): i for i, token in enumerate(self.spellings) if len(token) == 1}
        table = np.full(max(codes) + 2, UNK, np.int32)
        table[list(codes)] = list(codes.values())
        return table


class StreamDecoder:
    """Decodes ids one by one: the texts of the pushes, joined, are :meth:`Codec.decode` of all.

    Args:
        codec: whose ids they are.
    """

    def __init__(self, codec: Codec):
        self._codec = codec
        mark = int(codec.vocabulary.encode(['"'])[0])
        self._mark = mark if mark != UNK else None
        self._context: list[int] = []

    def push(self, token: int) -> str:
        """The text that a token adds, with the blank before it if there is one."""
        if token in (PAD, BOS):
            return ""
        before = len(self._codec.decode(self._context))
        added = self._codec.decode([*self._context, token])[before:]
        self._context = self._least_context(token)
        return added

    def _least_context(self, token: int) -> list[int]:
        """What the text after ``token`` depends on: it, and a quotation mark that is open."""
        if token == EOS or self._mark is None:
            return [token]
        opened = self._context.count(self._mark) == 1
        if token == self._mark:
            return [token, token] if opened else [token]
        return [self._mark, token] if opened else [token]


def count_tokens(text: str, units: Units) -> Counter[str]:
    """How often each token occurs in a text. Line ends are not counted."""
    if units == "characters":
        totals = np.zeros(0x110000, np.int64)
        for _, codes in _code_points(text):
            totals += np.bincount(codes, minlength=len(totals))
        totals[ord("\n")] = 0
        return Counter({chr(code): int(totals[code]) for code in np.flatnonzero(totals)})
    counts: Counter[str] = Counter()
    split = _TOKENIZERS[units]
    for line in text.split("\n"):
        counts.update(split(line))
    return counts


def guess_units(train_text: str) -> Literal["words", "blanks"]:
    """``blanks`` for a text that was tokenised before, which ``<unk>`` among its tokens tells."""
    # the plain search is much the faster one, and mostly settles it
    found = SPECIAL_TOKENS[UNK] in train_text and _UNKNOWN_TOKEN.search(train_text)
    return "blanks" if found else "words"


def _code_points(text: str) -> Iterator[tuple[int, np.ndarray]]:
    """The code points of a text, in chunks: where each starts, and uint32 ``[n]``."""
    for start in range(0, len(text), _CHUNK):
        content = text[start : start + _CHUNK].encode("utf-32-le", "surrogatepass")
        yield start, np.frombuffer(content, "<u4")
