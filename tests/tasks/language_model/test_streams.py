"""Running text as batches: every token is a target once, after the token before it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.tasks.language_model.settings import StreamSettings
from kerasseq.tasks.language_model.streams import (
    Piece,
    SentenceBatches,
    StreamBatches,
    sentences,
)
from kerasseq.text.vocabulary import EOS

counts = st.integers(1, 120)
stream_settings = st.builds(
    StreamSettings,
    size=st.integers(1, 12),
    length=st.integers(1, 12),
    vary_length=st.booleans(),
    rotate=st.booleans(),
    spread=st.sampled_from([0.0, 2.0, 5.0]),
)
epochs = st.integers(0, 3)


def running(count):
    """A text in which every token tells where it stands."""
    return np.arange(10, 10 + count, dtype=np.int32)


@st.composite
def texts(draw):
    """Tokens 4 to 6 and line ends, which may stand anywhere."""
    return np.array(draw(st.lists(st.integers(EOS, 6), min_size=1, max_size=80)), np.int32)


def check_types(batch):
    rows = batch["ids"].shape
    assert batch["ids"].dtype == batch["targets"].dtype == np.int32
    assert batch["weights"].dtype == np.float32
    assert batch["fresh"].dtype == bool
    assert batch["targets"].shape == batch["weights"].shape == rows
    assert batch["fresh"].shape == ()
    assert set(np.unique(batch["weights"])) <= {0.0, 1.0}
    valid = batch["weights"] > 0
    assert (np.diff(batch["weights"], axis=1) <= 0).all(), "padding stands on the right"
    assert not batch["ids"][~valid].any()
    assert not batch["targets"][~valid].any()
    return valid


# -- streams ---------------------------------------------------------------------------------------


@given(counts, stream_settings, st.integers(0, 9), epochs)
def test_every_token_is_a_target_once_after_the_one_before_it(count, settings, seed, number):
    text = running(count)
    batches = StreamBatches(text, settings, seed)
    before = {int(token): int(last) for token, last in zip(text, [EOS, *text[:-1]], strict=True)}
    seen = []
    for item in batches.epoch(number):
        batch = batches.fetch(item)
        assert batch["ids"].shape == (settings.size, item.length)
        valid = check_types(batch)
        targets, ids = batch["targets"][valid], batch["ids"][valid]
        assert [before[token] for token in targets.tolist()] == ids.tolist()
        assert (text[batches.positions(item)[valid]] == targets).all()
        assert batches.positions(item).dtype == np.int64
        assert batches.tokens(item) == valid.sum()
        assert valid.any(), "no batch is empty"
        seen += targets.tolist()
    assert sorted(seen) == text.tolist()


@given(counts, stream_settings, st.integers(0, 9), epochs)
def test_streams_are_of_equal_length_and_go_on_from_piece_to_piece(count, settings, seed, number):
    text = running(count)
    batches = StreamBatches(text, settings, seed)
    streams = [[] for _ in range(settings.size)]
    inputs = [[] for _ in range(settings.size)]
    start = 0
    for order, item in enumerate(batches.epoch(number)):
        assert item.start == start
        start += item.length
        batch = batches.fetch(item)
        assert bool(batch["fresh"]) == (order == 0)
        valid = batch["weights"] > 0
        for row in range(settings.size):
            new = batch["ids"][row, valid[row]].tolist()
            if order and new:  # it goes on where it was: all of the piece before was its own
                assert len(streams[row]) == item.start
            inputs[row] += new
            streams[row] += batch["targets"][row, valid[row]].tolist()
    assert start == max(map(len, streams))
    assert max(map(len, streams)) - min(map(len, streams)) <= 1
    shifted = np.roll(text, -item.shift)
    assert settings.rotate or item.shift == 0
    assert list(itertools.chain(*streams)) == shifted.tolist()
    # the token before, also where the text begins again in the middle of a stream
    before = dict(zip(text.tolist(), [EOS, *text[:-1].tolist()], strict=True))
    assert [[before[token] for token in stream] for stream in streams] == inputs


@given(counts, stream_settings, st.integers(0, 9), epochs)
def test_pieces_are_a_function_of_seed_and_epoch(count, settings, seed, number):
    batches = StreamBatches(running(count), settings, seed)
    first = batches.epoch(number)
    batches.epoch(number + 1)
    assert batches.epoch(number) == first
    assert StreamBatches(running(count), settings, seed).epoch(number) == first


def test_every_epoch_begins_elsewhere():
    batches = StreamBatches(running(2000), StreamSettings(size=2, length=20), seed=3)
    shifts = [{item.shift for item in batches.epoch(number)} for number in range(20)]
    assert all(len(found) == 1 for found in shifts)
    assert len(set.union(*shifts)) > 15


def test_other_seeds_and_epochs_have_other_pieces():
    settings = StreamSettings(size=2, length=20)
    first, *others = (
        StreamBatches(running(2000), settings, seed).epoch(epoch)
        for seed, epoch in [(1, 0), (1, 1), (2, 0)]
    )
    assert first not in others
    assert others[0] != others[1]


def test_a_text_shorter_than_the_number_of_streams():
    batches = StreamBatches(running(3), StreamSettings(size=8, length=5), seed=0)
    (item,) = batches.epoch(0)
    assert item == Piece(0, 1, item.shift)
    assert batches.tokens(item) == batches.fetch(item)["weights"].sum() == 3


def test_fixed_lengths():
    settings = StreamSettings(size=2, length=7, vary_length=False, rotate=False)
    batches = StreamBatches(running(40), settings, seed=0)
    items = batches.epoch(0)
    assert items == [Piece(0, 7), Piece(7, 7), Piece(14, 6)]
    assert [batches.learning_rate_scale(item) for item in items] == [1, 1, pytest.approx(6 / 7)]


def test_lengths_vary_as_in_awd_lstm():
    """One in 20 is half as long; none is very short; the rate goes with the length."""
    settings = StreamSettings(size=1, length=70, spread=5.0)
    batches = StreamBatches(running(400_000), settings, seed=0)
    items = batches.epoch(0)[:-1]
    lengths = np.array([item.length for item in items])
    short = lengths < 52
    assert abs(short.mean() - 0.05) < 0.01
    assert abs(lengths[~short].mean() - 70) < 0.3
    assert abs(lengths[~short].std() - 5) < 0.3
    assert abs(lengths[short].mean() - 35) < 2
    assert [batches.learning_rate_scale(item) for item in items] == pytest.approx(
        (lengths / 70).tolist()
    )


@pytest.mark.parametrize(("length", "least"), [(12, 5), (5, 5), (3, 3), (1, 1)])
def test_no_piece_but_the_last_is_very_short(length, least):
    settings = StreamSettings(size=1, length=length, spread=20.0)
    items = StreamBatches(running(5000), settings, seed=0).epoch(0)
    lengths = [item.length for item in items[:-1]]
    assert min(lengths) == least
    assert max(lengths) > length


# -- sentences -------------------------------------------------------------------------------------


def lines_of(ids):
    lines, line = [], []
    for token in ids.tolist():
        line.append(token)
        if token == EOS:
            lines.append(line)
            line = []
    return [*lines, line] if line else lines


@given(texts(), st.integers(1, 9))
def test_sentences_are_the_lines_and_long_ones_in_pieces(ids, longest):
    starts, lengths = sentences(ids, longest)
    assert starts.dtype == lengths.dtype == np.int64
    found = [ids[s : s + n].tolist() for s, n in zip(starts, lengths, strict=True)]
    wanted = [
        line[at : at + longest] for line in lines_of(ids) for at in range(0, len(line), longest)
    ]
    assert found == wanted


@given(counts, st.integers(1, 6), st.integers(1, 9), st.integers(0, 9), epochs, st.data())
def test_in_sentences_too_every_token_is_a_target_once(count, size, length, seed, number, data):
    text = running(count)
    text[list(data.draw(st.sets(st.integers(0, count - 1))))] = EOS
    settings = StreamSettings(mode="sentences", size=size, length=length)
    batches = SentenceBatches(text, settings, seed)
    pairs = []
    for item in batches.epoch(number):
        batch = batches.fetch(item)
        valid = check_types(batch)
        assert valid.any(axis=1).all()
        assert valid.any(axis=0).all(), "no column is all padding"
        assert batch["ids"].shape[0] <= size
        assert batch["ids"].shape[1] <= length
        assert batch["fresh"]
        assert batches.learning_rate_scale(item) == 1
        assert batches.tokens(item) == valid.sum()
        pairs += zip(batch["ids"][valid].tolist(), batch["targets"][valid].tolist(), strict=True)
    assert sorted(pairs) == sorted(zip([EOS, *text[:-1].tolist()], text.tolist(), strict=True))
    again = SentenceBatches(text, settings, seed).epoch(number)
    for a, b in zip(batches.epoch(number), again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_line_starts_after_a_line_end():
    text = np.array([4, 5, EOS, 6, EOS, EOS, 7, 8], np.int32)
    batches = SentenceBatches(text, StreamSettings(mode="sentences", size=9, length=9), seed=0)
    (item,) = batches.epoch(0)
    batch = batches.fetch(item)
    assert (batch["ids"][:, 0] == EOS).all()
    rows = [
        row[mask > 0].tolist() for row, mask in zip(batch["targets"], batch["weights"], strict=True)
    ]
    assert sorted(rows) == [[EOS], [4, 5, EOS], [6, EOS], [7, 8]]
