"""Rows with gaps or padding on the left, as rows that are padded on the right."""

from collections.abc import Callable
from typing import Any

from keras import ops

from kerasseq.layers._checks import is_float

Move = Callable[[Any], Any]


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
        self._time = ops.shape(mask)[1]
        time = self._time if mask.shape[1] else ops.maximum(self._time, 1)
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
        self.mask = ops.arange(time) < lengths
        self._in_place = ops.all(ops.equal(mask, self.mask[:, : self._time]))
        if not mask.shape[1]:
            self._in_place = ops.logical_and(self._in_place, ops.equal(self._time, time))

    def pack(self, values: Any) -> Any:
        """`[batch, time, ...]` with the valid steps first."""
        return self._move(values, self._pack, self._unpack)

    def unpack(self, values: Any) -> Any:
        """What `pack` moved, at its own place, and zeros at padding."""
        return self._move(values, self._unpack, self._pack)

    def _move(self, values: Any, there: Move, back: Move) -> Any:
        """`there(values)`, whose gradient is moved back: XLA compiles no gradient of a condition,
        and that of a lookup would be a scattering."""

        def moved(values: Any, move: Move) -> Any:
            found = ops.cond(self._in_place, lambda: values, lambda: move(values))
            return found if 0 in found.shape else ops.reshape(found, ops.shape(found))

        if not is_float(values):
            return moved(values, there)

        @ops.custom_gradient
        def both(values: Any) -> Any:
            def grad(*args: Any, upstream: Any = None) -> Any:
                return moved(args[0] if upstream is None else upstream, back)

            return moved(values, there), grad

        return both(values)

    def _pack(self, values: Any) -> Any:
        steps = ops.arange(self._time)
        # no two are equal, so that the order needs no stable sort
        order = ops.argsort(ops.where(self._given, steps, steps + self._time))
        return self._one_step(_take_steps(values, order))

    def _unpack(self, values: Any) -> Any:
        place = ops.cumsum(ops.cast(self._given, "int32"), axis=1) - 1
        taken = _take_steps(values, ops.maximum(place, 0))
        return ops.where(_trailing(self._given, values), taken, ops.zeros_like(taken))

    def _one_step(self, values: Any) -> Any:
        """With a step of zeros where there is none."""
        if self._given.shape[1]:
            return values
        missing = ops.maximum(1 - self._time, 0)
        return ops.pad(values, [[0, 0], [0, missing], *[[0, 0]] * (len(values.shape) - 2)])


def _take_steps(values: Any, steps: Any) -> Any:
    """`values[b, steps[b, t]]`, for values of two axes or more."""
    return ops.take_along_axis(values, _trailing(steps, values), axis=1)


def _trailing(steps: Any, values: Any) -> Any:
    """`[batch, time]` with as many axes as `values`."""
    return ops.reshape(steps, (*ops.shape(steps), *[1] * (len(values.shape) - 2)))
