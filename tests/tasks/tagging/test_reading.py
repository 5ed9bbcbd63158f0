import gzip
import io
import tarfile

import pytest

from kerasseq.data import conllu
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.layouts import Asked
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.data import cut_corpus
from kerasseq.tasks.tagging.reading import read_path, with_column
from kerasseq.tasks.tagging.settings import TaggingSettings
from kerasseq.tasks.tagging.task import PosTagging
from tests.tasks.conftest import benchmark

CONLLU = """# newdoc id = made-up
# text = du lait
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\t_\tADP\t_\t_\t3\tcase\t_\t_
2\tle\t_\tDET\t_\tNumber=Sing\t3\tdet\t_\t_
2.1\tbon\t_\tADJ\t_\t_\t_\t_\t_\t_
3\tlait\t_\tNOUN\t_\t_\t0\troot\t_\t_

1\tOui\t_\tINTJ\t_\t_\t0\troot\t_\t_
"""
CHUNKED = "The DT B-NP\nend NN I-NP\n\nYes UH O\n"
SLASHED = "\n\n\tThe/at end/nn ./.\n\n\nYes/uh ./.-hl\n"
BROWN_TAGS = ["at", "nn-tl", "fw-nn", ".-hl"]


def write(path, content, compress=False):
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if compress else content)
    return path


def words(sentences):
    return [sentence.words for sentence in sentences]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("suffix", "content", "columns"),
    [
        ("conllu", CONLLU, ["feats", "upos"]),
        ("conll", CONLLU, ["feats", "upos"]),
        ("txt", CONLLU.replace("\t", "  "), ["feats", "upos"]),
        ("txt", CHUNKED, ["chunk", "xpos"]),
        ("tsv", "-DOCSTART- -X- -X- O\n\n" + CHUNKED.replace(" ", "\t"), ["chunk", "xpos"]),
        ("pos", SLASHED, ["xpos"]),
    ],
)
def test_a_file_alone_is_one_split(tmp_path, suffix, content, columns, ending, compress):
    name = f"a.{suffix}{'.gz' * compress}"
    path = write(tmp_path / name, "\ufeff" + content.replace("\n", ending), compress)
    corpus = read_path(path, "utf-8")
    assert corpus.source == str(path)
    assert set(corpus.splits) == {"all"}
    first, second = corpus.splits["all"]
    assert sorted(first.columns) == columns
    assert second.words[0] in ("Oui", "Yes")
    if "upos" in columns:
        assert first.words == ["de", "le", "lait"]
        assert first.multiword == [(0, 1, "du")]
        assert first.text == "du lait"
        assert corpus.notes == [
            "1 multi-word tokens skipped (their words are kept)",
            "1 empty nodes skipped",
            "column xpos is left out: every value is _",
        ]


def test_the_first_word_may_be_a_number_sign(tmp_path):
    path = write(tmp_path / "a.txt", "# # B-NP\n1 CD I-NP\n")
    assert words(read_path(path, "utf-8").splits["all"]) == [["#", "1"]]


def test_another_encoding(tmp_path):
    path = write(tmp_path / "a.txt", "für\tAPPR\n\nÄhre\tNN\n".encode("utf-16"))
    for encoding in ("utf-8", "utf-16"):  # its byte order mark says it
        assert words(read_path(path, encoding).splits["all"]) == [["für"], ["Ähre"]]
    path = write(path, "für\tAPPR\n".encode("latin-1"))
    assert words(read_path(path, "latin-1").splits["all"]) == [["für"]]
    with pytest.raises(UserError, match="unknown encoding 'klingon'"):
        read_path(path, "klingon")


def test_a_folder_keeps_its_splits(tmp_path):
    for name in ("xy_test-ud-train", "xy_test-ud-dev", "xy_test-ud-test"):
        write(tmp_path / f"{name}.conllu.gz", CONLLU.replace("lait", name), compress=True)
    for name in ("README.md", "LICENSE.txt", ".xy-ud-train.conllu", "stats.xml"):
        write(tmp_path / name, "not a treebank")
    corpus = read_path(tmp_path, "utf-8")
    assert {split: part[0].words[-1] for split, part in corpus.splits.items()} == {
        "train": "xy_test-ud-train",
        "validation": "xy_test-ud-dev",
        "test": "xy_test-ud-test",
    }
    assert corpus.notes[0] == "3 multi-word tokens skipped (their words are kept)"


def test_suffixes_in_any_case_and_splits_as_suffixes(tmp_path):
    write(tmp_path / "ESP.TRAIN", CHUNKED)
    write(tmp_path / "esp.dev.gz", CHUNKED, compress=True)
    write(tmp_path / "emerging.test.annotated", CHUNKED)
    write(tmp_path / "train.md", "not data")
    assert sizes(read_path(tmp_path, "utf-8")) == {
        "train": (2, 3), "validation": (2, 3), "test": (2, 3)
    }  # fmt: skip
    upper = write(tmp_path / "A.CONLLU", CONLLU)
    assert words(read_path(upper, "utf-8").splits["all"])[1] == ["Oui"]
    assert words(read_path(write(tmp_path / "notes.anything", CHUNKED), "utf-8").splits["all"]) == [
        ["The", "end"], ["Yes"]
    ]  # fmt: skip


def test_a_column_by_its_number_or_by_the_name_in_the_file(tmp_path):
    path = write(tmp_path / "a.txt", "a X B-thing\nb Y O\n")
    with pytest.raises(UserError, match=r"no column 'ner'; it has xpos, 3 .*: --column 3 takes"):
        with_column(read_path(path, "utf-8"), "ner")
    corpus = with_column(read_path(path, "utf-8", Asked("3")), "3")
    assert corpus.splits["all"][0].columns["3"] == ["B-thing", "O"]
    path = write(tmp_path / "a.cupt", "# global.columns = ID FORM PARSEME:MWE\n1\ta\t*\n")
    corpus = with_column(read_path(path, "utf-8"), "parseme:mwe")
    assert corpus.splits["all"][0].columns == {"parseme:mwe": ["*"]}


def test_the_setting_word_column(tmp_path):
    path = write(tmp_path / "a.txt", "DT The\nNN end\n")
    settings = TaggingSettings(column="1", word_column="2")
    (sentence,) = PosTagging().read(settings, str(path), download=False).splits["all"]
    assert (sentence.words, sentence.columns["1"]) == (["The", "end"], ["DT", "NN"])
    brown = write(tmp_path / "ca01", "a/at\n")
    for source in (str(brown), "embedded"):
        with pytest.raises(UserError, match=r"no columns to choose .* leave --word_column out"):
            PosTagging().read(settings, source, download=False)
    with pytest.raises(UserError, match="column is empty"):
        TaggingSettings(column="")


def test_plain_names_of_splits(tmp_path):
    for name in ("train.txt.gz", "valid.txt"):
        write(tmp_path / name, CHUNKED, compress=name.endswith("gz"))
    assert list(read_path(tmp_path, "utf-8").splits) == ["train", "validation"]
    write(tmp_path / "dev.txt", CHUNKED)
    with pytest.raises(UserError, match=r"both dev.txt and valid.txt could be the validation"):
        read_path(tmp_path, "utf-8")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conllu", "", "a.conllu has no sentence"),
        ("a.conllu", " \n\n", "a.conllu has no sentence"),
        ("a.conllu", "# only a comment\n", "a.conllu has no sentence"),
        ("a.txt", "", "a.txt has no sentence"),
        ("a.txt", "\n \n", "a.txt has no sentence"),
        ("a.txt", "-DOCSTART- -X- O\n", "a.txt has no sentence"),
        ("a.txt", "\nalone\n", "a.txt:2: 1 columns, which is none of the formats known: CoNLL-U"),
        ("a.txt", "a/b c\na/b c d\n", "a.txt:2: 3 columns, but the first token has 2"),
        ("a.txt", "a/b c/d\nplain\n", "a.txt:2: 'plain' is not of the form word/tag"),
        ("a.conllu", "1\ta\n", "a.conllu:1: 2 columns, but CoNLL-U has 10"),
        ("a.conllu", b"# ok\n# caf\xe9\n", "a.conllu:2 is not utf-8: byte 0xe9 at offset 5"),
        ("a.conllu.gz", b"not gzip", "damaged or truncated"),
        ("a.conllu.gz", gzip.compress(CONLLU.encode(), mtime=0)[:60], "damaged or truncated"),
        ("a.tar.gz", b"\x1f\x8b\x08\x00garbage", "damaged or truncated"),
        ("a.docx", "hello", "a.docx:1: 1 columns, which is none of the formats known"),
        ("ca01", "\n", "no sentence of the Brown corpus"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, message):
    with pytest.raises(UserError) as caught:
        read_path(write(tmp_path / name, content), "utf-8")
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_paths_and_folders_without_train(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_path(tmp_path / "nowhere", "utf-8")
    write(tmp_path / "mine.conllu", CONLLU)
    with pytest.raises(UserError, match=r"no \.conllu, .* with train, dev or test in its name"):
        read_path(tmp_path, "utf-8")
    write(tmp_path / "test.conllu", CONLLU)
    corpus = read_path(tmp_path, "utf-8")
    assert list(corpus.splits) == ["test"]
    assert "not used, no split by their names: mine.conllu" in corpus.notes


def brown_archive(path, extra=()):
    with tarfile.open(path, "w:gz") as archive:
        for name in ["brown/README", "brown/ca01", "brown/cr09", "brown/cats.txt", *extra]:
            word = name.split("/")[-1]
            lines = [f"Word{i}/nn in/in {word}/{BROWN_TAGS[i % 4]}" for i in range(40)]
            content = ("\n\n\t" + "\n".join(lines)).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_brown_archive_folder_and_file_agree(tmp_path):
    path = brown_archive(tmp_path / "brown.tar.gz")
    before = set(tmp_path.iterdir())
    streamed = read_path(path, "utf-8")
    assert set(tmp_path.iterdir()) == before  # nothing is unpacked
    assert len(streamed.splits["all"]) == 80
    assert streamed.splits["all"][1].words == ["Word1", "in", "ca01"]
    assert [s.columns["xpos"][2] for s in streamed.splits["all"][:4]] == ["AT", "NN", "NN", "."]
    assert streamed.notes == ["tags without FW-, -HL, -TL and -NC: 4 of 6 are left"]
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    assert read_path(tmp_path / "brown", "utf-8").splits == streamed.splits
    alone = read_path(tmp_path / "brown/ca01", "utf-8").splits["all"]
    assert alone == streamed.splits["all"][:40]
    write(tmp_path / "brown/ca01", "fine/jj\nplain\n")
    with pytest.raises(UserError, match=r"brown/ca01:2: 'plain' is not of the form word/tag"):
        read_path(tmp_path / "brown", "utf-8")


def test_a_brown_archive_cut_anywhere_is_refused(tmp_path):
    content = brown_archive(tmp_path / "brown.tar.gz").read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for size in range(1, len(content), 7):
        cut.write_bytes(content[:size])
        with pytest.raises(UserError, match="damaged or truncated"):
            read_path(cut, "utf-8")


@pytest.mark.parametrize("name", ["../../etc/ca02", "/etc/ca02"])
def test_paths_that_climb_out_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="unsafe path"):
        read_path(brown_archive(tmp_path / "brown.tar.gz", [name]), "utf-8")


def test_an_archive_of_something_else(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    with pytest.raises(UserError, match="no sentence of the Brown corpus"):
        read_path(tmp_path / "a.tar.gz", "utf-8")


def numbered(count, prefix="w"):
    return [TaggedSentence([f"{prefix}{i}", "."], {"upos": ["X", "."]}) for i in range(count)]


def test_one_split_is_cut_into_three_without_leaks():
    corpus = Corpus("here", {"all": numbered(200) + numbered(50)}, ["as it was"])
    cut = cut_corpus(corpus, 0.1, seed=1)
    assert {name: len(part) for name, part in cut.splits.items()} == {
        "train": 160,
        "validation": 20,
        "test": 20,
    }
    assert cut.notes == ["as it was", "50 repeated sentences removed before cutting"]
    texts = [tuple(sentence.words) for part in cut.splits.values() for sentence in part]
    assert len(set(texts)) == len(texts) == 200
    assert cut_corpus(corpus, 0.1, seed=1) == cut
    assert cut_corpus(corpus, 0.1, seed=2) != cut


def test_official_splits_stay_whole():
    test = numbered(3) + numbered(3) + numbered(3, "other")
    corpus = Corpus("here", {"train": numbered(100), "test": test})
    cut = cut_corpus(corpus, 0.2, seed=1)
    assert cut.splits["test"] == test
    assert [len(part) for part in cut.splits.values()] == [80, 20, 9]
    shared = len({"w0", "w1", "w2"} & {s.words[0] for s in cut.splits["train"]})
    assert shared
    assert f"{shared} sentences occur in both train and test (kept as they came)" in cut.notes
    whole = Corpus("here", cut.splits | {"train": numbered(9) * 2})
    assert cut_corpus(whole, 0.2, seed=1).splits == whole.splits


def test_too_few_sentences_are_refused():
    for corpus, fraction in (({"all": numbered(2)}, 0.1), ({"all": numbered(20)}, 0.5)):
        with pytest.raises(UserError, match="no sentence is left for the"):
            cut_corpus(Corpus("here", corpus), fraction, 1)
    with pytest.raises(UserError, match="no sentence is left for the test split"):
        cut_corpus(Corpus("here", {"train": numbered(20), "test": []}), 0.1, 1)


def test_a_column_that_is_not_there(tmp_path):
    corpus = read_path(write(tmp_path / "a.txt", CHUNKED), "utf-8")
    with_column(corpus, "chunk")
    with pytest.raises(
        UserError,
        match=r"a.txt has no column 'upos'; it has xpos, chunk \(the setting column chooses\)",
    ):
        with_column(corpus, "upos")
    two = read_path(write(tmp_path / "b.txt", "The DT\n"), "utf-8")
    mixed = Corpus("here", {"train": corpus.splits["all"], "test": two.splits["all"]})
    with pytest.raises(UserError, match="no column 'chunk' in its test split; it has xpos"):
        with_column(mixed, "chunk")


def test_iob1_becomes_iob2_in_every_format(tmp_path):
    corpus = read_path(write(tmp_path / "a.txt", "a I-X\nb I-X\nc B-X\nd O\ne I-Y\n"), "utf-8")
    converted = with_column(corpus, "xpos")
    tags = converted.splits["all"][0].columns["xpos"]
    assert tags == ["B-X", "I-X", "B-X", "O", "B-Y"]
    assert converted.notes[-1] == "2 IOB1 tags written as IOB2"
    assert with_column(converted, "xpos") is converted


def test_raw_text_beside_conllu_is_no_split(tmp_path):
    for split in ("train", "dev"):
        write(tmp_path / f"xx-ud-{split}.conllu", "1\tA\ta\tDET\tD\t_\t0\troot\t_\t_\n")
        write(tmp_path / f"xx-ud-{split}.txt", "A\n")
    assert sizes(read_path(tmp_path, "utf-8")) == {"train": (1, 1), "validation": (1, 1)}


@pytest.fixture
def real():
    return lambda name: benchmark(f"pos/{name}")


def sizes(corpus):
    return {name: (len(part), sum(map(len, part))) for name, part in corpus.splits.items()}


def test_english_web_treebank(real):
    corpus = read_path(real("ud_english_ewt"), "utf-8")
    assert sizes(corpus) == {
        "train": (12_544, 204_577),
        "validation": (2_001, 25_147),
        "test": (2_077, 25_094),
    }
    assert sum(len(sentence.multiword) for sentence in corpus.splits["train"]) == 2_614
    assert all(sentence.text for sentence in corpus.splits["train"])
    for column in ("upos", "xpos", "feats"):
        with_column(corpus, column)
    cut = cut_corpus(corpus, 0.1, seed=1)
    assert cut.splits == corpus.splits
    assert any("occur in both train and test" in note for note in cut.notes)


def test_real_lines_come_back_as_they_were(real):
    path = real("ud_english_ewt") / "en_ewt-ud-test.conllu.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    read = list(conllu.parse(text.split("\n"), "here"))
    assert "".join("\n".join(sentence.lines) + "\n\n" for sentence in read) == text
    for sentence in read:
        assert sentence.with_column("upos", sentence.tagged().columns["upos"]) == sentence.lines


def test_french_sequoia(real):
    corpus = read_path(real("ud_french_sequoia"), "utf-8")
    assert sizes(corpus) == {"train": (2_231, 50_502), "validation": (412, 9_999)}
    assert "column xpos is left out: every value is _" in corpus.notes
    assert sizes(cut_corpus(corpus, 0.1, seed=1))["validation"] == (412, 9_999)


def test_conll2000(real):
    corpus = read_path(real("conll2000"), "utf-8")
    assert sizes(corpus) == {"train": (8_936, 211_727), "test": (2_012, 47_377)}
    train = corpus.splits["train"]
    assert len({tag for sentence in train for tag in sentence.columns["xpos"]}) == 44
    assert len({tag for sentence in train for tag in sentence.columns["chunk"]}) == 22


@pytest.mark.gate
def test_brown(real):
    corpus = read_path(real("brown/brown.tar.gz"), "utf-8")
    assert sizes(corpus) == {"all": (57_340, 1_161_192)}
