"""Pairs that teach nothing, and a cut that no sentence is on both sides of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import Pair
from kerasseq.errors import UserError
from kerasseq.tasks.translation.cleaning import clean, cut_corpus


def own(*pairs):
    """Pairs that are their own groups."""
    return [Pair(source, target, source) for source, target in pairs]


def test_cleaning_leaves_out_what_teaches_nothing():
    eight = "one two three four five six seven eight"
    pairs = own(
        ("  a\u00a0 b\t", "A B"),  # the white space goes
        ("x" * 99, ""),
        ("", ""),
        (eight + " nine ten eleven", "x y z w"),
        (eight, "uno dos"),  # four times the words
        ("uno dos", eight),
        (eight, "uno dos tres"),
        ("Get lost!", "Va voir ailleurs si j' y suis"),  # 7 words at most, whatever the other has
        (eight, "一二三四五六七八。"),
        ("ก" * 40, eight),
        ("a b", "A  B"),  # a repeat of the first
        ("a b", "a b"),
    )
    held_out = own((" a ", " " * 2 + "b c"), (eight * 9, "x"), ("a", "b c"))
    corpus = Corpus("o", {"train": pairs, "test": held_out}, ["n"], ("en", "xx"))
    cleaned = clean(corpus, 10, 3.0)
    assert cleaned.splits["train"] == own(
        ("a b", "A B"),
        (eight, "uno dos tres"),
        ("Get lost!", "Va voir ailleurs si j' y suis"),
        (eight, "一二三四五六七八。"),
        ("ก" * 40, eight),
        ("a b", "a b"),
    )
    assert cleaned.splits["test"] == own(("a", "b c"), (eight * 9, "x"), ("a", "b c"))
    assert cleaned.notes == [
        "n",
        "2 pairs left out: a side is empty",
        "1 pairs left out: more than 10 words on a side",
        "2 pairs left out: more than 3 times the words of the other side",
        "1 pairs left out: repeats of another",
    ]
    assert cleaned.languages == ("en", "xx")
    assert clean(cleaned, 10, 3.0) == cleaned


def test_nothing_left_after_cleaning():
    corpus = Corpus("o", {"all": own(("a b c", "d"), ("", "x"))})
    with pytest.raises(UserError) as caught:
        clean(corpus, 2, 3.0)
    assert str(caught.value) == (
        "o: nothing is left after cleaning (1 pairs left out: a side is empty; "
        "1 pairs left out: more than 2 words on a side)"
    )


texts = st.text(alphabet="ab \u00a0\tก", max_size=12)
raw_pairs = st.lists(st.builds(Pair, texts, texts, st.sampled_from("123")), max_size=20)


@given(train=raw_pairs, test=raw_pairs, max_words=st.integers(1, 9), ratio=st.floats(1, 4))
def test_cleaning_twice_is_cleaning_once(train, test, max_words, ratio):
    corpus = Corpus("o", {"train": train, "test": test})
    try:
        once = clean(corpus, max_words, ratio)
    except UserError:
        return
    assert clean(once, max_words, ratio) == once
    assert len(once.splits["test"]) == len(test)


def test_whole_groups_are_cut_near_the_share():
    pairs = [Pair(f"s{i}", f"t{i}", f"chapter {i // 7}") for i in range(700)]
    corpus = cut_corpus(Corpus("o", {"all": pairs}), 0.1, 1)
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert [len(part) for part in corpus.splits.values()] == [560, 70, 70]
    assert corpus.notes == []
    for part in corpus.splits.values():
        assert part == sorted(part, key=pairs.index)  # in the order of the source
    other = cut_corpus(Corpus("o", {"all": pairs}), 0.1, 2)
    assert other.splits["test"] != corpus.splits["test"]


def test_official_splits_stay():
    train = own(*((f"s{i}", f"t{i}") for i in range(40)))
    held_out = own(("s0", "t0"), ("s0", "t0"), ("s1", "x"), ("new", "t2"))
    both = Corpus("o", {"train": train, "validation": held_out, "test": held_out})
    kept = cut_corpus(both, 0.1, 1)
    assert kept.splits == both.splits
    assert kept.notes == [
        "2 source sentences occur in both train and validation (kept as they came)",
        "2 source sentences occur in both train and test (kept as they came)",
        "3 source sentences occur in both validation and test (kept as they came)",
    ]
    corpus = cut_corpus(Corpus("o", {"train": train, "test": held_out}), 0.1, 1)
    assert corpus.splits["test"] == held_out
    # what is cut shares no sentence with the test split: s0, s1 and t2 are there
    assert sorted(corpus.splits["train"] + corpus.splits["validation"]) == sorted(train[3:])
    assert 2 <= len(corpus.splits["validation"]) <= 4


def test_pairs_that_share_a_sentence_stay_on_one_side():
    pairs = [Pair(f"s{i}", f"t{i // 2}", f"s{i}") for i in range(200)]
    corpus = cut_corpus(Corpus("o", {"all": pairs}, ["n"]), 0.1, 1)
    kept = [pair for part in corpus.splits.values() for pair in part]
    validation, train = (int(note.split()[0]) for note in corpus.notes[1:])
    assert (len(corpus.splits["test"]), len(corpus.splits["validation"])) == (20, 20 - validation)
    assert len(kept) == 200 - validation - train
    assert corpus.notes[0] == "n"
    assert corpus.notes[2].endswith(
        "pairs of train left out after the cut: their source or target sentence is in another split"
    )
    splits_of = {}
    for name, part in corpus.splits.items():
        for pair in part:
            splits_of.setdefault(pair.target, set()).add(name)
    assert all(len(names) == 1 for names in splits_of.values())


def test_no_pair_left_for_a_split():
    for splits in ({"all": []}, {"all": own(("a", "b"))}, {"validation": own(("a", "b"))}):
        with pytest.raises(UserError, match=r"o: no pair is left for the (train|validation) split"):
            cut_corpus(Corpus("o", splits), 0.1, 1)


few = st.sampled_from([f"{letter}{n}" for letter in "abc" for n in range(9)])


@given(
    pairs=st.lists(st.builds(Pair, few, few, few, st.just(())), min_size=20, max_size=60),
    fraction=st.floats(0.05, 0.3),
    seed=st.integers(0, 99),
    whole=st.sampled_from(["all", "train"]),
)
def test_nothing_is_on_two_sides_of_a_cut(pairs, fraction, seed, whole):
    corpus = Corpus("o", {whole: pairs})
    try:
        cut = cut_corpus(corpus, fraction, seed)
    except UserError as error:
        assert "no pair is left for the" in str(error)  # noqa: PT017
        return
    assert cut_corpus(corpus, fraction, seed) == cut
    for column in range(3):  # source, target, group
        values = [{pair[column] for pair in part} for part in cut.splits.values()]
        assert len(set.union(*values)) == sum(map(len, values))
    kept = [pair for part in cut.splits.values() for pair in part]
    left_out = sum(int(note.split()[0]) for note in cut.notes)
    assert len(kept) == len(pairs) - left_out
    assert set(kept) <= set(pairs)
