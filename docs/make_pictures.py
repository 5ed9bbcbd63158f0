"""Records the README's picture: real commands on made-up tickets, as a terminal shows them.

    python docs/make_pictures.py

It takes a minute, needs no data, and writes docs/pictures/terminal.svg.
"""

from __future__ import annotations

import csv
import os
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
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


def main() -> None:
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
    PICTURES.mkdir(exist_ok=True)
    picture = console.export_svg(title="kerasseq")
    (PICTURES / "terminal.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
