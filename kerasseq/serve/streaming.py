"""A text that is generated token by token, sent as it comes: server-sent events.

The paths and keys are those of KServe's generate extension. A model is streamed if its export has
the functions ``begin``, ``advance`` and ``spell``: a text is read once, and its states go from step
to step.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kerasseq.serve.limits import Limits
from kerasseq.serve.models import Served
from kerasseq.serve.protocol import BadRequestError

NEEDED = ("begin", "advance", "spell")
"""Functions of a model that can be streamed."""

LENGTH = 50
"""Tokens, if a request does not say how many."""

CONTEXT = 64
"""Tokens before a new one that decide how it is spelled, such as a quotation mark that is open."""


@dataclass(frozen=True)
class Generate:
    """What is to be generated.

    Attributes:
        text: the prompt.
        length: tokens.
        seed: of the draws.
        sampling: numbers that ``advance`` takes, by name.
    """

    text: str
    length: int
    seed: int
    sampling: Mapping[str, int | float]


def parse_generate(request: Mapping[str, Any], served: Served, limits: Limits) -> Generate:
    """A request of the generate extension.

    Raises:
        BadRequestError: if it is not one, or beyond the limits.
    """
    if any(name not in served.inputs for name in NEEDED):
        raise BadRequestError(f"{served.name} generates nothing token by token; export it again")
    text, given = request.get("text_input"), request.get("parameters", {})
    if not isinstance(text, str) or not isinstance(given, dict):
        raise BadRequestError("the request needs text_input, a string; parameters is an object")
    if len(text) > limits.characters:
        raise BadRequestError(f"a text has at most {limits.characters} characters, got {len(text)}")
    inputs = served.inputs["advance"]
    offered = served.manifest.get("page", {}).get("sampling", {})
    numbers = {
        n: offered.get(n) for n in inputs if inputs[n].rank == 0 and n not in ("position", "seed")
    }
    if unknown := sorted(set(given) - set(numbers) - {"length", "max_tokens", "seed"}):
        names = ", ".join(["length", "seed", *sorted(numbers)])
        raise BadRequestError(f"there is no parameter {unknown[0][:60]!r}; there are {names}")
    length = given.get("length", given.get("max_tokens", LENGTH))
    if type(length) is not int or not 1 <= length <= limits.length:
        raise BadRequestError(f"length is from 1 to {limits.length}, got {length!r:.60}")
    seed = given.get("seed", secrets.randbits(31))
    if type(seed) is not int or not -(2**63) <= seed < 2**63:
        raise BadRequestError(f"seed is a whole number of 64 bits, got {seed!r:.60}")
    sampling = {}
    for name, default in numbers.items():
        value = given.get(name, default)
        whole = inputs[name].dtype.startswith("int")
        if type(value) not in ((int,) if whole else (int, float)) or abs(value) > 2**31 - 1:
            raise BadRequestError(f"{name} is a{' whole' * whole} number, got {value!r:.60}")
        sampling[name] = value
    return Generate(text, length, seed, sampling)


async def generated(
    served: Served,
    asked: Generate,
    call: Callable[[Callable[[], Any]], Awaitable[Any]],
) -> AsyncIterator[dict[str, Any]]:
    """The events of a generation, token by token.

    Args:
        served: the model.
        asked: what is to be generated.
        call: runs a function in a thread of the model's.

    Yields:
        First ``prompt``, the text as the model reads it; then ``text_output``, what a token adds;
        at last ``generated``, ``log_prob`` and ``seed``.
    """

    def spell(ids: list[int]) -> str:
        return served.run("spell", {"ids": [ids]})["text"][0].decode() if ids else ""

    def step(inputs: Mapping[str, Any], context: list[int]) -> tuple[dict[str, np.ndarray], str]:
        """One token, and the text of the context with it."""
        found = served.run("advance", inputs)
        return found, spell([*context, int(found["token"][0])])

    begun = await call(lambda: served.run("begin", {"text": [asked.text.encode()]}))
    context = [int(i) for i in begun["ids"][0] if i]
    states = {name: value for name, value in begun.items() if name.startswith("state_")}
    last, total = begun["last"], 0.0
    yield {"prompt": await call(lambda: spell(context)), "unknown": int(begun["unknown"][0])}
    context = context[-CONTEXT:]
    text = await call(partial(spell, context))
    for position in range(asked.length):
        numbers = {"position": position, "seed": asked.seed, **asked.sampling}
        inputs = {"last": last, **numbers, **states}
        found, longer = await call(partial(step, inputs, context))
        last, total = found["token"], total + float(found["log_prob"][0])
        states = {name: found[name] for name in states}
        context = [*context, int(last[0])]
        yield {"text_output": longer[len(text) :]}
        text = longer
        if len(context) > 2 * CONTEXT:
            context = context[-CONTEXT:]
            text = await call(partial(spell, context))
    yield {"generated": asked.length, "log_prob": total, "seed": asked.seed}


def event(served: Served, content: Mapping[str, Any]) -> str:
    """One server-sent event."""
    line = {"model_name": served.name, "model_version": str(served.version), **content}
    return f"data: {json.dumps(line)}\n\n"
