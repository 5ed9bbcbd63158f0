"""Parallel text in the forms that it is published in: stand-ins, and the pairs in them."""

import gzip
import json
import shutil
import tracemalloc

import pytest

from kerasseq.data.examples import Pair
from kerasseq.data.tmx import units
from kerasseq.errors import UserError
from kerasseq.tasks.translation.cleaning import clean, cut_corpus
from kerasseq.tasks.translation.other_data import languages_of
from kerasseq.tasks.translation.reading import is_there, read_path
from tests.tasks.translation.test_reading import own, write


def read(path, source="", target="", **form):
    from kerasseq.data.delimited import TableFormat

    return read_path(path, source, target, "utf-8", TableFormat(**form))


def refused(path, *options, **form):
    with pytest.raises(UserError) as caught:
        read(path, *options, **form)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- two plain files -------------------------------------------------------------------------------


def test_the_folder_of_a_news_test(tmp_path):
    for name in ("train", "newstest2014"):
        for language in ("xx", "yy"):
            write(tmp_path / f"{name}.{language}", f"{name} {language}\n")
    corpus = read(tmp_path, "xx", "yy")
    assert corpus.splits == {
        "train": own(("train xx", "train yy")),
        "test": own(("newstest2014 xx", "newstest2014 yy")),
    }
    assert corpus.notes == []


def test_moses_pairs_without_a_split(tmp_path):
    write(tmp_path / "europarl-v7.de-en.de", "Guten Tag\nJa\n")
    write(tmp_path / "europarl-v7.de-en.en.gz", "Good day\nYes\n")
    write(tmp_path / "README", "x")
    pairs = own(("Guten Tag", "Good day"), ("Ja", "Yes"))
    corpus = read(tmp_path, "de", "en")
    assert (corpus.splits, corpus.languages) == ({"all": pairs}, ("de", "en"))
    assert corpus.notes == [
        "not used, no split by their names, or in no language that is asked for: README"
    ]
    assert "has several languages: choose two of de, en with --source" in refused(tmp_path)
    prefix = tmp_path / "europarl-v7.de-en"
    assert is_there(prefix)
    assert not is_there(tmp_path / "europarl")
    assert read(prefix, "de", "en").splits == {"all": pairs}
    assert read(prefix, "en", "de").splits["all"][1] == Pair("Yes", "Ja", "Yes")
    assert "choose two of de, en" in refused(prefix)
    cure = refused(tmp_path / "europarl-v7.de-en.de", "de", "en")
    assert cure.endswith(f"the beginning of its name stands for both: {prefix}")

    write(tmp_path / "commoncrawl.de-en.de", "Nein\n")
    assert "commoncrawl.de-en.de has no commoncrawl.de-en.en" in refused(tmp_path, "de", "en")
    write(tmp_path / "commoncrawl.de-en.en", "No\n")
    corpus = read(tmp_path, "de", "en")
    assert corpus.splits["all"] == [*own(("Nein", "No")), *pairs]
    assert corpus.notes[0] == (
        "2 files or pairs of files joined: commoncrawl.de-en.de, europarl-v7.de-en.de"
    )


def test_opennmt(tmp_path):
    for split in ("train", "val", "test"):
        write(tmp_path / f"src-{split}.txt", f"{split} a\n")
        write(tmp_path / f"tgt-{split}.txt", f"{split} b\n")
    corpus = read(tmp_path)
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert corpus.splits["test"] == own(("test a", "test b"))
    assert corpus.languages == ("src", "tgt")
    assert corpus.notes == ["from src to tgt, as the files say"]
    told = read(tmp_path, "src:en", "tgt:ja")
    assert (told.languages, told.notes) == (("en", "ja"), [])
    assert languages_of(tmp_path, ("src:en", "tgt:ja"), ("en", "ja"), "utf-8") == (
        ("src:en", "tgt:ja"),
        [],
    )
    assert "no files of the language 'de': choose two of src, tgt" in refused(tmp_path, "de", "en")
    (tmp_path / "tgt-val.txt").unlink()
    assert "src-val.txt has no" not in refused(tmp_path, "de", "en")


@pytest.mark.parametrize(
    "names",
    [
        ("train.src", "train.tgt"),
        ("train.source", "train.target"),
        ("train_src.txt", "train_tgt.txt"),
    ],
)
def test_roles_say_the_direction(tmp_path, names):
    for name in names:
        write(tmp_path / name, f"{name}\n")
    assert read(tmp_path).splits == {"train": own(names)}


def test_the_language_before_the_suffix(tmp_path):
    for name in ("train.de.txt", "train.en.txt", "dev.de.txt", "dev.en.txt.gz"):
        write(tmp_path / name, f"{name}\n")
    corpus = read(tmp_path, "de", "en")
    assert corpus.splits == {
        "train": own(("train.de.txt", "train.en.txt")),
        "validation": own(("dev.de.txt", "dev.en.txt.gz")),
    }
    # a table of pairs is one by itself
    (tmp_path / "other").mkdir()
    write(tmp_path / "other/train.deu.txt", "a\tb\n")
    assert read(tmp_path / "other").splits == {"train": own(("a", "b"))}


def test_training_files_of_talks(tmp_path):
    write(tmp_path / "train.tags.de-en.de", "<url>http://x</url>\n<title>T</title>\n Ja. \nNein\n")
    write(tmp_path / "train.tags.de-en.en", "<doc docid='1'>\nYes.\nNo\n</doc>\n")
    corpus = read(tmp_path, "de", "en")
    assert corpus.splits == {"train": own((" Ja. ", "Yes."), ("Nein", "No"))}
    assert corpus.notes == ["train: 4 lines of tags left out (<url>, <title>, ...)"]
    write(tmp_path / "train.tags.de-en.en", "<doc docid='1'>\nYes.\n")
    assert "has 2 lines, but" in refused(tmp_path, "de", "en")
    assert "nothing matches train.tags.de-en.de:4 (Nein)" in refused(tmp_path, "de", "en")


@pytest.mark.parametrize("names", [("test.en.0", "test.en.1"), ("test.en.ref0", "test.en.ref1")])
def test_several_reference_files(tmp_path, names):
    for name, text in zip(names, ("Yes.\nNo.\n", "Yeah.\nNope.\n"), strict=True):
        write(tmp_path / name, text)
    write(tmp_path / "test.de", "Ja.\nNein.\n")
    corpus = read(tmp_path, "de", "en")
    assert corpus.splits == {
        "test": [Pair("Ja.", "Yes.", "Ja.", ("Yeah.",)), Pair("Nein.", "No.", "Nein.", ("Nope.",))]
    }
    assert corpus.notes == ["test: 2 sentences have several references"]
    swapped = read(tmp_path, "en", "de")
    assert [pair[:2] for pair in swapped.splits["test"]][:2] == [("Yes.", "Ja."), ("Yeah.", "Ja.")]
    assert swapped.notes == [
        "test: 2 sentences of several sources: each source is a pair of its own"
    ]
    write(tmp_path / names[1], "Yeah.\n")
    assert f"{names[1]} has 1: nothing matches test.de:2 (Nein.)" in refused(tmp_path, "de", "en")


def test_the_same_side_twice(tmp_path):
    for name in ("train.de", "train.de.gz", "train.en"):
        write(tmp_path / name, "x\n")
    assert "both train.de and train.de.gz could be the de side of train" in refused(
        tmp_path, "de", "en"
    )


def test_a_file_for_each_split_is_the_beginning_of_two_names(tmp_path):
    from kerasseq.tasks.translation.settings import TranslationSettings
    from kerasseq.tasks.translation.task import Translation

    for name in ("a", "b"):
        for language in ("de", "en"):
            write(tmp_path / f"{name}.{language}", f"{name} {language}\n")
    source = f"train={tmp_path / 'a'},test={tmp_path / 'b'}"
    settings = TranslationSettings(data=source, source="de", target="en")
    corpus = Translation().read(settings, source, False)
    assert corpus.splits == {"train": own(("a de", "a en")), "test": own(("b de", "b en"))}


def test_a_table_and_two_files_of_one_split(tmp_path):
    for name in ("train.tsv", "train.de", "train.en"):
        write(tmp_path / name, "a\tb\n")
    message = refused(tmp_path, "de", "en")
    assert "both train.tsv and train.de could be the train split; leave one of them" in message
    (tmp_path / "train.tsv").unlink()
    write(tmp_path / "train.jsonl", '{"de": "a", "en": "b"}\n')
    assert "both train.jsonl and train.de could be" in refused(tmp_path, "de", "en")
    for language in ("de", "en"):
        (tmp_path / f"train.{language}").rename(tmp_path / f"test.{language}")
    corpus = read(tmp_path, "de", "en")
    assert corpus.splits == {"train": own(("a", "b"))}
    assert corpus.notes == [
        "not used, no split by their names, or no tables of pairs: test.de, test.en"
    ]


def test_lists_in_memory():
    from kerasseq.tasks.translation.settings import TranslationSettings
    from kerasseq.tasks.translation.task import Translation

    data = {"test": [{"source": "Yes.", "target": ["Ja.", "Jawohl."]}]}
    corpus = Translation().from_memory(TranslationSettings(), data)
    assert corpus.splits["test"] == [Pair("Yes.", "Ja.", "Yes.", ("Jawohl.",))]
    with pytest.raises(UserError, match="target is int 7, expected a string"):
        Translation().from_memory(TranslationSettings(), {"test": [("Yes.", ["Ja.", 7])]})
    with pytest.raises(UserError, match="an empty sentence in the test split"):
        Translation().from_memory(TranslationSettings(), {"test": [("Yes.", ["Ja.", ""])]})


# -- nothing to be seen ----------------------------------------------------------------------------


@pytest.mark.parametrize("unseen", ["\x00\x00", "\u200b", "\ufeff", " \u200e\u200f", "\u00ad"])
def test_what_nobody_sees_is_empty(tmp_path, unseen):
    write(tmp_path / "train.de", f"Ja\n{unseen}\n")
    write(tmp_path / "train.en", "Yes\nNo\n")
    cleaned = clean(read(tmp_path, "de", "en"), 50, 3.0)
    assert cleaned.splits["train"] == own(("Ja", "Yes"))
    assert cleaned.notes == ["1 pairs left out: a side is empty"]
    for language in ("de", "en"):
        shutil.copy(tmp_path / f"train.{language}", tmp_path / f"test.{language}")
    assert "test.de:2: an empty sentence in the test split" in refused(tmp_path, "de", "en")
    write(tmp_path / "a.tsv", f"a\tb\nc\t{unseen}\n")
    assert "a.tsv:2: no sentence in column 2 of 2" in refused(tmp_path / "a.tsv")


# -- tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "languages"),
    [
        ("en\tde", ("en", "de")),
        ("English\tFrench", ("en", "fr")),
        ("eng\tspa", ("eng", "spa")),
        ("source\ttarget", ("1", "2")),
        ("src\ttgt", ("1", "2")),
    ],
)
def test_a_header_is_seen(tmp_path, header, languages):
    path = write(tmp_path / "pairs.tsv", f"{header}\nGo.\tVe.\n")
    corpus = read(path)
    assert (corpus.splits, corpus.languages) == ({"all": own(("Go.", "Ve."))}, languages)
    shown = header.replace("\t", ", ")
    assert corpus.notes == [f"pairs.tsv: its first row is a header: {shown}"]
    names = header.split("\t")
    assert read(path, *names).splits == corpus.splits
    assert len(read(path, header="none").splits["all"]) == 2


def test_a_header_that_may_be_a_pair(tmp_path):
    path = write(tmp_path / "pairs.tsv", "it\tes\ngo\tgehe\n")
    message = refused(path)
    assert "its first row, 'it' and 'es', may be a header or a pair: --header none" in message
    assert len(read(path, header="none").splits["all"]) == 2
    assert read(path, "1:it", "2:es").splits["all"] == own(("go", "gehe"))
    assert read(path, "it", "es").splits["all"] == own(("go", "gehe"))
    write(path, "en\tde\ngo\tgehe\n")
    assert "is not what --source and --target say (de, en)" in refused(path, "1:de", "2:en")
    assert read(path, "2:de", "1:en").languages == ("de", "en")
    write(path, "Go\tGo\nHi\tHi\n")
    assert len(read(path).splits["all"]) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'id,english,german\n1,"Yes, sir.",Ja.\n'),
        ("a.csv", 'id;english;german\n1;"Yes, sir.";Ja.\n'),
        ("a.tsv", "id\tenglish\tgerman\n1\tYes, sir.\tJa.\n"),
        ("A.TSV", "id\tenglish\tgerman\n1\tYes, sir.\tJa.\n"),
        ("a.txt", "id\tenglish\tgerman\n1\tYes, sir.\tJa.\n"),
        ("a.jsonl", '{"id": 1, "english": "Yes, sir.", "german": "Ja."}\n'),
        ("a.jsonl.gz", '{"id": 1, "english": "Yes, sir.", "german": "Ja."}\n'),
    ],
)
def test_columns_by_name(tmp_path, name, content):
    path = write(tmp_path / name, content)
    expected = {"all": own(("Yes, sir.", "Ja."))}
    for source, target in (("english", "german"), ("english:en", "german:de"), ("en", "de")):
        corpus = read(path, source, target)
        assert (corpus.splits, corpus.languages) == (expected, ("en", "de"))
    assert "no column 'french'" in refused(path, "english", "french")
    assert "both needed" in refused(path, "english", "")
    if name not in ("a.tsv", "A.TSV", "a.txt"):
        message = refused(path)
        assert "which columns are the sentences? it has 'id', 'english', 'german'" in message
        assert "--source and --target" in message


def test_a_csv_table(tmp_path):
    path = write(tmp_path / "a.csv", "en,de\nYes.,Ja.\n")
    corpus = read(path)
    assert (corpus.splits["all"], corpus.languages) == (own(("Yes.", "Ja.")), ("en", "de"))
    assert corpus.notes == ["a.csv: from the column en to the column de"]
    write(path, "Yes.,Ja.\nNo.,Nein.\n")
    assert len(read(path, header="none").splits["all"]) == 2
    assert read(path, "2", "1", header="none").splits["all"][0] == Pair("Ja.", "Yes.", "Ja.")
    write(path, "id,target,source\n1,Ja.,Yes.\n")
    assert read(path).splits["all"] == own(("Yes.", "Ja."))
    write(path, "en,de\nYes.,Ja, ja.\n")
    assert "a.csv:2: 3 fields" in refused(path)
    write(path, "Yes.,Ja.\nNo.,Nein.\n")
    assert "'Yes.' and 'Ja.', a header or a pair?" in refused(path)
    write(path, "Yes,Ja\nNo.,Nein.\n")
    assert read(path, header="first").splits["all"] == own(("No.", "Nein."))


def test_quotes_of_a_table_between_tabs(tmp_path):
    path = write(tmp_path / "a.tsv", '"Yes"\t"Ja"\nNo\tNein\n')
    assert read(path).splits["all"] == own(('"Yes"', '"Ja"'), ("No", "Nein"))
    assert read(path, quoting="double").splits["all"] == own(("Yes", "Ja"), ("No", "Nein"))
    write(path, 'Yes\t"Ja, ""ja"""\nNo\tNein\n')
    assert read(path).splits["all"] == own(("Yes", 'Ja, "ja"'), ("No", "Nein"))
    assert read(path).notes == ["a.tsv: its fields stand in double quotes"]


def test_further_columns_between_tabs(tmp_path):
    path = write(tmp_path / "a.tsv", "1276\tLet's try.\t2481\tIntentemos.\n")
    assert "which are the sentences? --source 1:en --target 2:de" in refused(path)
    corpus = read(path, "2:en", "4:es")
    assert corpus.splits["all"] == own(("Let's try.", "Intentemos."))
    assert corpus.notes == ["1 rows with columns that are not used"]
    write(path, "id\tsource\ttarget\n1\tone\teins\n")
    assert read(path).splits["all"] == own(("one", "eins"))


def objects(*translations):
    return [{"id": str(i), "translation": one} for i, one in enumerate(translations)]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_data_set_of_hugging_face(tmp_path, kind):
    made = objects({"en": "Yes.", "de": "Ja."}, {"en": "No.", "de": "Nein."})
    path = tmp_path / f"train.{kind}"
    if kind == "jsonl":
        write(path, "".join(json.dumps(row) + "\n" for row in made))
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(made), path)
    expected = own(("Ja.", "Yes."), ("Nein.", "No."))
    corpus = read(path, "de", "en")
    assert (corpus.splits["all"], corpus.languages) == (expected, ("de", "en"))
    assert f"train.{kind}: de is its column translation.de" in corpus.notes
    corpus = read(tmp_path, "translation.de", "translation.en")
    assert (corpus.splits["train"], corpus.languages) == (expected, ("de", "en"))
    assert "'translation.en', 'translation.de'" in refused(path)
    assert "no column 'fr'" in refused(path, "fr", "en")


def test_lists_in_a_table(tmp_path):
    rows = [{"en": "Yes.", "de": ["Ja.", "Jawohl."]}, {"en": "No.", "de": ["Nein."]}]
    path = write(tmp_path / "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    corpus = read(tmp_path, "en", "de")
    assert corpus.splits["test"] == [
        Pair("Yes.", "Ja.", "Yes.", ("Jawohl.",)),
        Pair("No.", "Nein.", "No."),
    ]
    assert corpus.notes == [
        "test: 1 fields that were lists of several texts",
        "test: 1 sentences have several references",
    ]
    write(path, '{"en": "Yes.", "de": []}\n')
    assert "test.jsonl:1: de is list []" in refused(tmp_path, "en", "de")
    write(path, '{"en": "Yes.", "de": ["a", 7]}\n')
    assert "test.jsonl:1: a value of de is int 7" in refused(tmp_path, "en", "de")
    write(path, '{"en": "Yes.", "de": ["a", " "]}\n')
    assert "an empty sentence in the test split" in refused(tmp_path, "en", "de")


# -- the direction of other data -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "asked", "known", "columns"),
    [
        ("de\ten\nJa\tYes\n", ("", ""), ("en", "de"), ("en:en", "de:de")),
        ("German\tEnglish\nJa\tYes\n", ("", ""), ("en", "de"), ("English:en", "German:de")),
        ("Ja\tYes\n", ("1", "2"), ("1", "2"), ("1", "2")),
        ("Ja\tYes\n", ("", ""), ("1", "2"), ("1", "2")),
        ("Ja\tYes\n", ("2:en", "1:de"), ("en", "de"), ("2:en", "1:de")),
        ("x\ty\nJa\tYes\n", ("y:en", "x:de"), ("en", "de"), ("y:en", "x:de")),
        ("Ja\tYes\n", ("", ""), ("en", "de"), None),
        ("Ja\tYes\n", ("en", "de"), ("en", "de"), None),
        ("de\ten\nJa\tYes\n", ("", ""), ("1", "2"), None),
        ("de\ten\nJa\tYes\n", ("", ""), ("en", "fr"), None),
    ],
)
def test_columns_of_another_table(tmp_path, content, asked, known, columns):
    path = write(tmp_path / "a.tsv", content)
    if columns is None:
        with pytest.raises(
            UserError, match=r"do not say which is the source .*--source 1 --target"
        ):
            languages_of(path, asked, known, "utf-8")
        return
    found, notes = languages_of(path, asked, known, "utf-8")
    assert found == columns
    if columns[0][0].isdecimal():
        assert notes == [
            f"a.tsv: columns {columns[0][0]} to {columns[1][0]}, as in the run's own table"
        ]
    else:
        assert bool(notes) == (not asked[0])
    assert len(read(path, *found).splits["all"]) == 1


# -- translation memories --------------------------------------------------------------------------

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
<header creationtool="t" segtype="sentence" srclang="en-US" adminlang="en" datatype="xml"/>
<body>
<tu tuid="1"><prop type="p">x</prop><tuv xml:lang="en-US"><seg>Good <bpt i="1">&lt;b&gt;</bpt>day\
<ept i="1">&lt;/b&gt;</ept> &amp; <hi>bye</hi>.</seg></tuv>
<tuv xml:lang="de-DE"><seg>Guten Tag.</seg></tuv></tu>
<tu><tuv lang="EN"><seg>Yes.</seg></tuv><tuv lang="de"><seg>Ja.</seg></tuv>
<tuv lang="DE"><seg>Jawohl.</seg></tuv><tuv lang="fr"><seg>Oui.</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Alone</seg></tuv></tu>
</body></tmx>
"""


@pytest.mark.parametrize("name", ["a.tmx", "a.TMX", "a.tmx.gz"])
def test_a_translation_memory(tmp_path, name):
    path = write(tmp_path / name, TMX)
    corpus = read(path, "en", "de")
    assert corpus.languages == ("en", "de")
    assert corpus.splits["all"] == [
        *own(("Good day & bye.", "Guten Tag.")),
        Pair("Yes.", "Ja.", "Yes.", ("Jawohl.",)),
    ]
    assert corpus.notes == [
        "1 sentences had inline markup, which is left out",
        "1 units without de not used",
        "1 sentences in fr not used",
        "1 sentences have several references",
    ]
    said = read(path)
    assert said.notes[0] == "from en-US to de-DE, as the files say"
    assert said.splits["all"] == own(("Good day & bye.", "Guten Tag."))
    assert read(path, "fr", "en").splits["all"] == own(("Oui.", "Yes."))
    assert read(tmp_path, "en", "de").splits == corpus.splits
    assert "no unit has both en and cs" in refused(path, "en", "cs")


def test_memories_by_split(tmp_path):
    for name in ("train.tmx", "dev.tmx"):
        write(tmp_path / name, TMX)
    assert list(read(tmp_path, "en", "de").splits) == ["train", "validation"]


def test_a_memory_that_does_not_say_its_direction(tmp_path):
    path = write(tmp_path / "a.tmx", TMX.replace('srclang="en-US"', 'srclang="*all*"'))
    assert "several languages: choose two of en-US, de-DE with --source" in refused(path)


def test_damaged_memories(tmp_path):
    path = write(tmp_path / "a.tmx", TMX.replace("<seg>Ja.</seg>", "<seg>Ja & nein.</seg>"))
    assert f"{path}:8: not well-formed XML at column " in refused(path, "en", "de")
    write(path, TMX.replace("Alone", "&nbsp;"))
    assert ":10: not well-formed XML at column 29: undefined entity" in refused(path, "en", "de")
    write(path, TMX[:600])
    assert "not well-formed XML" in refused(path, "en", "de")
    write(tmp_path / "b.tmx.gz", gzip.compress(TMX.encode())[:-20])
    (tmp_path / "b.tmx.gz").write_bytes(gzip.compress(TMX.encode())[:-20])
    assert "damaged or truncated" in refused(tmp_path / "b.tmx.gz", "en", "de")
    write(path, "<html><p>x</p></html>")
    assert "has no parallel text" in refused(path, "en", "de")


def test_no_file_is_fetched_and_no_entity_explodes(tmp_path):
    (tmp_path / "secret").write_text("secret")

    def tens(number):
        return f"&e{number};" * 10

    entity = f'<!DOCTYPE tmx [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    path = write(
        tmp_path / "a.tmx",
        TMX.replace('<!DOCTYPE tmx SYSTEM "tmx14.dtd">', entity).replace("Ja.", "&e;"),
    )
    assert "undefined entity" in refused(path, "en", "de")
    bombs = "".join(f'<!ENTITY e{i} "{tens(i - 1)}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE tmx [<!ENTITY e0 "lollollollol">{bombs}]>'
    write(path, TMX.replace('<!DOCTYPE tmx SYSTEM "tmx14.dtd">', bomb).replace("Ja.", "&e11;"))
    assert "not well-formed XML" in refused(path, "en", "de")


# -- test sets -------------------------------------------------------------------------------------


def sgm(kind, attributes, *texts, sysid=""):
    lines = "".join(f'<seg id="{i}">{text}</seg>\n' for i, text in enumerate(texts, start=1))
    return (
        f'<{kind} setid="newstest2014" srclang="de" {attributes}>\n'
        f'<doc {sysid} docid="a.1" genre="news" origlang="de">\n<hl>\n{lines}</hl>\n</doc>\n'
        f"</{kind}>\n"
    )


def test_sgm(tmp_path):
    source = tmp_path / "newstest2014-deen-src.de.sgm"
    reference = tmp_path / "newstest2014-deen-ref.en.sgm"
    write(source, sgm("srcset", 'trglang="any"', "Ja &amp; nein", "A < B", "Zwei\nZeilen"))
    write(reference, sgm("refset", 'trglang="en"', " Yes &quot;&amp;&quot; no ", "A < B", "Two"))
    corpus = read(tmp_path)
    assert (corpus.languages, list(corpus.splits)) == (("de", "en"), ["test"])
    pairs = own(("Ja & nein", 'Yes "&" no'), ("A < B", "A < B"), ("Zwei Zeilen", "Two"))
    assert corpus.splits["test"] == pairs
    assert corpus.notes == ["from de to en, as the files say"]
    assert read(tmp_path, "de", "en").splits["test"] == pairs
    assert read(tmp_path, "en", "de").splits["test"][2] == Pair("Two", "Zwei Zeilen", "Two")
    assert "no files of the language 'fr': choose two of en, de" in refused(tmp_path, "fr", "en")
    assert "one side of a test set: give the folder" in refused(source)
    write(tmp_path / "newstest2014-deen.system.en.sgm", sgm("tstset", 'trglang="en"', "x"))
    corpus = read(tmp_path)
    assert corpus.splits["test"] == pairs
    assert corpus.notes[1].endswith("newstest2014-deen.system.en.sgm")
    write(reference, sgm("refset", 'trglang="en"', "Yes", "A"))
    assert "de.sgm:6: the segment '3' of the document 'a.1' is not in" in refused(tmp_path)
    reference.unlink()
    assert "newstest2014-deen-src.de.sgm has no file of en beside it" in refused(
        tmp_path, "de", "en"
    ) or "no files of the language 'en'" in refused(tmp_path, "de", "en")


def test_a_test_set_in_both_directions(tmp_path):
    for direction, source, target in (("deen", "de", "en"), ("ende", "en", "de")):
        for kind, language in (("src", source), ("ref", target)):
            name = f"newstest2014-{direction}-{kind}.{language}.sgm"
            write(tmp_path / name, sgm(f"{kind}set", "", f"{direction} {language}"))
    assert read(tmp_path, "de", "en").splits["test"] == own(("deen de", "deen en"))
    assert read(tmp_path, "en", "de").splits["test"] == own(("ende en", "ende de"))
    assert "several languages: choose two of" in refused(tmp_path)


def test_sgm_with_several_references(tmp_path):
    write(tmp_path / "test-src.sgm", sgm("srcset", "", "Ja", "Nein"))
    one = sgm("refset", 'trglang="en"', "Yes", "No", sysid='sysid="ref0"')
    two = sgm("refset", 'trglang="en"', "Yeah", "Nope", sysid='sysid="ref1"')
    expected = [Pair("Ja", "Yes", "Ja", ("Yeah",)), Pair("Nein", "No", "Nein", ("Nope",))]
    write(tmp_path / "test-ref.sgm", one + two)
    assert read(tmp_path).splits["test"] == expected
    (tmp_path / "test-ref.sgm").unlink()
    write(tmp_path / "test-ref0.sgm", one)
    write(tmp_path / "test-ref1.sgm", two)
    assert read(tmp_path).splits["test"] == expected


def test_damaged_sgm(tmp_path):
    write(tmp_path / "test-src.de.sgm", sgm("srcset", "", "Ja", "Nein"))
    path = tmp_path / "test-ref.en.sgm"
    write(path, sgm("refset", "", "Yes", "No").replace("No</seg>", "No"))
    assert "test-ref.en.sgm:5: the segment '2' has no end" in refused(tmp_path)
    write(path, sgm("refset", "", "Yes", "No").replace('<seg id="2">', ""))
    assert "test-ref.en.sgm:5: </seg> without a begin" in refused(tmp_path)


def test_talks(tmp_path):
    def talks(kind, language, *texts):
        body = sgm(kind, 'trglang="english"', *texts)
        body = body.replace('srclang="de"', f'srclang="{language}"')
        return f"<mteval>\n{body}</mteval>\n"

    write(tmp_path / "IWSLT17.TED.tst2013.de-en.de.xml", talks("srcset", "german", "Ja &amp; so"))
    write(tmp_path / "IWSLT17.TED.tst2013.de-en.en.xml", talks("refset", "german", "Yes"))
    write(tmp_path / "IWSLT17.TED.dev2010.de-en.de.xml", talks("srcset", "german", "Nein"))
    write(tmp_path / "IWSLT17.TED.dev2010.de-en.en.xml", talks("refset", "german", "No"))
    write(tmp_path / "train.tags.de-en.de", "<url>x</url>\nEins\n")
    write(tmp_path / "train.tags.de-en.en", "<url>x</url>\nOne\n")
    corpus = read(tmp_path, "de", "en")
    assert corpus.splits == {
        "train": own(("Eins", "One")),
        "validation": own(("Nein", "No")),
        "test": own(("Ja & so", "Yes")),
    }
    assert corpus.notes == ["train: 2 lines of tags left out (<url>, <title>, ...)"]


WMT = """<?xml version='1.0' encoding='utf-8'?>
<dataset id="newstest2021.en-de">
<doc id="d1" origlang="en">
<src lang="en"><p><seg id="1">Yes &amp; no.</seg><seg id="2">Two.</seg></p></src>
<ref lang="de" translator="A"><p><seg id="1">Ja &amp; nein.</seg><seg id="2">Zwei.</seg></p></ref>
<ref lang="de" translator="B"><p><seg id="1">Jein.</seg></p></ref>
<hyp lang="de" system="x"><p><seg id="1">Ja.</seg><seg id="2">2.</seg></p></hyp>
</doc>
<doc id="d2" origlang="en" testsuite="odd"><src lang="en"><p><seg id="1">S</seg></p></src></doc>
<doc id="d3" origlang="en"><src lang="en"><p><seg id="1">Alone</seg></p></src>
<ref lang="de" translator="A"><p><seg id="1"></seg></p></ref></doc>
</dataset>
"""


def test_wmt_xml(tmp_path):
    path = write(tmp_path / "newstest2021.en-de.all.xml", WMT)
    corpus = read(path)
    pairs = [Pair("Yes & no.", "Ja & nein.", "Yes & no.", ("Jein.",)), *own(("Two.", "Zwei."))]
    assert (corpus.splits, corpus.languages) == ({"all": pairs}, ("en", "de"))
    assert corpus.notes == [
        "from en to de, as the files say",
        "2 translations by systems (hyp) not used",
        "1 segments of test suites not used",
        "1 segments without en or de not used",
        "1 sentences have several references",
    ]
    assert read(tmp_path).splits == {"test": pairs}
    assert "no files of the language 'fr': choose two of en, de" in refused(path, "fr", "de")
    write(path, WMT.replace('<seg id="2">Two', '<seg id="1">Two'))
    assert "document d1: two segments of a src have the id '1'" in refused(path)
    write(path, WMT.replace("</dataset>", ""))
    assert "newstest2021.en-de.all.xml:13: not well-formed XML" in refused(path)


# -- references in train ---------------------------------------------------------------------------


def test_references_stay_together_but_in_train(tmp_path):
    rows = [{"en": f"s{i}", "de": [f"a{i}", f"b{i}"]} for i in range(40)]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    corpus = cut_corpus(clean(read(path, "en", "de"), 50, 3.0), 0.1, 1)
    assert [len(part) for part in corpus.splits.values()] == [64, 4, 4]
    assert {pair.further for pair in corpus.splits["train"]} == {()}
    assert all(len(pair.references) == 2 for pair in corpus.splits["test"])
    assert corpus.notes[-1] == "32 further references in train: each is a pair of its own"
    sources = [{pair.source for pair in part} for part in corpus.splits.values()]
    assert len(set.union(*sources)) == sum(map(len, sources)) == 40


def test_a_memory_is_read_in_memory_that_does_not_grow(tmp_path):
    def peak(count):
        unit = TMX[TMX.index("<tu tuid") : TMX.index("<tu><tuv lang")]
        path = write(tmp_path / "a.tmx", TMX.replace(unit, unit * count))
        tracemalloc.start()
        assert sum(1 for _ in units(path)) == count + 2
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(4000) < 1.5 * peak(1000)
