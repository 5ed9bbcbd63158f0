"""Tokens to ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kerasseq.errors import UserError
from kerasseq.storage import replacing

PAD, UNK, BOS, EOS = 0, 1, 2, 3
"""Ids that every vocabulary starts with: padding, unknown, begin and end of sequence."""

SPECIAL_TOKENS = ("<pad>", "<unk>", "<bos>", "<eos>")
"""Their spellings. The tokenizer never yields them, since ``<`` is a token of its own."""


class FirstIds:
    """Ids by first occurrence, for texts that are to be read once: the vocabulary comes after them.

    >>> ids = FirstIds()
    >>> texts = [ids.encode(["a", "film", "a"]), ids.encode(["a", "b"])]
    >>> ids.counts(texts)
    {'a': 3, 'film': 1, 'b': 1}
    >>> vocabulary = Vocabulary.from_counts(ids.counts(texts), size=5)
    >>> ids.known(vocabulary)[texts[0]].tolist()
    [4, 1, 4]
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """Ids, int32; a new token has the next one."""
        ids = self._ids
        return np.array([ids.setdefault(token, len(ids)) for token in tokens], np.int32)

    def counts(self, sequences: Iterable[np.ndarray]) -> dict[str, int]:
        """How often each token occurs in encoded texts."""
        counts = np.zeros(len(self._ids), np.int64)
        for sequence in sequences:
            np.add.at(counts, sequence, 1)
        return {token: int(count) for token, count in zip(self._ids, counts, strict=True) if count}

    def known(self, vocabulary: Vocabulary) -> np.ndarray:
        """The id in a vocabulary of each of these, int32."""
        return vocabulary.encode(self._ids)


class Vocabulary:
    """An ordered set of tokens; a token's id is its position.

    Args:
        tokens: every token, the four special ones first.

    >>> vocabulary = Vocabulary.from_counts({"film": 3, "a": 5, "odd": 1}, size=6)
    >>> vocabulary.tokens
    ('<pad>', '<unk>', '<bos>', '<eos>', 'a', 'film')
    >>> vocabulary.encode(["a", "odd", "film"]).tolist()
    [4, 1, 5]
    """

    def __init__(self, tokens: Sequence[str]):
        if tuple(tokens[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
            raise ValueError(f"tokens must start with {SPECIAL_TOKENS}, got {tokens[:4]}")
        self.tokens = tuple(tokens)
        if len(set(self.tokens)) != len(self.tokens):
            raise ValueError("tokens must be distinct")
        # a text that spells a special token does not mean it
        first = len(SPECIAL_TOKENS)
        self._ids = {token: index for index, token in enumerate(self.tokens[first:], first)}

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def from_counts(cls, counts: dict[str, int], size: int, min_count: int = 1) -> Vocabulary:
        """The most frequent tokens (ties: alphabetical), ``size`` ids in all, special ones too."""
        frequent = [
            token
            for token, count in counts.items()
            if count >= min_count and token not in SPECIAL_TOKENS
        ]
        frequent.sort(key=lambda token: (-counts[token], token))
        return cls((*SPECIAL_TOKENS, *frequent[: max(0, size - len(SPECIAL_TOKENS))]))

    @classmethod
    def assumed(cls, size: int) -> Vocabulary:
        """Made-up tokens, ``size`` ids in all, for a model that is only looked at."""
        return cls((*SPECIAL_TOKENS, *map(str, range(size - len(SPECIAL_TOKENS)))))

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """Ids (int32), with ``UNK`` for a token that is not in the vocabulary."""
        get = self._ids.get
        return np.array([get(token, UNK) for token in tokens], dtype=np.int32)

    def save(self, path: Path) -> None:
        """Writes one token a line; the line number is the id."""
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{token}\n" for token in self.tokens), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: if the file is missing or is not a vocabulary.
        """
        try:
            # read_text would take a token's own \r for a line end
            return cls(path.read_bytes().decode("utf-8").split("\n")[:-1])
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is not a vocabulary file: {error}") from None
