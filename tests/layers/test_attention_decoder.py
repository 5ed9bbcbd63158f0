"""AttentionDecoder: steps equal the teacher-forced pass, state is a value, ties survive."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from kerasseq.layers.additive_attention import AdditiveAttention
from kerasseq.layers.attention_decoder import AttentionDecoder
from kerasseq.layers.recurrent_stack import RecurrentStack
from kerasseq.layers.tied_embedding import TiedEmbedding
from tests.layers.contract import run_layer_contract
from tests.layers.gradients import gradients
from tests.layers.recurrent_reference import lstm_step, weights_of

SOURCE_MASK = np.array([[True, True, True, True], [True, True, False, False]])
TARGET_MASK = np.array([[True, True, False], [True, True, True]])


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "tokens": rng.integers(0, 7, (2, 3)).astype("int32"),
        "encoder_outputs": rng.normal(size=(2, 4, 6)).astype("float32"),
        "encoder_mask": SOURCE_MASK,
    }


def states(layers, cell, seed=1):
    rng = np.random.default_rng(seed)
    count = layers * (2 if cell == "lstm" else 1)
    return [rng.normal(size=(2, 6)).astype("float32") for _ in range(count)]


def decoder(units=6, **kwargs):
    return AttentionDecoder(TiedEmbedding(7, 5, hidden_dim=units), units, **kwargs)


@pytest.mark.parametrize(
    "kwargs", [{"input_feeding": False}, {"attend": "before", "attention": "bilinear"}]
)
def test_contract(kwargs):
    run_layer_contract(
        AttentionDecoder,
        {"embedding": TiedEmbedding(7, 5, hidden_dim=6), "units": 6, "bridge": "zeros", **kwargs},
        {**arrays(), "mask": TARGET_MASK},
        expected_output_shape=(2, 3, 7),
        time_arguments={"tokens": 1, "mask": 1},
        output_time_axis=1,
        mixed_output_dtype="float32",
        float64=False,
    )


@keras.saving.register_keras_serializable(package="kerasseq_tests")
class WithStates(keras.layers.Layer):
    """A decoder with a bridge, whose states are an argument that the contract can give."""

    def __init__(self, bridge, **kwargs):
        super().__init__(**kwargs)
        self.bridge = bridge
        self.decoder = AttentionDecoder(
            TiedEmbedding(7, 5, hidden_dim=6, dtype=self.dtype_policy),
            6,
            bridge=bridge,
            dtype=self.dtype_policy,
        )

    def build(self, tokens_shape, encoder_outputs_shape, encoder_mask_shape, state_shape):
        self.decoder.build(tokens_shape, encoder_outputs_shape, [state_shape] * 2)

    def call(self, tokens, encoder_outputs, encoder_mask, state):
        states = [state, 0.5 * state]
        return self.decoder(tokens, encoder_outputs, encoder_mask, states)

    def get_config(self):
        return {**super().get_config(), "bridge": self.bridge}


@pytest.mark.parametrize("bridge", ["dense", "copy"])
def test_bridge_contract(bridge):
    run_layer_contract(
        WithStates,
        {"bridge": bridge},
        {**arrays(), "state": states(1, "lstm")[0]},
        expected_output_shape=(2, 3, 7),
        mask_argument=None,
        mixed_output_dtype="float32",
        float64=False,
    )


def test_dense_bridge_equals_numpy():
    layer = decoder(num_layers=2, cell="gru")
    inputs, start = arrays(), states(2, "lstm")  # two groups of two, each for one layer
    layer(**inputs, encoder_states=start)
    memory = layer.precompute(inputs["encoder_outputs"])
    got = layer.initial_state(memory, start)["recurrent"]
    for level, dense in enumerate(layer.bridge.layers):
        group = np.concatenate(start[2 * level : 2 * level + 2], axis=-1).astype("float64")
        w = weights_of(dense)
        np.testing.assert_allclose(got[level], np.tanh(group @ w["kernel"] + w["bias"]), atol=1e-5)


def test_the_source_at_padding_has_no_influence():
    inputs, start = arrays(), states(1, "lstm")
    layer = decoder()
    spoiled = np.where(SOURCE_MASK[..., None], inputs["encoder_outputs"], np.float32(np.nan))
    np.testing.assert_array_equal(
        layer(**inputs, encoder_states=start),
        layer(**{**inputs, "encoder_outputs": spoiled}, encoder_states=start),
    )


SETTINGS = [
    dict(zip(("attend", "input_feeding", "cell"), values, strict=True))
    for values in itertools.product(("after", "before"), (True, False), ("lstm", "gru"))
]
SETTINGS += [
    {"attention": "dot", "num_layers": 2, "bridge": "copy"},
    {"attention": "scaled_dot", "bridge": "zeros", "cell": "simple_rnn"},
    {"attention": "bilinear", "num_layers": 2, "input_feeding": False},
    {"attention": AdditiveAttention(4, coverage=True), "input_feeding": False},
    {"attention": AdditiveAttention(4, window=1)},
    {"attention": "uniform"},
    {"attention": "uniform", "attend": "before", "input_feeding": False},
]


@pytest.mark.parametrize("kwargs", SETTINGS, ids=lambda kwargs: "-".join(map(str, kwargs.values())))
def test_stepwise_equals_whole_sequence(kwargs):
    layer = decoder(**kwargs)
    inputs = arrays()
    start = states(layer.num_layers, layer.cell)
    logits, attention = layer(**inputs, encoder_states=start, return_attention=True)
    memory = layer.precompute(inputs["encoder_outputs"], inputs["encoder_mask"])
    state = layer.initial_state(memory, start)
    for t in range(3):
        before = {k: [np.array(x) for x in keras.tree.flatten(v)] for k, v in state.items()}
        step_logits, new, weights = layer.step(inputs["tokens"][:, t], state, memory)
        np.testing.assert_allclose(np.asarray(step_logits), np.asarray(logits)[:, t], atol=1e-5)
        np.testing.assert_allclose(np.asarray(weights), np.asarray(attention)[:, t], atol=1e-5)
        for name, values in before.items():  # a state is never changed
            for old, now in zip(values, keras.tree.flatten(state[name]), strict=True):
                np.testing.assert_array_equal(old, np.asarray(now))
        state = new
    attention = np.asarray(attention)
    np.testing.assert_allclose(attention.sum(axis=-1), 1.0, atol=1e-5)
    assert not attention[1, :, 2:].any()


def test_equals_numpy():
    """Luong's equations by loops: dot attention after the step, input feeding, two layers."""
    layer = decoder(attention="dot", num_layers=2, bridge="copy")
    inputs, start = arrays(), states(2, "lstm")
    logits = np.asarray(layer(**inputs, encoder_states=start))
    cells = [weights_of(cell) for cell in layer.recurrent.cells]
    tied, dense = weights_of(layer.embedding), weights_of(layer.combine)
    for row in range(2):
        source = inputs["encoder_outputs"][row][SOURCE_MASK[row]].astype("float64")
        now = [s[row].astype("float64") for s in start]
        fed = np.zeros(6)
        for t, token in enumerate(inputs["tokens"][row]):
            x = np.concatenate([tied["embeddings"][token], fed])
            for level in range(2):
                now[2 * level : 2 * level + 2] = lstm_step(x, *now[2 * level :][:2], cells[level])
                x = now[2 * level]
            weights = np.exp(source @ x)
            context = weights / weights.sum() @ source
            fed = np.tanh(np.concatenate([x, context]) @ dense["kernel"] + dense["bias"])
            wanted = fed @ tied["projection"] @ tied["embeddings"].T + tied["bias"]
            np.testing.assert_allclose(logits[row, t], wanted, atol=1e-5)


def test_source_padding_invariance():
    layer = decoder()
    inputs, start = arrays(), states(1, "lstm")
    whole = np.asarray(layer(**inputs, encoder_states=start))[1]
    alone = layer(
        inputs["tokens"][1:],
        inputs["encoder_outputs"][1:, :2],
        encoder_states=[s[1:] for s in start],
    )
    np.testing.assert_allclose(whole, np.asarray(alone)[0], atol=1e-5)


def test_later_tokens_have_no_influence():
    layer = decoder(bridge="zeros")
    inputs = arrays()
    first = np.asarray(layer(**inputs))
    inputs["tokens"][:, 2] = (inputs["tokens"][:, 2] + 1) % 7
    np.testing.assert_array_equal(first[:, :2], np.asarray(layer(**inputs))[:, :2])


def test_dropout_only_in_training():
    layer = decoder(num_layers=2, dropout=0.5, seed=1, bridge="zeros")
    inputs = arrays()
    a, b = (np.asarray(layer(**inputs, training=True)) for _ in range(2))
    assert not np.allclose(a, b)
    c, d = (np.asarray(layer(**inputs, training=False)) for _ in range(2))
    np.testing.assert_array_equal(c, d)


# -- scheduled sampling ----------------------------------------------------------------------------

SAMPLED = [
    {},
    {"attend": "before", "cell": "gru"},
    {"input_feeding": False, "attention": "bilinear", "num_layers": 2},
    {"attention": AdditiveAttention(4, coverage=True)},
]
SAMPLED_IDS = [
    "-".join(map(str, kwargs.values())) if i < 3 else "coverage" for i, kwargs in enumerate(SAMPLED)
]


def spread_out(layer, seed=3):
    """Weights so large that the likeliest tokens vary."""
    random = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(random.normal(0, 1, weight.shape))
    return layer


def longer(time=6, seed=2):
    random = np.random.default_rng(seed)
    return {**arrays(), "tokens": random.integers(0, 7, (2, time)).astype("int32")}


def fed_back(layer, inputs):
    """Logits where each step but the first reads the likeliest token of the one before."""
    memory = layer.precompute(inputs["encoder_outputs"], inputs["encoder_mask"])
    state, tokens = layer.initial_state(memory), inputs["tokens"][:, 0]
    found, read = [], [tokens]
    for _ in range(inputs["tokens"].shape[1]):
        logits, state, _ = layer.step(ops.convert_to_tensor(tokens), state, memory)
        found.append(np.asarray(logits))
        tokens = found[-1].argmax(-1).astype("int32")
        read.append(tokens)
    return np.stack(found, 1), np.stack(read[:-1], 1)


@pytest.mark.parametrize("kwargs", SAMPLED, ids=SAMPLED_IDS)
def test_a_sampling_rate_of_0_is_teacher_forcing_and_of_1_reads_its_own(kwargs):
    layer, inputs = decoder(bridge="zeros", **kwargs), longer()
    layer(**inputs)
    spread_out(layer)
    forced = np.asarray(layer(**inputs))
    never = layer(**inputs, sampling_rate=0.0, training=True)
    np.testing.assert_allclose(never, forced, atol=1e-5)
    wanted, read = fed_back(layer, inputs)
    assert len(np.unique(read)) > 3
    assert (read != inputs["tokens"])[:, 1:].any(axis=1).all()
    always, attention = layer(**inputs, sampling_rate=1.0, training=True, return_attention=True)
    np.testing.assert_allclose(always, wanted, atol=1e-4)
    again, weights = layer(**{**inputs, "tokens": read}, return_attention=True)
    np.testing.assert_allclose(always, again, atol=1e-4)
    np.testing.assert_allclose(attention, weights, atol=1e-4)
    other = {**inputs, "tokens": (inputs["tokens"] + 1) % 7}
    other["tokens"][:, 0] = inputs["tokens"][:, 0]
    np.testing.assert_allclose(layer(**other, sampling_rate=1.0, training=True), wanted, atol=1e-4)
    for training in (None, False):
        np.testing.assert_array_equal(layer(**inputs, sampling_rate=1.0, training=training), forced)


def test_the_first_step_always_reads_the_begin():
    layer, inputs = spread_out_decoder(), longer()
    first = np.asarray(layer(**inputs))[:, 0]
    for rate in (0.3, 1.0):
        found = layer(**inputs, sampling_rate=rate, training=True)
        np.testing.assert_allclose(np.asarray(found)[:, 0], first, atol=1e-5)


def spread_out_decoder(**kwargs):
    layer = decoder(bridge="zeros", **kwargs)
    layer(**longer())
    return spread_out(layer)


def test_every_step_is_sampled_with_the_rate():
    """Seen by the second step, whose logits are those of one of two tokens."""
    layer = spread_out_decoder(seed=1)
    rows = 400
    inputs = {name: np.repeat(v[:1], rows, axis=0) for name, v in longer(3).items()}
    _, read = fed_back(layer, inputs)
    inputs["tokens"][:, 1] = (read[:, 1] + 1) % 7
    forced = np.asarray(layer(**inputs))[:, 1]
    for rate in (0.25, 0.75):
        found = np.asarray(layer(**inputs, sampling_rate=rate, training=True))[:, 1]
        own = np.abs(found - forced).max(-1) > 1e-4
        assert abs(own.mean() - rate) < 0.08  # 3 standard deviations are 0.065
        np.testing.assert_allclose(found[own], found[own][:1].repeat(own.sum(), 0), atol=1e-5)


def test_dropout_of_what_is_sampled_is_that_of_embeddings():
    """Entries of vectors, drawn anew for each step, and scaled."""
    layer = spread_out_decoder(dropout=0.5, seed=1)
    layer.output_dropout.rate = 0.0  # that of the embeddings is left alone
    inputs = longer()
    a, b = (np.asarray(layer(**inputs, sampling_rate=1.0, training=True)) for _ in range(2))
    assert np.isfinite(a).all()
    assert not np.allclose(a, b)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow only")
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
def test_a_graph_of_unknown_lengths_can_sample(policy):
    """As the trainer calls it; in half precision Keras casts the rate too."""
    import tensorflow as tf

    inputs = longer()
    layer = AttentionDecoder(TiedEmbedding(7, 5), 5, bridge="zeros", dtype=policy)
    layer(**inputs)

    def run(tokens, encoder_outputs, encoder_mask, rate):
        return layer(tokens, encoder_outputs, encoder_mask, sampling_rate=rate, training=True)

    signature = [
        tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None, 6]),
        tf.TensorSpec([None, None], tf.bool), tf.TensorSpec([]),
    ]  # fmt: skip
    run = tf.function(run, input_signature=signature)
    found = run(*inputs.values(), np.float32(1)).numpy()
    assert np.isfinite(found).all()
    if policy == "float32":
        np.testing.assert_allclose(found, fed_back(layer, inputs)[0], atol=1e-4)


def test_gradients_reach_all_weights_with_scheduled_sampling():
    layer, inputs = spread_out_decoder(), longer()
    variables = layer.trainable_variables
    values = [np.asarray(ops.convert_to_numpy(v)) for v in variables]

    def loss(*tensors):
        with keras.StatelessScope(state_mapping=list(zip(variables, tensors, strict=True))):
            logits = layer(**inputs, mask=np.ones((2, 6), bool), sampling_rate=0.5, training=True)
            return ops.sum(ops.logsumexp(logits, axis=-1) - logits[..., 0])

    for variable, gradient in zip(variables, gradients(loss, *values, compile=True), strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert gradient.any(), f"{variable.path} got no gradient"


def translation_model():
    """Encoder and decoder around one embedding, as a user would write it."""
    embedding = TiedEmbedding(9, 4, hidden_dim=6)
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    encoder = RecurrentStack(3, bidirectional=True, return_state=True)
    outputs, final = encoder(embedding(source))
    layer = AttentionDecoder(embedding, 6)
    return keras.Model([source, target], layer(target, outputs, encoder_states=final))


@pytest.mark.gate
def test_learns_to_copy_and_three_way_tie_is_one_variable_after_reload(tmp_path):
    keras.utils.set_random_seed(0)
    model = translation_model()
    rng = np.random.default_rng(0)
    source = rng.integers(2, 9, (64, 4)).astype("int32")
    target = np.concatenate([np.ones((64, 1), "int32"), source[:, :-1]], axis=1)
    data = [source, target]
    model.compile(
        keras.optimizers.Adam(0.03),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # the contract's fit is compiled with XLA; for jax there is nothing else
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    before = model.evaluate(data, source, verbose=0)
    many = [np.tile(array, (25, 1)) for array in data]  # epochs of four steps take longer
    model.fit(many, many[0], batch_size=16, verbose=0)
    # The same seed starts elsewhere on another backend, where 100 steps come less far.
    bar = 0.6 if keras.backend.backend() == "tensorflow" else 0.85
    after = model.evaluate(data, source, verbose=0)
    assert after < bar * before
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    tied = [w for w in again.weights if w.name == "embeddings"]
    assert len(tied) == 1
    assert again.count_params() == model.count_params()
    np.testing.assert_array_equal(np.asarray(model(data)), np.asarray(again(data)))
    changed = np.zeros(tied[0].shape, "float32")
    tied[0].assign(changed)  # lookup on both sides and output all read it
    next(w for w in again.weights if w.name == "bias" and w.shape == (9,)).assign(changed[:, 0])
    assert not np.asarray(again(data)).any()


def test_errors():
    tied = TiedEmbedding(7, 5)
    with pytest.raises(ValueError, match=r"hidden_dim=6.*embedding projects 5"):
        AttentionDecoder(tied, 6)
    with pytest.raises(ValueError, match="`embedding` must be a TiedEmbedding"):
        AttentionDecoder(keras.layers.Embedding(7, 5), 5)
    with pytest.raises(ValueError, match=r"`attention` must be one of 'additive'.*'bahdanov'"):
        AttentionDecoder(tied, 5, attention="bahdanov")
    with pytest.raises(ValueError, match="`encoder_states` is needed"):
        AttentionDecoder(tied, 5)(**arrays())
    with pytest.raises(ValueError, match="AttentionDecoder: `cell` must be one of"):
        AttentionDecoder(tied, 5, cell="transformer")
    with pytest.raises(ValueError, match=r"AttentionDecoder: `kernel` must be one of .*'fast'"):
        AttentionDecoder(tied, 5, kernel="fast")
    with pytest.raises(ValueError, match="AttentionDecoder: `use_cudnn` and `kernel` contradict"):
        AttentionDecoder(tied, 5, kernel="cudnn", use_cudnn=False)
    layer = AttentionDecoder(tied, 5, bridge="zeros")
    with pytest.raises(ValueError, match="`encoder_mask` must be a tensor of truth values"):
        layer(**{**arrays(), "encoder_mask": SOURCE_MASK.astype("float32")})
    with pytest.raises(ValueError, match=r"batch and time of `tokens`.*mask.shape=\(2, 2\)"):
        layer(**arrays(), mask=TARGET_MASK[:, :2])
    with pytest.raises(ValueError, match=r"same batch.*tokens.shape=\(1, 3\)"):
        layer(**{**arrays(), "tokens": arrays()["tokens"][:1]})
    with pytest.raises(ValueError, match=r"2 tensors of 5 features.*Received: features \[6, 6\]"):
        AttentionDecoder(tied, 5, bridge="copy")(**arrays(), encoder_states=states(1, "lstm"))


def test_wrong_states_and_steps_are_named():
    layer, inputs, start = decoder(), arrays(), states(1, "lstm")
    layer(**inputs, encoder_states=start)
    wrong = [start[:1], [*start, start[0]], [s[:, :5] for s in start], [s[:1] for s in start]]
    for given in wrong:
        with pytest.raises(ValueError, match=r"`encoder_states` must be a flat list.*\[6, 6\]"):
            layer(**inputs, encoder_states=given)
    nested = layer(**inputs, encoder_states=[start])
    np.testing.assert_array_equal(nested, layer(**inputs, encoder_states=start))
    memory = layer.precompute(inputs["encoder_outputs"], inputs["encoder_mask"])
    state = layer.initial_state(memory, start)
    with pytest.raises(ValueError, match=r"`tokens` must have shape \[batch\].*\(2, 1\)"):
        layer.step(inputs["tokens"][:, :1], state, memory)


def test_coverage_is_kept_in_float32():
    attention = AdditiveAttention(4, coverage=True, dtype="mixed_bfloat16")
    tied = TiedEmbedding(7, 5, dtype="mixed_bfloat16")
    layer = AttentionDecoder(tied, 5, attention=attention, bridge="zeros", dtype="mixed_bfloat16")
    memory = layer.precompute(arrays()["encoder_outputs"])
    state = layer.initial_state(memory)
    for _ in range(2):
        assert keras.backend.standardize_dtype(state["coverage"].dtype) == "float32"
        _, state, _ = layer.step(np.array([1, 1]), state, memory)
    assert np.isfinite(np.asarray(layer(**arrays()))).all()


def test_step_in_a_while_loop_keeps_shapes_and_dtypes():
    for policy in ("float32", "mixed_bfloat16"):
        layer = AttentionDecoder(TiedEmbedding(7, 5), 5, bridge="zeros", dtype=policy)
        memory = layer.precompute(ops.convert_to_tensor(arrays()["encoder_outputs"]))
        state = layer.initial_state(memory)

        def body(state, tokens, layer=layer, memory=memory):
            logits, state, _ = layer.step(tokens, state, memory)
            return state, ops.cast(ops.argmax(logits, axis=-1), "int32")

        tokens = ops.ones((2,), "int32")
        state, tokens = ops.while_loop(
            lambda state, tokens: state["position"][0] < 4, body, (state, tokens)
        )
        assert np.asarray(state["position"]).tolist() == [4, 4]


def test_it_says_how_it_is_run():
    def plan(**kwargs):
        return str(decoder(**kwargs).kernel_plan())

    assert plan() == "loop: input feeding: each step reads the output before"
    assert plan(input_feeding=False, attend="before").startswith("loop: each step attends")
    if keras.backend.backend() == "tensorflow":
        assert not plan(input_feeding=False).startswith("loop")


def test_a_kernel_by_its_name_reaches_the_recurrent_layers():
    layer = decoder(input_feeding=False, kernel="loop", xla=False)
    assert layer.kernel_plan() == ("loop", "asked for", False)
    assert (layer.recurrent.kernel, layer.recurrent.xla) == ("loop", False)
    clone = AttentionDecoder.from_config(layer.get_config())
    assert (clone.kernel, clone.xla) == ("loop", False)
    assert clone.kernel_plan() == layer.kernel_plan()
    if keras.backend.backend() == "tensorflow":
        plan = decoder(input_feeding=False, kernel="closed_form", xla=True).kernel_plan()
        assert plan == ("closed_form", "asked for; xla=True was asked for", True)


def test_a_config_from_before_there_were_kernels_loads():
    config = decoder().get_config()
    del config["kernel"], config["xla"]
    layer = AttentionDecoder.from_config(config)
    assert (layer.kernel, layer.xla) == ("auto", "auto")


@pytest.mark.parametrize("kernel", ["cudnn", "closed_form", "loop"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"input_feeding": False, "attend": "before"},
        {"input_feeding": False, "attention": AdditiveAttention(4, coverage=True)},
    ],
    ids=["input feeding", "attend before", "coverage"],
)
def test_no_kernel_is_refused_where_none_runs(kernel, kwargs):
    """In turn it is not read: cuDNN's is none for a machine without a GPU, and is no error."""
    layer = decoder(bridge="zeros", kernel=kernel, **kwargs)
    assert np.isfinite(np.asarray(layer(**arrays()))).all()
    assert layer.kernel_plan().name == "loop"
    assert layer.kernel_plan().reason != "asked for"
    assert layer.get_config()["kernel"] == kernel


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one kernel on this backend")
@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_kernels_agree_in_training_with_their_gradients(cell):
    inputs = {**arrays(), "mask": TARGET_MASK}
    tied = TiedEmbedding(7, 5, hidden_dim=6)
    found = []
    for kernel in ("loop", "closed_form"):
        layer = AttentionDecoder(
            tied, 6, num_layers=2, cell=cell, input_feeding=False, bridge="zeros", kernel=kernel
        )
        layer(**inputs)
        spread_out(layer)
        variables = layer.trainable_variables
        values = [np.asarray(ops.convert_to_numpy(v)) for v in variables]

        def loss(*tensors, layer=layer, variables=variables):
            with keras.StatelessScope(state_mapping=list(zip(variables, tensors, strict=True))):
                return ops.sum(ops.cos(layer(**inputs, training=True)))

        found.append([np.asarray(layer(**inputs)), *gradients(loss, *values)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
