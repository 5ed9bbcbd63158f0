"""Tasks by name, of this package and of others."""

import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import kerasseq.__main__
from kerasseq.app import cli, registry
from kerasseq.app.registry import GROUP, find_task, task_names
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.task import Sentiment
from tests import warm

ROOT = Path(__file__).parent.parent.parent
NAMES = ["language_model", "ner", "pos_tagging", "sentiment", "translation"]
TICKETS = """
from kerasseq.app.task import Task
from kerasseq.tasks.sentiment.task import Sentiment

class Tickets(Sentiment):
    name = "tickets"
    title = "Queues of tickets"

class Other(Sentiment):
    name = "other"

class Failing(Sentiment):
    def __init__(self):
        raise RuntimeError("a fault\\nof its own")

class Quitting(Sentiment):
    def __init__(self):
        raise SystemExit(0)

class Untitled(Task):
    name = "tickets"
    settings_class, assets_class, goals = Sentiment.settings_class, Sentiment.assets_class, {}

Untitled.__abstractmethods__ = frozenset()

class Nameless(Task):
    pass

Nameless.__abstractmethods__ = frozenset()
no_task = dict
"""


def declare(monkeypatch, *entries):
    """Has other entry points than those that are installed."""

    def entry_points(**wanted):
        points = [EntryPoint(name, value, GROUP) for name, value in entries]
        return EntryPoints(points).select(**wanted)

    monkeypatch.setattr(registry, "entry_points", entry_points)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package that declares tasks, as pip would."""
    (tmp_path / "tickets_made_up.py").write_text(TICKETS)
    monkeypatch.syspath_prepend(tmp_path)

    def install(package, **tasks):
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}\n" for name, value in tasks.items()]
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{''.join(lines)}")
        return tmp_path

    yield install
    sys.modules.pop("tickets_made_up", None)


def test_the_tasks_of_the_suite_are_found():
    assert task_names() == NAMES
    for name in NAMES:
        assert find_task(name).name == name
    assert type(find_task("sentiment")) is Sentiment
    assert {path.stem for path in (ROOT / "tasks").glob("[a-z]*.py")} == set(NAMES)


def test_an_unknown_name_lists_the_names(monkeypatch):
    with pytest.raises(UserError) as caught:
        find_task("nosuch")
    assert str(caught.value) == f"no task 'nosuch'; there are {', '.join(NAMES)}"
    declare(monkeypatch)
    assert task_names() == []
    with pytest.raises(
        UserError,
        match=r"no task 'ner'; none is installed: install kerasseq as a package \(pip install \.\)",
    ):
        find_task("ner")


def test_a_task_of_another_package_is_found(install):
    install("a-package", tickets="tickets_made_up:Tickets")
    assert task_names() == sorted([*NAMES, "tickets"])
    task = find_task("tickets")
    assert (task.name, task.title) == ("tickets", "Queues of tickets")
    assert set(cli.verbs_of(task)) >= {"train", "evaluate", "predict", "tune", "export"}


def test_two_packages_that_declare_one_name_are_named(install, monkeypatch):
    install("a-package", tickets="tickets_made_up:Tickets")
    install("b-package", tickets="tickets_made_up:Other")
    with pytest.raises(UserError) as caught:
        find_task("tickets")
    message = str(caught.value)
    assert message.startswith("the task 'tickets' is declared twice, by ")
    assert message.endswith(": uninstall one of them")
    for place in ("a-package (tickets_made_up:Tickets)", "b-package (tickets_made_up:Other)"):
        assert place in message
    declare(monkeypatch, ("tickets", "one:Task"), ("tickets", "two:Task"))
    with pytest.raises(UserError, match=r"by an unknown package \(one:Task\) and an unknown"):
        find_task("tickets")


def test_one_task_that_is_declared_twice_is_one(install):
    install("a-package", tickets="tickets_made_up:Tickets")
    install("a-copy", tickets="tickets_made_up:Tickets")  # such as an old .egg-info beside it
    assert find_task("tickets").name == "tickets"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:Task", "has failed: ModuleNotFoundError: No module named 'no_such_mod"),
        ("tickets_made_up:Missing", "has failed: AttributeError: "),
        ("tickets_made_up:Failing", "has failed: RuntimeError: a fault"),
        ("tickets_made_up:Quitting", "has failed: SystemExit: 0"),
        ("tickets_made_up:Untitled", "lacks title, label"),
    ],
)
def test_a_broken_entry_point_is_named(install, value, reason):
    install("a-package", tickets=value)
    with pytest.raises(UserError) as caught:
        find_task("tickets")
    assert str(caught.value).startswith(f"the task 'tickets' of a-package ({value}) {reason}")
    assert find_task("sentiment").name == "sentiment"


@pytest.mark.parametrize("value", ["Other", "no_task", "Nameless"])
def test_what_is_no_task_of_that_name_is_refused(install, value):
    install("a-package", tickets=f"tickets_made_up:{value}")
    with pytest.raises(UserError) as caught:
        find_task("tickets")
    wanted = (
        f"a-package (tickets_made_up:{value}) declares as 'tickets' what is no task of that name"
    )
    assert str(caught.value) == wanted


@pytest.mark.parametrize("name", ["my task", "é", "a/b", "../up", "--help2", ".hidden"])
def test_a_name_that_could_be_no_folder_or_layer_is_refused(install, name):
    install("a-package", **{name: "tickets_made_up:Tickets"})
    with pytest.raises(UserError, match="a name has letters"):
        find_task(name)


@pytest.mark.parametrize("name", ["my-trans", "chunks.v2", "a_1"])
def test_other_names_are_taken(install, name):
    install("a-package", **{name: "tickets_made_up:Tickets"})
    with pytest.raises(UserError, match="no task of that name"):  # it is called tickets
        find_task(name)


def test_from_a_checkout_a_task_needs_no_installed_name(tmp_path):
    program = "import importlib.metadata as m, runpy, sys; m.entry_points = None; "
    program += "sys.argv = ['x', '--help']; runpy.run_module('tasks.ner', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Named-entity" in done.stdout


def python_m(*words, path=None):
    places = [str(place) for place in (path, ROOT) if place]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    done = warm.run(["-m", *words], cwd=ROOT, env=environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_the_tasks_are_listed(words):
    status, printed, errors = python_m("kerasseq", *words)
    assert (status, errors) == (0, "")
    usage, *lines = printed.splitlines()
    assert usage == "usage: python -m kerasseq TASK VERB [options]"
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == [*NAMES, "serve", "verify", "tasks", "recipes", "completion"]
    for name in NAMES:
        assert find_task(name).title in printed


def test_what_stands_beside_the_tasks():
    status, printed, errors = python_m("kerasseq", "tasks")
    assert (status, errors) == (0, "")
    assert [line.split()[0] for line in printed.splitlines()] == NAMES
    status, printed, errors = python_m("kerasseq", "serve", "no/such/folder")
    assert (status, errors) == (2, "error: no/such/folder is no folder: export a model first\n")
    status, printed, errors = python_m("kerasseq", "verify", "no/such/version")
    assert status == 2
    assert "no/such/version is not an exported version" in errors


def test_an_unknown_task_is_one_line_and_status_2():
    assert python_m("kerasseq", "nosuch") == (
        2, "", f"python -m kerasseq nosuch: no task 'nosuch'; there are {', '.join(NAMES)}\n",
    )  # fmt: skip


def test_a_task_is_run_by_its_name(install):
    status, printed, errors = python_m("kerasseq", "sentiment", "--help")
    assert (status, errors) == (0, "")
    assert printed.split()[:5] == ["usage:", "python", "-m", "kerasseq", "sentiment"]
    _, printed, _ = python_m("tasks.sentiment", "--help")
    assert printed.split()[:4] == ["usage:", "python", "-m", "tasks.sentiment"]
    place = install("a-package", tickets="tickets_made_up:Tickets")
    status, printed, errors = python_m("kerasseq", "tickets", "train", "--help", path=place)
    assert (status, errors) == (0, "")
    assert "usage: python -m kerasseq tickets train [options]" in printed
    assert "(default: runs/tickets)" in printed
    status, printed, errors = python_m("kerasseq", "tickets", "evaluate", "--on", path=place)
    assert (status, printed, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("python -m kerasseq tickets: ")


def test_the_list_needs_no_tensorflow():
    program = (
        "import sys, kerasseq.__main__ as program\n"
        "sys.argv = ['kerasseq', '--help']\n"
        "program.main()\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_task_is_listed_with_its_reason(install, monkeypatch, capsys):
    install("a-package", broken="tickets_made_up:Failing", tickets="tickets_made_up:Tickets")
    monkeypatch.setattr(sys, "argv", ["kerasseq", "--help"])
    kerasseq.__main__.main()
    lines = capsys.readouterr().out.splitlines()
    (broken,) = (line for line in lines if line.startswith("  broken "))
    assert "has failed: RuntimeError: a fault of its own" in broken
    assert any(line.startswith("  tickets ") and "Queues of tickets" in line for line in lines)
    assert len(lines) == 3 + len(NAMES) + 2 + 7
