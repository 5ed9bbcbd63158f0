"""Rows with gaps or padding on the left, as rows that are padded on the right."""

from collections.abc import Callable
from typing import Any

from keras import ops

from kerasseq.layers._checks import is_float

Move = Callable[[Any, Any], Any]


class Packing:
    """Brings the valid steps of each row to its front, and back.

    What runs over a sequence may then take padding to be on the right, and one step to be there.
    Where that is so already, which is seen while the call runs, nothing is moved.

    Args:
        mask: bool `[batch, time]`; time may be 0.

    Attributes:
        mask: bool `[batch, time]` of the packed rows, time being 1 at least.
    """

    def __init__(self, mask: Any) -> None:
        self._given = mask
        self.mask = _packed(mask)

    def pack(self, values: Any) -> Any:
        """`[batch, time, ...]` with the valid steps first."""
        return _move(values, self._given, _to_front, _to_place)

    def unpack(self, values: Any) -> Any:
        """What `pack` moved, at its own place, and zeros at padding."""
        return _move(values, self._given, _to_place, _to_front)


def _packed(mask: Any) -> Any:
    """The mask of packed rows."""
    time = mask.shape[1] or ops.maximum(ops.shape(mask)[1], 1)
    return ops.arange(time, dtype="int32") < ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)


def _move(values: Any, mask: Any, there: Move, back: Move) -> Any:
    """`there(values, mask)`, whose gradient is moved back: XLA compiles no gradient of a condition,
    and that of a lookup would be a scattering."""
    if not is_float(values):
        return _moved(values, mask, there)

    # The mask goes in as floats: jax wants no other argument here, and no value from outside.
    @ops.custom_gradient
    def both(values: Any, weight: Any) -> Any:
        mask = weight > 0.5

        def grad(*args: Any, upstream: Any = None) -> Any:
            given = args[0] if upstream is None else upstream
            return _moved(given, mask, back), ops.zeros_like(weight)

        return _moved(values, mask, there), grad

    return both(values, ops.cast(mask, "float32"))


def _moved(values: Any, mask: Any, move: Move) -> Any:
    if mask.shape[1] == 0:
        return move(values, mask)
    packed = _packed(mask)
    time = ops.shape(mask)[1]
    in_place = ops.all(ops.equal(mask, packed[:, :time]))
    if mask.shape[1] is None:
        in_place = ops.logical_and(in_place, time > 0)
    found = ops.cond(in_place, lambda: values, lambda: move(values, mask))
    # A converter to another format may not see the rank behind a condition.
    return found if 0 in found.shape else ops.reshape(found, ops.shape(found))


def _to_front(values: Any, mask: Any) -> Any:
    time = ops.shape(mask)[1]
    steps = ops.arange(time, dtype="int32")
    # no two are equal, so that the order needs no stable sort
    taken = _take_steps(values, ops.argsort(ops.where(mask, steps, steps + time)))
    if mask.shape[1]:
        return taken
    missing = ops.maximum(1 - time, 0)  # a step of zeros where there is none
    return ops.pad(taken, [[0, 0], [0, missing], *[[0, 0]] * (len(values.shape) - 2)])


def _to_place(values: Any, mask: Any) -> Any:
    if mask.shape[1] == 0:
        return values[:, :0]
    place = ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1
    taken = _take_steps(values, ops.maximum(place, 0))
    return ops.where(_trailing(mask, values), taken, ops.zeros_like(taken))


def _take_steps(values: Any, steps: Any) -> Any:
    """`values[b, steps[b, t]]`, for values of two axes or more."""
    # not ops.take_along_axis, which fails where there is neither a row nor a step
    rows, time = ops.shape(values)[:2]
    flat = ops.reshape(values, (-1, *ops.shape(values)[2:]))
    starts = ops.arange(rows, dtype="int32")[:, None] * time
    taken = ops.take(flat, starts + ops.cast(steps, "int32"), axis=0)
    # jax leaves an axis out where there is no row
    return ops.reshape(taken, (*ops.shape(steps), *ops.shape(values)[2:]))


def _trailing(steps: Any, values: Any) -> Any:
    """`[batch, time]` with as many axes as `values`."""
    return ops.reshape(steps, (*ops.shape(steps), *[1] * (len(values.shape) - 2)))
