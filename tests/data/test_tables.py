import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.delimited import TableFormat, parsed_rows
from kerasseq.data.notes import Notes
from kerasseq.data.table_writer import Words, check_table, write_table
from kerasseq.data.tables import split_tables, table_rows
from kerasseq.errors import UserError

HERE = Path("here.csv")


def write(path, content):
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def parsed(text, form):
    return parsed_rows(io.StringIO(text, newline=""), HERE, form)


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
    assert list(parsed('a\tb\n"x\ty"\n', TableFormat("\t", "none"))) == [
        (2, {"a": '"x', "b": 'y"'})
    ]
    assert list(parsed('a,b\n"x,y",z\n', TableFormat(","))) == [(2, {"a": "x,y", "b": "z"})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", " is empty"),
        ("a.jsonl", "\n \n", " is empty"),
        ("a.csv", "a,b\n", " has a header but no rows"),
        (
            "a.csv",
            "a,c\n1,2\n",
            ": no column 'b'; it has 'a', 'c' (choose others; without names: --header none)",
        ),
        ("a.csv", "a,b\n1,2\n3\n", ":3: 1 field, but the header has 2"),
        ("a.jsonl", '{"a": 1, "b": null}', ":1: no value in column 'b'"),
        (
            "a.jsonl",
            '{"a": 1, "b": 2}\n{"a": 1}',
            ":2: no column 'b'; it has 'a' (choose others)",
        ),
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
    assert [row for _, row in read(path, "ä")] == [{"ä": "ß"}]  # its mark says it
    path = write(tmp_path / "a.csv", b"text\nfine\ncaf\xe9\n")
    with pytest.raises(UserError, match=r"a\.csv:3 is not utf-8: byte 0xe9 at offset 3; if"):
        read(path, "text")


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]))


@given(st.lists(st.tuples(cells, cells), min_size=1))
def test_csv_and_json_are_read_as_written(rows):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    read = [(row["a"], row["b"]) for _, row in parsed(text.getvalue(), TableFormat(","))]
    assert read == rows


@given(st.lists(st.tuples(words, words), min_size=1))
def test_tsv_is_read_as_written(rows):
    text = "a\tb\n" + "".join(f"{first}\t{second}\n" for first, second in rows)
    read = [(row["a"], row["b"]) for _, row in parsed(text, TableFormat("\t", "none"))]
    assert read == rows


def test_lines_of_json_end_at_a_line_feed_alone(tmp_path):
    rows = [{"a": "one\u2028two\x85three"}, {"a": "four"}]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows)
    assert [row for _, row in read(write(tmp_path / "a.jsonl", text), "a")] == rows


# -- writing ---------------------------------------------------------------------------------------

ROWS = [
    {"id": 1, "text": 'two\nlines, "quoted"\r\nand a\ttab', "tags": Words(["DET", "NOUN"])},
    {"id": 2, "text": "", "tags": Words()},
    {"id": 3, "text": "naïve 👍 𝒳", "tags": Words(["X"])},
]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_what_is_written_is_read_again(tmp_path, name):
    path = tmp_path / name
    assert write_table(path, iter(ROWS)) == 3
    rows = [row for _, row in read(path, "text")]
    assert [row["text"] for row in rows] == [row["text"] for row in ROWS]
    if ".csv" in name:
        assert [row["tags"] for row in rows] == ["DET NOUN", "", "X"]
        assert rows[0]["id"] == "1"
    else:
        assert rows == ROWS
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_tsv_has_no_line_ends_inside_a_field(tmp_path):
    path = tmp_path / "a.tsv"
    assert write_table(path, [{"text": 'a "quote', "n": 0.5}]) == 1
    assert path.read_text() == 'text\tn\na "quote\t0.5\n'
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"row 1 has a tab or a line end .*; write \.csv"):
        write_table(path, ROWS)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_tables_that_cannot_be_written(tmp_path):
    for name, message in (
        ("a.xlsx", r"a table ends in \.csv, \.tsv, \.jsonl, \.parquet"),
        ("a.parquet.gz", "a table ends in"),
        ("none/a.csv", "there is no folder"),
    ):
        with pytest.raises(UserError, match=message):
            check_table(tmp_path / name)
    with pytest.raises(UserError, match=r"row 2 has the fields \['b'\], not \['a'\]"):
        write_table(tmp_path / "a.csv", [{"a": 1}, {"b": 2}])
    with pytest.raises(UserError, match="cannot be written as Parquet"):
        write_table(tmp_path / "a.parquet", [{"a": 1}, {"a": "x"}])


def test_a_table_without_rows_is_written(tmp_path):
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert write_table(tmp_path / name, []) == 0
        assert (tmp_path / name).exists()


def test_a_comma_in_an_unquoted_field_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nwell, good,yes\n")
    with pytest.raises(UserError, match=r"a\.csv:2: 3 fields, but the header has 2; a field that"):
        read(path, "text")


def test_a_damaged_parquet_file_is_said(tmp_path):
    path = write(tmp_path / "a.parquet", "no parquet")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read(path, "text")


# -- forms that newcomers' files have --------------------------------------------------------------


def told(path, *columns, **form):
    notes = Notes()
    rows = [
        row for _, row in table_rows(path, columns, "utf-8", "hint", TableFormat(**form), notes)
    ]
    return rows, notes.lines()


@pytest.mark.parametrize(("delimiter", "shown"), [(";", "';'"), ("\t", "a tab"), ("|", "'|'")])
def test_the_header_shows_the_delimiter(tmp_path, delimiter, shown):
    path = write(tmp_path / "a.CSV", f"\ufefftext{delimiter}label\nwell, good{delimiter}yes\n")
    rows, notes = told(path, "text", "label")
    assert rows == [{"text": "well, good", "label": "yes"}]
    assert notes == [f"a.CSV: its fields are separated by {shown}"]
    with pytest.raises(UserError, match="no column 'body'; it has"):
        told(path, "body")
    assert told(path, "text", delimiter=delimiter)[1] == ["a.CSV: columns not used: label"]


def test_a_table_without_a_header_has_numbers(tmp_path):
    path = write(tmp_path / "a.csv", '"1","bad the plot","dull, actor"\n"2","story","warm"\n')
    rows, _ = told(path, "1", "3", header="none")
    assert [(row["1"], row["3"]) for row in rows] == [("1", "dull, actor"), ("2", "warm")]
    with pytest.raises(UserError, match="no column 'text'; it has '1', '2', '3'"):
        told(path, "text", header="none")


def test_columns_by_number_and_by_path(tmp_path):
    path = write(tmp_path / "a.csv", "id,body\n7,fine\n")
    ((row,), _) = told(path, "2", header="first")
    assert row == {"id": "7", "body": "fine", "2": "fine"}
    path = write(tmp_path / "a.jsonl", '{"data": {"text": "a", "more": {"label": 1}}}\n')
    ((row,), _) = told(path, "data.text", "data.more.label")
    assert (row["data.text"], row["data.more.label"]) == ("a", 1)
    with pytest.raises(UserError, match=r"a\.jsonl:1: no column 'data\.none'"):
        told(path, "data.none")


def test_habits_of_spreadsheets(tmp_path):
    path = write(tmp_path / "a.csv", ",text,label,,\n0,a,x,,\n1,b,y,,\n")
    rows, _ = told(path, "text", "label")
    assert rows[1] == {"1": "1", "text": "b", "label": "y"}
    path = write(tmp_path / "cr.csv", "text,label\ra,x\rb,y\r")
    assert told(path, "text")[0] == [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    path = write(tmp_path / "q.tsv", 'text\tlabel\n"two\nlines"\tx\n')
    assert told(path, "text", quoting="double")[0] == [{"text": "two\nlines", "label": "x"}]
    with pytest.raises(UserError, match="two columns are called 'text'"):
        told(write(tmp_path / "b.csv", "text,text\na,b\n"), "text")


def test_json_in_an_array(tmp_path):
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": 2}]
    for name in ("a.json", "a.JSON.gz"):
        path = tmp_path / name
        content = json.dumps(rows, indent=1).encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        assert told(path, "text", "label") == (rows, [f"{name}: one array of objects"])
    assert told(write(tmp_path / "lines.json", '{"text": "a"}\n{"text": "b"}\n'), "text")[1] == []
    assert told(write(tmp_path / "a.ndjson", '{"text": "a"}\n'), "text")[0] == [{"text": "a"}]
    for content, message in (
        ("[1]", r"a\.json: row 1: expected a JSON object, got 1"),
        ('{\n "text": "a"\n}\n', "expected an object a line, or one array of objects"),
        ('[{"text": "a"}', r"a\.json: not JSON"),
        ("[]", "is empty"),
    ):
        with pytest.raises(UserError, match=message):
            told(write(tmp_path / "a.json", content), "text")
    with pytest.raises(UserError, match=r"is no delimited table, and delimiter is for one"):
        told(write(tmp_path / "a.jsonl", '{"text": "a"}\n'), "text", delimiter=";")


def test_arrow_in_both_of_its_forms(tmp_path):
    import pyarrow
    from pyarrow import feather, parquet

    table = pyarrow.table({"text": ["a", "b"], "label": [0, 1]})
    feather.write_feather(table, tmp_path / "a.feather")
    with pyarrow.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as stream:
        stream.write_table(table)
    parquet.write_table(table, tmp_path / "a.parquet")
    packed = tmp_path / "a.PARQUET.GZ"
    packed.write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    for name in ("a.feather", "a.arrow", "a.parquet", "a.PARQUET.GZ"):
        assert told(tmp_path / name, "text", "label") == (table.to_pylist(), [])
    with pytest.raises(UserError, match="cannot be read as Arrow"):
        told(write(tmp_path / "bad.feather", "no"), "text")


def test_several_columns_are_one_text(tmp_path):
    path = write(tmp_path / "a.csv", "title,body,label\nHi,there,x\nBye,,y\n")
    rows, notes = told(path, "title+body", "label")
    assert [row["title+body"] for row in rows] == ["Hi there", "Bye"]
    assert notes == []
    path = write(tmp_path / "a.jsonl", '{"a": {"b": "x"}, "c": "y", "id": 3}\n')
    ((row,), notes) = told(path, "a.b+c")
    assert row["a.b+c"] == "x y"
    assert notes == ["a.jsonl: columns not used: id"]
    with pytest.raises(UserError, match=r"a\.jsonl:1: id is int 3, expected a text to join"):
        told(path, "c+id")


def test_numbers_of_columns_do_not_say_whether_there_is_a_header(tmp_path):
    path = write(tmp_path / "a.csv", "fine,yes\nbad,no\n")
    with pytest.raises(UserError, match=r"by number: --header first, if .* or --header none"):
        told(path, "1", "2")
    assert len(told(path, "1", "2", header="none")[0]) == 2
    assert len(told(path, "1", "2", header="first")[0]) == 1


@pytest.mark.parametrize(
    ("content", "texts", "note"),
    [
        ('text\tlabel\n"He said ""hi"""\tx\nso\ty\n', ['He said "hi"', "so"], "in double quotes"),
        ('"text"\t"label"\n"fine"\t"x"\n', ["fine"], "in double quotes"),
        ('text\tlabel\n"Fine!"\tx\nso\ty\n', ['"Fine!"', "so"], "1 fields stand in quotes"),
        ('text\tlabel\nsay "a"\tx\n"b" or\ty\n', ['say "a"', '"b" or'], None),
    ],
)
def test_quotes_between_tabs(tmp_path, content, texts, note):
    rows, notes = told(write(tmp_path / "a.tsv", content), "text", "label")
    assert [row["text"] for row in rows] == texts
    assert notes == [] if note is None else note in notes[0]


def test_quotes_that_can_be_read_in_two_ways_are_refused(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"one\tx\ntwo"\ty\n')
    with pytest.raises(UserError, match=r"--quoting none, .* or --quoting double"):
        told(path, "text", "label")
    assert len(told(path, "text", "label", quoting="none")[0]) == 2
    with pytest.raises(UserError, match="1 field, but the header has 2"):
        told(write(path, 'text\tlabel\n"one\ntwo"\tx\n'), "text", quoting="none")


def test_a_stray_quote_in_a_large_file_takes_little_memory(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + '"a stray quote,x\n' + "some words of a row,y\n" * 150_000)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"a\.csv:2: unexpected end of data"):
        told(path, "text", "label")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 2**20


def test_folders_of_tables(tmp_path):
    for name in ("train/b.csv", "train/a.csv", "test.csv", "other.csv", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = split_tables(tmp_path)
    assert {split: [file.name for file in part] for split, part in found.items()} == {
        "train": ["a.csv", "b.csv"], "test": ["test.csv"],
    }  # fmt: skip
    (tmp_path / "train.csv").touch()
    with pytest.raises(UserError, match="could be the train split"):
        split_tables(tmp_path)
