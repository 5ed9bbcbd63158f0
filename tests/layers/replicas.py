"""Losses, metrics and random layers on two replicas of one CPU, as a script: JSON on stdout.

python -m tests.layers.replicas
"""

import functools
import importlib
import json
from contextlib import nullcontext

import keras
import numpy as np

from kerasseq import layers

tf = None if keras.backend.backend() != "tensorflow" else importlib.import_module("tensorflow")

PADDED = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]], "float32")  # uneven halves
IDS = np.array([[5, 6, 7], [8, 9, 4], [4, 5, 6], [7, 8, 9]], "int32")
X = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
Y = np.random.default_rng(1).integers(0, 2, (4, 3))


@functools.cache  # collectives of two strategies of one process would mix
def two_replicas():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def trained(make, inputs, targets, strategy, weights=PADDED):
    """What one step shows and leaves behind."""
    with strategy.scope() if strategy else nullcontext():
        keras.utils.set_random_seed(1)
        model, loss, metrics = make()
        model.compile(keras.optimizers.SGD(1.0), loss, weighted_metrics=metrics)
    history = model.fit(inputs, targets, sample_weight=weights, batch_size=4, verbose=0)
    shown = {name: float(values[0]) for name, values in history.history.items()}
    return shown, [np.asarray(weight).tolist() for weight in model.trainable_weights]


def dense(loss, metrics):
    def make():
        inputs = keras.Input((3, 2))
        return keras.Model(inputs, keras.layers.Dense(2)(inputs)), loss(), [m() for m in metrics]

    return make


def crf():
    inputs = keras.Input((3, 2))
    outputs = layers.CRF(2)(keras.layers.Dense(2)(inputs), output="potentials")
    return keras.Model(inputs, outputs), layers.CRFLoss(), [layers.CRFAccuracy()]


def nll():
    ids, targets = (keras.Input((3,), dtype="int32") for _ in range(2))
    embedding = layers.TiedEmbedding(10, 4)
    outputs = layers.ChunkedCrossEntropy(embedding)(embedding(ids), targets)
    metrics = [layers.Perplexity(from_nll=True)]
    return keras.Model([ids, targets], outputs), layers.TokenLoss(), metrics


LOSSES = {
    "SparseCategoricalCrossentropy": (
        dense(lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True), []), X, Y,
    ),
    "MaskedSparseCrossentropy": (
        dense(
            layers.MaskedSparseCrossentropy,
            [layers.Perplexity, layers.BitsPerCharacter, layers.TokenAccuracy,
             layers.SentenceAccuracy],
        ), X, Y,
    ),
    "CRFLoss": (crf, X, Y),
    "TokenLoss": (nll, [IDS, IDS[:, ::-1]], IDS[:, ::-1]),
}  # fmt: skip


def vectors(layer):
    return lambda x: layer(x, training=True)


RANDOM = {
    "keras.layers.Dropout": lambda: vectors(keras.layers.Dropout(0.5, seed=3)),
    "LockedDropout": lambda: vectors(layers.LockedDropout(0.5, seed=3)),
    "RecurrentStack, recurrent dropout": lambda: vectors(
        layers.RecurrentStack(8, recurrent_dropout=0.5, seed=3)
    ),
    "RecurrentStack, weight drop": lambda: vectors(
        layers.RecurrentStack(8, weight_drop=0.5, seed=3)
    ),
    "RecurrentStack, zoneout": lambda: vectors(layers.RecurrentStack(8, zoneout=0.5, seed=3)),
    "RecurrentStack, dropout": lambda: vectors(layers.RecurrentStack(8, 2, dropout=0.5, seed=3)),
    "WordDropout": lambda: of_ids(layers.WordDropout(0.5, seed=3)),
    "WordDropout by type": lambda: of_ids(
        layers.WordDropout(0.5, by="type", vocabulary_size=30, seed=3)
    ),
    "CharacterEncoder": lambda: of_ids(layers.CharacterEncoder(30, 6, dropout=0.5, seed=3), True),
    "SampledSoftmax": lambda: sampled(layers.TiedEmbedding(30, 8)),
    "AttentionDecoder": lambda: decoded(
        layers.AttentionDecoder(layers.TiedEmbedding(30, 8), 8, dropout=0.5, bridge="zeros", seed=3)
    ),
}


def of_ids(layer, characters=False):
    ids = tf.constant(np.arange(48).reshape(1, 6, 8) % 26 + 4, tf.int32)
    return lambda x: layer(ids if characters else ids[0], training=True)


def sampled(embedding):
    layer = layers.SampledSoftmax(embedding, num_sampled=4, seed=3)
    ids = tf.constant([[5, 6, 7]])
    return lambda x: layer(tf.ones((1, 3, 8)), ids, training=True)


def decoded(layer):
    ids = tf.constant([[5, 6, 7]])
    return lambda x: layer(ids, tf.ones((1, 2, 8)), training=True)


def draws(make):
    """What both replicas draw from the same input, twice."""
    strategy = two_replicas()
    x = tf.ones((1, 3, 8))
    with strategy.scope():
        call = make()
        call(x)
    run = tf.function(lambda: strategy.run(lambda: call(x)))
    found = [strategy.experimental_local_results(run()) for _ in range(2)]
    return [[np.asarray(value, "float64").tolist() for value in pair] for pair in found]


def main() -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    found = {}
    for name, (make, inputs, targets) in LOSSES.items():
        found[name] = [trained(make, inputs, targets, s) for s in (None, two_replicas())]
    print(json.dumps({"losses": found, "draws": {name: draws(RANDOM[name]) for name in RANDOM}}))


if __name__ == "__main__":
    main()
