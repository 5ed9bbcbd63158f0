"""How well a language model predicts a text, against one long call and against NumPy."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.tasks.language_model import scorer
from kerasseq.tasks.language_model.model import RecurrentLanguageModel
from kerasseq.tasks.language_model.report import BANDS, bands, report, report_lines
from kerasseq.tasks.language_model.scorer import Scorer
from kerasseq.text.vocabulary import EOS, UNK

SIZE = 12


def small_model(seed=0, **changes):
    options = {"vocabulary_size": SIZE, "embedding_dim": 4, "units": 5, "num_layers": 2} | changes
    model = RecurrentLanguageModel(**options)
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.7, w.shape) for w in model.get_weights()])
    return model


def text(count, seed=1):
    return np.random.default_rng(seed).integers(EOS, SIZE, count).astype(np.int32)


def in_one_call(model, ids):
    """The nll of a text that is read at once, EOS before it."""
    inputs = np.concatenate([[EOS], ids[:-1]]).astype(np.int32)[None]
    return model.nll(model(inputs)[0], ids[None]).numpy()[0]


MODELS = {
    "lstm": {},
    "gru, sampled": {"cell": "gru", "softmax": "sampled", "num_sampled": 3},
    "simple_rnn, adaptive": {"cell": "simple_rnn", "softmax": "adaptive", "cutoffs": [5, 9]},
    "dropout": {"layer_dropout": 0.5, "output_dropout": 0.5, "weight_drop": 0.5},
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return small_model(**MODELS[request.param])


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    monkeypatch.setattr(scorer, "POSITIONS", 12)


def test_one_stream_is_one_long_call(model):
    scorer = Scorer(model)
    for count in (1, 11, 12, 13, 100):
        ids = text(count)
        found = scorer.nll(ids)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, in_one_call(model, ids), atol=1e-5)


@pytest.mark.parametrize("streams", [2, 5, 30, 200])
def test_each_stream_starts_at_zeros_after_the_token_before_it(streams):
    """More streams than positions, and than tokens, too."""
    model, ids = small_model(), text(100)
    found = Scorer(model).nll(ids, streams)
    number = min(streams, len(ids))
    edges = np.arange(number + 1) * len(ids) // number
    inputs = np.concatenate([[EOS], ids[:-1]]).astype(np.int32)
    lengths = np.diff(edges)
    for length in set(lengths.tolist()):  # those of one length in one batch
        places = edges[:-1][lengths == length][:, None] + np.arange(length)
        nll = model.nll(model(inputs[places])[0], ids[places]).numpy()
        np.testing.assert_allclose(found[places], nll, atol=1e-5)


def test_pieces_come_in_order_with_the_outputs():
    model, ids = small_model(), text(30)
    pieces = list(Scorer(model, with_outputs=True).pieces(ids))
    assert [len(positions) for positions, _, _ in pieces] == [12, 12, 6]
    assert np.concatenate([positions for positions, _, _ in pieces]).tolist() == list(range(30))
    inputs = np.concatenate([[EOS], ids[:-1]]).astype(np.int32)[None]
    outputs = np.concatenate([outputs for _, _, outputs in pieces])
    np.testing.assert_allclose(outputs, model(inputs)[0].numpy()[0], atol=1e-5)
    assert all(outputs is None for _, _, outputs in Scorer(model).pieces(ids))


@pytest.mark.parametrize("positions", [1, 4, 500])
def test_sentences_are_each_line_alone(monkeypatch, positions):
    """A line that is too long for one piece is read in several, the state carried."""
    monkeypatch.setattr(scorer, "POSITIONS", positions)
    model, ids = small_model(), text(60)
    ids[20:50] = 7  # a long line
    ids[-1] = EOS
    found = Scorer(model).nll_of_sentences(ids)
    start = 0
    for end in np.flatnonzero(ids == EOS) + 1:
        np.testing.assert_allclose(found[start:end], in_one_call(model, ids[start:end]), atol=1e-5)
        start = end
    assert start == len(ids)


def test_sentences_without_a_last_line_end():
    model, ids = small_model(), np.array([5, 6, EOS, 7, 8], np.int32)
    found = Scorer(model).nll_of_sentences(ids)
    np.testing.assert_allclose(found[:3], in_one_call(model, ids[:3]), atol=1e-5)
    np.testing.assert_allclose(found[3:], in_one_call(model, ids[3:]), atol=1e-5)


def test_under_mixed_bfloat16_the_nll_is_close_and_carried():
    plain, ids = small_model(), text(40)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = Scorer(small_model(), with_outputs=True).nll(ids)
    finally:
        keras.config.set_dtype_policy("float32")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, in_one_call(plain, ids), atol=0.1)


# -- the report ------------------------------------------------------------------------------------


@st.composite
def scored(draw):
    """An nll, the ids, and training counts in which every band may occur."""
    ids = np.array(draw(st.lists(st.integers(UNK, SIZE - 1), min_size=1, max_size=60)), np.int32)
    counts = [0, 1, 9, 10, 11, 100, 101, 1000, 5000, 10_001, 100_000, 100_001, 10**9]
    frequencies = draw(st.lists(st.sampled_from(counts), min_size=SIZE, max_size=SIZE))
    seed = draw(st.integers(0, 99))
    nll = np.random.default_rng(seed).exponential(4.0, len(ids)).astype(np.float32)
    return nll, ids, np.array(frequencies, np.int64)


@given(scored(), st.integers(1, 500))
def test_figures_equal_numpy(case, characters):
    nll, ids, counts = case
    found = report(nll, ids, characters, counts)
    total = nll.astype("float64").sum()
    assert found["tokens"] == len(ids)
    assert found["nll"] == pytest.approx(total, abs=1e-3)
    assert found["nats_per_token"] == pytest.approx(total / len(ids), abs=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(total / len(ids)), rel=1e-6, abs=1e-4)
    bits = -np.log2(np.exp(-nll.astype("float64"))).sum()
    assert found["bits_per_token"] == pytest.approx(bits / len(ids), abs=1e-5)
    assert found["bits_per_character"] == pytest.approx(bits / characters, abs=1e-5)
    assert found["characters"] == characters
    assert found["unknown"] == (ids == UNK).sum()


def test_perplexity_is_of_the_sum_and_not_a_mean_of_perplexities():
    nll = np.log(np.array([2.0, 8.0], np.float32))
    found = report(nll, np.array([5, 6]), 4, np.ones(SIZE, np.int64))
    assert found["perplexity"] == 4.0
    assert found["bits_per_token"] == 2.0
    assert found["bits_per_character"] == 1.0


def test_the_perplexity_of_a_hopeless_model_is_a_finite_number():
    found = report(np.full(2, 1e30, np.float32), np.array([5, 6]), 0, np.ones(SIZE, np.int64))
    assert found["perplexity"] == pytest.approx(math.exp(88))
    assert np.isfinite(found["bands"][0]["perplexity"])


@given(scored())
def test_bands_part_the_tokens_and_come_to_the_whole(case):
    nll, ids, counts = case
    found = bands(nll, ids, counts)
    assert sum(band["tokens"] for band in found) == len(ids)
    assert sum(band["types"] for band in found) == len(set(ids.tolist()))
    assert all(band["tokens"] for band in found)
    assert len({band["frequency"] for band in found}) == len(found)
    assert sum(band["share"] for band in found) == pytest.approx(1, abs=1e-3)
    assert sum(band["nll_share"] for band in found) == pytest.approx(1, abs=1e-3)
    # of each band, from its perplexity (2 digits): the whole's summed nll
    parts = [band["tokens"] * math.log(max(band["perplexity"], 1e-9)) for band in found]
    assert sum(parts) == pytest.approx(nll.astype("float64").sum(), rel=1e-2, abs=0.01 * len(ids))


@given(scored())
def test_each_band_holds_what_its_name_says(case):
    nll, ids, counts = case
    expected = {}
    for loss, token in zip(nll.astype("float64"), ids.tolist(), strict=True):
        frequency = counts[token]
        if token == UNK:
            name = "unknown"
        elif frequency == 0:
            name = "never"
        elif frequency > BANDS[-1]:
            name = "over 100,000"
        else:
            low = max([0, *(edge for edge in BANDS if edge < frequency)])
            high = min(edge for edge in BANDS if edge >= frequency)
            name = f"{low + 1:,} to {high:,}"
        expected.setdefault(name, []).append((loss, token))
    found = {band["frequency"]: band for band in bands(nll, ids, counts)}
    assert set(found) == set(expected)
    for name, rows in expected.items():
        losses, tokens = zip(*rows, strict=True)
        assert found[name]["tokens"] == len(rows)
        assert found[name]["types"] == len(set(tokens))
        perplexity = math.exp(np.mean(losses))
        assert found[name]["perplexity"] == pytest.approx(perplexity, rel=1e-6, abs=0.006)
        assert found[name]["nll_share"] == pytest.approx(sum(losses) / nll.sum(), abs=1e-4)


@pytest.mark.parametrize("level", ["char", "word"])
def test_a_report_for_people_names_every_band(level):
    ids = np.array([UNK, 4, 5, 6], np.int32)
    counts = np.zeros(SIZE, np.int64)
    counts[[1, 4, 5]] = [50, 3, 20_000]
    found = report(np.ones(4, np.float32), ids, 9, counts)
    lines = report_lines({**found, "level": level})
    assert "perplexity 2.7" in lines[0]
    assert "4 tokens" in lines[1]
    assert "1 of them unknown" in lines[1]
    assert [line.split("  ")[1] for line in lines[3:]] == [
        "unknown", "1 to 10", "10,001 to 100,000", "never",
    ]  # fmt: skip
