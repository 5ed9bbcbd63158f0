"""The layer contract: one helper that holds every public layer to the same promises.

from tests.layers.contract import run_layer_contract

def test_contract():
    run_layer_contract(
        MeanPooling,
        init_kwargs={},
        inputs={"inputs": x, "mask": mask},      # call arguments, by name
        expected_output_shape=(3, 8),
        time_arguments={"inputs": 1, "mask": 1}, # argument -> its padded axis
    )
"""

import inspect
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasseq.layers._sequence_layer import SequenceLayer
from tests.layers.edges import (
    check_float64,
    check_gaps,
    check_implicit_mask,
    check_sizes,
    is_vector,
)  # fmt: skip

Arrays = Mapping[str, np.ndarray]


def run_layer_contract(
    layer_class: type[keras.layers.Layer],
    init_kwargs: Mapping[str, Any],
    inputs: Arrays,
    *,
    expected_output_shape: Any = None,
    mask_argument: str | None = "mask",
    time_arguments: Mapping[str, int] | None = None,
    output_time_axis: int | None = None,
    zero_at_padding: bool = False,
    mixed_policies: Sequence[str] = ("mixed_float16", "mixed_bfloat16"),
    mixed_output_dtype: str | None = None,
    fit: bool = True,
    all_weights_train: bool = True,
    saved_model: bool = True,
    float64: bool = True,
    call_kwargs: Mapping[str, Any] | None = None,
    output: Callable[[Any], Any] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> list[str]:
    """Run every check of the layer contract that applies; return the names of those that ran.

    The checks, in order: `config` (`from_config(get_config())` gives the same config, and the
    config is JSON), `eager` and `symbolic` (the same shapes and dtypes, and the expected ones),
    `fit` (one compiled training step: a finite loss, and every trainable weight moved),
    `mixed precision` (variables float32, floating outputs in the compute dtype, all finite),
    `padding` (each row alone, cut to its length, equals the same row in the batch, whatever
    stands in the padded positions), `reload` (a `.keras` file reloads with exactly equal
    outputs), `saved model` (TensorFlow only: exported with dynamic batch and time, equal).
    Between `padding` and `reload`: `gaps`, `implicit mask`, `no rows`, `one step`, `no step` and
    `float64`, see `tests/layers/edges.py`.

    Args:
        layer_class: the layer's class; registered with Keras, so that it reloads without
            `custom_objects`.
        init_kwargs: constructor arguments. Seeds belong here.
        inputs: call argument name -> array, batch first. Floats are float32, ids int32, masks
            bool. They are passed by keyword.
        expected_output_shape: shape of the output for `inputs` (or a matching structure of
            shapes); not checked when `None`.
        mask_argument: which of `inputs` is the right-padded bool mask that gives the lengths;
            `None` (or one that is not in `inputs`) skips `padding`.
        time_arguments: argument name -> axis that is cut to a row's length, for `padding`.
            `None` skips it. Further axes of other arguments stay as they are.
        output_time_axis: the output's time axis (only valid steps are compared), or `None`
            where the output has none (pooling).
        zero_at_padding: with `output_time_axis`, also require exact zeros at padded steps.
        mixed_policies: dtype policies to try; `()` skips `mixed precision`.
        mixed_output_dtype: what floating outputs have under them, if not the compute dtype.
        fit: `False` skips `fit` (layers without a float output).
        all_weights_train: `False` where some trainable weight may get no gradient.
        saved_model: `False` skips `saved model`.
        float64: `False` skips `float64` (layers that hold another, whose dtype counts).
        call_kwargs: further call arguments that are no tensors, e.g. `{"return_scores": True}`.
        output: picks what to check from what the layer returns, e.g. `lambda out: out[0]`.
        rtol, atol: tolerances for `padding` and `saved model`.
    """
    keras.utils.set_random_seed(1)  # how exact a cell with layer norm is depends on its weights
    context = _Context(layer_class, dict(init_kwargs), dict(inputs), dict(call_kwargs or {}))
    context.pick = output or (lambda value: value)
    ran = ["config", "eager", "symbolic"]
    _check_config(context)
    expected = _check_eager(context, expected_output_shape)
    model, dynamic = _check_symbolic(context, expected)
    if fit:
        _check_fit(context, all_weights_train)
        ran.append("fit")
    for policy in mixed_policies:
        _check_mixed(context, policy, mixed_output_dtype)
    if mixed_policies:
        ran.append("mixed precision")
    if mask_argument in inputs and time_arguments:
        _check_padding(
            context, mask_argument, time_arguments, output_time_axis, zero_at_padding, rtol, atol
        )
        ran.append("padding")
        ran += check_gaps(context, mask_argument, time_arguments, output_time_axis, rtol, atol)
    if mask_argument in inputs and isinstance(context.make(), SequenceLayer):
        ran += check_implicit_mask(context, mask_argument)
    ran += check_sizes(context, time_arguments)
    # jax has it where it is switched on, and Keras' matmul on torch gives float32
    if float64 and keras.backend.backend() == "tensorflow":
        ran += check_float64(context)
    _check_reload(context, model)
    ran.append("reload")
    if saved_model and keras.backend.backend() == "tensorflow":
        _check_saved_model(context, dynamic, rtol, atol)
        ran.append("saved model")
    return ran


class _Context:
    """What a contract run carries: how to make the layer, and how to call it."""

    pick: Callable[[Any], Any]

    def __init__(self, layer_class, init_kwargs, inputs, call_kwargs) -> None:
        self.layer_class = layer_class
        self.init_kwargs = init_kwargs
        self.inputs = inputs
        self.call_kwargs = call_kwargs

    def make(self, **extra: Any) -> keras.layers.Layer:
        return self.layer_class(**{**self.init_kwargs, **extra})

    def call(self, layer, inputs: Arrays | Mapping[str, Any] | None = None, **extra: Any) -> Any:
        tensors = self.inputs if inputs is None else inputs
        tensors = {
            name: keras.ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value
            for name, value in tensors.items()
        }
        return self.pick(layer(**tensors, **self.call_kwargs, **extra))

    def symbols(self, dynamic: bool = False) -> dict[str, Any]:
        return {
            name: keras.Input(
                shape=_free_time(value) if dynamic else value.shape[1:],
                dtype=str(value.dtype),
                name=name,
            )
            for name, value in self.inputs.items()
        }

    def model(self, layer: keras.layers.Layer, dynamic: bool = False) -> keras.Model:
        symbols = self.symbols(dynamic)
        return keras.Model(symbols, self.call(layer, symbols))


def _free_time(value: np.ndarray) -> tuple[int | None, ...]:
    """The time axis (the first after the batch) left open, where there is one to leave open."""
    shape = value.shape[1:]
    return (None, *shape[1:]) if shape and not is_vector(value) else shape


def _leaves(structure: Any) -> list[Any]:
    return keras.tree.flatten(structure)


def _numpy(structure: Any) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(leaf) for leaf in _leaves(structure)]


def _is_float(value: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(value.dtype)


def _check_config(context: _Context) -> None:
    layer = context.make()
    config = layer.get_config()
    json.dumps(keras.saving.serialize_keras_object(layer))
    clone = context.layer_class.from_config(config)
    assert clone.get_config() == config, "get_config does not survive a round trip"
    for name in context.init_kwargs:
        assert name in config, f"constructor argument {name!r} is missing from get_config()"
    registered = keras.saving.get_registered_name(context.layer_class)
    assert ">" in registered, f"{registered} is not registered with Keras"


def _dtypes(values: Any) -> list[str]:
    return [keras.backend.standardize_dtype(leaf.dtype) for leaf in _leaves(values)]


def _check_eager(
    context: _Context, expected_output_shape: Any
) -> tuple[list[tuple[int, ...]], list[str]]:
    layer = context.make()
    values = context.call(layer, training=False) if _takes_training(layer) else context.call(layer)
    assert layer.built
    shapes = [tuple(leaf.shape) for leaf in _leaves(values)]
    if expected_output_shape is not None:
        wanted = expected_output_shape
        wanted = [tuple(wanted)] if isinstance(wanted[0], int) else [tuple(s) for s in wanted]
        assert shapes == wanted, f"output shapes {shapes}, expected {wanted}"
    for value in _numpy(values):
        assert np.isfinite(value.astype("float64")).all(), "the output holds NaN or infinity"
    return shapes, _dtypes(values)


def _takes_training(layer: keras.layers.Layer) -> bool:
    return "training" in inspect.signature(layer.call).parameters


def _check_symbolic(
    context: _Context, expected: tuple[list[tuple[int, ...]], list[str]]
) -> list[keras.Model]:
    """Returns the models, of fixed and of free lengths, for checks that need one."""
    shapes, dtypes = expected
    models = [context.model(context.make(), dynamic=dynamic) for dynamic in (False, True)]
    for model in models:
        outputs = _leaves(model.output)
        assert _dtypes(outputs) == dtypes, f"symbolic {_dtypes(outputs)}, eager {dtypes}"
        for shape, tensor in zip(shapes, outputs, strict=True):
            assert len(tensor.shape) == len(shape)
            for symbolic, actual in zip(tensor.shape, shape, strict=True):
                assert symbolic is None or symbolic == actual, f"{tensor.shape} against {shape}"
    return models


def _check_fit(context: _Context, all_weights_train: bool) -> None:
    layer = context.make()
    symbols = context.symbols(dynamic=True)
    floats = [leaf for leaf in _leaves(context.call(layer, symbols)) if _is_float(leaf)]
    assert floats, "no floating output to train on: pass fit=False"
    model = keras.Model(symbols, floats[0])
    before = [keras.ops.convert_to_numpy(w) for w in layer.trainable_weights]
    rng = np.random.default_rng(0)
    shape = next(tuple(v.shape) for v in _leaves(context.call(layer)) if _is_float(v))
    target = rng.normal(size=shape).astype("float32")
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss=_squares)
    with warnings.catch_warnings():
        # Pooling and dropout layers have nothing to train, and still must run in fit.
        warnings.filterwarnings("ignore", "The model does not have any trainable weights")
        history = model.fit(
            context.inputs, target, batch_size=len(target), epochs=1, verbose=0, shuffle=False
        )
    assert np.isfinite(history.history["loss"][0])
    if all_weights_train:
        for old, weight in zip(before, layer.trainable_weights, strict=True):
            new = keras.ops.convert_to_numpy(weight)
            assert np.isfinite(new).all()
            assert not np.array_equal(old, new), f"{weight.path} got no gradient"


def _squares(y_true: Any, y_pred: Any) -> Any:
    """Squared differences, a mean a step: what a mask that the output carries has the shape of."""
    squares = keras.ops.square(keras.ops.cast(y_true, y_pred.dtype) - y_pred)
    axes = tuple(range(2, len(squares.shape)))
    return keras.ops.mean(squares, axis=axes) if axes else squares


def _check_mixed(context: _Context, policy: str, output_dtype: str | None) -> None:
    layer = context.make(dtype=policy)
    values = context.call(layer)
    for weight in layer.trainable_weights:
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"
    for value in _leaves(values):
        if _is_float(value):
            dtype = keras.backend.standardize_dtype(value.dtype)
            assert dtype == (output_dtype or layer.compute_dtype), f"{policy}: output is {dtype}"
            finite = np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(value, "float32")))
            assert finite.all(), f"{policy}: NaN or infinity"


def _check_padding(
    context, mask_argument, time_arguments, output_time_axis, zero_at_padding, rtol, atol
) -> None:
    layer = context.make()
    mask = context.inputs[mask_argument]
    lengths = mask.sum(axis=1)
    assert (np.arange(mask.shape[1])[None] < lengths[:, None]).astype(bool).tolist() == (
        mask.astype(bool).tolist()
    ), "the contract's mask must be right-padded"
    assert len(set(lengths.tolist())) > 1, "give rows of different lengths"
    rng = np.random.default_rng(1)
    batch = dict(context.inputs)
    for name, axis in time_arguments.items():
        if name == mask_argument:
            continue
        # What stands in padding must not matter, so it is replaced by something else.
        value = np.moveaxis(np.array(batch[name]), axis, 1)
        junk = rng.permutation(value.reshape(-1)).reshape(value.shape)
        if np.issubdtype(value.dtype, np.floating):
            junk = junk * 50
        keep = mask.astype(bool).reshape(mask.shape + (1,) * (value.ndim - 2))
        batch[name] = np.moveaxis(np.where(keep, value, junk).astype(value.dtype), 1, axis)
    whole = _numpy(context.call(layer, batch))
    for row, length in enumerate(lengths):
        alone = {}
        for name, value in context.inputs.items():
            value = value[row : row + 1]
            if name in time_arguments:
                value = np.take(value, np.arange(length), axis=time_arguments[name])
            alone[name] = value
        for together, single in zip(whole, _numpy(context.call(layer, alone)), strict=True):
            together = together[row : row + 1]
            if output_time_axis is not None and together.ndim > output_time_axis:
                steps = together.shape[output_time_axis]
                padding = np.take(together, np.arange(length, steps), axis=output_time_axis)
                together = np.take(together, np.arange(length), axis=output_time_axis)
                if zero_at_padding:
                    assert not padding.any(), "padded steps are not exactly zero"
            np.testing.assert_allclose(together, single, rtol=rtol, atol=atol)


def _check_reload(context: _Context, model: keras.Model) -> None:
    before = _numpy(model(_tensors(context.inputs), training=False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        reloaded = keras.saving.load_model(path)
    after = _numpy(reloaded(_tensors(context.inputs), training=False))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def _tensors(inputs: Arrays) -> dict[str, Any]:
    return {name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()}


def _check_saved_model(context: _Context, model: keras.Model, rtol: float, atol: float) -> None:
    import tensorflow as tf

    before = _numpy(model(_tensors(context.inputs), training=False))
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        artefact = tf.saved_model.load(folder)
        after = _numpy(artefact.serve(_tensors(context.inputs)))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(old, new, rtol=rtol, atol=atol)
