import gzip
import itertools
import os
import time

import pytest

from kerasseq.data.corpus import Corpus
from kerasseq.errors import UserError
from kerasseq.tasks.language_model.data import cut_corpus
from kerasseq.tasks.language_model.embedded import review_texts
from kerasseq.tasks.language_model.reading import lines_of, read_path
from tests.tasks.conftest import benchmark

BOOK = """\ufeffThe Project Gutenberg eBook of A Title

*** START OF THE PROJECT GUTENBERG EBOOK A TITLE ***



A TITLE

It was ***
a night.


*** END OF THE PROJECT GUTENBERG EBOOK A TITLE ***

*** START: FULL LICENSE ***
"""
OLD_BOOK = """Project Gutenberg's Other

*** START OF THIS PROJECT GUTENBERG EBOOK OTHER, OR,
THE LONG TITLE ***

OTHER

End of the Project Gutenberg EBook of Other, by One

*** END OF THIS PROJECT GUTENBERG EBOOK OTHER ***
"""


def write(path, content):
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.tokens", "novel", "a.txt.gz"])
def test_a_file_of_any_name(tmp_path, name):
    path = write(tmp_path / name, "\ufeffone\r\n two  \r\n\r\nthree\r\x85")
    corpus = read_path(path, "utf-8")
    lines = ["one\n", " two  \n", "\n", "three\r\x85"]
    assert corpus == Corpus(str(path), {"all": lines}, [])


def test_another_encoding(tmp_path):
    path = write(tmp_path / "a.txt", "é\r\nß".encode("utf-16"))
    assert read_path(path, "utf-16").splits == {"all": ["é\n", "ß"]}
    corpus = read_path(path, "utf-8")
    assert corpus.splits == {"all": ["é\n", "ß"]}
    assert corpus.notes == ["a.txt: read as utf-16, by its byte order mark"]
    write(path, "e\n".encode("utf-16-le"))
    with pytest.raises(UserError, match=r"not a text file: NUL character at offset 1.*--encoding"):
        read_path(path, "utf-8")


@pytest.mark.parametrize(
    "names",
    [
        ("ptb.train.txt", "ptb.valid.txt.gz", "ptb.test.txt"),
        ("wiki.train.tokens.gz", "wiki.valid.tokens", "wiki.test.tokens"),
        ("train.txt", "dev.txt", "test.txt"),
        ("train", "val", "test"),
        ("the-test-train.raw", "the-test.validation", "the.test"),
    ],
)
def test_a_folder_of_splits(tmp_path, names):
    for name, text in zip(names, ("a\n", "b\n", "c\n"), strict=True):
        write(tmp_path / name, text)
    for other in ("README.md", ".train.txt", "train.json", "SHA256SUMS"):
        write(tmp_path / other, "x\n")
    corpus = read_path(tmp_path, "utf-8")
    assert corpus.splits == {"train": ["a\n"], "validation": ["b\n"], "test": ["c\n"]}
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert all(note.startswith("not used, ") for note in corpus.notes)
    assert cut_corpus(corpus, 0.1, 0.1, "lines") == corpus


def test_other_texts_beside_splits_are_named(tmp_path):
    for name in ("train.txt", "The_Tempest.txt", "Emma.txt"):
        write(tmp_path / name, "x\n")
    with pytest.raises(UserError, match=r"train\.txt is taken for the train split"):
        read_path(tmp_path, "utf-8")
    write(tmp_path / "valid.txt", "x\n")
    corpus = read_path(tmp_path, "utf-8")
    assert list(corpus.splits) == ["train", "validation"]
    assert corpus.notes == ["not used, no split by their names: Emma.txt, The_Tempest.txt"]


def test_books_are_joined_in_order(tmp_path):
    write(tmp_path / "b.txt", OLD_BOOK.replace("\n", "\r\n"))
    write(tmp_path / "a.txt.gz", BOOK)
    write(tmp_path / "c.txt", "no end")
    write(tmp_path / "cover.jpg", b"\0")
    corpus = read_path(tmp_path, "utf-8")
    lines = ["A TITLE\n", "\n", "It was ***\n", "a night.\n", "OTHER\n", "no end\n"]
    assert corpus.splits == {"all": lines}
    assert corpus.notes[0] == "3 files joined: a.txt.gz, b.txt, c.txt"
    first = "a.txt.gz: header and footer of Project Gutenberg left out (178 of 207 characters)"
    assert corpus.notes[1] == "not used, no text (.txt, .tokens, .raw, .text): cover.jpg"
    assert len(corpus.notes) == 4
    assert corpus.notes[2] == first


def test_books_in_one_file_are_all_kept(tmp_path):
    path = write(tmp_path / "both.txt", BOOK + OLD_BOOK)
    lines = ["A TITLE\n", "\n", "It was ***\n", "a night.\n", "OTHER\n"]
    assert read_path(path, "utf-8").splits["all"] == lines


def test_a_text_about_gutenberg_is_left_alone(tmp_path):
    text = "I like Project Gutenberg.\n\n*** START ***\n\nPROJECT GUTENBERG\n\n"
    corpus = read_path(write(tmp_path / "a.txt", text), "utf-8")
    assert (corpus.splits["all"], corpus.notes) == (text.splitlines(keepends=True), [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "is empty"),
        ("a.txt", "\ufeff \r\n\n", "is empty"),
        ("a.txt.gz", "", "is empty"),
        (
            "a.txt",
            BOOK.replace("A TITLE\n\nIt was ***\na night.", ""),
            "has no text but the header",
        ),
        ("a.txt", b"caf\xe9\n", "is not utf-8: byte 0xe9 at offset 3"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0", "is not utf-8: byte 0x89 at offset 0"),
        ("a.txt", b"PK\x03\x04\0\0", "is not a text file: NUL character at offset 4"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    for source in (path, tmp_path):
        with pytest.raises(UserError) as caught:
            read_path(source, "utf-8")
        assert message in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_damaged_gz(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(b"not gzip")
    with pytest.raises(UserError, match="damaged or truncated"):
        read_path(path, "utf-8")
    content = gzip.compress(os.urandom(2000).hex().encode())
    for size in range(1, len(content), 101):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="damaged or truncated"):
            read_path(path, "utf-8")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no text file"),
        (["a.png", "b.json"], "no text file"),
        (["test.txt", "b.txt"], "test.txt is taken for the test split, but no text file has train"),
        (["train.txt", "train.txt.gz"], "both train.txt and train.txt.gz could be the train split"),
        (["train.txt", "dev.txt", "valid.txt"], "could be the validation split"),
    ],
)
def test_folders_that_cannot_be_told(tmp_path, names, message):
    for name in names:
        write(tmp_path / name, "x\n")
    with pytest.raises(UserError, match=message):
        read_path(tmp_path, "utf-8")


def test_missing_path_and_unknown_encoding(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_path(tmp_path / "nowhere", "utf-8")
    with pytest.raises(UserError, match="unknown encoding 'klingon'"):
        read_path(write(tmp_path / "a.txt", "x"), "klingon")


def cut(text, validation=0.1, test=0.1, unit="characters"):
    """The corpus, and the text of each of its splits."""
    corpus = cut_corpus(Corpus("source", {"all": lines_of(text)}), validation, test, unit)
    return corpus, texts(corpus)


def texts(corpus):
    return {name: "".join(lines) for name, lines in corpus.splits.items()}


def test_characters_are_cut_exactly():
    text = "".join(chr(0x4E00 + i) for i in range(1_003))
    _, splits = cut(text)
    assert list(splits) == ["train", "validation", "test"]
    assert splits["test"] == text[int(1_003 * 0.9) :]
    assert splits["validation"] == text[int(1_003 * (1 - 0.1 - 0.1)) : int(1_003 * 0.9)]
    assert "".join(splits.values()) == text
    without, splits = cut(text, test=0)
    assert splits == {"train": text[:902], "validation": text[902:]}
    assert without.notes[-1] == "there is no test split"


def test_lines_are_cut_at_line_ends():
    text = "".join(f"line {i}\n" for i in range(100))  # 7 characters each for 10, then 8
    _, splits = cut(text, unit="lines")
    assert "".join(splits.values()) == text
    assert all(part.endswith("\n") for part in splits.values())
    assert [part.count("\n") for part in splits.values()] == [81, 10, 9]
    # a cut that falls on the start of a line stays there
    even = "abcd\n" * 20
    assert [len(part) for part in cut(even, unit="lines")[1].values()] == [80, 10, 10]
    assert [len(part) for part in cut(even, 0.12, 0.08, "lines")[1].values()] == [80, 15, 5]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_single_line_is_cut_at_blanks(end):
    text = "word " * 99 + "word" + end
    _, splits = cut(text, unit="lines")
    assert "".join(splits.values()) == text
    assert [len(part.split()) for part in splits.values()] == [80, 10, 10]


def test_validation_is_cut_from_train_and_a_missing_test_split_stays_missing():
    train = ["abcd\n"] * 20
    corpus = cut_corpus(Corpus("s", {"train": train, "test": ["t\n"]}), 0.1, 0.5, "lines")
    assert corpus.splits == {"train": train[:18], "validation": train[18:], "test": ["t\n"]}
    assert corpus.notes == [
        "cut from the end of train, by position: 0.1 validation (shares of its characters)"
    ]
    whole = Corpus("s", {"train": train, "validation": ["v\n"]}, ["n"])
    corpus = cut_corpus(whole, 0, 0, "lines")
    assert corpus.splits == {"train": train, "validation": ["v\n"]}
    assert corpus.notes == ["n", "there is no test split"]


@pytest.mark.parametrize(
    ("text", "validation", "test", "unit", "split"),
    [
        ("a b c d e f", 0, 0.2, "characters", "validation"),
        ("a b c d e f", 0.5, 0.5, "characters", "train"),
        ("a b c d e f", 0.9, 0.9, "lines", "train"),
        ("a\nb\n", 0.1, 0.1, "lines", "validation"),
        ("abcdefghijkl", 0.1, 0.1, "lines", "validation"),
        ("abc" + " " * 90 + "abc", 0.1, 0.1, "characters", "validation"),
    ],
)
def test_nothing_left(text, validation, test, unit, split):
    with pytest.raises(UserError, match=f"source: no text is left for the {split} split"):
        cut(text, validation, test, unit)


def test_a_text_of_50_mb_is_read_and_cut_in_time(tmp_path):
    path = write(tmp_path / "big.txt", "some words of a line\r\n" * 2_300_000)
    start = time.perf_counter()
    corpus = cut_corpus(read_path(path, "utf-8"), 0.1, 0.1, "lines")
    assert sum(map(len, itertools.chain(*corpus.splits.values()))) == 21 * 2_300_000
    assert time.perf_counter() - start < 10


def test_the_embedded_reviews():
    corpus = review_texts()
    assert all(line.endswith("\n") for line in corpus.splits["all"])
    lines = [line.removesuffix("\n") for line in corpus.splits["all"]]
    assert len(lines) == len(set(lines)) == 24_902
    assert not any("<br />" in line or "  " in line or line != line.strip() for line in lines)
    assert corpus.notes[1] == "98 repeated reviews removed"
    assert review_texts() == corpus
    # the first of the package is not the first here: both labels are everywhere
    first = next(i for i, line in enumerate(lines) if line.startswith("I rented I AM CURIOUS-YELL"))
    assert first > 100


@pytest.fixture
def real():
    return lambda name: benchmark(f"lm/{name}")


def test_the_mysterious_island(real):
    path = real("gutenberg_1268/1268-0.txt.gz")
    text = texts(read_path(path, "utf-8"))["all"]
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        whole = stream.read()
    book = whole[whole.find("THE MYSTERIOUS ISLAND") : whole.find("End of the Project Gutenberg")]
    assert (len(book), len(set(book))) == (1_112_350, 80)
    # the book takes the end of the header's own line, and the empty lines at both ends
    assert book == "THE MYSTERIOUS ISLAND ***" + "\n" * 5 + text + "\n" * 5
    assert (len(text), len(set(text))) == (1_112_315, 79)


def test_tinyshakespeare(real):
    corpus = read_path(real("tinyshakespeare/input.txt.gz"), "utf-8")
    text = texts(corpus)["all"]
    assert (len(text), len(set(text))) == (1_115_394, 65)
    splits = texts(cut_corpus(corpus, 0.1, 0, "characters"))
    assert {name: len(part) for name, part in splits.items()} == {
        "train": 1_003_854,
        "validation": 111_540,
    }
    splits = texts(cut_corpus(corpus, 0.1, 0.1, "characters"))
    assert splits["test"] == text[int(len(text) * 0.9) :]
