"""What people have, and what becomes of it: every reader, input by input.

An input is read, and its rows and what is said are compared; or refused, with file, found and
cure. ``python -m tests.data.test_matrix`` prints the matrix.
"""

# ruff: noqa: E501 (a table)

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pytest
from pyarrow import feather, parquet

from kerasseq.app.registry import find_task
from kerasseq.errors import UserError

S, T, L, P = "sentiment", "pos_tagging", "language_model", "translation"


class Case(NamedTuple):
    """An input.

    Attributes:
        task: that reads it.
        name: what it is.
        files: texts, bytes, or tables by their names.
        wanted: the examples of each split; or a pattern of the message.
        said: patterns of what the report must say.
        settings: beside ``data``.
        data: the name of the source; by default the only file, or the folder.
    """

    task: str
    name: str
    files: dict[str, Any]
    wanted: Any
    said: Sequence[str] = ()
    settings: dict[str, Any] = {}
    data: str = ""


AB = {"all": [("a b", "x"), ("c", "y")]}
ROWS = [{"text": "a b", "label": "x"}, {"text": "c", "label": "y"}]
CSV = "text,label\na b,x\nc,y\n"
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)
NONE = {"text_column": "1", "label_column": "2", "header": "none"}
TAGS = {"all": [(["a", "b"], ["X", "Y"]), (["c"], ["X"])]}
NAMES = {"all": [(["Ann", "Lee"], ["B-PER", "I-PER"]), (["ran"], ["O"])]}
PAIRS = {"all": [("a b", "A B"), ("c", "C")]}
EN_DE = {"source": "en", "target": "de"}


def table(suffix: str, rows: Any = ROWS, names: dict[str, list[str]] | None = None) -> bytes:
    """Rows as Parquet, Feather or a stream of Arrow's; class names as Hugging Face writes them."""
    made = pyarrow.Table.from_pylist(rows)
    if names:
        features = {
            name: {"names": values, "_type": "ClassLabel"} for name, values in names.items()
        }
        told = json.dumps({"info": {"features": features}})
        made = made.replace_schema_metadata({"huggingface": told})
    out = io.BytesIO()
    if suffix == "parquet":
        parquet.write_table(made, out)
    elif suffix == "feather":
        feather.write_feather(made, out)
    else:
        with pyarrow.ipc.new_stream(out, made.schema) as stream:
            stream.write_table(made)
    return out.getvalue()


# -- texts and their classes -----------------------------------------------------------------------

CLASSES = [
    Case(S, "CSV", {"a.csv": CSV}, AB),
    Case(S, "CSV, upper-case suffix", {"A.CSV": CSV}, AB),
    Case(S, "CSV, gzip", {"a.csv.gz": gzip.compress(CSV.encode())}, AB),
    Case(S, "CSV, CR only", {"a.csv": CSV.replace("\n", "\r")}, AB),
    Case(S, "CSV, CRLF and BOM", {"a.csv": "\ufeff" + CSV.replace("\n", "\r\n")}, AB),
    Case(S, "CSV, UTF-16 with its mark", {"a.csv": CSV.encode("utf-16")}, AB, ["utf-16, by its byte order mark"]),
    Case(S, "CSV, Latin-1 as UTF-8", {"a.csv": "text,label\ncafé,x\n".encode("latin-1")},
         r"a\.csv:2 is not utf-8.*--encoding"),
    Case(S, "semicolons", {"a.csv": CSV.replace(",", ";")}, AB, ["separated by ';'"]),
    Case(S, "tabs in .csv", {"a.csv": CSV.replace(",", "\t")}, AB, ["separated by a tab"]),
    Case(S, "another delimiter, by option", {"a.csv": CSV.replace(",", "^")}, AB,
         settings={"delimiter": "^"}),
    Case(S, "index column of pandas", {"a.csv": ",text,label\n0,a b,x\n1,c,y\n"}, AB,
         ["columns not used: 1"]),
    Case(S, "delimiters at the end", {"a.csv": "text,label,,\na b,x,,\nc,y,,\n"}, AB),
    Case(S, "unquoted comma in a text", {"a.csv": "text,label\na, b,x\n"},
         r"a\.csv:2: 3 fields, but the header has 2.*quotes"),
    Case(S, "missing field", {"a.csv": "text,label\na b\n"}, r"a\.csv:2: 1 field, but the header"),
    Case(S, "stray quote", {"a.csv": 'text,label\n"a b,x\n' + "c,y\n" * 50},
         r"a\.csv:\d+: .*(--quoting none|needs quotes)"),
    Case(S, "empty text", {"a.csv": "text,label\n,x\nc,y\n"},
         {"all": [("", "x"), ("c", "y")]}),  # dropped, and counted, when it is cut
    Case(S, "empty label", {"a.csv": "text,label\na b,\nc,y\n"}, r"a\.csv:2: label is"),
    Case(S, "twice one column", {"a.csv": "text,label,label\na,x,y\n"}, "two columns are called"),
    Case(S, "other columns", {"a.csv": "body,kind\na b,x\n"},
         r"no column 'text'; it has 'body', 'kind' \(text_column"),
    Case(S, "further columns", {"a.csv": "id,text,label\n1,a b,x\n2,c,y\n"}, AB,
         ["columns not used: id"]),
    Case(S, "no header, by option", {"a.csv": "a b,x\nc,y\n"}, AB, settings=NONE),
    Case(S, "no header, numbers alone", {"a.csv": "a b,x\nc,y\n"}, "--header first.*--header none",
         settings={"text_column": "1", "label_column": "2"}),
    Case(S, "TSV, plain quotes", {"a.tsv": 'text\tlabel\n"a b\tx\nc\ty\n'},
         {"all": [('"a b', "x"), ("c", "y")]}),
    Case(S, "TSV as pandas writes it", {"a.tsv": 'text\tlabel\n"a ""b"""\tx\nc\ty\n'},
         {"all": [('a "b"', "x"), ("c", "y")]}, ["stand in double quotes"]),
    Case(S, "two texts joined", {"a.csv": "title,body,label\na,b,x\nc,,y\n"}, AB,
         settings={"text_column": "title+body"}),
    Case(S, "JSON lines", {"a.jsonl": JSONL}, AB),
    Case(S, "NDJSON, gzip", {"a.ndjson.gz": gzip.compress(JSONL.encode())}, AB),
    Case(S, "JSON array", {"a.json": json.dumps(ROWS)}, AB, ["one array"]),
    Case(S, "JSON paths", {"a.jsonl": '{"data": {"text": "a b", "kind": "x"}}\n'},
         {"all": [("a b", "x")]}, settings={"text_column": "data.text", "label_column": "data.kind"}),
    Case(S, "JSON, damaged line", {"a.jsonl": JSONL + '{"text": \n'}, r"a\.jsonl:3: not JSON"),
    Case(S, "JSON, null", {"a.jsonl": '{"text": null, "label": "x"}\n'},
         r"a\.jsonl:1: no value in column 'text'"),
    Case(S, "JSON, key missing", {"a.jsonl": JSONL + '{"text": "d"}\n'},
         r"a\.jsonl:3: no column 'label'"),
    Case(S, "JSON, list of one label", {"a.jsonl": JSONL.replace('"x"', '["x"]')}, AB,
         ["1 labels that were lists of one, unwrapped"]),
    Case(S, "JSON, list of labels", {"a.jsonl": JSONL.replace('"x"', '["x", "z"]')},
         r"a\.jsonl:1: label is a list of 2 labels.*--multi_label"),
    Case(S, "lists of labels, by option", {"a.jsonl": JSONL.replace('"x"', '["x", "z"]')},
         {"all": [("a b", ("x", "z")), ("c", ("y",))]}, settings={"multi_label": True}),
    Case(S, "labels in one field, by option", {"a.csv": CSV.replace(",x", ",x|z")},
         {"all": [("a b", ("x", "z")), ("c", ("y",))]}, ["1 labels split"],
         {"multi_label": True, "label_separator": "|"}),
    Case(S, "labels in one field, separator not said", {"a.csv": CSV.replace(",x", ",x|z")},
         r"a\.csv:2: label is 'x\|z'.*--label_separator", settings={"multi_label": True}),
    Case(S, "0 and 1 for each class", {"a.jsonl": '{"text": "a", "label": [0, 1, 0]}\n'},
         r"a\.jsonl:1: .*not a 0 or 1", settings={"multi_label": True}),
    Case(S, "list of words as text", {"a.jsonl": JSONL.replace('"a b"', '["a", "b"]')}, AB,
         ["1 texts that were lists of words, joined"]),
    Case(S, "label of two kinds", {"a.jsonl": JSONL.replace('"y"', "1")},
         r"a\.jsonl:2: .*two kinds"),
    Case(S, "label that is a fraction", {"a.jsonl": JSONL.replace('"x"', "1.5")},
         r"a\.jsonl:1: label is float 1\.5"),
    Case(S, "Parquet", {"a.parquet": table("parquet")}, AB),
    Case(S, "Feather", {"a.feather": table("feather")}, AB),
    Case(S, "Arrow stream", {"a.arrow": table("arrow")}, AB),
    Case(S, "Parquet, class names of Hugging Face",
         {"a.parquet": table("parquet", [{"text": "a b", "label": 1}, {"text": "c", "label": 0}],
                             {"label": ["y", "x"]})}, AB, ["classes by the file's names: y, x"]),
    Case(S, "Parquet, damaged", {"a.parquet": b"PAR1 no"}, r"a\.parquet cannot be read as Parquet"),
    Case(S, "a form for what is no delimited table", {"a.jsonl": JSONL}, "no delimited table",
         settings={"delimiter": ";"}),
    Case(S, "shards", {f"train-0000{i}-of-00002.parquet": table("parquet", [ROWS[i]])
                       for i in (0, 1)}, {"train": AB["all"]}),
    Case(S, "a shard is missing", {"train-00000-of-00002.parquet": table("parquet")},
         "of-00002"),
    Case(S, "a pattern", {"part-1.csv": CSV, "part-2.csv": CSV}, {"all": AB["all"] * 2},
         ["2 files joined"], data="part-*.csv"),
    Case(S, "two files for a split", {"train.csv": CSV, "train.jsonl": JSONL, "test.csv": CSV},
         r"train\.csv.*train\.jsonl"),
    Case(S, "dev and val", {"train.csv": CSV, "dev.csv": CSV, "val.csv": CSV}, "dev.csv.*val.csv"),
    Case(S, "splits by name", {"Train.csv": CSV, "newsdev.csv": CSV, "tst2013.csv": CSV},
         {"train": AB["all"], "validation": AB["all"], "test": AB["all"]}),
    Case(S, "further files", {"train.csv": CSV, "notes.md": "?", ".DS_Store": "?"},
         {"train": AB["all"]}, [r"notes\.md"]),
    Case(S, "folders of classes", {"x/1.txt": "a b", "y/1.txt": "c", "z/1.txt": "d"},
         {"all": [("a b", "x"), ("c", "y"), ("d", "z")]}),
    Case(S, "folders of classes in splits",
         {"train/x/1.txt": "a b", "train/y/1.txt": "c", "test/x/1.txt": "d", "train/x/._1.txt": "?"},
         {"train": AB["all"], "test": [("d", "x")]}, [r"\._1\.txt"]),
    Case(S, "aclImdb", {"train/pos/1_9.txt": "a", "train/neg/1_2.txt": "b", "train/unsup/1_0.txt": "c"},
         {"train": [("b", "negative"), ("a", "positive")]}, ["without a label: 1 texts in unsup"]),
    Case(S, "fastText's lines", {"a.txt": "__label__x a b\n__label__y c\n"}, AB, ["fastText"]),
    Case(S, "fastText, several labels", {"a.txt": "__label__x __label__z a b\n"},
         r"a\.txt:1: .*--multi_label"),
    Case(S, "fastText, a tab behind the label", {"a.txt": "__label__x\ta b\n__label__y c\n"}, AB),
    Case(S, "a list as NumPy prints it", {"a.csv": "text,label\na b,['x' 'z']\n"},
         r"a\.csv:2: label looks like a list"),
    Case(S, "a set", {"a.csv": 'text,label\na b,"{\'x\'}"\nc,y\n'}, AB, ["unwrapped"]),
    Case(S, "True and False for each class", {"a.jsonl": '{"text": "a", "label": [true, false]}\n'},
         r"a\.jsonl:1: .*not a 0 or 1", settings={"multi_label": True}),
    Case(S, "a separator that is nowhere", {"a.csv": CSV}, {"all": [("a b", ("x",)), ("c", ("y",))]},
         ["label_separator '#' is in no label"], {"multi_label": True, "label_separator": "#"}),
    Case(S, "blanks behind the commas", {"a.csv": 'text, label\n"a b", "x"\nc, y\n'}, AB,
         ["a blank behind each delimiter"]),
    Case(S, "a field over two lines", {"a.csv": 'text,label\n"a\nb",x\nc,y\n'},
         {"all": [("a\nb", "x"), ("c", "y")]}, ["1 rows over several lines"]),
    Case(S, "a quote within a field of TSV", {"a.tsv": 'text\tlabel\na "b\tx\nc\ty\n'},
         {"all": [('a "b', "x"), ("c", "y")]}),
    Case(S, "folders of classes and tables", {"train/x/1.txt": "a", "train/y/1.txt": "b",
                                              "train.csv": CSV}, r"folders of classes and tables"),
    Case(S, "a text among tables", {"train/a.csv": CSV, "train/notes.txt": "?", "test/a.csv": CSV},
         {"train": AB["all"], "test": AB["all"]}),
    Case(S, "parts in the order of their numbers", {"part-10.csv": "text,label\nd,x\n",
                                                    "part-2.csv": CSV},
         {"all": [*AB["all"], ("d", "x")]}, data="part-*.csv"),
    Case(S, "a text of a class in UTF-16", {"x/1.txt": "a b".encode("utf-16"), "y/1.txt": "c"}, AB),
    Case(S, "text without labels", {"a.txt": "a b\nc\n"}, "neither .* nor a table"),
    Case(S, "GLUE's SST-2", {"train.tsv": "sentence\tlabel\na b\t1\nc\t0\n",
                             "test.tsv": "sentence\tlabel\nd\t-1\n"},
         {"train": [("a b", "1"), ("c", "0")]}, ["labels are hidden"], {"text_column": "sentence"}),
    Case(S, "AG News", {"train.csv": '"3","Title","Body, more"\n"4","T","B"\n'},
         {"train": [("Title Body, more", "3"), ("T B", "4")]},
         settings={"header": "none", "label_column": "1", "text_column": "2+3"}),
    Case(S, "SMS Spam Collection", {"SMSSpamCollection.tsv": 'ham\tHi "you"\nspam\tWin\n'},
         {"all": [('Hi "you"', "ham"), ("Win", "spam")]},
         settings={"header": "none", "label_column": "1", "text_column": "2"}),
    Case(S, "SMS Spam of Kaggle", {"spam.csv": "v1,v2,,,\nham,Hi,,,\nspam,Win £,,,\n".encode("latin-1")},
         {"all": [("Hi", "ham"), ("Win £", "spam")]},
         settings={"label_column": "v1", "text_column": "v2", "encoding": "latin-1"}),
    Case(S, "IMDB of Kaggle", {"IMDB Dataset.csv": 'review,sentiment\n"a<br />""b""",positive\n'},
         {"all": [('a<br />"b"', "positive")]},
         settings={"text_column": "review", "label_column": "sentiment"}),
    Case(S, "doccano", {"all.jsonl": '{"id": 1, "data": "a b", "label": ["x"]}\n'},
         {"all": [("a b", "x")]}, ["unwrapped", "not used: id"], {"text_column": "data"}),
]  # fmt: skip

# -- words and their tags --------------------------------------------------------------------------

CONLL03 = "-DOCSTART- -X- O O\n\nAnn NNP B-NP B-PER\nLee NNP I-NP I-PER\n\nran VBD B-VP O\n"
NER = {"column": "ner"}
BY_NUMBER = {"column": "2", "word_column": "1"}
TOKENS = [{"tokens": ["a", "b"], "ner_tags": ["X", "Y"]}, {"tokens": ["c"], "ner_tags": ["X"]}]

SENTENCES = [
    Case(T, "CoNLL-2003", {"a.txt": CONLL03}, NAMES, settings=NER),
    Case(T, "CoNLL-2003, CR only", {"a.txt": CONLL03.replace("\n", "\r")}, NAMES,
         ["lines end with a carriage return alone"], settings=NER),
    Case(T, "CoNLL-2003, UTF-16", {"a.txt": CONLL03.encode("utf-16")}, NAMES,
         ["utf-16, by its byte order mark"], settings=NER),
    Case(T, "CoNLL-2003, tag by number", {"a.txt": CONLL03}, NAMES, settings={"column": "4"}),
    Case(T, "CoNLL-2003 of German", {"a.txt": "Ann Ann NE I-NC B-PER\nLee Lee NE I-NC I-PER\n\n"
                                              "ran run VV I-VC O\n"}, NAMES, settings=NER),
    Case(T, "CoNLL-2002", {"a.txt": "Ann NP B-PER\nLee NP I-PER\n\nran VB O\n"}, NAMES,
         settings=NER),
    Case(T, "an empty line of blanks", {"a.tsv": "a\tX\nb\tY\n \t\nc\tX\n"}, TAGS,
         settings=BY_NUMBER),
    Case(T, "a form with a blank", {"a.tsv": "a b\tX\n\nc\tY\n"},
         {"all": [(["a b"], ["X"]), (["c"], ["Y"])]}, settings=BY_NUMBER),
    Case(T, "# as a word", {"a.tsv": "#\tX\nb\tY\n\nc\tX\n"},
         {"all": [(["#", "b"], ["X", "Y"]), (["c"], ["X"])]}, settings=BY_NUMBER),
    Case(T, "more columns in one line", {"a.tsv": "a\tX\nb\tY\tZ\n"}, r"a\.tsv:2: ",
         settings=BY_NUMBER),
    Case(T, "GermEval", {"a.tsv": "# source\n1\tAnn\tB-PER\tO\n2\tLee\tI-PER\tO\n\n# source\n"
                                  "1\tran\tO\tO\n"}, NAMES, settings=NER),
    Case(T, "GermEval, an empty line missing", {"a.tsv": "1\tAnn\tB-PER\tO\n2\tLee\tI-PER\tO\n1\tran\tO\tO\n"},
         r"a\.tsv:3: token 1 where 3 was expected", settings=NER),
    Case(T, "a header", {"a.tsv": "Token\tPOS\na\tX\nb\tY\n\nc\tX\n"}, TAGS, ["first row is a header"],
         {"column": "xpos"}),
    Case(T, "CSV, numbers as tags", {"a.csv": 'tokens,ner_tags\n"[\'a\', \'b\']","[0, 1]"\n'},
         "holds numbers", settings=NER),
    Case(T, "a sentence that begins again", {"a.csv": "sentence_id,Word,Tag\n1,a,X\n1,b,Y\n2,c,X\n1,a,X\n"},
         {"all": [*TAGS["all"], (["a"], ["X"])]}, ["1 sentences whose sentence_id was there before"], NER),
    Case(T, "WNUT", {"a.conll": "Ann\tB-PER\nLee\tI-PER\n\nran\tO\n"}, NAMES, settings=NER),
    Case(T, "MultiCoNER", {"a.conll": "# id 1\tdomain=en\nAnn _ _ B-PER\nLee _ _ I-PER\n\n# id 2\n"
                                      "ran _ _ O\n"}, NAMES, settings=NER),
    Case(T, "WikiNER", {"a.txt": "Ann|NNP|B-PER Lee|NNP|I-PER\nran|VBD|O\n"}, NAMES, settings=NER),
    Case(T, "word/TAG", {"a.pos": "a/X b/Y\nc/X\n"}, TAGS, settings={"column": "xpos"}),
    Case(T, "word/TAG, a word without a tag", {"a.pos": "a/X b/Y c\nc/X\n"}, r"a\.pos:[12]: "),
    Case(T, "CoNLL-U", {"a.conllu": "1\ta\t_\tX\t_\t_\t0\t_\t_\t_\n2\tb\t_\tY\t_\t_\t1\t_\t_\t_\n\n"
                                    "1\tc\t_\tX\t_\t_\t0\t_\t_\t_\n\n"}, TAGS),
    Case(T, "CoNLL-U, a line too short", {"a.conllu": "1\ta\t_\tX\n\n"}, r"a\.conllu:1: "),
    Case(T, "CoNLL-U Plus", {"a.conllup": "# global.columns = ID FORM MINE:NER\n1\ta\tX\n2\tb\tY\n\n"
                                          "1\tc\tX\n"}, TAGS, settings={"column": "MINE:NER"}),
    Case(T, "Penn brackets", {"a.mrg": "(S (X a) (Y b))\n(S (X c))\n"}, TAGS,
         settings={"column": "xpos"}),
    Case(T, "JSON lines of lists", {"a.jsonl": "".join(json.dumps(r) + "\n" for r in TOKENS)}, TAGS,
         ["ner_tags"], NER),
    Case(T, "lists of unequal length", {"a.jsonl": '{"tokens": ["a", "b"], "ner_tags": ["X"]}\n'},
         r"a\.jsonl:1: 2 words .* 1 tags", settings=NER),
    Case(T, "Parquet, tags are numbers", {"a.parquet": table(
        "parquet", [{**row, "ner_tags": [0] * len(row["tokens"])} for row in TOKENS])},
         "holds numbers", settings=NER),
    Case(T, "Kaggle, a token a row",
         {"ner.csv": "Sentence #,Word,Tag\nSentence: 1,a,X\n,b,Y\nSentence: 2,c,X\n"}, TAGS,
         ["Sentence #"], NER),
    Case(T, "doccano's spans", {"a.jsonl": '{"text": "a b c", "label": [[0, 3, "P"]]}\n'},
         {"all": [(["a", "b", "c"], ["B-P", "I-P", "O"])]}, ["IOB2"], NER),
    Case(T, "a span within a word", {"a.jsonl": '{"text": "abc", "label": [[0, 2, "P"]]}\n'},
         r"a\.jsonl:1: ", settings=NER),
    Case(T, "a column that is not there", {"a.txt": CONLL03}, "column", settings={"column": "9"}),
    Case(T, "an empty file", {"a.txt": ""}, r"a\.txt"),
]  # fmt: skip

# -- running text ----------------------------------------------------------------------------------

TEXT = [
    Case(L, "a text", {"a.txt": "a b\nc\n"}, {"all": ["a b\n", "c\n"]}),
    Case(L, "a text, CR only", {"a.txt": "a b\rc\r"}, {"all": ["a b\n", "c\n"]}),
    Case(L, "a text, UTF-16", {"a.txt": "a b\nc\n".encode("utf-16")}, {"all": ["a b\n", "c\n"]},
         ["utf-16"]),
    Case(L, "a text, gzip", {"a.txt.gz": gzip.compress(b"a b\nc\n")}, {"all": ["a b\n", "c\n"]}),
    Case(L, "a text, Latin-1 as UTF-8", {"a.txt": "café\n".encode("latin-1")}, r"a\.txt:1 is not utf-8.*--encoding"),
    Case(L, "texts by split", {"wiki.train.tokens": "a\n", "wiki.valid.tokens": "b\n",
                               "wiki.test.tokens": "c\n"},
         {"train": ["a\n"], "validation": ["b\n"], "test": ["c\n"]}),
    Case(L, "a table", {"a.csv": "id,text\n1,a b\n2,c\n"}, {"all": ["a b\n", "c\n"]},
         ["columns not used: id"], {"text_column": "text"}),
    Case(L, "a table, no such column", {"a.csv": "id,body\n1,a b\n"}, "no column 'text'"),
    Case(L, "a form for what is no table", {"a.txt": "a\n"}, "no delimited table",
         settings={"delimiter": ";"}),
    Case(L, "an empty text", {"a.txt": ""}, r"a\.txt"),
]  # fmt: skip

# -- pairs -----------------------------------------------------------------------------------------

TMX = """<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en"><seg>a b</seg></tuv><tuv xml:lang="de"><seg>A B</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>c</seg></tuv><tuv xml:lang="de"><seg>C</seg></tuv></tu></body></tmx>"""

PARALLEL = [
    Case(P, "two files", {"all.en": "a b\nc\n", "all.de": "A B\nC\n"}, PAIRS, settings=EN_DE,
         data="all"),
    Case(P, "two files, CR only", {"all.en": "a b\rc\r", "all.de": "A B\nC\n"}, PAIRS,
         ["all.en: lines end with a carriage return alone"], settings=EN_DE),
    Case(P, "two files of unequal length", {"all.en": "a b\nc\n", "all.de": "A B\n"},
         r"all\.(en|de).*[12]", settings=EN_DE, data="all"),
    Case(P, "a line of zero-width characters", {"test.en": "a b\n\u200b\n", "test.de": "A B\nC\n"},
         r"test\.en:2: ", settings=EN_DE),
    Case(P, "Moses' names", {"europarl-v7.de-en.en": "a b\nc\n", "europarl-v7.de-en.de": "A B\nC\n"},
         PAIRS, settings=EN_DE, data="europarl-v7.de-en"),
    Case(P, "OpenNMT's names", {"src-train.txt": "a b\nc\n", "tgt-train.txt": "A B\nC\n"},
         {"train": PAIRS["all"]}, settings={"source": "src", "target": "tgt"}),
    Case(P, "train.de.txt", {"train.en.txt": "a b\nc\n", "train.de.txt": "A B\nC\n"},
         {"train": PAIRS["all"]}, settings=EN_DE),
    Case(P, "newstest beside train", {"train.en": "a\n", "train.de": "A\n", "newstest2014.en": "b\n",
                                      "newstest2014.de": "B\n"},
         {"train": [("a", "A")], "test": [("b", "B")]}, settings=EN_DE),
    Case(P, "a side is missing", {"train.en": "a\n"}, "no files of the language 'de'", settings=EN_DE),
    Case(P, "TMX", {"a.tmx": TMX}, PAIRS, settings=EN_DE),
    Case(P, "TMX, no such language", {"a.tmx": TMX}, "fr", settings={"source": "en", "target": "fr"}),
    Case(P, "TMX, damaged", {"a.tmx": TMX[:200]}, r"a\.tmx", settings=EN_DE),
    Case(P, "TSV, header seen", {"a.tsv": "en\tde\na b\tA B\nc\tC\n"}, PAIRS, ["header|column"],
         {"source": "1", "target": "2"}),
    Case(P, "TSV, no header", {"a.tsv": "a b\tA B\nc\tC\n"}, PAIRS,
         settings={"source": "1:en", "target": "2:de"}),
    Case(P, "TSV of Tatoeba with numbers", {"a.tsv": "1\ta b\t2\tA B\n"}, "which are the sentences"),
    Case(P, "TSV of Tatoeba, columns said", {"a.tsv": "1\ta b\t2\tA B\n3\tc\t4\tC\n"}, PAIRS,
         ["2 rows with columns that are not used"], {"source": "2:en", "target": "4:de"}),
    Case(P, "TSV in quotes", {"a.tsv": '"a b"\t"A B"\n"c"\t"C"\n'}, PAIRS, ["double quotes"]),
    Case(P, "CSV without names", {"a.csv": "a b,A B\nc,C\n"}, "a header or a pair"),
    Case(P, "CSV without names, by option", {"a.csv": "a b,A B\nc,C\n"}, PAIRS,
         settings={"header": "none"}),
    Case(P, "CSV by names", {"a.csv": "id,en,de\n1,a b,A B\n2,c,C\n"}, PAIRS, ["not used: id"], EN_DE),
    Case(P, "CSV, a field too many", {"a.csv": "en,de\na, b,A B\n"}, r"a\.csv:2: 3 fields",
         settings=EN_DE),
    Case(P, "Hugging Face's translation", {"a.jsonl": '{"translation": {"en": "a b", "de": "A B"}}\n'
                                                     '{"translation": {"en": "c", "de": "C"}}\n'},
         PAIRS, settings=EN_DE),
    Case(P, "several references", {"train.en": "a\n", "train.de": "A\n", "test.en": "b\n",
                                   "test.de.0": "B\n", "test.de.1": "BB\n"},
         {"train": [("a", "A")], "test": [("b", "B")]}, ["several references"], EN_DE),
]  # fmt: skip

CASES = [*CLASSES, *SENTENCES, *TEXT, *PARALLEL]


def read(case: Case, folder: Path) -> Any:
    """The corpus of an input."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    only = (
        next(iter(case.files)) if len(case.files) == 1 and "/" not in next(iter(case.files)) else ""
    )
    named_split = re.match("(train|test)", only)
    data = str(folder / (case.data or ("" if named_split else only)))
    task = find_task(case.task)
    settings = task.settings_class(data=data, **case.settings)
    return task.read(settings, data, download=False)


def plain(example: Any, case: Case) -> Any:
    """An example as a case has it."""
    if case.task == T:
        (tags,) = [example.columns[case.settings.get("column", "upos")]]
        return example.words, tags
    return (example.source, example.target) if case.task == P else example


@pytest.mark.parametrize("case", CASES, ids=[f"{case.task}: {case.name}" for case in CASES])
def test_every_input_is_read_right_or_refused(case: Case, tmp_path: Path) -> None:
    if isinstance(case.wanted, str):
        with pytest.raises(UserError) as refused:
            read(case, tmp_path)
        message = str(refused.value)
        assert re.search(case.wanted, message), message
        assert len(message.splitlines()) == 1
        return
    corpus = read(case, tmp_path)
    found = {split: [plain(e, case) for e in part] for split, part in corpus.splits.items()}
    assert found == case.wanted, corpus.notes
    notes = " / ".join([corpus.source, *corpus.notes])
    for pattern in case.said:
        assert re.search(pattern, notes), notes


def main() -> None:
    """Prints the matrix."""
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                corpus = read(case, Path(folder))
                sizes = ", ".join(f"{name} {len(part)}" for name, part in corpus.splits.items())
                outcome = "; ".join([f"read: {sizes}", *corpus.notes])
            except UserError as error:
                outcome = f"refused: {error}"
        shown = outcome.replace(folder + "/", "").replace(folder, "FOLDER").replace("|", "\\|")
        print(f"| {case.task} | {case.name} | {shown} |")


if __name__ == "__main__":
    sys.exit(main())
