"""The translation model of kerasseq in plain PyTorch, to compare with.

    TORCH_PYTHON -m benchmarks.torch_translation --batches FILE [--bfloat16] [--passes 2]

It is trained on the batches of a file that ``python -m benchmarks.translation`` writes, so that
both sides see the same ones; a JSON line is printed for each pass over them. With the weights of a
kerasseq model in that file, ``--loss`` prints the loss of each batch without dropout, to compare.

The model, as ``kerasseq.tasks.translation.model.RecurrentTranslator`` with ``attend="after"``: an
embedding of source and target, a bidirectional LSTM over packed sequences, tanh layers from its
final states to the decoder's first, and an LSTM decoder with input feeding,

    h_t = LSTM([E y_{t-1}; o_{t-1}], h_{t-1}),  c_t = attention(h_t, source),
    o_t = tanh([h_t; c_t] W + b),               p(y_t) = softmax(o_t P E^T + b)

with additive, bilinear or dot attention, label smoothing over what can be predicted, variational
dropout of the source's vectors and of the encoder's outputs, plain dropout of the target's vectors
and of o, a clipped gradient, and Adam.

What is done for speed on a CPU: the products of the target's vectors with the cell's kernel are one
product for all steps, and so are the keys; a step has one product for the cell, its other two
inputs side by side; the scores are formed after the loop, of tokens that are no padding; Adam is
the fused one. With ``--bfloat16`` the forward pass runs under autocast, the weights that the loop
reads are cast once before it, and the softmax is float32. Nothing is compiled (torch.compile needs
a C++ compiler, and compiles a loop for every length). Nothing but torch, numpy and the standard
library is imported.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.turns import cores, serve


def locked_dropout(x: Tensor, rate: float) -> Tensor:
    """Drops the same features of ``[batch, time, features]`` at every step."""
    return x * functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), rate) if rate else x


class Attention(nn.Module):
    """Context and weights of one query for each sequence.

    Args:
        kind: additive, bilinear or dot.
        units: of the query.
        features: of the values.
    """

    def __init__(self, kind: str, units: int, features: int):
        super().__init__()
        self.additive = kind == "additive"
        self.keys: nn.Module = nn.Identity()
        if kind != "dot":
            self.keys = nn.Linear(features, units, bias=self.additive)
        if self.additive:
            self.query = nn.Linear(units, units, bias=False)
            self.score = nn.Linear(units, 1, bias=False)

    def weights(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """What the steps read, in the dtype that they compute in."""
        if not self.additive:
            return ()
        return self.query.weight.t().to(dtype), self.score.weight[0].to(dtype)

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, closed: Tensor, weights: tuple
    ) -> Tensor:
        """The context ``[batch, features]``.

        Args:
            query: ``[batch, units]``.
            keys, values: ``[batch, time, ...]``.
            closed: bool ``[batch, time]``, true at padding.
            weights: of :meth:`weights`.
        """
        if self.additive:
            scores = torch.tanh((query @ weights[0])[:, None] + keys) @ weights[1]
        else:
            scores = torch.bmm(keys, query[:, :, None])[:, :, 0]
        shares = torch.softmax(scores.float().masked_fill(closed, -1e30), 1).to(values.dtype)
        return torch.bmm(shares[:, None], values)[:, 0]


class Translator(nn.Module):
    """The whole model.

    Args:
        sizes: what the file of batches says of the model.
    """

    def __init__(self, sizes: dict[str, Any]):
        super().__init__()
        self.sizes = sizes
        width, units = sizes["embedding"], sizes["units"]
        inner = sizes["encoder_units"]
        self.embedding = nn.Embedding(sizes["vocabulary"], width)
        self.output_bias = nn.Parameter(torch.zeros(sizes["vocabulary"]))
        self.projection = nn.Linear(units, width, bias=False) if units != width else nn.Identity()
        self.encoder = nn.LSTM(width, inner, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(4 * inner, 2 * units)
        self.decoder = nn.LSTMCell(width + units, units)
        self.attention = Attention(sizes["attention"], units, 2 * inner)
        self.combine = nn.Linear(units + 2 * inner, units)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        predictable = torch.ones(sizes["vocabulary"], dtype=torch.bool)
        predictable[sizes["input_only"]] = False
        self.register_buffer("predictable", predictable.nonzero()[:, 0], persistent=False)
        self.register_buffer("class_of", predictable.cumsum(0) - 1, persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The summed loss of the target tokens."""
        values, states, closed = self.encode(batch["source"], batch["source_lengths"])
        hidden = self.decode(batch["inputs"], values, states, closed)
        # index_select, since the gradient of indexing is a slow one on CPUs
        hidden = hidden.flatten(0, 1).index_select(0, batch["places"])
        if self.training:
            hidden = functional.dropout(hidden, self.sizes["decoder_dropout"])
        kernel = self.embedding.weight.index_select(0, self.predictable)
        bias = self.output_bias.index_select(0, self.predictable)
        scores = functional.linear(self.projection(hidden), kernel, bias)
        return functional.cross_entropy(
            scores.float(),
            self.class_of[batch["targets"]],
            label_smoothing=self.sizes["label_smoothing"],
            reduction="sum",
        )

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values ``[batch, time, features]``, all final states side by side, where padding is."""
        vectors = self.embedding(source)
        if self.training:
            vectors = locked_dropout(vectors, self.sizes["input_dropout"])
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        outputs, (hidden, cell) = self.encoder(packed)
        values, _ = pad_packed_sequence(outputs, batch_first=True)
        if self.training:
            values = locked_dropout(values, self.sizes["encoder_dropout"])
        states = torch.cat([hidden[0], cell[0], hidden[1], cell[1]], 1)
        return values, states, torch.arange(values.shape[1])[None] >= lengths[:, None]

    def decode(self, inputs: Tensor, values: Tensor, states: Tensor, closed: Tensor) -> Tensor:
        """``o``, ``[time, batch, units]``."""
        width, cell = self.sizes["embedding"], self.decoder
        vectors = self.embedding(inputs.t())
        if self.training:
            vectors = functional.dropout(vectors, self.sizes["decoder_dropout"])
        bias = cell.bias_ih + cell.bias_hh
        projected = functional.linear(vectors, cell.weight_ih[:, :width], bias)
        keys = self.attention.keys(values)
        dtype = projected.dtype
        kernel = torch.cat([cell.weight_ih[:, width:], cell.weight_hh], 1).t().to(dtype)
        combine, combine_bias = self.combine.weight.t().to(dtype), self.combine.bias.to(dtype)
        weights, values, keys = self.attention.weights(dtype), values.to(dtype), keys.to(dtype)
        hidden, memory = torch.tanh(self.bridge(states)).to(dtype).chunk(2, 1)
        fed, outputs = torch.zeros_like(hidden), []
        for now in projected.unbind(0):
            gates = torch.addmm(now, torch.cat([fed, hidden], 1), kernel)
            enter, forget, candidate, out = gates.chunk(4, 1)
            memory = forget.sigmoid() * memory + enter.sigmoid() * candidate.tanh()
            hidden = out.sigmoid() * memory.tanh()
            context = self.attention(hidden, keys, values, closed, weights)
            both = torch.cat([hidden, context], 1)
            fed = torch.addmm(combine_bias, both, combine).tanh()
            outputs.append(fed)
        return torch.stack(outputs)


class Training:
    """A model, its optimiser and its batches.

    Args:
        path: the file of batches.
        bfloat16: whether the forward pass runs under autocast.
    """

    def __init__(self, path: Path, bfloat16: bool):
        with np.load(path) as stored:
            self.sizes = json.loads(str(stored["sizes"]))
            self.batches = list(_batches(stored, self.sizes["batches"]))
            self.model = Translator(self.sizes)
            weights = {
                name.removeprefix("weights/"): torch.from_numpy(stored[name])
                for name in stored.files
                if name.startswith("weights/")
            }
        self.with_weights = bool(weights)
        if weights:
            self.model.load_state_dict(weights)
        self.bfloat16 = bfloat16
        self.tokens = sum(len(batch["targets"]) for batch in self.batches)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=self.sizes["learning_rate"], eps=1e-7, fused=True
        )

    def _precision(self) -> Any:
        return torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else nullcontext()

    def train(self) -> float:
        """A step on each batch; the mean loss of a token."""
        self.model.train()
        total = 0.0
        for batch in self.batches:
            with self._precision():
                loss = self.model(batch)
            self.optimizer.zero_grad()
            (loss / len(batch["targets"])).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.sizes["clip_norm"])
            self.optimizer.step()
            total += loss.item()
        return total / self.tokens

    @torch.no_grad()
    def losses(self) -> list[float]:
        """The mean loss of a token of each batch, without dropout."""
        self.model.eval()
        with self._precision():
            return [self.model(batch).item() / len(batch["targets"]) for batch in self.batches]


def _batches(stored: Any, count: int) -> Iterator[dict[str, Tensor]]:
    """The batches; ``targets`` are only those that are no padding, ``places`` where they are."""
    for i in range(count):
        batch = {
            name: torch.from_numpy(stored[f"{i}/{name}"]).long()
            for name in ("source", "source_lengths", "inputs", "targets", "weights")
        }
        places = batch.pop("weights").t().flatten().nonzero()[:, 0]
        targets = batch["targets"].t().flatten()[places]
        yield {**batch, "targets": targets, "places": places}


def work(spec: str) -> None:
    """A contestant of benchmarks/turns.py: FILE,PRECISION."""
    path, precision = spec.rsplit(",", 1)
    training = Training(Path(path), precision == "bfloat16")
    serve({"train": training.train}, tokens=training.tokens, plan=f"torch {torch.__version__}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=Path, help="written by benchmarks.translation")
    parser.add_argument("--bfloat16", action="store_true", help="autocast")
    parser.add_argument("--passes", type=int, default=2, help="over the batches")
    parser.add_argument("--loss", action="store_true", help="of the weights in the file, no more")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(cores())
    torch.manual_seed(1)
    if options.worker:
        work(options.worker)
        return
    if not options.batches:
        parser.error("--batches is needed")
    training = Training(options.batches, options.bfloat16)
    if options.loss:
        if not training.with_weights:
            sys.exit(f"{options.batches} holds no weights")
        for loss in training.losses():
            print(json.dumps({"loss": loss}))
        return
    for number in range(1, options.passes + 1):
        start = time.perf_counter()
        loss = training.train()
        seconds = time.perf_counter() - start
        line = {
            "pass": number,
            "seconds": round(seconds, 3),
            "tokens": training.tokens,
            "tokens_per_second": round(training.tokens / seconds, 1),
            "loss": round(loss, 5),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
