"""Running text from TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasseq.data import tfds
from kerasseq.data.corpus import Corpus
from kerasseq.data.reading import decode
from kerasseq.errors import UserError
from kerasseq.tasks.language_model.reading import lines_of


def read_tfds(name: str, text_column: str, download: bool) -> Corpus[str]:
    """Reads the running text of a prepared TFDS data set; downloads only if told to.

    Each row is a line (``lm1b``), or, if it has line ends itself, some (``tiny_shakespeare``).

    Args:
        name: as TFDS spells it, e.g. ``tiny_shakespeare`` or ``lm1b``.
        text_column: feature that holds the text.
        download: whether a data set that is not prepared may be fetched from the network.

    Raises:
        UserError: if it is unknown, not prepared, or has no such text.
    """
    builder = tfds.prepared(name, download)
    tfds.need_features(name, builder, (text_column,), "the setting text_column chooses")

    def ended(row: Mapping[str, Any], split: str, where: str) -> str:
        if not isinstance(row[text_column], bytes):
            raise UserError(f"tfds:{name}: the feature {text_column!r} is not a text")
        text = decode(row[text_column], "utf-8", where).replace("\r\n", "\n")
        return text if text.endswith("\n") else text + "\n"

    corpus = tfds.read_rows(name, builder, ended)
    splits = {
        split: [line for text in texts for line in lines_of(text)]
        for split, texts in corpus.splits.items()
    }
    return Corpus(corpus.source, splits)
