"""Other layouts of the data, each with another model: each is trained once and used."""

import json

import keras
import numpy as np
import pytest

from tests.tasks.translation.conftest import (
    QUICK,
    SENTENCE,
    call,
    pairs,
    rows,
    run_of,
    write_files,
    write_table,
)

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Trains a run, two steps, and returns its folder."""

    def made(data, *options):
        run = tmp_path_factory.mktemp("variant") / "run"
        call("train", "--data", data, "--run", run, *QUICK, "--training.max_steps=2", *options)
        keras.mixed_precision.set_dtype_policy("float32")
        return run

    return made


@pytest.fixture(scope="module")
def of_table(train, table):
    """Trained on a table that is cut into splits."""
    return train(
        table, "--held_out=0.1", "--model.cell=gru", "--model.attention=bilinear",
        "--model.tie=two", "--text.joint=false", "--model.encoder_layers=2",
        "--model.decoder_layers=2",
    )  # fmt: skip


@pytest.fixture(scope="module")
def of_columns(train, table):
    """Trained on a table whose columns have languages."""
    return train(
        table, "--source=1:en", "--target=2:xx", "--model.cell=simple_rnn", "--model.attention=dot",
        "--model.attend=before", "--model.input_feeding=true", "--beam.coverage_penalty=0.2",
        "--device.precision=mixed_bfloat16", "--device.xla=auto",
    )  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, (count, seed) in {
        "train.tsv": (100, 1), "valid.tsv": (20, 2), "test.tsv.gz": (20, 3)
    }.items():  # fmt: skip
        write_table(folder / name, [("note", *pair) for pair in pairs(count, seed)])
    return folder


@pytest.fixture(scope="module")
def backwards(train, tables):
    """Trained on tables from a later column to an earlier one."""
    return train(
        tables, "--source=3", "--target=2", "--text.level=subword", "--text.vocabulary_size=60",
        "--text.max_length=80",
        "--model.attention=scaled_dot", "--scheduled_sampling=0.5",
        "--scheduled_sampling_steps=1", "--beam.size=1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "made",
    ["of_table", pytest.param("of_columns", marks=pytest.mark.gate),
     pytest.param("backwards", marks=pytest.mark.gate)],
)  # fmt: skip
def test_variants_train_and_are_used(request, made):
    run = ["--run", request.getfixturevalue(made)]
    assert "BLEU" in call("evaluate", *run)
    found = rows("translate", SENTENCE, "", "Zebra", *run)
    assert [row["text"] for row in found] == [SENTENCE, "", "Zebra"]
    assert found[1]["translations"][0]["text"] == ""
    assert all(np.isfinite(row["translations"][0]["score"]) for row in found)


def test_a_table_is_cut_into_splits(of_table, table, tmp_path):
    data = json.loads((of_table / "data.json").read_text())
    assert data["languages"] == ["1", "2"]
    sizes = {name: split["examples"] for name, split in data["splits"].items()}
    assert 120 <= sum(sizes.values()) <= 150  # none is there twice, nor a side in two splits
    assert 5 <= sizes["validation"] <= 20
    assert 5 <= sizes["test"] <= 20
    texts = [SENTENCE, "a cat"]
    assert len(call("translate", *texts, "--run", of_table).splitlines()) == 2
    printed = call("evaluate", "--run", of_table, "--on", table)
    assert "150 sentences" in printed
    folder = write_files(tmp_path / "files", train=3, held_out=3)
    line = call("evaluate", "--run", of_table, "--on", folder, status=2)
    assert "only their columns are known (--source 1:en" in line


@pytest.mark.gate
def test_columns_with_languages_know_files_too(of_columns, table, tmp_path):
    assert json.loads((of_columns / "data.json").read_text())["languages"] == ["en", "xx"]
    files = write_files(tmp_path / "files", train=3, held_out=4)
    run = ["--run", of_columns]
    assert "4 sentences" in call("evaluate", *run, "--on", files, "--split", "test")
    assert "150 sentences" in call("evaluate", *run, "--on", table)


@pytest.mark.gate
def test_a_folder_of_tables_backwards(backwards):
    data = json.loads((backwards / "data.json").read_text())
    assert data["languages"] == ["3", "2"]
    train, *held_out = (split["examples"] for split in data["splits"].values())
    assert held_out == [20, 20]
    assert 80 <= train <= 100  # none is there twice
    samples = json.loads((backwards / "samples.json").read_text())
    assert samples[0] == pairs(20, 2)[0][1]


@pytest.mark.gate
def test_changed_data_is_refused(backwards, tables):
    path = tables / "valid.tsv"
    content = path.read_bytes()
    write_table(path, [("note", "la kat.", "cat a.")] * 20)
    try:
        line = call("evaluate", "--run", backwards, "--split", "validation", status=2)
    finally:
        path.write_bytes(content)
    assert "the data has changed since" in line


def test_runs_on_other_data_are_not_compared(trained, of_table):
    line = call("compare", run_of(trained)[1], of_table, status=2)
    assert "the test splits of the two runs differ" in line
