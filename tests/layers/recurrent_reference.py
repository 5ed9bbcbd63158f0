"""The recurrent equations in plain NumPy (float64), one sequence at a time."""

from typing import Any

import numpy as np

EPSILON = 1e-5
Array = np.ndarray


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def normalize(x: Array, scale: Array, shift: Array | float = 0.0) -> Array:
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + EPSILON) * scale + shift


def lstm_step(
    x: Array, h: Array, c: Array, weights: dict[str, Array], coupled: bool = False
) -> tuple[Array, Array]:
    projected, recurrent = x @ weights["kernel"], h @ weights["recurrent_kernel"]
    if "input_scale" in weights:
        projected = normalize(projected, weights["input_scale"])
        recurrent = normalize(recurrent, weights["recurrent_scale"])
    z = projected + recurrent + weights["bias"]
    if coupled:
        f, g, o = np.split(z, 3)
        f = sigmoid(f)
        i = 1 - f
    else:
        i, f, g, o = np.split(z, 4)
        i, f = sigmoid(i), sigmoid(f)
    c = f * c + i * np.tanh(g)
    shown = c
    if "cell_scale" in weights:
        shown = normalize(c, weights["cell_scale"], weights["cell_shift"])
    return sigmoid(o) * np.tanh(shown), c


def gru_step(x: Array, h: Array, weights: dict[str, Array], reset_after: bool = True) -> Array:
    kernel, recurrent, bias = (weights[n] for n in ("kernel", "recurrent_kernel", "bias"))
    units = len(h)
    projected = x @ kernel
    scales = (weights["input_scale"], weights["recurrent_scale"]) if "input_scale" in weights else 0
    if scales:
        projected = normalize(projected, scales[0])
    if reset_after:
        projected = projected + bias[0]
        product = h @ recurrent
        if scales:
            product = normalize(product, scales[1])
        product = product + bias[1]
        z = sigmoid(projected[:units] + product[:units])
        r = sigmoid(projected[units : 2 * units] + product[units : 2 * units])
        g = np.tanh(projected[2 * units :] + r * product[2 * units :])
    else:
        projected = projected + bias
        product = h @ recurrent[:, : 2 * units]
        if scales:
            product = normalize(product, scales[1][: 2 * units])
        z = sigmoid(projected[:units] + product[:units])
        r = sigmoid(projected[units : 2 * units] + product[units:])
        inner = (r * h) @ recurrent[:, 2 * units :]
        if scales:
            inner = normalize(inner, scales[1][2 * units :])
        g = np.tanh(projected[2 * units :] + inner)
    return z * h + (1 - z) * g


def simple_rnn_step(x: Array, h: Array, weights: dict[str, Array]) -> Array:
    projected, recurrent = x @ weights["kernel"], h @ weights["recurrent_kernel"]
    if "input_scale" in weights:
        projected = normalize(projected, weights["input_scale"])
        recurrent = normalize(recurrent, weights["recurrent_scale"])
    return np.tanh(projected + recurrent + weights["bias"])


def step(
    cell: str, x: Array, states: list[Array], weights: dict[str, Array], **settings: Any
) -> list[Array]:
    """One step of any cell: the new states."""
    zoneout = settings.pop("zoneout", 0.0)
    if cell == "lstm":
        new = list(lstm_step(x, states[0], states[1], weights, **settings))
    elif cell == "gru":
        new = [gru_step(x, states[0], weights, **settings)]
    else:
        new = [simple_rnn_step(x, states[0], weights)]
    return [zoneout * o + (1 - zoneout) * n for n, o in zip(new, states, strict=True)]


def weights_of(cell: Any) -> dict[str, Array]:
    """A cell's weights by name, in float64."""
    return {w.name: np.asarray(w, "float64") for w in cell.trainable_weights}


def run(
    cell: str,
    x: Array,
    lengths: Array,
    states: list[Array],
    weights: dict[str, Array],
    reverse: bool = False,
    **settings: Any,
) -> tuple[Array, list[Array]]:
    """A whole batch `[batch, time, features]`: outputs, 0 at padded steps, and final states."""
    units = states[0].shape[1]
    outputs = np.zeros((*x.shape[:2], units))
    final = [np.array(s, "float64") for s in states]
    for row, length in enumerate(lengths):
        now = [s[row].astype("float64") for s in states]
        times = range(length - 1, -1, -1) if reverse else range(length)
        for t in times:
            now = step(cell, x[row, t].astype("float64"), now, weights, **dict(settings))
            outputs[row, t] = now[0]
        for s, value in zip(final, now, strict=True):
            s[row] = value
    return outputs, final
