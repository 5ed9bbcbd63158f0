"""Labelled texts from TensorFlow Datasets."""

from __future__ import annotations

import logging
from typing import Any

from kerasseq.data.labelled import Corpus, Examples
from kerasseq.errors import UserError


def read_labelled(name: str, text_column: str, label_column: str, download: bool) -> Corpus:
    """Reads a prepared TFDS data set; downloads only if told to.

    Args:
        name: as TFDS spells it, e.g. ``imdb_reviews`` or ``glue/sst2:2.0.0``.
        text_column, label_column: features that hold text and class.
        download: whether a data set that is not prepared may be fetched from the network.

    Raises:
        UserError: if it is unknown, not prepared, or lacks the features.
    """
    builder = prepared(name, download)
    features = builder.info.features
    for column in (text_column, label_column):
        if column not in features:
            raise UserError(
                f"tfds:{name} has no feature {column!r}; it has {', '.join(features)} "
                "(the settings text_column and label_column choose)"
            )
    label_names = getattr(features[label_column], "names", None)
    splits = {}
    for split in builder.info.splits:
        if split not in ("train", "validation", "test"):
            continue
        examples = Examples([], [])
        for row in builder.as_dataset(split=split).as_numpy_iterator():
            examples.texts.append(row[text_column].decode("utf-8"))
            label = row[label_column]
            if label_names is not None:
                label = label_names[label]
            examples.labels.append(label.decode() if isinstance(label, bytes) else str(label))
        # TFDS marks the labels of a hidden test split by -1
        if len(examples) and set(examples.labels) != {"-1"}:
            splits[split] = examples
    if "train" not in splits:
        raise UserError(f"tfds:{name} has no train split; it has {', '.join(builder.info.splits)}")
    return Corpus(f"tfds: {builder.info.full_name} in {builder.data_dir}", splits)


def prepared(name: str, download: bool) -> Any:
    """A TFDS builder whose data is on disk.

    Raises:
        UserError: if it is unknown, or not prepared and must not or cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    if not name:
        raise UserError("tfds: needs the name of a data set, as in tfds:imdb_reviews")

    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        builder = tfds.builder(name)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        raise UserError(f"tfds:{name}: {str(error).splitlines()[0]}") from None
    if not builder.is_prepared():
        if not download:
            raise UserError(
                f"tfds:{name} is not prepared in {builder.data_dir}: add --download to fetch it, "
                "or set TFDS_DATA_DIR to a folder that has it"
            )
        try:
            builder.download_and_prepare()
        except Exception as error:
            raise UserError(
                f"tfds:{name} could not be downloaded: {type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else 'no message'}"
            ) from None
    return builder
