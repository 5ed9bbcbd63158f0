import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from kerasseq.app import cli
from kerasseq.tasks.sentiment.task import Sentiment, SentimentSettings

ROOT = Path(__file__).parent.parent
VERBS = ["train", "evaluate", "predict", "tune", "export", "describe"]


def parse(*words):
    task = Sentiment()
    return cli.parse(task, {verb.name: verb for verb in cli.common_verbs(task)}, words)


def failure(capsys, *words):
    status = cli.run(Sentiment(), words)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return status, captured.err


@pytest.mark.parametrize("words", [[], *[[verb] for verb in VERBS]])
def test_help_is_quick_and_needs_no_tensorflow(words):
    program = (
        "import sys, runpy\n"
        "try:\n"
        "    runpy.run_module('kerasseq.tasks.sentiment.task', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    start = time.process_time(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage: python -m kerasseq.tasks.sentiment.task" in done.stdout
    assert time.perf_counter() - start[1] < 5  # under 1 s on an idle machine


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--model.unitz", "3"], "did you mean --model.units?"),
        (["train", "--model.units", "many"], 'key "model.units": Expected a int. Got value: many'),
        (["train", "--model.units", "0"], "model.units must be >= 1, got 0"),
        (["train", "--training.warmup", "1"], "training.warmup must be < 1, got 1"),
        (["train", "--held-out=2"], "held_out must be < 0.5, got 2"),
        (["train", "--model.pooling", "mean+median"], "model.pooling must be of last, mean"),
        (["train", "--text.keep", "middle"], 'key "text.keep"'),
        (["train", "--config", "missing.yaml"], "File does not exist"),
        (["tarin"], "invalid choice: 'tarin'"),
        ([], "verb"),
    ],
)
def test_a_wrong_command_is_one_line_and_status_2(capsys, words, message):
    status, line = failure(capsys, *words)
    assert status == 2
    assert message in line


def test_unknown_name_in_a_config_file(capsys, tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("model:\n  unitz: 3\n")
    status, line = failure(capsys, "train", "--config", str(path))
    assert (status, "did you mean --model.units?" in line) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: null", "seed"),
        ("model: 5", "model"),
        ("model: null", "model"),
        ("model: {pooling: null}", "pooling"),
        ("model: {units: many}", "model.units"),
        ("seed: 4294967296", "seed must be <= 4294967295"),
        ("- a list", "config"),
    ],
)
def test_wrong_config_files(capsys, tmp_path, text, message):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    status, line = failure(capsys, "train", "--config", str(path), "--run", str(tmp_path / "run"))
    assert status == 2
    assert message in line
    assert not (tmp_path / "run").exists()


def test_config_file_then_overrides(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(SentimentSettings(seed=7).to_dict()))
    _, options = parse("train", "--config", str(path), "--model.cell", "gru")
    assert (options.settings.seed, options.settings.model.cell) == (7, "gru")


def test_printed_config_is_a_config(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "kerasseq.tasks.sentiment.task",
            "train",
            "--model.units",
            "5",
            "--print_config",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    path = tmp_path / "settings.yaml"
    path.write_text(done.stdout)
    _, options = parse("train", "--config", str(path))
    assert options.settings.model.units == 5


def test_every_setting_has_a_doc():
    task = Sentiment()
    text = subprocess.run(
        [sys.executable, "-m", "kerasseq.tasks.sentiment.task", "train", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in task.settings_class().flat():
        entry = text.split(f"  --{name} ")[1].split("  --")[0]
        assert len(entry.split("(type:")[0].split()) > 4, name
