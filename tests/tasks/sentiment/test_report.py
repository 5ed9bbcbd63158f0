import numpy as np
import pytest
from sklearn import metrics

from kerasseq.tasks.sentiment.report import report as make_report
from kerasseq.tasks.sentiment.report import report_lines


def example(count=200, classes=3, seed=0):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), count).astype(np.float32)
    return probabilities, random.integers(0, classes, count)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_report_equals_scikit_learn(classes):
    probabilities, labels = example(classes=classes)
    predicted = probabilities.argmax(axis=1)
    names = [f"class {i}" for i in range(classes)]
    report = make_report(probabilities, labels, names)
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted), abs=1e-5)
    assert report["log_loss"] == pytest.approx(metrics.log_loss(labels, probabilities), abs=1e-4)
    assert report["confusion"] == metrics.confusion_matrix(labels, predicted).tolist()
    table = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for i, name in enumerate(names):
        ours = report["classes"][name]
        expected = [column[i] for column in table]
        assert list(ours.values()) == pytest.approx(expected, abs=1e-4)


def test_a_class_that_is_never_predicted():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]])
    report = make_report(probabilities, np.array([0, 1]), ["a", "b"])
    assert report["classes"]["b"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert any("b " in line for line in report_lines(report))
