"""On the real reviews: quick checks of the official archive, and slow training with a bar."""

import json

import pytest

from kerasseq.app.runs import read_data
from kerasseq.tasks.language_model.settings import LanguageModelSettings
from kerasseq.tasks.language_model.task import LanguageModel
from kerasseq.tasks.sentiment.data import cut_corpus
from kerasseq.tasks.sentiment.reading import read_archive
from kerasseq.tasks.tagging.task import PosTagging
from tests.tasks.conftest import benchmark, python, spawn


@pytest.fixture
def archive():
    return benchmark("imdb/aclImdb_v1_labelled.tar.gz")


def test_the_official_archive(archive):
    corpus = cut_corpus(read_archive(archive, "utf-8"), 0.1, seed=1)
    sizes = {name: len(part) for name, part in corpus.splits.items()}
    assert sizes == {"train": 22_414, "validation": 2_490, "test": 25_000}
    assert [example.label for example in corpus.splits["test"]].count("positive") == 12_500
    assert "96 repeated texts removed before cutting" in corpus.notes
    assert corpus.notes[0].startswith("not used, no .txt of a class of a split: README, imdb.vocab")
    train, validation = (
        {example.text for example in corpus.splits[name]} for name in ("train", "validation")
    )
    assert not train & validation


@pytest.mark.gate
@pytest.mark.timeout(1200)
def test_the_first_command_of_the_readme_reaches_its_bar(tmp_path):
    where = ["--run", tmp_path / "run", "--saved-models", tmp_path / "saved_models"]
    spawn("train", *where, start=python)
    report = json.loads((tmp_path / "run/evaluation/test.json").read_text())
    assert report["accuracy"] >= 0.87
    data = json.loads((tmp_path / "run/data.json").read_text())
    assert float(data["batches"]["padding waste"].split("%")[0]) <= 5


@pytest.mark.gate
@pytest.mark.timeout(1200)
def test_tagging_turkish_reaches_its_bar(tmp_path):
    where = ["--run", tmp_path / "run", "--saved-models", tmp_path / "saved_models"]
    spawn("train", *where, task=PosTagging())
    report = json.loads((tmp_path / "run/evaluation/test.json").read_text())
    assert report["accuracy"] >= 0.935
    assert report["accuracy"] > report["baseline"]["accuracy"] + 0.03


@pytest.mark.gate
def test_the_counts_of_the_penn_treebank_are_the_published_ones():
    path = benchmark("lm/ptb")
    data = read_data(LanguageModel(), LanguageModelSettings(data=str(path)), download=False)
    splits = data.report["splits"]
    assert {name: split["tokens"] for name, split in splits.items()} == {
        "train": 929_589, "validation": 73_760, "test": 82_430
    }  # fmt: skip
    assert data.report["units"] == "blanks"
    # line ends and <unk> are among the 10,000; padding and BOS are never predicted
    assert data.report["types"] == 10_000
    assert data.report["vocabulary"] == 10_002
    assert {name: len(ids) for name, ids in data.splits.items()} == {
        name: split["tokens"] for name, split in splits.items()
    }
