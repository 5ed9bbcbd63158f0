"""The word splitter: what it learns from made-up sentences, its twin in the graph, real data."""

import gzip
import os
import time
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.errors import UserError
from kerasseq.text.splitter import WordSplitter, chunks
from kerasseq.text.splitter_graph import SplitterOps
from kerasseq.text.splitter_learning import learn_splitter
from tests.examples import examples
from tests.text.code_points import every_code_point, lines, parts


@dataclass(frozen=True)
class Sentence:
    words: list[str]
    multiword: list[tuple[int, int, str]] = field(default_factory=list)
    text: str | None = None


def sentence(marked):
    """A sentence from its text with ``|`` where words meet, and ``du=de+le`` for one of several."""
    words, multiword, text = [], [], []
    for chunk in marked.split():
        written = ""
        for token in chunk.split("|"):
            surface, _, parts = token.partition("=") if len(token) > 1 else (token, "", "")
            if parts:
                several = parts.split("+")
                multiword.append((len(words), len(words) + len(several) - 1, surface))
                words += several
            else:
                words.append(surface)
            written += surface
        text.append(written)
    return Sentence(words, multiword, " ".join(text))


ENGLISH = [
    "I do|n't know Mr. Hill|'s e-mail|, but he|'s here|.",
    "They did|n't see Dr. Hill|'s dog|:| it|'s 3.5|%| of $|20|, was|n't it|?",
    "It does|n't matter|...| They|'ll go to the U.S. with Ms. Hill|'s well|-|known cat|.",
    "We|'ll see|,| they|'ll say|...| \"|you|'ll pay|\"| by 10:30 a.m. |or so|--|well|.",
    "A long|-|term plan|,| a first|-|class one|:|-|)|!!!",
    "I can't=ca+n't go |(|yet|)|;| do you|?| and|/|or he|/|she|.| :-)",
    "We gonna=gon+na go|!!!| dunno=du+n+no",
]
FRENCH = [
    "L'|homme du=de+le lac vient au=à+le port|,| dit|-il|.",
    "Il n'|a pas vu l'|ami de M. Petit aujourd'hui|,| dit|-il|.",
    "Qu'|en dit|-il|,| l'|enfant |?| C'|est Jean-Paul|,| peut-être|.",
    "A|-t-il vu|?| Va|-t-il là|?| n'|a|-t-il rien|?",
    "Des enfants de l'|école |:| il n'|y a qu'|un arc-en-ciel|.| n'|est",
    "d'|un d'|une d'|eau qu'|il qu'|elle du=de+le des=de+les des=de+les des aux=à+les",
]
TURKISH = [
    "Ankara'da |yağmur var|,| İstanbul'da yok|.",
    "Ali'nin Işık'la 3'te buluştuğu yerdeydi=yer+deydi |.",
    "Dr. Çağlar'ın 1990'larda yazdığı %|5 |'|fark|'| !",
]

english = learn_splitter(map(sentence, ENGLISH))
french = learn_splitter(map(sentence, FRENCH))
turkish = learn_splitter(map(sentence, TURKISH))
untaught = WordSplitter()
SPLITTERS = {"english": english, "french": french, "turkish": turkish, "untaught": untaught}
TWINS = {
    name: tf.function(
        SplitterOps(splitter).__call__, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    for name, splitter in SPLITTERS.items()
}


def in_graph(name, texts):
    ragged = TWINS[name](tf.constant([text.encode() for text in texts], tf.string))
    return [[word.decode() for word in row] for row in ragged.to_list()]


def check(name, text, words):
    assert SPLITTERS[name].split(text) == words
    assert in_graph(name, [text]) == [words]


any_text = st.text(st.characters(exclude_categories=["Cs"]))
known = sorted({w for s in SPLITTERS.values() for w in (*s.forms, *s.prefixes, *s.suffixes)})
made_up = st.lists(
    st.one_of(
        st.sampled_from(known),
        st.sampled_from("aZéß09٣.,:;'’\"!?-/&_@#()<>[]{}«» \n\x00\t\u00a0\u0301\u0308\u200d\ufe0f"),
        st.sampled_from(
            [
                "http://",
                "www.",
                "x@y.org",
                "a.com",
                "mailto:",
                "word",
                "n't",
                "👩\u200d🚀",
                "\u1112\u1161",
            ]
        ),
    )
).map("".join)


@examples(300)
@given(
    st.sampled_from(sorted(SPLITTERS)),
    st.lists(st.one_of(any_text, made_up), min_size=1, max_size=5),
)
def test_python_and_graph_agree(name, texts):
    assert in_graph(name, texts) == [SPLITTERS[name].split(text) for text in texts]


@every_code_point
def test_every_code_point_agrees_alone_and_between_letters_and_digits(rest):
    for part in parts([*lines(rest), *lines(rest, "e7")]):
        assert in_graph("english", part) == [english.split(line) for line in part]


@examples(100)
@given(st.sampled_from(sorted(SPLITTERS)), st.one_of(any_text, made_up))
def test_nothing_but_blanks_is_lost_where_no_word_is_rewritten(name, text):
    splitter = WordSplitter(**{**vars_of(SPLITTERS[name]), "forms": {}})
    assert "".join(splitter.split(text)) == "".join(chunks(text))


def vars_of(splitter):
    return {key: getattr(splitter, key) for key in splitter.__dataclass_fields__}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n\x00\u200b", []),
        (
            "I don't know Mr. Smith's e-mail, do you?",
            ["I", "do", "n't", "know", "Mr.", "Smith", "'s", "e-mail", ",", "do", "you", "?"],
        ),
        ("It's 3.5%...", ["It", "'s", "3.5", "%", "..."]),
        ("SHE DIDN’T!!! (MR. X)", ["SHE", "DID", "N’T", "!!!", "(", "MR.", "X", ")"]),
        ('"Mr." is (U.S.)?', ['"', "Mr.", '"', "is", "(", "U.S.", ")", "?"]),
        ("a short-term/long-term", ["a", "short", "-", "term", "/", "long", "-", "term"]),
        ("at 10:30, 1,000.50 or 2001-05-06", ["at", "10:30", ",", "1,000.50", "or", "2001-05-06"]),
        ("Gonna go? I CAN'T :-)", ["Gon", "na", "go", "?", "I", "CA", "N'T", ":-)"]),
        (
            "(see http://a.org/b_(c)/?d=e'f.) <x.y@z.co.uk>, News.Site.com/x!",
            ["(", "see", "http://a.org/b_(c)/?d=e'f", ".", ")", "<", "x.y@z.co.uk", ">", ",",
             "News.Site.com/x", "!"],
        ),
        ("rock 'n' roll''s", ["rock", "'", "n", "'", "roll", "'", "'", "s"]),
    ],
)  # fmt: skip
def test_english(text, words):
    check("english", text, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Du pain, dit-elle, du vin",
            ["De", "le", "pain", ",", "dit-elle", ",", "de", "le", "vin"],
        ),
        ("L'arbre qu'il n’a vu", ["L'", "arbre", "qu'", "il", "n’", "a", "vu"]),
        ("n'a-t-il, n'est-il", ["n'", "a", "-t-il", ",", "n'", "est", "-il"]),
        ("Aujourd'hui, M. Jean-Luc", ["Aujourd'hui", ",", "M.", "Jean-Luc"]),
        ("AU PORT (AUX «amis»)", ["À", "LE", "PORT", "(", "À", "LES", "«", "amis", "»", ")"]),
        ("e\u0301cole de l'e\u0301te\u0301", ["école", "de", "l'", "été"]),
    ],
)
def test_french(text, words):
    check("french", text, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("İzmir'de IŞIK'LA, 2000'lerde", ["İzmir'de", "IŞIK'LA", ",", "2000'lerde"]),
        ("Yerdeydi, DR. Çağlar!", ["Yer", "deydi", ",", "DR.", "Çağlar", "!"]),
    ],
)
def test_turkish(text, words):
    check("turkish", text, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("👩\u200d🚀👍🏽 ❤\ufe0f!", ["👩", "🚀", "👍", "🏽", "❤", "!"]),
        ("\u1112\u1161\u11ab국어입니다.", ["한국어입니다", "."]),
        ("مَرْحَبًا، ٣٫٥!", ["مَرْحَبًا", "،", "٣", "٫", "٥", "!"]),
        ("हिन्दी में।", ["हिन्दी", "में", "।"]),
        ("映画は良い。", ["映画は良い", "。"]),
        ("3.5 a.b it's ...", ["3.5", "a", ".", "b", "it's", ".", ".", "."]),
    ],
)
def test_other_scripts_without_training(text, words):
    assert english.split(text)[:1] == words[:1]
    untrained = learn_splitter([])
    assert untrained.split(text) == words
    ragged = SplitterOps(untrained)(tf.constant([text]))
    assert [word.decode() for word in ragged.to_list()[0]] == words


def test_lone_surrogates_are_replaced():
    assert english.split("a\ud800b \udc00") == ["a", "\ufffd", "b", "\ufffd"]
    assert TWINS["english"](tf.constant([b"a\xffb"])).to_list() == [[b"a", "\ufffd".encode(), b"b"]]


@pytest.mark.parametrize(
    "text",
    ["x" * 2**20, "-" * 2**20, "a-" * 2**17, "a.b'" * 2**16, "1,2" * 2**17, "n't" * 2**17,
     "www." + "(.)" * 2**17, "a." * 2**17 + "co", "(" * 2**18 + "Mr."],
)  # fmt: skip
def test_long_texts_without_blanks_take_linear_time(text):
    """A quarter of a megabyte and more: what is quadratic takes a minute for so many."""
    begin = time.perf_counter()
    words = english.split(text)
    assert in_graph("english", [text, "Mr."]) == [words, ["Mr."]]
    assert time.perf_counter() - begin < 10


def test_no_texts():
    assert in_graph("english", []) == []
    assert in_graph("english", ["", "a", ""]) == [[], ["a"], []]


def test_sentences_without_their_text_teach_too():
    bare = [Sentence(s.words, s.multiword) for s in map(sentence, ENGLISH)]
    learned = learn_splitter(bare)
    assert {"'s", "n't", "'ll"} <= set(learned.suffixes)
    assert learned.split("Mr. Smith's e-mail isn't (yet) here.") == [
        "Mr.", "Smith", "'s", "e-mail", "is", "n't", "(", "yet", ")", "here", "."
    ]  # fmt: skip


def test_the_more_frequent_reading_wins():
    twice = ["No. 5 is No. 7", "I say no|."]
    assert learn_splitter(map(sentence, twice)).split("No. 3") == ["No.", "3"]
    seldom = [*twice, "No|.", "No|.", "No|.", "No|."]
    assert learn_splitter(map(sentence, seldom)).split("No. 3") == ["No", ".", "3"]
    assert french.split("des") == ["de", "les"]
    assert learn_splitter(map(sentence, ["des=de+les des des"])).split("des") == ["des"]


def test_texts_that_do_not_match_their_words_teach_nothing():
    wrong = Sentence(["Mr.", "X"], [], "something else")
    blank = Sentence(["10 000", "M."], [], "10 000 M.")
    learned = learn_splitter([wrong, blank, Sentence([], [], ""), Sentence(["", "\n"])])
    assert learned.forms == {"M.": ("M.",)}


def test_the_table_is_bounded_and_keeps_the_frequent():
    many = ["Mr. X", "Mr. Y", "Dr. Z", "St. W", "x" * 80 + "."]
    learned = learn_splitter(map(sentence, many), max_forms=1)
    assert list(learned.forms) == ["Mr."]
    assert all(len(form) <= 64 for form in learn_splitter(map(sentence, many)).forms)


@pytest.mark.parametrize("splitter", SPLITTERS.values(), ids=SPLITTERS)
def test_what_is_saved_is_loaded(splitter, tmp_path):
    splitter.save(tmp_path / "splitter.json")
    assert WordSplitter.load(tmp_path / "splitter.json") == splitter


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"forms": 3}', '{"forms": {}, "prefixes": [], "suffixes": ["x"]}',
     '{"forms": {"a": ["b c"]}, "prefixes": [], "suffixes": []}',
     '{"forms": {"a": []}, "prefixes": [], "suffixes": []}',
     '{"forms": {}, "prefixes": [], "suffixes": [], "runs": "a"}',
     '{"forms": {}, "prefixes": [], "suffixes": [], "joiners": {"x": "-"}}',
     '{"forms": {}, "prefixes": [], "suffixes": [], "other": 1}'],
)  # fmt: skip
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "splitter.json"
    path.write_text(content)
    with pytest.raises(UserError, match="is not a word splitter"):
        WordSplitter.load(path)
    with pytest.raises(UserError):
        WordSplitter.load(tmp_path / "none.json")


def test_a_saved_model_needs_no_more_than_core_ops(tmp_path):
    ops = SplitterOps(english)
    module = tf.Module()
    module.ops = ops
    module.split = tf.function(
        lambda text: ops(text).to_tensor(""), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(tmp_path / "model"))
    split = tf.saved_model.load(str(tmp_path / "model")).split
    assert split(tf.constant(["I don't", "Mr. Hill"])).numpy().tolist() == [
        [b"I", b"do", b"n't"],
        [b"Mr.", b"Hill", b""],
    ]


def treebank(name, split):
    folder = os.environ.get("KERASSEQ_DATA")
    paths = sorted(Path(folder or ".", "pos", name).glob(f"*-{split}.conllu.gz"))
    if not folder or not paths:
        pytest.skip(f"set KERASSEQ_DATA to a folder with pos/{name}/*-{split}.conllu.gz")
    for block in gzip.decompress(paths[0].read_bytes()).decode().split("\n\n"):
        words, multiword, text = [], [], None
        for line in block.splitlines():
            columns = line.split("\t")
            if line.startswith("# text = "):
                text = line.removeprefix("# text = ")
            elif columns[0].isdecimal():
                words.append(columns[1])
            elif "-" in columns[0] and len(columns) > 1:
                first, last = map(int, columns[0].split("-"))
                multiword.append((first - 1, last - 1, columns[1]))
        if words:
            yield Sentence(words, multiword, text)


def word_f1(predicted, actual):
    """F1 of words, aligned by the longest common subsequence of each sentence."""
    common = sum(
        size
        for ours, theirs in zip(predicted, actual, strict=True)
        for _, _, size in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    )
    return 2 * common / sum(len(words) for words in (*predicted, *actual))


@pytest.mark.parametrize(("name", "bar"), [("ud_english_ewt", 0.98), ("ud_french_sequoia", 0.98)])
def test_words_of_a_real_treebank(name, bar):
    splitter = learn_splitter(treebank(name, "train"))
    assert len(splitter.forms) <= 20_000
    dev = list(treebank(name, "dev"))
    predicted = [splitter.split(s.text) for s in dev]
    assert word_f1(predicted, [s.words for s in dev]) >= bar
    ops = tf.function(SplitterOps(splitter).__call__)
    ragged = ops(tf.constant([s.text for s in dev]))
    assert [[word.decode() for word in row] for row in ragged.to_list()] == predicted
