"""The translation loss: what it sums, and the chance of scheduled sampling as training goes on."""

import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasseq.data.batches import TokenBatchSettings
from kerasseq.data.examples import Pair
from kerasseq.tasks.translation.data import EncodedPairs, PairBatches
from kerasseq.tasks.translation.loss import TranslationLoss
from kerasseq.tasks.translation.model import RecurrentTranslator
from kerasseq.text.vocabulary import EOS
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.settings import TrainingSettings
from kerasseq.training.trainer import InterruptedRunError, Trainer

SIZE = 9


def small_model(**changes):
    options = {"embedding_dim": 4, "units": 4, "encoder_units": 2} | changes
    return RecurrentTranslator(SIZE, SIZE, tie_source=True, **options)


def pairs(count=24, seed=0):
    random = np.random.default_rng(seed)

    def side():
        length = random.integers(1, 5)
        return np.append(random.integers(4, SIZE, length), EOS).astype(np.int32)

    return EncodedPairs(
        [Pair("a", "b", "a")] * count,
        [side() for _ in range(count)],
        [side() for _ in range(count)],
    )


def batches(count=24):
    return PairBatches(pairs(count), TokenBatchSettings(tokens=30, pad_to_multiple=2), seed=1)


def first_batch():
    made = batches()
    return {name: tf.constant(v) for name, v in made.fetch(made.epoch(0)[0]).items()}


class Spy:
    """A model that notes the rates that it is called with."""

    def __init__(self):
        self.rates = []

    def __call__(self, source, mask, inputs, valid, sampling_rate, training):
        assert training
        self.rates.append(None if sampling_rate is None else float(sampling_rate))
        return tf.zeros([*inputs.shape, 2]), None

    def training_loss(self, outputs, targets, weights):
        return tf.reduce_sum(weights)


def test_it_is_the_sum_over_the_targets():
    model, batch = small_model(label_smoothing=0.0), first_batch()
    total, weight = TranslationLoss()(model, batch)
    assert float(weight) == batch["weights"].numpy().sum()
    expected = 0.0
    for row, length in enumerate(batch["weights"].numpy().sum(1).astype(int)):
        size = int(batch["source_lengths"][row])
        outputs, _ = model(
            batch["source"][row : row + 1, :size], np.ones((1, size), bool),
            batch["inputs"][row : row + 1, :length],
        )  # fmt: skip
        expected += model.nll(outputs, batch["targets"][row : row + 1, :length]).numpy().sum()
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_without_scheduled_sampling_nothing_is_carried():
    model, loss = Spy(), TranslationLoss()
    assert loss.carried == []
    loss(model, first_batch())
    assert model.rates == [None]


def test_the_chance_of_sampling_grows_with_the_steps_to_its_most():
    model, loss, batch = Spy(), TranslationLoss(0.5, 4), first_batch()
    (steps,) = loss.carried
    for _ in range(7):
        loss(model, batch)
    assert model.rates == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    assert float(steps[0]) == 7
    # what a checkpoint puts there is where it goes on from
    steps.assign([2.0])
    loss(model, batch)
    assert model.rates[-1] == pytest.approx(0.25)
    assert float(steps[0]) == 3


def test_steps_are_counted_in_a_graph():
    loss, batch, model = TranslationLoss(0.9, 10), first_batch(), small_model()
    run = tf.function(lambda: loss(model, batch)[0])
    values = [float(run()) for _ in range(3)]
    assert float(loss.carried[0][0]) == 3
    assert np.isfinite(values).all()


def train(path, stop_at=None):
    """Trains a run to its end or, if it is to be stopped, until then: the model and the loss."""
    keras.utils.set_random_seed(1)
    quick = {"cell": "simple_rnn", "attention": "uniform", "input_feeding": False}
    model, data, loss = (
        small_model(**quick, decoder_dropout=0.2),
        batches(),
        TranslationLoss(0.9, 6),
    )
    run, fetch = RunFolder(path), data.fetch
    settings = TrainingSettings(
        epochs=3, learning_rate=0.02, checkpoint_every=100, monitor="loss", average=0.0
    )

    def spy(item):
        if trainer.step == stop_at:
            signal.raise_signal(signal.SIGINT)
        return fetch(item)

    with run.open("test", {}):
        trainer = Trainer(
            model, loss, data, lambda: {"loss": 9.0 - trainer.step}, {"loss": "min"}, settings, run
        )
        data.fetch = spy
        if stop_at is None:
            trainer.fit()
        else:
            with pytest.raises(InterruptedRunError):
                trainer.fit()
    return model, loss


@pytest.mark.gate
def test_a_stopped_training_goes_on_with_its_count(tmp_path):
    straight, counted = train(tmp_path / "straight")
    steps = sum(len(batches().epoch(number)) for number in range(3))
    assert float(counted.carried[0][0]) == steps > 8
    _, stopped = train(tmp_path / "stopped", stop_at=5)
    assert float(stopped.carried[0][0]) == 6
    model, loss = train(tmp_path / "stopped")
    assert float(loss.carried[0][0]) == steps
    for mine, his in zip(model.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, his)
