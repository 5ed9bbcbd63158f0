"""The k best tag sequences of a linear-chain CRF (list Viterbi)."""

from typing import Any

from keras import ops

from kerasseq.layers._crf_ops import first_steps
from kerasseq.layers._masked import masked_max
from kerasseq.layers._packing import Packing

# What does not exist; its sums with other scores stay below _THERE.
_NONE = -1e30
_THERE = -1e29


def best_paths(
    emissions: Any, transitions: Any, start: Any, end: Any, mask: Any, count: int
) -> tuple[Any, Any]:
    """The `count` most probable tag sequences ([Seshadri & Sundberg,
    1994](https://doi.org/10.1109/26.275303)), the best first, int32 `[B, count, T]`, 0 at padding,
    and which of them exist, bool `[B, count]`.

    At each step each tag keeps the `count` best ways to it: from which tag, and which of its ways.
    """
    packing = Packing(mask)
    emissions, mask = packing.pack(emissions), packing.mask
    size = transitions.shape[0]
    ways = size * count
    best_of_one = ops.one_hot(0, count, dtype=emissions.dtype)  # a first step has one way
    begin = _NONE * (1.0 - best_of_one)

    def forward(carry: Any, packed: Any) -> Any:
        scores, _ = carry  # [B, ways], of tag i's way k at i * count + k
        emission, code = packed[:, :-1], packed[:, -1:]
        # [B, ways, N] to [B, N, ways]: all ways into each tag
        steps = ops.repeat(transitions, count, axis=0)
        moved = ops.transpose(scores[:, :, None] + steps[None], (0, 2, 1))
        values, places = ops.top_k(moved, count)
        values = ops.reshape(values + emission[..., None], (-1, ways))
        first = ops.reshape((start + emission)[..., None] + begin, (-1, ways))
        new = ops.where(code > 1.5, first, ops.where(code > 0.5, values, scores))
        places = ops.cast(ops.reshape(places, (-1, ways)), new.dtype)
        places = ops.where(code > 0.5, places, stay)
        best = masked_max(new, None, axis=-1, keepdims=True)
        new = ops.where(new > _THERE, new - best, _NONE)
        return (new, places), (new, places)

    stay = ops.cast(ops.arange(ways), emissions.dtype)[None]
    packed = first_steps(emissions, mask)
    none = ops.zeros_like(ops.repeat(ops.sum(emissions, axis=1), count, axis=-1))
    (scores, _), (_, pointers) = ops.scan(forward, (none, none), packed)

    final = scores + ops.repeat(end, count)[None]
    values, last = ops.top_k(final, count)

    def backward(way: Any, pointers: Any) -> Any:
        before = ops.take_along_axis(pointers, ops.cast(way, "int32"), axis=-1)
        return before, way

    last = ops.cast(last, emissions.dtype)
    _, found = ops.scan(backward, last, pointers, reverse=True)
    tags = ops.cast(ops.transpose(found, (1, 0, 2)), "int32") // count  # [B, T, count]
    tags = packing.unpack(ops.where(mask[..., None], tags, 0))
    # a row without a step has one sequence, the empty one
    any_step = ops.any(mask, axis=1, keepdims=True)
    there = ops.where(any_step, values > _THERE, best_of_one > 0.5)
    return ops.swapaxes(ops.where(there[:, None], tags, 0), 1, 2), there
