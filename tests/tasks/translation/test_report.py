"""What is measured of translations, against sacrebleu called directly and by hand."""

import itertools
import json
import math
import os
import struct
import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from kerasseq import plots
from kerasseq.errors import UserError
from kerasseq.tasks.translation import comparison, scores
from kerasseq.tasks.translation.report import report as report_of
from kerasseq.tasks.translation.report import report_lines

WORDS = [
    "a",
    "the",
    "man",
    "dog",
    "runs",
    "sits",
    "red",
    "house",
    "two",
    "women",
    ",",
    "5",
    "(",
    ".",
]


def example(noise=0.3, count=60, seed=0):
    """Made-up sources and references, and translations in which some words are wrong."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 45, count)
    sources = [" ".join(str(word) for word in random.choice(WORDS, n)) for n in lengths]
    references = [source.title() for source in sources]
    random = np.random.default_rng([seed, int(noise * 100)])
    hypotheses = [
        " ".join("Wrong" if random.random() < noise else word for word in reference.split())
        for reference in references
    ]
    return hypotheses, references, sources


# -- one system ------------------------------------------------------------------------------------


def test_scores_equal_sacrebleu(monkeypatch):
    hypotheses, references, sources = example()
    report = report_of(hypotheses, references, sources, "de", 7)
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    for key, metric in (("bleu", sacrebleu.BLEU()), ("chrf", sacrebleu.CHRF())):
        score = metric.corpus_score(hypotheses, [references], n_bootstrap=1000)
        found = report[key]
        assert found["score"] == pytest.approx(score.score, abs=1e-4)
        assert found["signature"] == str(metric.get_signature())
        printed = f"{found['score']:.2f} (μ = {found['mean']:.2f} ± "
        assert score.format(score_only=True).startswith(printed)
        low, high = found["interval_95"]
        assert low < found["mean"] < high
        assert f"± {(high - low) / 2:.2f})" in score.format(score_only=True)
        if key == "bleu":
            assert found["precisions"] == pytest.approx(score.precisions, abs=1e-4)
            assert found["brevity_penalty"] == pytest.approx(score.bp, abs=1e-5)
            assert found["length_ratio"] == pytest.approx(score.sys_len / score.ref_len, abs=1e-5)
    assert "tok:13a" in report["bleu"]["signature"]
    assert f"version:{sacrebleu.__version__}" in report["bleu"]["signature"]
    assert "seed:7" in report["chrf"]["signature"]
    assert report["sentences"] == 60
    assert json.loads(json.dumps(report)) == report


def test_by_hand():
    report = report_of(
        ["the cat sat on mat", "yes"], ["the cat sat on the mat", "no"], ["a b c", "d"], "en", 1
    )
    bleu = report["bleu"]
    shares = [5 / 6, 3 / 4, 2 / 3, 1 / 2]
    assert bleu["precisions"] == pytest.approx([100 * share for share in shares], abs=1e-4)
    assert bleu["brevity_penalty"] == pytest.approx(math.exp(1 - 7 / 6), abs=1e-5)
    assert bleu["length_ratio"] == pytest.approx(6 / 7, abs=1e-5)
    expected = 100 * math.exp(1 - 7 / 6) * math.prod(shares) ** 0.25
    assert bleu["score"] == pytest.approx(expected, abs=1e-4)
    assert [row["words"] for row in report["by_length"]] == ["1-5"]
    assert report["by_length"][0]["bleu"] == bleu["score"]
    assert report["worst"][0]["chrf"] == 0
    assert [row["position"] for row in report["worst"]] == [1, 0]


def test_case_counts():
    assert report_of(["THE CAT"], ["the cat"], ["x"], "en", 1)["bleu"]["score"] == 0


def test_the_worst_and_the_samples_keep_their_order():
    hypotheses, references, sources = example(count=33)
    hypotheses[5] = hypotheses[20] = ""
    report = report_of(hypotheses, references, sources, "de", 1)
    worst = report["worst"]
    assert [row["position"] for row in worst][:2] == [5, 20]
    assert len(worst) == 10
    chrf = sacrebleu.CHRF()
    scores = [
        chrf.sentence_score(*pair).score
        for pair in zip(hypotheses, ([reference] for reference in references), strict=True)
    ]
    assert [row["chrf"] for row in worst] == pytest.approx(sorted(scores)[:10], abs=1e-4)
    assert [row["position"] for row in report["samples"]] == [0, 6, 13, 19, 26]
    for row in (*worst, *report["samples"]):
        position = row["position"]
        assert row["source"] == sources[position]
        assert row["reference"] == references[position]
        assert row["hypothesis"] == hypotheses[position]


def test_the_seed_decides_and_the_environment_stays(monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "99")
    data = example()
    first = report_of(*data, "de", 0)
    assert os.environ["SACREBLEU_SEED"] == "99"
    monkeypatch.delenv("SACREBLEU_SEED")
    assert report_of(*data, "de", 0) == first
    assert "SACREBLEU_SEED" not in os.environ
    other = report_of(*data, "de", 2)
    assert other["bleu"]["score"] == first["bleu"]["score"]
    assert other["bleu"]["interval_95"] != first["bleu"]["interval_95"]


def test_empty_hypotheses():
    hypotheses, references, sources = example(count=8)
    report = report_of([""] * 8, references, sources, "de", 1)
    assert report["bleu"]["score"] == report["chrf"]["score"] == 0
    assert report["bleu"]["brevity_penalty"] == report["bleu"]["length_ratio"] == 0
    report_lines(report)
    report = report_of([*hypotheses[:7], ""], references, sources, "de", 1)
    assert report["bleu"]["score"] > 0


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("en", "13a"), ("tr", "13a"), ("zh", "zh"), ("zh-TW", "zh"), ("zh_Hans", "zh"), ("ZH", "zh")],
)
def test_languages_choose_tokenizers(language, tokenizer):
    report = report_of(["这是猫。"], ["这是狗。"], ["a cat"], language, 1)
    assert f"|tok:{tokenizer}|" in report["bleu"]["signature"]


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_without_mecab_characters_are_taken(monkeypatch, language):
    module = f"sacrebleu.tokenizers.tokenizer_{language}_mecab.MeCab"
    monkeypatch.setattr(module, None)
    report = report_of(["これは猫"], ["これは犬"], ["a cat"], language, 1)
    assert "|tok:char|" in report["bleu"]["signature"]
    assert report["bleu"]["precisions"][0] == 75


def test_with_mecab_its_words_are_taken(monkeypatch):
    class Words(sacrebleu.tokenizers.tokenizer_char.TokenizerChar):
        def signature(self):
            return "ja-mecab-0.996-IPA"

    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.TokenizerJaMecab", Words)
    report = report_of(["これは猫"], ["これは犬"], ["a cat"], "ja-JP", 1)
    assert "|tok:ja-mecab-0.996-IPA|" in report["bleu"]["signature"]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UserError, match=r"sacrebleu: pip install 'tokenizers.*sacrebleu"):
        report_of(*example(count=2), "de", 1)
    with pytest.raises(UserError, match="sacrebleu"):
        comparison.compare(["a"], ["a"], ["a"], ["a"], "de", 1)


def test_what_does_not_correspond_is_refused():
    with pytest.raises(ValueError, match=r"differ in number: \[1, 1, 2\]"):
        report_of(["a", "b"], ["a"], ["a"], "de", 1)
    with pytest.raises(ValueError, match="no sentence"):
        report_of([], [], [], "de", 1)
    with pytest.raises(ValueError, match="differ in number"):
        comparison.compare(["a"], ["a", "b"], ["a"], ["a"], "de", 1)


# -- by length -------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_bins_hold_every_sentence_once(lengths):
    sources = ["w " * length for length in lengths]
    texts = [f"sentence {i} of this text" for i in range(len(lengths))]
    rows = scores.by_length(texts, texts, sources, "en")
    bounds = {"1-5": (0, 5), "6-10": (6, 10), "11-15": (11, 15), "16-20": (16, 20)}
    bounds |= {"21-30": (21, 30), "over 30": (31, 50)}
    expected = []
    for name, (low, high) in bounds.items():
        part = [length for length in lengths if low <= length <= high]
        if part:
            expected.append((name, len(part), pytest.approx(np.mean(part), abs=0.01)))
    assert [(row["words"], row["sentences"], row["mean_words"]) for row in rows] == expected
    assert all(row["bleu"] == pytest.approx(100) for row in rows)


def test_each_bin_is_scored_as_a_corpus():
    hypotheses, references, sources = example()
    for row, (low, high) in zip(
        scores.by_length(hypotheses, references, sources, "de"),
        [(1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, 99)],
        strict=True,
    ):
        part = [i for i, source in enumerate(sources) if low <= len(source.split()) <= high]
        score = sacrebleu.corpus_bleu(
            [hypotheses[i] for i in part], [[references[i] for i in part]]
        ).score
        assert row["bleu"] == pytest.approx(score, abs=1e-4)


def test_a_bin_of_sentences_that_are_too_short_for_4_grams_is_not_0():
    rows = scores.by_length(["Go away", "Yes"], ["Go away", "Yes"], ["x y", "z"], "en")
    assert rows == [{"words": "1-5", "sentences": 2, "mean_words": 1.5, "bleu": 100}]


# -- two systems -----------------------------------------------------------------------------------


def test_comparison_of_a_system_with_itself():
    hypotheses, references, sources = example()
    found = comparison.compare(hypotheses, hypotheses, references, sources, "de", 1)
    for key in ("bleu", "chrf"):
        assert found[key]["first"] == found[key]["second"]
        assert (found[key]["difference"], found[key]["p"]) == (0, 1)


def test_comparison_equals_sacrebleu(monkeypatch):
    from sacrebleu.significance import PairedTest

    first, references, sources = example(0.3)
    second, _, _ = example(0.15)
    found = comparison.compare(first, second, references, sources, "de", 5)
    assert json.loads(json.dumps(found)) == found
    monkeypatch.setenv("SACREBLEU_SEED", "5")
    metrics = {"BLEU": sacrebleu.BLEU(), "chrF2": sacrebleu.CHRF()}
    signatures, results = PairedTest(
        [("first", first), ("second", second)], metrics, [references], "bs"
    )()
    for key, name in (("bleu", "BLEU"), ("chrf", "chrF2")):
        assert found[key]["signature"] == str(signatures[name])
        assert "bs:1000|seed:5" in found[key]["signature"]
        for system, result in zip(("first", "second"), results[name], strict=True):
            figures = found[key][system]
            assert figures["score"] == pytest.approx(result.score, abs=1e-4)
            assert figures["mean"] == pytest.approx(result.mean, abs=1e-4)
            bounds = [result.mean - result.ci, result.mean + result.ci]
            assert figures["interval_95"] == pytest.approx(bounds, abs=1e-4)
        assert found[key]["p"] == pytest.approx(results[name][1].p_value, abs=1e-6)
        assert found[key]["difference"] > 0
        assert found[key]["p"] < 0.05
    assert found["by_length"] == {
        "first": scores.by_length(first, references, sources, "de"),
        "second": scores.by_length(second, references, sources, "de"),
    }


def test_a_worse_system_that_is_hardly_worse_is_not_significant():
    first, references, sources = example(0.3)
    second = [*first[:-1], first[-1] + " Wrong"]
    found = comparison.compare(first, second, references, sources, "de", 1)
    assert found["bleu"]["difference"] < 0
    assert found["bleu"]["p"] > 0.05


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_a_comparison_can_be_repeated(seed):
    first, references, sources = example(0.3)
    second, _, _ = example(0.29)
    data = (first, second, references, sources, "de", seed)
    assert comparison.compare(*data) == comparison.compare(*data)


# -- for people ------------------------------------------------------------------------------------


def test_lines_for_people():
    first, references, sources = example(0.3)
    second, _, _ = example(0.15)
    report = report_of(first, references, sources, "de", 1)
    lines = report_lines(report)
    assert lines[0] == "60 sentences"
    assert lines[1].startswith(f"BLEU  {report['bleu']['score']:.2f} (bootstrap mean ")
    for key in ("bleu", "chrf"):
        assert f"      {report[key]['signature']}" in lines
    assert sum("hypothesis  " in line for line in lines) == 15
    found = comparison.compare(first, second, references, sources, "de", 1)
    text = "\n".join(comparison.compare_lines(found, "plain", "with attention"))
    assert f") {found['bleu']['difference']:+.2f}, p = 0.0010" in text
    assert "with attention" in text
    for row in report["by_length"]:
        assert row["words"] in text


# -- pictures --------------------------------------------------------------------------------------


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved, save = [], plots.save

    def keep(figure, *args):
        saved.append(figure)
        save(figure, *args)

    for module in (plots, scores):
        monkeypatch.setattr(module, "save", keep)
    return saved


def size_of(path):
    return struct.unpack(">II", path.read_bytes()[16:24])


def made_up_weights(rows, columns):
    weights = np.random.default_rng(0).random((rows, columns)) ** 8
    return weights / weights.sum(axis=1, keepdims=True)


def boxes_of(labels):
    return [label.get_window_extent() for label in labels]


@pytest.mark.parametrize(("rows", "columns"), [(4, 3), (1, 1), (30, 30), (2, 40), (50, 1)])
def test_attention_leaves_every_label_its_place(tmp_path, figures, rows, columns):
    source = [f"Wort{i}"[: 4 + i % 5] for i in range(columns)]
    target = ["word", "https://example.org/long", "й", "$x_1$", "a" * 90][:rows]
    target += ["word"] * (rows - len(target))
    path = tmp_path / "attention.png"
    assert plots.attention(made_up_weights(rows, columns), source, target, path, "a title") == []
    width, height = size_of(path)
    assert 27 * columns + 60 < width < 27 * max(columns, 10) + 450
    assert 27 * rows + 60 < height < 27 * max(rows, 10) + 250
    axis, bar = figures[0].axes
    FigureCanvasAgg(figures[0]).draw()
    for boxes, side in (
        (boxes_of(axis.get_xticklabels()), ("x0", "x1")),
        (boxes_of(axis.get_yticklabels()), ("y0", "y1")),
    ):
        spans = sorted(tuple(getattr(box, end) for end in side) for box in boxes)
        assert all(low[1] <= high[0] for low, high in itertools.pairwise(spans))
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert max(map(len, labels)) <= 24
    assert bar.get_ylim() == (0, 1)
    title = axis.title.get_window_extent()
    assert all(box.y1 <= title.y0 for box in boxes_of(axis.get_xticklabels()))


def test_attention_needs_a_weight_for_every_pair(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(2, 3\) for 3 target and 2 source tokens"):
        plots.attention(np.ones((2, 3)), ["a", "b"], ["c", "d", "e"], tmp_path / "a.png", "a")


def test_characters_that_no_font_shows_are_boxes_and_noted(tmp_path, figures, caplog, capfd):
    tokens = ["a\U0010fffdb", "\n"]
    notes = plots.attention(np.eye(2), tokens, ["Привет", "の"], tmp_path / "a.png", "a title")
    assert notes == ["a.png: no installed font shows U+000A, U+10FFFD (2 in all), drawn as □"]
    axis = figures[0].axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a□b", "□"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["Привет", "の"]
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_another_font_is_taken_for_what_the_first_lacks():
    assert plots._fonts("Grüße, мир") == (["sans-serif"], set())
    families, missing = plots._fonts("aの")  # in a font that comes with matplotlib
    assert families[0] == "sans-serif"
    assert len(families) == 2
    assert not families[1].startswith("Last Resort")
    assert not missing


def test_length_curves_have_a_line_for_every_system(tmp_path, figures):
    first, references, sources = example(0.3)
    second, _, _ = example(0.15)
    found = comparison.compare(first, second, references, sources, "de", 1)
    path = tmp_path / "lengths.png"
    scores.length_curves(found["by_length"], path, "a title")
    assert size_of(path) == (640, 420)
    counts, axis = sorted(figures[0].axes, key=lambda axis: axis.get_zorder())
    for line, (name, rows) in zip(axis.get_lines(), found["by_length"].items(), strict=True):
        assert line.get_label() == name
        assert line.get_ydata().tolist() == [row["bleu"] for row in rows]
    assert [bar.get_height() for bar in counts.patches] == [row["sentences"] for row in rows]
    boxes = boxes_of(axis.get_xticklabels())
    assert all(low.x1 < high.x0 for low, high in itertools.pairwise(boxes))


# -- several references ----------------------------------------------------------------------------


def several(references):
    """Other references for some sentences: one, two or none."""
    return [
        (reference, *(reference.replace("Man", "Guy"), reference.upper())[: position % 3])
        for position, reference in enumerate(references)
    ]


def columns(references):
    """As sacrebleu takes them, written by hand."""
    return [[row[i] if i < len(row) else None for row in references] for i in range(3)]


def test_several_references_equal_sacrebleu(monkeypatch):
    hypotheses, references, sources = example()
    hypotheses[1] = references[1].replace("Man", "Guy")
    hypotheses[2] = references[2].upper()
    lists = several(references)
    report = report_of(hypotheses, lists, sources, "de", 7)
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    for key, metric in (("bleu", sacrebleu.BLEU()), ("chrf", sacrebleu.CHRF())):
        score = metric.corpus_score(hypotheses, columns(lists), n_bootstrap=1000)
        found = report[key]
        assert found["score"] == pytest.approx(score.score, abs=1e-4)
        assert found["signature"] == str(metric.get_signature())
        assert "nrefs:var" in found["signature"]
        printed = f"{found['score']:.2f} (μ = {found['mean']:.2f} ± "
        assert score.format(score_only=True).startswith(printed)
    assert scores.bleu(hypotheses, lists, "de") == pytest.approx(report["bleu"]["score"], abs=1e-4)
    assert report["bleu"]["score"] > scores.bleu(hypotheses, references, "de")
    assert report["references"] == {"fewest": 1, "most": 3}
    assert "1 to 3 references a sentence: BLEU and chrF2 take all" in report_lines(report)[1]
    chrf = sacrebleu.CHRF()
    for row in report["worst"]:
        at = row["position"]
        wanted = chrf.sentence_score(hypotheses[at], lists[at]).score
        assert row["chrf"] == pytest.approx(wanted, abs=1e-4)
        assert row["reference"] == references[at]
    words = [len(source.split()) for source in sources]
    part = [i for i, count in enumerate(words) if count <= 5]
    metric = sacrebleu.BLEU(effective_order=True)
    wanted = metric.corpus_score(
        [hypotheses[i] for i in part], columns([lists[i] for i in part])
    ).score
    assert report["by_length"][0]["bleu"] == pytest.approx(wanted, abs=1e-4)


def test_lists_of_one_reference_are_that_reference():
    hypotheses, references, sources = example(count=12)
    lists = [(reference,) for reference in references]
    report = report_of(hypotheses, lists, sources, "de", 1)
    assert report == report_of(hypotheses, references, sources, "de", 1)
    assert "references" not in report
    compared = comparison.compare(hypotheses, references, lists, sources, "de", 1)
    assert compared == comparison.compare(hypotheses, references, references, sources, "de", 1)


def test_two_systems_and_several_references(monkeypatch):
    first, references, sources = example()
    second, _, _ = example(noise=0.1)
    lists = several(references)
    found = comparison.compare(first, second, lists, sources, "de", 7)
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    from sacrebleu.significance import PairedTest

    signatures, tested = PairedTest(
        [("a", first), ("b", second)],
        {"BLEU": sacrebleu.BLEU()},
        columns(lists),
        test_type="bs",
        n_samples=1000,
    )()
    one, other = tested["BLEU"]
    assert found["bleu"]["signature"] == str(signatures["BLEU"])
    assert found["bleu"]["first"]["score"] == pytest.approx(one.score, abs=1e-4)
    assert found["bleu"]["second"]["score"] == pytest.approx(other.score, abs=1e-4)
    assert found["bleu"]["p"] == pytest.approx(other.p_value, abs=1e-6)
