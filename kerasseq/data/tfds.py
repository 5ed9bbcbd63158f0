"""Labelled texts, tagged sentences, running text and translations from TensorFlow Datasets."""

from __future__ import annotations

import ast
import importlib.util
import logging
from typing import Any

from kerasseq.data.reading import SPLIT_NAMES, decode
from kerasseq.data.labelled import Corpus, Examples
from kerasseq.tasks.translation.reading import Pair, ParallelCorpus, pair_of
from kerasseq.data.examples import TaggedCorpus, TaggedSentence
from kerasseq.tasks.language_model.reading import TextCorpus
from kerasseq.tasks.tagging.reading import without_blank_columns
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
            examples.texts.append(decode(row[text_column], "utf-8", f"tfds:{name}"))
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


# features of TFDS' sets (universal_dependencies, xtreme_pos, conll2002, conll2003) and our columns
_TAG_FEATURES = {"upos": "upos", "xpos": "xpos", "feats": "feats", "pos": "xpos", "chunks": "chunk"}


def read_tagged(name: str, download: bool) -> TaggedCorpus:
    """Reads the tagged sentences of a prepared TFDS data set; downloads only if told to.

    TFDS keeps multi-word tokens (``3-4``) and empty nodes (``8.1``) of CoNLL-U among the words, and
    does not keep their ids (its feature ``idx`` is the sentence's). They are told by their head:
    CoNLL-U gives one to every word, and to nothing else.

    Args:
        name: as TFDS spells it, e.g. ``universal_dependencies/en_ewt`` or ``conll2003``.
        download: whether a data set that is not prepared may be fetched from the network.

    Raises:
        UserError: if it is unknown, not prepared, or has no tagged sentences.
    """
    builder = prepared(name, download)
    features = builder.info.features
    columns = {feature: column for feature, column in _TAG_FEATURES.items() if feature in features}
    if "tokens" not in features or not columns:
        raise UserError(
            f"tfds:{name} has no tagged sentences (tokens, and one of "
            f"{', '.join(_TAG_FEATURES)}); it has {', '.join(features)}"
        )
    label_names = {
        feature: getattr(features[feature].feature, "names", None) for feature in columns
    }
    splits: dict[str, list[TaggedSentence]] = {}
    dropped = 0
    for split in builder.info.splits:
        if split not in SPLIT_NAMES:
            continue
        sentences = []
        for row in builder.as_dataset(split=split).as_numpy_iterator():
            tokens = [token.decode("utf-8") for token in row["tokens"]]
            heads = row.get("head", [b"0"] * len(tokens))
            kept = [i for i, head in enumerate(heads) if head.isdigit()]
            dropped += len(tokens) - len(kept)
            if kept:
                tags = {
                    column: _tags(row[feature][kept], label_names[feature])
                    for feature, column in columns.items()
                }
                text = row["text"].decode("utf-8") if "text" in row else None
                sentences.append(TaggedSentence([tokens[i] for i in kept], tags, text=text))
        if sentences:
            splits[SPLIT_NAMES[split]] = sentences
    if "train" not in splits:
        raise UserError(f"tfds:{name} has no train split; it has {', '.join(builder.info.splits)}")
    notes = [f"{dropped:,} multi-word tokens and empty nodes skipped"] if dropped else []
    source = f"tfds: {builder.info.full_name} in {builder.data_dir}"
    return without_blank_columns(TaggedCorpus(source, splits, notes))


def _tags(values: Any, names: list[str] | None) -> list[str]:
    """Tags as CoNLL-U writes them."""
    if names is not None:  # class labels; TFDS marks those of a hidden split by -1
        return [names[value] if value >= 0 else "_" for value in values]
    return [_as_conllu(value.decode("utf-8")) for value in values]


def _as_conllu(value: str) -> str:
    """Undoes what TFDS does to a field: ``None`` for ``_``, and Python's spelling of features.

    >>> _as_conllu("{'Case': 'Nom', 'Number': 'Sing'}")
    'Case=Nom|Number=Sing'
    """
    if value == "None":
        return "_"
    if not value.startswith("{"):
        return value
    try:
        features = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value  # a tag that happens to begin with a brace
    if not isinstance(features, dict):
        return value
    return "|".join(key if item is None else f"{key}={item}" for key, item in features.items())


def read_text(name: str, text_column: str, download: bool) -> TextCorpus:
    """Reads the running text of a prepared TFDS data set; downloads only if told to.

    Each row is a line (``lm1b``), or, if it has line ends itself, some (``tiny_shakespeare``).

    Args:
        name: as TFDS spells it, e.g. ``tiny_shakespeare`` or ``lm1b``.
        text_column: feature that holds the text.
        download: whether a data set that is not prepared may be fetched from the network.

    Raises:
        UserError: if it is unknown, not prepared, or has no such text.
    """
    builder = prepared(name, download)
    features = builder.info.features
    if text_column not in features:
        raise UserError(
            f"tfds:{name} has no feature {text_column!r}; it has {', '.join(features)} "
            "(the setting text_column chooses)"
        )
    splits = {}
    for split in builder.info.splits:
        if split not in SPLIT_NAMES:
            continue
        lines = []
        for row in builder.as_dataset(split=split).as_numpy_iterator():
            if not isinstance(row[text_column], bytes):
                raise UserError(f"tfds:{name}: the feature {text_column!r} is not a text")
            line = decode(row[text_column], "utf-8", f"tfds:{name}").replace("\r\n", "\n")
            lines.append(line if line.endswith("\n") else line + "\n")
        if lines:
            splits[SPLIT_NAMES[split]] = "".join(lines)
    if "train" not in splits:
        raise UserError(f"tfds:{name} has no train split; it has {', '.join(builder.info.splits)}")
    return TextCorpus(f"tfds: {builder.info.full_name} in {builder.data_dir}", splits)


def read_parallel(name: str, source: str, target: str, download: bool) -> ParallelCorpus:
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
    import tensorflow_datasets as tfds

    builder = prepared(name, download)
    features = builder.info.features
    # one text for each language, or (ted_multi_translate) texts of some languages, each named
    named = "translations" in features and isinstance(
        features["translations"], tfds.features.TranslationVariableLanguages
    )
    if named:
        languages = features["translations"].languages
    else:
        languages = [key for key in features if isinstance(features[key], tfds.features.Text)]
    if len(languages) < 2:
        raise UserError(f"tfds:{name} has no translations; it has {', '.join(features)}")
    if not source and not target:
        source, target = builder.info.supervised_keys or ("", "")
    for language in (source, target):
        if language not in languages:
            lacks = f"no language {language!r}" if language else "several languages"
            raise UserError(
                f"tfds:{name} has {lacks}: choose two of {', '.join(languages)} with --source and "
                "--target"
            )
    splits: dict[str, list[Pair]] = {}
    without = 0
    for split in builder.info.splits:
        if split not in SPLIT_NAMES:
            continue
        part = []
        rows = builder.as_dataset(split=split).as_numpy_iterator()
        for number, row in enumerate(rows, start=1):
            if named:
                given = row["translations"]
                keys = (language.decode() for language in given["language"])
                row = dict(zip(keys, given["translation"], strict=True))
                if source not in row or target not in row:
                    without += 1
                    continue
            where = f"tfds:{name}, row {number} of {split}"
            first, second = (decode(row[key], "utf-8", where) for key in (source, target))
            part.append(pair_of(first, second, SPLIT_NAMES[split], (where, where)))
        if part:
            splits[SPLIT_NAMES[split]] = part
    if "train" not in splits:
        raise UserError(f"tfds:{name} has no train split; it has {', '.join(builder.info.splits)}")
    notes = [f"{without:,} rows without {source} or {target} skipped"] if without else []
    return ParallelCorpus(
        f"tfds: {builder.info.full_name} in {builder.data_dir}", (source, target), splits, notes
    )


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
                "pip install conllu (or install kerasseq[treebanks])"
            )
        try:
            builder.download_and_prepare()
        except Exception as error:
            raise UserError(
                f"tfds:{name} could not be downloaded: {type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else 'no message'}"
            ) from None
    return builder
