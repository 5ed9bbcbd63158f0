import time

import pytest

from kerasseq.data.tfds import read_labelled
from kerasseq.errors import UserError

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A folder with one prepared data set, made by TFDS itself."""
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    import tensorflow as tf

    def rows(texts, labels):
        return tf.data.Dataset.from_tensor_slices({"text": texts, "label": labels})

    builder = tfds.dataset_builders.AdhocBuilder(
        name="tiny_reviews",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "text": tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=["neg", "pos"]),
            }
        ),
        split_datasets={
            "train": rows(["good é", "bad"], [1, 0]),
            "test": rows(["fine"], [1]),
            "unsupervised": rows(["what"], [-1]),
        },
        data_dir=tmp_path,
    )
    builder.download_and_prepare()
    return tmp_path


def test_prepared_data_is_read(data_dir):
    corpus = read_labelled("tiny_reviews", "text", "label", download=False)
    assert corpus.splits["train"].texts in (["good é", "bad"], ["bad", "good é"])
    assert set(corpus.splits) == {"train", "test"}
    assert corpus.splits["test"].labels == ["pos"]
    with pytest.raises(UserError, match="no feature 'body'; it has"):
        read_labelled("tiny_reviews", "body", "label", download=False)


def test_unprepared_data_is_not_fetched_silently(data_dir):
    start = time.perf_counter()
    with pytest.raises(UserError, match=r"is not prepared in .* add --download"):
        read_labelled("imdb_reviews", "text", "label", download=False)
    assert time.perf_counter() - start < 30


def test_unknown_name(data_dir):
    with pytest.raises(UserError, match="no_such_data"):
        read_labelled("no_such_data", "text", "label", download=True)
