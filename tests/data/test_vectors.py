import gzip

import numpy as np
import pytest

from kerasseq.data.vectors import read_vectors
from kerasseq.errors import UserError
from kerasseq.text.word_features import normal_form

TEXT = "3 2\nThe 1 2\nthe 5 6\nnew york 3 4\nrare -1 .5 \n"


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def binary(vectors, ending=b"\n", head=None):
    size = len(next(iter(vectors.values())))
    entries = [
        word.encode() + b" " + np.array(vector, "<f4").tobytes() + ending
        for word, vector in vectors.items()
    ]
    return (head or f"{len(vectors)} {size}\n".encode()) + b"".join(entries)


def plain(found):
    return {word: vector.tolist() for word, vector in found.items()}


def test_words_and_numbers(tmp_path):
    notes = []
    found = read_vectors(write(tmp_path / "v.txt", TEXT), normal_form, (), 10, notes=notes)
    assert plain(found) == {"the": [1, 2], "new york": [3, 4], "rare": [-1, 0.5]}
    assert notes == [
        "v.txt: its first line says 3 word vectors, it has 4",
        "v.txt: 1 word vectors of other spellings of a word, such as The and the: the first counts",
    ]
    few = read_vectors(tmp_path / "v.txt", normal_form, {"rare"}, 1)
    assert list(few) == ["the", "rare"]
    packed = write(tmp_path / "v.txt.gz", gzip.compress(TEXT.encode()))
    assert list(read_vectors(packed, normal_form, (), 10)) == list(found)


VECTORS = {"the": [1, 2, -0.5], "été": [3e-4, 0.25, 7], "1": [0, 0, 1]}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("glove.txt", "the 1 2 -0.5\nété 3e-4 0.25 7\n1 0 0 1\n"),
        ("wiki.vec", "\ufeff3 3\nthe 1 2 -.5 \nété 3E-4 0.25 7 \n1 0 0 1 \n"),
        ("windows.vec", "3 3\r\nthe 1 2 -.5\r\nété 3E-4 0.25 7\r\n1 0 0 1\r\n"),
        ("number_first.txt", "1 0 0 1\nthe 1 2 -0.5\nété 3e-4 0.25 7\n"),
        ("tabs.tsv", "the\t1\t2\t-0.5\nété\t3e-4\t0.25\t7\n1\t0\t0\t1\n"),
        ("tab_blank.txt", "3\t3\nthe\t1 2 -0.5\nété\t3e-4 0.25 7\n1\t0 0 1\n"),
        ("word2vec.bin", binary(VECTORS)),
        ("google.bin", binary(VECTORS, ending=b"")),
    ],
)
def test_forms(tmp_path, name, content, packed):
    content = content if isinstance(content, bytes) else content.encode()
    path = tmp_path / f"{name}{'.gz' * packed}"
    write(path, gzip.compress(content) if packed else content)
    notes = []
    found = read_vectors(path, str, (), 10, size=3, notes=notes)
    assert notes == []
    for word, vector in VECTORS.items():
        assert found[word].dtype == np.float32
        np.testing.assert_array_equal(found[word], np.float32(vector))
    assert list(read_vectors(path, str, {"été"}, 0)) == ["été"]


def test_words_with_blanks(tmp_path):
    blanks = write(tmp_path / "v.txt", ". . . 1 2\nat name@domain.com 3 4\n\n")
    notes = []
    assert plain(read_vectors(blanks, str, (), 10, notes=notes)) == {
        ". . .": [1, 2], "at name@domain.com": [3, 4],
    }  # fmt: skip
    assert notes == ["v.txt: 1 empty lines of word vectors skipped"]
    tabs = write(tmp_path / "t.txt", "New York 2012\t1\t2\n")
    assert plain(read_vectors(tabs, str, (), 10)) == {"New York 2012": [1, 2]}


def test_many_of_a_binary_file(tmp_path):
    vectors = {f"w{i}": np.arange(i, i + 300) for i in range(3000)}  # more than is read at once
    found = read_vectors(write(tmp_path / "v.bin", binary(vectors)), str, (), 5000)
    assert list(found) == list(vectors)
    np.testing.assert_array_equal(found["w2999"], vectors["w2999"])


def test_a_word_that_is_there_twice_is_counted(tmp_path):
    notes = []
    path = write(tmp_path / "v.txt", "a 1 2\nb 1 2\na 5 6\n")
    assert plain(read_vectors(path, str, (), 10, notes=notes))["a"] == [1, 2]
    assert notes == ["v.txt: 1 word vectors of words that were there already: the first counts"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no word vector"),
        ("3 2\n", "has no word vector"),
        ("a 1 2\nb 1\n", ":2: 1 numbers, but the first vector has 2"),
        ("a 1 2\nb 1 2 3\n", ":2: 3 numbers, but the first vector has 2"),
        ("2 2\na 1 2 3\n", ":2: 3 numbers, but the first vector has 2"),
        ("a\t1\t2\nb\t1\n", ":2: 1 numbers, but the first vector has 2"),
        ("a 1 2\nb c 2\n", ":2: expected a word and 2 numbers, got 'c 2'"),
        ("a 1 x\n", ":1: expected a word and 2 numbers"),
        ("a 1 2\n 1 2\n", ":2: an empty word before 2 numbers"),
        ("a\t1\t2\n\t1\t2\n", ":2: an empty word before 2 numbers"),
        ("a 1 2\nb nan 2\n", ":2: number 1 of the vector is nan"),
        ("a 1 2\nb 1 -inf\n", ":2: number 2 of the vector is -inf"),
        ("a 1 2\nb 1 1e99\n", ":2: number 2 of the vector is inf"),
        ("1 0\na\n", "vectors of 0 numbers"),
    ],
)
def test_what_is_no_vector_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_vectors(write(tmp_path / "v.txt", text), normal_form, (), 10)
    with pytest.raises(UserError, match=r"no.txt cannot be read"):
        read_vectors(tmp_path / "no.txt", normal_form, (), 10)


def test_a_vector_that_is_not_used_is_looked_at_too(tmp_path):
    with pytest.raises(UserError, match=":2: number 1 of the vector is nan"):
        read_vectors(write(tmp_path / "v.txt", "a 1 2\nb nan 2\n"), str, {"a"}, 0)


def test_bad_utf8_is_named_and_no_encoding_is_advised(tmp_path):
    with pytest.raises(UserError, match=r":2 is not UTF-8: byte 0xff.*read as UTF-8") as caught:
        read_vectors(write(tmp_path / "v.txt", b"the 1 2\n\xff\xfe 1 2\n"), str, (), 10)
    assert "--encoding" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (binary(VECTORS)[:-8], "vector 3: the file ends, or is damaged; it says 3"),
        (binary(VECTORS) + b"more", "it says 3 vectors, and more follows"),
        (binary({"a": [1, np.nan]}), "vector 1: number 2 of the vector is nan"),
        (binary({"": [1, 2]}), "vector 1: an empty word"),
        (b"the 1 2\n", ":1: expected count and size of word2vec's binary form"),
        (b"\xba\x16\x4f\x2f\x0c\x00", "a model of fastText, not vectors: take the .vec"),
        (b"1 2\n\xff \x00\x00\x00\x00\x00\x00\x00\x00", "vector 1 is not UTF-8"),
    ],
)
def test_a_binary_file_that_is_none(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_vectors(write(tmp_path / "v.bin", content), str, (), 10)


def test_another_size_is_refused(tmp_path):
    for name, content in (("v.txt", "a 1 2\n"), ("h.vec", "1 2\na 1 2\n"), ("b.bin", binary({"a": [1, 2]}))):  # fmt: skip  # noqa: E501
        with pytest.raises(UserError, match=r"2 numbers, and model.embedding is 3.*--model.embe"):
            read_vectors(write(tmp_path / name, content), str, (), 10, size=3)
