import json

import keras
import numpy as np
import pytest

from kerasseq.errors import UserError
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.settings import TrainingSettings
from kerasseq.training.trainer import Trainer


class Tokens:
    """Batches that repeat token ids, which sparse gradients get wrong."""

    def __init__(self, batches):
        self._batches = batches

    def epoch(self, number):
        return range(len(self._batches))

    def fetch(self, item):
        return self._batches[item]

    def tokens(self, item):
        return self._batches[item]["ids"].size

    def learning_rate_scale(self, item):
        return 1.0


def batches(count=6, vocabulary=7):
    random = np.random.default_rng(0)
    return Tokens(
        [
            {
                "ids": random.integers(0, vocabulary, (3, 5)).astype(np.int32),
                "label": random.integers(0, 2, 3).astype(np.int32),
            }
            for _ in range(count)
        ]
    )


def small_model(one_hot=False):
    keras.utils.set_random_seed(1)
    ids = keras.Input([None], dtype="int32")
    if one_hot:
        x = keras.ops.one_hot(ids, 7)
        x = keras.layers.Dense(4, use_bias=False, name="table")(x)
    else:
        x = keras.layers.Embedding(7, 4, name="table")(ids)
    x = keras.ops.mean(x, axis=1)
    model = keras.Model(ids, keras.layers.Dense(2, name="logits")(x))
    random = np.random.default_rng(2)
    model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])
    return model


def loss(model, batch):
    each = keras.losses.sparse_categorical_crossentropy(
        batch["label"], model(batch["ids"], training=True), from_logits=True
    )
    return keras.ops.sum(each), keras.ops.cast(keras.ops.size(each), "float32")


def train(tmp_path, model, values=None, batches=None, **settings):
    values = iter(values or [])
    run = RunFolder(tmp_path / "run")
    options = {"epochs": 3, "average": 0.0, "decay": "none", "warmup": 0.0} | settings
    with run.open("test", {}):
        result = Trainer(
            model, loss, batches or globals()["batches"](),
            lambda: {"accuracy": next(values, 0.5), "loss": 1.0},
            {"accuracy": "max", "loss": "min"}, TrainingSettings(**options), run,
        ).fit()  # fmt: skip
    return result, run


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_an_embedding_is_trained_like_its_dense_form(tmp_path, optimizer):
    found = []
    for one_hot in (False, True):
        model = small_model(one_hot)
        train(tmp_path / str(one_hot), model, [0.1, 0.2, 0.3], optimizer=optimizer,
              learning_rate=0.05, clip_norm=0.5)  # fmt: skip
        found.append(model.get_weights())
    for sparse, dense in zip(*found, strict=True):
        np.testing.assert_allclose(sparse, dense, atol=1e-5)


def test_lazy_adam_is_adam_where_every_row_is_used(tmp_path):
    random = np.random.default_rng(4)
    rows = [
        {
            "ids": random.permutation(np.repeat(np.arange(7), 3)).reshape(3, 7).astype(np.int32),
            "label": random.integers(0, 2, 3).astype(np.int32),
        }
        for _ in range(5)
    ]
    found = []
    for optimizer in ("adam", "lazy_adam"):
        model = small_model()
        train(tmp_path / optimizer, model, [0.1, 0.2, 0.3], Tokens(rows), optimizer=optimizer,
              learning_rate=0.05, clip_norm=0.5)  # fmt: skip
        found.append(model.get_weights())
    for plain, lazy in zip(*found, strict=True):
        np.testing.assert_allclose(lazy, plain, atol=1e-5)


def test_lazy_adam_leaves_unused_rows_alone(tmp_path):
    model = small_model()
    before = model.get_layer("table").embeddings.numpy()
    rows = [{"ids": np.array([[1, 2, 2]], np.int32), "label": np.array([1], np.int32)}] * 4
    train(tmp_path, model, batches=Tokens(rows), optimizer="lazy_adam")
    changed = (model.get_layer("table").embeddings.numpy() != before).any(axis=1)
    assert changed.tolist() == [False, True, True, False, False, False, False]


def test_float16_gradients_are_clipped_unscaled(tmp_path):
    found = []
    for policy in ("float32", "mixed_float16"):
        keras.mixed_precision.set_dtype_policy(policy)
        try:
            model = small_model()
            train(tmp_path / policy, model, [0.1, 0.2, 0.3], optimizer="sgd", learning_rate=0.1,
                  clip_norm=0.1)  # fmt: skip
        finally:
            keras.mixed_precision.set_dtype_policy("float32")
        found.append(model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-2)


def test_the_best_weights_are_kept(tmp_path):
    result, _run = train(tmp_path, small_model(), [0.5, 0.9, 0.7], epochs=3)
    assert result.metrics["accuracy"] == 0.9
    assert (result.best_step, result.steps) == (12, 18)
    model = small_model()
    train(tmp_path / "short", model, [0.5, 0.9], epochs=2)
    again = small_model()
    train(tmp_path / "long", again, [0.5, 0.9, 0.7], epochs=3)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_early_stopping_counts_evaluations(tmp_path):
    result, run = train(
        tmp_path, small_model(), [0.5, 0.6, 0.55, 0.59, 0.7], epochs=9, evaluate_every=2, patience=2
    )
    assert (result.steps, result.best_step) == (8, 4)
    assert [record["step"] for record in run.history()] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("max_steps", "every", "evaluated", "epochs"),
    [(4, 0, [4], [0.667]), (6, 0, [6], [1]), (8, 0, [6, 8], [1, 1.333]),
     (5, 2, [2, 4, 5], [0.333, 0.667, 0.833]), (4, 2, [2, 4], [0.333, 0.667]),
     (99, 0, [6, 12, 18], [1, 2, 3])],
)  # fmt: skip
def test_max_steps_ends_a_run_with_a_validation(tmp_path, max_steps, every, evaluated, epochs):
    result, run = train(tmp_path, small_model(), max_steps=max_steps, evaluate_every=every)
    assert result.steps == min(max_steps, 18)
    assert [record["step"] for record in run.history()] == evaluated
    assert [record["epoch"] for record in run.history()] == epochs


def test_the_schedule_ends_with_max_steps(tmp_path):
    short, whole = small_model(), small_model()
    options = {"decay": "linear", "warmup": 0.5, "epochs": 1}
    train(tmp_path / "short", short, max_steps=6, **options | {"epochs": 9})
    train(tmp_path / "whole", whole, **options)
    for ours, theirs in zip(short.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("every", [0, 2])
def test_a_run_killed_at_its_last_of_max_steps_ends_as_another(tmp_path, monkeypatch, every):
    """Its checkpoint says that no step is left, but not that it was validated."""

    class KilledError(Exception):
        pass

    options = {"max_steps": 4, "checkpoint_every": 1, "evaluate_every": every}
    straight = small_model()
    result, run = train(tmp_path / "straight", straight, [0.1, 0.2], **options)
    save = Trainer._save

    def killed(trainer):
        save(trainer)
        if trainer.step == 4:
            raise KilledError

    monkeypatch.setattr(Trainer, "_save", killed)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", small_model(), [0.1, 0.2], **options)
    monkeypatch.undo()
    model = small_model()
    again, resumed = train(tmp_path / "killed", model, [0.1], **options)
    assert (again.steps, again.metrics) == (result.steps, result.metrics)
    assert [r["step"] for r in resumed.history()] == [r["step"] for r in run.history()]
    for ours, theirs in zip(model.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_monitor_may_be_minimised_and_must_exist(tmp_path):
    result, _ = train(tmp_path, small_model(), [0.5, 0.6], epochs=2, monitor="loss")
    assert result.best_step == 6  # the loss never improves on the first
    with pytest.raises(UserError, match="no metric 'f1'; there are accuracy, loss"):
        train(tmp_path / "other", small_model(), monitor="f1")


def test_averaged_weights_are_what_is_kept(tmp_path):
    """Against the average written out by hand."""
    history = []

    def spy(model):
        def evaluate():
            history.append([w.copy() for w in model.get_weights()])
            return {"accuracy": float(len(history)), "loss": 1.0}

        return evaluate

    def weights_by_step(average):
        history.clear()
        model = small_model()
        run = RunFolder(tmp_path / f"run{average}")
        settings = TrainingSettings(
            epochs=14, average=average, decay="none", warmup=0.0, evaluate_every=1
        )
        with run.open("test", {}):
            Trainer(model, loss, batches(), spy(model), {"accuracy": "max"}, settings, run).fit()
        return [*history]

    plain, averaged = weights_by_step(0.0), weights_by_step(0.6)
    by_hand = small_model().get_weights()
    for step, weights in enumerate(plain, start=1):
        every = 1 if step <= 64 else 8
        if step % every == 0:
            keep = min(0.6**every, step / (9 * every + step))
            by_hand = [keep * a + (1 - keep) * w for a, w in zip(by_hand, weights, strict=True)]
        for ours, theirs in zip(averaged[step - 1], by_hand, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_loss_that_is_no_number_is_an_error(tmp_path):
    bad = batches()
    model = small_model()
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    with pytest.raises(UserError, match="the loss is nan at step 1"):
        train(tmp_path, model, batches=bad)


def test_metrics_are_logged_with_time_and_rate(tmp_path):
    _, run = train(tmp_path, small_model(), epochs=2)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert {"step", "loss", "validation_accuracy", "learning_rate", "seconds", "tokens"} <= set(
        records[0]
    )


def test_a_short_run_keeps_trained_weights(tmp_path):
    model, untrained = small_model(), small_model()
    train(tmp_path, model, average=0.99, epochs=1, learning_rate=0.1)
    for ours, before in zip(model.get_weights(), untrained.get_weights(), strict=True):
        assert np.abs(ours - before).max() > 0.01


def test_a_replay_that_goes_otherwise_keeps_metrics_and_weights_together(tmp_path):
    """Without determinism the steps after a checkpoint may not come back the same."""

    class KilledError(Exception):
        pass

    def attempt(values):
        values = iter(values)

        def evaluate():
            value = next(values, None)
            if value is None:
                raise KilledError
            return {"accuracy": value}

        run = RunFolder(tmp_path / "run")
        settings = TrainingSettings(epochs=2, evaluate_every=2, checkpoint_every=4, average=0.0)
        with run.open("test", {}):
            trainer = Trainer(
                small_model(), loss, batches(), evaluate, {"accuracy": "max"}, settings, run
            )
            return trainer.fit(), trainer.model

    with pytest.raises(KilledError):
        attempt([0.5, 0.8, 0.81])  # killed at step 8, after a best at step 6
    result, model = attempt([0.7, 0.6, 0.6, 0.6])
    assert (result.best_step, result.metrics["accuracy"]) == (4, 0.8)
    alone = small_model()
    train(tmp_path / "other", alone, [0.5, 0.8, 0.0, 0.0, 0.0, 0.0], epochs=2, evaluate_every=2,
          warmup=0.05, decay="linear", average=0.0)  # fmt: skip
    for ours, theirs in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert len(list((tmp_path / "run").glob("best-*"))) <= 2
