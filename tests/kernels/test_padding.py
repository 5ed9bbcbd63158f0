"""The check of masks inside a graph."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("graphs of TensorFlow", allow_module_level=True)

import tensorflow as tf

from kerasseq.kernels.padding import require_right_padding

RIGHT = [[True, True, False], [False, False, False], [True, True, True]]


@tf.function(input_signature=[tf.TensorSpec((None, None), tf.bool)])
def count(mask):
    require_right_padding(mask, "mask of the test")
    return tf.reduce_sum(tf.cast(mask, tf.int32))


def test_padding_on_the_right_passes():
    assert int(count(np.array(RIGHT))) == 5
    assert int(count(np.zeros((2, 0), bool))) == 0


@pytest.mark.parametrize("row", [[False, True, True], [True, False, True]])
def test_any_other_stops_the_graph_though_nothing_waits_for_it(row):
    with pytest.raises(tf.errors.InvalidArgumentError, match="mask of the test"):
        count(np.array([*RIGHT, row]))


def test_eager_calls_are_left_to_the_layers():
    require_right_padding(tf.constant([[False, True]]), "never seen")
