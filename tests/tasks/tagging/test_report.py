import json

import numpy as np
import pytest
from sklearn import metrics

from kerasseq import plots
from kerasseq.tasks.tagging import report as tagging
from kerasseq.tasks.tagging.baseline import MostFrequentTag

WORDS = ["the", "a", "old", "man", "boat", "boats", "run", "runs", "quickly", "."]
TAGS = ["DET", "ADJ", "NOUN", "VERB", "ADV", "PUNCT"]
CHUNKS = ["O", "B-NP", "I-NP", "B-VP", "I-VP"]


def example(names, count=60, seed=0, extra=()):
    """Made-up sentences, true tags (some of ``extra``), predicted ones, and confidences."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 20, count)

    def draw(values):
        return [[str(value) for value in random.choice(values, n)] for n in lengths]

    true, noise = draw([*names, *extra]), draw(names)
    predicted = [
        [t if t in names and random.random() < 0.7 else o for t, o in zip(*rows, strict=True)]
        for rows in zip(true, noise, strict=True)
    ]
    return draw(WORDS), true, predicted, [random.random(n) for n in lengths]


def flat(rows):
    return [value for row in rows for value in row]


@pytest.mark.parametrize(("names", "extra"), [(TAGS, ()), (CHUNKS, ()), (TAGS, ("X", "SYM"))])
def test_report_equals_scikit_learn(names, extra):
    sentences, true, predicted, confidences = example(names, extra=extra)
    report = tagging.report(sentences, true, predicted, confidences, names)
    gold, got = flat(true), flat(predicted)
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(gold, got), abs=1e-5)
    labels = list(report["classes"])
    assert labels == [*names, *sorted(extra)]
    assert report["confusion"] == metrics.confusion_matrix(gold, got, labels=labels).tolist()
    table = metrics.precision_recall_fscore_support(gold, got, labels=labels, zero_division=0)
    for i, label in enumerate(labels):
        expected = [column[i] for column in table]
        assert list(report["classes"][label].values()) == pytest.approx(expected, abs=1e-4)
    assert (report["sentences"], report["tokens"]) == (len(sentences), len(gold))
    assert json.loads(json.dumps(report)) == report
    tagging.report_lines(report)


def small():
    """Five tokens, two of them wrong; the model does not know X."""
    sentences = [["the", "old", "man"], ["boats", "run"]]
    true = [["DET", "ADJ", "X"], ["NOUN", "VERB"]]
    predicted = [["DET", "NOUN", "NOUN"], ["NOUN", "VERB"]]
    confidences = [np.array([0.9, 0.5, 0.6]), np.array([0.9, 0.9])]
    return sentences, true, predicted, confidences


def test_by_hand():
    baseline = [["DET", "ADJ", "NOUN"], ["NOUN", "NOUN"]]
    report = tagging.report(*small(), TAGS, known={"the", "boats", "run"}, baseline=baseline)
    assert report["accuracy"] == 0.6
    assert report["sentence_accuracy"] == 0.5
    assert (report["unseen"], report["unseen_share"], report["unseen_accuracy"]) == (2, 0.4, 0)
    assert report["baseline"] == {
        "accuracy": 0.6, "unseen_accuracy": 0.5, "sentence_accuracy": 0
    }  # fmt: skip
    assert report["mean_confidence"] == pytest.approx(0.76)
    assert report["calibration_error"] == pytest.approx((3 * 0.1 + 0.5 + 0.6) / 5)
    assert list(report["classes"]) == ["DET", "ADJ", "NOUN", "VERB", "X"]  # those that occur
    assert report["unknown_tags"] == {
        "tokens": 1,
        "tags": {"X": 1},
        "examples": [{"tag": "X", "sentence": "the old [man]"}],
    }
    assert report["confusions"] == [
        {"true": "ADJ", "predicted": "NOUN", "count": 1, "examples": ["the [old] man"]},
        {"true": "X", "predicted": "NOUN", "count": 1, "examples": ["the old [man]"]},
    ]
    assert "spans" not in report


def test_lines_by_hand():
    baseline = [["DET", "ADJ", "NOUN"], ["NOUN", "NOUN"]]
    report = tagging.report(*small(), TAGS, known={"the", "boats", "run"}, baseline=baseline)
    lines = tagging.report_lines(report)
    assert lines[:4] == [
        "                    model  baseline",
        "token accuracy     0.6000    0.6000  5 tokens",
        "of unseen words    0.0000    0.5000  2 tokens (40.0%) not seen in training",
        "sentence accuracy  0.5000    0.0000  2 sentences",
    ]
    start = lines.index("most frequent confusions:")
    assert lines[start - 2 : start + 3] == [
        "tokens whose true tag is unknown to the model, counted as wrong: 1 (X 1)",
        "    X: the old [man]",
        "most frequent confusions:",
        "  ADJ taken for NOUN        1",
        "    the [old] man",
    ]
    assert [line.split()[0] for line in lines[-6:]] == ["tag", "ADJ", "DET", "NOUN", "VERB", "X"]
    assert len({len(line) for line in lines[-6:]}) == 1


def test_spans_are_scored_where_tags_are_iob():
    sentences = [["the", "man", "runs"]]
    true, predicted = [["B-NP", "I-NP", "B-VP"]], [["B-NP", "I-NP", "O"]]
    baseline = [["B-NP", "B-NP", "B-VP"]]
    report = tagging.report(
        sentences, true, predicted, [np.ones(3)], CHUNKS, known=set(), baseline=baseline
    )
    assert report["span_f1"] == report["spans"]["f1"] == pytest.approx(2 / 3, abs=1e-5)
    assert report["baseline"]["span_f1"] == pytest.approx(2 / 5, abs=1e-5)
    lines = tagging.report_lines(report)
    assert "span F1            0.6667    0.4000  2 spans, 1 predicted, 1 correct" in lines
    assert any(line.startswith("VP ") for line in lines)


def test_without_spans_without_errors_without_unseen_words():
    sentences = [["a", "b"]]
    report = tagging.report(
        sentences, [["O", "O"]], [["O", "O"]], [np.ones(2)], CHUNKS, known={"a", "b"}
    )
    assert report["unseen_accuracy"] is None
    assert report["confusions"] == []
    lines = tagging.report_lines(report)
    assert lines[0] == "                    model"
    assert "of unseen words         -  0 tokens (0.0%) not seen in training" in lines


def test_known_words_may_be_the_baseline():
    sentences, true, predicted, confidences = small()
    baseline = MostFrequentTag(sentences[1:], true[1:])
    tagged = [baseline.tag(words) for words in sentences]
    report = tagging.report(sentences, true, predicted, confidences, TAGS, baseline, tagged)
    assert report["unseen"] == 3
    assert report["baseline"]["unseen_accuracy"] == 0


def test_confusions_are_ranked_and_have_an_example_from_each_of_three_sentences():
    sentences = [["a", "b"], ["c"], ["d"], ["e"]]
    true = [["N", "N"], ["N"], ["N"], ["V"]]
    predicted = [["V", "V"], ["V"], ["V"], ["N"]]
    confidences = [np.ones(len(row)) for row in true]
    first, second = tagging.report(sentences, true, predicted, confidences, ["N", "V"])[
        "confusions"
    ]
    assert (first["true"], first["predicted"], first["count"]) == ("N", "V", 4)
    assert first["examples"] == ["[a] b", "[c]", "[d]"]
    assert (second["true"], second["count"]) == ("V", 1)


@pytest.mark.parametrize("position", [0, 3, 20, 39])
def test_an_excerpt_is_short_and_marks_its_word(position):
    words = [f"w{i}" for i in range(40)]
    shown = tagging.excerpt(words, position).split()
    assert f"[w{position}]" in shown
    assert len([word for word in shown if word != "..."]) <= 13
    assert (shown[0] == "...") == (position > 6)
    assert (shown[-1] == "...") == (position < 33)


def test_bootstrap_interval_is_that_of_independent_sentences():
    random = np.random.default_rng(0)
    right = random.binomial(10, 0.8, 3000)
    low, high = tagging.bootstrap_interval(right, np.full(3000, 10))
    error = right.std() / 10 / np.sqrt(3000)  # of a mean
    share = right.mean() / 10
    assert [low, high] == pytest.approx([share - 1.96 * error, share + 1.96 * error], abs=4e-4)
    assert (low, high) == tagging.bootstrap_interval(right, np.full(3000, 10))


def test_bootstrap_interval_is_wider_where_errors_come_together():
    sentences = [["w"] * 10] * 400
    true = [["N"] * 10] * 400
    predicted = [["N" if i % 5 else "V"] * 10 for i in range(400)]
    report = tagging.report(sentences, true, predicted, [np.ones(10)] * 400, ["N", "V"])
    (low, high), (wide_low, wide_high) = report["accuracy_95"], report["accuracy_95_sentences"]
    assert (wide_high - wide_low) / (high - low) == pytest.approx(np.sqrt(10), rel=0.1)


@pytest.mark.parametrize("which", range(4))
def test_rows_that_do_not_correspond_are_refused(which):
    rows = list(small())
    rows[which] = [rows[which][0][:2], rows[which][1]]
    with pytest.raises(ValueError, match="a sentence has"):
        tagging.report(*rows, TAGS)
    rows[which] = small()[which][:1]
    with pytest.raises(ValueError, match="zip"):
        tagging.report(*rows, TAGS)


def test_no_token_is_refused():
    with pytest.raises(ValueError, match="no token"):
        tagging.report([], [], [], [], TAGS)


# -- pictures --------------------------------------------------------------------------------------


def made_up_matrix(classes, seed=0):
    random = np.random.default_rng(seed)
    matrix = random.poisson(0.4, (classes, classes)) * random.integers(1, 40, (classes, classes))
    matrix[np.diag_indices(classes)] = 26_000 / np.arange(1, classes + 1)
    return matrix


@pytest.mark.parametrize("classes", [2, 5, 17, 22, 49])
def test_nothing_overlaps_in_a_picture(classes):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    names = [f"B-LONG{i}"[: 4 + i % 5] for i in range(classes)]
    figure = plots.confusion_figure(made_up_matrix(classes), names, "a matrix")
    FigureCanvasAgg(figure).draw()
    axis = figure.axes[0]
    cell = axis.transData.transform([[0, 0], [1, 1]])
    width, height = np.abs(cell[1] - cell[0])
    for text in axis.texts:
        box = text.get_window_extent()
        assert box.width <= width
        assert box.height <= height
    for label in axis.get_xticklabels():
        assert label.get_window_extent().width <= (width if classes > 3 else 2 * width)
    for label in axis.get_yticklabels():
        assert label.get_window_extent().height <= height


def test_only_the_most_frequent_of_very_many_classes_are_drawn():
    matrix = np.zeros((130, 130), int)
    matrix[np.diag_indices(130)] = np.arange(130)
    names = [f"tag {i}" for i in range(130)]
    figure = plots.confusion_figure(matrix, names, "a matrix")
    axis = figure.axes[0]
    assert [tick.label1.get_text() for tick in axis.yaxis.get_major_ticks()] == names[30:]
    assert axis.get_title() == "a matrix (100 most frequent of 130 classes)"
