"""Sweeps through the command line: finished, continued, killed, stopped, at once."""

import contextlib
import gc
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import keras
import pytest
import yaml

from tests import warm
from tests.tasks.conftest import ROOT, SMALL, call, command

QUICK = [*SMALL, "--training.epochs=2", "--training.average=0", "--model.bidirectional=false",
         "--text.ngrams=0"]  # fmt: skip
GRID = "model.cell: [gru, simple_rnn]\nmodel.units: [3, 5]\n"
OWN = ["training.learning_rate", "model.word_dropout", "model.embedding_dropout",
       "model.output_dropout"]  # fmt: skip


@pytest.fixture(autouse=True)
def _float32():
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture(scope="module", autouse=True)
def _frozen():
    """Every trial ends with a garbage collection, which need not look at what tests share."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Four combinations, and nothing else."""
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(GRID + "".join(f"{name}: null\n" for name in OWN))
    return path


@pytest.fixture(scope="module")
def grid(tmp_path_factory, reviews, space):
    """A finished sweep over the grid, and what it printed."""
    folder = tmp_path_factory.mktemp("grid") / "sweep"
    words = ["--data", reviews, "--run", folder, "--tuner", "grid", "--space", space]
    return folder, call("tune", *words, "--max-trials", 20, *QUICK)


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def outcomes(folder):
    """What each combination gave, by its settings."""
    return {
        tuple(sorted(trial["changes"].items())): (trial["status"], trial["value"])
        for trial in report_of(folder)["trials"]
    }


def test_a_grid_is_finished_and_reported(grid):
    folder, printed = grid
    report = report_of(folder)
    assert len(report["trials"]) == 5  # with that of the settings as they are
    assert {trial["status"] for trial in report["trials"]} == {"completed"}
    values = [trial["value"] for trial in report["trials"][:4]]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1
    kept = {path.parent.name for path in folder.glob("trials/*/model.keras")}
    assert kept == {*(trial["trial"] for trial in report["trials"][:3]), "defaults"}
    assert sorted(path.name for path in folder.glob("top/*")) == ["1.yaml", "2.yaml", "3.yaml"]
    second = report["trials"][1]["trial"]
    assert set(report["noise"]["p"]) == {"defaults", second}
    assert all(0 < p <= 1 for p in report["noise"]["p"].values())
    for name in ("report.json", "best.yaml", "trials.png", "ranking.png", "trials.csv"):
        assert (folder / name).stat().st_size > 0
    assert list((folder / "hparams").glob("*/events*"))
    for part in ("trials: 5 completed", "best: trial", "train --config", "as they are"):
        assert part in printed
    assert "epoch 1 " not in printed
    assert "epoch 1 " in (folder / "trials/defaults/output.txt").read_text()


def test_the_best_settings_make_its_value_again(grid, tmp_path):
    folder, _ = grid
    best = report_of(folder)["trials"][0]
    call("train", "--config", folder / "best.yaml", "--run", tmp_path / "run", "--only-train")
    summary = json.loads((tmp_path / "run/training.json").read_text())
    assert summary["validation"] == best["metrics"]
    chosen = yaml.safe_load((folder / "best.yaml").read_text())
    assert chosen["model"]["cell"] == best["changes"]["model.cell"]


def test_the_same_command_trains_nothing_again(grid, reviews, space):
    folder, printed = grid
    before = sorted(folder.glob("trials/*/model.keras"), key=os.fspath)
    times = [path.stat().st_mtime for path in before]
    words = ["--data", reviews, "--run", folder, "--tuner", "grid", "--space", space]
    again = call("tune", *words, "--max-trials", 20, *QUICK)
    assert again.splitlines()[-4:] == printed.splitlines()[-4:]
    assert [path.stat().st_mtime for path in before] == times
    line = call("tune", *words, *QUICK, "--training.momentum=0.5", status=2)
    assert "other settings (training.momentum: 0.9 -> 0.5)" in line
    wider = space.with_name("wider.yaml")
    wider.write_text(space.read_text().replace("[3, 5]", "[3, 5, 7]"))
    line = call("tune", *words[:-1], wider, *QUICK, status=2)
    assert "sweep.space.model.units: 3, 5 -> 3, 5, 7" in line
    assert "--extend goes on with this one" in line


@pytest.mark.gate
def test_a_sweep_goes_on_with_a_wider_space(grid, reviews, space, tmp_path):
    folder = shutil.copytree(grid[0], tmp_path / "sweep")
    wider = tmp_path / "wider.yaml"
    wider.write_text(space.read_text().replace("[3, 5]", "[3, 7]"))
    points = tmp_path / "points.yaml"
    points.write_text("{model.units: 7, model.cell: gru}")
    words = ["--data", reviews, "--run", folder, "--tuner", "random", "--space", wider,
             "--max-trials", 20, "--enqueue", points, *QUICK]  # fmt: skip
    printed = call("tune", *words, "--extend")
    assert "another space: taken over 2 trials that it has, too" in printed
    assert "2 trials of an earlier space left out" in printed
    found = report_of(folder)["trials"]
    assert "chosen-1" in {t["trial"] for t in found}
    assert {(t["changes"]["model.units"], t["changes"]["model.cell"]) for t in found[:-1]} == {
        (3, "gru"), (3, "simple_rnn"), (7, "gru"), (7, "simple_rnn")
    }  # fmt: skip
    wanted = {t["trial"]: t["value"] for t in report_of(grid[0])["trials"]}
    assert all(wanted[t["trial"]] == t["value"] for t in found if t["trial"] in wanted)
    assert "trials: 5 completed" in call("tune", *words)


@pytest.mark.gate
def test_two_workers_of_which_one_is_killed_lose_nothing(grid, reviews, space, tmp_path):
    """Ray begins the trial again, from its checkpoint; the results are those of one worker."""
    folder = tmp_path / "sweep"
    process = warm.Process(
        command("tune", "--data", reviews, "--run", folder, "--tuner", "grid", "--space", space,
                "--max-trials", 20, "--workers", 2, "--device.threads=1", *QUICK),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    killed = None
    while process.poll() is None and killed is None:
        for run in folder.glob("trials/00*/metrics.jsonl"):
            if run.read_text() and not (run.parent / "outcome.json").exists():
                killed = _kill_the_writer(run.parent)
        time.sleep(0.05)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert killed is not None, "no trial was caught in the act"
    found, wanted = outcomes(folder), outcomes(grid[0])
    assert found.keys() == wanted.keys()
    for key, (status, value) in wanted.items():
        assert found[key][0] == status
        assert found[key][1] == pytest.approx(value, abs=0.03)  # threads add up in another order
    events = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    ended = [event["ended"] for event in events if "ended" in event]
    assert len(ended) == len(set(ended)) == 4
    assert json.loads((folder / "trials" / killed / "attempts.json").read_text())["count"] >= 1


def _with_children(process):
    """A process, and all that it and they have started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, rest = path.read_text().rpartition(") ")
            parents[int(path.parent.name)] = int(rest.split()[1])
    found = [process]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _kill_the_writer(run):
    """Kills the process that holds a run's lock, the hard way."""
    lock = os.stat(run / ".lock").st_ino
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{lock}"):
            os.kill(int(fields[4]), signal.SIGKILL)
            return run.name
    return None


@pytest.mark.gate
def test_a_sweep_that_was_killed_goes_on(grid, reviews, space, tmp_path):
    folder = tmp_path / "sweep"
    words = ["--data", reviews, "--run", folder, "--tuner", "grid", "--space", space,
             "--max-trials", 20, *QUICK]  # fmt: skip
    process = warm.Process(
        command("tune", *words), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        if len(list(folder.glob("trials/*/outcome.json"))) >= 2:
            process.kill()
        time.sleep(0.02)
    assert process.wait() == -signal.SIGKILL
    call("tune", *words)
    assert outcomes(folder) == outcomes(grid[0])


@pytest.mark.gate
def test_hyperband_and_pruning(reviews, tmp_path):
    words = ["--data", reviews, *QUICK, "--training.epochs=3"]
    call("tune", *words, "--run", tmp_path / "h", "--tuner", "hyperband", "--max-trials", 5)
    epochs = {t["changes"]["training.epochs"] for t in report_of(tmp_path / "h")["trials"]
              if t["changes"]}  # fmt: skip
    assert epochs == {1, 3}
    call("tune", *words, "--run", tmp_path / "p", "--prune", "--max-trials", 8)
    report = report_of(tmp_path / "p")
    pruned = [trial for trial in report["trials"] if trial["status"] == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial["epochs"] < 3
        assert "the median is" in trial["reason"]
    assert report["importance"]
    assert sum(report["importance"].values()) == pytest.approx(1)
    assert (tmp_path / "p/importance.png").stat().st_size > 0
    line = call(
        "tune", *words, "--run", tmp_path / "x", "--tuner", "hyperband", "--prune", status=2
    )
    assert "hyperband prunes by itself" in line


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.gate)]
)
def test_it_stops_when_told_to(reviews, tmp_path, number):
    folder = tmp_path / "sweep"
    process = warm.Process(
        command("tune", "--data", reviews, "--run", folder, *QUICK, "--training.epochs=400"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    history = folder / "trials/defaults/metrics.jsonl"
    while not (history.exists() and history.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in errors
    assert [path.name for path in (folder / "trials").iterdir()] == ["defaults"]


@pytest.mark.gate
@pytest.mark.timeout(900)
def test_workers_that_are_stopped_leave_checkpoints_and_others_go_on(reviews, tmp_path):
    """Stopped often in the middle of trials, which is no failure; then it goes on with one.

    By a terminal; as Kubernetes does it, which tells the first process; and as Slurm does it, which
    tells all processes of the job, Ray's too.
    """
    folder = tmp_path / "sweep"
    words = ["--data", reviews, "--run", folder, *SMALL, "--training.epochs=90",
             "--training.checkpoint_every=100000", "--max-trials", 1]  # fmt: skip
    reached = 0
    for how in ("terminal", "kubernetes", "slurm"):
        process = warm.Process(
            command("tune", *words, "--workers", 2),
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        history = folder / "trials/defaults/metrics.jsonl"
        while not history.exists() or len(history.read_text().splitlines()) <= reached:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        if how == "slurm":
            for each in _with_children(process.pid):
                os.kill(each, signal.SIGTERM)
        else:
            process.send_signal(signal.SIGINT if how == "terminal" else signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert "SIGTERM received" not in errors
        assert "stopped; the same command continues the sweep" in errors
        assert (folder / "trials/defaults/checkpoint.npz").exists()
        reached = len(history.read_text().splitlines())
    call("tune", *words)
    assert [t["status"] for t in report_of(folder)["trials"]] == ["completed"] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-parameters", -5], "--max-parameters must be 0 or more"),
        (["--max-trials", 0], "--max-trials must be 1 or more"),
        (["--max-hours", 0], "--max-hours must be above 0"),
        (["--seeds", 2, "--folds", 2], "--seeds or --folds, not both"),
        (["--enqueue", "none.yaml"], "none.yaml cannot be read"),
        (["--workers", 0], "--workers must be 1 or more"),
        (["--tuner", "magic"], "magic"),
        (["--space", "none.yaml"], "none.yaml cannot be read"),
        (["--ray-address", "127.0.0.1:1"], "Ray: no cluster answers at 127.0.0.1:1"),
    ],
)
def test_bad_options_are_named(reviews, tmp_path, words, message):
    line = call("tune", "--data", reviews, "--run", tmp_path / "x", *words, *QUICK, status=2)
    assert message in line
    assert not (tmp_path / "x/trials").exists()
