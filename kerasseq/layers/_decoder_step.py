"""One step of an `AttentionDecoder`, as a function of the state."""

from collections.abc import Callable
from typing import Any

from keras import ops

from kerasseq.kernels.step_products import product
from kerasseq.layers._precision import widen

State = dict[str, Any]
Memory = dict[str, Any]


def advance(
    decoder: Any,
    state: State,
    project: Callable[[list[Any]], Any],
    memory: Memory,
    drops: list[Any] | None = None,
) -> tuple[State, Any]:
    """The next state (its `fed` is `o_t`) and the attention weights.

    Args:
        decoder: the layer.
        state: of the step before; it is not changed.
        project: gives the first cell's input product, of the embeddings and these tensors.
        memory: of the source.
        drops: for each gap between layers what its states are multiplied by; `None`: nothing.
    """
    own = decoder.recurrent.states_per_cell
    inputs, context, weights = [], None, None
    if decoder.input_feeding:
        inputs.append(state["fed"])
    if decoder.attend == "before":
        context, weights = _look(decoder, state["recurrent"][-own], state, memory)
        inputs.append(context)
    projected = project(inputs)
    recurrent: list[Any] = []
    for layer, cell in enumerate(decoder.recurrent.cells):
        old = state["recurrent"][layer * own : (layer + 1) * own]
        if layer > 0:
            below = recurrent[-own] if drops is None else recurrent[-own] * drops[layer - 1]
            projected = cell.project(below)
        recurrent.extend(computed(decoder, new) for new in cell.step(projected, old, None))
    top = recurrent[-own]
    if decoder.attend == "after":
        context, weights = _look(decoder, top, state, memory)
    both = ops.concatenate([top, context], axis=-1)
    combine = decoder.combine
    fed = computed(decoder, ops.tanh(product(both, combine.kernel) + combine.bias))
    new = {"recurrent": recurrent, "fed": fed, "position": state["position"] + 1}
    if decoder.attention.coverage:
        new["coverage"] = state["coverage"] + widen(weights)
    return new, weights


def _look(decoder: Any, query: Any, state: State, memory: Memory) -> tuple[Any, Any]:
    """Context and weights of a query `[batch, units]`."""
    context, weights = decoder.attention.step(
        query,
        memory["keys"],
        memory["values"],
        mask=memory.get("mask"),
        position=state["position"],
        coverage=state.get("coverage"),
    )
    return computed(decoder, context), computed(decoder, weights)


def computed(layer: Any, value: Any) -> Any:
    """The value in the layer's compute dtype.

    A step outside the layer's call has no autocast, and a loop wants stable dtypes.
    """
    return ops.cast(value, layer.compute_dtype)
