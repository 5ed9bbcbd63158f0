"""LockedDropout and WordDropout."""

import keras
import numpy as np
import pytest

from kerasseq import compat
from kerasseq.layers import LockedDropout, WordDropout
from tests.layers.contract import run_layer_contract

X = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
IDS = np.array([[2, 7, 8, 7, 3], [2, 5, 3, 0, 0], [2, 9, 6, 3, 0]], "int32")


def test_locked_dropout_contract():
    run_layer_contract(
        LockedDropout, {"rate": 0.4, "seed": 1}, {"inputs": X}, expected_output_shape=(3, 5, 6)
    )


def test_locked_dropout_has_one_mask_a_sequence():
    ones = np.ones((64, 7, 50), "float32")
    y = np.asarray(LockedDropout(0.4, seed=1)(ones, training=True))
    np.testing.assert_array_equal(y, np.repeat(y[:, :1], 7, axis=1))
    assert set(np.unique(y).round(5)) == {0.0, np.float32(1 / 0.6).round(5)}
    assert abs((y == 0).mean() - 0.4) < 0.05
    assert (y[0, 0] != y[1, 0]).any()


def test_locked_dropout_is_new_every_call_and_reproducible():
    ones = np.ones((2, 3, 40), "float32")
    layer, same = LockedDropout(0.5, seed=4), LockedDropout(0.5, seed=4)
    first, second = layer(ones, training=True), layer(ones, training=True)
    assert (np.asarray(first) != np.asarray(second)).any()
    np.testing.assert_array_equal(first, same(ones, training=True))
    # The length of a batch does not change what is drawn.
    np.testing.assert_array_equal(
        LockedDropout(0.5, seed=4)(ones[:, :1], training=True), np.asarray(first)[:, :1]
    )


@pytest.mark.parametrize("by", ["token", "type"])
def test_word_dropout_contract(by):
    run_layer_contract(
        WordDropout,
        {"rate": 0.4, "by": by, "vocabulary_size": 10, "seed": 1},
        {"ids": IDS},
        expected_output_shape=(3, 5),
        mixed_policies=(),
        fit=False,
    )
    run_layer_contract(
        WordDropout,
        {"rate": 0.4, "by": by, "vocabulary_size": 10, "seed": 1},
        {"ids": IDS, "vectors": X},
        expected_output_shape=(3, 5, 6),
    )


@pytest.mark.parametrize("by", ["token", "type"])
def test_word_dropout_never_touches_special_ids(by):
    ids = np.random.default_rng(1).integers(0, 50, (32, 40)).astype("int32")
    drop = WordDropout(0.5, by=by, vocabulary_size=50, seed=2)
    out = np.asarray(drop(ids, training=True))
    special = ids < 4
    np.testing.assert_array_equal(out[special], ids[special])
    words = ids[~special]
    changed = out[~special]
    assert ((changed == words) | (changed == 1)).all()
    assert 0.3 < (changed == 1).mean() < 0.7
    np.testing.assert_array_equal(drop(ids, training=False), ids)
    if by == "type":
        for word in range(4, 50):
            assert len(set(out[ids == word].tolist())) == 1
    else:
        assert any(len(set(out[ids == word].tolist())) == 2 for word in range(4, 50))


def test_word_dropout_of_vectors_scales_what_stays():
    ids = np.random.default_rng(1).integers(0, 50, (8, 40)).astype("int32")
    vectors = np.ones((8, 40, 3), "float32")
    drop = WordDropout(0.25, by="type", vocabulary_size=50, seed=2)
    y = np.asarray(drop(ids, vectors, training=True))
    assert (y[ids < 4] == 1).all()
    assert set(np.unique(y[ids >= 4]).round(4)) == {0.0, np.float32(4 / 3).round(4)}
    np.testing.assert_array_equal(drop(ids, vectors), vectors)


def test_an_implicit_mask_is_passed_on():
    vectors = keras.layers.Embedding(10, 6, mask_zero=True)(IDS)
    for training in (True, False):
        for outputs in (
            LockedDropout(0.1)(vectors, training=training),
            WordDropout(0.1)(IDS, vectors, training=training),
        ):
            np.testing.assert_array_equal(compat.implicit_mask(outputs), IDS != 0)


@pytest.mark.parametrize("by", ["token", "type"])
def test_ids_that_arrive_as_floats_are_not_rounded(by):
    ids = np.array([[2, 4097, 8191]])
    drop = WordDropout(0.2, by=by, vocabulary_size=9000, seed=1, dtype="mixed_float16")
    np.testing.assert_array_equal(drop(ids.astype("float32"), training=False), ids)
    kept = np.asarray(drop(ids.astype("float32"), training=True))
    assert ((kept == ids) | (kept == 1)).all()


def test_numpy_numbers_are_numbers():
    config = WordDropout(np.float32(0.25), unk_id=np.int64(1)).get_config()
    assert (config["rate"], config["unk_id"]) == (0.25, 1)


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match=r"`unk_id` must be a whole number, 0 or more.*'a'"):
        WordDropout(0.1, unk_id="a")
    with pytest.raises(ValueError, match=r"`num_special` must be a whole number, 0 or more.*-2"):
        WordDropout(0.1, num_special=-2)
    with pytest.raises(ValueError, match=r"`rate` must be a number in \[0, 1\). Received: rate=1"):
        LockedDropout(1)
    with pytest.raises(ValueError, match="`by` must be one of 'token', 'type'"):
        WordDropout(0.1, by="row")
    with pytest.raises(ValueError, match="`vocabulary_size` must be a positive whole number"):
        WordDropout(0.1, by="type")
    with pytest.raises(ValueError, match=r"`ids` must have shape \[batch, time\]"):
        WordDropout(0.1)(IDS[0])
    with pytest.raises(ValueError, match=r"`inputs` must have shape \[batch, time, features\]"):
        LockedDropout(0.1)(IDS)
