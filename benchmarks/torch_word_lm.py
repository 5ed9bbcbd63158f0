"""The word language model of pytorch/examples (word_language_model), to compare with.

    TORCH_PYTHON -m benchmarks.torch_word_lm --data /path/to/ptb --seconds 600

What its main.py and model.py do for

    python main.py --emsize 650 --nhid 650 --nlayers 2 --dropout 0.5 --tied --epochs 40

(at its commit 77f55b9; the README of 2017 to 2018 says of this line "Test perplexity of 75.96" on
the Penn Treebank): embedding, dropout, nn.LSTM with dropout between its layers, dropout, and a
softmax layer which shares the embedding's weights. Embedding uniform in ±0.1, softmax bias 0,
nn.LSTM's own start (uniform in ±1/sqrt(nhid)). Batches of 20 streams x 35 words, the state handed
on from batch to batch and zero at the start of an epoch; the loss is the mean over the batch's
words, the gradient is clipped to a norm of 0.25, and plain SGD has a rate of 20. After an epoch
whose validation loss is not the best so far, the rate is divided by 4 (training goes on from the
weights as they are).

Data: the lines' words and an ``<eos>`` after each line; the dictionary holds every word of train,
valid and test, in order of appearance. Words that do not fill the streams are left out, there and
here: "tokens" counts the words that were predicted in training.

Validation as there: 10 streams from a zero state, in steps of 35 with the state handed on, the
perplexity exp(sum of -log p / words scored). Of the split's words the first of each stream, which
nothing predicts, and those beyond 10 equal streams are not scored; "valid_tokens" is how many were,
"valid_tokens_left_out" how many were not.

Other than there: validation also within an epoch (it changes neither the rate nor the state nor the
random numbers), a limit of time and one of perplexity, JSON lines for the log, no saved model, no
test at the end. Reading the data, building the model and validation are not part of "seconds".
Nothing but torch and the standard library is imported.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

CLIP = 0.25
EVAL_BATCH = 10


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid, test")
    parser.add_argument("--emsize", type=int, default=650)
    parser.add_argument("--nhid", type=int, default=650, help="the same as emsize: tied")
    parser.add_argument("--nlayers", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--batch-size", type=int, default=20)
    parser.add_argument("--bptt", type=int, default=35)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--lr", type=float, default=20.0)
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of training, at most")
    parser.add_argument(
        "--until", type=float, default=0.0, help="stop at this validation perplexity"
    )
    parser.add_argument("--evaluate-every-batches", type=int, help="also within an epoch")
    parser.add_argument("--seed", type=int, default=1111)
    options = parser.parse_args()
    if options.emsize != options.nhid:
        parser.error("the weights are tied, so --nhid must be equal to --emsize")
    return options


def find(folder: Path, split: str) -> Path | None:
    """The file of a split: train.txt, ptb.train.txt, wiki.train.tokens, each perhaps with .gz."""
    found = sorted(path for path in folder.iterdir() if split in path.name.split("."))
    if len(found) > 1:
        raise SystemExit(f"{folder} holds more than one file for {split!r}: {found}")
    return found[0] if found else None


class Corpus:
    """The splits' words as numbers.

    Args:
        folder: where the files are; test may be missing.
    """

    def __init__(self, folder: Path):
        self.words: dict[str, int] = {}
        self.splits = {}
        for split in ("train", "valid", "test"):
            path = find(folder, split)
            if path is not None:
                self.splits[split] = self._numbers(path)
            elif split != "test":
                raise SystemExit(f"{folder} holds no file for {split!r}")

    def _numbers(self, path: Path) -> torch.Tensor:
        ids = []
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf8") as lines:
            for line in lines:
                for word in [*line.split(), "<eos>"]:
                    ids.append(self.words.setdefault(word, len(self.words)))
        return torch.tensor(ids)


class WordModel(nn.Module):
    """The tied LSTM of model.py."""

    def __init__(self, words: int, size: int, layers: int, dropout: float):
        super().__init__()
        self.size, self.layers = size, layers
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(words, size)
        self.rnn = nn.LSTM(size, size, layers, dropout=dropout)
        self.decoder = nn.Linear(size, words)
        self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, x: torch.Tensor, state: tuple) -> tuple[torch.Tensor, tuple]:
        output, state = self.rnn(self.drop(self.encoder(x)), state)
        return self.decoder(self.drop(output)).flatten(0, 1), state

    def zero_state(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        zeros = torch.zeros(self.layers, batch, self.size)
        return zeros, zeros.clone()


def streams(ids: torch.Tensor, count: int) -> torch.Tensor:
    """time x count: equal parts of the text side by side, without what is left over."""
    length = len(ids) // count
    return ids[: length * count].view(count, length).t().contiguous()


def windows(source: torch.Tensor, bptt: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs, and their next words as one row, of each step through the streams."""
    for start in range(0, len(source) - 1, bptt):
        end = min(start + bptt, len(source) - 1)
        yield source[start:end], source[start + 1 : end + 1].reshape(-1)


@torch.no_grad()
def evaluate(model: WordModel, source: torch.Tensor, bptt: int) -> tuple[float, int]:
    """Mean negative log likelihood of a word, and how many words were scored."""
    model.eval()
    total, count = 0.0, 0
    state = model.zero_state(source.shape[1])
    for x, y in windows(source, bptt):
        output, state = model(x, state)
        total += functional.cross_entropy(output, y, reduction="sum").item()
        count += len(y)
    model.train()
    return total / count, count


def train_step(model: WordModel, x: torch.Tensor, y: torch.Tensor, state: tuple, lr: float):
    """Moves the weights; returns the loss and the state for the next batch."""
    model.zero_grad()
    output, state = model(x, tuple(part.detach() for part in state))
    loss = functional.cross_entropy(output, y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(weight.grad, alpha=-lr)
    return loss.item(), state


def main() -> None:
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    corpus = Corpus(options.data)
    train = streams(corpus.splits["train"], options.batch_size)
    valid = streams(corpus.splits["valid"], EVAL_BATCH)
    model = WordModel(len(corpus.words), options.nhid, options.nlayers, options.dropout)
    about = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "vocabulary": len(corpus.words),
        "weights": sum(weight.numel() for weight in model.parameters()),
        "tokens_per_epoch": train.numel() - options.batch_size,
        "batches_per_epoch": math.ceil((len(train) - 1) / options.bptt),
    }
    print(json.dumps(about), file=sys.stderr, flush=True)

    lr, best = options.lr, math.inf
    tokens, seconds = 0, 0.0
    losses: list[float] = []

    def report(epoch: int, batch: int) -> float:
        loss, scored = evaluate(model, valid, options.bptt)
        line = {
            "epoch": epoch,
            "batch": batch,
            "tokens": tokens,
            "seconds": round(seconds, 2),
            "tokens_per_second": round(tokens / seconds, 1),
            "lr": lr,
            "train_ppl": round(math.exp(min(sum(losses) / len(losses), 700.0)), 3),
            "valid_ppl": round(math.exp(min(loss, 700.0)), 3),
            "valid_tokens": scored,
            "valid_tokens_left_out": len(corpus.splits["valid"]) - scored,
        }
        losses.clear()  # the next line's train_ppl is of the batches since this one
        print(json.dumps(line), flush=True)
        return loss

    for epoch in range(1, options.epochs + 1):
        state = model.zero_state(options.batch_size)
        steps = windows(train, options.bptt)
        for batch in range(1, about["batches_per_epoch"] + 1):
            start = time.perf_counter()
            x, y = next(steps)
            loss, state = train_step(model, x, y, state, lr)
            seconds += time.perf_counter() - start
            tokens += len(y)
            losses.append(loss)
            last = batch == about["batches_per_epoch"]
            late = seconds >= options.seconds
            every = options.evaluate_every_batches
            if not last and (late or (every and batch % every == 0)):
                reached = math.exp(report(epoch, batch)) <= options.until
                if late or reached:
                    return
        valid_loss = report(epoch, batch)
        if valid_loss < best:
            best = valid_loss
        else:
            lr /= 4.0
        if seconds >= options.seconds or math.exp(valid_loss) <= options.until:
            return


if __name__ == "__main__":
    main()
