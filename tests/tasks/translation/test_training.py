"""A translation model is trained, scored and described, through the command line."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import sacrebleu

import kerasseq
from kerasseq.config import replace
from tests.tasks.translation.conftest import (
    FILES,
    SMALL,
    WORDS,
    call,
    pairs,
    report_of,
    run_of,
    write_files,
    write_pairs,
    write_table,
)

pytestmark = pytest.mark.usefixtures("loaded_once")


def test_train_learns_reports_and_exports(trained, files):
    folder, printed = trained
    run = folder / "run"
    for name in ("run.json", "settings.yaml", "data.json", "source.json", "target.json",
                 "languages.json", "samples.json", "metrics.jsonl", "training.json", "model.keras",
                 "curves.png", "evaluation/test.json", "evaluation/test.png"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert not (run / "checkpoint.npz").exists()
    for part in ("perplexity", "BLEU", "chrF2", "source words", "lowest chrF2:", "examples:",
                 "exported to", "serving_default on", "translate_verbose on"):  # fmt: skip
        assert part in printed
    report = report_of(run)
    references = (files / "test.xx").read_text().splitlines()
    assert len(report["translations"]) == len(references) == report["sentences"]
    right = sum(a == b for a, b in zip(report["translations"], references, strict=True))
    assert right / len(references) > 0.8
    assert report["bleu"]["score"] > 80
    assert report["beam"] == {"size": 3, "length_penalty": 1.0, "coverage_penalty": 0.0}
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2, 3]
    for record in history:
        assert record["validation_perplexity"] == pytest.approx(
            np.exp(record["validation_loss"]), abs=1e-3
        )
    assert history[-1]["validation_bleu"] > history[0]["validation_bleu"]
    manifest = json.loads((folder / "saved_models/translation/1/manifest.json").read_text())
    assert {"task", "settings", "data", "training", "evaluation", "versions"} <= set(manifest)
    assert manifest["evaluation"] == report


def test_a_name_of_no_other_sentence_is_copied(trained, files):
    """Most attention is paid to the word that an unknown one stands for."""
    made = (files / "test.en").read_text().splitlines()
    names = [[w.strip(".") for w in line.split() if w[0].isupper()] for line in made]
    found = zip(report_of(trained[0] / "run")["translations"], names, strict=True)
    copied = [all(name in text for name in some) for text, some in found if some]
    assert len(copied) > 5
    assert sum(copied) / len(copied) > 0.7
    assert not any("<unk>" in text for text in report_of(trained[0] / "run")["translations"])


def test_the_data_report(trained, files):
    data = json.loads((trained[0] / "run/data.json").read_text())
    assert data["languages"] == ["en", "xx"]
    assert data["vocabulary"] == data["source_vocabulary"]
    splits = data["splits"]
    assert list(splits) == ["train", "validation", "test"]
    assert [split["examples"] for split in splits.values()][1:] == [60, 60]
    lines = (files / "test.xx").read_text().splitlines()
    assert splits["test"]["tokens"] == sum(len(line.split()) + 2 for line in lines)
    lines = (files / "test.en").read_text().splitlines()
    assert splits["test"]["source_tokens"] == sum(len(line.split()) + 2 for line in lines)
    assert 0 < splits["test"]["unknown_share"] < 0.2
    tokens = json.loads((trained[0] / "run/source.json").read_text())["tokens"]
    assert {"▁" + word for word in WORDS} < {*tokens}


def test_the_same_command_does_not_train_again(trained, files):
    folder, _ = trained
    before = (folder / "run/training.json").read_text()
    words = ["train", "--data", files, *FILES, "--run", folder / "run", *SMALL]
    assert "is trained already" in call(*words, "--only-train")
    assert (folder / "run/training.json").read_text() == before
    assert "other settings (seed: 1 -> 2)" in call(*words, "--seed=2", status=2)


def test_evaluate_another_split_and_other_data(trained, tmp_path):
    assert "validation split:" in call("evaluate", *run_of(trained), "--split", "validation")
    folder = write_files(tmp_path / "other", train=5, held_out=20)
    printed = call("evaluate", *run_of(trained), "--on", folder, "--split", "test")
    assert "20 sentences" in printed
    (path,) = (trained[0] / "run/evaluation").glob("other-*.json")
    report = json.loads(path.read_text())
    assert len(report["translations"]) == 20
    assert path.with_suffix(".png").stat().st_size > 0


def test_evaluate_on_tables_where_files_were_trained_on(trained, table, tmp_path):
    line = call("evaluate", *run_of(trained), "--on", table, status=2)
    assert "its columns do not say which is the source" in line
    assert "(en to xx)" in line
    assert "--source 1 --target 2" in line
    columns = ["--source", "1", "--target", "2"]
    assert "150 sentences" in call("evaluate", *run_of(trained), "--on", table, *columns)
    write_table(tmp_path / "train.tsv", pairs(10, 1))
    write_table(tmp_path / "test.tsv", pairs(7, 2))
    printed = call("evaluate", *run_of(trained), "--on", tmp_path, "--split", "test", *columns)
    assert "7 sentences" in printed


def test_sources_that_are_cut_are_counted_in_a_report(trained, tmp_path):
    folder = write_files(tmp_path / "other", train=5, held_out=3)
    write_pairs(folder / "test", [(" ".join(["cat"] * 50), "cat"), ("a cat.", "cat a.")])
    printed = call("evaluate", *run_of(trained), "--on", folder, "--split", "test")
    assert "1 sources are longer than what is read, and cut" in printed


def test_describe_before_and_after_training(trained, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = call("describe", *SMALL, "--model.cell=gru")
    for part in ("RecurrentStack", "TiedEmbedding", "AttentionDecoder", "assumed size",
                 "device plan", "kernel of encoder"):  # fmt: skip
        assert part in printed
    printed = call("describe", "--data", files, *FILES, *run_of(trained), *SMALL)
    assert f"vocabulary of {trained[0] / 'run'}" in printed


def test_damaged_runs(trained, tmp_path):
    for name, message in (
        ("source.json", "source.json is not a vocabulary of subwords"),
        ("target.json", "target.json is not a vocabulary of subwords"),
        ("languages.json", "languages.json is missing"),
        ("model.keras", "model.keras cannot be loaded"),
        ("training.json", "is not trained to the end"),
    ):
        run = shutil.copytree(trained[0] / "run", tmp_path / name)
        (run / name).unlink()
        assert message in call("translate", "a", "--run", run, status=2)


def test_errors_and_tables(trained, tmp_path):
    run = kerasseq.load(trained[0] / "run", quiet=True)
    errors = run.errors()
    given = report_of(run.path)
    references = [pair.target for pair in run.own_data("test").splits["test"].pairs]
    wrong = sum(a != b for a, b in zip(given["translations"], references, strict=True))
    assert len(errors) == wrong
    scores = [row["score"] for row in errors]
    assert scores == sorted(scores, reverse=True)
    file, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    file.write_text('{"id": 1, "text": "a cat sees the dog ."}\n')
    call("predict", *run_of(trained), "--file", file, "--column", "text", "--output", out)
    row = json.loads(out.read_text())
    (wanted,) = run.predict(["a cat sees the dog ."])
    assert row["translation"] == wanted.translation
    assert list(row) == ["id", "text", "translation", "score"]


def test_the_direction_of_other_data_is_its_own(trained, tmp_path):
    write_table(tmp_path / "turned.tsv", [(b, a) for a, b in pairs(20, 5)])
    write_table(tmp_path / "straight.tsv", pairs(20, 5))
    straight = call("evaluate", *run_of(trained), "--on", tmp_path / "straight.tsv",
                    "--source", "1", "--target", "2")  # fmt: skip
    turned = call("evaluate", *run_of(trained), "--on", tmp_path / "turned.tsv",
                  "--source", "2", "--target", "1")  # fmt: skip
    score = next(line for line in straight.splitlines() if "BLEU  " in line)
    assert score in turned


def test_several_references_a_sentence(trained, tmp_path):
    """All of them count, as in a direct call of sacrebleu; an error equals none of them."""
    made = pairs(20, 5)
    path = tmp_path / "test.jsonl"
    lists = [[target.upper(), target] if i % 2 else [target] for i, (_, target) in enumerate(made)]
    rows = [{"en": a, "xx": several} for (a, _), several in zip(made, lists, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = kerasseq.load(trained[0] / "run", quiet=True)
    report = run.evaluate(path)
    columns = [[one[0] for one in lists], [one[1] if one[1:] else None for one in lists]]
    bleu = sacrebleu.BLEU().corpus_score(report["translations"], columns)
    chrf = sacrebleu.CHRF().corpus_score(report["translations"], columns)
    assert report["bleu"]["score"] == pytest.approx(bleu.score, abs=1e-4)
    assert report["chrf"]["score"] == pytest.approx(chrf.score, abs=1e-4)
    assert report["references"] == {"fewest": 1, "most": 2}
    found = zip(report["translations"], lists, strict=True)
    assert len(run.errors(path)) == sum(text not in several for text, several in found)
    other, use = run.other_data(path, None, 0), run.trained.use
    held_out = dataclasses.replace(other, splits={"validation": other.splits["test"]})
    greedy = use.translate([source for source, _ in made], replace(run.settings.beam, {"size": 1}))
    texts = [translation.text for _, (translation,) in greedy]
    bleu = sacrebleu.BLEU().corpus_score(texts, columns)
    assert use.validate(held_out)["bleu"] == pytest.approx(bleu.score)
