import numpy as np
import pytest

from kerasseq.config import from_dict
from kerasseq.data.corpus import Corpus
from kerasseq.errors import UserError
from kerasseq.tasks.language_model.data import cut_corpus, encode_corpus, encode_split
from kerasseq.tasks.language_model.reading import lines_of, read_path
from kerasseq.tasks.language_model.settings import VocabularySettings
from kerasseq.text.vocabulary import EOS, UNK
from tests.tasks.conftest import benchmark


def corpus(train="A cat sat .\n\na cat ran", validation="A dog ran\n", **more):
    texts = {"train": train, "validation": validation, **more}
    return Corpus("source", {name: lines_of(text) for name, text in texts.items()}, ["note"])


def encoded(settings=None, **texts):
    settings = {"min_count": 1} | (settings or {})
    return encode_corpus(corpus(**texts), VocabularySettings(**settings))


def test_words():
    data = encoded()
    vocabulary = data.assets.codec.vocabulary
    assert data.assets.codec.units == "words"
    assert vocabulary.tokens[4:] == ("a", "cat", ".", "ran", "sat")
    a, cat, dot, ran, sat = range(4, 9)
    assert data.splits["train"].tolist() == [a, cat, sat, dot, EOS, EOS, a, cat, ran, EOS]
    assert data.splits["validation"].tolist() == [a, UNK, ran, EOS]
    assert all(ids.dtype == np.int32 for ids in data.splits.values())
    assert data.assets.counts.tolist() == [0, 0, 0, 3, 2, 2, 1, 1, 1]
    report = data.report
    assert {name: value for name, value in report.items() if name != "splits"} == {
        "source": "source",
        "notes": ["note"],
        "level": "word",
        "units": "words",
        "vocabulary": 9,
        "types": 6,
    }
    summary = report["splits"]["train"]
    assert summary.pop("sha256") != report["splits"]["validation"]["sha256"]
    assert summary == {
        "examples": 3,
        "labels": {},
        "tokens": 10,
        "characters": 22,
        "unknown": 0,
        "unknown_share": 0.0,
        "length_percentiles": {"p5": 1, "p25": 2, "p50": 4, "p75": 4, "p95": 4, "p100": 5},
    }
    assert report["splits"]["validation"]["unknown"] == 1
    assert report["splits"]["validation"]["unknown_share"] == 0.25


def test_blanks_are_recognised_or_chosen():
    data = encoded(train="The <unk> sat\n", validation="The <eos> <unk>\n", test="a <unk>\n")
    assert data.assets.codec.units == "blanks"
    assert data.assets.codec.vocabulary.tokens[4:] == ("The", "sat")
    assert data.splits["validation"].tolist() == [4, UNK, UNK, EOS]
    assert data.report["types"] == 4  # with <unk> and the line end
    assert encoded({"tokenizer": "words"}, train="The <unk> sat\n").assets.codec.units == "words"
    chosen = encoded({"tokenizer": "blanks"}, train="The cat's\n")
    assert chosen.assets.codec.vocabulary.tokens[4:] == ("The", "cat's")


def test_characters_are_as_they_came():
    train = " Ab\r\n\nbé"
    data = encoded({"level": "char"}, train=train, validation="xA\n\n")
    assert data.assets.codec.decode(data.splits["train"]) == train
    assert data.splits["train"][-1] != EOS  # none is added
    assert data.assets.codec.decode(data.splits["validation"]) == "<unk>A\n\n"
    assert data.report["splits"]["train"]["examples"] == 3
    assert data.report["splits"]["train"]["tokens"] == len(train)
    assert data.report["types"] == len(set(train))
    assert data.assets.counts.sum() == len(train)


def test_size_and_count_of_the_vocabulary():
    train = "a a a b b c\n"
    data = encoded({"vocabulary_size": 6}, train=train)
    assert data.assets.codec.vocabulary.tokens[4:] == ("a", "b")
    data = encoded({"min_count": 2}, train=train)
    assert data.assets.codec.vocabulary.tokens[4:] == ("a", "b")
    assert data.report["splits"]["train"]["unknown"] == 1
    assert data.report["types"] == 4
    assert len(encoded({"vocabulary_size": 7}, train=train).assets.codec.vocabulary) == 7


def test_rare_raw_words_are_unknown_unless_told():
    train = "often " * 5 + "rare " * 4 + "\n"
    assert encoded({"min_count": 0}, train=train).assets.codec.vocabulary.tokens[4:] == ("often",)
    for chosen in ({"vocabulary_size": 6}, {"tokenizer": "blanks"}):
        data = encoded({"min_count": 0, **chosen}, train=train)
        assert data.assets.codec.vocabulary.tokens[4:] == ("often", "rare")
    data = encoded({"min_count": 0, "level": "char"}, train="ab", validation="ab")
    assert data.assets.codec.vocabulary.tokens[4:] == ("a", "b")


@pytest.mark.parametrize(
    ("settings", "texts", "message"),
    [
        (
            {"vocabulary_size": 8},
            {"train": "a a a b b c\n"},
            r"vocabulary_size 8 .* has 3 types, which are 7 ids",
        ),
        (
            {"vocabulary_size": 7, "min_count": 2},
            {"train": "a a a b b c\n"},
            r"has 2 types \(min_count is 2\), which are 6 ids",
        ),
        ({"min_count": 9}, {}, "no token of the train split occurs 9 times, as text.min_count"),
        ({"min_count": 0}, {}, "occurs 5 times, as a vocabulary of raw words asks for"),
        ({}, {"train": "\n \n"}, "the train split has fewer than two tokens"),
        ({}, {"train": ""}, "the train split has fewer than two tokens"),
        ({}, {"train": "word\n"}, "the train split has fewer than two tokens"),
        ({"level": "char"}, {"train": "a\n"}, "the train split has fewer than two tokens"),
        ({}, {"validation": "\n\n"}, "the validation split has fewer than two tokens"),
    ],
)
def test_bad_texts(settings, texts, message):
    with pytest.raises(UserError, match=message) as caught:
        encoded(settings, **texts)
    assert str(caught.value).startswith("source: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocabulary_size": 4}, r"vocabulary_size must be 0 \(all tokens\) or >= 5, got 4"),
        ({"vocabulary_size": -1}, "vocabulary_size must be >= 0"),
        ({"min_count": -1}, "min_count must be >= 0"),
        ({"level": "char", "tokenizer": "words"}, "tokenizer words is for level word"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(UserError, match=message):
        VocabularySettings(**settings)


def test_settings_are_written_and_read():
    settings = VocabularySettings(level="char", vocabulary_size=5)
    assert from_dict(VocabularySettings, settings.to_dict()) == settings


def test_another_text_is_encoded_for_a_trained_model():
    codec = encoded().assets.codec
    ids, summary = encode_split(["a cat"], codec)
    assert ids.tolist() == [4, 5, EOS]
    assert (summary["examples"], summary["characters"]) == (1, 5)
    assert encode_split(["a cat\n"], codec)[0].tolist() == ids.tolist()
    assert encode_split([], codec)[0].tolist() == [EOS]
    empty, summary = encode_split([], encoded({"level": "char"}).assets.codec)
    assert (len(empty), summary["examples"], summary["unknown_share"]) == (0, 1, 0.0)


def test_a_million_tokens_on_one_line():
    data = encoded(train="some words " * 500_000)
    assert len(data.splits["train"]) == 1_000_001
    assert data.report["splits"]["train"]["examples"] == 1


@pytest.fixture
def real():
    return lambda name: benchmark(f"lm/{name}")


def read_encoded(path, unit="lines", **settings):
    source = cut_corpus(read_path(path, "utf-8"), 0.1, 0.1, unit)
    data = encode_corpus(source, VocabularySettings(**settings))
    sizes = {name: len(ids) for name, ids in data.splits.items()}
    return data, sizes, data.report


def test_penn_treebank(real):
    data, sizes, report = read_encoded(real("ptb"))
    assert sizes == {"train": 929_589, "validation": 73_760, "test": 82_430}
    assert [part["examples"] for part in report["splits"].values()] == [42_068, 3_370, 3_761]
    assert (report["units"], report["types"], report["vocabulary"]) == ("blanks", 10_000, 10_002)
    assert data.assets.counts[EOS] == 42_068
    assert report["splits"]["train"]["unknown"] == data.assets.counts[UNK] == 45_020


def test_wikitext_2(real):
    _, sizes, report = read_encoded(real("wikitext-2"))
    assert sizes == {"train": 2_088_628, "validation": 217_646}
    assert [part["examples"] for part in report["splits"].values()] == [36_718, 3_760]
    assert (report["types"], report["vocabulary"]) == (33_278, 33_280)
    assert report["notes"] == ["there is no test split"]


def test_tinyshakespeare(real):
    data, sizes, report = read_encoded(
        real("tinyshakespeare/input.txt.gz"), "characters", level="char"
    )
    assert sum(sizes.values()) == 1_115_394
    assert sizes["test"] == 111_540
    assert report["types"] == 65
    assert report["vocabulary"] == 4 + 64
    assert data.assets.codec.decode(data.splits["train"][:15]) == "First Citizen:\n"
