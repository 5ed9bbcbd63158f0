"""A run that was killed ends as one that was not."""

import functools
import json
import os
import signal
import subprocess
import time

import keras
import numpy as np
import pytest

import kerasseq.layers  # noqa: F401 (registers the layers of a saved model)
from tests import warm
from tests.tasks.conftest import ROOT, SMALL, call, command, python, spawn

OPTIONS = [
    *SMALL, "--only-train", "--device.deterministic=true", "--training.checkpoint_every=4",
    "--training.epochs=3", "--model.word_dropout=0.2", "--model.layer_dropout=0.2",
    "--model.layers=2", "--model.bidirectional=false", "--text.ngrams=0",
]  # fmt: skip


# what is written beyond this many bytes fails, as on a full disk
ON_A_FULL_DISK = """
import resource, runpy, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
runpy.run_module("tasks.sentiment", run_name="__main__", alter_sys=True)
"""


def weights(run):
    return keras.models.load_model(run / "model.keras", compile=False).get_weights()


def metrics(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def interrupt(run, reviews, number, after):
    """Starts a run, sends a signal once it has made some steps, and returns its exit status."""
    process = warm.Process(
        command("train", "--data", reviews, "--run", run, *OPTIONS),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if step_of(run) >= after:
            process.send_signal(number)
            break
        time.sleep(0.002)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def step_of(run):
    try:
        with np.load(run / "checkpoint.npz") as stored:
            return json.loads(str(stored["state"]))["step"]
    except (FileNotFoundError, KeyError):
        return 0


@pytest.fixture(scope="module")
def straight(tmp_path_factory, reviews):
    run = tmp_path_factory.mktemp("straight") / "run"
    spawn("train", "--data", reviews, "--run", run, *OPTIONS)
    return run


@pytest.mark.gate
def test_killed_in_the_middle_of_an_epoch(straight, reviews, tmp_path):
    run = tmp_path / "run"
    status, _ = interrupt(run, reviews, signal.SIGKILL, after=24)
    assert status == -signal.SIGKILL
    step = step_of(run)
    assert step >= 24
    assert step % 21  # 21 steps an epoch
    assert not (run / "training.json").exists()
    assert "is not trained to the end" in call("predict", "a", "--run", run, status=2)
    anew = functools.partial(python, env={**os.environ, "PYTHONHASHSEED": "1"})  # another one
    printed = spawn("train", "--data", reviews, "--run", run, *OPTIONS, start=anew)
    assert f"resumed at step {step} of 63" in printed
    same(run, straight)


def same(run, straight):
    for ours, theirs in zip(weights(run), weights(straight), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert metrics(run) == metrics(straight)


@pytest.mark.gate
def test_a_full_disk_after_ctrl_c_leaves_the_checkpoint(straight, reviews, tmp_path):
    run = tmp_path / "run"
    status, errors = interrupt(run, reviews, signal.SIGINT, after=8)
    assert status == 130
    assert "the same command continues from there" in errors
    step, size = step_of(run), os.path.getsize(run / "checkpoint.npz")
    assert 8 <= step < 63
    done = warm.run(["-c", ON_A_FULL_DISK.format(size // 2), "train", "--data", reviews, "--run",
                     run, *OPTIONS], cwd=ROOT)  # fmt: skip
    assert done.returncode == 2
    assert "could not be written" in done.stderr
    assert "previous one is intact" in done.stderr
    assert done.stderr.count("\n") == 1
    assert step_of(run) == step
    assert not list(run.glob(".*.tmp"))
    assert f"resumed at step {step} of 63" in spawn(
        "train", "--data", reviews, "--run", run, *OPTIONS
    )
    same(run, straight)


def test_a_run_in_use_is_refused(straight):
    import fcntl

    with (straight / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        settings = json.loads((straight / "run.json").read_text())["settings"]
        line = call("train", "--data", settings["data"], "--run", straight, *OPTIONS, status=2)
    assert "is in use by another process" in line
