"""One layer of a `RecurrentStack`, in all its directions, by the kernel that was chosen."""

from typing import Any

import keras
from keras import ops

from kerasseq.kernels.scan import scan
from kerasseq.layers._kernel_choice import KernelChoice
from kerasseq.layers.recurrent_cell import RecurrentCell


def run_layer(
    stack: Any,
    choice: KernelChoice,
    cells: list[Any],
    inputs: Any,
    mask: Any,
    states: list[list[Any]],
    training: bool | None,
) -> tuple[Any, list[list[Any]]]:
    """One layer, all directions: its output, zero at padded steps, and final states."""
    if choice.name == "loop":
        results = [
            _loop(cell, inputs, mask, begin, bool(direction), training)
            for direction, (cell, begin) in enumerate(zip(cells, states, strict=True))
        ]
        outputs, finals = [r[0] for r in results], [r[1] for r in results]
    else:
        outputs, finals = _fused(stack, choice, cells, inputs, mask, states, training)
    joined = ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]
    if mask is not None:
        joined = ops.where(mask[..., None], joined, ops.zeros_like(joined))
    return joined, finals


def _fused(
    stack: Any,
    choice: KernelChoice,
    cells: list[Any],
    inputs: Any,
    mask: Any,
    states: list[list[Any]],
    training: bool | None,
) -> tuple[list[Any], list[list[Any]]]:
    """One layer by a kernel that runs whole sequences."""
    from kerasseq.kernels.closed_form import Direction
    from kerasseq.kernels.closed_form import run_layer as run_closed_form

    dtype = stack.compute_dtype
    if choice.name == "closed_form" and dtype == "bfloat16":
        dtype = "float32"  # 8 bits of mantissa are few for a state that sums over many steps
    directions = []
    for index, (cell, begin) in enumerate(zip(cells, states, strict=True)):
        noise = cell.draw_noise(ops.shape(inputs)[0], training, dtype)
        recurrent = cell.recurrent_kernel if noise is None else noise.recurrent_kernel
        weights = [
            ops.cast(ops.convert_to_tensor(weight), dtype)
            for weight in (cell.kernel, recurrent, _bias(cell))
        ]
        state_mask = None if noise is None else noise.state_mask
        initial = [ops.cast(state, dtype) for state in begin]
        directions.append(Direction(tuple(weights), initial, state_mask, index == 1))
    if choice.name == "cudnn":
        from kerasseq.kernels.cudnn import run_layer as run_cudnn

        return run_cudnn(stack.cell, inputs, mask, directions)
    return run_closed_form(
        stack.cell,
        inputs,
        mask,
        directions,
        final_states=stack.return_state,
        reset_after=stack.reset_after,
        training=bool(training),
        xla=choice.xla and bool(training),
    )


def _bias(cell: Any) -> Any:
    return ops.zeros(cell.bias_shape) if cell.bias is None else cell.bias


def _loop(
    cell: Any,
    inputs: Any,
    mask: Any,
    states: list[Any],
    reverse: bool,
    training: bool | None,
) -> tuple[Any, list[Any]]:
    """One direction, step by step, by the cell's own equations."""
    own = isinstance(cell, RecurrentCell)
    if not own:
        _reset_dropout(cell)
        # Keras' simple cell draws its masks even where it does not use them.
        if training or isinstance(cell, keras.layers.SimpleRNNCell):
            _draw_dropout(cell, ops.sum(inputs, axis=1), states[0])
    steps = [ops.transpose(cell.project(inputs) if own else inputs, (1, 0, 2))]
    if mask is not None:
        steps.append(ops.transpose(mask)[..., None])
    noise, zoneout = None, None
    if own:
        shape = ops.shape(inputs)
        noise = cell.draw_noise(shape[0], training)
        zoneout = cell.draw_zoneout((shape[1], shape[0], cell.units), training)
        steps.extend(zoneout or [])

    def step(old: list[Any], now: list[Any]) -> list[Any]:
        if own:
            keep = now[len(now) - len(zoneout) :] if zoneout else None
            new = cell.zone(cell.step(now[0], old, noise), old, keep)
        else:  # whose output may be none of its states
            written, new = cell(now[0], old[1:], training=training)
            new = [written, *(new if isinstance(new, list | tuple) else [new])]
        if mask is not None:
            new = [ops.where(now[1], n, o) for n, o in zip(new, old, strict=True)]
        return new

    if not own:
        states = [ops.zeros_like(states[0]), *states]
    outputs, final = scan(step, states, steps, reverse)
    if not own:
        _reset_dropout(cell)
        final = final[1:]
    return ops.transpose(outputs, (1, 0, 2)), final


def _draw_dropout(cell: Any, inputs: Any, state: Any) -> None:
    """Draw the masks that a Keras cell keeps for a sequence, before the loop that reads them."""
    for name, like in (("get_dropout_mask", inputs), ("get_recurrent_dropout_mask", state)):
        if hasattr(cell, name):
            getattr(cell, name)(like)


def _reset_dropout(cell: Any) -> None:
    """Have a Keras cell forget its masks: each sequence has its own, as each graph has."""
    for name in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
        if hasattr(cell, name):
            getattr(cell, name)()
