"""Beam search of JoeyNMT's recurrent model, to compare with.

    JOEY_PYTHON -m benchmarks.joey_translation --file FILE [--batch 64]

    python3.11 -m venv joey && joey/bin/pip install torch --index-url \
        https://download.pytorch.org/whl/cpu && joey/bin/pip install joeynmt importlib_metadata

The file, written by ``python -m benchmarks.translation beam``, holds the ids of the test sentences
and the weights of the kerasseq model that was trained for them. How many steps a search takes
depends on the weights, so JoeyNMT gets these very weights and computes the same function: both
sides translate the same sentences into nearly the same translations and end where they do, with
nothing forced. That both translate equally well is measured beside the speed.

All of JoeyNMT's own code that the search runs is used as it is (``joeynmt.search.search`` on a
``joeynmt.batch.Batch``, its RecurrentEncoder, RecurrentDecoder and attention, version 2.3.0), with
its length penalty of Wu et al. and its own limit of 1.5 times the batch's longest source, as its
``translate`` runs it (which sorts the sentences of a batch by length; here all sentences are sorted
first, which is faster for both). Three things that it lacks are added, so that the function is the
same, and none of them costs it much: the keys and the scores have a bias, and the decoder's first
``h`` and ``c`` come from the encoder's last ``h`` and ``c`` by a layer each, once a sentence. The
factors of the softmax's matrix are multiplied beforehand: its scores are one product, as ever.
What is measured goes from ids to ids here; kerasseq's SavedModel goes from texts to texts.

Only LSTMs of one layer with additive or bilinear attention; nothing but joeynmt, torch, numpy and
the standard library is imported.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from joeynmt.batch import Batch
from joeynmt.decoders import RecurrentDecoder
from joeynmt.embeddings import Embeddings
from joeynmt.encoders import RecurrentEncoder
from joeynmt.model import Model
from joeynmt.search import search
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.turns import cores, serve

ATTENTIONS = {"additive": "bahdanau", "bilinear": "luong"}


class Encoder(RecurrentEncoder):
    """Theirs, with the final cells beside the final outputs."""

    def forward(self, src_embed: Tensor, src_length: Tensor, mask: Tensor, **kwargs: Any) -> tuple:
        packed = pack_padded_sequence(src_embed, src_length.cpu(), batch_first=True)
        outputs, (hidden, cell) = self.rnn(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=src_embed.shape[1])
        return outputs, torch.cat([hidden[0], cell[0], hidden[1], cell[1]], 1)


class Decoder(RecurrentDecoder):
    """Theirs, with a first state that reads those of :class:`Encoder`."""

    def _init_hidden(self, encoder_final: Tensor | None = None) -> tuple[Tensor, Tensor]:
        states = torch.tanh(self.bridge_layer(encoder_final)).unsqueeze(0)
        hidden, cell = states.chunk(2, 2)
        return hidden.contiguous(), cell.contiguous()


def build(sizes: dict[str, Any], weights: dict[str, Tensor]) -> Model:
    """JoeyNMT's model with kerasseq's weights, named as benchmarks/torch_translation.py does."""
    width, units, inner = sizes["embedding"], sizes["units"], sizes["encoder_units"]
    if sizes["attention"] not in ATTENTIONS:
        raise SystemExit(f"no attention {sizes['attention']} in JoeyNMT: {', '.join(ATTENTIONS)}")
    ids = sizes["ids"]
    vocabulary = SimpleNamespace(  # all that a search reads of it
        pad_index=ids["pad"], bos_index=ids["bos"], eos_index=ids["eos"], unk_index=ids["unk"],
        sep_index=None, specials=[], lang_tags=[], lookup=None,
    )  # fmt: skip
    embedding = Embeddings(width, vocab_size=sizes["vocabulary"], padding_idx=ids["pad"])
    encoder = Encoder("lstm", inner, width, bidirectional=True)
    decoder = Decoder(
        "lstm", width, units, encoder, ATTENTIONS[sizes["attention"]],
        vocab_size=sizes["vocabulary"], init_hidden="bridge", input_feeding=True,
    )  # fmt: skip
    decoder.bridge_layer = nn.Linear(4 * inner, 2 * units)
    decoder.output_layer.bias = nn.Parameter(torch.zeros(sizes["vocabulary"]))
    named = {"bridge": decoder.bridge_layer, "combine": decoder.att_vector_layer}
    attention = decoder.attention
    named["attention.keys"] = attention.key_layer
    if sizes["attention"] == "additive":
        attention.key_layer.bias = nn.Parameter(torch.zeros(units))
        named |= {
            "attention.query": attention.query_layer,
            "attention.score": attention.energy_layer,
        }
    model = Model(encoder, decoder, embedding, embedding, vocabulary, vocabulary)

    def part(prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): value
            for name, value in weights.items()
            if name.startswith(prefix)
        }

    with torch.no_grad():
        embedding.lut.weight.copy_(weights["embedding.weight"])
        encoder.rnn.load_state_dict(part("encoder."))
        cell = {f"{name}_l0": value for name, value in part("decoder.").items()}
        decoder.rnn.load_state_dict(cell)
        for name, layer in named.items():
            layer.load_state_dict(part(f"{name}."))
        scores = weights["embedding.weight"]
        if "projection.weight" in weights:
            scores = scores @ weights["projection.weight"]
        decoder.output_layer.weight.copy_(scores)
        decoder.output_layer.bias.copy_(weights["output_bias"])
        decoder.output_layer.bias[sizes["input_only"]] = -1e30
    return model.eval()


class Translating:
    """A model and what it translates.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        with np.load(path) as stored:
            self.sizes = json.loads(str(stored["sizes"]))
            self.source = torch.from_numpy(stored["source"]).long()
            self.lengths = torch.from_numpy(stored["source_lengths"]).long()
            weights = {
                name.removeprefix("weights/"): torch.from_numpy(stored[name])
                for name in stored.files
                if name.startswith("weights/")
            }
        self.model = build(self.sizes, weights)
        self.steps = 0
        self.model.decoder.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.steps += 1

    def translate(self, size: int) -> list[list[int]]:
        """Ids of each translation, EOS last if it ended by itself, in the file's order."""
        found: list[list[int]] = []
        for batch in self._batches(size):
            reverse = batch.sort_by_src_length()
            outputs, _, _ = search(
                self.model, batch, max_output_length=-1, beam_size=self.sizes["beam"],
                beam_alpha=self.sizes["alpha"],
            )  # fmt: skip
            found += [self._ended(row) for row in outputs[reverse].tolist()]
        return found

    def _ended(self, ids: list[int]) -> list[int]:
        end = self.sizes["ids"]["eos"]
        if end in ids:
            return ids[: ids.index(end) + 1]
        return [i for i in ids if i != self.sizes["ids"]["pad"]]

    def _batches(self, size: int) -> Iterator[Batch]:
        """The file's sentences are sorted by length already."""
        for start in range(0, len(self.source), size):
            lengths = self.lengths[start : start + size]
            yield Batch(
                self.source[start : start + size, : lengths.max()], lengths, None, None, None,
                torch.arange(start, start + len(lengths)), torch.device("cpu"),
                self.sizes["ids"]["pad"], self.sizes["ids"]["eos"], is_train=False,
            )  # fmt: skip


def work(spec: str) -> None:
    """A contestant of benchmarks/turns.py: FILE,SIZE,SIZE,... with a task a batch size."""
    path, *sizes = spec.split(",")
    translating = Translating(Path(path))
    outputs = translating.translate(int(sizes[0]))
    steps = translating.steps
    tasks = {size: lambda size=size: translating.translate(int(size)) for size in sizes}
    serve(tasks, outputs=outputs, steps=steps, plan=f"torch {torch.__version__}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, help="written by benchmarks.translation")
    parser.add_argument("--batch", type=int, default=64, help="sentences at a time")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(cores())
    if options.worker:
        work(options.worker)
        return
    if not options.file:
        parser.error("--file is needed")
    translating = Translating(options.file)
    start = time.perf_counter()
    found = translating.translate(options.batch)
    seconds = time.perf_counter() - start
    line = {
        "sentences": len(found),
        "seconds": round(seconds, 3),
        "sentences_per_second": round(len(found) / seconds, 2),
        "steps": translating.steps,
        "tokens": sum(map(len, found)),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
