"""Requests that are run together get what they would get alone."""

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from kerasseq.serve.batching import Batcher, OverloadedError
from kerasseq.serve.limits import Limits
from kerasseq.serve.protocol import Predict


class Model:
    """Says of every text how long it is, and with whom it was run."""

    name = "model"
    alone = frozenset()

    def __init__(self, seconds=0.0, fails=()):
        self.seconds, self.fails, self.batches, self.threads = seconds, fails, [], set()

    def run(self, signature, inputs):
        time.sleep(self.seconds)
        self.threads.add(threading.get_ident())
        texts = inputs["text"].tolist()
        self.batches.append((signature, texts, inputs.get("k")))
        if any(text in self.fails for text in texts):
            raise ValueError("no")
        lengths = np.array([len(text) for text in texts])
        width = int(lengths.max(initial=0))
        letters = np.array([[t[i : i + 1] for i in range(width)] for t in texts], object)
        return {"size": lengths * inputs.get("k", 1), "letters": letters, "lengths": lengths}


def request(*texts, signature="serving_default", **scalars):
    return Predict(signature, {"text": np.array(texts, object)}, scalars, len(texts), True)


def together(model, requests, **limits):
    """Sends all at once; answers in order, an exception as a value."""

    async def go():
        batcher = Batcher(Limits(**limits))
        try:
            return await asyncio.gather(
                *(batcher.run(model, one) for one in requests), return_exceptions=True
            ), batcher.waiting
        finally:
            batcher.close()

    return asyncio.run(go())


def test_those_that_come_together_are_run_together_and_taken_apart():
    model = Model()
    requests = [request(b"a"), request(b"bb", b"ccc"), request(b"dddd")]
    answers, waiting = together(model, requests)
    assert [answer["size"].tolist() for answer in answers] == [[1], [2, 3], [4]]
    assert [a["letters"].shape for a in answers] == [(1, 1), (2, 3), (1, 4)]  # none of the others'
    assert len(model.batches) == 1
    assert waiting == 0


def test_other_signatures_scalars_and_seeds_are_not_mixed():
    model = Model()
    requests = [
        request(b"a", k=1), request(b"b", k=2), request(b"c", k=1), request(b"d", signature="x"),
        request(b"e", seed=1), request(b"f", seed=1),
    ]  # fmt: skip
    answers, _ = together(model, requests)
    assert [answer["size"].tolist() for answer in answers] == [[1], [2], [1], [1], [1], [1]]
    assert [texts for _, texts, _ in model.batches] == [
        [b"a", b"c"], [b"b"], [b"d"], [b"e"], [b"f"],
    ]  # fmt: skip


def test_a_batch_is_bounded():
    model = Model()
    answers, _ = together(model, [request(b"a", b"b") for _ in range(5)], rows=4)
    assert [len(texts) for _, texts, _ in model.batches] == [4, 4, 2]
    assert len(answers) == 5


def test_more_than_may_wait_is_refused_at_once():
    model = Model(seconds=0.05)
    answers, waiting = together(model, [request(b"a", b"b") for _ in range(5)], waiting=6)
    assert [isinstance(answer, OverloadedError) for answer in answers] == [False] * 3 + [True] * 2
    assert waiting == 0


def test_a_failure_is_told_to_its_batch_and_the_next_goes_on():
    model = Model(fails=(b"bad",))
    answers, _ = together(model, [request(b"bad"), request(b"a", k=2), request(b"b", k=2)])
    assert isinstance(answers[0], ValueError)
    assert answers[1]["size"].tolist() == [2]


def test_one_thread_runs_the_model_and_requests_gather_meanwhile():
    model = Model(seconds=0.05)

    async def go():
        batcher = Batcher(Limits(wait=0.0))
        first = asyncio.create_task(batcher.run(model, request(b"a")))
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(batcher.run(model, request(b"b"))) for _ in range(8)]
        gone = others.pop()
        await asyncio.sleep(0)
        gone.cancel()  # its client has gone
        await asyncio.gather(first, *others)
        batcher.close()

    asyncio.run(go())
    assert [len(texts) for _, texts, _ in model.batches] == [1, 7]
    assert len(model.threads) == 1


def test_a_text_does_not_wait_for_one_that_is_much_longer():
    model = Model()
    sizes = (3000, 1, 200, 1600, 600, 250, 6000, 1200)
    answers, _ = together(model, [request(b"x" * size) for size in sizes])
    assert [answer["size"].tolist() for answer in answers] == [[size] for size in sizes]
    batches = [[len(text) for text in texts] for _, texts, _ in model.batches]
    assert batches == [[3000, 1600, 6000], [1, 200, 250], [600, 1200]]


def test_two_threads_run_two_batches_at_once():
    both = threading.Barrier(2, timeout=10)  # broken unless two are there together

    def run(signature, inputs):
        both.wait()
        return {"k": np.full(len(inputs["text"]), inputs["k"])}

    async def go():
        batcher = Batcher(Limits(), threads=2)
        parts = (request(b"a", k=1), request(b"b", k=2))
        answers = await asyncio.gather(*(batcher.run(model, part) for part in parts))
        batcher.close()
        return answers

    model = SimpleNamespace(run=run, alone=frozenset())
    assert [answer["k"].tolist() for answer in asyncio.run(go())] == [[1], [2]]


def test_lists_of_words_of_different_lengths_are_padded():
    seen = []

    def run(signature, inputs):
        seen.append(inputs["tokens"].tolist())
        return {"n": (inputs["tokens"] != b"").sum(1)}

    def words(*rows):
        width = max(map(len, rows))
        table = np.array([list(row) + [b""] * (width - len(row)) for row in rows], object)
        return Predict("tag", {"tokens": table}, {}, len(rows), True)

    answers, _ = together(
        SimpleNamespace(run=run, alone=frozenset()),
        [words([b"a"]), words([b"b", b"c", b"d"], [b"e"])],
    )
    assert [answer["n"].tolist() for answer in answers] == [[1], [3, 1]]
    assert len(seen) == 1
    assert len(seen[0][0]) == 3


@pytest.mark.parametrize("count", [1, 40])
def test_the_queue_is_in_order(count):
    model = Model()
    answers, _ = together(model, [request(b"x" * i) for i in range(1, count + 1)])
    assert [answer["size"].tolist() for answer in answers] == [[i] for i in range(1, count + 1)]
