"""A task in a package of its own, installed beside kerasseq: it has all that ours have."""

import csv
import functools
import json
import os
import random
import subprocess
import sys
import urllib.request
import zipfile

import pytest

from tests import warm
from tests.serve.process import Process
from tests.tasks import conftest

TASK = '''\
"""Support tickets to queues."""

from dataclasses import dataclass

from kerasseq.tasks.sentiment.settings import SentimentSettings
from kerasseq.tasks.sentiment.task import Sentiment
from kerasseq.tuning.space import Choice


@dataclass(frozen=True)
class TicketSettings(SentimentSettings):
    """What is trained, on what."""

    label_column: str = "queue"
    """Column of the queues."""


class Tickets(Sentiment):
    """The same model for other people's texts."""

    name = "tickets"
    title = "Queues of support tickets"
    label = "Tickets"
    settings_class = TicketSettings
    search_space = {"model.units": Choice((2, 3))}
'''
MAIN = """\
from kerasseq.app.cli import main
from tickets.task import Tickets

main(Tickets)
"""
FILES = {
    "tickets/__init__.py": "",
    "tickets/task.py": TASK,
    "tickets/__main__.py": MAIN,
    "tickets-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tickets\nVersion: 1.0\n",
    "tickets-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nTag: py3-none-any\n"
    "Root-Is-Purelib: true\n",
    "tickets-1.0.dist-info/entry_points.txt": "[kerasseq.tasks]\ntickets = tickets.task:Tickets\n",
    "tickets-1.0.dist-info/RECORD": "",
}
SMALL = [
    "--model.embedding=8", "--model.units=4", "--text.ngrams=1", "--text.ngram_rows=50",
    "--batches.size=16", "--text.min_count=1", "--training.learning_rate=0.1",
    "--training.average=0.9", "--training.epochs=3",
]  # fmt: skip
QUEUES = {"billing": ["invoice", "refund", "payment"], "shipping": ["parcel", "courier", "late"]}

SESSION = """
import functools, json, sys
from kerasseq.app import run as runs
from kerasseq.app.cli import run
from kerasseq.app.registry import find_task
runs.load_run = functools.cache(runs.load_run)
task = find_task("tickets")
for words in json.load(sys.stdin):
    print("$", *words[:1], flush=True)
    status = run(task, words, "python -m tickets")
    print("status", status, flush=True)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where pip has installed the package."""
    folder = tmp_path_factory.mktemp("package")
    wheel = folder / "tickets-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", site, wheel], check=True, capture_output=True)
    return site


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder with a table, and no part of kerasseq."""
    folder = tmp_path_factory.mktemp("user")
    draw = random.Random(1)
    with (folder / "tickets.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["text", "queue"])
        for number in range(160):
            queue = ("billing", "shipping")[number % 2]
            words = [*draw.choices(["please", "help", "my", "is", "now"], k=6)]
            words.insert(draw.randrange(6), draw.choice(QUEUES[queue]))
            rows.writerow([" ".join(words) + f" {number}", queue])
    return folder


@pytest.fixture(scope="module")
def python(site, folder):
    """Runs Python in that folder, with what is installed; ``start`` says how it is started."""

    def run(*words, given=None, status=0, start=warm.run):
        places = os.pathsep.join([str(site), *sys.path])
        done = start(words, input=given, cwd=folder, env={**os.environ, "PYTHONPATH": places})
        assert done.returncode == status, done.stderr + done.stdout
        return done.stdout if status == 0 else done.stderr

    return run


@pytest.fixture(scope="module")
def trained(python):
    """What ``train`` printed."""
    return python("-m", "tickets", "train", "--data", "tickets.csv", *SMALL)


def test_usage_and_errors_show_what_was_typed(python):
    real = functools.partial(python, start=conftest.python)
    assert "usage: python -m tickets {train," in real("-m", "tickets", "--help")
    assert "usage: python -m tickets train [options]" in real("-m", "tickets", "train", "--help")
    line = real("-m", "tickets", "train", "--model.unitz", "3", status=2)
    assert line == (
        "python -m tickets: unknown setting or option --model.unitz; did you mean --model.units?\n"
    )
    line = python("-m", "kerasseq", "tickets", "predict", "x", "--run", "none", status=2)
    assert line == "python -m kerasseq tickets: none holds no run: train one first\n"
    usage = real("-m", "kerasseq", "tickets", "predict", "--help")
    assert "usage: python -m kerasseq tickets predict [options] [texts ...]" in usage
    assert "(default: runs/tickets)" in usage
    assert "Queues of support tickets" in real("-m", "kerasseq", "--help")


def test_it_is_trained_scored_and_exported(trained, folder):
    assert trained.startswith("Queues of support tickets: training in runs/tickets/\n")
    assert "exported to saved_models/tickets/1/" in trained
    report = json.loads((folder / "runs/tickets/evaluation/test.json").read_text())
    assert report["accuracy"] >= 0.9
    samples = json.loads((folder / "runs/tickets/samples.json").read_text())
    examples = trained.partition("\nexamples:\n")[2].partition("\n\n")[0]
    assert [line.split("  ")[-1] for line in examples.splitlines()] == samples[:3]


@pytest.mark.gate
def test_it_has_every_verb_a_sweep_and_every_format(trained, python, folder):
    settings = ["--data", "tickets.csv", *SMALL]
    session = [
        ["evaluate", "--split", "validation"],
        ["evaluate", "--on", "tickets.csv"],
        ["predict", "a refund please", "--json"],
        ["predict", "the parcel is late", "--saved-model", "saved_models/tickets/1", "--json"],
        ["describe", *settings],
        ["export", "--format", "litert"],
        ["export", "--format", "onnx"],
        ["tune", *settings, "--training.epochs=1", "--max-trials", "2", "--tuner", "grid"],
    ]
    said = python("-c", SESSION, given=json.dumps(session))
    parts = said.split("$ ")[1:]
    for part in parts:
        assert part.endswith("status 0\n"), part
    evaluated, other, billing, shipping, described, litert, onnx, tuned = parts
    assert "validation split" in evaluated
    assert "160 examples" in other
    assert '"label": "billing"' in billing
    assert '"label": "shipping"' in shipping
    assert "label_column: queue" in described
    assert "exported to saved_models/tickets-litert/1/" in litert
    assert "exported to saved_models/tickets-onnx/1/" in onnx
    assert "best settings: tickets train --config runs/tickets-sweep/best.yaml" in tuned
    for version in ("tickets/1", "tickets-litert/1", "tickets-onnx/1"):
        manifest = json.loads((folder / "saved_models" / version / "manifest.json").read_text())
        assert (manifest["task"], manifest["label"]) == ("tickets", "Tickets")


def test_it_is_served_under_its_own_name(trained, folder):
    server = Process(folder / "saved_models").ready()
    try:
        with urllib.request.urlopen(f"{server.address}/models") as answer:
            (model,) = [m for m in json.load(answer)["shown"] if m["name"] == "tickets"]
        assert (model["label"], model["classes"]) == ("Tickets", ["billing", "shipping"])
        assert "label" in model["outputs"]  # by which the page knows its panel
        body = json.dumps({"instances": ["my invoice is wrong"]}).encode()
        address = f"{server.address}/v1/models/tickets:predict"
        with urllib.request.urlopen(address, body) as answer:
            assert json.load(answer)["predictions"][0]["label"] == "billing"
    finally:
        server.end()
