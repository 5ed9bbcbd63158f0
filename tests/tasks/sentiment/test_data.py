import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.batches import BatchSettings, lengths_of, padding_waste
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import LabelledText
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.data import (
    Assets,
    EncodedTexts,
    LabelledBatches,
    check_labels,
    cut_corpus,
    encode_corpus,
    encode_split,
    encode_test,
    kind_of,
)
from kerasseq.tasks.sentiment.multiclass import Multiclass
from kerasseq.tasks.sentiment.multilabel import Multilabel
from kerasseq.tasks.sentiment.settings import SentimentSettings, TextSettings
from kerasseq.text.tokenizer import tokenize
from kerasseq.text.vocabulary import SPECIAL_TOKENS, Vocabulary
from kerasseq.training.run_folder import RunFolder

KIND = Multiclass(["bad", "good"])


def examples(texts, labels):
    return [LabelledText(*pair) for pair in zip(texts, labels, strict=True)]


def reviews(count, prefix=""):
    texts = [f"{prefix}text number {i}" for i in range(count)]
    return examples(texts, ["good" if i % 4 else "bad" for i in range(count)])


def texts_of(part):
    return [example.text for example in part]


def ids_of(part, assets):
    return [assets.vocabulary.encode(tokenize(text)) for text in texts_of(part)]


def test_texts_with_two_labels_are_counted():
    rows = [LabelledText(f"text {n}", "ab"[n % 2]) for n in range(60)]
    corpus = Corpus("here", {"all": [*rows, LabelledText("text 0", "b"), rows[1]]})
    notes = cut_corpus(corpus, 0.1, 1).notes
    assert notes == [
        "2 repeated texts removed before cutting",
        "1 of them had another label than the first of the same text, which counts",
    ]


def test_one_split_is_cut_into_three_without_leaks():
    whole = reviews(200)
    corpus = cut_corpus(Corpus("here", {"all": whole + whole[:50]}), 0.1, seed=1)
    sizes = {name: len(part) for name, part in corpus.splits.items()}
    assert sizes == {"train": 160, "validation": 20, "test": 20}
    assert corpus.notes == ["50 repeated texts removed before cutting"]
    texts = [text for part in corpus.splits.values() for text in texts_of(part)]
    assert len(set(texts)) == len(texts) == 200


def test_an_official_test_split_stays_whole():
    test = examples(["text number 1", "text number 1", "other"], ["good", "good", "bad"])
    corpus = cut_corpus(Corpus("here", {"train": reviews(100), "test": test}), 0.1, seed=1)
    assert corpus.splits["test"] == test
    assert len(corpus.splits["validation"]) == 10
    if "text number 1" in texts_of(corpus.splits["train"]):
        assert "1 texts occur in both train and test" in corpus.notes[-1]


def test_one_class_is_refused():
    with pytest.raises(UserError, match="at least two classes, but every label in train is 'x'"):
        cut_corpus(Corpus("f.csv", {"all": examples("abcdefghijkl", ["x"] * 12)}), 0.1, 1)


def test_a_class_of_nearly_all_is_said():
    labels = ["often"] * 95 + ["seldom"] * 5
    corpus = cut_corpus(
        Corpus("f", {"all": examples([f"t {i}" for i in range(100)], labels)}), 0.1, 1
    )
    assert corpus.notes == [
        "96.2% of train is 'often': accuracy says little of the rest (--training.monitor macro_f1, "
        "--class_weight balanced)"
    ]


def test_every_class_of_several_has_an_example_in_train():
    # "b" is nowhere without a rarer class
    rows = [*(("a",) for _ in range(90)), ("b", "c"), ("b", "d"), ("c",), ("d",), (), ()]
    whole = examples([f"t {i}" for i in range(len(rows))], rows)
    for seed in range(8):
        corpus = cut_corpus(Corpus("f", {"all": whole}), 0.2, seed, True)
        kind = kind_of(corpus, True)
        assert kind.names == ["a", "b", "c", "d"]
        assert sum(map(len, corpus.splits.values())) == len(rows)
        assert min(map(len, corpus.splits.values())) > 10


def test_balanced_classes_weigh_alike():
    labels = np.array([0, 0, 0, 1], np.int32)
    there, _ = Multiclass(["a", "b"]).weights(labels)
    assert there.tolist() == pytest.approx([2 / 3, 2])
    several = [np.array([0]), np.array([0, 1]), np.array([0]), np.array([], np.int32)]
    kind = Multilabel(["a", "b"])
    there, lacking = kind.weights(several)
    assert there.tolist() == pytest.approx([2 / 3, 2])
    assert lacking.tolist() == pytest.approx([2, 2 / 3])
    targets = kind.targets(several)
    assert targets.tolist() == [[1, 0], [1, 1], [1, 0], [0, 0]]
    weights = kind.weight_of(targets, (there, lacking))
    assert weights.mean(axis=0).tolist() == pytest.approx([1, 1])
    split = EncodedTexts([np.array([2, 5], np.int32)] * 4, several)
    settings = SentimentSettings(class_weight="balanced", multi_label=True)
    batch = LabelledBatches(split, kind, settings).fetch(np.array([1, 3]))
    np.testing.assert_allclose(batch["weight"], [[2 / 3, 2], [2, 2 / 3]], rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_the_loss_of_several_labels_is_binary_cross_entropy(smoothing):
    random = np.random.default_rng(4)
    logits = random.normal(size=(5, 3)).astype(np.float32)
    truth = (random.random((5, 3)) < 0.4).astype(np.float32)
    smooth = truth * (1 - smoothing) + smoothing / 2
    shares = 1 / (1 + np.exp(-logits))
    wanted = -(smooth * np.log(shares) + (1 - smooth) * np.log(1 - shares))
    kind, weight = Multilabel(list("abc")), random.random((5, 3)).astype(np.float32)
    np.testing.assert_allclose(kind.nll(truth, logits, smoothing, None), wanted.mean(1), rtol=1e-5)
    weighted = (wanted * weight).mean(1)
    np.testing.assert_allclose(kind.nll(truth, logits, smoothing, weight), weighted, rtol=1e-5)


def test_too_few_rows_are_refused():
    with pytest.raises(UserError, match="no example is left"):
        cut_corpus(Corpus("f.csv", {"all": examples(["a", "b"], ["x", "y"])}), 0.1, 1)


def test_an_unseen_label_is_named():
    corpus = Corpus("f", {"train": reviews(8), "test": examples(["t", "u"], ["good", "meh"])})
    with pytest.raises(UserError, match=r"label 'meh' \(example 2, 1 in all\)"):
        kind_of(corpus, False)
    check_labels(examples(["t"], ["bad"]), KIND, "here")


def test_duplicates_keep_their_first_row():
    whole = reviews(40)
    again = [LabelledText(whole[0].text, "other"), *whole[1:]]
    corpus = cut_corpus(Corpus("here", {"all": whole + again}), 0.1, 1)
    assert sorted(itertools.chain(*corpus.splits.values())) == sorted(whole)


def test_vocabulary_comes_from_train_only():
    train = examples(["A film, a film", "bad"], ["good", "bad"])
    test = examples(["unseen film"], ["good"])
    settings = TextSettings(min_count=1, max_length=3)
    corpus = Corpus("here", {"train": train, "validation": test, "test": test}, ["a note"])
    data = encode_corpus(corpus, KIND, SentimentSettings(text=settings))
    assert data.assets.vocabulary.tokens[4:] == ("a", "film", ",", "bad")
    assert data.splits["test"].sequences[0].tolist() == [2, 1, 5]
    assert data.splits["train"].labels.tolist() == [1, 0]
    report = data.report["splits"]["train"]
    assert report["labels"] == {"bad": 1, "good": 1}
    assert report["length_percentiles"]["p100"] == 5
    assert report["cut_share"] == 0.5
    assert (data.report["source"], data.report["notes"]) == ("here", ["a note"])
    assert data.samples == ["unseen film"]
    split, summary = encode_split(test, ids_of(test, data.assets), data.assets, settings)
    assert summary == data.report["splits"]["test"]
    assert np.array_equal(split.sequences[0], data.splits["test"].sequences[0])
    # other data of the same texts is encoded as they were
    other = Corpus("there", {"all": [*test, LabelledText(" ", "meh")]})
    found = encode_test(other, "all", data.assets, settings)
    assert found.report["splits"] == {"all": summary}
    assert found.report["notes"] == ["1 texts without any token dropped"]
    assert found.splits["test"].sequences[0].tolist() == [2, 1, 5]
    assert found.samples == ()
    with pytest.raises(UserError, match=r"there: label 'meh' \(example 1, 1 in all\)"):
        encode_test(Corpus("there", {"all": [LabelledText("x", "meh")]}), "all", data.assets,
                    settings)  # fmt: skip


def test_texts_without_a_token_are_dropped_first_and_counted():
    whole = reviews(100)
    blank = [*whole, *examples(["", " <br /> ", ""], ["good"] * 3)]
    corpus = cut_corpus(Corpus("here", {"all": blank}), 0.1, seed=1)
    assert corpus.notes == ["3 texts without any token dropped"]
    assert sum(map(len, corpus.splits.values())) == 100
    with pytest.raises(UserError, match="every text is empty after tokenising"):
        cut_corpus(Corpus("here", {"all": examples([" ", ""], ["a", "b"])}), 0.1, 1)
    two = examples(["word"] * 9 + [" "] * 9, ["a"] * 9 + ["b"] * 9)
    with pytest.raises(UserError, match="at least two classes"):
        cut_corpus(Corpus("here", {"train": two, "validation": two, "test": two}), 0.1, 1)


def test_overlap_of_official_splits_is_said():
    part = reviews(40)
    splits = {"train": part, "validation": part[:9], "test": reviews(9, "other ")}
    corpus = cut_corpus(Corpus("here", splits), 0.1, 1)
    assert corpus.notes == ["9 texts occur in both train and validation (kept as they came)"]


def test_the_digest_follows_texts_labels_and_order():
    base = reviews(4)
    relabelled = examples(texts_of(base), [example.label for example in base[::-1]])
    assets = Assets(Vocabulary(SPECIAL_TOKENS), KIND)
    digests = {
        encode_split(part, ids_of(part, assets), assets, TextSettings())[1]["sha256"]
        for part in (base, relabelled, [base[i] for i in (1, 0, 2, 3)], base)
    }
    assert len(digests) == 3


def test_assets_come_back_from_a_run_folder(tmp_path):
    kind = Multilabel(["$a_^$", "ü"], [0.25, 0.5])
    assets = Assets(Vocabulary((*SPECIAL_TOKENS, "fein", "👍")), kind, 7)
    assets.save(RunFolder(tmp_path))
    loaded = Assets.load(RunFolder(tmp_path), SentimentSettings(multi_label=True))
    assert loaded.vocabulary.tokens == assets.vocabulary.tokens
    assert (loaded.kind.names, loaded.kind.thresholds) == (kind.names, kind.thresholds)
    assert loaded.ngrams == 7


lengths = st.lists(st.integers(1, 60), min_size=1, max_size=80).map(np.array)
settings = st.builds(
    BatchSettings, st.integers(1, 9), st.integers(1, 5), pad_to_multiple=st.integers(1, 9)
)


@given(lengths, settings, st.integers(0, 9))
def test_rows_are_right_padded_and_keep_their_tokens(lengths, settings, seed):
    sequences = [np.arange(1, n + 1, dtype=np.int32) for n in lengths]
    split = EncodedTexts(sequences, lengths.astype(np.int32))
    assert np.array_equal(split.lengths, lengths_of(sequences))
    batches = LabelledBatches(split, KIND, SentimentSettings(batches=settings, seed=seed))
    cells = tokens = 0
    for item in batches.epoch(0):
        batch = batches.fetch(item)
        assert batch["ids"].shape[1] % settings.pad_to_multiple == 0
        assert batch["ids"].shape[1] - lengths[item].max() < settings.pad_to_multiple
        for row, n, label in zip(batch["ids"], lengths[item], batch["label"], strict=True):
            assert label == n
            assert row[:n].tolist() == list(range(1, n + 1))
            assert not row[n:].any()
        assert batches.tokens(item) == lengths[item].sum()
        cells += batch["ids"].size
        tokens += batches.tokens(item)
    assert tokens == lengths.sum()
    waste = padding_waste(lengths, batches.epoch(0), settings.pad_to_multiple)
    assert np.isclose(waste, 1 - tokens / cells)
    assert batches.waste() == {
        "padding waste": f"{waste:.2%} of {len(batches.epoch(0))} training batches"
    }
