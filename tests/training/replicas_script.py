"""Trains a small model and writes what came of it; tests run it in processes of their own."""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from kerasseq import layers
from kerasseq.data.batches import pad
from kerasseq.errors import UserError
from kerasseq.layers.losses import token_nll
from kerasseq.tasks.language_model.loss import LanguageModelLoss
from kerasseq.tasks.language_model.model import RecurrentLanguageModel
from kerasseq.tasks.language_model.streams import StreamBatches, StreamSettings
from kerasseq.training import devices
from kerasseq.training.replicas import Replicas
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.settings import TrainingSettings
from kerasseq.training.trainer import Trainer

OPTIONS = {"epochs": 3, "average": 0.9, "learning_rate": 0.02, "clip_norm": 0.5,
           "checkpoint_every": 4, "replica_rate": "none", "optimizer": "lazy_adam"}  # fmt: skip


class Rows:
    """Batches of labelled sequences of different lengths.

    Args:
        count: batches an epoch.
        size: sequences in each.
        together: how many of them make one batch.
        sizes: of each batch, in place of ``size``.
    """

    def __init__(self, count, size, together=1, sizes=None):
        random = np.random.default_rng(3)
        self._rows = []
        for rows in sizes or [size] * count:
            texts = [random.integers(2, 12, random.integers(1, 7)) for _ in range(rows)]
            self._rows.append((texts, random.integers(0, 2, rows)))
        self._groups = [
            list(range(count))[start : start + together] for start in range(0, count, together)
        ]

    def epoch(self, number):
        return self._groups

    def fetch(self, item):
        texts = [text for i in item for text in self._rows[i][0]]
        ids, lengths = pad(texts)
        labels = np.concatenate([self._rows[i][1] for i in item]).astype(np.int32)
        return {"ids": ids, "lengths": lengths, "label": labels}

    def tokens(self, item):
        return sum(len(text) for i in item for text in self._rows[i][0])

    def learning_rate_scale(self, item):
        return 1.0


def small_model(recurrent=True):
    ids = keras.Input([None], dtype="int32")
    mask = keras.ops.not_equal(ids, 0)
    x = keras.layers.Embedding(12, 5)(ids)
    if recurrent:
        x = layers.RecurrentStack(6, bidirectional=True)(x, mask=mask)
    x = layers.MaxPooling()(x, mask=mask)
    x = keras.layers.Dropout(1e-9, name="dropout")(x)  # drops nothing, and has a random state
    return keras.Model(ids, keras.layers.Dense(2, dtype="float32")(x))


def summed(model, batch, training=True):
    each = token_nll(batch["label"], model(batch["ids"], training=training))
    return keras.ops.sum(each), keras.ops.cast(keras.ops.size(each), "float32")


class Result(NamedTuple):
    losses: list
    weights: list
    steps: int


def train_small(path, rows, settings, run=None, recurrent=True):
    """Trains the small model on one device."""
    keras.utils.set_random_seed(1)
    model, run = small_model(recurrent), run or RunFolder(path)
    with run.open("test", {}):
        trainer = Trainer(
            model, summed, rows, lambda: {"loss": 9.0 - trainer.step}, {"loss": "min"},
            TrainingSettings(**{"monitor": "loss", **settings}), run,
        )  # fmt: skip
        result = trainer.fit()
    return Result([r["loss"] for r in run.history()], model.get_weights(), result.steps)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("strategy")
    parser.add_argument("kind")
    parser.add_argument("--die-at", type=int, default=-1)
    parser.add_argument("--stop-at", type=int, default=-1)
    parser.add_argument("--other-settings", action="store_true")
    options = parser.parse_args()
    several = options.strategy == "mirrored"
    plan = devices.plan(
        devices.detect(), devices.DeviceSettings(threads=1, replicas=2 if several else 0)
    )
    assert plan.strategy == options.strategy, plan
    devices.apply(plan)
    replicas = Replicas.of(plan.strategy, plan.replicas)
    if options.other_settings:
        try:
            replicas.check_same("settings or data", {"seed": 1})
            replicas.check_same("settings or data", {"seed": plan.worker})
        except UserError as error:
            print(error)
            return error.status
    # one device's batches are as large as the replicas' together
    alone = options.strategy == "one_device"
    size, parts = (6, 1) if alone else (3, 2)
    keras.utils.set_random_seed(1)
    with replicas.scope():
        if options.kind == "rows":
            model, loss = small_model(), summed
        else:
            model = RecurrentLanguageModel(12, 5, 6)
            loss = LanguageModelLoss(model.initial_state(size), 0.0, 0.0, parts)
    if options.kind == "rows":
        batches = Rows(7, 4, together=2 if alone else 1)
    else:
        text = np.random.default_rng(0).integers(4, 12, 203).astype(np.int32)
        batches = StreamBatches(text, StreamSettings(size=size, length=7), 1, parts)
    seen = []
    fetch = batches.fetch

    def counted(item):
        seen.append(item)
        if len(seen) == options.die_at and plan.worker == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(seen) == options.stop_at and plan.worker == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return fetch(item)

    batches.fetch = counted
    run = RunFolder(options.path / "run", writes=plan.chief)
    weights, losses = [], []
    everything = Rows(7, 4, together=7) if options.kind == "rows" else StreamBatches(
        text, StreamSettings(size=1, length=300, rotate=False, vary_length=False), 1
    )  # fmt: skip
    everything = everything.fetch(everything.epoch(0)[0])

    def validate():
        weights[:] = model.get_weights()
        if options.kind == "rows" and replicas.count > 1:
            states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
            for state in states:
                copies = replicas._strategy.experimental_local_results(state.value)
                seeds, drawn = zip(*(copy.numpy().tolist() for copy in copies), strict=True)
                assert len(set(seeds)) == replicas.local, "copies drop the same"
                assert len(set(drawn)) == 1, "copies have drawn unequally often"
        if options.kind == "rows":
            total, weight = summed(model, everything, training=False)
        else:
            total, weight = LanguageModelLoss(None, 0.0, 0.0)(model, everything)
        losses.append(float(total / weight))
        return {"loss": 9.0 - trainer.step}

    with run.open("test", {}):
        trainer = Trainer(
            model, loss, batches, validate, {"loss": "min"},
            TrainingSettings(monitor="loss", **OPTIONS), run, replicas=replicas,
        )  # fmt: skip
        try:
            trainer.fit()
        except UserError as error:
            print(error)
            return error.status
    name = f"result{plan.worker}" if plan.strategy == "multi_worker" else "result"
    np.savez(
        options.path / f"{name}.npz", losses=losses,
        **{f"w{i}": value for i, value in enumerate(weights)},
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
