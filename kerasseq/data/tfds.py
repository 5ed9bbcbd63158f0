"""Examples from TensorFlow Datasets: prepared data, or downloaded if told to."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kerasseq.data.corpus import Corpus
from kerasseq.data.folders import split_of
from kerasseq.errors import UserError
from kerasseq.installing import install_extra

E = TypeVar("E")


def read_rows(
    name: str,
    builder: Any,
    example_of: Callable[[Mapping[str, Any], str, str], E | None],
    languages: tuple[str, str] = ("", ""),
) -> Corpus[E]:
    """Makes a corpus of the rows of a prepared data set.

    Args:
        name: as TFDS spells it, e.g. ``imdb_reviews`` or ``glue/sst2:2.0.0``.
        builder: as :func:`prepared` gives it.
        example_of: makes an example of a row, the split that it is in, and the name of its place;
            None leaves it out.
        languages: of a parallel corpus.

    Raises:
        UserError: if it has no train split.
    """
    splits, unused = {}, []
    for split in builder.info.splits:
        known = split_of(split)
        if known is None or known in splits:
            unused.append(f"{split} (a second {known} split)" if known else split)
            continue
        rows = enumerate(builder.as_dataset(split=split).as_numpy_iterator(), start=1)
        made = (example_of(row, known, f"tfds:{name}, row {n} of {split}") for n, row in rows)
        if examples := [example for example in made if example is not None]:
            splits[known] = examples
    if "train" not in splits:
        raise UserError(f"tfds:{name} has no train split; it has {', '.join(builder.info.splits)}")
    source = f"tfds: {builder.info.full_name} in {builder.data_dir}"
    notes = [f"not used: {', '.join(unused)}"] if unused else []
    return Corpus(source, splits, notes, languages)


def need_features(name: str, builder: Any, wanted: tuple[str, ...], hint: str) -> Any:
    """The features of a data set.

    Args:
        name: of the data set.
        builder: as :func:`prepared` gives it.
        wanted: names of those that it must have.
        hint: what to do if one is missing.

    Raises:
        UserError: if one is missing.
    """
    features = builder.info.features
    for feature in wanted:
        if feature not in features:
            raise UserError(
                f"tfds:{name} has no feature {feature!r}; it has {', '.join(features)} ({hint})"
            )
    return features


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
        conllu_set = isinstance(builder, tfds.dataset_builders.ConllUDatasetBuilder)
        if conllu_set and importlib.util.find_spec("conllu") is None:
            # TFDS would find out after the download only
            raise UserError(
                f"tfds:{name} is prepared with the package conllu, which is not installed: "
                f"{install_extra('treebanks')}"
            )
        try:
            builder.download_and_prepare()
        except Exception as error:
            raise UserError(
                f"tfds:{name} could not be downloaded: {type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else 'no message'}"
            ) from None
    return builder
