"""What an exported translation model is, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kerasseq.config import replace
from kerasseq.export.serving import EDGE_CASES, Serving, Signature, text_signature
from kerasseq.tasks.translation.export import TextTranslator


class Translation(NamedTuple):
    """A translation.

    Attributes:
        text: readable.
        score: its log-probability, normalised by length, and the coverage penalty.
        log_prob: in nats, of all its tokens.
        tokens: as the vocabulary spells them, EOS last; without it the translation was cut.
        attention: for each token, the weight of each source token, float32 `[T, S]`; None if it was
            not asked for.
    """

    text: str
    score: float
    log_prob: float
    tokens: list[str]
    attention: np.ndarray | None = None


def serving(reader: Any, samples: Sequence[str]) -> Serving:
    """The exported form of a translation model, compared with its use from Python.

    Args:
        reader: a :class:`~kerasseq.tasks.translation.translator.Translator`, of a model without GPU
            kernels.
        samples: texts to compare on, beside awkward ones.
    """
    beam, has_attention = reader.settings.beam, reader.model.has_attention
    codecs = reader.source_codec, reader.target_codec
    module = TextTranslator(reader.model, *codecs, reader.longest, beam)
    verbose = replace(beam, {"size": 3, "length_penalty": 0.6})

    def best(texts: list[str]) -> list[dict[str, Any]]:
        return [
            {"translation": found.text, "score": found.score, "cut": reader.is_cut(text)}
            for text, (found,) in reader.translate(texts, beam)
        ]

    def several(texts: list[str]) -> list[dict[str, Any]]:
        found = reader.translate(texts, verbose, verbose.size, with_attention=True)
        return [
            {
                **verbose_row(
                    reader.source_tokens(text), translations, verbose.size, has_attention
                ),
                "cut": reader.is_cut(text),
            }
            for text, translations in found
        ]

    inputs = {"beam_size": verbose.size, "length_penalty": verbose.length_penalty}
    signatures = {
        "serving_default": text_signature(module.serve, best, samples),
        "translate_verbose": Signature(
            module.translate_verbose,
            lambda block: {"text": block, **inputs},
            several,
            [*EDGE_CASES, *samples],
            unpadded,
        ),
    }
    source, target = reader.languages
    return Serving(module, signatures, {"source": source, "target": target})


def verbose_row(
    source_tokens: list[str], translations: list[Translation], size: int, has_attention: bool
) -> dict[str, Any]:
    """What ``translate_verbose`` gives for one text, without padding beyond its longest parts."""
    missing = Translation("", -1e30, -1e30, [], np.zeros((0, len(source_tokens)), np.float32))
    rows = [*translations, *[missing] * (size - len(translations))]
    longest = max(len(row.tokens) for row in rows)
    attention = np.zeros((size, longest, len(source_tokens) if has_attention else 0))
    for each, row in zip(attention, rows, strict=True):
        if has_attention:
            each[: len(row.tokens)] = row.attention
    return {
        "translations": [row.text for row in rows],
        "scores": [row.score for row in rows],
        "log_probs": [row.log_prob for row in rows],
        "tokens": [row.tokens + [""] * (longest - len(row.tokens)) for row in rows],
        "attention": attention,
        "source_tokens": source_tokens,
    }


def unpadded(row: dict[str, Any]) -> dict[str, Any]:
    """A row of ``translate_verbose`` without what pads it to the longest of its batch."""
    source = [token for token in row["source_tokens"] if token]
    longest = max(sum(token != "" for token in tokens) for tokens in row["tokens"])
    tokens = [tokens[:longest] for tokens in row["tokens"]]
    whole = {**row, "source_tokens": source, "tokens": tokens}
    if "attention" in row:
        whole["attention"] = [[weights[: len(source)] for weights in part[:longest]]
                              for part in row["attention"]]  # fmt: skip
    return whole
