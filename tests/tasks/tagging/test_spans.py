from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.tasks.tagging.iob import is_iob
from kerasseq.tasks.tagging.spans import span_scores, spans

# -- conlleval.pl, line by line: version 2004-01-26, with S and "E B" as later ones have it --------

ENDS = "BB BS BO  IB IS IO  EE EI EO ES EB  SE SI SO SS SB"
STARTS = "BB IB OB SB EB  BS IS OS SS ES  OI SI EI  SE EE OE"


def end_of_chunk(previous_tag, tag, previous_type, type_):
    chunk_end = previous_tag + tag in ENDS
    if previous_tag not in ("O", ".") and previous_type != type_:
        chunk_end = True
    return chunk_end


def start_of_chunk(previous_tag, tag, previous_type, type_):
    chunk_start = previous_tag + tag in STARTS
    if tag not in ("O", ".") and previous_type != type_:
        chunk_start = True
    return chunk_start


def conlleval(true, predicted):
    """Found, guessed and correct chunks of each type, in the script's one pass over the lines."""
    found, guessed, correct = {}, {}, {}
    inside = False
    last = last_guess = ("O", "")
    lines = []
    for row, guess in zip(true, predicted, strict=True):
        lines += [*zip(row, guess, strict=True), ("O", "O")]  # a boundary is a line of O
    for tags in lines:
        (tag, type_), (guess, guess_type) = (
            tuple(t.split("-", 1)) if "-" in t else (t, "") for t in tags
        )
        end = end_of_chunk(last[0], tag, last[1], type_)
        guess_end = end_of_chunk(last_guess[0], guess, last_guess[1], guess_type)
        if inside:
            if end and guess_end and last_guess[1] == last[1]:
                inside = False
                correct[last[1]] = correct.get(last[1], 0) + 1
            elif end != guess_end or guess_type != type_:
                inside = False
        start = start_of_chunk(last[0], tag, last[1], type_)
        guess_start = start_of_chunk(last_guess[0], guess, last_guess[1], guess_type)
        if start and guess_start and guess_type == type_:
            inside = True
        if start:
            found[type_] = found.get(type_, 0) + 1
        if guess_start:
            guessed[guess_type] = guessed.get(guess_type, 0) + 1
        last, last_guess = (tag, type_), (guess, guess_type)
    if inside:
        correct[last[1]] = correct.get(last[1], 0) + 1
    return found, guessed, correct


IOB = st.sampled_from(["O", "B-NP", "I-NP", "B-VP", "I-VP"])
IOBES = st.sampled_from(["O", *(f"{p}-{kind}" for p in "BIES" for kind in ("NP", "V-P"))])


@pytest.mark.parametrize("tags", [IOB, IOBES])
@given(data=st.data())
def test_spans_are_where_conlleval_starts_and_ends_them(tags, data):
    row = data.draw(st.lists(tags, max_size=12))
    pairs = [tuple(t.split("-", 1)) if "-" in t else (t, "") for t in ["O", *row, "O"]]
    starts, ends = [], []
    for i, ((before, kind_before), (tag, kind)) in enumerate(pairwise(pairs)):
        if end_of_chunk(before, tag, kind_before, kind):
            ends.append((kind_before, i - 1))
        if start_of_chunk(before, tag, kind_before, kind):
            starts.append((kind, i))
    found = spans(row)
    assert [(kind, first) for kind, first, _ in found] == starts
    assert [(kind, last) for kind, _, last in found] == ends


@pytest.mark.parametrize("tags", [IOB, IOBES])
@given(data=st.data())
def test_scores_are_conllevals(tags, data):
    rows = data.draw(
        st.lists(st.lists(st.tuples(tags, tags), min_size=1, max_size=10), min_size=1, max_size=4)
    )
    true = [[pair[0] for pair in row] for row in rows]
    predicted = [[pair[1] for pair in row] for row in rows]
    found, guessed, correct = conlleval(true, predicted)
    scores = span_scores(true, predicted)
    for kind, ours in [(None, scores), *scores["kinds"].items()]:
        gold, got, right = (
            sum(count for k, count in counts.items() if kind in (None, k))
            for counts in (found, guessed, correct)
        )
        assert (ours["gold"], ours["predicted"], ours["correct"]) == (gold, got, right)
        precision, recall = right / got if got else 0, right / gold if gold else 0
        f1 = 2 * precision * recall / (precision + recall) if right else 0
        expected = [precision, recall, f1]
        assert [ours["precision"], ours["recall"], ours["f1"]] == pytest.approx(expected, abs=1e-5)
    assert set(scores["kinds"]) == found.keys() | guessed.keys()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-NP I-NP B-NP O", [("NP", 0, 1), ("NP", 2, 2)]),
        ("I-NP I-NP B-NP", [("NP", 0, 1), ("NP", 2, 2)]),  # IOB1
        ("O I-NP", [("NP", 1, 1)]),
        ("B-VP I-NP I-NP", [("VP", 0, 0), ("NP", 1, 2)]),
        ("S-NP B-VP I-VP E-VP S-VP", [("NP", 0, 0), ("VP", 1, 3), ("VP", 4, 4)]),
        ("E-NP E-NP I-NP", [("NP", 0, 0), ("NP", 1, 1), ("NP", 2, 2)]),
        ("B-A-B I-A-B", [("A-B", 0, 1)]),
    ],
)
def test_spans_by_hand(tags, expected):
    assert spans(tags.split()) == expected


def test_scores_by_hand():
    true = [["B-NP", "I-NP", "O", "B-VP"], ["B-NP", "B-NP"]]
    predicted = [["B-NP", "I-NP", "B-PP", "B-VP"], ["B-NP", "I-NP"]]
    scores = span_scores(true, predicted)
    kinds = scores.pop("kinds")
    assert scores == {
        "precision": 0.5, "recall": 0.5, "f1": 0.5, "gold": 4, "predicted": 4, "correct": 2
    }  # fmt: skip
    assert kinds["NP"] == {
        "precision": 0.5, "recall": 0.33333, "f1": 0.4, "gold": 3, "predicted": 2, "correct": 1
    }  # fmt: skip
    assert kinds["VP"]["f1"] == 1
    assert kinds["PP"] == {
        "precision": 0, "recall": 0, "f1": 0, "gold": 0, "predicted": 1, "correct": 0
    }  # fmt: skip


def test_a_span_does_not_go_on_in_the_next_sentence():
    assert span_scores([["B-NP"], ["I-NP"]], [["B-NP"], ["I-NP"]])["correct"] == 2


def test_no_span_at_all():
    assert span_scores([["O"]], [["O"]]) == {
        "precision": 0, "recall": 0, "f1": 0, "gold": 0, "predicted": 0, "correct": 0, "kinds": {}
    }  # fmt: skip


@pytest.mark.parametrize("predicted", [[["O"]], [["O", "O"], ["O"]]])
def test_sentences_that_do_not_correspond_are_refused(predicted):
    with pytest.raises(ValueError, match=r"shorter|true tags"):
        span_scores([["O"], ["O"]], predicted)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["O", "B-NP", "I-NP"], True),
        (["B-NP"], True),
        (["O"], False),
        ([], False),
        (["O", "B-NP", "NN"], False),
        (["O", "B-"], False),
        (["O", "S-NP"], False),
        (["ADJ", "X"], False),
    ],
)
def test_is_iob(names, expected):
    assert is_iob(names) is expected
