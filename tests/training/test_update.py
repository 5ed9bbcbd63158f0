"""Several batches make the update that one batch of their size would."""

import json
import os
import signal
import socket
import subprocess

import keras
import numpy as np
import pytest

from kerasseq.errors import UserError
from kerasseq.tasks.language_model.loss import LanguageModelLoss
from kerasseq.tasks.language_model.model import RecurrentLanguageModel
from kerasseq.tasks.language_model.streams import StreamBatches, StreamSettings
from kerasseq.training.run_folder import RunFolder
from kerasseq.training.schedule import replica_scale
from kerasseq.training.settings import TrainingSettings
from kerasseq.training.trainer import Trainer
from tests import warm
from tests.training.replicas_script import Rows, train_small

OPTIMIZERS = ["adam", "lazy_adam", "adamw", "rmsprop", "sgd"]
SETTINGS = {"epochs": 3, "average": 0.0, "decay": "none", "warmup": 0.0, "learning_rate": 0.02,
            "clip_norm": 0.5}  # fmt: skip


def trained(path, rows, recurrent=True, **changes):
    """Weights after some updates, and the loss of each epoch."""
    return train_small(path, rows, SETTINGS | changes, recurrent=recurrent)


def check_accumulation(path, accumulate, **options):
    """7 batches an epoch: the last update of each has fewer than the others."""
    small = trained(path / f"small{accumulate}", Rows(7, 4), accumulate=accumulate, **options)
    large = trained(path / f"large{accumulate}", Rows(7, 4, together=accumulate), **options)
    np.testing.assert_allclose(small.losses, large.losses, atol=1e-6)
    for mine, his in zip(small.weights, large.weights, strict=True):
        np.testing.assert_allclose(mine, his, atol=2e-6)
    assert small.steps == large.steps == 3 * -(-7 // accumulate)
    return np.array(large.losses)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_accumulated_gradients_are_those_of_the_large_batch(tmp_path, optimizer):
    of_2, of_3 = (
        check_accumulation(tmp_path, count, optimizer=optimizer, recurrent=False)
        for count in (2, 3)
    )
    assert np.abs(of_2 - of_3).max() > 1e-4  # the size matters, then


def test_accumulated_gradients_of_a_recurrent_network_are_those_of_the_large_batch(tmp_path):
    of_3 = check_accumulation(tmp_path, 3, optimizer="lazy_adam")
    plain = trained(tmp_path / "plain", Rows(7, 4), optimizer="lazy_adam")
    assert np.abs(of_3 - plain.losses).max() > 1e-4


def test_they_weigh_batches_by_what_they_hold(tmp_path):
    """A mean of means would give the last, short batch as much as the first."""
    rows = Rows(2, 6, sizes=(6, 1))
    options = {"optimizer": "sgd", "recurrent": False}
    small = trained(tmp_path / "small", rows, accumulate=2, **options)
    large = trained(tmp_path / "large", Rows(2, 6, sizes=(6, 1), together=2), **options)
    for mine, his in zip(small.weights, large.weights, strict=True):
        np.testing.assert_allclose(mine, his, atol=1e-6)


def test_float16_is_accumulated_with_its_scale(tmp_path):
    options = {"optimizer": "sgd", "recurrent": False}
    keras.config.set_dtype_policy("mixed_float16")
    try:
        small = trained(tmp_path / "small", Rows(6, 4), accumulate=2, **options)
        large = trained(tmp_path / "large", Rows(6, 4, together=2), **options)
    finally:
        keras.config.set_dtype_policy("float32")
    for mine, his in zip(small.weights, large.weights, strict=True):
        np.testing.assert_allclose(mine, his, atol=2e-2)


def test_streams_of_several_batches_are_those_of_one(tmp_path):
    """Parts of an update read other streams, and each carries its own state."""
    found = []
    text = np.random.default_rng(0).integers(4, 12, 403).astype(np.int32)
    for size, parts in ((6, 1), (3, 2), (2, 3)):
        keras.utils.set_random_seed(1)
        settings = StreamSettings(size=size, length=7)
        model = RecurrentLanguageModel(12, 5, 6)
        run = RunFolder(tmp_path / str(parts))
        options = {**SETTINGS, "accumulate": parts, "monitor": "loss"}
        with run.open("test", {}):
            Trainer(
                model,
                LanguageModelLoss(model.initial_state(size), 0.0, 0.0, parts),
                StreamBatches(text, settings, 1, parts),
                lambda: {"loss": 1.0}, {"loss": "min"}, TrainingSettings(**options), run,
            ).fit()  # fmt: skip
        losses = [record["loss"] for record in run.history()]
        found.append((losses, model.get_weights()))
    for losses, weights in found[1:]:
        np.testing.assert_allclose(losses, found[0][0], atol=2e-5)
        for mine, his in zip(weights, found[0][1], strict=True):
            np.testing.assert_allclose(mine, his, atol=1e-5)


def rows_stopped_at(count):
    """Rows whose ``count``-th batch is asked for when the run is interrupted."""
    rows, seen = Rows(7, 4), []
    fetch = rows.fetch

    def spy(item):
        seen.append(item)
        if len(seen) == count:
            signal.raise_signal(signal.SIGINT)
        return fetch(item)

    rows.fetch = spy
    return rows


def test_an_interrupted_run_of_several_parts_goes_on(tmp_path):
    def run(path, stop_at=None):
        rows = rows_stopped_at(stop_at)
        return trained(path, rows, recurrent=False, accumulate=2, optimizer="lazy_adam")

    straight = run(tmp_path / "straight")
    with pytest.raises(UserError, match="stopped at step"):
        run(tmp_path / "cut", 9)
    again = run(tmp_path / "cut")
    assert again.losses == straight.losses
    for mine, his in zip(again.weights, straight.weights, strict=True):
        np.testing.assert_array_equal(mine, his)


def test_the_learning_rate_grows_with_the_replicas_as_said():
    assert replica_scale(8, "none", "sgd") == 1
    assert replica_scale(8, "linear", "adam") == 8
    assert replica_scale(4, "sqrt", "sgd") == 2
    assert [replica_scale(1, rule, "sgd") for rule in ("auto", "sqrt", "linear")] == [1, 1, 1]


# -- replicas, in processes of their own: devices are set up once a process ------------------------


def script(path, *words, **environment):
    return warm.Process(
        ["-m", "tests.training.replicas_script", path, *words], env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def outputs_of(processes, timeout=200):
    """What they wrote; none goes on when another one hangs."""
    try:
        return [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()


def read(path, name="result"):
    with np.load(path / f"{name}.npz") as stored:
        losses = stored["losses"]
        return losses, [stored[f"w{i}"] for i in range(len(stored.files) - 1)]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    """What two replicas do, on one device: its batches are the two replicas' together."""
    path = tmp_path_factory.mktemp("one")
    processes = [script(path / kind, "one_device", kind) for kind in ("rows", "streams")]
    texts = outputs_of(processes)
    assert [process.returncode for process in processes] == [0, 0], texts
    return path


@pytest.mark.parametrize("kind", ["rows", "streams"])
def test_two_replicas_equal_one_device(one_device, tmp_path, kind):
    """On two logical CPUs, as on two GPUs; 7 batches, so that one replica's last has no weight."""
    process = script(tmp_path, "mirrored", kind)
    (text,) = outputs_of([process])
    assert process.returncode == 0, text
    (losses, weights), (expected, his) = read(tmp_path), read(one_device / kind)
    assert len(losses) == 3
    np.testing.assert_allclose(losses, expected, atol=1e-6)
    for mine, other in zip(weights, his, strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-6)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def two_of_a_cluster():
    """The environment of each of two workers on this machine."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [{"TF_CONFIG": json.dumps({"cluster": {"worker": hosts}, "task": t})} for t in tasks]


def two_workers(path, kind, *words):
    return [script(path, "multi_worker", kind, *words, **each) for each in two_of_a_cluster()]


@pytest.mark.parametrize("kind", ["rows", pytest.param("streams", marks=pytest.mark.gate)])
def test_two_workers_equal_one_device(one_device, tmp_path, kind):
    workers = two_workers(tmp_path, kind)
    texts = outputs_of(workers)
    assert [worker.returncode for worker in workers] == [0, 0], texts
    expected, his = read(one_device / kind)
    found = [read(tmp_path, f"result{index}") for index in range(2)]
    for losses, weights in found:
        np.testing.assert_allclose(losses, expected, atol=1e-6)
        for mine, first, other in zip(weights, found[0][1], his, strict=True):
            np.testing.assert_array_equal(mine, first)
            np.testing.assert_allclose(mine, other, atol=2e-6)


@pytest.mark.gate
def test_a_lost_worker_is_said_and_the_run_goes_on_from_its_checkpoint(one_device, tmp_path):
    """The second worker kills itself; then both are started again."""
    workers = two_workers(tmp_path, "rows", "--die-at", 6)
    texts = outputs_of(workers)
    assert workers[1].returncode == -signal.SIGKILL
    assert workers[0].returncode == 75, texts[0]
    assert "another worker was lost at step" in texts[0]
    assert "the same command on every worker continues" in texts[0]
    assert (tmp_path / "run" / "checkpoint.npz").exists()
    workers = two_workers(tmp_path, "rows")
    texts = outputs_of(workers)
    assert [worker.returncode for worker in workers] == [0, 0], texts
    assert "resumed at step 4" in texts[0]
    expected, his = read(one_device / "rows")
    for index in range(2):
        losses, weights = read(tmp_path, f"result{index}")
        np.testing.assert_allclose(losses, expected[-len(losses) :], atol=1e-6)
        for mine, other in zip(weights, his, strict=True):
            np.testing.assert_allclose(mine, other, atol=2e-6)


@pytest.mark.gate
@pytest.mark.parametrize("kind", ["rows", "streams"])
def test_a_worker_that_is_told_to_stop_stops_all_with_a_checkpoint(one_device, tmp_path, kind):
    """Only the second gets SIGTERM, in its sixth update; the last checkpoint was of the fourth."""
    workers = two_workers(tmp_path, kind, "--stop-at", 6)
    texts = outputs_of(workers)
    assert [worker.returncode for worker in workers] == [130, 130], texts
    (step,) = {text.partition("stopped at step ")[2].split()[0] for text in texts}
    assert int(step) in (6, 7)
    assert all("the same command on every worker continues from there" in text for text in texts)
    workers = two_workers(tmp_path, kind)
    texts = outputs_of(workers)
    assert [worker.returncode for worker in workers] == [0, 0], texts
    assert f"resumed at step {step}" in texts[0]
    expected, his = read(one_device / kind)
    for index in range(2):
        losses, weights = read(tmp_path, f"result{index}")
        np.testing.assert_allclose(losses, expected[-len(losses) :], atol=1e-6)
        for mine, other in zip(weights, his, strict=True):
            np.testing.assert_allclose(mine, other, atol=2e-6)


@pytest.mark.gate
def test_workers_that_differ_are_told(tmp_path):
    workers = two_workers(tmp_path, "rows", "--other-settings")
    texts = outputs_of(workers)
    assert [worker.returncode for worker in workers] == [2, 2], texts
    for text in texts:
        assert "the workers of TF_CONFIG differ in their settings or data" in text


def test_another_number_of_replicas_does_not_go_on_with_a_run(tmp_path):
    with pytest.raises(UserError, match="stopped at step"):
        trained(tmp_path, rows_stopped_at(3), recurrent=False)
    run = RunFolder(tmp_path)
    arrays, state = run.load_arrays("checkpoint.npz")
    run.save_arrays("checkpoint.npz", arrays, {**state, "replicas": 2})
    with pytest.raises(UserError, match="was trained on 2 replicas, here are 1"):
        trained(tmp_path, Rows(7, 4), recurrent=False)


def test_only_the_first_of_the_workers_writes(tmp_path):
    folder = RunFolder(tmp_path / "run", writes=False)
    with folder.open("test", {}) as existed:
        assert not existed
        trained_here = train_small(None, Rows(4, 4), SETTINGS, folder, recurrent=False)
        folder.write_text("x", "y")
    assert not folder.path.exists()
    assert trained_here.steps == 12
