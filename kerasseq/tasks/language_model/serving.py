"""What an exported language model is, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasseq.decoding.settings import Sampling
from kerasseq.export.serving import (
    EDGE_CASES,
    Serving,
    Signature,
    collate_texts,
    text_signature,
)
from kerasseq.tasks.language_model.export import DEFAULT_K, TextGenerator, state_names
from kerasseq.text.vocabulary import PAD

LENGTH, SEED, SAMPLING = 12, 7, Sampling(temperature=0.8, top_k=50, top_p=0.95)
"""How the exported ``generate`` is called where it is compared with the model."""

POSITION = 3
"""Of the token that ``advance`` draws there."""

FEW = 200
"""Characters of texts whose states are compared: these are as many numbers as a layer has units."""

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

    names = state_names(reader.model)

    def begun(texts: list[str]) -> list[dict[str, Any]]:
        rows = []
        for text in texts:
            ids = reader.codec.encode(text)
            last, states = reader.read(ids)
            row = {"ids": ids.tolist(), "last": int(last[0]), "unknown": reader.unknown(text)}
            rows.append(
                row | {n: s[0].numpy().tolist() for n, s in zip(names, states, strict=True)}
            )
        return rows

    def contexts(texts: list[str]) -> dict[str, Any]:
        rows = begun(texts)
        columns = {name: [row[name] for row in rows] for name in ("last", *names)}
        return {**columns, "position": POSITION, **SAMPLING._asdict(), "seed": SEED}

    def advanced(texts: list[str]) -> list[dict[str, Any]]:
        rows = []
        for text in texts:
            last, states = reader.read(reader.codec.encode(text))
            token, log_prob, after = reader.draw(last, states, SAMPLING, SEED, POSITION)
            row = {"token": int(token[0]), "log_prob": float(log_prob[0])}
            rows.append(row | {n: s[0].numpy().tolist() for n, s in zip(names, after, strict=True)})
        return rows

    def padded(texts: list[str]) -> dict[str, Any]:
        rows = [reader.codec.encode(text).tolist() for text in texts]
        width = max(map(len, rows))
        return {"ids": [[*row, *[PAD] * (width - len(row))] for row in rows]}

    def unpadded(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "ids": [i for i in row["ids"] if i != PAD]}

    texts = [*EDGE_CASES, *samples]
    few = [text for text in texts if 0 < len(text) < FEW]
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
        "begin": Signature(module.begin, collate_texts, begun, few, unpadded),
        "advance": Signature(module.advance, contexts, advanced, few),
        "spell": Signature(
            module.spell,
            padded,
            lambda texts: [{"text": reader.codec.decode(reader.codec.encode(t))} for t in texts],
            few,
        ),
    }
    page = {"units": reader.codec.units, "sampling": OFFERED._asdict()}
    return Serving(module, signatures, page)
