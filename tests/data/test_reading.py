import gzip
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.reading import (
    archive_files,
    decode,
    decoded_lines,
    open_lines,
    reader,
    text_lines,
)
from kerasseq.errors import StorageError, UserError


@reader
def read(path, *words, more=""):
    """Reads."""
    return path.read_text(), words, more


def test_a_reader_gets_what_it_was_given(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text")
    assert read(path, 1, 2, more="x") == ("text", (1, 2), "x")
    assert (read.__name__, read.__doc__) == ("read", "Reads.")


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist$"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"cannot be read: .*directory"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"cannot be read: .*[Nn]ame too long"):
        read(tmp_path / ("x" * 5_000))


@pytest.mark.parametrize("error", [StorageError("own words"), KeyError("a fault")])
def test_other_errors_stay_what_they_are(tmp_path, error):
    @reader
    def failing(path):
        raise error

    with pytest.raises(type(error)) as caught:
        failing(tmp_path)
    assert caught.value is error


def test_decoding():
    assert decode(b"\xef\xbb\xbf\xc3\xa9", "utf-8", "here") == "é"
    assert decode("é".encode("utf-16"), "utf-16", "here") == "é"
    with pytest.raises(UserError) as caught:
        decode(b"caf\xe9", "utf-8", "here:3")
    assert str(caught.value) == (
        "here:3 is not utf-8: byte 0xe9 at offset 3; if it is in another encoding, give it with "
        "--encoding"
    )
    with pytest.raises(UserError, match="unknown encoding 'klingon'"):
        decode(b"x", "klingon", "here")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "UTF_16_LE", "utf32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_in_any_encoding(encoding, end):
    lines = ["é", "", "a\x85b", "last"]
    for last in ("", end):
        content = io.BytesIO((end.join(lines) + last).encode(encoding))
        assert list(decoded_lines(content, encoding, "here")) == lines
    assert list(decoded_lines(io.BytesIO(b""), "utf-8", "here")) == []


def test_a_line_in_another_encoding_is_named():
    lines = decoded_lines(io.BytesIO(b"fine\ncaf\xe9\n"), "utf-8", "here")
    assert next(lines) == "fine"
    with pytest.raises(UserError, match="here:2 is not utf-8: byte 0xe9 at offset 3"):
        next(lines)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff")))
def test_lines_are_cut_at_line_feeds_alone(text):
    found = list(decoded_lines(io.BytesIO(text.encode()), "utf-8", "here"))
    assert found == text.removesuffix("\n").split("\n")[: len(found)]
    assert "".join(line + "\n" for line in found).removesuffix("\n") == text.removesuffix("\n")


def test_plain_and_compressed_files_agree(tmp_path):
    content = "eins\nzwei ü\n".encode()
    plain, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    for path in (plain, packed):
        assert list(text_lines(path, "utf-8")) == ["eins", "zwei ü"]
        with open_lines(path) as stream:
            assert stream.read() == content
    packed.write_bytes(packed.read_bytes()[:-6])
    with pytest.raises(UserError, match=r"a.txt.gz is damaged or truncated"):
        list(text_lines(packed, "utf-8"))
    packed.write_bytes(b"plain")
    with pytest.raises(UserError, match=r"a.txt.gz is damaged or truncated"):
        list(text_lines(packed, "utf-8"))


def archive(path, names):
    with tarfile.open(path, "w:gz") as made:
        for name in names:
            member = tarfile.TarInfo(name)
            content = f"content of {name}".encode()
            member.size = len(content)
            if name.endswith("/"):
                member.type, member.size = tarfile.DIRTYPE, 0
            made.addfile(member, io.BytesIO(content))
    return path


def test_the_files_of_an_archive_that_are_wanted(tmp_path):
    path = archive(tmp_path / "a.tar.gz", ["a/", "a/one.txt", "a/two.txt", "a/README"])
    found = archive_files(path, lambda name: name.suffix == ".txt")
    assert [(str(name), content) for name, content in found] == [
        ("a/one.txt", b"content of a/one.txt"),
        ("a/two.txt", b"content of a/two.txt"),
    ]
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../one.txt", "a/../../one.txt", "/one.txt"])
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path, name):
    path = archive(tmp_path / "a.tar.gz", [name])
    with pytest.raises(UserError, match="unsafe path"):
        list(archive_files(path, lambda name: False))


def test_an_archive_that_ends_too_early_is_refused(tmp_path):
    path = archive(tmp_path / "a.tar.gz", ["one.txt"])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match="damaged or truncated"):
        list(archive_files(path, lambda name: True))
