import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.tables import delimited_rows, table_rows
from kerasseq.errors import UserError

HERE = Path("here.csv")


def write(path, content):
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path, *columns, encoding="utf-8"):
    return list(table_rows(path, columns, encoding, "choose others"))


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize(
    ("kind", "content", "lines"),
    [
        ("csv", '\ufeffb,a\n"1, ""one""\nmore",x\n2,y\n', [3, 4]),  # the last one of a row
        ("tsv", 'b\ta\n1, "one" more\tx\n2\ty\n', [2, 3]),
        ("jsonl", '{"a": "x", "b": "1, \\"one\\"\\nmore"}\n\n{"b": 2, "a": "y"}\n', [1, 3]),
    ],
)
def test_rows_have_their_places(tmp_path, kind, content, lines, end):
    path = write(tmp_path / f"rows.{kind}{end}", content)
    rows = read(path, "a", "b")
    assert [where for where, _ in rows] == [f"{path}:{line}" for line in lines]
    assert [row["a"] for _, row in rows] == ["x", "y"]
    assert str(rows[0][1]["b"]).split() == ["1,", '"one"', "more"]
    assert str(rows[1][1]["b"]) == "2"


def test_a_quote_of_a_tsv_file_is_a_plain_character():
    assert list(delimited_rows('a\tb\n"x\ty"\n', HERE, "\t")) == [(2, {"a": '"x', "b": 'y"'})]
    assert list(delimited_rows('a,b\n"x,y",z\n', HERE, ",")) == [(2, {"a": "x,y", "b": "z"})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", " is empty"),
        ("a.jsonl", "\n \n", " is empty"),
        ("a.csv", "a,b\n", " has a header but no rows"),
        ("a.csv", "a,c\n1,2\n", ": no column 'b'; it has 'a', 'c' (choose others)"),
        ("a.csv", "a,b\n1,2\n3\n", ":3: no value in column 'b'"),
        ("a.jsonl", '{"a": 1, "b": null}', ":1: no value in column 'b'"),
        ("a.jsonl", '{"a": 1, "b": 2}\n{"a": 1}', ": no column 'b'; it has 'a' (choose others)"),
        ("a.jsonl", '{"a": 1, "b": 2}\n{', ":2: not JSON: "),
        ("a.jsonl", "3\n", ":1: expected a JSON object, got 3"),
        ("a.csv", 'a,b\n"1,2\n', ":2: unexpected end of data"),
    ],
)
def test_what_is_no_row_is_named(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError) as caught:
        read(path, "a", "b")
    assert str(caught.value).startswith(str(path) + message)


def test_rows_before_a_bad_one_are_given(tmp_path):
    rows = table_rows(write(tmp_path / "a.csv", "a\nx\ny,\n"), ["a"], "utf-8", "")
    assert next(rows)[1] == {"a": "x"}
    assert next(rows)[1]["a"] == "y"


def test_another_encoding(tmp_path):
    path = write(tmp_path / "a.csv", "ä\nß\n".encode("utf-16"))
    assert read(path, "ä", encoding="utf-16") == [(f"{path}:2", {"ä": "ß"})]
    with pytest.raises(UserError, match="is not utf-8: byte 0xff at offset 0"):
        read(path, "ä")


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]))


@given(st.lists(st.tuples(cells, cells), min_size=1))
def test_csv_and_json_are_read_as_written(rows):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    read = [(row["a"], row["b"]) for _, row in delimited_rows(text.getvalue(), HERE, ",")]
    assert read == rows


@given(st.lists(st.tuples(words, words), min_size=1))
def test_tsv_is_read_as_written(rows):
    text = "a\tb\n" + "".join(f"{first}\t{second}\n" for first, second in rows)
    read = [(row["a"], row["b"]) for _, row in delimited_rows(text, HERE, "\t")]
    assert read == rows


def test_lines_of_json_end_at_a_line_feed_alone(tmp_path):
    rows = [{"a": "one\u2028two\x85three"}, {"a": "four"}]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows)
    assert [row for _, row in read(write(tmp_path / "a.jsonl", text), "a")] == rows
