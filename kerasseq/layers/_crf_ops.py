"""The dynamic programs of a linear-chain CRF, as functions of the potentials.

Shapes: `emissions` [B, T, N], `transitions` [N, N] (from, to), `start` and `end` [N], `mask`
bool [B, T], of which the functions without an underscore take any: the valid steps of a row are
neighbours. Messages are kept relative to their maximum at every step, so that a
sequence of any length loses no precision; what was taken off is summed beside them.
"""

from typing import Any

from keras import ops

from kerasseq.layers._masked import masked_max
from kerasseq.layers._packing import Packing

# Relative sums below this may have lost terms to float32's range and are redone in log space.
_TINY = 1e-30
# From this many tags on, one matrix product a step beats the [B, N, N] sum of exponentials.
_MATMUL_TAGS = 8
_CHUNK_CELLS = 1 << 19


def log_likelihood(
    emissions: Any, transitions: Any, start: Any, end: Any, mask: Any, tags: Any
) -> Any:
    """`log p(tags | emissions)`, [B]; 0 for a row without a valid step."""
    packing = Packing(mask)
    emissions, tags, mask = packing.pack(emissions), packing.pack(tags), packing.mask
    gold = _gold_terms(emissions, transitions, start, end, mask, tags)
    return _gold_minus_partition(emissions, transitions, start, end, mask, gold)


def partial_log_likelihood(
    emissions: Any, transitions: Any, start: Any, end: Any, mask: Any, tags: Any, unknown: int
) -> Any:
    """`log p` of all sequences that agree with `tags` where these are not `unknown`, [B]
    ([Tsuboi et al., 2008](https://aclanthology.org/C08-1113/))."""
    size = transitions.shape[0]
    free = ops.equal(tags, unknown)
    gold = ops.one_hot(ops.where(free, 0, tags), size, dtype="bool")
    allowed = ops.logical_or(free[..., None], gold)
    agreeing = ops.where(allowed, emissions, ops.cast(-1e30, emissions.dtype))
    return log_partition(agreeing, transitions, start, end, mask) - log_partition(
        emissions, transitions, start, end, mask
    )


def log_partition(emissions: Any, transitions: Any, start: Any, end: Any, mask: Any) -> Any:
    """`log sum_y exp(score(y))`, [B]; 0 for a row without a valid step."""
    packing = Packing(mask)
    emissions, mask = packing.pack(emissions), packing.mask
    gold = ops.zeros_like(emissions[..., 0])
    return -_gold_minus_partition(emissions, transitions, start, end, mask, gold)


def sequence_score(
    emissions: Any, transitions: Any, start: Any, end: Any, mask: Any, tags: Any
) -> Any:
    """The unnormalised score of `tags`, [B]."""
    packing = Packing(mask)
    emissions, tags, mask = packing.pack(emissions), packing.pack(tags), packing.mask
    return ops.sum(_gold_terms(emissions, transitions, start, end, mask, tags), axis=1)


def marginals(emissions: Any, transitions: Any, start: Any, end: Any, mask: Any) -> Any:
    """`p(y_t = j | emissions)`, [B, T, N]; 0 at padding."""
    packing = Packing(mask)
    emissions, mask = packing.pack(emissions), packing.mask
    alphas, _, _ = _forward(emissions, transitions, start, mask)
    betas = _backward(emissions, transitions, end, mask)
    return packing.unpack(_node_marginals(alphas, betas, mask))


def viterbi(emissions: Any, transitions: Any, start: Any, end: Any, mask: Any) -> Any:
    """The most probable tags, int32 [B, T]; 0 at padding."""
    packing = Packing(mask)
    emissions, mask = packing.pack(emissions), packing.mask

    def forward(scores: Any, packed: Any) -> Any:
        emission, code = packed[:, :-1], packed[:, -1:]
        best = masked_max(scores[:, :, None] + transitions[None], None, axis=1) + emission
        new = ops.where(code > 1.5, start + emission, ops.where(code > 0.5, best, scores))
        new = new - masked_max(new, None, axis=-1, keepdims=True)
        return new, new

    packed = first_steps(emissions, mask)
    _, scores = ops.scan(forward, _no_message(emissions), packed)

    # Back pointers are not stored: the best predecessor is looked up again on the way back.
    into = ops.transpose(transitions)

    def backward(tag: Any, packed: Any) -> Any:
        scores, code = packed[:, :-1], packed[:, -1]
        moved = scores + ops.take(into, tag, axis=0)
        final = ops.where(code[:, None] > 1.5, scores + end, moved)
        best = ops.cast(ops.argmax(final, axis=-1), "int32")
        tag = ops.where(code > 0.5, best, tag)
        return tag, tag

    # Code of step t here: 2 at the last column, 1 where t + 1 is valid, 0 where it is padding.
    codes = ops.cast(mask, emissions.dtype)
    codes = ops.concatenate([codes[:, 1:], 2.0 * ops.ones_like(codes[:, :1])], axis=1)
    steps = ops.concatenate([scores, ops.transpose(codes)[..., None]], axis=-1)
    first = ops.cast(_no_message(emissions)[:, 0], "int32")
    _, tags = ops.scan(backward, first, steps, reverse=True)
    return packing.unpack(ops.where(mask, ops.transpose(tags), 0))


def _gold_terms(
    emissions: Any, transitions: Any, start: Any, end: Any, mask: Any, tags: Any
) -> Any:
    """What each step adds to the score of `tags`, [B, T]."""
    tags = ops.cast(tags, "int32")
    weight = ops.cast(mask, emissions.dtype)
    size = transitions.shape[0]
    emitted = ops.take_along_axis(emissions, tags[..., None], axis=-1)[..., 0]
    pairs = tags[:, :-1] * size + tags[:, 1:]
    moved = ops.take(ops.reshape(transitions, (-1,)), pairs, axis=0)
    entered = ops.concatenate([ops.take(start, tags[:, :1], axis=0), moved], axis=1)
    is_last = weight - ops.concatenate([weight[:, 1:], ops.zeros_like(weight[:, :1])], axis=1)
    return weight * (emitted + entered) + is_last * ops.take(end, tags, axis=0)


def _gold_minus_partition(
    emissions: Any, transitions: Any, start: Any, end: Any, mask: Any, gold: Any
) -> Any:
    """`sum_t gold_t - log Z`, with the gradient in closed form (expected counts).

    Gold and normaliser are subtracted step by step, so that the difference of two large sums
    is never formed. Without the closed form, autodiff would save every step of the scan.
    """

    @ops.custom_gradient
    def difference(
        emissions: Any, transitions: Any, start: Any, end: Any, weight: Any, gold: Any
    ) -> Any:
        valid = weight > 0.5
        alphas, shifts, final = _forward(emissions, transitions, start, valid)
        last = _log_sum_exp(final + end, axis=-1)
        terms = gold - shifts
        any_valid = ops.cast(ops.any(valid, axis=1), emissions.dtype)
        value = any_valid * (ops.sum(terms, axis=1) - last)

        def grad(*args: Any, upstream: Any = None) -> Any:
            if upstream is None:
                (upstream,) = args
            scale = upstream * any_valid
            # The two scans do not wait for each other: a graph runs them side by side.
            betas = _backward(emissions, transitions, end, valid)
            nodes = _node_marginals(alphas, betas, valid)
            moves = _expected_transitions(
                alphas, betas, emissions, transitions, scale[:, None] * weight[:, 1:]
            )
            is_last = weight - ops.pad(weight[:, 1:], ((0, 0), (0, 1)))
            first = ops.sum(nodes[:, :1], axis=1)
            final = ops.sum(nodes * is_last[..., None], axis=1)
            return (
                -scale[:, None, None] * nodes,
                -moves,
                -ops.sum(scale[:, None] * first, axis=0),
                -ops.sum(scale[:, None] * final, axis=0),
                ops.zeros_like(weight),
                ops.broadcast_to(scale[:, None], ops.shape(gold)),
            )

        return value, grad

    weight = ops.cast(mask, emissions.dtype)
    return difference(emissions, transitions, start, end, weight, gold)


def _forward(emissions: Any, transitions: Any, start: Any, mask: Any) -> tuple[Any, Any, Any]:
    """Normalised forward messages [B, T, N], what each step took off them [B, T], and the messages
    of the last step [B, N]."""
    send = _sender(transitions)

    def step(carry: Any, packed: Any) -> Any:
        alpha, _ = carry
        emission, code = packed[:, :-1], packed[:, -1:]
        moved = send(alpha) + emission
        new = ops.where(code > 1.5, start + emission, ops.where(code > 0.5, moved, alpha))
        shift = masked_max(new, None, axis=-1, keepdims=True)
        return (new - shift, shift), (new - shift, shift)

    packed = first_steps(emissions, mask)
    init = _no_message(emissions)
    (final, _), (alphas, shifts) = ops.scan(step, (init, init[:, :1]), packed)
    return ops.transpose(alphas, (1, 0, 2)), ops.transpose(shifts[..., 0]), final


def _backward(emissions: Any, transitions: Any, end: Any, mask: Any) -> Any:
    """Backward messages [B, T, N], each up to a constant."""
    send = _sender(ops.transpose(transitions))

    def step(beta: Any, packed: Any) -> Any:
        emission, code = packed[:, :-1], packed[:, -1:]
        moved = send(beta + emission)
        new = ops.where(code > 1.5, end, ops.where(code > 0.5, moved, beta))
        new = new - masked_max(new, None, axis=-1, keepdims=True)
        return new, new

    # Step t receives from t + 1; code 2 restarts from `end` at the last column.
    codes = ops.cast(mask, emissions.dtype)
    codes = ops.concatenate([codes[:, 1:], 2.0 * ops.ones_like(codes[:, :1])], axis=1)
    shifted = ops.concatenate([emissions[:, 1:], ops.zeros_like(emissions[:, :1])], axis=1)
    packed = _pack(shifted, codes)
    _, betas = ops.scan(step, _no_message(emissions), packed, reverse=True)
    return ops.transpose(betas, (1, 0, 2))


def _no_message(emissions: Any) -> Any:
    """Zeros [B, N], for sequences without a step too."""
    return ops.zeros_like(ops.sum(emissions, axis=1))


def _node_marginals(alphas: Any, betas: Any, mask: Any) -> Any:
    scores = alphas + betas
    nodes = ops.exp(scores - _log_sum_exp(scores, axis=-1)[..., None])
    return ops.where(mask[..., None], nodes, ops.zeros_like(nodes))


def _expected_transitions(
    alphas: Any, betas: Any, emissions: Any, transitions: Any, weights: Any
) -> Any:
    """`sum_{b,t} weights[b, t] p(y_t = i, y_{t+1} = j)`, [N, N]."""
    size = transitions.shape[0]
    source = ops.reshape(alphas[:, :-1], (-1, size))
    target = ops.reshape(betas[:, 1:] + emissions[:, 1:], (-1, size))
    weights = ops.reshape(weights, (-1,))
    target = target - masked_max(target, None, axis=-1, keepdims=True)
    moves = ops.exp(transitions - ops.max(transitions))
    left, right = ops.exp(source), ops.exp(target)
    total = ops.sum(ops.matmul(left, moves) * right, axis=-1)
    used = ops.where(weights == 0.0, ops.ones_like(total), total)

    def product() -> Any:
        scaled = right * (weights / ops.maximum(used, _TINY))[:, None]
        return moves * ops.matmul(ops.transpose(left), scaled)

    def exact() -> Any:
        return _expected_transitions_exact(source, target, transitions, weights)

    return ops.cond(ops.all(used > _TINY), product, exact)


def _expected_transitions_exact(source: Any, target: Any, transitions: Any, weights: Any) -> Any:
    """The same in log space, some rows at a time."""
    size = transitions.shape[0]
    rows = max(1, _CHUNK_CELLS // (size * size))
    count = ops.shape(weights)[0]
    padding = -count % rows
    source = ops.pad(source, ((0, padding), (0, 0)))
    target = ops.pad(target, ((0, padding), (0, 0)))
    weights = ops.pad(weights, ((0, padding),))

    def add(index: Any, total: Any) -> Any:
        at = index * rows
        left = ops.slice(source, (at, 0), (rows, size))
        right = ops.slice(target, (at, 0), (rows, size))
        weight = ops.slice(weights, (at,), (rows,))
        pairs = left[:, :, None] + transitions[None] + right[:, None, :]
        pairs = ops.reshape(pairs, (rows, size * size))
        pairs = ops.exp(pairs - _log_sum_exp(pairs, axis=-1)[:, None])
        return total + ops.reshape(ops.matmul(weight[None], pairs), (size, size))

    return ops.fori_loop(0, (count + padding) // rows, add, ops.zeros_like(transitions))


def _sender(transitions: Any) -> Any:
    """`message -> log sum_i exp(message_i + transitions_ij)`, exact for every range of values."""

    def exact(message: Any) -> Any:
        return _log_sum_exp(message[:, :, None] + transitions[None], axis=1)

    if transitions.shape[0] < _MATMUL_TAGS:
        return exact
    ceiling = ops.max(transitions, axis=0)
    moves = ops.exp(transitions - ceiling)

    def send(message: Any) -> Any:
        shift = masked_max(message, None, axis=-1, keepdims=True)
        sums = ops.matmul(ops.exp(message - shift), moves)

        def product() -> Any:
            return ops.log(ops.maximum(sums, _TINY)) + shift + ceiling

        return ops.cond(ops.all(sums > _TINY), product, lambda: exact(message))

    return send


def _log_sum_exp(values: Any, axis: int) -> Any:
    top = masked_max(values, None, axis=axis, keepdims=True)
    return ops.squeeze(top, axis) + ops.log(ops.sum(ops.exp(values - top), axis=axis))


def first_steps(emissions: Any, mask: Any) -> Any:
    """What a forward scan reads, [T, B, N + 1]: emissions, and a code: 2 at the first step, 1 at
    further valid ones, 0 at padding."""
    codes = ops.cast(mask, emissions.dtype)
    codes = ops.concatenate([2.0 * codes[:, :1], codes[:, 1:]], axis=1)
    return _pack(emissions, codes)


def _pack(values: Any, codes: Any) -> Any:
    """`[T, B, N + 1]`: ops.scan takes one array only where the length is dynamic (Keras 3.15)."""
    packed = ops.concatenate([values, codes[..., None]], axis=-1)
    return ops.transpose(packed, (1, 0, 2))


def pack_potentials(emissions: Any, transitions: Any, start: Any, end: Any, mask: Any) -> Any:
    """All potentials in one tensor [B, T + N + 2, N + 1]: a loss needs nothing but `y_pred`.

    Rows: T of emissions, N of transitions, `start`, `end`; the last column is the mask.
    """
    weight = ops.cast(mask, emissions.dtype)[..., None]
    steps = ops.concatenate([emissions, weight], axis=-1)
    shared = ops.concatenate([transitions, start[None], end[None]], axis=0)
    shared = ops.pad(shared, ((0, 0), (0, 1)))[None]
    # The batch size is read off the data, for it is not known while a graph is traced.
    rows = ops.zeros_like(ops.sum(steps, axis=1, keepdims=True))
    return ops.concatenate([steps, shared + rows], axis=1)


def unpack_potentials(packed: Any) -> tuple[Any, Any, Any, Any, Any]:
    """`emissions, transitions, start, end, mask`, from what `pack_potentials` made."""
    size = packed.shape[-1] - 1
    shared = ops.sum(packed[:1, -(size + 2) :, :size], axis=0)  # of no rows, zeros
    steps = packed[:, : -(size + 2)]
    return steps[..., :size], shared[:size], shared[size], shared[size + 1], steps[..., size] > 0.5
