"""An `AttentionDecoder` over a sequence, step by step: each step needs the one before."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kerasseq.kernels.scan import scan
from kerasseq.kernels.step_products import product
from kerasseq.layers._decoder_step import Memory, State, advance, computed


def run_in_turn(
    decoder: Any,
    tokens: Any,
    state: State,
    memory: Memory,
    training: bool | None,
    sampling_rate: Any,
) -> tuple[Any, Any]:
    """`o` before dropout `[batch, time, units]`, and the attention weights.

    What needs no earlier output is computed for all steps beforehand.
    """
    steps, embedded_part = _inputs(decoder, tokens, training, sampling_rate)
    drops = _draw_dropout(decoder, ops.shape(tokens)[0], training)
    fed_kernel = _kernel_part(decoder, slice(decoder.embedding.embedding_dim, None))
    coverage = decoder.attention.coverage

    def step(carry: list[Any], now: list[Any]) -> list[Any]:
        state = _unpack(carry, coverage)
        embedded = embedded_part(state, now)

        def project(inputs: list[Any]) -> Any:
            if not inputs:
                return embedded
            return embedded + product(ops.concatenate(inputs, axis=-1), fed_kernel)

        return _pack(*advance(decoder, state, project, memory, drops))

    start = _pack(state, ops.zeros_like(memory["values"][..., 0]))
    in_time = [ops.swapaxes(values, 0, 1) for values in steps]
    kernels = _kernels(decoder, fed_kernel) if training else ()
    outputs, _ = scan(step, start, in_time, kernels=kernels)
    outputs = ops.transpose(outputs, (1, 0, 2))
    units = decoder.units
    hidden = ops.reshape(outputs[..., :units], (*ops.shape(outputs)[:2], units))
    return hidden, outputs[..., units:]


def _pack(state: State, weights: Any) -> list[Any]:
    """What a step hands to the next; the first is what it puts out, `o` beside the weights."""
    both = ops.concatenate([state["fed"], weights], axis=-1)
    more = [state["coverage"]] if "coverage" in state else []
    return [both, state["fed"], *state["recurrent"], state["position"], *more]


def _unpack(carry: list[Any], coverage: bool) -> State:
    """The state that was packed."""
    _, fed, *rest = carry
    more = {"coverage": rest.pop()} if coverage else {}
    *recurrent, position = rest
    return {"fed": fed, "recurrent": recurrent, "position": position, **more}


def _kernels(decoder: Any, fed_kernel: Any) -> list[Any]:
    """All matrices by which a step multiplies."""
    cells = decoder.recurrent.cells
    return [
        *([fed_kernel] if fed_kernel.shape[0] else []),
        *(cell.recurrent_kernel for cell in cells),
        *(cell.kernel for cell in cells[1:]),
        *decoder.attention.query_kernels,
        decoder.combine.kernel,
    ]


def _inputs(
    decoder: Any, tokens: Any, training: bool | None, sampling_rate: Any
) -> tuple[list[Any], Callable[[State, list[Any]], Any]]:
    """What the loop reads, `[batch, time, ...]`, and how a step makes its input of that.

    Made is the embeddings' part of the first cell's input product.
    """
    embedding = decoder.embedding
    if sampling_rate is None:
        embedded = decoder.embedding_dropout(embedding.embed(tokens), training=training)
        return [_project_embedded(decoder, embedded)], lambda state, now: now[0]
    shape = ops.shape(tokens)
    random = keras.random.uniform(shape, seed=decoder.seed_generator)
    # the first step reads the begin of the sequence, whatever the rate
    rate = ops.cast(sampling_rate, random.dtype)  # a call in half precision has cast it
    own = ops.logical_and(random < rate, ops.arange(shape[1], dtype="int32") > 0)
    ones = ops.ones((*shape, embedding.embedding_dim), dtype=decoder.compute_dtype)
    kept = decoder.embedding_dropout(ones, training=training)

    def project(state: State, now: list[Any]) -> Any:
        # cut from a tensor with the attention, whose length a graph may not know
        fed = ops.reshape(state["fed"], (-1, decoder.units))
        likeliest = ops.argmax(embedding.project(fed), axis=-1)
        read = ops.where(now[0], ops.cast(likeliest, "int32"), now[1])
        return _project_embedded(decoder, computed(decoder, embedding.embed(read)) * now[2])

    return [own, ops.cast(tokens, "int32"), kept], project


def _draw_dropout(decoder: Any, batch: Any, training: bool | None) -> list[Any] | None:
    """One mask a sequence for each gap between layers, drawn before the loop."""
    if not training or not decoder.dropout:
        return None
    ones = ops.ones((batch, decoder.units), dtype=decoder.compute_dtype)
    return [
        keras.random.dropout(ones, decoder.dropout, seed=decoder.seed_generator)
        for _ in range(decoder.num_layers - 1)
    ]


def _project_embedded(decoder: Any, embedded: Any) -> Any:
    """The part of the first cell's input product that the embeddings make."""
    kernel = _kernel_part(decoder, slice(decoder.embedding.embedding_dim))
    bias = computed(decoder, decoder.recurrent.cells[0].input_bias())
    return ops.matmul(computed(decoder, embedded), kernel) + bias


def _kernel_part(decoder: Any, rows: slice) -> Any:
    """Some rows of the first cell's kernel."""
    return computed(decoder, ops.copy(decoder.recurrent.cells[0].kernel))[rows]
