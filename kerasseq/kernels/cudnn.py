"""One recurrent layer, in one or both directions, by cuDNN (TensorFlow on an NVIDIA GPU)."""

from typing import Any

import tensorflow as tf

from kerasseq.kernels.closed_form import Direction, flip


def run_layer(
    cell: str, inputs: Any, mask: Any, directions: list[Direction]
) -> tuple[list[Any], list[list[Any]]]:
    """All directions of a layer; arguments and result as in `closed_form.run_layer`.

    The graph that is traced holds `CudnnRNNV3` and runs on a GPU only. cuDNN rejects rows with no
    valid step, so such a row runs one step, whose result is dropped.
    """
    time_major = tf.transpose(inputs, (1, 0, 2))
    shape = tf.shape(time_major)
    lengths = tf.fill((shape[1],), shape[0])
    if mask is not None:
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), 1)
    outputs, finals = [], []
    for direction in directions:
        x = flip(time_major, lengths) if direction.reverse else time_major
        hidden = direction.states[0][None]
        memory = direction.states[1][None] if cell == "lstm" else tf.zeros((), x.dtype)
        output, final, final_memory, _, _ = tf.raw_ops.CudnnRNNV3(
            input=x,
            input_h=hidden,
            input_c=memory,
            params=parameters(cell, direction.weights),
            is_training=True,
            rnn_mode=cell,
            sequence_lengths=tf.maximum(lengths, 1),
            time_major=True,
        )
        output = flip(output, lengths) if direction.reverse else output
        outputs.append(tf.transpose(output, (1, 0, 2)))
        ended = [final[0], final_memory[0]] if cell == "lstm" else [final[0]]
        filled = (lengths > 0)[:, None]
        pairs = zip(ended, direction.states, strict=True)
        finals.append([tf.where(filled, state, initial) for state, initial in pairs])
    return outputs, finals


def parameters(cell: str, weights: tuple[Any, Any, Any]) -> Any:
    """The weights as cuDNN wants them: one vector, each block transposed.

    cuDNN has an input and a recurrent bias: an LSTM's is taken as the recurrent one. Its GRU
    blocks are in the order r, z, g, where Keras has z, r, g.
    """
    kernel, recurrent, bias = weights
    gates = 4 if cell == "lstm" else 3
    blocks = [*tf.split(kernel, gates, axis=1), *tf.split(recurrent, gates, axis=1)]
    if cell == "lstm":
        biases = tf.split(tf.concat([tf.zeros_like(bias), bias], 0), 8)
    else:
        biases = tf.split(tf.reshape(bias, (-1,)), 6)
        order = (1, 0, 2, 4, 3, 5)
        blocks, biases = [blocks[i] for i in order], [biases[i] for i in order]
    flat = [tf.reshape(tf.transpose(block), (-1,)) for block in blocks]
    return tf.concat(flat + biases, 0)
