"""A model that starts from the weights of another run."""

import json
import shutil

import numpy as np
import pytest

from kerasseq.app.runs import read_data
from kerasseq.errors import UserError
from kerasseq.tasks.language_model.settings import LanguageModelSettings, ModelSettings
from kerasseq.tasks.language_model.task import LanguageModel
from tests.tasks.conftest import load_run
from tests.tasks.language_model.conftest import QUICK, TASK, TYPES, call, write_text

pytestmark = pytest.mark.usefixtures("_loaded_once")


def test_init_from_takes_vectors_and_recurrent_weights(trained, tmp_path):
    path = write_text(tmp_path / "more.txt", 300)
    path.write_text("A horse sees it.\n" * 9 + path.read_text())
    run = trained[0] / "run"
    settings = LanguageModelSettings(
        data=str(path), init_from=str(run), model=ModelSettings(embedding=16, units=16, layers=2)
    )
    data = read_data(TASK, settings, download=False)
    model = TASK.build_model(settings, data.assets)
    before = model.embedding.embeddings.numpy()
    lines = TASK.adapt(model, settings, data)
    assert lines == [
        f"from {run}: vectors of {len(TYPES) + 4} of {len(TYPES) + 5} tokens",
        f"from {run}: 1 of 2 recurrent layers",
    ]
    source = load_run(TASK, run)
    mine, theirs = data.assets.codec.vocabulary.tokens, source.assets.codec.vocabulary.tokens
    after = model.embedding.embeddings.numpy()
    for row, token in enumerate(mine):
        if token == "horse":
            np.testing.assert_array_equal(after[row], before[row])
        else:
            vector = source.use.model.embedding.embeddings.numpy()[theirs.index(token)]
            np.testing.assert_array_equal(after[row], vector)
    for one, other in zip(
        model.recurrent.cells[0].get_weights(),
        source.use.model.recurrent.cells[0].get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_training_starts_from_another_run(trained, short, tmp_path):
    start = ["--init_from", trained[0] / "run", "--training.learning_rate=1e-9"]
    printed = call("train", "--data", short, "--run", tmp_path / "run", *QUICK, *start)
    assert f"from {trained[0] / 'run'}: vectors of 14 of 14 tokens" in printed
    history = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    # only the bias of the softmax is not taken
    assert json.loads(history[0])["validation_perplexity"] < 3


def test_what_init_from_names_is_needed_in_training_only(trained, tmp_path):
    path = write_text(tmp_path / "more.txt", 300)
    run = shutil.copytree(trained[0] / "run", tmp_path / "first")
    settings = LanguageModelSettings(data=str(path), init_from=str(run))
    TASK.check(settings)
    shutil.rmtree(run)
    assert "validation" in read_data(TASK, settings, download=False).splits  # to evaluate it
    with pytest.raises(UserError, match=r"init_from: .* holds no run"):
        TASK.check(settings)


def test_a_task_of_this_kind_starts_from_a_run_of_its_own(trained, tmp_path):
    class Recipes(LanguageModel):
        name = "recipes"

    run = shutil.copytree(trained[0] / "run", tmp_path / "first")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "task": "recipes"}))
    settings = LanguageModelSettings(
        data=record["settings"]["data"],
        init_from=str(run),
        model=ModelSettings(embedding=16, units=16),
    )
    task = Recipes()
    task.check(settings)
    data = read_data(task, settings, download=False)
    assert task.adapt(task.build_model(settings, data.assets), settings, data)
    with pytest.raises(UserError, match="run of the task 'recipes', not 'language_model'"):
        TASK.check(settings)


def test_init_from_refuses_other_runs(trained, short, tmp_path):
    def refused(source, *options):
        words = ["--data", short, "--run", tmp_path / "run", *QUICK, "--init_from", source]
        return call("train", *words, *options, status=2)

    run = trained[0] / "run"
    sizes = ["--model.units=8", "--model.embedding=8"]
    assert f"init_from: nothing of {run} fits this model: embeddings of size 16" in refused(
        run, *sizes
    )
    assert f"init_from: {tmp_path / 'none'} holds no run" in refused(tmp_path / "none")
    other = shutil.copytree(run, tmp_path / "other")
    (other / "training.json").unlink()
    assert f"init_from: {other} is not trained to the end" in refused(other)
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "task": "sentiment"}))
    line = refused(other)
    assert "is a run of the task 'sentiment', not 'language_model'" in line
