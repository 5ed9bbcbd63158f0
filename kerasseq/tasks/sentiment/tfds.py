"""Labelled texts from TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasseq.data import tfds
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import LabelledText
from kerasseq.data.reading import decode
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.reading import HINT, Columns


def read_tfds(name: str, columns: Columns, download: bool) -> Corpus[LabelledText]:
    """Reads a prepared TFDS data set; downloads only if told to.

    Args:
        name: as TFDS spells it, e.g. ``imdb_reviews`` or ``glue/sst2:2.0.0``.
        columns: features that hold text and class.
        download: whether a data set that is not prepared may be fetched from the network.

    Raises:
        UserError: if it is unknown, not prepared, or lacks the features.
    """
    builder = tfds.prepared(name, download)
    features = tfds.need_features(name, builder, columns, HINT)
    names = getattr(features[columns.label], "names", None)

    def example(row: Mapping[str, Any], split: str, where: str) -> LabelledText:
        label = row[columns.label]
        if names is not None and label >= 0:
            label = names[label]
        known = label.decode() if isinstance(label, bytes) else str(label)
        return LabelledText(decode(row[columns.text], "utf-8", where), known)

    corpus = tfds.read_rows(name, builder, example)
    # TFDS marks the labels of a hidden test split by -1
    hidden = {
        split for split, part in corpus.splits.items() if {each.label for each in part} == {"-1"}
    }
    if "train" in hidden:
        raise UserError(f"tfds:{name} has no labels in its train split: all of them are -1")
    splits = {split: part for split, part in corpus.splits.items() if split not in hidden}
    return Corpus(corpus.source, splits)
