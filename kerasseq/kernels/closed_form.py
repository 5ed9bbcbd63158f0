"""One recurrent layer, in one or both directions, by the closed-form kernels (TensorFlow)."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from kerasseq.kernels.gru import gru
from kerasseq.kernels.lstm import lstm
from kerasseq.kernels.simple_rnn import simple_rnn


@dataclass(frozen=True)
class Direction:
    """What one direction of a layer runs with.

    Attributes:
        weights: kernel, recurrent kernel and bias; the loop over time runs in their dtype.
        states: the initial states, each `[batch, units]`, of that dtype.
        state_mask: `[batch, units]`, variational dropout of the state, or `None`.
        reverse: whether it runs from each row's last valid step to its first.
    """

    weights: tuple[Any, Any, Any]
    states: list[Any]
    state_mask: Any = None
    reverse: bool = False


def run_layer(
    cell: str,
    inputs: Any,
    mask: Any,
    directions: list[Direction],
    final_states: bool = True,
    reset_after: bool = True,
    training: bool = True,
    xla: bool = False,
) -> tuple[list[Any], list[list[Any]]]:
    """All directions of a layer.

    The directions do not depend on each other, so TensorFlow runs their loops side by side.
    Padding being on the right, no step needs a mask: a reversed row is reversed within its
    length, what comes after a row's end is never read, and gets no gradient.

    Args:
        cell: `"lstm"`, `"gru"` or `"simple_rnn"`.
        inputs: `[batch, time, features]`; products over all steps are taken in its dtype.
        mask: bool `[batch, time]`, padded on the right, or `None`.
        directions: one or two.
        final_states: whether the final states are wanted; without them no gradient flows
            through them, which saves a little.
        reset_after: which GRU.
        training: whether a gradient is likely to be asked for; one may be in any case.
        xla: whether to compile with XLA.

    Returns:
        For each direction the outputs `[batch, time, units]` (at padded steps: undefined), and
        the final states, in the dtype of `inputs`.
    """
    time_major = tf.transpose(inputs, (1, 0, 2))
    lengths = None if mask is None else tf.reduce_sum(tf.cast(mask, tf.int32), 1)
    outputs, finals = [], []
    for direction in directions:
        x = flip(time_major, lengths) if direction.reverse else time_major
        arguments = (x, direction.weights, direction.states, direction.state_mask)
        if cell == "lstm":
            sequences = list(lstm(*arguments, with_cells=final_states, training=training, xla=xla))
        elif cell == "gru":
            sequences = [gru(*arguments, reset_after=reset_after, xla=xla)]
        else:
            sequences = [simple_rnn(*arguments, xla=xla)]
        output = flip(sequences[0], lengths) if direction.reverse else sequences[0]
        outputs.append(tf.transpose(tf.cast(output, inputs.dtype), (1, 0, 2)))
        if final_states:
            pairs = zip(sequences, direction.states, strict=True)
            ended = [_last(sequence, lengths, initial) for sequence, initial in pairs]
            finals.append([tf.cast(state, inputs.dtype) for state in ended])
    return outputs, finals


def flip(x: Any, lengths: Any) -> Any:
    """Each row's valid steps in reverse, padding where it was."""
    if lengths is None:
        return tf.reverse(x, [0])
    return tf.reverse_sequence(x, lengths, seq_axis=0, batch_axis=1)


def _last(sequence: Any, lengths: Any, initial: Any) -> Any:
    """The state at each row's last valid step; the initial one where there is no valid step."""
    if lengths is None:
        return tf.cond(tf.shape(sequence)[0] > 0, lambda: sequence[-1], lambda: initial)
    rows = tf.range(tf.shape(lengths)[0])
    last = tf.gather_nd(sequence, tf.stack([tf.maximum(lengths - 1, 0), rows], 1))
    return tf.where((lengths > 0)[:, None], last, initial)
