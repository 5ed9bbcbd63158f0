"""A textbook's character-level language model in PyTorch, to compare with.

    TORCH_PYTHON -m benchmarks.torch_char_lm --text 1268-0.txt.gz --seconds 600 \\
        --start "THE MYSTERIOUS ISLAND" --end "End of the Project Gutenberg"

The model of Raschka, Liu and Mirjalili, "Machine Learning with PyTorch and Scikit-Learn", chapter
15, project two (rasbt/machine-learning-book, ch15/ch15_part3.py): nn.Embedding(characters, 256),
nn.LSTM(256, 512, batch_first=True), nn.Linear(512, characters), all with torch's own start; Adam
with a rate of 0.005, no clipping, no dropout. Each of the 10,000 steps takes 64 different windows
of 40 characters and their next ones at random, from all that the training text has, and starts from
a zero state; the gradient is that of the loss summed over the 40 positions (mean over the 64), the
reported loss is the mean of both. The characters are those of the whole text, sorted.

Other than there:

- One nn.LSTM call over the 40 positions in place of a Python loop, and windows cut from the text in
  place of a DataLoader shuffled anew in each step. The numbers are the same, the step is faster,
  which is in the reference's favour.
- The book trains on the whole text and validates on nothing. Here the model trains on the text
  before int(n * (1 - test - validation)) and is validated on the text from there to
  int(n * (1 - test)); the rest is never looked at but for its set of characters.

The text is read as UTF-8 with newlines translated, and cut, as in the book, from the first --start
to the first --end. A line of JSON is printed at each look, losses in nats a character:

- "train_loss": the mean over the steps since the line before, each before its update;
- "valid_loss": one pass over the validation text with the state carried all the way (the kinder
  one, since nothing but the text's beginning is predicted from a short context);
- "valid_loss_windows": the same characters in windows of 40, each from a zero state, as in training
  (the last may be shorter).

Both leave out the first validation character, which nothing predicts; "valid_characters" is how
many were scored. Reading, building the model and validation are not part of "seconds". Nothing but
torch and the standard library is imported.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

EMBEDDING, UNITS = 256, 512
BATCH, WINDOW = 64, 40
RATE = 0.005


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True, help="UTF-8, plain or .gz")
    parser.add_argument("--start", help="the text begins with the first of these")
    parser.add_argument("--end", help="the text ends before the first of these")
    parser.add_argument("--validation", type=float, default=0.05, help="share of the text")
    parser.add_argument("--test", type=float, default=0.1, help="share of the text, at its end")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--evaluate-every", type=int, default=500)
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of training, at most")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def read(path: Path, start: str | None, end: str | None) -> str:
    """The text from the first ``start`` to the first ``end``."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf8") as file:
        text = file.read()
    for mark in (start, end):
        if mark and mark not in text:
            raise SystemExit(f"{path} does not hold {mark!r}")
    return text[text.index(start) if start else 0 : text.index(end) if end else len(text)]


class CharacterModel(nn.Module):
    """The book's RNN, over all positions at once."""

    def __init__(self, characters: int):
        super().__init__()
        self.embedding = nn.Embedding(characters, EMBEDDING)
        self.rnn = nn.LSTM(EMBEDDING, UNITS, batch_first=True)
        self.fc = nn.Linear(UNITS, characters)

    def forward(self, x: torch.Tensor, state: tuple | None = None) -> tuple[torch.Tensor, tuple]:
        output, state = self.rnn(self.embedding(x), state)  # a state of None is one of zeros
        return self.fc(output).flatten(0, 1), state


@torch.no_grad()
def carried(model: CharacterModel, ids: torch.Tensor, piece: int = 2000) -> float:
    """Nats a character in one pass, the state carried from the first to the last."""
    total, state = 0.0, None
    for start in range(0, len(ids) - 1, piece):
        end = min(start + piece, len(ids) - 1)
        output, state = model(ids[None, start:end], state)
        target = ids[start + 1 : end + 1]
        total += functional.cross_entropy(output, target, reduction="sum").item()
    return total / (len(ids) - 1)


@torch.no_grad()
def windowed(model: CharacterModel, ids: torch.Tensor, batch: int = 256) -> float:
    """Nats a character in windows side by side, each from a zero state."""
    whole = (len(ids) - 1) // WINDOW * WINDOW
    x, y = ids[:whole].view(-1, WINDOW), ids[1 : whole + 1].view(-1, WINDOW)
    parts = list(zip(x.split(batch), y.split(batch), strict=True))
    if whole < len(ids) - 1:
        parts.append((ids[None, whole:-1], ids[None, whole + 1 :]))
    total = 0.0
    for x, y in parts:
        total += functional.cross_entropy(model(x)[0], y.reshape(-1), reduction="sum").item()
    return total / (len(ids) - 1)


def main() -> None:
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    text = read(options.text, options.start, options.end)
    characters = sorted(set(text))
    number = {character: i for i, character in enumerate(characters)}
    ids = torch.tensor([number[character] for character in text])
    train = ids[: int(len(ids) * (1 - options.test - options.validation))]
    valid = ids[len(train) : int(len(ids) * (1 - options.test))]
    windows = train.unfold(0, WINDOW + 1, 1)  # a view: every window and the character after it

    torch.manual_seed(options.seed)
    draw = random.Random(options.seed)
    model = CharacterModel(len(characters))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    about = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "characters": len(characters),
        "weights": sum(weight.numel() for weight in model.parameters()),
        "text": {"all": len(ids), "train": len(train), "valid": len(valid)},
    }
    print(json.dumps(about), file=sys.stderr, flush=True)

    seconds = 0.0
    losses: list[float] = []
    for step in range(1, options.steps + 1):
        start = time.perf_counter()
        batch = windows[torch.tensor(draw.sample(range(len(windows)), BATCH))]
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch[:, :-1])[0], batch[:, 1:].reshape(-1))
        (WINDOW * loss).backward()
        optimizer.step()
        losses.append(loss.item())
        seconds += time.perf_counter() - start
        over = step == options.steps or seconds >= options.seconds
        if over or step % options.evaluate_every == 0:
            line = {
                "steps": step,
                "seconds": round(seconds, 2),
                "tokens_per_second": round(step * BATCH * WINDOW / seconds, 1),
                "train_loss": round(sum(losses) / len(losses), 4),
                "valid_loss": round(carried(model, valid), 4),
                "valid_loss_windows": round(windowed(model, valid), 4),
                "valid_characters": len(valid) - 1,
            }
            losses.clear()
            print(json.dumps(line), flush=True)
        if over:
            return


if __name__ == "__main__":
    main()
