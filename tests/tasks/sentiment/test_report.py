import numpy as np
import pytest
from sklearn import metrics

from kerasseq.tasks.sentiment.multiclass import Multiclass
from kerasseq.tasks.sentiment.multilabel import Multilabel
from kerasseq.tasks.sentiment.report import report_lines


def make_report(probabilities, labels, names):
    return Multiclass(names).report(probabilities, labels)


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
    assert report["macro_f1"] == pytest.approx(
        metrics.f1_score(labels, predicted, average="macro"), abs=1e-5
    )
    areas = [metrics.roc_auc_score(labels == i, probabilities[:, i]) for i in range(classes)]
    assert report["auc"] == pytest.approx(np.mean(areas), abs=1e-5)
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


def test_a_report_of_several_labels_equals_scikit_learn():
    random = np.random.default_rng(2)
    shares = random.random((300, 4)).astype(np.float32)
    truth = random.random((300, 4)) < [0.5, 0.2, 0.05, 0.9]
    labels = [np.flatnonzero(row).astype(np.int32) for row in truth]
    names, least = list("abcd"), [0.5, 0.3, 0.9, 0.2]
    given = shares >= np.array(least, np.float32)
    report = Multilabel(names, least).report(shares, labels)
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(truth, given), abs=1e-5)
    for average in ("micro", "macro"):
        wanted = metrics.f1_score(truth, given, average=average)
        assert report[f"{average}_f1"] == pytest.approx(wanted, abs=1e-5)
    assert report["auc"] == pytest.approx(metrics.roc_auc_score(truth, shares), abs=1e-5)
    compared = {
        metric.name: metric.value for metric in Multilabel(names, least).compared(shares, labels)
    }
    assert compared["subset accuracy"] == pytest.approx(report["accuracy"], abs=1e-5)
    assert compared["micro F1"] == pytest.approx(report["micro_f1"], abs=1e-5)
    assert compared["log-loss"] == pytest.approx(report["log_loss"], abs=1e-5)
    errors = list(Multilabel(names, least).errors(shares, labels))
    assert len(errors) == np.sum((truth != given).any(axis=1))
    place, worst = errors[0]
    assert worst["labels"] == [names[i] for i in np.flatnonzero(truth[place])]
    assert worst["predicted"] == [names[i] for i in np.flatnonzero(given[place])]
    losses = [metrics.log_loss(truth[:, i], shares[:, i].astype(float)) for i in range(4)]
    assert report["log_loss"] == pytest.approx(np.mean(losses), abs=1e-4)
    table = metrics.precision_recall_fscore_support(truth, given)
    for i, name in enumerate(names):
        ours = report["classes"][name]
        assert ours.pop("threshold") == least[i]
        assert list(ours.values()) == pytest.approx([column[i] for column in table], abs=1e-4)


def test_thresholds_are_the_best_of_all():
    random = np.random.default_rng(3)
    truth = random.random(80) < 0.3
    shares = np.round(np.clip(random.normal(truth * 0.3 + 0.3, 0.2), 0, 1), 2).astype(np.float32)
    few = np.zeros(80, bool)
    few[:4] = True
    labels = [np.flatnonzero(row).astype(np.int32) for row in np.stack([truth, few], axis=1)]
    kind = Multilabel(["a", "b"])
    found = kind.find_thresholds(np.stack([shares, shares], axis=1), labels)
    every = [metrics.f1_score(truth, shares >= least) for least in np.arange(0.005, 1, 0.01)]
    assert metrics.f1_score(truth, shares >= found[0]) == pytest.approx(max(every))
    assert found[1] == 0.5  # four texts say nothing
