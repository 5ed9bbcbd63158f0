"""The recurrent language model against plain NumPy; its state is a value."""

import itertools
import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasseq import compat
from kerasseq.tasks.language_model.model import RecurrentLanguageModel
from tests.examples import examples
from tests.layers import recurrent_reference as reference
from tests.layers.gradients import gradients

TENSORFLOW = keras.backend.backend() == "tensorflow"
needs_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow only")
SIZE = 11
SOFTMAXES = {
    "full": {},
    "sampled": {"softmax": "sampled", "num_sampled": 5},
    "adaptive": {"softmax": "adaptive", "cutoffs": [4, 7]},
}
CELLS = ["lstm", "gru", "simple_rnn"]
LENGTHS = np.array([6, 1, 4])
MASK = np.arange(6)[None] < LENGTHS[:, None]


def made(seed=0, **changes):
    """A model with random weights, so large that every token matters."""
    options = {"vocabulary_size": SIZE, "embedding_dim": 4, "units": 5, "num_layers": 2} | changes
    model = RecurrentLanguageModel(**options)
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.6, w.shape) for w in model.get_weights()])
    return model


def texts(batch=3, time=6, seed=1, low=0):
    random = np.random.default_rng(seed)
    return random.integers(low, SIZE, (batch, time)).astype("int32")


def numpy(values):
    return [np.asarray(ops.convert_to_numpy(ops.cast(v, "float32"))) for v in values]


def by_hand(model, ids, lengths=None):
    """Outputs and final states, in float64."""
    config = model.get_config()
    x = np.asarray(ops.copy(model.embedding.embeddings), "float64")[ids]
    count = 2 if config["cell"] == "lstm" else 1
    lengths = [ids.shape[1]] * len(ids) if lengths is None else lengths
    final = []
    for cell in model.recurrent.cells:
        states = [np.zeros((len(ids), config["units"]))] * count
        weights = reference.weights_of(cell)
        x, ended = reference.run(config["cell"], x, lengths, states, weights)
        final += ended
    return x, final


def log_softmax(logits):
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def scores_by_hand(model, outputs):
    """Logits, in float64."""
    weights = {w.name: np.asarray(w, "float64") for w in model.embedding.weights}
    hidden = outputs @ weights["projection"] if "projection" in weights else outputs
    return hidden @ weights["embeddings"].T + weights["bias"]


def adaptive_by_hand(model, outputs):
    """`log p` by the clusters [4, 7)  and [7, 11), in float64."""
    weights = {w.name: np.asarray(w, "float64") for w in model.weights}
    hidden = outputs @ weights["projection"]
    scores = scores_by_hand(model, outputs)
    clusters = hidden @ weights["cluster_kernel"].T + weights["cluster_bias"]
    head = log_softmax(np.concatenate([scores[..., :4], clusters], -1))
    tails = [
        head[..., 4 + i, None] + log_softmax(scores[..., low:high])
        for i, (low, high) in enumerate([(4, 7), (7, 11)])
    ]
    return np.concatenate([head[..., :4], *tails], -1)


# -- what it computes ------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [5, 4])  # with and without a projection
@pytest.mark.parametrize("cell", CELLS)
def test_equals_numpy(cell, units):
    model, ids = made(cell=cell, units=units), texts()
    outputs, raw, states = model(ids)
    wanted, final = by_hand(model, ids)
    np.testing.assert_allclose(numpy([outputs])[0], wanted, atol=1e-5)
    np.testing.assert_array_equal(*numpy([outputs, raw]))
    assert len(states) == len(final) == (4 if cell == "lstm" else 2)
    for mine, his in zip(numpy(states), final, strict=True):
        np.testing.assert_allclose(mine, his, atol=1e-5)
    log_probs = log_softmax(scores_by_hand(model, wanted))
    np.testing.assert_allclose(numpy([model.log_probs(outputs)])[0], log_probs, atol=1e-4)


def test_the_adaptive_softmax_equals_numpy():
    model, ids = made(**SOFTMAXES["adaptive"]), texts()
    wanted = adaptive_by_hand(model, by_hand(model, ids)[0])
    found = numpy([model.log_probs(model(ids)[0])])[0]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_log_probs_are_a_distribution_and_its_nll(softmax):
    model, ids, targets = made(**SOFTMAXES[softmax]), texts(), texts(seed=2)
    outputs = model(ids)[0]
    log_probs = numpy([model.log_probs(outputs)])[0]
    assert log_probs.shape == (3, 6, SIZE)
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1, atol=1e-5)
    nll = numpy([model.nll(outputs, targets)])[0]
    expected = -np.take_along_axis(log_probs, targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(nll, expected, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_mask_gives_the_states_at_the_last_valid_step(cell):
    model, ids = made(cell=cell), texts()
    outputs, _, states = model(ids, mask=MASK)
    wanted, final = by_hand(model, ids, LENGTHS)
    np.testing.assert_allclose(numpy([outputs])[0][MASK], wanted[MASK], atol=1e-5)
    for mine, his in zip(numpy(states), final, strict=True):
        np.testing.assert_allclose(mine, his, atol=1e-5)


# -- the state is a value --------------------------------------------------------------------------

CARRIED = {}


@examples(15 if TENSORFLOW else 4)
@given(
    cell=st.sampled_from(CELLS),
    softmax=st.sampled_from(list(SOFTMAXES)),
    cuts=st.sets(st.integers(1, 8), max_size=4),
    masked=st.booleans(),
)
def test_in_pieces_with_the_state_carried_as_in_one_pass(cell, softmax, cuts, masked):
    ids, targets = texts(2, 9), texts(2, 9, seed=2)
    if (cell, softmax) not in CARRIED:
        model = made(cell=cell, **SOFTMAXES[softmax])
        outputs, _, states = model(ids)
        log_probs, nll = model.log_probs(outputs), model.nll(outputs, targets)
        CARRIED[cell, softmax] = model, numpy([outputs, log_probs, nll]), numpy(states)
    model, wanted, final = CARRIED[cell, softmax]
    states, parts = model.initial_state(2), []
    edges = [0, *sorted(cuts), 9]
    for low, high in itertools.pairwise(edges):
        mask = np.ones((2, high - low), bool) if masked else None
        outputs, _, states = model(ids[:, low:high], states, mask=mask)
        nll = model.nll(outputs, targets[:, low:high])
        parts.append(numpy([outputs, model.log_probs(outputs), nll]))
    for mine, his in zip(zip(*parts, strict=True), wanted, strict=True):
        np.testing.assert_allclose(np.concatenate(mine, 1), his, atol=1e-5)
    for mine, his in zip(numpy(states), final, strict=True):
        np.testing.assert_allclose(mine, his, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_rows_that_end_early_go_on_from_where_they_ended(cell):
    """A masked batch, then one step more of each row: as each row alone without padding."""
    model, ids, more = made(cell=cell), texts(), texts(3, 1, seed=5)
    _, _, states = model(ids, mask=MASK)
    after = numpy([model(more, states)[0]])[0]
    for row, length in enumerate(LENGTHS):
        alone = np.concatenate([ids[row, :length], more[row]])[None]
        wanted = numpy([model(alone)[0]])[0][0, -1]
        np.testing.assert_allclose(after[row, 0], wanted, atol=1e-5)


@pytest.mark.parametrize("softmax", SOFTMAXES)
@pytest.mark.parametrize("cell", CELLS)
def test_steps_equal_a_call(cell, softmax):
    model, ids = made(cell=cell, **SOFTMAXES[softmax]), texts()
    outputs, _, final = model(ids)
    whole = numpy([model.log_probs(outputs)])[0]
    states = model.initial_state(3)
    for t in range(ids.shape[1]):
        log_probs, states = model.step(ops.convert_to_tensor(ids[:, t]), states)
        np.testing.assert_allclose(numpy([log_probs])[0], whole[:, t], atol=1e-5)
    for mine, his in zip(numpy(states), numpy(final), strict=True):
        np.testing.assert_allclose(mine, his, atol=1e-5)


# -- the loss in training --------------------------------------------------------------------------


def weighted():
    weights = np.random.default_rng(4).uniform(0.5, 2, (3, 6)).astype("float32")
    return np.where(MASK, weights, 0).astype("float32")


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_training_loss_is_the_weighted_sum_of_the_nll(softmax):
    model, targets, weights = made(**SOFTMAXES[softmax]), texts(seed=2), weighted()
    outputs = model(texts())[0]
    loss = model.training_loss(outputs, targets, weights)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    wanted = by_hand(model, texts())[0]
    logs = log_softmax(scores_by_hand(model, wanted))
    if softmax == "adaptive":
        logs = adaptive_by_hand(model, wanted)
    expected = -(weights * np.take_along_axis(logs, targets[..., None], -1)[..., 0]).sum()
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)
    nll = numpy([model.nll(outputs, targets)])[0]
    np.testing.assert_allclose(float(loss), (weights * nll).sum(), rtol=1e-5)


def test_a_large_sample_gives_the_full_loss():
    errors = []
    for count in (5, 20_000):
        model = made(softmax="sampled", num_sampled=count)
        outputs, targets = model(texts())[0], texts(seed=2)
        full = (weighted() * numpy([model.nll(outputs, targets)])[0]).sum()
        drawn = [float(model.training_loss(outputs, targets, weighted())) for _ in range(10)]
        assert len(set(drawn)) > 1, "every call draws anew"
        # One draw of the small sample may fall near the full loss; of ten, not every one does.
        errors.append(np.abs(np.array(drawn) - full) / full)
    assert errors[1].max() < 0.01 < errors[0].max()


def loss_gradients(model, ids, targets, weights):
    """The training loss and its gradient with respect to every trainable weight."""
    values = [np.asarray(ops.convert_to_numpy(v)) for v in model.trainable_variables]

    def loss(*tensors):
        # what is drawn inside is drawn again at the next call
        mapping = zip(model.trainable_variables, tensors, strict=True)
        with keras.StatelessScope(state_mapping=list(mapping)):
            return model.training_loss(model(ids)[0], targets, weights)

    grads = gradients(loss, *values, compile=not TENSORFLOW)
    with_names = {v.path: g for v, g in zip(model.trainable_variables, grads, strict=True)}
    assert len(with_names) == len(grads)
    return float(loss(*map(ops.convert_to_tensor, values))), with_names


@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_every_weight_gets_a_gradient(softmax):
    model = made(**SOFTMAXES[softmax], input_only=[0])
    targets = texts(seed=2, low=1)
    _, grads = loss_gradients(model, texts(), targets, weighted())
    for path, gradient in grads.items():
        assert np.isfinite(gradient).all(), path
        assert gradient.any(), f"{path} got no gradient"


def test_gradient_of_the_full_loss_equals_the_dense_form():
    model, ids, targets, weights = made(), texts(), texts(seed=2), weighted()
    _, mine = loss_gradients(model, ids, targets, weights)
    values = [np.asarray(ops.convert_to_numpy(v)) for v in model.trainable_variables]

    def dense(*tensors):
        mapping = zip(model.trainable_variables, tensors, strict=True)
        with keras.StatelessScope(state_mapping=list(mapping)):
            log_probs = model.log_probs(model(ids)[0])
            gold = ops.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
            return -ops.sum(gold * weights)

    theirs = gradients(dense, *values, compile=not TENSORFLOW)
    for (path, gradient), his in zip(mine.items(), theirs, strict=True):
        np.testing.assert_allclose(gradient, his, atol=1e-4 * np.abs(his).max(), err_msg=path)


@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_padding_on_the_right_changes_nothing(softmax):
    """Neither loss nor gradients, whatever stands there; no mask is given."""
    model = made(**SOFTMAXES[softmax], input_only=[0, 2])
    ids, targets = texts(), np.where(MASK, texts(seed=2, low=3), 0)
    results = []
    for fill in (0, 7):
        if softmax == "sampled":
            model.softmax.seed_generator.state.assign(np.array([1, 2]))
        junk = np.where(MASK, ids, fill).astype("int32")
        aims = np.where(MASK, targets, fill).astype("int32")
        results.append(loss_gradients(model, junk, aims, weighted()))
    assert np.isfinite(results[0][0])
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    for path, gradient in results[0][1].items():
        np.testing.assert_allclose(gradient, results[1][1][path], atol=1e-5, err_msg=path)


# -- what is never predicted -----------------------------------------------------------------------


@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_input_only_ids_have_no_probability_and_take_none(softmax):
    never = [0, 2, 5]
    model = made(**SOFTMAXES[softmax], input_only=never)
    ids, rest = texts(), np.setdiff1d(np.arange(SIZE), never)
    targets = rest[texts(seed=2) % len(rest)].astype("int32")
    outputs, wanted = model(ids)[0], by_hand(model, ids)[0]
    scores = scores_by_hand(model, wanted)
    if softmax == "adaptive":
        hidden = wanted @ np.asarray(model.embedding.projection, "float64")
        weights = {w.name: np.asarray(w, "float64") for w in model.softmax.weights}
        clusters = hidden @ weights["cluster_kernel"].T + weights["cluster_bias"]
        head = log_softmax(np.concatenate([scores[..., [1, 3]], clusters], -1))
        logs = np.concatenate(
            [
                head[..., :2],
                head[..., 2, None] + log_softmax(scores[..., [4, 6]]),
                head[..., 3, None] + log_softmax(scores[..., 7:]),
            ],
            -1,
        )
    else:
        logs = log_softmax(scores[..., rest])
    log_probs = numpy([model.log_probs(outputs)])[0]
    np.testing.assert_allclose(log_probs[..., rest], logs, atol=1e-4)
    assert (log_probs[..., never] <= -1e29).all()
    assert (np.exp(log_probs[..., never]) == 0).all()
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1, atol=1e-5)
    place = np.searchsorted(rest, targets)
    nll = -np.take_along_axis(logs, place[..., None], -1)[..., 0]
    np.testing.assert_allclose(numpy([model.nll(outputs, targets)])[0], nll, atol=1e-4)
    if softmax != "sampled":
        loss = float(model.training_loss(outputs, targets, weighted()))
        np.testing.assert_allclose(loss, (weighted() * nll).sum(), rtol=1e-5)
    # they are read like all others
    assert not np.allclose(*numpy([model(np.array([[3, 2]]))[0], model(np.array([[3, 5]]))[0]]))


def test_sampled_candidates_that_are_never_predicted_do_not_count():
    never = [0, 1, 2]  # the likeliest candidates
    model = made(softmax="sampled", num_sampled=20_000, input_only=never)
    targets = texts(seed=2, low=3)
    outputs = model(texts())[0]
    full = (weighted() * numpy([model.nll(outputs, targets)])[0]).sum()
    drawn = float(model.training_loss(outputs, targets, weighted()))
    np.testing.assert_allclose(drawn, full, rtol=0.02)


# -- as a Keras model ------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_the_weights_are_tied(cell):
    model = made(cell=cell)
    names = [w.name for w in model.trainable_weights]
    assert names.count("embeddings") == 1
    cells = ["kernel", "recurrent_kernel", "bias"] * 2
    assert sorted(names) == sorted(["embeddings", "bias", "projection", *cells])
    square = [w.name for w in made(cell=cell, units=4).trainable_weights]
    assert sorted(square) == sorted(["embeddings", "bias", *cells])
    adaptive = [w.name for w in made(cell=cell, **SOFTMAXES["adaptive"]).trainable_weights]
    assert sorted(adaptive) == sorted([*names, "cluster_kernel", "cluster_bias"])
    large = sum(w.shape[0] == SIZE and len(w.shape) == 2 for w in model.weights)
    assert large == 1


FULL_OPTIONS = {
    "num_layers": 3, "cell": "gru", "embedding_dropout": 0.1, "input_dropout": 0.2,
    "layer_dropout": 0.3, "output_dropout": 0.4, "recurrent_dropout": 0.1, "input_only": [0, 2],
    "kernel": "loop", "use_cudnn": False,
}  # fmt: skip


@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_config_survives_a_round_trip(softmax):
    model = made(**FULL_OPTIONS, **SOFTMAXES[softmax], name="lm")
    config = model.get_config()
    json.dumps(keras.saving.serialize_keras_object(model))
    again = RecurrentLanguageModel.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    assert {**config, **FULL_OPTIONS, "name": "lm"} == config
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    assert keras.saving.get_registered_name(RecurrentLanguageModel) == (
        "kerasseq>RecurrentLanguageModel"
    )


@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_reloads_with_the_same_numbers(softmax, tmp_path):
    model, ids, targets = made(**SOFTMAXES[softmax], input_only=[0]), texts(), texts(seed=2, low=1)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(again.weights) == len(model.weights)
    for mine, his in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(*numpy([mine, his]))
    for one, other in zip(
        *([*m(ids)[:1], *m(ids)[2], m.nll(m(ids)[0], targets), m.log_probs(m(ids)[0])]
          for m in (model, again)), strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(*numpy([one, other]))
    # still tied
    again.embedding.embeddings.assign(np.zeros((SIZE, 4)))
    again.embedding.bias.assign(np.zeros(SIZE))
    if softmax != "adaptive":
        nll = numpy([again.nll(again(ids)[0], targets)])[0]
        np.testing.assert_allclose(nll, np.log(SIZE - 1), rtol=1e-5)


DROPOUTS = ["embedding", "input", "layer", "output", "recurrent"]


@pytest.mark.parametrize("dropout", [*(f"{name}_dropout" for name in DROPOUTS), "weight_drop"])
def test_dropout_is_active_in_training_only(dropout):
    keras.utils.set_random_seed(0)
    model, ids = made(**{dropout: 0.5}), texts()
    plain = made()
    weights = plain.get_weights()
    for mine, his in zip(model.trainable_weights, weights, strict=True):
        mine.assign(his)
    wanted = numpy([plain(ids)[0]])[0]
    for training in (None, False):
        np.testing.assert_array_equal(numpy([model(ids, training=training)[0]])[0], wanted)
    first, second = (numpy(model(ids, training=True)[:2]) for _ in range(2))
    assert not np.allclose(first[0], wanted)
    assert not np.allclose(first[0], second[0])
    if dropout == "output_dropout":  # the raw outputs are those before it
        np.testing.assert_array_equal(first[1], wanted)
        kept = first[0] != 0
        assert (kept == kept[:, :1]).all(), "one mask for all steps"
        np.testing.assert_allclose(first[0][kept], 2 * wanted[kept], rtol=1e-5)
    else:
        np.testing.assert_array_equal(*first)


@pytest.mark.parametrize("cell", CELLS)
def test_mixed_bfloat16(cell):
    plain, ids, targets = made(cell=cell), texts(), texts(seed=2)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = made(cell=cell)
        outputs, raw, states = model(ids)
        assert all(
            keras.backend.standardize_dtype(v.dtype) == "bfloat16" for v in (outputs, raw, *states)
        )
        assert all(
            keras.backend.standardize_dtype(w.dtype) == "float32" for w in model.trainable_weights
        )
        assert all(
            keras.backend.standardize_dtype(s.dtype) == "bfloat16" for s in model.initial_state(3)
        )
        nll = model.nll(outputs, targets)
        log_probs = model.log_probs(outputs)
        loss = model.training_loss(outputs, targets, weighted())
        half, rest = model(ids[:, :2]), ids[:, 2:]
        carried = numpy([model(rest, half[2])[0]])[0]
    finally:
        keras.config.set_dtype_policy("float32")
    wanted = plain(ids)
    for value in (nll, log_probs, loss):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
    np.testing.assert_allclose(*numpy([outputs, wanted[0]]), atol=0.03)
    np.testing.assert_allclose(*numpy([nll, plain.nll(wanted[0], targets)]), atol=0.08)
    full = float(plain.training_loss(wanted[0], targets, weighted()))
    assert float(loss) == pytest.approx(full, rel=0.02)
    np.testing.assert_allclose(carried, numpy([outputs])[0][:, 2:], atol=0.03)


@pytest.mark.parametrize(("mine", "others"), [("mixed_bfloat16", "float32"),
                                              ("float32", "mixed_bfloat16")])  # fmt: skip
def test_a_saved_model_keeps_its_dtype_whatever_is_global(mine, others, tmp_path):
    """Or it would run half in one and half in the other, and round states on their way in."""
    ids, targets = texts(), texts(seed=2)
    model = made(dtype=mine)
    assert {layer.dtype_policy.name for layer in compat.all_layers(model)} == {mine}
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy(others)
    try:
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert {layer.dtype_policy.name for layer in compat.all_layers(again)} == {mine}
        results = [[*m(ids)[:2], *m(ids)[2], m.nll(m(ids)[0], targets)] for m in (model, again)]
        states = again(ids[:, :2])[2]
        rest = again(ids[:, 2:], states)[0]
    finally:
        keras.config.set_dtype_policy("float32")
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(*numpy([one, other]))
    whole = numpy([results[1][0]])[0][:, 2:]
    np.testing.assert_allclose(numpy([rest])[0], whole, atol=1e-5 if mine == "float32" else 0.03)


def test_initial_state_is_zeros_and_the_default():
    model, ids = made(), texts()
    state = model.initial_state(3)
    assert [tuple(s.shape) for s in state] == [(3, 5)] * 4
    assert not any(np.asarray(s).any() for s in state)
    np.testing.assert_array_equal(*numpy([model(ids)[0], model(ids, state)[0]]))


def test_errors():
    with pytest.raises(ValueError, match="`softmax` must be"):
        made(softmax="hierarchical")
    with pytest.raises(ValueError, match="`cutoffs` must rise"):
        made(softmax="adaptive")
    with pytest.raises(ValueError, match="`input_only` must hold ids"):
        made(input_only=[SIZE])
    with pytest.raises(ValueError, match="`ids` must"):
        made()(np.zeros((2, 3, 4), "int32"))


@needs_tensorflow
@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_a_step_as_a_saved_model(softmax, tmp_path):
    import tensorflow as tf

    model = made(**SOFTMAXES[softmax], use_cudnn=False)
    module = tf.Module()
    module.all_variables = [v.value for v in model.variables]
    states = [tf.TensorSpec([None, 5], tf.float32) for _ in range(4)]
    module.step = tf.function(model.step, input_signature=[tf.TensorSpec([None], tf.int32), states])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    state, again = model.initial_state(3), model.initial_state(3)
    for t in range(4):
        token = tf.constant(texts()[:, t])
        log_probs, state = model.step(token, state)
        found, again = loaded.step(token, again)
        np.testing.assert_allclose(found, log_probs, atol=1e-6)
