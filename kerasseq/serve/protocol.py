"""TensorFlow Serving's predict requests and answers, as JSON.

The rules are those of its [REST API](https://www.tensorflow.org/tfx/serving/api_rest): rows
(``instances`` to ``predictions``) or columns (``inputs`` to ``outputs``), bytes as
``{"b64": "..."}``, and the names left out where a function has one input or one output.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kerasseq.serve.limits import Limits

DEFAULT = "serving_default"

DECODER = json.JSONDecoder()


class BadRequestError(Exception):
    """What the client has to mend, and the status that says so."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Input:
    """An input of a signature.

    Attributes:
        dtype: NumPy's name, ``object`` for strings.
        rank: 0 for one value for all examples, 1 for a value and 2 for a list for each.
    """

    dtype: str
    rank: int


@dataclass(frozen=True)
class Predict:
    """A request that has been read.

    Attributes:
        signature: its name.
        columns: arrays whose first axis is the examples.
        scalars: values that all examples have in common.
        rows: number of examples.
        by_row: whether the answer is by rows.
    """

    signature: str
    columns: Mapping[str, np.ndarray]
    scalars: Mapping[str, Any]
    rows: int
    by_row: bool


def parse_json(body: bytes) -> Mapping[str, Any]:
    """A request's body. As in TensorFlow Serving, ``NaN`` and ``Infinity`` are numbers, and what
    stands behind the object does not matter.

    Raises:
        BadRequestError: if it does not begin with a JSON object.
    """
    try:
        found, _ = DECODER.raw_decode(body.decode("utf-8-sig").lstrip(" \t\r\n"))
    except RecursionError:
        raise BadRequestError("JSON Parse error: nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such
        message = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise BadRequestError(f"JSON Parse error: {message}") from None
    if not isinstance(found, dict):
        raise BadRequestError("Request payload must be a JSON object")
    return found


def signature_of(request: Mapping[str, Any]) -> str:
    """The name of the signature that is asked for."""
    name = request.get("signature_name", DEFAULT)
    if not isinstance(name, str):
        raise BadRequestError("'signature_name' key must be a string value")
    return name or DEFAULT


def parse_predict(
    request: Mapping[str, Any], inputs: Mapping[str, Input], limits: Limits
) -> Predict:
    """The arrays of a predict request.

    Raises:
        BadRequestError: if they are not what the signature takes, or beyond the limits.
    """
    if ("instances" in request) == ("inputs" in request):
        raise BadRequestError("the request needs one of the keys 'instances' and 'inputs'")
    by_row = "instances" in request
    given = (
        _of_rows(request["instances"], inputs, limits)
        if by_row
        else _of_columns(request["inputs"], inputs)
    )
    missing, extra = sorted(set(inputs) - set(given)), sorted(map(str, set(given) - set(inputs)))
    if missing or (extra and by_row):  # of columns others are ignored, as TensorFlow Serving does
        what = f"lacks {missing[0]!r}" if missing else f"has {extra[0][:60]!r}, which is none"
        raise BadRequestError(f"the request {what}; inputs are {', '.join(sorted(inputs))}")
    columns, scalars = {}, {}
    for name, spec in inputs.items():
        if spec.rank == 0:
            scalars[name] = _scalar(name, given[name], spec, limits)
        else:
            columns[name] = _column(name, given[name], spec, limits)
    counts = {len(column) for column in columns.values()}
    if len(counts) != 1:
        raise BadRequestError("inputs have different numbers of examples")
    rows = counts.pop()
    if not 1 <= rows <= limits.rows:
        raise BadRequestError(f"a request has from 1 to {limits.rows} examples, got {rows}")
    beam, length = scalars.get("beam_size", 1), scalars.get("length", 1)
    if rows * beam > limits.rows:
        raise BadRequestError(
            f"examples times beam_size are at most {limits.rows}, got {rows} times {beam}"
        )
    if rows * length > limits.tokens:
        raise BadRequestError(
            f"examples times length are at most {limits.tokens}, got {rows} times {length}"
        )
    return Predict(signature_of(request), columns, scalars, rows, by_row)


def _of_rows(rows: Any, inputs: Mapping[str, Input], limits: Limits) -> dict[str, Any]:
    if not isinstance(rows, list):
        raise BadRequestError("'instances' must be a list")
    if not 1 <= len(rows) <= limits.rows:
        raise BadRequestError(f"a request has from 1 to {limits.rows} examples, got {len(rows)}")
    scalars = sorted(name for name, spec in inputs.items() if spec.rank == 0)
    if scalars:
        raise BadRequestError(
            f"{scalars[0]} is one value for all examples: use the column format, 'inputs'"
        )
    if not any(isinstance(row, dict) and set(row) != {"b64"} for row in rows):
        if len(inputs) != 1:
            raise BadRequestError(f"each instance needs the inputs {', '.join(sorted(inputs))}")
        return {next(iter(inputs)): rows}
    names = set(rows[0]) if isinstance(rows[0], dict) else set()
    if not all(isinstance(row, dict) and set(row) == names for row in rows):
        raise BadRequestError("instances must all have the same inputs")
    return {name: [row[name] for row in rows] for name in names}


def _of_columns(columns: Any, inputs: Mapping[str, Input]) -> dict[str, Any]:
    if isinstance(columns, dict) and set(columns) != {"b64"}:
        return columns
    if len(inputs) != 1:
        raise BadRequestError(f"'inputs' needs the names {', '.join(sorted(inputs))}")
    return {next(iter(inputs)): columns}


def _scalar(name: str, value: Any, spec: Input, limits: Limits) -> Any:
    found = _value(name, value, spec.dtype)
    most = limits.of_scalar(name)
    if most is not None and found > most:
        raise BadRequestError(f"{name} is at most {most}, got {found}")
    return found


def _column(name: str, values: Any, spec: Input, limits: Limits) -> np.ndarray:
    if not isinstance(values, list):
        raise BadRequestError(f"{name} must be a list, one value for each example")
    if len(values) > limits.rows:
        raise BadRequestError(f"a request has from 1 to {limits.rows} examples, got {len(values)}")
    if spec.rank == 1:
        return np.array([_text(name, value, spec, limits) for value in values], spec.dtype)
    if not all(isinstance(row, list) for row in values):
        raise BadRequestError(f"{name} must be a list of lists")
    width = max(map(len, values), default=0)
    if limits.strict and any(len(row) != width for row in values):
        raise BadRequestError(f"{name}: rows have different lengths, and the server is strict")
    if width > limits.words:
        raise BadRequestError(f"{name}: a sentence has at most {limits.words} words, got {width}")
    if spec.dtype != "object":
        if any(len(row) != width for row in values):
            raise BadRequestError(f"{name}: rows of numbers have one length")
        cells = [[_value(name, value, spec.dtype) for value in row] for row in values]
        return np.array(cells, spec.dtype).reshape(len(values), width)
    table = np.full((len(values), width), b"", spec.dtype)
    for row, words in zip(table, values, strict=True):
        row[: len(words)] = [_text(name, word, spec, limits) for word in words]
    return table


def _text(name: str, value: Any, spec: Input, limits: Limits) -> Any:
    if isinstance(value, str) and len(value) > limits.characters:
        raise BadRequestError(
            f"{name}: a text has at most {limits.characters} characters, got {len(value)}"
        )
    found = _value(name, value, spec.dtype)
    if isinstance(found, bytes) and len(found) > 4 * limits.characters:
        raise BadRequestError(
            f"{name}: a text has at most {4 * limits.characters} bytes, got {len(found)}"
        )
    return found


def _value(name: str, value: Any, dtype: str) -> Any:
    """One JSON value as what a tensor of the type holds."""
    if dtype == "object":
        if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
            try:
                return base64.b64decode(value["b64"], validate=True)
            except (binascii.Error, ValueError):
                raise BadRequestError(f"{name}: Unable to base64 decode") from None
        if not isinstance(value, str):
            raise BadRequestError(f"{name}: a string is needed, got {_kind(value)}")
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise BadRequestError(f"{name}: half a surrogate pair is no text") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequestError(f"{name}: a number is needed, got {_kind(value)}")
    if dtype.startswith("int"):
        info = np.iinfo(dtype)
        if not isinstance(value, int) or not info.min <= value <= info.max:
            raise BadRequestError(f"{name}: a whole number of {dtype} is needed")
    elif not abs(value) <= float(np.finfo(dtype).max):  # nor nan
        raise BadRequestError(f"{name}: a finite number of {dtype} is needed")
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return "null" if value is None else kinds.get(type(value), "a number")


def answer(outputs: Mapping[str, np.ndarray], by_row: bool) -> dict[str, Any]:
    """The JSON of a predict answer; a string output whose name ends with ``_bytes`` is base64."""
    plain: dict[str, Literal[True] | Any] = {
        name: _plain(values.tolist(), name.endswith("_bytes")) for name, values in outputs.items()
    }
    alone = len(plain) == 1
    if not by_row:
        return {"outputs": next(iter(plain.values())) if alone else plain}
    if alone:
        return {"predictions": next(iter(plain.values()))}
    rows = zip(*plain.values(), strict=True)
    return {"predictions": [dict(zip(plain, row, strict=True)) for row in rows]}


def _plain(value: Any, as_base64: bool) -> Any:
    if isinstance(value, list):
        return [_plain(item, as_base64) for item in value]
    if isinstance(value, bytes):
        if as_base64:
            return {"b64": base64.b64encode(value).decode()}
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    return value
