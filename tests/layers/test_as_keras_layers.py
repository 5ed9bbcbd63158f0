"""Layers where Keras' own would stand: in `Sequential`, behind `mask_zero`, with its settings."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasseq.layers import (
    AttentionDecoder,
    BitsPerCharacter,
    LastPooling,
    MaskedSparseCrossentropy,
    Perplexity,
    RecurrentStack,
    TiedEmbedding,
)

IDS = np.array([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0], [1, 2, 3, 4, 5]])
X = np.random.default_rng(0).normal(size=(3, 6, 5)).astype("float32")
MASK = np.arange(6)[None] < np.array([[6], [4], [1]])
KERNELS = ["closed_form", "loop"] if keras.backend.backend() == "tensorflow" else ["loop"]
KERAS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "simple_rnn": keras.layers.SimpleRNN,
}


def sequential(*layers):
    return keras.Sequential(
        [keras.Input((None,), dtype="int32"), keras.layers.Embedding(6, 4, mask_zero=True), *layers]
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("cell", KERAS)
def test_two_layers_in_a_sequential_model_give_the_numbers_of_keras(cell, kernel):
    theirs = sequential(
        KERAS[cell](3, return_sequences=True), KERAS[cell](3), keras.layers.Dense(2)
    )
    ours = sequential(
        RecurrentStack(3, cell=cell, kernel=kernel),
        RecurrentStack(3, cell=cell, kernel=kernel, return_sequences=False),
        keras.layers.Dense(2),
    )
    pooled = sequential(
        RecurrentStack(3, 2, cell=cell, kernel=kernel), LastPooling(), keras.layers.Dense(2)
    )
    for model in (ours, pooled):
        model.set_weights(theirs.get_weights())
        np.testing.assert_allclose(model(IDS), theirs(IDS), atol=1e-6)
        np.testing.assert_allclose(model.predict(IDS, verbose=0), theirs(IDS), atol=1e-6)


def test_a_loss_of_keras_behind_a_stack_counts_no_padding():
    targets = np.arange(15).reshape(3, 5) % 2
    losses, weights = [], None
    for layer in (keras.layers.LSTM(3, return_sequences=True), RecurrentStack(3)):
        model = sequential(layer, keras.layers.Dense(2))
        if weights:
            model.set_weights(weights)
        weights = model.get_weights()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses.append(model.evaluate(IDS, targets, verbose=0))
        own = MaskedSparseCrossentropy()(targets, model(IDS))
        np.testing.assert_allclose(own, losses[-1], rtol=1e-5)
    np.testing.assert_allclose(*losses, rtol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_without_sequences_it_is_the_last_step(bidirectional):
    whole = RecurrentStack(4, 2, bidirectional=bidirectional, residual=True)
    last = RecurrentStack(
        4, 2, bidirectional=bidirectional, residual=True, return_sequences=False, return_state=True
    )
    last.build(X.shape)
    whole.build(X.shape)
    last.set_weights(whole.get_weights())
    found, states = last(X, mask=MASK)
    pooled = LastPooling(bidirectional)(whole(X, mask=MASK), mask=MASK)
    np.testing.assert_array_equal(found, pooled)
    assert last.compute_output_shape(X.shape)[0] == found.shape
    assert len(states) == (8 if bidirectional else 4)


@pytest.mark.parametrize("cell", KERAS)
def test_other_activations_run_in_the_loop_and_equal_keras(cell):
    options = {"activation": "relu"}
    if cell != "simple_rnn":
        options["recurrent_activation"] = "hard_sigmoid"
    stack, theirs = RecurrentStack(4, cell=cell, **options), KERAS[cell](4, **options)
    theirs.build(X.shape)
    stack.build(X.shape)
    stack.set_weights(theirs.get_weights())
    np.testing.assert_allclose(stack(X)[:, -1], theirs(X), rtol=1e-5, atol=1e-6)
    assert stack.kernel_plan().name == "loop"
    clone = RecurrentStack.from_config(stack.get_config())
    assert clone.get_config() == stack.get_config()
    if len(KERNELS) > 1:
        assert "only tanh has a hand-written form" in str(stack.kernel_plan())
        with pytest.raises(ValueError, match="only tanh has a hand-written form"):
            RecurrentStack(4, cell=cell, kernel="closed_form", **options).build(X.shape)


@pytest.mark.skipif(len(KERNELS) < 2, reason="gradients by TensorFlow")
@pytest.mark.parametrize("cell", KERAS)
def test_kernels_without_a_bias_have_the_same_gradients(cell):
    import tensorflow as tf

    found, weights = [], None
    for kernel in KERNELS:
        stack = RecurrentStack(4, cell=cell, kernel=kernel, use_bias=False, bidirectional=True)
        stack.build(X.shape)
        assert len(stack.weights) == 4
        if weights:
            stack.set_weights(weights)
        weights = stack.get_weights()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(stack(X, mask=MASK, training=True) ** 2)
        found.append(tape.gradient(loss, [w.value for w in stack.trainable_weights]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_regularisers_are_added_to_the_loss():
    stack = RecurrentStack(
        4, 2, kernel_regularizer=keras.regularizers.L2(0.1), recurrent_regularizer="l1"
    )
    stack(X)
    assert len(stack.losses) == 4
    wanted = sum(0.1 * (ops.convert_to_numpy(cell.kernel) ** 2).sum() for cell in stack.cells)
    for cell in stack.cells:
        wanted += 0.01 * np.abs(ops.convert_to_numpy(cell.recurrent_kernel)).sum()
    np.testing.assert_allclose(ops.convert_to_numpy(sum(stack.losses)), wanted, rtol=1e-5)


def test_gates_of_a_cell_without_them_and_both_directions_are_named():
    with pytest.raises(ValueError, match="`recurrent_activation` is of gates"):
        RecurrentStack(4, cell="simple_rnn", recurrent_activation="relu")
    with pytest.raises(ValueError, match="bidirectional=True runs both directions"):
        keras.layers.Bidirectional(RecurrentStack(4))
    with pytest.raises(ValueError, match="`activation` is for a cell that is given by its name"):
        RecurrentStack(4, cell=keras.layers.LSTMCell(4), activation="relu")


def test_ragged_input_is_answered_with_the_dense_form():
    tf = pytest.importorskip("tensorflow")
    ragged = tf.ragged.constant([[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]], ragged_rank=1)
    with pytest.raises(ValueError, match=r"x\.to_tensor\(\)` with mask=tf\.sequence_mask"):
        RecurrentStack(4)(ragged)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_probabilities_give_the_loss_of_their_logits(smoothing):
    random = np.random.default_rng(1)
    targets, logits = random.integers(0, 7, (2, 3)), random.normal(size=(2, 3, 7)).astype("float32")
    shares = ops.softmax(logits)
    for made in (
        lambda **o: MaskedSparseCrossentropy(smoothing, **o),
        lambda **o: measured(Perplexity(**o)),
        lambda **o: measured(BitsPerCharacter(**o)),
    ):
        wanted, found = made()(targets, logits), made(from_logits=False)(targets, shares)
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    theirs = keras.losses.SparseCategoricalCrossentropy()(targets, shares)
    found = MaskedSparseCrossentropy(from_logits=False)(targets, shares)
    np.testing.assert_allclose(found, theirs, rtol=1e-5)
    loss = MaskedSparseCrossentropy(from_logits=False)
    assert MaskedSparseCrossentropy.from_config(loss.get_config()).from_logits is False


def measured(metric):
    def measure(targets, predicted):
        metric.update_state(targets, predicted)
        return metric.result()

    return measure


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_quantizing_leaves_what_it_cannot_and_says_so():
    tokens, source = keras.Input((None,), dtype="int32"), keras.Input((None, 8))
    decoder = AttentionDecoder(TiedEmbedding(20, 16), 16, bridge="zeros")
    model = keras.Model([tokens, source], decoder(tokens, source))
    inputs = [np.array([[1, 2, 3]]), np.random.default_rng(2).normal(size=(1, 4, 8))]
    before = model(inputs)
    with pytest.warns(UserWarning, match="`o` is not quantized and stays as it is"):
        model.quantize("int8")
    np.testing.assert_array_equal(model(inputs), before)
    embedded = sequential(RecurrentStack(3), LastPooling(), keras.layers.Dense(2))
    before = ops.convert_to_numpy(embedded(IDS))
    with pytest.warns(UserWarning, match="the cell of a RecurrentStack is not quantized"):
        embedded.quantize("int8")
    np.testing.assert_allclose(embedded(IDS), before, atol=0.01)
