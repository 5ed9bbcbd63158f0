"""The commands that the README shows exist and parse."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from kerasseq.app import cli
from kerasseq.app.cli import common_verbs
from kerasseq.tasks.language_model.task import LanguageModel
from kerasseq.tasks.sentiment.task import Sentiment
from kerasseq.tasks.tagging.task import PosTagging
from kerasseq.tasks.translation.task import Translation

TASKS = {
    "kerasseq.tasks.sentiment.task": Sentiment,
    "kerasseq.tasks.tagging.task": PosTagging,
    "kerasseq.tasks.language_model.task": LanguageModel,
    "kerasseq.tasks.translation.task": Translation,
}
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:bash|sh)\n(.*?)```", README, re.DOTALL)
LINES = [
    line
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


def commands():
    for line in LINES:
        for part in re.split(r"&&|\|(?!\|)", line):
            yield shlex.split(part.split(" > ")[0], comments=True)


TASK_COMMANDS = [
    c[c.index("-m") + 1 :] for c in commands() if "-m" in c and "tasks." in c[c.index("-m") + 1]
]


def test_the_two_commands_come_first():
    first, second = LINES[:2]
    for line in (first, second):
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert "kerasseq.tasks.sentiment.task train" in first
    assert ".venv/bin/python -m pytest" in second


def test_every_task_is_shown():
    files = {f"tasks.{path.stem}" for path in (ROOT / "tasks").glob("[a-z]*.py")}
    assert {words[0] for words in TASK_COMMANDS} == files == set(TASKS)


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shown = set(re.findall(r"\.\[([\w,]+)\]", README))
    assert shown
    assert {e for group in shown for e in group.split(",")} <= set(project["optional-dependencies"])


@pytest.mark.parametrize("words", TASK_COMMANDS, ids=" ".join)
def test_task_commands_parse(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").write_text("seed: 2\n")  # what --print_config > settings.yaml made
    module, *arguments = words
    task = TASKS[module]()
    verbs = {verb.name: verb for verb in (*common_verbs(task), *task.extra_verbs)}
    if "--print_config" in arguments:
        with pytest.raises(SystemExit) as end:
            cli.parse(task, verbs, arguments)
        assert not end.value.code
    else:
        cli.parse(task, verbs, arguments)


@pytest.mark.parametrize(
    "module", sorted({c[c.index("-m") + 1] for c in commands() if "-m" in c} - {"venv"})
)
def test_modules_exist(module):
    import importlib.util

    assert importlib.util.find_spec(module), module


def test_files_that_are_linked_exist():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)\)", prose):
        assert (ROOT / target).exists(), target


def test_ci_runs_the_readme_test_command():
    assert "grep -m1 'pytest' README.md" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert next(line for line in README.splitlines() if "pytest" in line) == LINES[1]


def test_result_tables_are_those_of_the_records():
    from benchmarks.tables import updated

    assert updated(README) == README


def test_the_layers_example_learns():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (block,) = (block for block in blocks if "kerasseq.layers" in block)
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["history"].history["crf_accuracy"][-1] > 0.95
