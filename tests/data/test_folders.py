from pathlib import Path

import pytest

from kerasseq.data.folders import (
    files_in,
    is_archive,
    single_files,
    split_files,
    split_of,
    stem,
    suffix,
    unused_notes,
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
        ("src-train.txt", "train"),
        ("train.de.txt", "train"),
        ("training_data.csv", "train"),
        ("en_ewt-ud-dev.conllu.gz", "validation"),
        ("wiki.valid.tokens", "validation"),
        ("val.de", "validation"),
        ("newsdev2016.en", "validation"),
        ("eval.jsonl", "validation"),
        ("IWSLT14.TED.dev2010.de-en.de", "validation"),
        ("test_2016_flickr.de.gz", "test"),
        ("newstest2014.en", "test"),
        ("tst2013.vi", "test"),
        ("validation", "validation"),
        ("train-test.tsv", "test"),  # the last word counts
        ("retrain.csv", None),
        ("latest.csv", None),
        ("evaluations.csv", None),
        ("constraint.txt", None),
        ("readme.txt", None),
        ("The Test of Time.txt", None),  # books have titles
    ],
)
def test_the_words_of_a_name_say_the_split(name, split):
    assert split_of(name) == split


def test_every_split_is_one_file():
    folder = Path("folder")
    files = [folder / name for name in ("train.csv", "notes.csv", "x-dev.csv", "test.csv.gz")]
    chosen = split_files(folder, files)
    assert {split: [file.name for file in part] for split, part in chosen.items()} == {
        "train": ["train.csv"], "validation": ["x-dev.csv"], "test": ["test.csv.gz"],
    }  # fmt: skip
    for more, split in (("val.csv", "validation"), ("train.jsonl", "train")):
        with pytest.raises(UserError, match=f"{more} could be the {split} split; leave one of"):
            split_files(folder, [*files, folder / more])
    assert split_files(folder, files[1:2]) == {}


def test_shards_are_one_file_in_their_order():
    folder = Path("folder")
    shards = [folder / f"train-{n:05}-of-00003.parquet" for n in (2, 0, 1)]
    test = [folder / "test-00000-of-00001-4a5b6c.parquet"]
    assert split_files(folder, [*shards, *test]) == {"train": sorted(shards), "test": test}
    with pytest.raises(UserError, match="one of 3 shards, of which 2 are there; number 1 is"):
        split_files(folder, shards[:2])
    with pytest.raises(UserError, match="could be the train split"):
        split_files(folder, [*shards, folder / "train.csv"])
    assert single_files({"test": test}) == {"test": test[0]}
    with pytest.raises(UserError, match="the train split has 3 files, expected one"):
        single_files({"train": shards})


def test_what_is_not_used_is_named(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.csv").touch()
    (tmp_path / "._a.csv").touch()
    (tmp_path / "old").mkdir()
    assert unused_notes(tmp_path, [tmp_path / "0.csv"]) == [
        "not used, no split by their names: 1.csv, 2.csv, 3.csv, 4.csv, 5.csv, 2 more",
        "not used, folders: old",
        "not used, hidden: ._a.csv",
    ]
    assert unused_notes(tmp_path, tmp_path.iterdir()) == []
