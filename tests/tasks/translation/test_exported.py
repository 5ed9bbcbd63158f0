"""The exported version answers as the run does, by its signatures and in other formats."""

import numpy as np
import pytest
import tensorflow as tf

from kerasseq.export import serving
from tests.tasks.conftest import export_elsewhere
from tests.tasks.translation.conftest import (
    MEANING,
    SENTENCE,
    assert_same,
    call,
    export_of,
    rows,
    run_of,
)

pytestmark = pytest.mark.usefixtures("loaded_once")


AWKWARD = ["", SENTENCE, " \t", "the\ncat", "👍🏽 e\u0301 naïve", "\udcff a", "Kobold likes Mr. X"]


@pytest.mark.parametrize("words", [[], ["--n-best", 2], ["--beam", 1, "--length-penalty", 0.3]])
def test_run_and_export_translate_alike(trained, words):
    texts = [*AWKWARD, *serving.EDGE_CASES[:-1]]
    both = run_of(trained), export_of(trained)
    ours, theirs = (rows("translate", *texts, *words, *model) for model in both)
    assert [row["text"] for row in ours] == [text.replace("\udcff", "?") for text in texts]
    assert_same(ours, theirs)
    if not words:
        ours, theirs = (rows("predict", *texts, *model) for model in both)
        for mine, its in zip(ours, theirs, strict=True):
            assert (mine["text"], mine["translation"]) == (its["text"], its["translation"])
            assert mine["score"] == pytest.approx(its["score"], rel=1e-4, abs=1e-4)


def test_the_savedmodel_has_its_inputs_and_outputs_by_name(trained):
    loaded = tf.saved_model.load(str(export_of(trained)[1]))
    assert {"serving_default", "translate_verbose"} <= set(loaded.signatures)
    texts = [SENTENCE, "", "the big bird likes Kobold now."]
    served = loaded.signatures["serving_default"](text=tf.constant(texts))
    assert set(served) == {"translation", "score", "cut"}
    assert not served["cut"].numpy().any()
    assert served["translation"].numpy()[0].decode() == MEANING
    assert served["translation"].numpy()[1] == b""

    def verbose(size, penalty=1.0):
        found = loaded.signatures["translate_verbose"](
            text=tf.constant(texts), beam_size=tf.constant(size),
            length_penalty=tf.constant(penalty),
        )  # fmt: skip
        return {name: value.numpy() for name, value in found.items()}

    found = verbose(3)
    size, steps = found["tokens"].shape[2], found["source_tokens"].shape[1]
    assert {name: value.shape for name, value in found.items()} == {
        "translations": (3, 3), "scores": (3, 3), "log_probs": (3, 3), "tokens": (3, 3, size),
        "source_tokens": (3, steps), "attention": (3, 3, size, steps), "cut": (3,),
    }  # fmt: skip
    assert steps == 8
    assert found["translations"][0, 0] == served["translation"].numpy()[0]
    np.testing.assert_allclose(found["scores"][:, 0], served["score"], atol=1e-4)
    np.testing.assert_array_equal(-np.sort(-found["scores"], 1), found["scores"])
    lengths = (found["tokens"] != b"").sum(2)
    inside = np.arange(size) < lengths[..., None]
    np.testing.assert_allclose(found["attention"].sum(3), inside, atol=1e-5)
    sources = (found["source_tokens"] != b"").sum(1)
    assert sources.tolist() == [8, 1, 8]
    assert not found["attention"][1, :, :, 1:].any()
    np.testing.assert_allclose(
        found["scores"][lengths > 0],
        (found["log_probs"] / ((5 + lengths) / 6))[lengths > 0],
        rtol=1e-4,
        atol=1e-4,
    )
    one = verbose(1)
    assert one["translations"].shape == (3, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="beam_size must be 1 or more"):
        verbose(0)
    for penalty in (-1.0, np.nan):
        with pytest.raises(tf.errors.InvalidArgumentError, match="length_penalty must be 0"):
            verbose(1, penalty)


def test_a_client_in_numpy_answers_as_keras_does(trained, tmp_path):
    export_elsewhere(call, run_of(trained), "litert", tmp_path)
