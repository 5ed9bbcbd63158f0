"""Corpora of tagged sentences from TensorFlow Datasets."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kerasseq.data import tfds
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import TaggedSentence
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.reading import without_blank_columns

# features of TFDS' sets (universal_dependencies, xtreme_pos, conll2002, conll2003) and our columns
_TAG_FEATURES = {
    "upos": "upos",
    "xpos": "xpos",
    "feats": "feats",
    "pos": "xpos",
    "chunks": "chunk",
    "ner": "ner",
}


def read_tfds(name: str, download: bool) -> Corpus[TaggedSentence]:
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
    builder = tfds.prepared(name, download)
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
    dropped = 0

    def sentence(row: Mapping[str, Any], split: str, where: str) -> TaggedSentence | None:
        nonlocal dropped
        tokens = [token.decode("utf-8") for token in row["tokens"]]
        heads = row.get("head", [b"0"] * len(tokens))
        kept = [i for i, head in enumerate(heads) if head.isdigit()]
        dropped += len(tokens) - len(kept)
        if not kept:
            return None
        tags = {
            column: _tags(row[feature][kept], label_names[feature])
            for feature, column in columns.items()
        }
        text = row["text"].decode("utf-8") if "text" in row else None
        return TaggedSentence([tokens[i] for i in kept], tags, text=text)

    corpus = tfds.read_rows(name, builder, sentence)
    notes = [f"{dropped:,} multi-word tokens and empty nodes skipped"] if dropped else []
    return without_blank_columns(replace(corpus, notes=notes))


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
