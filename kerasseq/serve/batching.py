"""Requests that arrive together are run together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kerasseq.serve.limits import Limits
from kerasseq.serve.models import Served
from kerasseq.serve.protocol import Predict

SHORT = 256
"""Sizes up to which all texts are alike."""


class OverloadedError(Exception):
    """There is more to do than can be done."""


@dataclass(eq=False)
class _Waiting:
    served: Served
    request: Predict
    answer: asyncio.Future

    @cached_property
    def size(self) -> int:
        """Of its largest example: the bytes of a text, the words of a sentence."""
        return max(
            max(map(len, column)) if column.ndim == 1 and column.dtype == object else column[0].size
            for column in self.request.columns.values()
        )

    def goes_with(self, other: _Waiting) -> bool:
        """Whether one run can answer both. Where a seed is drawn with, an example's draw depends
        on its place in the batch, and where the width of an output does on the whole batch, nothing
        says how wide one's own was: such requests are run alone. A batch takes as long as its
        longest text, so much shorter ones go elsewhere."""
        mine, theirs = self.request, other.request
        return (
            self.served is other.served
            and mine.signature == theirs.signature
            and "seed" not in mine.scalars
            and mine.signature not in self.served.alone
            and mine.scalars == theirs.scalars
            and max(self.size, other.size, SHORT) <= 2 * max(min(self.size, other.size), SHORT)
        )


class Batcher:
    """A bounded queue, and threads that run what is in it.

    While the threads run batches, requests gather for the next ones; an idle thread waits for them
    ``limits.wait`` seconds.

    Args:
        limits: see :class:`Limits`.
        threads: batches that are run at once.
        observe: told of every batch's examples.
    """

    def __init__(self, limits: Limits, threads: int = 1, observe: Any = lambda rows: None):
        self._limits, self._threads, self._observe = limits, threads, observe
        self._queue: deque[_Waiting] = deque()
        self._rows = 0
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._tasks: list[asyncio.Task] = []

    @property
    def waiting(self) -> int:
        """Examples that wait."""
        return self._rows

    async def run(self, served: Served, request: Predict) -> dict[str, np.ndarray]:
        """The outputs for one request.

        Raises:
            OverloadedError: if too much waits already.
        """
        if self._rows + request.rows > self._limits.waiting:
            raise OverloadedError(f"more than {self._limits.waiting} examples would wait")
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._work()) for _ in range(self._threads)]
        waiting = _Waiting(served, request, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._rows += request.rows
        self._arrived.set()
        try:
            return await waiting.answer
        except asyncio.CancelledError:  # nobody waits for it any more
            if waiting in self._queue:
                self._queue.remove(waiting)
                self._rows -= request.rows
            raise

    async def call(self, function: Callable[[], Any]) -> Any:
        """Runs a function in one of the threads, alone."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Ends the threads; what they still run is for nobody."""
        for task in self._tasks:
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
                await asyncio.sleep(self._limits.wait)
            batch = self._take()
            if not batch:
                continue
            try:
                outputs = await loop.run_in_executor(self._pool, _run, batch)
            except Exception as error:  # the next batch may be all right
                for one in batch:
                    if not one.answer.done():
                        one.answer.set_exception(error)
            else:
                for one, mine in zip(batch, outputs, strict=True):
                    if not one.answer.done():
                        one.answer.set_result(mine)

    def _take(self) -> list[_Waiting]:
        """The oldest request, and those that go with it."""
        batch: list[_Waiting] = []
        rest: deque[_Waiting] = deque()
        rows = 0
        for one in self._queue:
            size = one.request.rows
            if not batch or (one.goes_with(batch[0]) and rows + size <= self._limits.rows):
                batch.append(one)
                rows += size
                self._rows -= size
            else:
                rest.append(one)
        self._queue = rest
        if batch:
            self._observe(rows)
        return batch


def _run(batch: list[_Waiting]) -> list[dict[str, np.ndarray]]:
    """Runs some requests as one, and takes the outputs apart."""
    first = batch[0]
    joined = {
        name: _joined([one.request.columns[name] for one in batch])
        for name in first.request.columns
    }
    outputs = first.served.run(first.request.signature, {**joined, **first.request.scalars})
    answers = []
    start = 0
    for one in batch:
        end = start + one.request.rows
        answers.append({name: values[start:end] for name, values in outputs.items()})
        start = end
    return [_narrowed(answer) for answer in answers] if len(batch) > 1 else answers


def _joined(columns: list[np.ndarray]) -> np.ndarray:
    """Arrays below one another; lists of words are padded by empty ones."""
    if columns[0].ndim == 1 or len({column.shape[1] for column in columns}) == 1:
        return np.concatenate(columns)
    width = max(column.shape[1] for column in columns)
    return np.concatenate(
        [np.pad(c, [(0, 0), (0, width - c.shape[1])], constant_values=b"") for c in columns]
    )


def _narrowed(answer: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the padding that only other requests' examples need."""
    lengths = answer.get("lengths")
    if lengths is None:
        return dict(answer)
    width = int(lengths.max())
    return {n: v[:, :width] if v.ndim > 1 else v for n, v in answer.items()}
