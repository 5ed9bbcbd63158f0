"""``--limit`` and ``--training.max_steps`` make any command small, and say so."""

import json
import shutil
from types import SimpleNamespace

import pytest

from kerasseq.app.verbs import first
from kerasseq.tasks.tagging.verbs import _items
from tests.tasks.conftest import SMALL, call


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained[0] / "run", tmp_path / "run")


def test_a_run_of_a_few_examples_and_updates(reviews, tmp_path):
    run = tmp_path / "run"
    words = ["train", "--data", reviews, "--run", run, "--only-train", *SMALL,
             "--training.max_steps", 3]  # fmt: skip
    printed = call(*words, "--limit", 60)
    assert "limit: 60 of 240 examples of all, drawn by seed" in printed
    assert "trained 3 steps" in printed
    data = json.loads((run / "data.json").read_text())
    assert sum(split["examples"] for split in data["splits"].values()) == 60
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert history[-1]["step"] == 3
    # what is drawn is part of the run: the same command finds the same, another is refused
    assert "is trained already" in call(*words, "--limit", 60)
    assert "other settings (limit: 60 -> 61)" in call(*words, "--limit", 61, status=2)
    printed = call("evaluate", "--run", run)
    report = json.loads((run / "evaluation/test.json").read_text())
    assert f"{report['examples']} " in printed
    assert report["examples"] == data["splits"]["test"]["examples"]


def test_other_data_is_scored_in_part_beside_the_whole(run, reviews):
    for words, count in ((["--limit", 20], 20), ([], 240)):
        printed = call("evaluate", "--run", run, "--on", reviews, *words)
        assert ("limit: 20 of 240 examples" in printed) == bool(words)
        reports = [json.loads(p.read_text()) for p in (run / "evaluation").glob("other-*.json")]
        assert count in [report["examples"] for report in reports]
    line = call("evaluate", "--run", run, "--limit", 20, status=2)
    assert "limit: for other data only" in line


def test_texts_are_read_in_part(trained, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("it was superb\nit was awful\nit was\n")
    run = ["--run", trained[0] / "run"]
    printed = call("predict", "--file", path, "--limit", 2, *run)
    assert len(printed.splitlines()) == 2
    assert call("predict", "--file", path, *run).startswith(printed)
    assert "--limit must be 0 or more, got -1" in call(
        "predict", "a", "--limit", -1, *run, status=2
    )


def test_of_conllu_whole_sentences_are_read():
    lines = ["1\tA\t_", "2\tcat\t_", "", "1\tIt\t_", ""]
    options = SimpleNamespace(input="conllu", output="text", texts=[], file="words.conllu")
    lines = [line.replace("\t_", "\t_" * 8) for line in lines]
    (item,) = first(_items(iter(lines), options), 1)
    assert item.words == ["A", "cat"]
