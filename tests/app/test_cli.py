import functools
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from kerasseq.app import cli
from kerasseq.app.registry import find_task
from kerasseq.app.task import Verb
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.settings import SentimentSettings
from kerasseq.tasks.sentiment.task import Sentiment

ROOT = Path(__file__).parent.parent.parent
TASKS = ["sentiment", "pos_tagging", "ner", "language_model", "translation"]
VERBS = ["train", "evaluate", "compare", "predict", "tune", "export", "describe"]


def parse(*words):
    task = Sentiment()
    return cli.parse(task, cli.verbs_of(task), words, "program")


def failure(capsys, *words):
    status = cli.run(Sentiment(), words)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return status, captured.err


HELPS = """
import sys, runpy, time
for words in ARGUMENTS:
    sys.argv[1:] = [*words, "--help"]
    try:
        runpy.run_module("tasks.TASK", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, end.code
    assert not {"tensorflow", "keras"} & set(sys.modules), words
    print("---", time.time(), "---")
"""


@functools.cache
def helps(task):
    """What Python, started for it, prints as the help of a task and of its verbs (the other tasks
    have those of the first): by verb, "" for none; with the seconds that each took."""
    verbs = ["", *(VERBS if task == TASKS[0] else ["train"])]
    program = HELPS.replace("ARGUMENTS", repr([[verb] if verb else [] for verb in verbs]))
    before = time.time()
    done = subprocess.run(
        [sys.executable, "-c", program.replace("TASK", task)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for verb, (text, end) in zip(
        verbs, re.findall(r"(.*?)--- ([\d.]+) ---\n", done.stdout, re.DOTALL), strict=True
    ):
        found[verb] = text, float(end) - before
        before = float(end)
    return found


@pytest.mark.parametrize("task", TASKS)
def test_help_is_quick_and_needs_no_tensorflow(task):
    for verb, (text, seconds) in helps(task).items():
        assert f"usage: python -m tasks.{task} {verb}".rstrip() in text
        assert seconds < 5  # under 1 s on an idle machine


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
        [sys.executable, "-m", "tasks.sentiment", "train", "--model.units", "5", "--print_config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    path = tmp_path / "settings.yaml"
    path.write_text(done.stdout)
    _, options = parse("train", "--config", str(path))
    assert options.settings.model.units == 5


@pytest.mark.parametrize("name", TASKS)
def test_every_setting_has_a_doc(name):
    text = helps(name)["train"][0]
    for setting in find_task(name).settings_class().flat():
        entry = text.split(f"  --{setting} ")[1].split("  --")[0]
        assert len(entry.split("(type:")[0].split()) > 4, setting


def test_a_task_has_its_own_verbs_beside_those_of_every_task():
    for name in TASKS:
        task = find_task(name)
        verbs = cli.verbs_of(task)
        assert list(verbs)[: len(VERBS)] == VERBS
        assert list(verbs)[len(VERBS) :] == [verb.name for verb in task.verbs]
        assert all(verbs[verb.name] is verb for verb in task.verbs)


class Started:
    """Stands for the module that Python was started with."""

    def __init__(self, name):
        self.__spec__ = name and Named(name)


class Named:
    def __init__(self, name):
        self.name = name


@pytest.mark.parametrize(
    ("module", "script", "program"),
    [
        ("tasks.sentiment", "x", "python -m tasks.sentiment"),
        ("kerasseq.__main__", "x", "python -m kerasseq"),
        ("kerasseq", "x", "python -m kerasseq"),
        ("other.__main__", "x", "python -m other"),
        (None, "/usr/bin/kerasseq", "kerasseq"),  # an installed command
        (None, "/usr/bin/tickets", "tickets"),
        (None, "tasks/sentiment.py", "python tasks/sentiment.py"),
    ],
)
def test_a_program_is_called_what_was_typed(monkeypatch, capsys, module, script, program):
    monkeypatch.setitem(sys.modules, "__main__", Started(module))
    monkeypatch.setattr(sys, "argv", [script, "tarin"])
    assert cli.typed_program() == program
    for words in (["tarin"], None):
        with pytest.raises(SystemExit) as end:
            cli.main(Sentiment, words)
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith(f"{program}: ")


def test_a_main_module_without_a_spec_is_a_script(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", object())
    monkeypatch.setattr(sys, "argv", ["run.py"])
    assert cli.typed_program() == "python run.py"


def test_run_takes_the_name_of_the_program(capsys):
    for more, program in (((), "python -m kerasseq sentiment"), (("mine",), "mine")):
        assert cli.run(Sentiment(), ["tarin"], *more) == 2
        assert capsys.readouterr().err.startswith(f"{program}: argument verb: ")
        with pytest.raises(SystemExit) as end:
            cli.run(Sentiment(), ["train", "--help"], *more)
        assert not end.value.code
        assert f"usage: {program} train [options]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("two\n  lines"), 2, "program: two lines\n"),
        (
            OSError(28, "No space left on device"),
            2,
            "program: [Errno 28] No space left on device\n",
        ),
        (KeyboardInterrupt(), 130, "program: interrupted\n"),
    ],
)
def test_how_a_verb_ends_is_the_status(monkeypatch, capsys, error, status, message):
    def run(task, options):
        raise error

    monkeypatch.setattr(Sentiment, "verbs", (Verb("fail", "Fails.", run),))
    assert cli.run(Sentiment(), ["fail"], "program") == status
    assert capsys.readouterr().err == message
