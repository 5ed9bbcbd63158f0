"""Two replicas equal one device, as with Keras' own losses and layers."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.layers.replicas import LOSSES, RANDOM

pytestmark = [
    pytest.mark.gate,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's strategies"),
]


@pytest.fixture(scope="module")
def found():
    done = subprocess.run(
        [sys.executable, "-m", "tests.layers.replicas"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_on_two_replicas_is_that_on_one_device(found, name):
    (shown, weights), (shown_by_two, weights_of_two) = found["losses"][name]
    for one, two in zip(weights, weights_of_two, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert shown.keys() == shown_by_two.keys()
    for key in shown:
        np.testing.assert_allclose(shown_by_two[key], shown[key], rtol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", RANDOM)
def test_replicas_draw_as_dropout_of_keras_does(found, name):
    """Each call anew, and both replicas alike."""
    (first, other), (second, _) = (np.array(pair) for pair in found["draws"][name])
    np.testing.assert_array_equal(first, other)
    assert (first != second).any()
