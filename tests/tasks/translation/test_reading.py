import gzip
import os

import pytest

from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import Pair
from kerasseq.errors import UserError
from kerasseq.tasks.translation.cleaning import clean, cut_corpus
from kerasseq.tasks.translation.pairs import turned
from kerasseq.tasks.translation.reading import read_path
from tests.tasks.conftest import benchmark


def read(path, source="en", target="de", encoding="utf-8"):
    return read_path(path, source, target, encoding)


def write(path, content):
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def own(*pairs):
    """Pairs that are their own groups."""
    return [Pair(source, target, source) for source, target in pairs]


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train.{}", "dev.{}", "test.{}"),
        ("train.{}.gz", "val.{}.gz", "test_2016_flickr.{}.gz"),
        ("x-test.train.{}", "x-test.valid.{}.gz", "x.test.{}"),
    ],
)
def test_a_folder_with_two_files_for_each_split(tmp_path, train, validation, test):
    for name, text in ((train, "a\r\nb \n"), (validation, "v\n"), (test, "t")):
        write(tmp_path / name.format("en"), "\ufeff" + text)
        write(tmp_path / name.format("de"), text.upper())
        write(tmp_path / name.format("fr"), "one line more\n" + text)
    for other in ("README.md", ".train.xx", "SHA256SUMS", "vocabulary.en", "glossary.tsv"):
        write(tmp_path / other, "x\n")
    corpus = read(tmp_path)
    assert corpus.source == str(tmp_path)
    assert corpus.languages == ("en", "de")
    assert corpus.splits == {
        "train": own(("a", "A"), ("b ", "B ")),
        "validation": own(("v", "V")),
        "test": own(("t", "T")),
    }
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert all(note.startswith("not used, ") for note in corpus.notes)
    swapped = read(tmp_path, "de", "en")
    assert swapped.splits["train"] == own(("A", "a"), ("B ", "b "))


def test_languages_are_chosen_from_those_there(tmp_path):
    for language in ("en", "de", "pt-BR"):
        write(tmp_path / f"train.{language}", "x\n")
    there = r"choose two of de, en, pt-BR with --source and --target"
    for source, target in (("", ""), ("en", ""), ("", "de")):
        with pytest.raises(UserError, match=f"has several languages: {there}"):
            read(tmp_path, source, target)
    with pytest.raises(UserError, match=f"has no files of the language 'fr': {there}"):
        read(tmp_path, "fr", "de")
    with pytest.raises(UserError, match="en cannot be both --source and --target"):
        read(tmp_path, "en", "en")
    assert read(tmp_path, "en", "pt-BR").languages == ("en", "pt-BR")


def test_a_split_needs_both_files(tmp_path):
    for name in ("train.en", "train.de", "dev.de.gz"):
        write(tmp_path / name, "x\n")
    with pytest.raises(UserError, match=r"dev\.de\.gz has no dev\.en beside it \(nor that with"):
        read(tmp_path)
    write(tmp_path / "news.en", "x\n")  # not one with another name
    (tmp_path / "dev.de.gz").rename(tmp_path / "old-dev.de")
    write(tmp_path / "new-dev.en", "x\n")
    with pytest.raises(UserError, match=r"new-dev\.en has no new-dev\.de beside it"):
        read(tmp_path)


def test_folders_that_cannot_be_told(tmp_path):
    for name in ("README.md", "notes.txt"):
        write(tmp_path / name, "x\n")
    with pytest.raises(UserError, match="neither two files of one sentence a line"):
        read(tmp_path)
    for name in ("test.en", "test.de"):
        write(tmp_path / name, "x\n")
    assert list(read(tmp_path).splits) == ["test"]
    for name in ("train.en", "train.de", "test_2017.en"):
        write(tmp_path / name, "x\n")
    with pytest.raises(UserError, match=r"both test\.en and test_2017\.en could be the test"):
        read(tmp_path)


@pytest.mark.parametrize("first", ["train.en", "train.de"])
def test_different_line_counts(tmp_path, first):
    longer, shorter = tmp_path / first, tmp_path / ("train.de" if "en" in first else "train.en")
    write(longer, "a\nb\n" + "long " * 20 + "\nd\ne\n")
    write(shorter, "a\nb\n")
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{longer} has 5 lines, but {shorter} has 2: nothing matches {first}:3 ({'long ' * 8}...)"
    )
    write(shorter, "")
    with pytest.raises(UserError, match=f"has 5 lines, but .* has 0: nothing matches {first}:1"):
        read(tmp_path)
    write(longer, "")
    with pytest.raises(UserError, match=r"train\.en is empty"):
        read(tmp_path)


def test_an_empty_sentence_is_an_error_where_it_cannot_be_left_out(tmp_path):
    write(tmp_path / "train.en", "a\n\n")
    write(tmp_path / "train.de", "A\nB\n")
    write(tmp_path / "dev.en", "a\nb\n")
    write(tmp_path / "dev.de", "A\n \t\n")
    with pytest.raises(UserError, match=r"dev\.de:2: an empty sentence in the validation split"):
        read(tmp_path)
    write(tmp_path / "dev.de", "A\nB\n")
    corpus = clean(read(tmp_path), 50, 3.0)
    assert corpus.splits["train"] == own(("a", "A"))
    assert corpus.notes == ["1 pairs left out: a side is empty"]


@pytest.mark.parametrize("name", ["pairs.tsv", "spa.txt", "spa.txt.gz", "x.tsv.gz"])
def test_a_table(tmp_path, name):
    text = '\ufeffGo.\tVe.\tCC-BY 2.0\r\n"Hi\t¡Hola!\t\r\nGo.\tVete.\t\n'
    path = write(tmp_path / name, text)
    corpus = read(path, "", "")
    pairs = own(("Go.", "Ve."), ('"Hi', "¡Hola!"), ("Go.", "Vete."))
    notes = [
        f"{name}: column 3 is not used: CC-BY 2.0...",
        "3 rows with columns that are not used",
    ]
    assert corpus == Corpus(str(path), {"all": pairs}, notes, ("1", "2"))
    swapped = read(path, "2", "1")
    assert (swapped.languages, swapped.splits["all"][1]) == (
        ("2", "1"),
        Pair("¡Hola!", '"Hi', "¡Hola!"),
    )


def test_blank_lines_of_a_table(tmp_path):
    """They are no rows at its end, and a mistake elsewhere."""
    path = write(tmp_path / "pairs.tsv", "a\tA\nb\tB\n\n \n")
    assert len(read(path, "", "").splits["all"]) == 2
    write(path, "a\tA\n\n\nb\tB\n")
    with pytest.raises(UserError, match=r"pairs\.tsv:2: no sentence in column 1 of 1"):
        read(path, "", "")


def test_a_folder_of_tables(tmp_path):
    for name in ("train.tsv", "valid.tsv.gz", "test.tsv"):
        write(tmp_path / name, f"{name}\tx\n")
    write(tmp_path / "README.md", "x")
    splits = read(tmp_path, "", "").splits
    assert {name: part[0].source for name, part in splits.items()} == {
        "train": "train.tsv",
        "validation": "valid.tsv.gz",
        "test": "test.tsv",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a\tb\nc d\n", ":2: no sentence in column 2 of 1"),
        ("a\tb\n\tc\n", ":2: no sentence in column 1 of 2"),
        ("a\t \u3000\n", ":1: no sentence in column 2 of 2"),
        ("a\tb\n\nc\td\n", ":2: no sentence in column 1 of 1"),
        (b"a\tb\nc\tcaf\xe9\n", ":2 is not utf-8: byte 0xe9 at offset 5"),
    ],
)
def test_bad_tables_are_named(tmp_path, content, message):
    path = write(tmp_path / "a.tsv", content)
    with pytest.raises(UserError) as caught:
        read(path, "", "")
    assert str(caught.value).startswith(f"{path}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_are_numbers(tmp_path):
    path = write(tmp_path / "a.tsv", "a\tb\n")
    for column in ("en", "0", "-1", "1.5", "²"):
        with pytest.raises(UserError, match="--source and --target are both needed; it has 'a', "):
            read(path, column, "")
        with pytest.raises(UserError, match=f"no column '{column}'; it has 'a', 'b' .*2:ja"):
            read(path, column, "2")
    with pytest.raises(UserError, match="no sentence in column 3 of 2"):
        read(path, "1", "3")
    named = read(path, "2:ja", "1:en")
    assert named.languages == ("ja", "en")
    assert named.splits["all"][0][:2] == ("b", "a")
    for column in ("1:", ":en", "1:e n"):
        with pytest.raises(UserError, match="names or numbers of columns"):
            read(path, column, "2")
    with pytest.raises(UserError, match="2 cannot be both --source and --target"):
        read(path, "2", "")


def test_paths_and_encodings(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"one side of a pair, or no parallel text.*: give"):
        read(write(tmp_path / "train.en", "x\n"))
    path = write(tmp_path / "a.tsv", "é\tß\nü\tc\n".encode("utf-16"))
    for encoding in ("utf-8", "utf-16"):  # its byte order mark says it
        assert read(path, "", "", encoding).splits["all"] == own(("é", "ß"), ("ü", "c"))
    write(path, "é\tß\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"not utf-8: byte 0xe9 at offset 0.*--encoding"):
        read(path, "", "")
    with pytest.raises(UserError, match="unknown encoding 'klingon'"):
        read(path, "", "", "klingon")


def test_damaged_gz(tmp_path):
    content = gzip.compress("".join(f"{os.urandom(9).hex()}\tx\n" for _ in range(99)).encode())
    path = tmp_path / "train.tsv.gz"
    for damaged in (b"not gzip", content[: len(content) // 2], content[:-1]):
        path.write_bytes(damaged)
        for source in (path, tmp_path):
            with pytest.raises(UserError, match="damaged or truncated"):
                read(source, "", "")


@pytest.fixture
def real():
    return lambda name: benchmark(f"translation/{name}")


def sizes(corpus):
    return {name: len(part) for name, part in corpus.splits.items()}


@pytest.mark.parametrize("other", ["de", "fr", "cs"])
def test_multi30k(real, other):
    corpus = read(real("multi30k"), other, "en")
    assert sizes(corpus) == {"train": 29_000, "validation": 1_014, "test": 1_000}
    assert corpus.splits["train"][0].target == (
        "Two young, White males are outside near many bushes."
    )
    if other == "de":
        corpus = clean(corpus, 50, 3.0)
        assert sizes(corpus)["train"] == 28_995  # two are "@@" in German


def test_tatoeba(real):
    corpus = read(real("tatoeba/spa.txt.gz"), "", "")
    assert sizes(corpus) == {"all": 123_376}
    assert len({pair.source for pair in corpus.splits["all"]}) == 105_258
    cut = cut_corpus(clean(corpus, 50, 3.0), 0.05, 1)
    for column in range(3):
        values = [{pair[column] for pair in part} for part in cut.splits.values()]
        assert len(set.union(*values)) == sum(map(len, values))
    assert min(sizes(cut).values()) > 6_000


def test_small_parallel_enja(real):
    corpus = read(real("small_parallel_enja"), "en", "ja")
    assert sizes(corpus) == {"train": 50_000, "validation": 500}
    assert sum(len(pair.target.split()) for pair in corpus.splits["train"]) == 565_618


# -- direction -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "turns"),
    [("", "", False), ("en", "", False), ("", "es", False), ("en", "es", False),
     ("es", "", True), ("", "en", True), ("es", "en", True)],
)  # fmt: skip
def test_turned(source, target, turns):
    corpus = Corpus("here", {"all": [Pair("a", "b", "g")]}, ["note"], ("en", "es"))
    found = turned(corpus, source, target)
    assert found.notes == ["note"]
    if turns:
        assert found.languages == ("es", "en")
        assert found.splits == {"all": [Pair("b", "a", "g")]}
    else:
        assert found is corpus


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("de", "", "here has the languages en, es, not de"),
        ("en", "en", "en cannot be both --source and --target"),
    ],
)
def test_no_such_direction(source, target, message):
    corpus = Corpus("here", {"all": [Pair("a", "b", "g")]}, languages=("en", "es"))
    with pytest.raises(UserError, match=message):
        turned(corpus, source, target)
