import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.evaluation.paired import (
    Metric,
    Outcome,
    bootstrap,
    compared,
    compared_lines,
    mcnemar,
)


def of(name, above, below=None):
    above = np.asarray(above, np.float64)
    return Metric(name, "max", above, np.ones(len(above)) if below is None else np.array(below))


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 50))
def test_mcnemar_is_the_exact_binomial_test(one, other, both):
    scipy = pytest.importorskip("scipy.stats")
    first = np.array([1] * one + [0] * other + [1] * both)
    second = np.array([0] * one + [1] * other + [1] * both)
    found = mcnemar(first, second)
    assert (found["only_first_right"], found["only_second_right"]) == (one, other)
    wanted = scipy.binomtest(one, one + other).pvalue if one + other else 1.0
    assert found["p"] == pytest.approx(wanted, abs=1e-6)


def test_mcnemar_of_many_examples():
    found = mcnemar(np.array([1] * 12_000 + [0] * 11_700), np.array([0] * 12_000 + [1] * 11_700))
    assert found["p"] == pytest.approx(0.0521, abs=2e-3)


def test_a_clear_difference_is_significant_and_none_is_not():
    random = np.random.default_rng(1)
    weak = of("accuracy", random.random(2000) < 0.5)
    strong = of("accuracy", random.random(2000) < 0.9)
    found = bootstrap(weak, strong)
    assert found["difference"] == pytest.approx(strong.value - weak.value, abs=1e-6)
    low, high = found["interval_95"]
    assert 0.3 < low < found["difference"] < high < 0.5
    assert found["p"] < 0.002
    assert bootstrap(weak, weak) == {"difference": 0, "interval_95": [0, 0], "p": 1.0}
    like = of("accuracy", random.random(2000) < 0.5)
    assert bootstrap(weak, like)["p"] > 0.05


def test_the_interval_is_that_of_a_normal_difference():
    """Of a mean of many independent values the bootstrap must find the textbook's interval."""
    random = np.random.default_rng(2)
    a, b = random.normal(0, 1, 5000), random.normal(0.1, 1, 5000)
    low, high = bootstrap(of("x", a), of("x", b))["interval_95"]
    error = np.std(b - a) / np.sqrt(5000)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_a_ratio_counts_its_units_by_their_size():
    metric = of("accuracy", [1, 9], [1, 10])
    assert metric.value == pytest.approx(10 / 11)


def test_metrics_that_one_model_lacks_are_left_out():
    ones = of("accuracy", [1, 0, 1])
    found = compared(
        Outcome("examples", [ones, of("a", [1, 2, 3])]),
        Outcome("examples", [ones, of("b", [1, 2, 3])]),
        1,
    )
    assert list(found["metrics"]) == ["accuracy"]
    assert found["metrics"]["accuracy"]["mcnemar"]["p"] == 1.0
    lines = "\n".join(compared_lines(found, "one", "two"))
    assert "3 examples, paired bootstrap" in lines
    assert "McNemar's exact p = 1" in lines
