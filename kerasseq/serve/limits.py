"""What a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass

BACKLOG = 128
"""Connections that wait to be let in; so many may be there before one of them is looked at."""


@dataclass(frozen=True)
class Limits:
    """Bounds; what is beyond one is answered with it.

    Attributes:
        body: bytes of a request's body.
        rows: examples of a request, each counted beam_size times, and of what is run at once.
        characters: of one text.
        words: of one sentence that is given as words.
        beam_size, k, length: of the inputs of these names.
        tokens: that a request generates, its examples times its length.
        seconds: that a request may take to arrive, and then to be answered.
        waiting: examples that wait to be run, over all requests of a model.
        wait: seconds that a request waits for others to be run with.
        streams: generations that are sent token by token at once.
        connections: at once; beyond it those give way that wait for a request longest.
        connections_per_address: of one client, or of one network of 64 bits of IPv6.
        idle: seconds that a connection has for a head, from its beginning or the last answer.
        head: bytes of a request's head.
        headers: lines of it.
        line: bytes of a request's path.
        strict: whether lists of words must have the same length in a request, as TensorFlow Serving
            wants it; else shorter ones are padded.
    """

    body: int = 4 * 2**20
    rows: int = 256
    characters: int = 20_000
    words: int = 2_000
    beam_size: int = 20
    k: int = 100
    length: int = 1_000
    tokens: int = 10_000
    seconds: float = 60.0
    waiting: int = 1_024
    wait: float = 0.002
    streams: int = 32
    connections: int = 1_024
    connections_per_address: int = 256
    idle: float = 30.0
    head: int = 32 * 2**10
    headers: int = 100
    line: int = 8 * 2**10
    strict: bool = False

    def of_scalar(self, name: str) -> int | None:
        """The bound of a scalar input; None if it has none."""
        return {"beam_size": self.beam_size, "k": self.k, "length": self.length}.get(name)
