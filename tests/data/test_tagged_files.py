"""Stand-ins for the formats that people have, in their real form: words, tags and what is said."""

import pytest

from kerasseq.data.layouts import Asked
from kerasseq.data.tagged_files import TaggedReader
from kerasseq.errors import UserError

CONLL_2003 = """-DOCSTART- -X- -X- O

Ann NNP I-NP I-PER
# # I-NP O
ran VBD I-VP O

-DOCSTART- -X- -X- O

Rome NNP I-NP I-LOC
"""
DUTCH = "-DOCSTART- -DOCSTART- O\nDe Art O\nTomaat N B-MISC\n\nNu Adv O\n"
GERMAN = "-DOCSTART- -X- -X- -X- O\n\nDie d ART I-NC O\nBank Bank NN I-NC I-ORG\n"
GERMEVAL = (
    "#\thttp://example.org/a [2009-10-17]\n1\tNeu\tB-LOCderiv\tO\n2\tUlm\tI-LOC\tB-LOC\n\n"
    "# n-tv.de vom 26.02.2005 [2005-02-26] \n1\tJa\tO\tO\n2\t#\tO\tO\n"
)
MULTICONER = (
    "\n# id 0b-1a\tdomain=train\nthe _ _ O\nbeatles _ _ B-GRP\n\n# id 2 domain=train\nyes _ _ O\n"
)
CONLL_2012 = """#begin document (bc/a); part 000
bc/a   0   0      Ann    NNP   (TOP(S*   -   -   -   Speaker#1   (PERSON*   (ARG0*   (0
bc/a   0   1      Lee    NNP       *     -   -   -   Speaker#1         *)      *)   0)
bc/a   0   2      ran    VBD       *     run 01  1   Speaker#1         *     (V*)   -

bc/a   0   0      Rome   NNP   (TOP*)    -   -   -   Speaker#1      (GPE)    -

#end document
"""
ONTONOTES = "The DT (TOP(NP* O\nHague NNP *)) B-GPE\n"
WNUT = "#id\tO\n#photo\tO\nat\tO\nIkea\tB-corporation\n \t \nyes\tO\n"
NUMBERED = "0\tThis\tO\n1\tBern\tB-LOC\n\n0\tYes\tO\n"
CONLL_X = (
    "1\tCathy\t_\tN\tN\teigen|ev\t2\tsu\t_\t_\n2\tzag\t_\tV\tVt\tovt\t0\tROOT\t_\t_\n\n"
    "1\tJa\t_\tAdv\tAdv\t_\t0\tROOT\t_\t_\n"
)
PLUS = (
    "# global.columns = ID FORM UPOS PARSEME:NE\n# sent_id = 1\n1-2\tau\t_\t*\n1\tà\tADP\t*\n"
    "2\tle\tDET\t1:PERS\n\n1\tOui\tINTJ\t*\n"
)
PLUS_WITHOUT_ID = "# global.columns = FORM X:Y\nNew York\tB-LOC\nran\tO\n"


def read(text, suffix=".txt", **asked):
    reader = TaggedReader(Asked(**asked))
    return list(reader.read(text.splitlines(), "here", suffix)), reader.notes.lines()


@pytest.mark.parametrize(
    ("text", "words", "columns", "notes"),
    [
        (CONLL_2003, ["Ann", "#", "ran"], {"ner": ["I-PER", "O", "O"], "xpos": ["NNP", "#", "VBD"]},
         ["columns: word, xpos, chunk, ner (separated by blanks, as CoNLL-2003)",
          "2 -DOCSTART- lines skipped"]),
        (DUTCH, ["De", "Tomaat"], {"xpos": ["Art", "N"], "ner": ["O", "B-MISC"]},
         ["columns: word, xpos, ner (separated by blanks, as CoNLL-2002)",
          "1 -DOCSTART- lines skipped"]),
        (GERMAN, ["Die", "Bank"], {"xpos": ["ART", "NN"], "chunk": ["I-NC"] * 2},
         ["columns: word, lemma, xpos, chunk, ner (separated by blanks, as German CoNLL-2003)",
          "1 -DOCSTART- lines skipped"]),
        (GERMEVAL, ["Neu", "Ulm"], {"ner": ["B-LOCderiv", "I-LOC"], "inner": ["O", "B-LOC"]},
         ["columns: number, word, ner, inner (separated by tabs, as GermEval: outer and inner "
          "entities)", "2 comment lines skipped"]),
        (MULTICONER, ["the", "beatles"], {"ner": ["O", "B-GRP"]},
         ["columns: word, _, _, ner (separated by blanks, as MultiCoNER)",
          "2 comment lines skipped"]),
        (CONLL_2012, ["Ann", "Lee", "ran"],
         {"xpos": ["NNP", "NNP", "VBD"], "ner": ["B-PERSON", "I-PERSON", "O"]},
         ["columns: document, part, number, word, xpos, parse, lemma, frameset, sense, speaker, "
          "ner (separated by blanks, as OntoNotes in CoNLL-2012)", "2 comment lines skipped",
          "2 entities in brackets, (PERSON*, written as IOB2"]),
        (ONTONOTES, ["The", "Hague"], {"xpos": ["DT", "NNP"], "ner": ["O", "B-GPE"]},
         ["columns: word, xpos, parse, ner (separated by blanks, as OntoNotes)"]),
        (WNUT, ["#id", "#photo", "at", "Ikea"], {"ner": ["O", "O", "O", "B-corporation"]},
         ["columns: word, xpos or ner (separated by tabs)"]),
        (NUMBERED, ["This", "Bern"], {"ner": ["O", "B-LOC"]},
         ["columns: number, word, xpos or ner (separated by tabs)"]),
        (CONLL_X, ["Cathy", "zag"], {"upos": ["N", "V"], "xpos": ["N", "Vt"]}, []),
        (PLUS, ["à", "le"], {"upos": ["ADP", "DET"], "parseme:ne": ["*", "1:PERS"]},
         ["columns: id, word, upos, parseme:ne (separated by tabs, as CoNLL-U Plus)",
          "1 multi-word tokens skipped (their words are kept)"]),
        (PLUS_WITHOUT_ID, ["New York", "ran"], {"x:y": ["B-LOC", "O"]},
         ["words with blanks in them are one word: tabs separate the columns",
          "columns: word, x:y (separated by tabs, as CoNLL-U Plus)"]),
        ("( (S (NP (DT The) (NN cat))) )", ["The", "cat"], {"xpos": ["DT", "NN"]}, []),
        ("a|DT|O cat|NN|O\nAnn|NNP|I-PER", ["a", "cat"], {"ner": ["O", "O"]},
         ["columns: word, xpos, ner (joined by |, as CoNLL-2002)"]),
        ("# newdoc\nThe DT\ncat NN\n", ["The", "cat"], {"xpos": ["DT", "NN"]},
         ["columns: word, xpos or ner (separated by blanks)", "1 comment lines skipped"]),
        ("# any words at all\nNew York\tB-LOC\nran\tO\n", ["New York", "ran"],
         {"ner": ["B-LOC", "O"]},
         ["words with blanks in them are one word: tabs separate the columns",
          "columns: word, xpos or ner (separated by tabs)", "1 comment lines skipped"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["", " ", "\r"])
def test_formats(text, words, columns, notes, ending):
    reader = TaggedReader()
    lines = [line + ending for line in text.splitlines()]
    first, *rest = reader.read(lines, "here", ".txt")
    assert first.words == words
    assert {name: first.columns[name] for name in columns} == columns
    assert all(len(tags) == len(one.words) for one in rest for tags in one.columns.values())
    if ending != " ":  # the tags of CoNLL-U have a blank at an end then, which is counted
        assert reader.notes.lines() == notes


def test_sentences_end_where_they_should():
    sizes = {name: [len(one) for one in read(text)[0]] for name, text in (
        ("2003", CONLL_2003), ("germeval", GERMEVAL), ("2012", CONLL_2012), ("wnut", WNUT),
    )}  # fmt: skip
    assert sizes == {"2003": [3, 1], "germeval": [2, 2], "2012": [3, 1], "wnut": [4, 1]}


def test_an_option_rules():
    (first, _), notes = read(CONLL_2003, column="4")
    assert first.columns["4"] == first.columns["ner"]
    (first,), notes = read("x DT The\ny NN end\n", column="2", word="3")
    assert (first.words, first.columns["2"]) == (["The", "end"], ["DT", "NN"])
    assert notes == ["columns: column 1, column 2, word (separated by blanks)"]
    (first,), _ = read(" ".join("abcdefg"), column="6")
    assert first.columns["6"] == ["f"]
    (first, _), _ = read(PLUS, ".conllup", column="4")
    assert first.columns["4"] == ["*", "1:PERS"]
    (first, _), _ = read(CONLL_X, ".conllx", column="8", word="form")
    assert first.columns["8"] == ["su", "ROOT"]


@pytest.mark.parametrize(
    ("text", "suffix", "asked", "message"),
    [
        ("a DT B-NP\n", ".txt", {"column": "9"},
         r"here: there is no column '9'; there are 3: word, xpos, chunk \(--column takes"),
        (CONLL_X, ".conllx", {"column": "2"}, "column 2 is that of the words: give another"),
        ("a DT B-NP\n# an odd line\n", ".txt", {},
         r"here:2: this line begins with # and has 4 columns, a token has 3; .*take it out"),
        ("a DT\n# newdoc\n", ".txt", {}, "here:2: this line begins with # and has 2 columns"),
        ("a\tDT\n# free text\n", ".txt", {}, "here:2: this line begins with # and has 1 columns"),
        ("(NN a)", ".mrg", {"word": "2"}, r"trees .* no columns .* leave --word_column out"),
        (CONLL_2012.replace("*)      *)", "*      *)"), ".txt", {},
         "here:4: the sentence ends within the entity PERSON"),
        (CONLL_2012.replace(" 0)", ""), ".txt", {},
         "here:3: 12 columns, but the first token has 13"),
        ("# global.columns = FORM X:Y Z\na\tX\n", ".txt", {},
         "here: global.columns names 3 columns, a token has 2"),
        ("# global.columns = UPOS X:Y\na\tX\n", ".txt", {},
         r"no column is named FORM.*--word_column"),
        ("# global.columns = FORM X\na\tX\n", ".conllu", {}, "here:1: global.columns has no ID"),
        ("# global.columns = ID FORM X X\n", ".conllu", {},
         "here:1: global.columns names a column t"),
        (PLUS + "\n# global.columns = ID FORM\n", ".conllu", {},
         "here:9: global.columns names other columns"),
        (PLUS.replace("à\tADP", "à\t"), ".conllu", {}, r"here:4: column 3 \(UPOS\) is empty"),
        (PLUS.replace("1\tOui\t", "1\t"), ".conllu", {},
         "here:7: 3 columns, but CoNLL-U Plus has 4, separated by tabs"),
    ],
)  # fmt: skip
def test_refused(text, suffix, asked, message):
    with pytest.raises(UserError, match=message):
        read(text, suffix, **asked)


def test_a_file_that_does_not_tell_is_as_the_others_of_its_corpus():
    reader = TaggedReader()
    list(reader.read(["De Art O", "Jan N B-PER"], "train", ".txt"))
    ((one,)) = reader.read(["Nu Adv O"], "dev", ".txt")
    assert one.columns == {"xpos": ["Adv"], "ner": ["O"]}
    (alone,), _ = read("Nu Adv O")
    assert alone.columns == {"xpos": ["Adv"], "3": ["O"]}


def test_one_damaged_line_does_not_turn_tabs_into_blanks():
    text = "New York\tB-LOC\n" * 30 + "lost\n"
    with pytest.raises(UserError, match="here:31: 1 columns, but the first token has 2; tabs sep"):
        read(text)


def test_counts_of_conllu():
    lines = ["# newdoc", "", CONLL_X.splitlines()[0].replace("Cathy", "Cathy ")]
    reader = TaggedReader()
    (one,) = reader.read(lines, "here", ".conllu")
    assert one.words == ["Cathy"]
    assert reader.notes.lines() == [
        "1 blocks of comments without a word skipped",
        "1 words and tags with blanks at an end, which are left out",
    ]
