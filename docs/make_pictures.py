"""Makes the pictures of README and docs.

    python docs/make_pictures.py [terminal] [few-texts]

``terminal`` runs real commands on made-up tickets and records them as a terminal shows them; it
takes a minute and needs no data. ``few-texts`` draws what benchmarks/results/ holds.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean

from matplotlib.figure import Figure
from rich.console import Console
from rich.text import Text

from kerasseq import plots

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"
SMALL = {"imdb": "IMDB", "sst2": "SST-2", "brown": "Brown, 15 categories"}
PICTURES = Path(__file__).parent / "pictures"
WIDTH = 108

COMMANDS = (
    "kerasseq sentiment train --data tickets.csv --label_column queue --training.epochs 12 "
    "--run runs/tickets",
    'kerasseq sentiment predict --run runs/tickets "The courier never came" "I was charged twice"',
)
SHOWN = {  # of a command's output, the lines with one of these; None shows all of them
    "train": ("train:", "epoch 1 ", "epoch 2 ", "epoch 3 ", "epoch 12 ", "  accuracy", "class",
              "shipping ", "billing ", "account ", "exported"),
    "predict": None,
}  # fmt: skip

OPENINGS = ("Hello,", "Dear all,", "Once more:", "Please help.", "Good morning.", "")
QUEUES = {
    "shipping": ("my {thing} has not arrived", "the courier left the {thing} in the rain",
                 "the {thing} came late and broken", "where is the {thing} that I bought"),
    "billing": ("I was charged twice for the {thing}", "the invoice for the {thing} is wrong",
                "please refund the {thing}", "my card was refused when I paid for the {thing}"),
    "account": ("I cannot log in to see the {thing}", "the password link does not work",
                "please change my address before the {thing} is sent", "delete my account"),
}  # fmt: skip
THINGS = ("parcel", "lamp", "bicycle", "order", "teapot", "chair", "radio", "blanket")
ENDINGS = ("Thanks.", "This is the third time I write.", "What now?", "I am not amused.", "")


def write_tickets(path: Path, count: int = 1200) -> None:
    """A table of tickets, each with its queue; one in twenty is in a wrong one, as in real life."""
    draw = random.Random(3)
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["text", "queue"])
        for _ in range(count):
            queue = draw.choice(list(QUEUES))
            said = draw.choice(QUEUES[queue]).format(thing=draw.choice(THINGS))
            text = f"{draw.choice(OPENINGS)} {said}. {draw.choice(ENDINGS)}".strip()
            rows.writerow([text, draw.choice(list(QUEUES)) if draw.random() < 0.05 else queue])


def output_of(command: str, folder: Path) -> list[str]:
    """What a command prints in a folder."""
    words = [sys.executable, "-m", *shlex.split(command)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout.splitlines()


def shown(lines: list[str], wanted: tuple[str, ...] | None) -> list[str]:
    """The lines that are wanted; three dots stand for those that are left out between them."""
    kept: list[str] = []
    for line in lines:
        if wanted is None or any(word in line for word in wanted):
            kept.append(line if len(line) <= WIDTH else line[: WIDTH - 3] + "...")
        elif kept[-1:] != ["..."]:
            kept.append("...")
    return kept


LINES = (("kerasseq, defaults", "tab:blue"), ("TF-IDF + logistic regression", "tab:orange"))


def few_texts() -> None:
    """Draws accuracy over the number of labelled texts, from the records."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, len(SMALL))
    for axis, (name, title) in zip(axes, SMALL.items(), strict=True):
        result = json.loads((RESULTS / f"small-data-{name}.json").read_text(encoding="utf-8"))
        found = result["reference"]["each draw"]
        counts = [int(count) for count in found]
        for place, (label, colour) in enumerate(LINES):
            means = [fmean(pair[place] for pair in pairs) for pairs in found.values()]
            axis.plot(counts, means, "o-", color=colour, label=label)
            for count, pairs in zip(counts, found.values(), strict=True):
                axis.plot(
                    [count] * len(pairs), [p[place] for p in pairs], ".", color=colour, alpha=0.4
                )
        if len(counts) > 1:
            axis.set_xscale("log")
            axis.set_xticks(counts, [f"{count:,}" for count in counts])
            axis.minorticks_off()
        else:
            axis.set_xticks(counts, [f"{count:,}" for count in counts])
        axis.set_title(title)
        axis.set_xlabel("labelled texts")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy")
    axes[0].legend(fontsize=8)
    plots.save(figure, PICTURES / "few-texts.png")


def terminal() -> None:
    """Runs the commands and draws what they printed."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tickets(folder / "tickets.csv")
        for number, command in enumerate(COMMANDS):
            if number:
                console.print()
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            for line in shown(output_of(command, folder), SHOWN[shlex.split(command)[2]]):
                console.print(Text(line, style="dim" if line == "..." else ""))
    console.print()  # a font may be larger than the picture's last line
    picture = console.export_svg(title="kerasseq")
    (PICTURES / "terminal.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    made = {"terminal": terminal, "few-texts": few_texts}
    for name in sys.argv[1:] or made:
        made[name]()
