import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from kerasseq.evaluation import classification


def test_calibration_error_by_hand():
    # bin of 0.9: right half the time; bin of 0.6: always right
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    labels = np.array([0, 1, 1])
    expected = 2 / 3 * abs(0.5 - 0.9) + 1 / 3 * abs(1 - 0.6)
    assert classification.calibration_error(probabilities, labels) == pytest.approx(expected)


@given(st.integers(1, 500), st.data())
def test_wilson_interval_solves_its_equation(trials, data):
    successes = data.draw(st.integers(0, trials))
    share = successes / trials
    for bound in classification.wilson_interval(successes, trials):
        assert -1e-9 <= bound <= 1 + 1e-9
        standard_error = np.sqrt(max(bound * (1 - bound), 0) / trials)
        assert abs(share - bound) == pytest.approx(1.959964 * standard_error, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_every_class_equals_scikit_learn(rows):
    labels, predicted = map(np.array, zip(*rows, strict=True))
    matrix = classification.confusion_matrix(labels, predicted, 4)
    assert matrix.tolist() == metrics.confusion_matrix(labels, predicted, labels=range(4)).tolist()
    table = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(4), zero_division=0
    )
    figures = classification.class_figures(labels, predicted, list("abcd"))
    assert figures.macro == pytest.approx(np.mean(table[2]))
    assert figures.micro == pytest.approx(metrics.accuracy_score(labels, predicted))
    for i, found in enumerate(figures.classes.values()):
        assert list(found.values()) == pytest.approx([column[i] for column in table], abs=1e-4)
