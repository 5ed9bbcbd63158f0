"""Labelled texts from TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasseq.data import tfds
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import LabelledText
from kerasseq.data.notes import Notes
from kerasseq.data.reading import decode
from kerasseq.tasks.sentiment.labels import LabelReader, without_hidden
from kerasseq.tasks.sentiment.reading import HINT, Columns


def read_tfds(
    name: str, columns: Columns, download: bool, labels: LabelReader | None = None
) -> Corpus[LabelledText]:
    """Reads a prepared TFDS data set; downloads only if told to.

    Args:
        name: as TFDS spells it, e.g. ``imdb_reviews`` or ``glue/sst2:2.0.0``.
        columns: features that hold text and class.
        download: whether a data set that is not prepared may be fetched from the network.
        labels: reads what is the class of a row, or its classes; by default one a text.

    Raises:
        UserError: if it is unknown, not prepared, or lacks the features.
    """
    builder = tfds.prepared(name, download)
    features = tfds.need_features(name, builder, columns, HINT)
    feature = features[columns.label]
    names = getattr(feature, "names", None) or getattr(
        getattr(feature, "feature", None), "names", None
    )
    notes, reader = Notes(), labels or LabelReader()

    def named(label: Any) -> Any:
        return names[label] if names is not None and label >= 0 else label

    def example(row: Mapping[str, Any], split: str, where: str) -> LabelledText:
        label = row[columns.label]
        if getattr(label, "ndim", 0):
            label = list(map(named, label.tolist()))
        else:
            label = label.decode() if isinstance(label, bytes) else str(named(label))
        text = decode(row[columns.text], "utf-8", where)
        return LabelledText(text, reader.read(label, where, columns.label, notes.counts))

    corpus = tfds.read_rows(name, builder, example)
    read = Corpus(corpus.source, corpus.splits, [*corpus.notes, *notes.lines()])
    return without_hidden(read)
