"""What the layer contract asks at the edges: no rows, one step, no step, gaps, float64."""

import inspect

import keras
import numpy as np

from kerasseq import compat


def check_sizes(context, time_arguments) -> list[str]:
    """Batches without rows, sequences of one step and of none, with and without masks: outputs of
    those sizes, finite, and gradients of finite numbers, on TensorFlow in a graph of free sizes
    too."""
    every = context.inputs
    named = inspect.signature(context.layer_class.call).parameters
    masks = [name for name in every if name.endswith("mask") and named[name].default is None]
    for left_out in [(), masks] if masks and len(masks) < len(every) else [()]:
        context.inputs = {name: value for name, value in every.items() if name not in left_out}
        _check_sizes(context, time_arguments, graph=not left_out)
    context.inputs = every
    return ["no rows", "one step", "no step"]


def _check_sizes(context, time_arguments, graph) -> None:
    axes = time_arguments or {
        name: 1 for name, value in context.inputs.items() if value.ndim > 1 and not is_vector(value)
    }
    layer = context.make()
    whole = _shapes(context.call(layer))
    on_tensorflow = keras.backend.backend() == "tensorflow"
    calls = _gradients(context, layer, graph) if on_tensorflow else []
    for name, rows, steps in (
        ("no rows", 0, None), ("one step", None, 1), ("no step", None, 0), ("nothing", 0, 0)
    ):  # fmt: skip
        cut = {key: value[:rows] for key, value in context.inputs.items()}
        if steps is not None:
            cut = {key: np.take(value, np.arange(steps), axis=axes[key]) if key in axes else value
                   for key, value in cut.items()}  # fmt: skip
        found = context.call(layer, cut)
        for leaf, shape in zip(keras.tree.flatten(found), whole, strict=True):
            assert np.isfinite(_float64(leaf)).all(), f"{name}: NaN or infinity"
            assert leaf.shape[0] == (shape[0] if rows is None else rows), f"{name}: {leaf.shape}"
        for call in calls:
            for leaf in call(cut):
                assert np.isfinite(_float64(leaf)).all(), f"{name}: a gradient is not finite"


def _gradients(context, layer, graph):
    """Outputs and gradients of given arrays, eagerly and, if it is wanted, in one graph."""
    import tensorflow as tf

    def gradients(**tensors):
        with tf.GradientTape() as tape:
            floats = [value for value in tensors.values() if value.dtype.is_floating]
            tape.watch(floats)
            outputs = keras.tree.flatten(context.call(layer, tensors))
            scores = [leaf for leaf in outputs if leaf.dtype.is_floating]
            total = sum(tf.reduce_sum(leaf) for leaf in scores)
        if not scores:
            return outputs
        sources = [*floats, *(weight.value for weight in layer.trainable_weights)]
        slopes = [slope for slope in tape.gradient(total, sources) if slope is not None]
        dense = [s.values if isinstance(s, tf.IndexedSlices) else s for s in slopes]
        return [*outputs, *dense]

    def tensors(arrays):
        return {name: tf.constant(value) for name, value in arrays.items()}

    calls = [lambda arrays: gradients(**tensors(arrays))]
    if graph:
        one = tf.function(gradients).get_concrete_function(**_signature(context.inputs))
        calls.append(lambda arrays: one(**tensors(arrays)))
    return calls


def _signature(inputs):
    import tensorflow as tf

    return {
        name: tf.TensorSpec(
            [None if i == 0 or (i == 1 and not is_vector(value)) else size
             for i, size in enumerate(value.shape)], value.dtype,
        )
        for name, value in inputs.items()
    }  # fmt: skip


def is_vector(value) -> bool:
    """Whether an array is one vector a row, which has no time."""
    return value.ndim == 2 and np.issubdtype(value.dtype, np.floating)


def check_gaps(context, mask_argument, time_arguments, output_time_axis, rtol, atol) -> list[str]:
    """Padding on the left, and rows with gaps, give what the same steps give side by side; in a
    graph too."""
    mask = np.asarray(context.inputs[mask_argument])
    layer = context.make()
    straight = [_float64(leaf) for leaf in keras.tree.flatten(context.call(layer))]
    random = np.random.default_rng(2)
    time = mask.shape[1] + 2
    calls = [lambda arrays: context.call(layer, arrays)]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        graph = tf.function(lambda **tensors: context.call(layer, tensors))
        graph = graph.get_concrete_function(**_signature(context.inputs))
        calls.append(
            lambda arrays: graph(**{name: tf.constant(value) for name, value in arrays.items()})
        )
    for kind in ("left", "gaps"):
        places = [
            np.arange(time - n, time) if kind == "left" else _drawn(random, time, n)
            for n in mask.sum(1)
        ]
        spread = {name: _spread(value, places, time_arguments.get(name), time)
                  for name, value in context.inputs.items()}  # fmt: skip
        spread[mask_argument] = np.zeros((len(mask), time), bool)
        for row, at in enumerate(places):
            spread[mask_argument][row, at] = True
        for call in calls:
            for found, wanted in zip(keras.tree.flatten(call(spread)), straight, strict=True):
                for row, at in enumerate(places):
                    one, other = _float64(found)[row], wanted[row]
                    if output_time_axis is not None and one.ndim >= output_time_axis:
                        one = np.take(one, at, axis=output_time_axis - 1)
                        other = np.take(other, np.arange(len(at)), axis=output_time_axis - 1)
                    np.testing.assert_allclose(one, other, rtol=rtol, atol=atol, err_msg=kind)
    return ["gaps"]


def _drawn(random, time, count):
    return np.sort(random.choice(time, count, replace=False))


def _spread(value, places, axis, time):
    """A row's steps at other places; what lies between is junk."""
    if axis is None:
        return value
    value = np.moveaxis(value, axis, 1)
    made = np.resize(value[::-1], (len(value), time, *value.shape[2:])).astype(value.dtype)
    for row, at in enumerate(places):
        made[row, at] = value[row, : len(at)]
    return np.moveaxis(made, 1, axis)


def check_implicit_mask(context, mask_argument) -> list[str]:
    """A mask that is attached to the layer's input counts as one that is given, which wins; it is
    passed on where the output has the input's steps."""
    layer = context.make()
    rest = {k: keras.ops.convert_to_tensor(v) for k, v in context.inputs.items()}
    mask = rest.pop(mask_argument)
    source = layer.mask_sources.get(mask_argument, next(iter(rest)))
    explicit = context.call(layer, {**rest, mask_argument: mask})
    compat.attach_mask(rest[source], mask)
    implicit = context.call(layer, rest)
    other = keras.ops.ones_like(mask)
    both = context.call(layer, {**rest, mask_argument: other})
    compat.attach_mask(rest[source], None)
    alone = context.call(layer, {**rest, mask_argument: other})
    for first, second in ((explicit, implicit), (both, alone)):
        for a, b in zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True):
            np.testing.assert_array_equal(_float64(a), _float64(b))
    return ["implicit mask"]


def check_float64(context) -> list[str]:
    """float64 throughout: the numbers have more digits than float32 holds."""
    layer = context.make(dtype="float64")
    inputs = {name: value.astype("float64") * (1 + 2.0**-40) if value.dtype == "float32" else value
              for name, value in context.inputs.items()}  # fmt: skip
    for leaf in keras.tree.flatten(context.call(layer, inputs)):
        if "float" in keras.backend.standardize_dtype(leaf.dtype):
            assert keras.backend.standardize_dtype(leaf.dtype) == "float64"
            values = _float64(leaf)
            exact = (values == np.round(values)).all()
            assert exact or (values != values.astype("float32")).any(), "computed in float32"
    return ["float64"]


def _shapes(structure):
    return [tuple(leaf.shape) for leaf in keras.tree.flatten(structure)]


def _float64(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor).astype("float64")
