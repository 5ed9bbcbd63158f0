import itertools
import tracemalloc
from collections import Counter
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.corpus import Corpus
from kerasseq.data.cutting import (
    at_random,
    by_group,
    by_position,
    cut_splits,
    folds,
    limited,
    stratified,
    whole_of,
)
from kerasseq.data.examples import LabelledText
from kerasseq.errors import UserError

BOTH = ("validation", "test")


def labelled(*counts):
    """Examples of the labels ``a``, ``b``, ..., as many of each as given."""
    return [
        LabelledText(f"{label}{number}", label)
        for label, count in zip("abcdefgh", counts, strict=False)
        for number in range(count)
    ]


def label_of(example):
    return example.label


def sizes_of(parts):
    return {name: len(part) for name, part in parts.items()}


# -- a few examples, to try something out ----------------------------------------------------------


def test_a_limit_draws_of_each_split_and_says_so():
    corpus = Corpus("here", {"train": labelled(500, 500), "test": labelled(3)}, ["read"])
    few = limited(corpus, 100, 1, running=False)
    train = few.splits["train"]
    assert sizes_of(few.splits) == {"train": 100, "test": 3}
    assert few.notes == ["limit: 100 of 1,000 examples of train, drawn by seed", "read"]
    assert sorted(train, key=corpus.splits["train"].index) == train
    assert 30 < Counter(map(label_of, train))["a"] < 70  # the source has them sorted
    assert limited(corpus, 100, 1, running=False) == few
    assert limited(corpus, 100, 2, running=False).splits["train"] != train


def test_a_limit_takes_the_first_lines_of_a_text():
    corpus = Corpus("here", {"all": ["one\n", "two\n", "three\n"]})
    few = limited(corpus, 2, 1, running=True)
    assert few.splits == {"all": ["one\n", "two\n"]}
    assert few.notes == ["limit: 2 of 3 examples of all, the first"]


@pytest.mark.parametrize("count", [0, 3, 99])
def test_no_limit_leaves_a_corpus_as_it_is(count):
    corpus = Corpus("here", {"all": labelled(3)}, ["read"])
    assert limited(corpus, count, 1, running=False) == corpus


# -- the rules -------------------------------------------------------------------------------------


def test_stratified_parts_keep_the_balance():
    examples = labelled(100, 300)
    parts = stratified(0.1, 3, label_of)(examples, BOTH, [])
    assert sizes_of(parts) == {"validation": 40, "test": 40, "train": 320}
    assert sorted(itertools.chain(*parts.values())) == sorted(examples)
    for part in parts.values():
        assert Counter(map(label_of, part))["a"] * 4 == len(part)
    again = stratified(0.1, 3, label_of)(examples, BOTH, [])
    other = stratified(0.1, 4, label_of)(examples, BOTH, [])
    assert parts["validation"] == again["validation"]
    assert parts["validation"] != other["validation"]


def test_rare_labels_have_their_share_together():
    examples = [(f"{label} {n}", f"class {label:02}") for label in range(100) for n in range(5)]
    parts = stratified(0.1, 1, itemgetter(1))(examples, BOTH, [])
    assert sizes_of(parts) == {"validation": 50, "test": 50, "train": 400}
    assert {label for _, label in parts["train"]} == {label for _, label in examples}
    assert sorted(itertools.chain(*parts.values())) == sorted(examples)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.sampled_from([0.02, 0.1, 0.3, 0.49]),
    st.sampled_from([BOTH, BOTH[:1], []]),
)
def test_every_label_stays_in_train(counts, fraction, missing):
    examples = [(n, label) for label, count in enumerate(counts) for n in range(count)]
    parts = stratified(fraction, 2, lambda one: str(one[1]))(examples, missing, [])
    assert sorted(itertools.chain(*parts.values())) == sorted(examples)
    assert {label for _, label in parts["train"]} == set(range(len(counts)))


def test_ten_thousand_labels_take_little_memory():
    examples = [("a" * 1000 + str(n % 10_000), n) for n in range(30_000)]
    tracemalloc.start()
    stratified(0.1, 1, itemgetter(0))(examples, BOTH, [])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20  # an array of all labels would take 120 MB


def test_stratified_parts_are_shuffled():
    (part,) = stratified(0.1, 1, label_of)(labelled(50, 50), [], []).values()
    labels = [label_of(example) for example in part]
    assert labels not in (sorted(labels), sorted(labels, reverse=True))


def test_parts_at_random_are_in_the_order_of_the_source():
    parts = at_random(0.1, 1)(range(200), BOTH, [])
    assert sizes_of(parts) == {"validation": 20, "test": 20, "train": 160}
    for part in parts.values():
        assert part == sorted(part)
    assert parts["test"] != list(range(parts["test"][0], parts["test"][0] + 20))
    assert at_random(0.1, 1)(range(200), BOTH, []) == parts
    assert at_random(0.1, 2)(range(200), BOTH, []) != parts
    assert at_random(0.1, 1)([3, 1, 2], [], []) == {"train": [3, 1, 2]}


def test_groups_stay_whole_and_shares_are_near():
    examples = [(group, number) for group in range(100) for number in range(1 + group % 5)]
    parts = by_group(0.1, 1, lambda example: example[0])(examples, BOTH, [])
    for name in BOTH:
        assert abs(len(parts[name]) - 0.1 * len(examples)) <= 2.5  # half of the largest group
    for part in parts.values():
        assert part == sorted(part)
    groups = [{group for group, _ in part} for part in parts.values()]
    assert all(not a & b for a, b in itertools.combinations(groups, 2))
    other = by_group(0.1, 2, lambda example: example[0])(examples, BOTH, [])
    assert other["test"] != parts["test"]


SHARES = {"validation": 0.25, "test": 0.25}


def cut(lines, unit, missing=BOTH, shares=SHARES):
    parts = by_position(shares, unit)(lines, missing, [])
    return {name: list(part) for name, part in parts.items()}


def test_lines_are_cut_after_the_next_line_end():
    lines = ["aaaa\n", "bbb\n", "cc\n", "dddd\n", "eee"]  # 20 characters: cut at 10 and at 15
    assert cut(lines, "lines") == {
        "train": ["aaaa\n", "bbb\n", "cc\n"], "validation": ["dddd\n"], "test": ["eee"],
    }  # fmt: skip
    # where a line begins already, nothing more is taken
    assert cut(["12345\n", "789\n", "1234\n", "5678\n"], "lines") == {
        "train": ["12345\n", "789\n"], "validation": ["1234\n"], "test": ["5678\n"],
    }  # fmt: skip


def test_characters_are_cut_exactly_there():
    lines = ["aaaa\n", "bbb\n", "cc\n", "dddd\n", "eee"]
    assert cut(lines, "characters") == {
        "train": ["aaaa\n", "bbb\n", "c"], "validation": ["c\n", "ddd"], "test": ["d\n", "eee"],
    }  # fmt: skip
    assert cut(["0123456789"], "characters") == {
        "train": ["01234"], "validation": ["56"], "test": ["789"],
    }  # fmt: skip


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_text_of_one_line_is_cut_after_a_blank(end):
    line = "one two\tthree four x" + end  # cut at 10 and at 15
    assert cut([line], "lines") == {
        "train": ["one two\tthree "], "validation": ["four "], "test": ["x" + end],
    }  # fmt: skip
    assert cut(["aaaa bbbb cc dd eeee"], "lines") == {  # a word begins at 10, but not at 15
        "train": ["aaaa bbbb "], "validation": ["cc dd "], "test": ["eeee"],
    }  # fmt: skip
    nowhere = cut(["a" * 20 + end], "lines")
    assert nowhere == {"train": ["a" * 20 + end], "validation": [], "test": []}


def test_without_a_test_split_validation_is_the_end():
    lines = [f"{number}\n" for number in range(10)]
    parts = cut(lines, "lines", ["validation"], {"validation": 0.2})
    assert parts == {"train": lines[:8], "validation": lines[8:]}
    assert cut(lines, "lines", []) == {"train": lines}
    # the share of a split that is not missing does not count
    assert cut(lines, "lines", ["test"]) == {"train": lines[:8], "test": lines[8:]}


def test_blank_lines_are_no_place_of_their_own():
    lines = ["a\n", "\n", "\n", "b\n", "\n", "c\n"]  # 9 characters: cut at 4 and at 6
    assert cut(lines, "lines") == {
        "train": ["a\n", "\n", "\n"], "validation": ["b\n"], "test": ["\n", "c\n"],
    }  # fmt: skip


fractions = st.floats(0.01, 0.49)
seeds = st.integers(0, 9)
splits_missing = st.sampled_from([[], ["validation"], ["test"], list(BOTH)])
labels = st.lists(st.sampled_from("abc"), min_size=1, max_size=60)


@given(labels, fractions, seeds, splits_missing)
def test_nothing_is_lost_and_nothing_is_there_twice(labels, fraction, seed, missing):
    examples = [LabelledText(str(number), label) for number, label in enumerate(labels)]
    for rule in (
        stratified(fraction, seed, label_of),
        at_random(fraction, seed),
        by_group(fraction, seed, label_of),
    ):
        notes = []
        parts = rule(examples, missing, notes)
        assert set(parts) == {*missing, "train"}
        assert sorted(itertools.chain(*parts.values())) == sorted(examples)
        assert notes == []
    for name, size in sizes_of(at_random(fraction, seed)(examples, missing, [])).items():
        if name != "train":
            assert abs(size - fraction * len(examples)) <= 1


texts = st.text(st.sampled_from("ab \t\n"), min_size=1, max_size=60)
halves = st.floats(0.01, 0.49)


@given(texts, halves, halves, splits_missing, st.sampled_from(["lines", "characters"]))
def test_a_text_stays_in_its_order(text, validation, test, missing, unit):
    shares = {"validation": validation, "test": test}
    parts = by_position(shares, unit)(text.splitlines(keepends=True), missing, [])
    texts = ["".join(parts[name]) for name in ("train", *BOTH) if name in parts]
    assert set(parts) == {*missing, "train"}
    assert "".join(texts) == text
    places = list(itertools.accumulate(map(len, texts)))[:-1]
    kept, wanted = 1.0, []
    for name in reversed(missing):
        kept -= shares[name]
        wanted.insert(0, max(0, int(len(text) * kept)))
    if unit == "characters":
        assert places == wanted
        return
    lines = text.count("\n", 0, len(text) - 1) > 0
    for place, least in zip(places, wanted, strict=True):
        assert place >= least
        before = text[place - 1 : place]
        assert place in (0, len(text)) or (before == "\n" if lines else before.isspace())
        # at no later place than has to be
        assert not any(
            text[at - 1] == "\n" or (not lines and text[at - 1].isspace())
            for at in range(max(1, least), place)
        )


# -- a corpus --------------------------------------------------------------------------------------


def recorded(asked):
    """A rule that writes down what it is asked for, and gives a third to each."""

    def rule(examples, missing, notes):
        asked.append((list(examples), list(missing)))
        notes.append("cut")
        return {name: examples[i::3] for i, name in enumerate([*missing, "train"])}

    return rule


def test_what_is_missing_is_cut_from_the_whole_or_from_train():
    asked = []
    numbers = list(range(9))
    corpus = cut_splits(Corpus("here", {"all": numbers}, ["read"]), recorded(asked), "number")
    assert asked.pop() == (numbers, ["validation", "test"])
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert corpus.splits["train"] == [2, 5, 8]
    assert (corpus.source, corpus.notes) == ("here", ["read", "cut"])

    given = Corpus("here", {"test": [0], "train": numbers}, languages=("en", "de"))
    corpus = cut_splits(given, recorded(asked), "number")
    assert asked.pop() == (numbers, ["validation"])
    assert corpus.splits == {"train": [1, 4, 7], "validation": [0, 3, 6], "test": [0]}
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert corpus.languages == ("en", "de")
    assert (given.notes, set(given.splits)) == ([], {"train", "test"})

    complete = Corpus("here", {"train": numbers, "validation": [1], "test": [2]})
    cut_splits(complete, recorded(asked), "number")
    assert asked.pop() == (numbers, [])
    cut_splits(Corpus("here", {"all": numbers}), recorded(asked), "number", wanted=["validation"])
    assert asked.pop() == (numbers, ["validation"])
    assert whole_of(complete) == "train"
    assert whole_of(Corpus("here", {"all": [], "test": []})) == "all"


def test_a_split_without_examples_is_refused():
    with pytest.raises(UserError, match="f: no number is left for the validation split"):
        cut_splits(Corpus("f", {"all": [1, 2]}), at_random(0.1, 1), "number")
    with pytest.raises(UserError, match="f: no number is left for the test split"):
        cut_splits(Corpus("f", {"train": [1] * 20, "test": []}), at_random(0.1, 1), "number")
    with pytest.raises(UserError, match="f: no number is left for the train split"):
        cut_splits(Corpus("f", {"test": [1]}), at_random(0.1, 1), "number", wanted=["test"])


def test_what_the_splits_have_in_common_is_noted():
    splits = {"train": ["a1", "b1", "c1"], "validation": ["b2", "a2"], "test": ["d"]}
    shared = "letters", lambda text: text[0]
    corpus = cut_splits(Corpus("here", splits), at_random(0.1, 1), "word", shared)
    assert corpus.notes == ["2 letters occur in both train and validation (kept as they came)"]
    assert corpus.splits == splits


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_example_is_validation_in_one_fold(count):
    corpus = Corpus("here", {"train": list(range(40)), "validation": [40, 41], "test": [50, 51]})

    def cut(rest, share):
        return cut_splits(rest, at_random(share, 1), "number")

    made = folds(corpus, cut, count)
    assert len(made) == count
    for fold in made:
        assert sorted([*fold.splits["train"], *fold.splits["validation"]]) == list(range(42))
        assert fold.splits["test"] == [50, 51]
        assert abs(len(fold.splits["validation"]) - 42 / count) < 1
    assert sorted(each for fold in made for each in fold.splits["validation"]) == list(range(42))
    assert made[1].notes == [f"fold 2 of {count} is validation, of train and validation together"]


def test_folds_of_a_text_keep_its_order():
    lines = [f"line {i}\n" for i in range(10, 50)]
    corpus = Corpus("here", {"train": lines[:30], "validation": lines[30:]})

    def cut(rest, share):
        rule = by_position({"validation": share}, "lines")
        return cut_splits(rest, rule, "text", wanted=["validation"])

    made = folds(corpus, cut, 4)
    assert [line for fold in made for line in fold.splits["validation"]] == lines
    for fold in made:
        assert fold.splits["train"] == sorted(fold.splits["train"])


def test_a_label_of_one_fold_alone_stays_in_train():
    corpus = Corpus("here", {"train": [*range(20), 99], "validation": [20]})

    def cut(rest, share):
        return cut_splits(rest, at_random(share, 1), "number", wanted=["validation"])

    made = folds(corpus, cut, 3, lambda number: "odd" if number == 99 else "usual")
    assert all(99 in fold.splits["train"] for fold in made)
    (noted,) = (fold for fold in made if len(fold.notes) > 1)
    assert noted.notes[1] == "1 examples of labels in no other fold stay in train"
