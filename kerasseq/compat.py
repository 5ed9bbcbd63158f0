"""Every use of a private name of Keras, TensorFlow, KerasTuner and argparse.

A private name may go in any release. Each has one function here and one row in `PRIVATE_NAMES`;
`tests/test_compat.py` has a canary for each, which says what broke and which version had it.
Nothing is imported before it is used, so that a help text needs no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager


class PrivateName(NamedTuple):
    """A private name that the package uses.

    Attributes:
        library: its distribution, as ``pip`` knows it; "Python" for the standard library.
        name: where it is, in that library.
        version: the newest version in which its canary passed.
        why: what it is used for, and why no public name does that.
    """

    library: str
    name: str
    version: str
    why: str


PRIVATE_NAMES = {
    "autocast_scope": PrivateName(
        "keras", "keras.src.backend.AutocastScope", "3.15.1",
        "weights in the compute dtype, in a layer's methods beside `call`",
    ),
    "all_layers": PrivateName(
        "keras", "Layer._flatten_layers", "3.15.1",
        "layers within layers; the public `Model.layers` has the outer ones only",
    ),
    "implicit_mask": PrivateName(
        "keras", "keras.src.backend.get_keras_mask", "3.15.1",
        "the mask that `Embedding(mask_zero=True)` attaches; Keras gives it to some calls only",
    ),
    "attach_mask": PrivateName(
        "keras", "keras.src.backend.set_keras_mask", "3.15.1",
        "an output has the mask of another argument than the first",
    ),
    "adam_moments": PrivateName(
        "keras", "Adam._momentums, _velocities, _get_variable_index", "3.15.1",
        "Adam's two moments of one variable, to update a few rows of them",
    ),
    "leave_gradients_as_they_are": PrivateName(
        "keras", "Optimizer._all_reduce_sum_gradients", "3.15.1",
        "gradients are summed over replicas before they are clipped, not by the optimiser again",
    ),
    "is_core_op": PrivateName(
        "tensorflow", "tensorflow.python.framework.op_def_registry", "2.21.0",
        "whether an op is TensorFlow's own, so that a SavedModel needs no library beside it",
    ),
    "read_saved_model": PrivateName(
        "tensorflow", "tensorflow.core.protobuf.saved_model_pb2", "2.21.0",
        "a SavedModel's graphs, without loading its variables",
    ),
    "reseed_oracle": PrivateName(
        "keras-tuner", "Oracle._seed_state, BayesianOptimizationOracle._random_state", "1.4.8",
        "what is drawn for a trial must not depend on how often the sweep was started",
    ),
    "place_oracle": PrivateName(
        "keras-tuner", "Oracle._set_project_dir", "1.4.8",
        "an oracle outside a tuner needs a folder; only a tuner gives it one",
    ),
    "ask_without_waiting": PrivateName(
        "keras-tuner", "GridSearchOracle._populate_next", "1.4.8",
        "a grid's next trial while others run; it would wait for their ends",
    ),
    "parser_actions": PrivateName(
        "Python", "argparse.ArgumentParser._actions", "3.11",
        "the options of a parser, to find what a misspelt one meant and to complete their help",
    ),
}  # fmt: skip
"""What is used, by the function of this module that uses it."""


def autocast_scope(dtype: str) -> AbstractContextManager[Any]:
    """A scope in which a Keras variable of floats is read as `dtype`."""
    from keras.src.backend import AutocastScope

    return AutocastScope(dtype)


def all_layers(layer: Any, include_self: bool = True) -> Iterable[Any]:
    """A Keras layer or model, and all layers within it, depth first."""
    return layer._flatten_layers(include_self=include_self)


def implicit_mask(tensor: Any) -> Any:
    """The mask that Keras attached to a tensor, or None."""
    from keras.src.backend import get_keras_mask

    return None if tensor is None else get_keras_mask(tensor)


def attach_mask(tensor: Any, mask: Any) -> None:
    """Attaches a mask to a tensor, as Keras does; None takes it off."""
    from keras.src.backend import set_keras_mask

    set_keras_mask(tensor, mask)


def adam_moments(optimizer: Any, variable: Any) -> tuple[Any, Any]:
    """The variables in which Keras' Adam keeps the mean and the mean square of a gradient."""
    index = optimizer._get_variable_index(variable)
    return optimizer._momentums[index], optimizer._velocities[index]


def leave_gradients_as_they_are(optimizer: Any) -> None:
    """Keeps a Keras optimiser from summing gradients over replicas."""
    optimizer._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables


def is_core_op(kind: str) -> bool:
    """Whether TensorFlow itself has a kind of op."""
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(kind) is not None


def read_saved_model(path: Path) -> Any:
    """The graphs of a ``saved_model.pb``, as protocol buffers.

    Raises:
        OSError, google.protobuf.message.DecodeError: if they cannot be read.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    return saved.meta_graphs


def reseed_oracle(oracle: Any, seed: int) -> None:
    """Sets what a Bayesian oracle of KerasTuner draws next."""
    import numpy as np

    oracle._seed_state = seed
    oracle._random_state = np.random.RandomState(seed)


def place_oracle(oracle: Any, folder: str) -> None:
    """Gives an oracle of KerasTuner the folder it keeps its state in."""
    oracle._set_project_dir(folder, "oracle")


def ask_without_waiting(oracle: Any, trial: str) -> None:
    """Lets KerasTuner's grid search propose the trial after `trial` before that one ends."""
    oracle._populate_next.append(trial)


def parser_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options and arguments of a parser."""
    return parser._actions
