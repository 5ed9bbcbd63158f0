from pathlib import Path

import pytest

from kerasseq.data.folders import (
    files_in,
    is_archive,
    split_files,
    split_of,
    stem,
    suffix,
    whole_stem,
    words_of,
    words_with_titles,
)
from kerasseq.errors import UserError


@pytest.mark.parametrize(
    ("name", "end", "rest"),
    [
        ("reviews.csv", ".csv", "reviews"),
        ("reviews.csv.gz", ".csv", "reviews"),
        ("en_ewt-ud-train.conllu.gz", ".conllu", "en_ewt-ud-train"),
        ("ptb.valid.txt", ".txt", "ptb.valid"),
        ("novel", "", "novel"),
        ("novel.gz", "", "novel"),
        (".csv", "", ".csv"),
    ],
)
def test_suffix_and_stem_look_through_gz(name, end, rest):
    assert (suffix(Path("a.b") / name), stem(Path("a.b") / name)) == (end, rest)


def test_archives_by_their_names():
    names = ["a.tar.gz", "a.tgz", "a.gz", "a.tar", "tgz"]
    assert [name for name in names if is_archive(Path(name))] == ["a.tar.gz", "a.tgz"]


def test_files_of_a_folder_by_name(tmp_path):
    for name in ("b.csv", "a.csv", ".hidden.csv", "B.csv"):
        (tmp_path / name).touch()
    (tmp_path / "c.csv").mkdir()
    (tmp_path / "d.csv").symlink_to(tmp_path / "none")  # whoever opens it says so
    assert [file.name for file in files_in(tmp_path)] == ["B.csv", "a.csv", "b.csv", "d.csv"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"),
        ("TRAIN.csv", "train"),
        ("en_ewt-ud-dev.conllu.gz", "validation"),
        ("wiki.valid.tokens", "validation"),
        ("val.de", "validation"),
        ("test_2016_flickr.de.gz", "test"),
        ("validation", "validation"),
        ("train-test.tsv", "test"),  # the last word counts
        ("training.csv", None),
        ("retrain.csv", None),
        ("readme.txt", None),
    ],
)
def test_the_words_of_a_name_say_the_split(name, split):
    assert split_of(words_of(name)) == split
    assert split_of(words_with_titles(name)) == split


def test_a_title_is_no_split():
    assert split_of(words_of("The Test of Time.txt")) == "test"
    assert split_of(words_with_titles("The Test of Time.txt")) is None


def test_every_split_is_one_file():
    folder = Path("folder")
    files = [folder / name for name in ("train.csv", "notes.csv", "x-dev.csv", "test.csv.gz")]
    chosen = split_files(folder, files)
    assert {split: file.name for split, file in chosen.items()} == {
        "train": "train.csv", "validation": "x-dev.csv", "test": "test.csv.gz",
    }  # fmt: skip
    with pytest.raises(UserError) as caught:
        split_files(folder, [*files, folder / "val.csv"])
    assert str(caught.value) == (
        "folder: both x-dev.csv and val.csv could be the validation split; leave one of them there"
    )
    assert split_files(folder, files[1:2]) == {}
    books = [folder / "train.txt", folder / "A Test.txt"]
    assert set(split_files(folder, books)) == {"train", "test"}
    assert set(split_files(folder, books, words_with_titles)) == {"train"}
    tables = [folder / name for name in ("train.csv", "train_old.csv", "predictions_test.csv")]
    assert split_files(folder, tables, whole_stem) == {"train": tables[0]}
