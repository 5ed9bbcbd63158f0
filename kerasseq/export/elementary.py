"""Models for runtimes without strings: what takes ids, in elementary ops, one sequence at a time.

LiteRT and ONNX know no string ops, no hash tables, and no loop whose batch is not fixed, so text is
cut, looked up and searched outside the model, by a client that needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasseq import compat
from kerasseq.layers.recurrent_stack import RecurrentStack


def text_line(result: Mapping[str, Any]) -> str:
    """The text of a result."""
    return result["text"]


@dataclass(frozen=True)
class Elementary:
    """What is exported, and what its client has to give.

    Attributes:
        model: whose variables the functions read.
        functions: by name, each with an input signature of named tensors and a dict of outputs.
        vocabulary: what the client reads, as JSON values.
        client: the file that is put beside the model, and shows its use in NumPy.
        settings: of the task, with which ``predict`` does what the client does.
        answer: what the client must give for a result of ``predict``.
        line: the line that it is given then; None for a result that no line gives.
    """

    model: keras.Model
    functions: Mapping[str, Any]
    vocabulary: Mapping[str, Any]
    client: Path
    settings: Any
    answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    line: Callable[[Mapping[str, Any]], str | None] = text_line

    def module(self) -> tf.Module:
        """The functions, and every variable of theirs, as a SavedModel is made of them."""
        module = tf.Module()
        module.weights = [variable.value for variable in self.model.variables]
        module.functions = dict(self.functions)
        return module


def step_by_step(model: keras.Model) -> keras.Model:
    """The model, its recurrent layers as loops over their cells' own equations."""
    for layer in compat.all_layers(model):
        if isinstance(layer, RecurrentStack):
            layer.kernel, layer.use_cudnn = "loop", False
    return model


def ids_spec(name: str, *shape: int | None) -> tf.TensorSpec:
    """An input of ids."""
    return tf.TensorSpec(shape, tf.int32, name)
