"""The numbers of sampling and their bounds, wherever they are checked."""

import math
import sys

import pytest
import tensorflow as tf

from kerasseq.decoding.settings import RULES, Sampling

LEAST = sys.float_info.min  # TensorFlow takes smaller ones for 0
NEXT_TO_1 = math.nextafter(1, 2)
WITHIN = {
    "temperature": [LEAST, 1e-8, 1, 1.0, 1e308],
    "top_k": [0, 1, 2**31 - 1],
    "top_p": [LEAST, 0.5, 1, 1.0],
}
OUTSIDE = {
    "temperature": [0, 0.0, -0.0, -1, -LEAST, math.inf, -math.inf, math.nan],
    "top_k": [-1, -(2**31)],
    "top_p": [0, 0.0, -0.0, -0.5, NEXT_TO_1, 2, math.inf, -math.inf, math.nan],
}
CASES = [
    pytest.param(name, value, expected, id=f"{name} {value}")
    for cases, expected in ((WITHIN, True), (OUTSIDE, False))
    for name, values in cases.items()
    for value in values
]


def test_there_is_a_rule_for_each_number_and_no_other():
    assert tuple(RULES) == Sampling._fields


def test_what_is_drawn_by_default_is_within_the_bounds():
    for name, value in Sampling()._asdict().items():
        assert RULES[name].holds(value)
        assert type(value) is RULES[name].kind


@pytest.mark.parametrize(("name", "value", "expected"), CASES)
def test_bounds(name, value, expected):
    assert RULES[name].holds(value) is expected


@pytest.mark.parametrize(("name", "value", "expected"), CASES)
def test_tensors_are_judged_as_numbers_are(name, value, expected):
    """Scalars, many at once, and in a graph; float64, which holds what Python's numbers do."""
    rule = RULES[name]
    dtype = {int: tf.int32, float: tf.float64}[rule.kind]
    scalar = tf.constant(value, dtype)
    for holds in (rule.holds, tf.function(rule.holds)):
        assert holds(scalar).numpy() == expected
    many = rule.holds(tf.stack([scalar, tf.constant(1, dtype)]))
    assert many.numpy().tolist() == [expected, True]


def test_what_the_words_say():
    assert {name: rule.must for name, rule in RULES.items()} == {
        "temperature": "above 0 and finite",
        "top_k": "0 (all tokens) or more",
        "top_p": "above 0 and at most 1",
    }
