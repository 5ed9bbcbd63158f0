"""TiedEmbedding and the output losses on it, against their dense forms."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasseq.layers._precision import wide_dtype
from kerasseq.layers.adaptive_softmax import AdaptiveSoftmax
from kerasseq.layers.chunked_cross_entropy import ChunkedCrossEntropy, chunked_cross_entropy
from kerasseq.layers.losses import TokenLoss, token_nll
from kerasseq.layers.metrics import Perplexity
from kerasseq.layers.sampled_softmax import SampledSoftmax
from kerasseq.layers.tied_embedding import TiedEmbedding
from tests.examples import examples
from tests.layers.contract import run_layer_contract
from tests.layers.gradients import compiled, gradients

MASK = np.array([[True, True, True], [True, False, False]])


def arrays(seed=0, size=11, width=4):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(2, 3, width)).astype("float32")
    return {
        "hidden": hidden,
        "targets": rng.integers(0, size, (2, 3)).astype("int32"),
        "mask": MASK,
    }


def embedding(size=11, width=4, seed=0, **kwargs):
    layer = TiedEmbedding(size, width, **kwargs)
    layer.build()
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return layer


# ---- TiedEmbedding


def test_lookup_contract():
    run_layer_contract(
        TiedEmbedding,
        {"vocabulary_size": 11, "embedding_dim": 4, "pad_to_multiple_of": 8, "use_bias": False},
        {"inputs": arrays()["targets"]},
        expected_output_shape=(2, 3, 4),
    )


def test_projection_contract():
    run_layer_contract(
        TiedEmbedding,
        {"vocabulary_size": 11, "embedding_dim": 5, "hidden_dim": 4, "pad_to_multiple_of": 8},
        {"inputs": arrays()["hidden"]},
        expected_output_shape=(2, 3, 11),
        call_kwargs={"project": True},
        mixed_output_dtype="float32",
    )


@pytest.mark.parametrize("hidden_dim", [None, 3])
def test_lookup_and_projection_equal_numpy(hidden_dim):
    layer = embedding(hidden_dim=hidden_dim, pad_to_multiple_of=8)
    weights = {w.name: np.asarray(ops.convert_to_numpy(ops.copy(w))) for w in layer.weights}
    assert weights["embeddings"].shape == (16, 4)
    ids = np.array([[3, 10]])
    np.testing.assert_array_equal(np.asarray(layer(ids)), weights["embeddings"][ids])
    hidden = np.random.default_rng(1).normal(size=(2, hidden_dim or 4)).astype("float32")
    states = hidden @ weights["projection"] if hidden_dim else hidden
    wanted = states @ weights["embeddings"][:11].T + weights["bias"][:11]
    np.testing.assert_allclose(np.asarray(layer(hidden, project=True)), wanted, atol=1e-5)


def pair(multiple=8, **kwargs):
    """An embedding with rows of padding, and one without; the same numbers in the others."""
    padded, plain = embedding(pad_to_multiple_of=multiple), embedding()
    for mine, his in zip(padded.weights, plain.weights, strict=True):
        mine.assign(np.concatenate([his, np.full((5, *his.shape[1:]), 3.0)]))
    return padded, plain


def values_and_gradients(layer, *args, **kwargs):
    """Outputs, and the gradients of a weighted sum of them with respect to every weight."""
    layer(*args, **kwargs)
    weights = [np.asarray(v) for v in layer.trainable_variables]
    rest = [ops.convert_to_tensor(v) for v in layer.non_trainable_variables]
    outputs = np.asarray(layer(*args, **kwargs))
    direction = np.random.default_rng(3).normal(size=outputs.shape).astype("float32")

    def function(*tensors):
        result, _ = layer.stateless_call(list(tensors), rest, *args, **kwargs)
        return ops.sum(result * direction)

    return outputs, gradients(function, *weights)


def assert_padding_is_nothing(padded, plain):
    np.testing.assert_allclose(padded[0], plain[0], atol=1e-5)
    for mine, his in zip(padded[1], plain[1], strict=True):
        if mine.shape != his.shape:
            assert len(mine) == 16
            assert not mine[11:].any(), "a row of padding got a gradient"
            mine = mine[:11]
        assert his.any()
        np.testing.assert_allclose(mine, his, atol=1e-5)


def test_padded_rows_get_no_gradient():
    hidden = arrays()["hidden"]
    padded, plain = (values_and_gradients(e, hidden, project=True) for e in pair())
    assert padded[0].shape[-1] == 11
    assert_padding_is_nothing(padded, plain)


def test_the_product_has_the_padded_width():
    layer, plain = pair()
    kernel, bias = layer.output_weights()
    assert tuple(kernel.shape) == (16, 4)
    assert tuple(bias.shape) == (16,)
    assert (layer.extra_rows, plain.extra_rows) == (5, 0)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        graph = tf.function(lambda x: layer.project(x)).get_concrete_function(arrays()["hidden"])
        products = [op for op in graph.graph.get_operations() if "MatMul" in op.type]
        assert [op.outputs[0].shape[-1] for op in products] == [16]


LOSSES = [
    (ChunkedCrossEntropy, {"chunk_size": 4}),
    (ChunkedCrossEntropy, {"chunk_size": 4, "label_smoothing": 0.1}),
    (SampledSoftmax, {"num_sampled": 5, "seed": 1, "chunk_size": 4}),
    (AdaptiveSoftmax, {"cutoffs": [3, 6]}),
]


@pytest.mark.parametrize(("layer_class", "kwargs"), LOSSES)
def test_rows_of_padding_never_count_in_a_loss(layer_class, kwargs):
    values, results = arrays(), []
    for tied in pair():
        keras.utils.set_random_seed(1)
        layer = layer_class(tied, **kwargs)
        results.append(values_and_gradients(layer, **values))
    assert_padding_is_nothing(*results)


PURE = ["bfloat16", "float16"]
PURE += ["float64"] if keras.backend.backend() == "tensorflow" else []  # jax has it by a flag


@pytest.mark.parametrize("dtype", PURE)
def test_pure_policies_are_scored_in_float32_at_least(dtype):
    values = arrays()
    tied = TiedEmbedding(11, 6, hidden_dim=4, pad_to_multiple_of=8, dtype=dtype)
    outputs = [tied(values["hidden"], project=True)]
    for layer_class, kwargs in LOSSES:
        outputs.append(layer_class(tied, **kwargs, dtype=dtype)(**values))
    adaptive = AdaptiveSoftmax(tied, cutoffs=[3, 6], dtype=dtype)
    outputs.append(adaptive.log_prob(values["hidden"]))
    for output in outputs:
        assert keras.backend.standardize_dtype(output.dtype) == wide_dtype(dtype)
        assert np.isfinite(np.asarray(output)).all()


@pytest.mark.parametrize(("layer_class", "kwargs"), LOSSES)
def test_the_recipe_of_the_docstrings_trains(layer_class, kwargs):
    keras.utils.set_random_seed(0)
    tied = TiedEmbedding(11, 6)
    ids, targets = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    model = keras.Model([ids, targets], layer_class(tied, **kwargs)(tied(ids), targets))
    model.compile(
        keras.optimizers.Adam(0.1), TokenLoss(), weighted_metrics=[Perplexity(from_nll=True)]
    )
    x = np.tile(np.arange(1, 9, dtype="int32"), (8, 1))
    y = x + 1
    weights = np.ones(x.shape, "float32")
    weights[:, 6:] = 0.0
    before, _ = model.evaluate([x, y], y, sample_weight=weights, verbose=0)
    many = [np.tile(array, (30, 1)) for array in (x, y, weights)]
    model.fit(many[:2], many[1], sample_weight=many[2], batch_size=8, verbose=0)
    loss, perplexity = model.evaluate([x, y], y, sample_weight=weights, verbose=0)
    assert loss < 0.5 * before
    np.testing.assert_allclose(np.exp(loss), perplexity, rtol=1e-4)
    nll = np.asarray(model([x, y]))
    np.testing.assert_allclose(loss, nll[:, :6].mean(), rtol=1e-4)


def test_logits_are_float32_under_mixed_precision():
    layer = TiedEmbedding(11, 4, dtype="mixed_float16")
    vectors = layer(np.array([[1]]))
    assert keras.backend.standardize_dtype(vectors.dtype) == "float16"
    logits = layer(vectors, project=True)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"


def test_tie_is_one_variable_after_reload(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    tied = TiedEmbedding(11, 4, use_bias=False)
    model = keras.Model(ids, tied(keras.layers.Dense(4)(tied(ids)), project=True))
    assert len(model.weights) == 3
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(again.weights) == 3
    x = arrays()["targets"]
    np.testing.assert_array_equal(np.asarray(model(x)), np.asarray(again(x)))
    next(w for w in again.weights if w.name == "embeddings").assign(np.zeros((11, 4)))
    assert not np.asarray(again(x)).any()


def test_tied_embedding_errors():
    with pytest.raises(ValueError, match="`vocabulary_size` must be a positive"):
        TiedEmbedding(0, 4)
    for call in (TiedEmbedding(11, 4), TiedEmbedding(11, 4).embed):
        with pytest.raises(ValueError, match=r"must be whole numbers.*inputs.dtype=float32"):
            call(np.ones((2, 3), "float32"))
    with pytest.raises(ValueError, match=r"must be whole numbers.*inputs.dtype=float32"):
        TiedEmbedding(11, 4)(keras.Input((None,)))
    with pytest.raises(ValueError, match=r"must have 4 features.*Received: inputs.shape=\(2, 3\)"):
        TiedEmbedding(11, 4)(np.zeros((2, 3), "float32"), project=True)


# ---- The losses


@pytest.mark.parametrize(
    ("layer_class", "kwargs"),
    [
        (ChunkedCrossEntropy, {"chunk_size": 2, "label_smoothing": 0.1}),
        (SampledSoftmax, {"num_sampled": 5, "seed": 1, "chunk_size": 4}),
        (AdaptiveSoftmax, {"cutoffs": [3, 6]}),
    ],
)
def test_loss_contract(layer_class, kwargs):
    run_layer_contract(
        layer_class,
        {"embedding": TiedEmbedding(11, 4), **kwargs},
        arrays(),
        expected_output_shape=(2, 3),
        time_arguments={"hidden": 1, "targets": 1, "mask": 1},
        output_time_axis=1,
        zero_at_padding=True,
        mixed_output_dtype="float32",
        all_weights_train=False,  # a class that no token needs may get no gradient
        float64=False,
    )


@examples(20)
@given(
    count=st.integers(1, 9),
    size=st.integers(1, 7),
    chunk=st.integers(1, 12),
    smoothing=st.sampled_from([0.0, 0.2]),
    scale=st.sampled_from([1.0, 50.0]),
)
def test_chunked_equals_dense(count, size, chunk, smoothing, scale):
    rng = np.random.default_rng(count)
    values = [
        (scale * rng.normal(size=s)).astype("float32") for s in ((count, 3), (size, 3), (size,))
    ]
    targets, weights = rng.integers(0, size, count), rng.normal(size=count).astype("float32")
    targets = targets.astype("int32")

    def ours(h, k, b):
        return ops.sum(weights * chunked_cross_entropy(h, k, b, targets, smoothing, chunk))

    def dense(h, k, b):
        logits = ops.matmul(h, ops.transpose(k)) + b
        return ops.sum(weights * token_nll(targets, logits, smoothing))

    tensors = [ops.convert_to_tensor(v) for v in values]
    np.testing.assert_allclose(
        float(ours(*tensors)), float(dense(*tensors)), rtol=1e-5, atol=1e-5 * scale
    )
    for a, b in zip(gradients(ours, *values), gradients(dense, *values), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * scale)


def test_chunked_compiled():
    values = arrays()
    layer = ChunkedCrossEntropy(embedding(), chunk_size=4)
    plain = np.asarray(layer(**values))
    run = compiled(lambda hidden, targets, mask: layer(hidden, targets, mask=mask))
    np.testing.assert_allclose(np.asarray(run(**values)), plain, atol=1e-6)
    logits = layer.embedding(values["hidden"], project=True)
    wanted = np.where(MASK, np.asarray(token_nll(values["targets"], logits)), 0.0)
    np.testing.assert_allclose(plain, wanted, atol=1e-5)


def test_sampled_normaliser_is_unbiased():
    size, count = 50, 4000
    layer = SampledSoftmax(embedding(size), num_sampled=4, seed=0)
    states = 0.5 * np.random.default_rng(0).normal(size=(1, 4)).astype("float32")
    target = np.array([7], "int32")
    logits = np.asarray(layer.embedding.project(states))[0]

    def each(ids):
        return layer._sampled(ops.convert_to_tensor(states), target, ids)[0]

    run = compiled(lambda draws: ops.map(each, draws))
    rng = np.random.default_rng(1)
    mass = np.log1p(1 / (np.arange(size) + 1.0)) / np.log(size + 1.0)
    assert abs(mass.sum() - 1) < 1e-9
    draws = rng.choice(size, p=mass, size=(count, 4)).astype("int32")
    nll = np.asarray(run(draws), "float64")
    assert nll.shape == (count,)
    estimates = np.exp(nll + logits[7])  # the estimated normaliser of each draw
    error = estimates.std() / np.sqrt(count)
    assert abs(estimates.mean() - np.exp(logits).sum()) < 4 * error


def test_candidates_are_log_uniform():
    layer = SampledSoftmax(TiedEmbedding(20, 4), num_sampled=50_000, seed=0)
    ids = np.asarray(layer.sample())
    mass = np.exp(np.asarray(layer.log_expected_count(np.arange(20)))) / 50_000
    np.testing.assert_allclose(np.bincount(ids, minlength=20) / 50_000, mass, atol=5e-3)


def test_sampled_tends_to_the_full_loss():
    values = arrays(size=30)
    errors = []
    for num_sampled in (10, 20_000):
        layer = SampledSoftmax(embedding(30), num_sampled=num_sampled, seed=3)
        full = np.asarray(layer(**values, training=False))
        errors.append(np.abs(np.asarray(layer(**values, training=True)) - full).max())
    assert errors[1] < 0.05 < errors[0]


def test_adaptive_is_a_distribution_and_its_own_loss():
    values = arrays()
    values["targets"] = np.array([[0, 4, 10], [7, 2, 3]], "int32")
    layer = AdaptiveSoftmax(embedding(), cutoffs=[3, 6])
    nll = np.asarray(layer(**values))
    log_prob = np.asarray(layer.log_prob(values["hidden"]))
    np.testing.assert_allclose(np.exp(log_prob).sum(axis=-1), 1.0, atol=1e-5)
    wanted = -np.take_along_axis(log_prob, values["targets"][..., None], -1)[..., 0]
    np.testing.assert_allclose(nll, np.where(MASK, wanted, 0.0), atol=1e-5)


def test_adaptive_by_hand():
    layer = AdaptiveSoftmax(embedding(6), cutoffs=[2])
    hidden = np.random.default_rng(2).normal(size=(1, 4)).astype("float32")
    layer(hidden[None], np.array([[0]], "int32"))
    cluster = np.random.default_rng(3).normal(size=(1, 4)).astype("float32")
    layer.cluster_kernel.assign(cluster)
    kernel, bias = (np.asarray(w) for w in layer.embedding.output_weights())
    scores = (hidden @ kernel.T + bias)[0].astype("float64")
    head = np.exp(np.concatenate([scores[:2], (hidden @ cluster.T)[0]]))
    tail = np.exp(scores[2:])
    wanted = np.concatenate([head[:2] / head.sum(), head[2] / head.sum() * tail / tail.sum()])
    np.testing.assert_allclose(np.exp(np.asarray(layer.log_prob(hidden)))[0], wanted, rtol=1e-5)


# ---- What is never predicted


@pytest.mark.parametrize("use_bias", [True, False])
def test_input_only_ids_are_read_and_never_predicted(use_bias):
    layer = embedding(pad_to_multiple_of=8, use_bias=use_bias, input_only=[0, 4])
    assert layer.predictable.tolist() == [i in (1, 2, 3, 5, 6, 7, 8, 9, 10) for i in range(16)]
    plain = embedding(pad_to_multiple_of=8, use_bias=use_bias)
    hidden = arrays()["hidden"]
    logits, all_logits = (np.asarray(e(hidden, project=True)) for e in (layer, plain))
    assert logits.shape == (2, 3, 11)
    assert (logits[..., [0, 4]] <= -1e29).all()
    assert np.isfinite(logits).all()
    rest = np.flatnonzero(layer.predictable)
    np.testing.assert_array_equal(logits[..., rest], all_logits[..., rest])
    ids = np.array([[0, 4]])
    np.testing.assert_array_equal(np.asarray(layer(ids)), np.asarray(plain(ids)))
    assert np.asarray(layer(ids)).any()


def test_input_only_survives_config_and_is_checked():
    layer = TiedEmbedding(11, 4, input_only=(0, np.int64(2)))
    again = TiedEmbedding.from_config(layer.get_config())
    assert again.input_only == layer.get_config()["input_only"] == [0, 2]
    assert TiedEmbedding(11, 4).predictable.all()
    for wrong in ([11], [-1]):
        with pytest.raises(ValueError, match="`input_only` must hold ids of the vocabulary"):
            TiedEmbedding(11, 4, input_only=wrong)
    with pytest.raises(ValueError, match="`input_only` must be a list of whole numbers"):
        TiedEmbedding(11, 4, input_only=[1.5])


NEVER = [0, 4]
REST = np.setdiff1d(np.arange(11), NEVER)


@pytest.mark.parametrize(("layer_class", "kwargs"), LOSSES)
def test_never_predicted_rows_get_no_gradient_from_a_loss(layer_class, kwargs):
    layer = layer_class(embedding(input_only=NEVER), **kwargs)
    values = arrays()
    values["targets"] = REST[values["targets"] % len(REST)].astype("int32")
    outputs, grads = values_and_gradients(layer, **values)
    assert np.isfinite(outputs).all()
    for weight, gradient in zip(layer.trainable_variables, grads, strict=True):
        assert np.isfinite(gradient).all()
        if len(weight.shape) and weight.shape[0] == 11:
            assert not gradient[NEVER].any(), weight.path
            assert gradient[REST].any()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("multiple", [1, 8])
def test_smoothing_reaches_what_can_be_predicted(multiple, smoothing):
    tied = embedding(input_only=NEVER, pad_to_multiple_of=multiple)
    layer = ChunkedCrossEntropy(tied, chunk_size=4, label_smoothing=smoothing)
    values = arrays()
    values["targets"] = REST[values["targets"] % len(REST)].astype("int32")
    logits = np.asarray(tied(values["hidden"], project=True), "float64")[..., REST]
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = np.full(logs.shape, smoothing / len(REST))
    wanted += (1 - smoothing) * (values["targets"][..., None] == REST)
    each = -(wanted * logs).sum(-1)
    np.testing.assert_allclose(np.asarray(layer(**values)), np.where(MASK, each, 0), atol=1e-5)
    weights = np.random.default_rng(5).uniform(0, 2, (2, 3)).astype("float32") * MASK
    total = layer.total(values["hidden"], values["targets"], weights)
    np.testing.assert_allclose(float(total), (weights * each).sum(), rtol=1e-5)


def test_predictable_of_chunked_cross_entropy():
    rng = np.random.default_rng(0)
    hidden, kernel = (rng.normal(size=s).astype("float32") for s in ((7, 3), (6, 3)))
    targets = np.array([1, 2, 5, 1, 2, 5, 1], "int32")
    predictable = np.array([False, True, True, False, False, True])
    bias = np.where(predictable, 0.3, -1e30).astype("float32")
    wide = chunked_cross_entropy(
        *map(ops.convert_to_tensor, (hidden, kernel, bias, targets)), 0.2, 3, predictable
    )
    narrow = chunked_cross_entropy(
        *map(ops.convert_to_tensor, (hidden, kernel[predictable], bias[predictable])),
        ops.convert_to_tensor(np.searchsorted([1, 2, 5], targets).astype("int32")),
        0.2,
        3,
    )
    np.testing.assert_allclose(np.asarray(wide), np.asarray(narrow), rtol=1e-5)


# ---- The sum that a training step needs


@pytest.mark.parametrize(("layer_class", "kwargs"), LOSSES)
def test_total_is_the_weighted_sum_and_so_is_its_gradient(layer_class, kwargs):
    values = arrays()
    hidden, targets = values["hidden"], values["targets"]
    weights = np.random.default_rng(5).uniform(0, 2, (2, 3)).astype("float32") * MASK
    layer = layer_class(embedding(pad_to_multiple_of=8), **kwargs)
    layer(**values)
    results = []
    for own in (True, False):

        def run(*tensors, own=own):
            if layer_class is SampledSoftmax:  # the same candidates both times
                layer.seed_generator.state.assign([3, 4])
            hidden, *tensors = tensors
            mapping = list(zip(layer.trainable_variables, tensors, strict=True))
            mapping += [(v, ops.convert_to_tensor(v)) for v in layer.non_trainable_variables]
            with keras.StatelessScope(state_mapping=mapping):
                if own:
                    return layer.total(hidden, targets, weights)
                return ops.sum(weights * layer(hidden, targets, training=True))

        tensors = [hidden, *map(np.asarray, layer.trainable_variables)]
        value = run(*map(ops.convert_to_tensor, tensors))
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        assert tuple(value.shape) == ()
        results.append([np.asarray(value), *gradients(run, *tensors)])
    for total, plain in zip(*results, strict=True):
        np.testing.assert_allclose(total, plain, rtol=1e-5, atol=1e-5)
        assert np.asarray(total).any()


def test_total_under_mixed_bfloat16_is_close():
    values = arrays()
    weights = MASK.astype("float32")
    low = ChunkedCrossEntropy(embedding(), chunk_size=4, dtype="mixed_bfloat16")
    full = ChunkedCrossEntropy(embedding(), chunk_size=4)
    totals = [layer.total(values["hidden"], values["targets"], weights) for layer in (low, full)]
    assert keras.backend.standardize_dtype(totals[0].dtype) == "float32"
    np.testing.assert_allclose(float(totals[0]), float(totals[1]), rtol=2e-2)


def test_one_variable_after_reload(tmp_path):
    tied = TiedEmbedding(11, 4)
    ids, targets = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    nll = ChunkedCrossEntropy(tied)(tied(ids), targets)
    model = keras.Model([ids, targets], nll)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(again.weights) == 2
    x = arrays()["targets"]
    np.testing.assert_array_equal(np.asarray(model([x, x])), np.asarray(again([x, x])))


def test_loss_errors():
    tied = TiedEmbedding(11, 4)
    with pytest.raises(ValueError, match=r"`cutoffs` must rise within 1 .. .* = 10"):
        AdaptiveSoftmax(tied, cutoffs=[3, 11])
    for cutoffs in (3, [2.5], "36"):
        with pytest.raises(ValueError, match="`cutoffs` must be a list of whole numbers"):
            AdaptiveSoftmax(tied, cutoffs=cutoffs)
    with pytest.raises(ValueError, match="`embedding` must be a TiedEmbedding"):
        ChunkedCrossEntropy(keras.layers.Embedding(3, 3))
    with pytest.raises(ValueError, match="`num_sampled` must be a positive"):
        SampledSoftmax(tied, num_sampled=0)
    values = arrays()
    with pytest.raises(ValueError, match="`targets` must have the shape of `hidden` without"):
        ChunkedCrossEntropy(tied)(values["hidden"], values["targets"][:, :2])
