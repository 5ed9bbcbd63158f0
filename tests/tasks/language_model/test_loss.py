"""Training a language model: the state that goes on, the regularisers, the optimisers."""

import json
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasseq.tasks.language_model.loss import LanguageModelLoss
from kerasseq.tasks.language_model.model import RecurrentLanguageModel
from kerasseq.tasks.language_model.settings import StreamSettings
from kerasseq.tasks.language_model.streams import StreamBatches
from kerasseq.training.optimizers import LazyAdam, clipped, make_optimizer, merged
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.settings import TrainingSettings
from kerasseq.training.trainer import InterruptedRunError, Trainer

SIZE, STREAMS = 12, 3


def text(count=200):
    return np.random.default_rng(0).integers(3, SIZE, count).astype(np.int32)


def small_model(**changes):
    keras.utils.set_random_seed(1)
    options = {"vocabulary_size": SIZE, "embedding_dim": 4, "units": 5, "num_layers": 2} | changes
    model = RecurrentLanguageModel(**options)
    random = np.random.default_rng(2)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model


def stream_batches(count=200, **changes):
    options = {"size": STREAMS, "length": 7, "spread": 2.0, "rotate": False} | changes
    return StreamBatches(text(count), StreamSettings(**options), seed=1)


def tensors(batch):
    return {name: tf.constant(array) for name, array in batch.items()}


# -- the carried state -----------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "graph"), [("lstm", True), ("gru", True), ("simple_rnn", False)])
def test_the_state_goes_on_from_batch_to_batch_and_starts_anew_where_fresh(cell, graph):
    """The losses of two epochs in pieces are those of each whole epoch in one pass."""
    model, batches = small_model(cell=cell), stream_batches()
    loss = LanguageModelLoss(model.initial_state(STREAMS), 0.0, 0.0)

    def run(batch):
        return loss(model, batch)

    if graph:
        first = tensors(batches.fetch(batches.epoch(0)[0]))
        free = {name: tf.TensorSpec([None] * v.ndim, v.dtype) for name, v in first.items()}
        run = tf.function(run, input_signature=[free])
    whole = StreamBatches(
        text(),
        StreamSettings(size=STREAMS, length=1000, vary_length=False, rotate=False),
        seed=1,
    )
    (everything,) = whole.epoch(0)
    batch = whole.fetch(everything)
    outputs, _, states = model(batch["ids"])
    expected = (model.nll(outputs, batch["targets"]).numpy() * batch["weights"]).sum()
    for epoch in range(2):
        total = weight = 0.0
        items = batches.epoch(epoch)
        assert len(items) > 5
        for item in items:
            parts = run(tensors(batches.fetch(item)))
            total += float(parts[0])
            weight += float(parts[1])
        assert weight == 200
        assert total == pytest.approx(expected, rel=1e-5)
        full = batch["weights"].all(axis=1)  # the last step of the others is padding
        for mine, his in zip(loss.carried, states, strict=True):
            np.testing.assert_allclose(mine.numpy()[0][full], his.numpy()[full], atol=1e-5)


def test_no_gradient_reaches_the_batch_before():
    model, batches = small_model(), stream_batches()
    loss = LanguageModelLoss(model.initial_state(STREAMS), 0.0, 0.0)
    first, second = (tensors(batches.fetch(item)) for item in batches.epoch(0)[:2])
    loss(model, first)
    states = [tf.constant(v.numpy()[0]) for v in loss.carried]
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        total, _ = loss(model, second)
    found = tape.gradient(total, variables)
    with tf.GradientTape() as tape:
        outputs, _, _ = model(second["ids"], states, training=True)
        total = model.training_loss(outputs, second["targets"], second["weights"])
    for mine, his in zip(found, tape.gradient(total, variables), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(mine), tf.convert_to_tensor(his), atol=1e-5)


def test_without_carried_states_every_batch_starts_at_zeros():
    model, batches = small_model(), stream_batches()
    loss = LanguageModelLoss(None, 0.0, 0.0)
    assert loss.carried == []
    batch = batches.fetch(batches.epoch(0)[1])
    nll = model.nll(model(batch["ids"])[0], batch["targets"]).numpy()
    for _ in range(2):
        total, weight = loss(model, tensors(batch))
        assert float(total) == pytest.approx((nll * batch["weights"]).sum(), rel=1e-5)
        assert float(weight) == batch["weights"].sum()


def test_carried_states_can_be_written_whatever_the_precision():
    """NumPy reads bfloat16 back as bytes of no type."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, batches = small_model(), stream_batches()
        loss = LanguageModelLoss(model.initial_state(STREAMS), 2.0, 1.0)
        for item in batches.epoch(0)[:3]:
            total, weight = loss(model, tensors(batches.fetch(item)))
            assert total.dtype == weight.dtype == tf.float32
            assert np.isfinite(float(total))
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(variable.dtype == tf.float32 for variable in loss.carried)
    assert all(np.asarray(tf.cast(v, "float32")).any() for v in loss.carried)


# -- regularisation of activations -----------------------------------------------------------------


@pytest.mark.parametrize(("activation", "temporal"), [(2.0, 0.0), (0.0, 1.5), (2.0, 1.5)])
def test_activation_regularisers_equal_numpy(activation, temporal):
    batches = stream_batches(201, vary_length=False)  # the streams are of equal length
    batch = batches.fetch(batches.epoch(0)[0])
    found = []
    for settings in ((0.0, 0.0), (activation, temporal)):
        model = small_model(output_dropout=0.4)
        model.output_dropout.seed_generator.state.assign([1, 2])
        loss = LanguageModelLoss(model.initial_state(STREAMS), *settings)
        found.append([float(part) for part in loss(model, tensors(batch))])
    model.output_dropout.seed_generator.state.assign([1, 2])
    outputs, raw, _ = (
        v if isinstance(v, list) else v.numpy() for v in model(batch["ids"], training=True)
    )
    assert not np.array_equal(outputs, raw)
    extra = activation * (outputs.astype("float64") ** 2).mean()
    extra += temporal * (np.diff(raw.astype("float64"), axis=1) ** 2).mean()
    (plain, weight), (total, same) = found
    assert weight == same
    assert total / weight - plain / weight == pytest.approx(extra, rel=1e-4)


def test_one_step_has_no_temporal_change():
    model = small_model()
    batch = {
        "ids": np.array([[4]] * STREAMS, np.int32), "targets": np.array([[5]] * STREAMS, np.int32),
        "weights": np.ones((STREAMS, 1), np.float32), "fresh": np.array(True),
        "part": np.array(0, np.int32),
    }  # fmt: skip
    plain, regularised = (
        LanguageModelLoss(model.initial_state(STREAMS), 0.0, beta)(model, tensors(batch))[0]
        for beta in (0.0, 3.0)
    )
    assert float(plain) == float(regularised)


# -- in the trainer --------------------------------------------------------------------------------

OPTIONS = {
    "epochs": 2, "monitor": "perplexity", "checkpoint_every": 3, "optimizer": "lazy_adam",
    "learning_rate": 0.02, "average": 0.5,
}  # fmt: skip


def train(path, stop_at=None, forget=False, seen=None, **changes):
    """A run to its end, or until a signal comes; `forget` leaves the state that was stored."""
    model, batches = small_model(layer_dropout=0.2, embedding_dropout=0.1), stream_batches()
    loss = LanguageModelLoss(model.initial_state(STREAMS), 2.0, 1.0)
    run = RunFolder(path)
    fetch = batches.fetch

    def spy(item):
        if stop_at is not None and trainer.step == stop_at:
            signal.raise_signal(signal.SIGINT)
        return fetch(item)

    with run.open("test", {}):
        trainer = Trainer(
            model, loss, batches, lambda: {"perplexity": 5.0 - trainer.step / 100},
            {"perplexity": "min"}, TrainingSettings(**OPTIONS | changes), run,
        )  # fmt: skip
        batches.fetch = spy
        if forget:
            trainer._carried = []
        try:
            return trainer.fit(), model, loss
        finally:
            if seen is not None:
                seen.append((trainer.step, [v.numpy() for v in loss.carried]))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    path = tmp_path_factory.mktemp("straight")
    return path, *train(path)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The same, interrupted; and the state then."""
    path, seen = tmp_path_factory.mktemp("cut"), []
    with pytest.raises(InterruptedRunError, match="stopped at step 5"):
        train(path, stop_at=4, seen=seen)
    return path, *seen


def test_a_run_that_was_interrupted_goes_on_with_its_state(straight, cut, tmp_path):
    path, result, model, loss = straight
    before, (step, carried) = cut
    assert step == 5
    assert any(state.any() for state in carried)
    shutil.copytree(before, tmp_path / "cut")
    again, resumed, carried = train(tmp_path / "cut")
    assert (again.steps, again.best_step) == (result.steps, result.best_step)
    assert again.steps > 10
    for mine, his in zip(resumed.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, his)
    for mine, his in zip(carried.carried, loss.carried, strict=True):
        np.testing.assert_array_equal(mine, his)
    losses = [
        [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (path, tmp_path / "cut")
    ]
    assert losses[0] == losses[1]


def test_without_its_state_a_run_would_end_otherwise(straight, cut, tmp_path):
    """What the test above would not see if the state did not matter."""
    model = straight[2]
    shutil.copytree(cut[0], tmp_path / "cut")
    _, resumed, _ = train(tmp_path / "cut", forget=True)
    pairs = zip(resumed.trainable_variables, model.trainable_variables, strict=True)
    assert any(not np.array_equal(mine, his) for mine, his in pairs)


def test_a_shorter_batch_has_a_lower_rate(tmp_path):
    batches = stream_batches()
    items = batches.epoch(0)
    seen = []
    model = small_model()
    run = RunFolder(tmp_path)
    with run.open("test", {}):
        trainer = Trainer(
            model, LanguageModelLoss(model.initial_state(STREAMS), 0.0, 0.0), batches,
            lambda: seen.append(float(trainer._optimizer.learning_rate)) or {"perplexity": 1.0},
            {"perplexity": "min"},
            TrainingSettings(
                **OPTIONS | {"epochs": 1, "warmup": 0.0, "decay": "none", "evaluate_every": 1}
            ), run,
        )  # fmt: skip
        trainer.fit()
    assert len({item.length for item in items}) > 2
    assert seen == pytest.approx([0.02 * item.length / 7 for item in items], rel=1e-5)


# -- optimisers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta_1", [0.9, 0.0, 0.5])
def test_lazy_adam_is_adam_for_dense_gradients(beta_1):
    random = np.random.default_rng(0)
    start = [random.normal(size=shape).astype("float32") for shape in ((4, 3), (5,), ())]
    steps = [[random.normal(size=s.shape).astype("float32") for s in start] for _ in range(12)]
    found = []
    for kind in (keras.optimizers.Adam, LazyAdam):
        variables = [keras.Variable(value) for value in start]
        optimizer = kind(0.05, beta_1=beta_1)
        optimizer.build(variables)
        for number, gradients in enumerate(steps):
            optimizer.learning_rate.assign(0.05 / (1 + number))
            optimizer.apply([tf.constant(g) for g in gradients], variables)
        found.append([v.numpy() for v in (*variables, *optimizer.variables)])
    for mine, his in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(mine, his, rtol=1e-5, atol=1e-6)


def test_lazy_adam_in_a_graph():
    value = np.array([1.0, 2.0], np.float32)
    variable, optimizer = keras.Variable(value), LazyAdam(0.1)
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([tf.constant([0.5, -1.0])], [variable]))
    step()
    step()
    assert int(optimizer.iterations) == 2
    np.testing.assert_allclose(variable.numpy(), value - [0.2, -0.2], rtol=1e-5)


def test_sparse_gradients_of_a_vector_are_merged_and_applied():
    """A bias whose entries are looked up has a gradient with rows that are numbers."""
    bias = keras.Variable(np.arange(6, dtype="float32"))
    table = keras.Variable(np.ones((6, 2), "float32"))
    ids = tf.constant([[1, 3], [3, 3]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.gather(bias.value, ids) * [[1.0, 2.0], [3.0, 4.0]])
        loss += 2.0 * tf.reduce_sum(tf.gather(table.value, ids))
    gradients = tape.gradient(loss, [bias.value, table.value])
    assert all(isinstance(g, tf.IndexedSlices) for g in gradients)
    for gradient, width in zip(gradients, ([], [2]), strict=True):
        found = merged(gradient, sparse=True)
        assert sorted(found.indices.numpy()) == [1, 3]
        assert found.values.shape == [2, *width]
        np.testing.assert_array_equal(tf.convert_to_tensor(found), tf.convert_to_tensor(gradient))
    np.testing.assert_array_equal(merged(gradients[0], sparse=False), [0, 1, 0, 9, 0, 0])
    bounded = clipped([merged(g, sparse=True) for g in gradients], 1.0)
    dense = clipped([merged(g, sparse=False) for g in gradients], 1.0)
    for mine, his in zip(bounded, dense, strict=True):
        assert isinstance(mine, tf.IndexedSlices)
        np.testing.assert_allclose(tf.convert_to_tensor(mine), his, rtol=1e-6)
    optimizer = LazyAdam(0.1)
    optimizer.build([bias, table])
    optimizer.apply(bounded, [bias, table])
    changed = bias.numpy() != np.arange(6)
    assert changed.tolist() == [False, True, False, True, False, False]
    np.testing.assert_allclose(bias.numpy()[[1, 3]], [0.9, 2.9], rtol=1e-4)
    assert (table.numpy() != 1).any(axis=1).tolist() == changed.tolist()


def test_momentum_is_what_the_optimizer_knows_it_by():
    def made(optimizer, **changes):
        return make_optimizer(TrainingSettings(optimizer=optimizer, **changes))

    for name in ("adam", "lazy_adam", "adamw"):
        assert made(name).beta_1 == 0.9
        assert made(name, momentum=0.0).beta_1 == 0.0
    plain, nesterov = made("sgd", momentum=0.0), made("sgd", momentum=0.8)
    assert (plain.momentum, plain.nesterov) == (0.0, False)
    assert (nesterov.momentum, nesterov.nesterov) == (0.8, True)
    assert made("rmsprop", momentum=0.5).momentum == 0.0
    assert made("adamw", weight_decay=0.1).weight_decay == 0.1
    assert made("sgd").weight_decay is None


def test_nesterov_momentum_by_hand():
    optimizer = make_optimizer(TrainingSettings(optimizer="sgd", momentum=0.5, learning_rate=0.1))
    variable = keras.Variable(np.float32(1.0))
    optimizer.build([variable])
    value, speed = 1.0, 0.0
    for gradient in (1.0, -2.0, 0.5):
        optimizer.apply([tf.constant(gradient)], [variable])
        speed = 0.5 * speed - 0.1 * gradient
        value += 0.5 * speed - 0.1 * gradient
        assert float(variable) == pytest.approx(value, rel=1e-5)


def test_padding_has_no_part_in_the_regularisation():
    model = small_model()
    loss = LanguageModelLoss(None, 0.7, 0.9)
    ids = text(6).reshape(1, 6)
    batch = {"ids": ids, "targets": ids, "weights": np.ones((1, 6), np.float32),
             "fresh": np.array(True)}  # fmt: skip
    padded = {
        name: np.pad(value, [[0, 0], [0, 3]]) if value.ndim else value
        for name, value in batch.items()
    }
    for one, other in zip(loss(model, tensors(batch)), loss(model, tensors(padded)), strict=True):
        assert float(one) == pytest.approx(float(other), rel=1e-5)
