"""CRF: against enumeration of every path, against float64 at 10,000 steps, and the contract."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasseq.layers import _crf_ops
from kerasseq.layers._precision import wide_dtype
from kerasseq.layers.crf import CRF, FORBIDDEN, tag_constraints
from kerasseq.layers.losses import CRFLoss
from kerasseq.layers.metrics import CRFAccuracy
from tests.examples import examples
from tests.layers.contract import run_layer_contract
from tests.layers.crf_reference import enumerate_crf, log_partition_float64, path_score
from tests.layers.gradients import compiled, gradients

MASK = np.array([[True, True, True, True], [True, True, False, False], [True, False, False, False]])


def make(size, rng, scale=1.0, **kwargs):
    crf = CRF(size, **kwargs)
    crf.build((None, None, size))
    for weight in crf.weights:
        weight.assign((scale * rng.normal(size=weight.shape)).astype("float32"))
    return crf


def potentials(crf):
    """Transitions, start and end as NumPy arrays, constraints applied."""
    zeros = np.zeros((1, 1, crf.num_tags), "float32")
    return [ops.convert_to_numpy(p) for p in crf._potentials(zeros, None)[1:4]]


@pytest.mark.parametrize("output", ["marginals", "tags", "potentials"])
def test_contract(output):
    emissions = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    shape = {"marginals": (3, 4, 5), "tags": (3, 4), "potentials": (3, 4 + 5 + 2, 6)}[output]
    run_layer_contract(
        CRF,
        {"num_tags": 5, "forbidden_transitions": [[0, 1]], "forbidden_start": [1]},
        {"emissions": emissions, "mask": MASK},
        expected_output_shape=shape,
        time_arguments=None if output == "potentials" else {"emissions": 1, "mask": 1},
        output_time_axis=1,
        zero_at_padding=True,
        mixed_output_dtype="float32",
        fit=output != "tags",
        call_kwargs={"output": output},
    )


@examples(25)
@given(
    size=st.integers(1, 4),
    steps=st.integers(1, 4),
    length=st.integers(1, 4),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
    seed=st.integers(0, 2**16),
)
def test_equals_enumeration(size, steps, length, scale, seed):
    length = min(length, steps)
    rng = np.random.default_rng(seed)
    crf = make(size, rng, scale)
    emissions = (scale * rng.normal(size=(1, steps, size))).astype("float32")
    tags = rng.integers(0, size, (1, steps)).astype("int32")
    mask = np.arange(steps)[None] < length
    parts = potentials(crf)
    log_z, best, nodes, _ = enumerate_crf(emissions[0, :length], *parts)
    score = path_score(emissions[0, :length], *parts, tags[0, :length])
    tolerance = 2e-6 * max(1.0, scale) * (steps + 2)
    assert abs(float(crf.log_partition(emissions, mask)[0]) - log_z) < tolerance
    assert abs(float(crf.sequence_score(emissions, tags, mask)[0]) - score) < tolerance
    assert abs(float(crf.log_likelihood(emissions, tags, mask)[0]) - (score - log_z)) < tolerance
    decoded = np.asarray(crf.decode(emissions, mask))[0]
    assert (
        abs(
            path_score(emissions[0, :length], *parts, decoded[:length])
            - path_score(emissions[0, :length], *parts, best)
        )
        < tolerance
    )
    assert not decoded[length:].any()
    got = np.asarray(crf.marginals(emissions, mask))[0]
    np.testing.assert_allclose(got[:length], nodes, atol=1e-5)
    assert not got[length:].any()


# 40 tags take the matrix-product path; a spread of 300 makes it fall back to log space.
@pytest.mark.parametrize(("size", "scale"), [(3, 1.0), (40, 1.0), (40, 300.0)])
def test_gradient_is_gold_less_expected_counts(size, scale):
    rng = np.random.default_rng(1)
    steps = 3
    arrays = [
        (scale * rng.normal(size=shape)).astype("float32")
        for shape in ((2, steps, size), (size, size), (size,), (size,))
    ]
    tags = rng.integers(0, size, (2, steps)).astype("int32")
    mask = np.array([[True, True, True], [True, True, False]])
    row_weights = np.array([1.0, 3.0], "float32")

    def function(*tensors):
        return ops.sum(row_weights * _crf_ops.log_likelihood(*tensors, mask, tags))

    expected = [np.zeros(a.shape) for a in arrays]
    for row, weight in enumerate(row_weights):
        length = mask[row].sum()
        _, _, nodes, pairs = enumerate_crf(arrays[0][row, :length], *arrays[1:])
        gold = np.eye(size)[tags[row, :length]]
        expected[0][row, :length] = weight * (gold - nodes)
        expected[1] += weight * (gold[:-1, :, None] * gold[1:, None] - pairs).sum(axis=0)
        expected[2] += weight * (gold[0] - nodes[0])
        expected[3] += weight * (gold[-1] - nodes[-1])
    for got, wanted in zip(gradients(function, *arrays), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4 if scale > 1 else 2e-5)


@pytest.mark.parametrize("path", ["fast", "exact"])
def test_fast_and_exact_transition_counts_agree(path, monkeypatch):
    if path == "fast":  # the other would be seen
        monkeypatch.setattr(
            _crf_ops, "_expected_transitions_exact", lambda s, t, moves, w: moves * np.nan
        )
    else:
        monkeypatch.setattr(_crf_ops, "_TINY", 1e30)
    rng = np.random.default_rng(2)
    alphas, betas, emissions = rng.normal(size=(3, 100, 8, 30)).astype("float32")
    transitions = rng.normal(size=(30, 30)).astype("float32")
    weights = (rng.uniform(size=(100, 7)) > 0.2).astype("float32")
    counts = _crf_ops._expected_transitions(
        *[ops.convert_to_tensor(a) for a in (alphas, betas, emissions, transitions, weights)]
    )
    target = (betas + emissions)[:, 1:].reshape(700, 30)
    source = alphas[:, :-1].reshape(700, 30)
    pairs = np.exp(source[:, :, None] + transitions + target[:, None].astype("float64"))
    pairs /= pairs.sum(axis=(1, 2), keepdims=True)
    wanted = (weights.reshape(700, 1, 1) * pairs).sum(axis=0)
    np.testing.assert_allclose(np.asarray(counts), wanted, rtol=1e-4)


@pytest.mark.parametrize("size", [5, 40])
def test_stable_at_10_000_steps(size):
    rng = np.random.default_rng(3)
    crf = make(size, rng, scale=3.0)
    emissions = rng.normal(scale=5.0, size=(1, 10_000, size)).astype("float32")
    wanted = log_partition_float64(emissions[0], *[p.astype("float64") for p in potentials(crf)])
    log_z = compiled(crf.log_partition)(emissions)
    assert abs(float(log_z[0]) / wanted - 1) < 1e-6
    marginals = np.asarray(compiled(crf.marginals)(emissions))
    np.testing.assert_allclose(marginals.sum(axis=-1), 1.0, atol=1e-5)
    grads = gradients(lambda e: ops.sum(crf.log_partition(e)), emissions, compile=True)
    np.testing.assert_allclose(grads[0], marginals, atol=1e-5)
    # Gold and normaliser are ~1e5 each; their difference keeps its own precision.
    best = np.asarray(compiled(crf.decode)(emissions))
    sharp = emissions + 40.0 * np.eye(size, dtype="float32")[best]
    likelihood = float(compiled(crf.log_likelihood)(sharp, best)[0])
    assert -1e-2 < likelihood <= 1e-4


def test_forbidden_transitions_are_never_decoded():
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    rng = np.random.default_rng(4)
    crf = make(5, rng, scale=5.0, **tag_constraints(names))
    emissions = (50 * rng.normal(size=(20, 12, 5))).astype("float32")
    for path in np.asarray(crf.decode(emissions)):
        previous = "O"
        for tag in path:
            if names[tag].startswith("I-"):
                assert previous[2:] == names[tag][2:]
                assert previous != "O"
            previous = names[tag]
    marginals = np.asarray(crf.marginals(emissions))
    assert not marginals[:, 0, [2, 4]].any()
    tags = np.full((20, 12), 2, "int32")  # gold that starts with I-PER: a finite, large loss
    assert (np.asarray(crf.log_likelihood(emissions, tags)) < FORBIDDEN / 2).all()
    grads = gradients(lambda e: ops.sum(crf.log_likelihood(e, tags)), emissions)
    assert np.isfinite(grads[0]).all()


def test_row_without_valid_steps_is_zero_and_has_no_gradient():
    crf = make(3, np.random.default_rng(5))
    emissions = np.ones((2, 4, 3), "float32")
    tags, mask = np.zeros((2, 4), "int32"), np.array([[True] * 4, [False] * 4])
    assert float(crf.log_likelihood(emissions, tags, mask)[1]) == 0.0
    grads = gradients(lambda e: ops.sum(crf.log_likelihood(e, tags, mask)), emissions)[0]
    assert np.isfinite(grads).all()
    assert not grads[1].any()
    assert grads[0].any()


def data(rng, rows=64, steps=6, size=3):
    """Tags that emissions show poorly but neighbours tell: 0 -> 1 -> 2 -> 0."""
    tags = (rng.integers(0, 3, (rows, 1)) + np.arange(steps)) % 3
    mask = np.arange(steps)[None] < rng.integers(2, steps + 1, (rows, 1))
    features = np.eye(size)[tags] + rng.normal(size=(rows, steps, size))
    return features.astype("float32"), mask, tags.astype("int32")


def test_compile_fit_reload_with_crf_loss(tmp_path):
    features, mask, tags = data(np.random.default_rng(6))
    keras.utils.set_random_seed(0)
    inputs, masks = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    crf = CRF(3)
    emissions = keras.layers.Dense(3)(inputs)
    model = keras.Model([inputs, masks], crf(emissions, mask=masks, output="potentials"))
    model.compile(keras.optimizers.Adam(0.1), loss=CRFLoss(), weighted_metrics=[CRFAccuracy()])
    weights = mask.astype("float32")

    def evaluate(model):
        return model.evaluate([features, mask], tags, sample_weight=weights, verbose=0)

    before, _ = evaluate(model)
    # as one epoch: 25 of four steps take longer
    many = [np.tile(array, (25, *[1] * (array.ndim - 1))) for array in (features, mask, tags)]
    model.fit(
        many[:2], many[2], sample_weight=many[1].astype("float32"), batch_size=16, shuffle=False,
        verbose=0,
    )  # fmt: skip
    loss, accuracy = evaluate(model)
    assert accuracy > 0.9
    assert loss < 0.25 * before
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert evaluate(again) == [loss, accuracy]


def test_tags_as_input_add_the_same_loss():
    features, mask, tags = data(np.random.default_rng(7))
    crf = make(3, np.random.default_rng(7))
    loss = CRFLoss()(tags, crf(features, mask=mask, output="potentials"), mask)
    crf(features, mask=mask, tags=tags)
    np.testing.assert_allclose(float(crf.losses[0]), float(loss), rtol=1e-5)
    wanted = -np.asarray(crf.log_likelihood(features, tags, mask)).sum() / mask.sum()
    np.testing.assert_allclose(float(loss), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_tags": 0}, "num_tags"),
        ({"num_tags": 3, "forbidden_transitions": [(0, 3)]}, "from 0 to 2. Received: 3"),
        ({"num_tags": 3, "forbidden_transitions": [(0, 1, 2)]}, "pairs"),
        ({"num_tags": 3, "forbidden_start": [-1]}, "forbidden_start"),
        (
            {"num_tags": 3, "forbidden_start": 1},
            "`forbidden_start` must be a list of whole numbers",
        ),
        (
            {"num_tags": 3, "forbidden_transitions": [1, 2]},
            "`forbidden_transitions` must be a list",
        ),
    ],
)
def test_constructor_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CRF(**kwargs)


def test_call_errors():
    crf = CRF(3)
    x = np.zeros((2, 4, 3), "float32")
    with pytest.raises(ValueError, match=r"num_tags=3.*Received.*4, 5"):
        crf(np.zeros((2, 4, 5), "float32"))
    with pytest.raises(ValueError, match=r"`output` must be one of 'tags'.*'argmax'"):
        crf(x, output="argmax")
    with pytest.raises(ValueError, match="must be a tensor of truth values"):
        crf(x, mask=np.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match="whole numbers"):
        crf.log_likelihood(x, np.zeros((2, 4), "float32"))
    with pytest.raises(ValueError, match="batch and time of `emissions`"):
        crf.log_likelihood(x, np.zeros((2, 3), "int32"))


PURE = ["bfloat16", "float16"]
PURE += ["float64"] if keras.backend.backend() == "tensorflow" else []  # jax has it by a flag


@pytest.mark.parametrize("dtype", PURE)
def test_pure_policies_are_computed_in_float32_at_least(dtype):
    crf = CRF(3, forbidden_start=[1], forbidden_transitions=[(0, 1)], dtype=dtype)
    x = np.random.default_rng(8).normal(size=(3, 4, 3)).astype("float32")
    tags = np.zeros((3, 4), "int32")
    for output in ("marginals", "potentials"):
        got = crf(x, mask=MASK, tags=tags, output=output)
        assert keras.backend.standardize_dtype(got.dtype) == wide_dtype(dtype)
    likelihood = crf.log_likelihood(x, tags, MASK)
    assert keras.backend.standardize_dtype(likelihood.dtype) == wide_dtype(dtype)
    assert np.isfinite(float(CRFLoss()(tags, got, MASK)))


@pytest.mark.parametrize("junk", [np.inf, np.nan])
def test_what_stands_at_padding_has_no_influence(junk):
    crf = make(3, np.random.default_rng(9))
    x = np.random.default_rng(9).normal(size=(3, 4, 3)).astype("float32")
    spoiled = np.where(MASK[..., None], x, np.float32(junk))
    tags = np.zeros((3, 4), "int32")
    for run in (crf.decode, crf.marginals, crf.log_partition):
        np.testing.assert_array_equal(np.asarray(run(x, MASK)), np.asarray(run(spoiled, MASK)))

    def loss(emissions):
        return ops.sum(crf.log_likelihood(emissions, tags, MASK))

    np.testing.assert_array_equal(*(gradients(loss, values)[0] for values in (x, spoiled)))
    # Weights may cut more than the CRF's own mask did.
    losses = [
        float(CRFLoss()(tags, crf(values, output="potentials"), MASK)) for values in (x, spoiled)
    ]
    assert losses[0] == losses[1]


def exact(crf, emissions):
    """Every tag sequence and its log-probability, the best first, of one row without padding."""
    weights = [np.asarray(ops.convert_to_numpy(w), "float64") for w in crf.effective_weights()]
    paths = list(itertools.product(range(emissions.shape[1]), repeat=len(emissions)))
    scores = np.array([path_score(emissions, *weights, path) for path in paths])
    scores -= np.log(np.exp(scores - scores.max()).sum()) + scores.max()
    order = np.argsort(-scores, kind="stable")
    return [paths[i] for i in order], scores[order]


@pytest.mark.parametrize("size", [2, 3, 9])
def test_the_best_paths_are_those_of_enumeration(size):
    rng = np.random.default_rng(size)
    crf = make(size, rng)
    emissions = rng.normal(size=(4, 4, size)).astype("float32")
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
    tags, log_probs = crf.decode(emissions, mask, n_best=5, return_log_probs=True)
    tags, log_probs = np.asarray(tags), np.asarray(log_probs)
    assert tags.shape == (4, 5, 4)
    np.testing.assert_array_equal(tags[:3, 0], np.asarray(crf.decode(emissions, mask))[:3])
    for row in range(3):
        paths, wanted = exact(crf, emissions[row, mask[row]])
        count = min(5, len(paths))
        np.testing.assert_array_equal(tags[row, :count][:, mask[row]], paths[:count])
        np.testing.assert_allclose(log_probs[row, :count], wanted[:count], atol=1e-5)
        assert (log_probs[row, count:] == np.float32(-1e30)).all()
        assert not tags[row][:, ~mask[row]].any()
    assert not tags[3].any()
    np.testing.assert_array_equal(log_probs[3], np.float32([0.0] + [-1e30] * 4))
    _, one = crf.decode(emissions, mask, return_log_probs=True)
    np.testing.assert_allclose(one[:3], log_probs[:3, 0], atol=1e-6)
    compiled_tags = compiled(lambda e, m: crf.decode(e, m, n_best=5))(emissions, mask)
    np.testing.assert_array_equal(compiled_tags, tags)
    with pytest.raises(ValueError, match="`n_best` must be a positive whole number"):
        crf.decode(emissions, n_best=0)


def test_partial_labels_sum_over_what_agrees_with_them():
    rng = np.random.default_rng(11)
    crf = make(3, rng)
    emissions = rng.normal(size=(3, 4, 3)).astype("float32")
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1]], bool)
    tags = np.array([[-1, 2, -1, 0], [-1, -1, -1, -1], [1, -1, 2, 0]])
    found = np.asarray(crf.log_likelihood(emissions, tags, mask, unknown_tag=-1))
    for row in range(3):
        paths, log_probs = exact(crf, emissions[row, mask[row]])
        known = tags[row, mask[row]]
        agree = [all(k in (-1, t) for k, t in zip(known, path, strict=True)) for path in paths]
        np.testing.assert_allclose(found[row], np.log(np.exp(log_probs[agree]).sum()), atol=1e-5)
    full = crf.log_likelihood(emissions, np.maximum(tags, 0), mask)
    same = crf.log_likelihood(emissions, np.maximum(tags, 0), mask, unknown_tag=-1)
    np.testing.assert_allclose(full, same, atol=1e-5)
    slopes = gradients(
        lambda e: ops.sum(crf.log_likelihood(e, tags, mask, unknown_tag=-1)), emissions
    )[0]
    step = np.zeros_like(emissions)
    step[0, 1, 2] = 1e-2
    ahead, behind = (
        float(ops.sum(crf.log_likelihood(emissions + s, tags, mask, unknown_tag=-1)))
        for s in (step, -step)
    )
    np.testing.assert_allclose(slopes[0, 1, 2], (ahead - behind) / 2e-2, atol=1e-3)
    loss = CRFLoss(unknown_tag=-1)
    potentials = crf(emissions, mask=mask, output="potentials")
    np.testing.assert_allclose(loss(tags, potentials), -found.sum() / mask.sum(), rtol=1e-5)
    assert CRFLoss.from_config(loss.get_config()).unknown_tag == -1


SPANS = {"iob2": "B I I", "bioes": "B I E", "bilou": "B I L", "bmes": "B M E"}
ALONE = {"iob2": "B", "bioes": "S", "bilou": "U", "bmes": "S"}


def spans(scheme, length, kind):
    if length == 1:
        return [f"{ALONE[scheme]}-{kind}"]
    first, middle, last = SPANS[scheme].split()
    return [f"{letter}-{kind}" for letter in (first, *[middle] * (length - 2), last)]


@pytest.mark.parametrize("scheme", SPANS)
def test_a_scheme_allows_spans_and_nothing_else(scheme):
    letters = sorted({*SPANS[scheme].split(), ALONE[scheme]})
    names = ["O", *(f"{letter}-{kind}" for kind in ("X", "Y") for letter in letters)]
    limits = tag_constraints(names, scheme)
    forbidden = {tuple(pair) for pair in limits["forbidden_transitions"]}
    pieces = [["O"], *(spans(scheme, n, kind) for kind in ("X", "Y") for n in range(1, 5))]
    wanted = set()
    for count in range(1, 5):
        for chosen in itertools.product(pieces, repeat=count):
            whole = tuple(itertools.chain(*chosen))
            if len(whole) == 4:
                wanted.add(whole)
    found = set()
    for path in itertools.product(range(len(names)), repeat=4):
        if path[0] in limits["forbidden_start"] or path[-1] in limits.get("forbidden_end", []):
            continue
        if not forbidden & set(itertools.pairwise(path)):
            found.add(tuple(names[tag] for tag in path))
    assert found == wanted
    tags = ["ADJ", "NOUN", "VERB", "I", "B", "E", "O"]  # no spans at all
    assert not any(tag_constraints(tags, scheme).values())
    with pytest.raises(ValueError, match="`scheme` must be one of 'iob2', 'bioes'"):
        tag_constraints(names, "iobes")
