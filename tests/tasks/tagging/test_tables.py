"""Tables of tagged sentences."""

import csv
import gzip
import json

import pyarrow
import pytest
from pyarrow import feather, ipc, parquet

from kerasseq.data.delimited import TableFormat
from kerasseq.data.layouts import Asked
from kerasseq.data.table_writer import write_table
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.character_spans import iob2_of_spans
from kerasseq.tasks.tagging.reading import read_path
from kerasseq.tasks.tagging.settings import NerSettings
from kerasseq.tasks.tagging.task import Ner

NER, UPOS = Asked("ner"), Asked("upos")
ROWS = [
    {"id": 1, "tokens": ["Marie", "Curie", "sang"], "ner_tags": ["B-PER", "I-PER", "O"]},
    {"id": 2, "tokens": ["Oui"], "ner_tags": ["O"]},
]
NAMES = ["O", "B-PER", "I-PER"]
KAGGLE = (
    "Sentence #,Word,POS,Tag\nSentence: 1,Marie,NNP,B-per\n,Curie,NNP,I-per\n,sang,VBD,O\n"
    'Sentence: 2,"""",``,O\n,"1,5",CD,O\n'
)


def rows_of(corpus, column="ner", split="all"):
    return [(one.words, one.columns[column]) for one in corpus.splits[split]]


EXPECTED = [(row["tokens"], row["ner_tags"]) for row in ROWS]


def write(path, rows=ROWS, metadata=None):
    """A table in the form of its suffix."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind in ("jsonl", "ndjson", "json"):
        lines = [json.dumps(row) for row in rows]
        text = f"[{', '.join(lines)}]" if kind == "json" else "\n".join(lines)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return path
    table = pyarrow.Table.from_pylist(rows)
    table = table.replace_schema_metadata(metadata) if metadata else table
    if kind == "parquet":
        parquet.write_table(table, path)
    elif kind == "feather":
        feather.write_feather(table, path)
    else:
        with ipc.new_stream(str(path), table.schema) as writer:  # as datasets' save_to_disk does
            writer.write_table(table)
    return path


@pytest.mark.parametrize(
    "suffix", ["jsonl", "jsonl.gz", "ndjson", "json", "parquet", "feather", "arrow"]
)
def test_a_sentence_a_row(tmp_path, suffix):
    corpus = read_path(write(tmp_path / f"a.{suffix}"), "utf-8", NER)
    assert rows_of(corpus) == EXPECTED
    assert "column ner_tags is taken for ner" in corpus.notes
    assert f"a.{suffix}: columns not used: id" in corpus.notes


def test_what_predict_writes_is_read(tmp_path):
    rows = [{"text": "x", "tokens": words, "tags": tags} for words, tags in EXPECTED]
    for name in ("a.csv", "a.csv.gz"):
        write_table(tmp_path / name, rows)
        assert rows_of(read_path(tmp_path / name, "utf-8", NER)) == EXPECTED
    (tmp_path / "b.csv").write_text("words;upos\nthe cat;DET NOUN\n")
    corpus = read_path(tmp_path / "b.csv", "utf-8", UPOS)
    assert rows_of(corpus, "upos") == [(["the", "cat"], ["DET", "NOUN"])]
    assert "b.csv: its fields are separated by ';'" in corpus.notes


@pytest.mark.parametrize("spell", [repr, json.dumps])
def test_lists_in_csv(tmp_path, spell):
    with (tmp_path / "a.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerows([["tokens", "ner"], *(map(spell, row) for row in EXPECTED)])
        writer.writerow(["[ laughs ]", "O O O"])
    laughs = (["[", "laughs", "]"], ["O", "O", "O"])
    assert rows_of(read_path(tmp_path / "a.csv", "utf-8", NER)) == [*EXPECTED, laughs]
    (tmp_path / "a.csv").write_text("tokens,ner\n\"['a' 'b']\",\"['X' 'Y']\"\n")
    with pytest.raises(UserError, match=r"a.csv:2: tokens looks like a list, but is none"):
        read_path(tmp_path / "a.csv", "utf-8", NER)


def test_columns_by_name_and_by_number(tmp_path):
    rows = [{"tokens": ["a"], "forms": ["b"], "ner": ["O"], "mine": ["X"]}]
    path = write(tmp_path / "a.jsonl", rows)
    assert rows_of(read_path(path, "utf-8", Asked("mine", "forms")), "mine") == [(["b"], ["X"])]
    assert rows_of(read_path(path, "utf-8", Asked("4", "2")), "4") == [(["b"], ["X"])]
    conll = [{"tokens": ["a"], "pos_tags": ["P"], "chunk_tags": ["C"], "ner_tags": ["N"]}]
    path = write(tmp_path / "b.jsonl", conll)
    for column, tag in (("ner", "N"), ("xpos", "P"), ("upos", "P"), ("chunk", "C")):
        assert rows_of(read_path(path, "utf-8", Asked(column)), column) == [(["a"], [tag])]


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])
@pytest.mark.parametrize("form", ["Sequence", "List", "list"])
def test_numbers_have_the_names_of_the_schema(tmp_path, suffix, form):
    label = {"names": NAMES, "_type": "ClassLabel"}
    feature = [label] if form == "list" else {"feature": label, "_type": form}
    metadata = {"huggingface": json.dumps({"info": {"features": {"ner_tags": feature}}})}
    rows = [{**row, "ner_tags": [NAMES.index(tag) for tag in row["ner_tags"]]} for row in ROWS]
    path = write(tmp_path / f"a.{suffix}", rows, metadata)
    corpus = read_path(path, "utf-8", NER)
    assert rows_of(corpus) == EXPECTED
    assert "numbers in ner_tags are tags by the file's names: O, B-PER, I-PER" in corpus.notes
    rows[1]["ner_tags"] = [7]
    with pytest.raises(UserError, match=r":2: ner_tags has int 7, expected numbers from 0 to 2"):
        read_path(write(path, rows, metadata), "utf-8", NER)


def test_folders_and_shards(tmp_path):
    for number in range(2):
        write(tmp_path / f"train-0000{number}-of-00002.parquet", [ROWS[number]])
    write(tmp_path / "test.parquet", ROWS[:1])
    (tmp_path / "LICENSE").write_text("free")
    corpus = read_path(tmp_path, "utf-8", NER)
    assert rows_of(corpus, split="train") == EXPECTED
    assert rows_of(corpus, split="test") == EXPECTED[:1]
    assert "not used, no table of a split: LICENSE" in corpus.notes
    (tmp_path / "x/validation").mkdir(parents=True)
    write(tmp_path / "x/validation/data-00000-of-00001.arrow")
    assert rows_of(read_path(tmp_path / "x", "utf-8", NER), split="validation") == EXPECTED


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"tokens": ["a"], "ner": ["O", "O"]}], ":1: 1 words in tokens, but 2 tags in ner"),
        ([ROWS[0], {**ROWS[1], "ner_tags": [""]}], ":2: value 1 of ner_tags is ''"),
        ([ROWS[0], {**ROWS[1], "ner_tags": [None]}], ":2: a value of ner_tags is missing"),
        ([ROWS[0], {**ROWS[1], "ner_tags": None}], ":2: no value in column 'ner_tags'"),
        ([{"tokens": ["a", " "], "ner": ["O", "O"]}], ":1: value 2 of tokens is ' '"),
        ([{"tokens": "a b", "ner": ["O", "O"]}], ":1: tokens is str 'a b', expected a list of str"),
        ([{"tokens": ["a"], "ner": "O"}], ":1: ner is str 'O', expected a list of strings"),
        ([{"tokens": ["a"], "ner": [3]}], ":1: ner holds numbers, and the file does not say"),
        ([{"tokens": ["a"], "tags": ["O"], "labels": ["O"]}], "'tags' and 'labels' could be the"),
        ([{"tokens": ["a"], "x": ["O"]}], "no column 'ner'; it has 'tokens', 'x'"),
        ([{"text": "a", "x": ["O"]}], "no column of words, tokens or words; it has 'text', 'x'"),
        ([{"word": "a", "ner": "O"}], r"a token a row \('word'\), and no column tells which sent"),
        ([{"tokens": [], "ner": []}], "has no sentence"),
    ],
)
def test_what_is_refused(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        read_path(write(tmp_path / "a.jsonl", rows), "utf-8", NER)


def test_rows_without_words_are_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", [*ROWS, {"tokens": [], "ner_tags": []}])
    assert "1 rows without words skipped" in read_path(path, "utf-8", NER).notes


@pytest.mark.parametrize(
    ("column", "tags"),
    [("ner", ["B-per", "I-per", "O"]), ("upos", ["NNP", "NNP", "VBD"]),
     ("POS", ["NNP", "NNP", "VBD"])],
)  # fmt: skip
def test_a_token_a_row(tmp_path, column, tags):
    (tmp_path / "a.csv").write_text(KAGGLE)
    corpus = read_path(tmp_path / "a.csv", "utf-8", Asked(column))
    assert [one.words for one in corpus.splits["all"]] == [["Marie", "Curie", "sang"], ['"', "1,5"]]
    assert corpus.splits["all"][0].columns == {column: tags}
    assert "a token a row, whose sentence is told by Sentence #" in corpus.notes


def test_a_token_a_row_with_names_of_ones_own(tmp_path):
    (tmp_path / "a.csv").write_text("s,w,t\n1,a,X\n1,b,Y\n2,c,X\n")
    corpus = read_path(tmp_path / "a.csv", "utf-8", Asked("t", "w", "s"))
    assert rows_of(corpus, "t") == [(["a", "b"], ["X", "Y"]), (["c"], ["X"])]
    (tmp_path / "a.csv").write_text("s,w,t\n1,a,X\n1,,Y\n")
    with pytest.raises(UserError, match=r"a.csv:3: value 1 of w is ''"):
        read_path(tmp_path / "a.csv", "utf-8", Asked("t", "w", "s"))
    (tmp_path / "a.csv").write_text("s,w,t\n,a,X\n")
    with pytest.raises(UserError, match=r"a.csv:2: s is empty in the first row"):
        read_path(tmp_path / "a.csv", "utf-8", Asked("t", "w", "s"))


def test_a_csv_file_may_still_be_a_file_of_tokens(tmp_path):
    (tmp_path / "a.csv").write_text("the\tDT\ncat\tNN\n")
    assert rows_of(read_path(tmp_path / "a.csv", "utf-8"), "xpos") == [
        (["the", "cat"], ["DT", "NN"])
    ]
    with pytest.raises(UserError, match="is no table: an empty line ends a sentence"):
        read_path(tmp_path / "a.csv", "utf-8", Asked("xpos", "", "s"))
    (tmp_path / "a.txt").write_text("the DT\n")
    with pytest.raises(UserError, match="is no delimited table, and quoting is for one"):
        read_path(tmp_path / "a.txt", "utf-8", form=TableFormat(quoting="none"))


TEXT = "Marie Curie, born in Warsaw."


@pytest.mark.parametrize(
    "spans",
    [
        [[0, 11, "PER"], [21, 27, "LOC"]],
        [[21, 27, "LOC"], [0, 11, "PER"]],
        [{"id": 1, "start_offset": 0, "end_offset": 11, "label": "PER"},
         {"id": 2, "start_offset": 20, "end_offset": 27, "label": "LOC"}],
    ],
)  # fmt: skip
def test_spans_of_doccano(tmp_path, spans):
    name = "entities" if isinstance(spans[0], dict) else "label"
    path = write(tmp_path / "a.jsonl", [{"id": 1, "text": TEXT, name: spans}])
    corpus = read_path(path, "utf-8", NER)
    (sentence,) = corpus.splits["all"]
    assert sentence.words == ["Marie", "Curie", ",", "born", "in", "Warsaw", "."]
    assert sentence.columns["ner"] == ["B-PER", "I-PER", "O", "O", "O", "B-LOC", "O"]
    assert sentence.text == TEXT
    assert any("written as IOB2" in note for note in corpus.notes)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([[0, 9, "PER"]], "here: the span 0 to 9, 'Marie Cur', cuts the word 'Curie'"),
        ([[1, 5, "PER"]], "cuts the word 'Marie'"),
        ([[0, 11, "PER"], [6, 11, "X"]], "overlaps with another"),
        ([[5, 6, "PER"]], "holds no word"),
        ([[21, 99, "LOC"]], "is not in the 28 characters"),
        ([[0, 5]], r"expected a span as \[start, end, kind\]"),
        ([[0, 5, ""]], "expected a span"),
        ("PER", "spans are str 'PER', expected a list"),
    ],
)
def test_spans_that_are_none(spans, message):
    with pytest.raises(UserError, match=message):
        iob2_of_spans(TEXT, spans, "here")


def test_through_the_task(tmp_path):
    path = write(tmp_path / "a.jsonl", ROWS * 20)
    task, settings = Ner(), NerSettings(data=str(path))
    corpus = task.read(settings, f"train={path},test={path}", False)
    assert set(corpus.splits) == {"train", "test"}
    assert rows_of(corpus, split="test") == EXPECTED * 20
