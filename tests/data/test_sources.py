from pathlib import Path

import pytest

from kerasseq.data.corpus import Corpus
from kerasseq.data.sources import is_path, named_splits, read_source
from kerasseq.errors import UserError


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("embedded", ("embedded",)),
        ("tfds:glue/sst2:2.0.0", ("tfds", "glue/sst2:2.0.0")),
        ("tfds:", ("tfds", "")),
        ("reviews.csv", ("path", Path("reviews.csv"))),
        ("./embedded", ("path", Path("embedded"))),
        ("a/tfds:x", ("path", Path("a/tfds:x"))),
        ("", ("path", Path("."))),
    ],
)
def test_one_place_is_read_and_no_other(source, found):
    assert (
        read_source(
            source,
            embedded=lambda: ("embedded",),
            tfds=lambda name: ("tfds", name),
            path=lambda path: ("path", path),
        )
        == found
    )


def test_nothing_falls_back_to_another_source():
    def missing(*where):
        raise LookupError(where)

    for source in ("embedded", "tfds:none", "none.csv"):
        with pytest.raises(LookupError):
            read_source(source, embedded=missing, tfds=missing, path=missing)


def of_file(path):
    return Corpus(str(path), {"all": [path.name]}, ["a note"])


def test_a_file_for_each_split():
    def read(source):
        return read_source(source, embedded=None, tfds=None, path=of_file)

    corpus = read("test=b,=c.csv,train=/x/a.csv")
    assert corpus.splits == {"train": ["a.csv"], "test": ["b,=c.csv"]}
    assert corpus.notes == ["test: a note", "train: a note"]
    assert [is_path(s) for s in ("a.csv", "train=a.csv", "embedded")] == [True, False, False]
    assert read("train=b,test=c,train=a").splits == {"train": ["b", "a"], "test": ["c"]}
    with pytest.raises(UserError, match=r"train=a has splits of its own \(train\): name a file"):
        read_source(
            "train=a", embedded=None, tfds=None, path=lambda path: Corpus("a", {"train": [1]})
        )


def test_a_file_of_such_a_name_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train=a.csv").touch()
    assert named_splits("train=a.csv") == {}
    assert named_splits("train=b.csv") == {"train": ["b.csv"]}


def test_files_by_a_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("part-2.csv", "part-1.csv", "train-a.csv", "test-a.csv", "odd[1].csv"):
        Path(name).touch()

    def read(source):
        return read_source(source, embedded=None, tfds=None, path=of_file)

    corpus = read("part-*.csv")
    assert corpus.splits == {"all": ["part-1.csv", "part-2.csv"]}
    assert corpus.notes[0] == "2 files joined"
    assert read("test=part-*.csv,train=train-a.csv").splits["test"] == ["part-1.csv", "part-2.csv"]
    assert read("odd[1].csv").splits == {"all": ["odd[1].csv"]}
    with pytest.raises(UserError, match=r"\*-a\.csv matches files of several splits \(test, "):
        read("*-a.csv")
    with pytest.raises(UserError, match=r"no file matches none-\*"):
        read("none-*")
