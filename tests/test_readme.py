"""The commands that the README shows exist and parse."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from kerasseq.app import cli
from kerasseq.app.registry import find_task, task_names

TASKS = {f"tasks.{name}": name for name in task_names()}
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
BY_NAME = [
    c[c.index("-m") + 2 :] for c in commands() if "-m" in c and c[c.index("-m") + 1] == "kerasseq"
]


def test_the_two_commands_come_first():
    first, second = LINES[:2]
    for line in (first, second):
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert "tasks.sentiment train" in first
    assert ".venv/bin/python -m pytest" in second


def test_every_task_is_shown():
    files = {f"tasks.{path.stem}" for path in (ROOT / "tasks").glob("[a-z]*.py")}
    assert {words[0] for words in TASK_COMMANDS} == files == set(TASKS)


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shown = set(re.findall(r"\.\[([\w,]+)\]", README))
    assert shown
    assert {e for group in shown for e in group.split(",")} <= set(project["optional-dependencies"])


def parses(name, arguments, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "settings.yaml").write_text("seed: 2\n")  # what --print_config > settings.yaml made
    task = find_task(name)
    verb = cli.verbs_of(task).get(arguments[0])
    verbs = {verb.name: verb} if verb else cli.verbs_of(task)  # parsers of all verbs take long
    if {"--print_config", "--help"} & set(arguments):
        with pytest.raises(SystemExit) as end:
            cli.parse(task, verbs, arguments, "program")
        assert not end.value.code
    else:
        cli.parse(task, verbs, arguments, "program")


@pytest.mark.parametrize("words", TASK_COMMANDS, ids=" ".join)
def test_task_commands_parse(words, tmp_path, monkeypatch):
    module, *arguments = words
    parses(TASKS[module], arguments, tmp_path, monkeypatch)


@pytest.mark.parametrize("words", list(filter(None, BY_NAME)), ids=" ".join)
def test_commands_by_name_parse(words, tmp_path, monkeypatch):
    name, *arguments = words
    if name in task_names():  # else it is of a package that the README tells how to write
        parses(name, arguments, tmp_path, monkeypatch)


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
