"""The recurrent encoder-decoder against plain NumPy; a step is a value; ties survive."""

import functools
import json

import keras
import numpy as np
import pytest
from keras import ops

from kerasseq import compat
from kerasseq.layers.attention_decoder import ATTENTIONS
from kerasseq.tasks.translation.model import RecurrentTranslator
from tests.layers import recurrent_reference as reference
from tests.layers.gradients import compiled, gradients
from tests.layers.test_attention import reference as attend_by_hand

SOURCES, TARGETS, UNITS = 9, 11, 6
KINDS = ["none", *ATTENTIONS]
SOURCE_LENGTHS, LENGTHS = np.array([5, 1, 3]), np.array([2, 4, 3])
SOURCE_MASK = np.arange(5)[None] < SOURCE_LENGTHS[:, None]
MASK = np.arange(4)[None] < LENGTHS[:, None]


def made(seed=0, **changes):
    """A model with random weights, so large that every token matters."""
    options = {
        "source_size": SOURCES, "target_size": TARGETS, "embedding_dim": 4, "units": UNITS,
        "encoder_units": 3,
    } | changes  # fmt: skip
    model = RecurrentTranslator(**options)
    random = np.random.default_rng(seed)
    # the state of a dropout's generator is a weight too
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.6, weight.shape))
    return model


once = functools.cache(made)
"""The same, for tests that change nothing of it."""


def ids(size, shape, seed, low=0):
    return np.random.default_rng(seed).integers(low, size, shape).astype("int32")


def batch(seed=1):
    """The call arguments of three pairs."""
    return {
        "source": ids(SOURCES, (3, 5), seed),
        "source_mask": SOURCE_MASK,
        "tokens": ids(SOURCES, (3, 4), seed + 1),
        "mask": MASK,
    }


def numpy(*values):
    return [np.asarray(ops.convert_to_numpy(ops.cast(v, "float32"))) for v in values]


def dtype(value):
    return keras.backend.standardize_dtype(value.dtype)


def log_softmax(logits):
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def logits_by_hand(model, outputs):
    """In float64."""
    tied = reference.weights_of(model.embedding)
    return outputs @ tied["projection"] @ tied["embeddings"].T + tied["bias"]


# -- what it computes ------------------------------------------------------------------------------


def encoded_by_hand(model, source, lengths):
    """What the encoder gives: values, and the final states of each cell, in float64."""
    config = model.get_config()
    embedding = model.source_embedding or model.embedding
    x = np.asarray(ops.copy(embedding.embeddings), "float64")[source]
    count, final = 2 if config["cell"] == "lstm" else 1, []
    for layer in range(config["encoder_layers"]):
        outputs = []
        for direction in range(2):
            weights = reference.weights_of(model.encoder.cells[2 * layer + direction])
            states = [np.zeros((len(source), config["encoder_units"]))] * count
            written, ended = reference.run(
                config["cell"], x, lengths, states, weights, reverse=bool(direction)
            )
            outputs.append(written)
            final.append(ended)
        x = np.concatenate(outputs, -1)
    return x, final


def by_hand(model, source, source_lengths, tokens):
    """Outputs and attention of one pass, by loops over rows and steps, in float64."""
    config, decoder = model.get_config(), model.decoder
    values, final = encoded_by_hand(model, source, source_lengths)
    lengths = source_lengths
    if config["attention"] == "none":  # where either direction of the top layer ended
        values = np.concatenate([final[-2][0], final[-1][0]], -1)[:, None]
        lengths = np.ones(len(source), int)
    flat = [state for states in final for state in states]
    own, layers = 2 if config["cell"] == "lstm" else 1, config["decoder_layers"]
    size = len(flat) // layers
    embedded = np.asarray(ops.copy(model.embedding.embeddings), "float64")[tokens]
    combine = reference.weights_of(decoder.combine)
    outputs = np.zeros((*tokens.shape, config["units"]))
    attention = np.zeros((*tokens.shape, values.shape[1]))
    for row in range(len(tokens)):
        now = []
        for layer in range(layers):
            group = np.concatenate([s[row] for s in flat[layer * size : (layer + 1) * size]])
            for dense in decoder.bridge.layers[layer * own : (layer + 1) * own]:
                weights = reference.weights_of(dense)
                now.append(np.tanh(group @ weights["kernel"] + weights["bias"]))

        def look(query, row=row):
            contexts, weights = attend_by_hand(
                decoder.attention, query[None], values[row], lengths[row]
            )
            return contexts[0], weights[0]

        fed = np.zeros(config["units"])
        for t in range(tokens.shape[1]):
            parts = [embedded[row, t]] + [fed] * config["input_feeding"]
            if config["attend"] == "before":
                context, weights = look(now[-own])
                parts.append(context)
            x = np.concatenate(parts)
            for layer, cell in enumerate(decoder.recurrent.cells):
                place = slice(layer * own, (layer + 1) * own)
                now[place] = reference.step(
                    config["cell"], x, now[place], reference.weights_of(cell)
                )
                x = now[layer * own]
            if config["attend"] == "after":
                context, weights = look(x)
            fed = np.tanh(np.concatenate([x, context]) @ combine["kernel"] + combine["bias"])
            outputs[row, t], attention[row, t] = fed, weights
    return outputs, attention


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "additive"},
        {"attention": "additive", "attend": "before", "cell": "gru", "tie_source": True},
        {"attention": "bilinear", "input_feeding": False, "decoder_layers": 2},
        {"attention": "bilinear", "attend": "before", "input_feeding": False,
         "encoder_layers": 2, "cell": "gru"},
        {"attention": "scaled_dot", "cell": "simple_rnn"},
        {"attention": "none"},
        {"attention": "none", "attend": "before", "input_feeding": False, "cell": "gru"},
        {"attention": "uniform", "encoder_layers": 2, "decoder_layers": 2},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)  # fmt: skip
def test_equals_numpy(options):
    if options.get("tie_source"):
        options = {**options, "source_size": TARGETS}
    model, given = once(**options), batch()
    wanted, weights = by_hand(model, given["source"], SOURCE_LENGTHS, given["tokens"])
    outputs, attention = numpy(*model(**given))
    np.testing.assert_allclose(outputs, np.where(MASK[..., None], wanted, 0), atol=1e-5)
    np.testing.assert_allclose(attention, np.where(MASK[..., None], weights, 0), atol=1e-5)
    targets = ids(TARGETS, (3, 4), 5)
    logs = log_softmax(logits_by_hand(model, wanted))
    expected = -np.take_along_axis(logs, targets[..., None], -1)[..., 0]
    (nll,) = numpy(model.nll(ops.convert_to_tensor(outputs), targets))
    np.testing.assert_allclose(nll[MASK], expected[MASK], atol=1e-4)
    assert model.has_attention == (options["attention"] != "none")


def test_the_plain_encoder_decoder_reads_where_both_directions_ended():
    model, given = once(attention="none"), batch()
    _, memory = model.encode(given["source"], SOURCE_MASK)
    (values,) = numpy(memory["values"])
    assert values.shape == (3, 1, 6)
    outputs, final = encoded_by_hand(model, given["source"], SOURCE_LENGTHS)
    np.testing.assert_allclose(values[:, 0, :3], final[0][0], atol=1e-5)
    np.testing.assert_allclose(values[:, 0, 3:], final[1][0], atol=1e-5)
    for row, length in enumerate(SOURCE_LENGTHS):
        np.testing.assert_allclose(values[row, 0, :3], outputs[row, length - 1, :3], atol=1e-5)
        np.testing.assert_allclose(values[row, 0, 3:], outputs[row, 0, 3:], atol=1e-5)
    (attention,) = numpy(model(**given)[1])
    np.testing.assert_array_equal(attention, MASK[..., None])


@pytest.mark.parametrize("kind", KINDS)
def test_attention_sums_to_1_and_is_0_at_padding(kind):
    model, given = once(attention=kind), batch()
    (attention,) = numpy(model(**given)[1])
    np.testing.assert_allclose(attention.sum(-1), MASK, atol=1e-5)
    assert (attention >= 0).all()
    if kind != "none":
        assert attention.shape == (3, 4, 5)
        assert not attention[np.broadcast_to(~SOURCE_MASK[:, None], attention.shape)].any()


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_influence(kind, feeding):
    """Each pair alone, cut to its lengths, as in the batch, whatever stands at padding."""
    model, given = once(attention=kind, input_feeding=feeding), batch()
    junk = {
        "source": np.where(SOURCE_MASK, given["source"], ids(SOURCES, (3, 5), 8)),
        "tokens": np.where(MASK, given["tokens"], ids(TARGETS, (3, 4), 9)),
    }
    whole = numpy(*model(**given))
    for mine, his in zip(whole, numpy(*model(**{**given, **junk})), strict=True):
        np.testing.assert_array_equal(mine, his)
    assert not whole[0][~MASK].any()
    assert not whole[1][~MASK].any()
    for row, (size, length) in enumerate(zip(SOURCE_LENGTHS, LENGTHS, strict=True)):
        alone = numpy(
            *model(
                given["source"][row : row + 1, :size],
                np.ones((1, size), bool),
                given["tokens"][row : row + 1, :length],
            )
        )
        np.testing.assert_allclose(whole[0][row, :length], alone[0][0], atol=1e-5)
        wanted = whole[1][row, :length, : alone[1].shape[-1]]
        np.testing.assert_allclose(wanted, alone[1][0], atol=1e-5)


@pytest.mark.parametrize("attend", ["after", "before"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_equal_a_call(kind, attend):
    model = once(attention=kind, attend=attend, decoder_layers=2, cell="gru")
    given = batch()
    outputs, attention = model(given["source"], SOURCE_MASK, given["tokens"])
    logits = model.embedding(outputs, project=True)
    outputs, attention, logits = numpy(outputs, attention, logits)
    state, memory = model.encode(given["source"], SOURCE_MASK)
    for t in range(4):
        tokens = ops.convert_to_tensor(given["tokens"][:, t])
        scores, state, weights = model.decoder.step(tokens, state, memory)
        fed, scores, weights = numpy(state["fed"], scores, weights)
        np.testing.assert_allclose(fed, outputs[:, t], atol=1e-5)
        np.testing.assert_allclose(scores, logits[:, t], atol=1e-5)
        np.testing.assert_allclose(weights, attention[:, t], atol=1e-5)
    assert np.asarray(state["position"]).tolist() == [4, 4, 4]


# -- the loss in training --------------------------------------------------------------------------


def weighted():
    weights = np.random.default_rng(4).uniform(0.5, 2, MASK.shape)
    return np.where(MASK, weights, 0).astype("float32")


def test_nll_is_that_of_the_softmax_and_leaves_out_what_is_never_predicted():
    never = (0, 2)
    model, given, targets = once(input_only=never), batch(), ids(TARGETS, (3, 4), 5, low=3)
    outputs = model(**given)[0]
    rest = np.setdiff1d(np.arange(TARGETS), never)
    logs = log_softmax(logits_by_hand(model, numpy(outputs)[0])[..., rest])
    expected = -np.take_along_axis(logs, np.searchsorted(rest, targets)[..., None], -1)[..., 0]
    nll = model.nll(outputs, targets)
    assert dtype(nll) == "float32"
    there = given["mask"]  # which the outputs carry
    np.testing.assert_allclose(numpy(nll)[0], expected * there, atol=1e-5)
    wrong = numpy(model.nll(outputs, np.full((3, 4), 2, "int32")))[0]
    assert (wrong[there] > 1e29).all()


@pytest.mark.parametrize("never", [(), (0, 2)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_training_loss_equals_the_dense_form(smoothing, never):
    model = once(label_smoothing=smoothing, input_only=never)
    given, targets = batch(), ids(TARGETS, (3, 4), 5, low=3)
    outputs = model(**given)[0]
    rest = np.setdiff1d(np.arange(TARGETS), never)
    logs = log_softmax(logits_by_hand(model, numpy(outputs)[0])[..., rest])
    wanted = np.full(logs.shape, smoothing / len(rest))
    np.put_along_axis(
        wanted,
        np.searchsorted(rest, targets)[..., None],
        1 - smoothing + smoothing / len(rest),
        axis=-1,
    )
    expected = -(weighted() * (wanted * logs).sum(-1)).sum()
    loss = model.training_loss(outputs, targets, weighted())
    assert dtype(loss) == "float32"
    assert tuple(loss.shape) == ()
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)
    if not smoothing:
        (nll,) = numpy(model.nll(outputs, targets))
        np.testing.assert_allclose(float(loss), (weighted() * nll).sum(), rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{}, {"attention": "bilinear", "input_feeding": False}, {"attention": "none"},
     {"attend": "before", "tie_source": True, "source_size": TARGETS}],
    ids=lambda options: "-".join(map(str, options.values())) or "plain",
)  # fmt: skip
def test_a_compiled_training_step_lowers_the_loss(options):
    model = once(**options, label_smoothing=0.1, input_only=(0,))
    given, targets, weights = batch(), ids(TARGETS, (3, 4), 5, low=1), weighted()
    variables = model.trainable_variables
    values = [np.asarray(ops.convert_to_numpy(v)) for v in variables]

    def loss(*tensors):
        with keras.StatelessScope(state_mapping=list(zip(variables, tensors, strict=True))):
            return model.training_loss(model(**given, training=True)[0], targets, weights)

    loss = compiled(loss)
    grads = gradients(loss, *values)
    for variable, gradient in zip(variables, grads, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert gradient.any(), f"{variable.path} got no gradient"
    before = float(loss(*map(ops.convert_to_tensor, values)))
    after = [v - np.float32(0.01) * g for v, g in zip(values, grads, strict=True)]
    assert float(loss(*map(ops.convert_to_tensor, after))) < before


@pytest.mark.parametrize("name", ["input_dropout", "encoder_dropout", "decoder_dropout"])
def test_dropout_is_active_in_training_only(name):
    model, plain, given = once(**{name: 0.5}), once(), batch()
    wanted = numpy(plain(**given)[0])[0]
    for training in (None, False):
        (found,) = numpy(model(**given, training=training)[0])
        np.testing.assert_array_equal(found, wanted)
    first, second = (numpy(model(**given, training=True)[0])[0] for _ in range(2))
    assert not np.allclose(first, wanted)
    assert not np.allclose(first, second)


# -- as a Keras model ------------------------------------------------------------------------------


def matrices(model):
    """How many variables have a row for each token."""
    return [w.path for w in model.weights if len(w.shape) == 2 and w.shape[0] in (SOURCES, TARGETS)]


def test_the_weights_are_tied():
    two, three = once(), once(tie_source=True, source_size=TARGETS)
    assert len(matrices(two)) == 2
    assert len(matrices(three)) == 1
    assert three.source_embedding is None
    assert two.count_params() - three.count_params() == SOURCES * 4
    for model in (two, three):
        assert len({w.path for w in model.weights}) == len(model.weights)
        biases = [w for w in model.weights if tuple(w.shape) == (TARGETS,)]
        assert len(biases) == 1


@pytest.mark.parametrize("tie", ["two", "three"])
def test_ties_are_one_variable_after_reload(tie, tmp_path):
    options = {"tie_source": True, "source_size": TARGETS} if tie == "three" else {}
    model, given = made(**options), batch()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(matrices(again)) == len(matrices(model)) == (1 if tie == "three" else 2)
    assert again.count_params() == model.count_params()
    again.embedding.embeddings.assign(np.zeros((TARGETS, 4)))
    again.embedding.bias.assign(np.zeros(TARGETS))
    outputs, _ = again(**given)
    nll = numpy(again.nll(outputs, given["tokens"]))[0]
    np.testing.assert_allclose(nll, np.log(TARGETS) * given["mask"], rtol=1e-5)
    other = {**given, "tokens": (given["tokens"] + 1) % TARGETS}
    np.testing.assert_array_equal(*numpy(outputs, again(**other)[0]))  # targets are looked up
    other = {**given, "source": np.where(SOURCE_MASK, (given["source"] + 1) % SOURCES, 0)}
    same = np.array_equal(*numpy(outputs, again(**other)[0]))
    assert same == (tie == "three")


FULL_OPTIONS = {
    "source_size": TARGETS, "encoder_layers": 2, "decoder_layers": 2, "cell": "gru",
    "attention": "bilinear", "attend": "before", "input_feeding": False, "tie_source": True,
    "input_dropout": 0.1, "encoder_dropout": 0.2, "decoder_dropout": 0.3, "label_smoothing": 0.1,
    "input_only": [0, 2], "kernel": "loop", "use_cudnn": False,
}  # fmt: skip


def test_config_survives_a_round_trip():
    model = made(**FULL_OPTIONS, name="translator")
    config = model.get_config()
    json.dumps(keras.saving.serialize_keras_object(model))
    again = RecurrentTranslator.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    assert {**config, **FULL_OPTIONS, "name": "translator"} == config
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    assert keras.saving.get_registered_name(RecurrentTranslator) == "kerasseq>RecurrentTranslator"


def test_kernel_and_xla_reach_encoder_and_decoder():
    model = made(input_feeding=False, kernel="loop", xla=False)
    assert model.encoder.kernel_plan() == ("loop", "asked for", False)
    assert model.decoder.kernel_plan() == ("loop", "asked for", False)
    again = RecurrentTranslator.from_config(model.get_config())
    assert again.decoder.kernel_plan() == ("loop", "asked for", False)
    assert (model.encoder.xla, model.decoder.xla, model.decoder.recurrent.xla) == (False,) * 3
    in_turn = made(kernel="loop").decoder.kernel_plan()
    assert in_turn.reason.startswith("input feeding")
    if keras.backend.backend() == "tensorflow":
        model = made(input_feeding=False, kernel="closed_form", xla=True)
        plan = model.decoder.kernel_plan()
        assert plan == ("closed_form", "asked for; xla=True was asked for", True)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one kernel on this backend")
def test_kernels_agree():
    found = [
        numpy(*once(input_feeding=False, decoder_layers=2, kernel=kernel)(**batch()))
        for kernel in ("loop", "closed_form")
    ]
    for ours, theirs in zip(*found, strict=True):
        assert ours.any()
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    "options", [*({"attention": kind} for kind in KINDS), FULL_OPTIONS],
    ids=[*KINDS, "all options"],
)  # fmt: skip
def test_reloads_with_the_same_numbers(options, tmp_path):
    model, given, targets = made(**options), batch(), ids(TARGETS, (3, 4), 5, low=3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    assert len(again.weights) == len(model.weights)
    for mine, his in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(*numpy(mine, his))
    found = [[*m(**given), m.nll(m(**given)[0], targets)] for m in (model, again)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(*numpy(one, other))


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_bfloat16(kind):
    plain, given, targets = once(attention=kind), batch(), ids(TARGETS, (3, 4), 5)
    model = made(attention=kind, dtype="mixed_bfloat16")
    assert {layer.dtype_policy.name for layer in compat.all_layers(model)} == {"mixed_bfloat16"}
    assert {dtype(w) for w in model.trainable_weights} == {"float32"}
    outputs, attention = model(**given)
    assert dtype(outputs) == dtype(attention) == "bfloat16"
    nll, loss = model.nll(outputs, targets), model.training_loss(outputs, targets, weighted())
    assert dtype(nll) == dtype(loss) == "float32"
    wanted = plain(**given)
    np.testing.assert_allclose(*numpy(outputs, wanted[0]), atol=0.1)
    np.testing.assert_allclose(*numpy(attention, wanted[1]), atol=0.1)
    (mine,), (his,) = numpy(nll), numpy(plain.nll(wanted[0], targets))
    np.testing.assert_allclose(mine[MASK], his[MASK], atol=0.2)
    state, memory = model.encode(given["source"], SOURCE_MASK)
    kept = {name: dtype(v) for name, v in memory.items()}
    assert kept == {"values": "bfloat16", "keys": "bfloat16", "mask": "bool"}
    for _ in range(2):
        assert {dtype(s) for s in [*state["recurrent"], state["fed"]]} == {"bfloat16"}
        logits, state, _ = model.decoder.step(np.array([1, 2, 3]), state, memory)
        assert dtype(logits) == "float32"


def test_a_model_keeps_its_dtype_whatever_is_global(tmp_path):
    given, model = batch(), made(dtype="float32")
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        again = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(*numpy(model(**given)[0], again(**given)[0]))
    finally:
        keras.config.set_dtype_policy("float32")


def test_errors():
    for kind in ("dot", "scaled_dot"):
        with pytest.raises(ValueError, match=r"needs units = 2 \* encoder_units .*units=6, encod"):
            made(attention=kind, encoder_units=4)
    made(attention="bilinear", encoder_units=4)
    with pytest.raises(ValueError, match=r"`tie_source` needs one vocabulary.*source_size=9, t"):
        made(tie_source=True)
    with pytest.raises(ValueError, match=r"`attention` must be one of 'none'.*'bahdanov'"):
        made(attention="bahdanov")
    with pytest.raises(ValueError, match="`attend` must be one of"):
        made(attend="during")
    with pytest.raises(ValueError, match="`cell` must be one of"):
        made(cell="transformer")
    with pytest.raises(ValueError, match="`input_only` must hold ids"):
        made(input_only=[TARGETS])
    model, given = made(), batch()
    with pytest.raises(ValueError, match="`source` must have shape"):
        model(given["source"][0], SOURCE_MASK, given["tokens"])
    with pytest.raises(ValueError, match="`tokens` must have shape"):
        model(given["source"], SOURCE_MASK, given["tokens"][..., None])
    with pytest.raises(ValueError, match="same batch"):
        model(given["source"], SOURCE_MASK, given["tokens"][:2])
