"""Parallel sentences from TensorFlow Datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kerasseq.data import tfds
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import Pair
from kerasseq.data.fields import noted
from kerasseq.data.reading import decode
from kerasseq.errors import UserError
from kerasseq.tasks.translation.pairs import check_differ, pair_of


def read_tfds(name: str, source: str, target: str, download: bool) -> Corpus[Pair]:
    """Reads the parallel sentences of a prepared TFDS data set; downloads only if told to.

    Where a row may lack a language or have several texts of it (``ted_multi_translate``), rows
    without both are skipped, and the last text is taken.

    Args:
        name: as TFDS spells it, e.g. ``ted_hrlr_translate/pt_to_en`` or ``ted_multi_translate``.
        source, target: two of its languages; if both are empty, those that TFDS names as input and
            output.
        download: whether a data set that is not prepared may be fetched from the network.

    Raises:
        UserError: if it is unknown, not prepared, has no translations or not the languages, or if
            a sentence of a validation or test split is empty.
    """
    builder = tfds.prepared(name, download)
    known, named = _languages(name, builder)
    if not source and not target:
        source, target = builder.info.supervised_keys or ("", "")
    for language in (source, target):
        if language not in known:
            lacks = f"no language {language!r}" if language else "several languages"
            raise UserError(
                f"tfds:{name} has {lacks}: choose two of {', '.join(known)} with --source and "
                "--target"
            )
    check_differ(f"tfds:{name}", source, target)
    without = several = 0

    def pair(row: Mapping[str, Any], split: str, where: str) -> Pair | None:
        nonlocal without, several
        if named:
            given = row["translations"]
            keys = [language.decode() for language in given["language"]]
            several += keys.count(source) > 1 or keys.count(target) > 1
            row = dict(zip(keys, given["translation"], strict=True))
            if source not in row or target not in row:
                without += 1
                return None
        first, second = (decode(row[key], "utf-8", where) for key in (source, target))
        return pair_of(first, second, split, (where, where))

    corpus = tfds.read_rows(name, builder, pair, (source, target))
    counts = {
        f"rows without {source} or {target} skipped": without,
        f"rows with several texts of {source} or {target}: the last was taken": several,
    }
    return replace(corpus, notes=noted(+Counter(counts)))


def _languages(name: str, builder: Any) -> tuple[list[str], bool]:
    """The languages of a data set; and whether its rows name them, since they have only some."""
    from tensorflow_datasets import features as kinds

    features = builder.info.features
    known = [key for key in features if isinstance(features[key], kinds.Text)]
    named = "translations" in features and isinstance(
        features["translations"], kinds.TranslationVariableLanguages
    )
    if named:
        known = features["translations"].languages
    if len(known) < 2:
        raise UserError(f"tfds:{name} has no translations; it has {', '.join(features)}")
    return list(known), named
