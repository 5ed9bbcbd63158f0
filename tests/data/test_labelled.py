from collections import Counter

import numpy as np
import pytest
from kerasseq.data.labelled import (
    Corpus,
    Examples,
    check_labels,
    class_names,
    cut_splits,
    stratified,
    without_duplicates,
)

from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.data import TextSettings, encode_corpus, encode_split
from kerasseq.text.tokenizer import tokenize
from kerasseq.text.vocabulary import SPECIAL_TOKENS, Vocabulary


def reviews(count, prefix=""):
    texts = [f"{prefix}text number {i}" for i in range(count)]
    return Examples(texts, ["good" if i % 4 else "bad" for i in range(count)])


def test_stratified_parts_keep_the_balance():
    labels = ["a"] * 100 + ["b"] * 300
    parts = stratified(labels, [0.1, 0.1], seed=3)
    assert [len(part) for part in parts] == [40, 40, 320]
    assert sorted(np.concatenate(parts)) == list(range(400))
    for part in parts:
        assert Counter(labels[i] for i in part)["a"] * 4 == len(part)
    again = stratified(labels, [0.1, 0.1], seed=3)
    other = stratified(labels, [0.1, 0.1], seed=4)
    assert np.array_equal(parts[0], again[0])
    assert not np.array_equal(parts[0], other[0])


def test_one_split_is_cut_into_three_without_leaks():
    whole = reviews(200)
    doubled = Examples(whole.texts + whole.texts[:50], whole.labels + whole.labels[:50])
    corpus = cut_splits(Corpus("here", {"all": doubled}), 0.1, seed=1)
    sizes = {name: len(part) for name, part in corpus.splits.items()}
    assert sizes == {"train": 160, "validation": 20, "test": 20}
    assert corpus.notes == ["50 repeated texts removed before cutting"]
    texts = [text for part in corpus.splits.values() for text in part.texts]
    assert len(set(texts)) == len(texts) == 200


def test_an_official_test_split_stays_whole():
    test = Examples(["text number 1", "text number 1", "other"], ["good", "good", "bad"])
    corpus = cut_splits(Corpus("here", {"train": reviews(100), "test": test}), 0.1, seed=1)
    assert corpus.splits["test"] == test
    assert len(corpus.splits["validation"]) == 10
    if "text number 1" in corpus.splits["train"].texts:
        assert "1 texts occur in both train and test" in corpus.notes[-1]


def test_one_class_is_refused():
    with pytest.raises(UserError, match="at least two classes, but every label in train is 'x'"):
        cut_splits(Corpus("f.csv", {"all": Examples(list("abcdefghijkl"), ["x"] * 12)}), 0.1, 1)


def test_too_few_rows_are_refused():
    with pytest.raises(UserError, match="no example is left"):
        cut_splits(Corpus("f.csv", {"all": Examples(["a", "b"], ["x", "y"])}), 0.1, 1)


def test_an_unseen_label_is_named():
    corpus = Corpus("f", {"train": reviews(8), "test": Examples(["t", "u"], ["good", "meh"])})
    with pytest.raises(UserError, match=r"label 'meh' \(example 2, 1 in all\)"):
        class_names(corpus)
    check_labels(Examples(["t"], ["bad"]), ["bad", "good"], "here")


def test_duplicates_keep_their_first_row():
    assert without_duplicates(Examples(["a", "b", "a"], ["1", "2", "3"])).labels == ["1", "2"]


def test_vocabulary_comes_from_train_only():
    train = Examples(["A film, a film", "bad"], ["good", "bad"])
    test = Examples(["unseen film"], ["good"])
    settings = TextSettings(min_count=1, max_length=3)
    corpus = Corpus("here", {"train": train, "validation": test, "test": test})
    data = encode_corpus(corpus, ["bad", "good"], settings)
    assert data.vocabulary.tokens[4:] == ("a", "film", ",", "bad")
    assert data.splits["test"].sequences[0].tolist() == [2, 1, 5]
    assert data.splits["train"].labels.tolist() == [1, 0]
    report = data.report["splits"]["train"]
    assert report["labels"] == {"bad": 1, "good": 1}
    assert report["length_percentiles"]["p100"] == 5
    assert report["cut_share"] == 0.5
    split, summary = encode_split(
        test, map(tokenize, test.texts), data.class_names, data.vocabulary, settings
    )
    assert summary == data.report["splits"]["test"]
    assert np.array_equal(split.sequences[0], data.splits["test"].sequences[0])


def test_texts_without_a_token_are_dropped_first_and_counted():
    whole = reviews(100)
    blank = Examples([*whole.texts, "", " <br /> ", ""], whole.labels + ["good"] * 3)
    corpus = cut_splits(Corpus("here", {"all": blank}), 0.1, seed=1)
    assert corpus.notes == ["3 texts without any token dropped"]
    assert sum(map(len, corpus.splits.values())) == 100
    with pytest.raises(UserError, match="every text is empty after tokenising"):
        cut_splits(Corpus("here", {"all": Examples([" ", ""], ["a", "b"])}), 0.1, 1)
    two = Examples(["word"] * 9 + [" "] * 9, ["a"] * 9 + ["b"] * 9)
    with pytest.raises(UserError, match="at least two classes"):
        cut_splits(Corpus("here", {"train": two, "validation": two, "test": two}), 0.1, 1)


def test_overlap_of_official_splits_is_said():
    part = reviews(40)
    splits = {"train": part, "validation": part.take(range(9)), "test": reviews(9, "other ")}
    corpus = cut_splits(Corpus("here", splits), 0.1, 1)
    assert corpus.notes == ["9 texts occur in both train and validation (kept as they came)"]


def test_the_digest_follows_texts_labels_and_order():
    base = reviews(4)
    relabelled = Examples(base.texts, base.labels[::-1])
    names, vocabulary = ["bad", "good"], Vocabulary(SPECIAL_TOKENS)
    digests = {
        encode_split(part, map(tokenize, part.texts), names, vocabulary, TextSettings())[1][
            "sha256"
        ]
        for part in (base, relabelled, base.take([1, 0, 2, 3]), base)
    }
    assert len(digests) == 3
