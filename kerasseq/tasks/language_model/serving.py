"""What an exported language model is, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasseq.decoding.settings import Sampling
from kerasseq.export.serving import EDGE_CASES, Serving, Signature, text_signature
from kerasseq.tasks.language_model.export import DEFAULT_K, TextGenerator

LENGTH, SEED, SAMPLING = 12, 7, Sampling(temperature=0.8, top_k=50, top_p=0.95)
"""How the exported ``generate`` is called where it is compared with the model."""

OFFERED = Sampling(temperature=0.8, top_p=0.95)
"""What a page begins with."""


def serving(reader: Any, samples: Sequence[str]) -> Serving:
    """The exported form of a language model, compared with its use from Python.

    Args:
        reader: a :class:`~kerasseq.tasks.language_model.text_model.TextModel`, of a model without
            GPU kernels.
        samples: texts to compare on, beside awkward ones.
    """
    module = TextGenerator(reader.model, reader.codec)

    def next_of(texts: list[str], k: int) -> list[dict[str, Any]]:
        rows = [reader.next(text, k) for text in texts]
        return [
            {
                "tokens": [token for token, _ in row],
                "probabilities": [probability for _, probability in row],
                "unknown": reader.unknown(text),
            }
            for text, row in zip(texts, rows, strict=True)
        ]

    def generated(texts: list[str]) -> list[dict[str, Any]]:
        made = [reader.generate(text, LENGTH, SAMPLING, SEED) for text in texts]
        return [
            {
                "text": one.text,
                "generated": one.tokens,
                "log_prob": one.log_prob,
                "unknown": reader.unknown(text),
            }
            for text, one in zip(texts, made, strict=True)
        ]

    def scored(texts: list[str]) -> list[dict[str, Any]]:
        names = ("log_prob", "perplexity", "tokens", "unknown")
        return [{name: row[name] for name in names} for row in reader.score(texts)]

    texts = [*EDGE_CASES, *samples]
    inputs = {"length": LENGTH, **SAMPLING._asdict(), "seed": SEED}
    signatures = {
        "serving_default": text_signature(
            module.serve, lambda texts: next_of(texts, DEFAULT_K), samples
        ),
        "next_token": Signature(
            module.next_token,
            lambda block: {"text": block, "k": 3},
            lambda texts: next_of(texts, 3),
            texts,
        ),
        "generate": Signature(
            module.generate, lambda block: {"text": block, **inputs}, generated, texts
        ),
        "score": text_signature(module.score, scored, samples),
    }
    page = {"units": reader.codec.units, "sampling": OFFERED._asdict()}
    return Serving(module, signatures, page)
