import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from kerasseq import plots
from kerasseq.evaluation import classification


def example(count=200, classes=3, seed=0):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), count).astype(np.float32)
    return probabilities, random.integers(0, classes, count)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_report_equals_scikit_learn(classes):
    probabilities, labels = example(classes=classes)
    predicted = probabilities.argmax(axis=1)
    names = [f"class {i}" for i in range(classes)]
    report = classification.report(probabilities, labels, names)
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted), abs=1e-5)
    assert report["log_loss"] == pytest.approx(metrics.log_loss(labels, probabilities), abs=1e-4)
    assert report["confusion"] == metrics.confusion_matrix(labels, predicted).tolist()
    table = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for i, name in enumerate(names):
        ours = report["classes"][name]
        expected = [column[i] for column in table]
        assert list(ours.values()) == pytest.approx(expected, abs=1e-4)


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


def test_a_class_that_is_never_predicted():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]])
    report = classification.report(probabilities, np.array([0, 1]), ["a", "b"])
    assert report["classes"]["b"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert any("b " in line for line in classification.report_lines(report))


def test_pictures_are_written(tmp_path):
    history = [
        {"step": s, "epoch": s / 2, "loss": 1 / s, "validation_loss": 1 / s,
         "validation_accuracy": 0.8} for s in (1, 2)
    ]  # fmt: skip
    plots.learning_curves(history, 2, tmp_path / "curves.png", "a run")
    plots.confusion([[3, 1], [0, 2]], ["no", "yes"], tmp_path / "matrix.png", "a matrix")
    for name in ("curves.png", "matrix.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
