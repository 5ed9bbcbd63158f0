"""Weights of a language model as the starting point of another model."""

from __future__ import annotations

import zipfile
from typing import Any

import keras
import numpy as np

from kerasseq import compat
from kerasseq.errors import UserError
from kerasseq.text.vocabulary import Vocabulary
from kerasseq.training.run_folder import MODEL, SUMMARY, RunFolder


def check_start(run: RunFolder, task: str) -> None:
    """Raises:
    UserError: if a run is not a finished one of a task.
    """
    try:
        run.record(task)
        if run.read_json(SUMMARY) is None:
            raise UserError(f"{run.path} is not trained to the end")
    except UserError as error:
        raise UserError(f"init_from: {error}") from None


def start_from(model: keras.Model, vocabulary: Vocabulary, run: RunFolder, task: str) -> list[str]:
    """Sets the embedding and the recurrent weights to those of a finished language model.

    Token vectors are taken by spelling; tokens that the other model does not know keep their
    initial vectors. A recurrent layer is taken if its weights have the same shapes; of a
    bidirectional one the forward direction, since that is what a language model has.

    Args:
        model: with an embedding layer and a :class:`kerasseq.layers.RecurrentStack`.
        vocabulary: its tokens.
        run: a language model's.
        task: that it must be of.

    Returns:
        What was taken, for people.

    Raises:
        UserError: if the run is not a finished language model, or nothing fits.
    """
    check_start(run, task)
    try:
        source = keras.models.load_model(run / MODEL, compile=False)
        known = Vocabulary.load(run / "vocabulary.txt")
    except UserError as error:
        raise UserError(f"init_from: {error}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"init_from: {run / MODEL} cannot be loaded: {error}") from None
    lines = [*_embedding(model, vocabulary, source, known), *_recurrent(model, source)]
    if not lines:
        raise UserError(
            f"init_from: nothing of {run.path} fits this model: embeddings of size "
            f"{source.embedding.embedding_dim}, {_shape(source.recurrent)}"
        )
    return [f"from {run.path}: {line}" for line in lines]


def _embedding(
    model: keras.Model, vocabulary: Vocabulary, source: keras.Model, known: Vocabulary
) -> list[str]:
    target = _layer(model, lambda layer: hasattr(layer, "embeddings"))
    if target is None or target.embeddings.shape[1] != source.embedding.embedding_dim:
        return []
    rows = {token: row for row, token in enumerate(known.tokens)}
    pairs = [(i, rows[token]) for i, token in enumerate(vocabulary.tokens) if token in rows]
    mine, theirs = np.array(pairs).T
    matrix = target.embeddings.numpy()
    matrix[mine] = source.embedding.embeddings.numpy()[theirs]
    target.embeddings.assign(matrix)
    return [f"vectors of {len(pairs):,} of {len(vocabulary):,} tokens"]


def _recurrent(model: keras.Model, source: keras.Model) -> list[str]:
    target = _layer(model, lambda layer: hasattr(layer, "kernel_plan"))
    if target is None:
        return []
    taken = 0
    forward = target.cells[:: target.directions]
    for mine, theirs in zip(forward, source.recurrent.cells, strict=False):
        shapes = [[w.shape for w in cell.get_weights()] for cell in (mine, theirs)]
        if type(mine) is not type(theirs) or shapes[0] != shapes[1]:
            break
        mine.set_weights(theirs.get_weights())
        taken += 1
    return [f"{taken} of {target.num_layers} recurrent layers"] if taken else []


def _layer(model: keras.Model, wanted: Any) -> Any:
    return next((layer for layer in compat.all_layers(model) if wanted(layer)), None)


def _shape(stack: Any) -> str:
    return f"{stack.num_layers} {stack.cell} layers of {stack.units} units"
