"""Requests and answers, as TensorFlow Serving has them."""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasseq.serve.limits import Limits
from kerasseq.serve.protocol import (
    BadRequestError,
    Input,
    answer,
    parse_json,
    parse_predict,
    signature_of,
)

TEXT = {"text": Input("object", 1)}
WORDS = {"tokens": Input("object", 2)}
NEXT = {"text": Input("object", 1), "k": Input("int32", 0)}
GENERATE = {**TEXT, "temperature": Input("float32", 0), "seed": Input("int64", 0)}
LIMITS = Limits(rows=4, characters=10, words=3)


def read(request, inputs=TEXT):
    return parse_predict(request, inputs, LIMITS)


def test_rows_and_columns_with_and_without_names():
    for request in (
        {"instances": ["a", "b"]},
        {"instances": [{"text": "a"}, {"text": "b"}]},
        {"inputs": ["a", "b"]},
        {"inputs": {"text": ["a", "b"]}},
    ):
        found = read(request)
        assert found.columns["text"].tolist() == [b"a", b"b"]
        assert (found.rows, found.by_row) == (2, "instances" in request)
        assert found.signature == "serving_default"


def test_bytes_are_base64():
    assert read({"instances": [{"b64": "/wA="}]}).columns["text"].tolist() == [b"\xff\x00"]
    assert read({"inputs": [{"b64": "YQ=="}, "ü"]}).columns["text"].tolist() == [
        b"a", "ü".encode()
    ]  # fmt: skip


def test_scalars_stand_beside_columns():
    found = read({"inputs": {"text": ["a"], "k": 7}}, NEXT)
    assert found.scalars == {"k": 7}
    found = read({"inputs": {"text": ["a"], "temperature": 1, "seed": 2**40}}, GENERATE)
    assert found.scalars == {"temperature": 1, "seed": 2**40}


def test_lists_of_words_are_padded():
    found = read({"instances": [["a", "b"], [], ["c"]]}, WORDS)
    assert found.columns["tokens"].tolist() == [[b"a", b"b"], [b"", b""], [b"c", b""]]


@pytest.mark.parametrize(
    ("request_", "inputs", "message"),
    [
        ({}, TEXT, "needs one of the keys"),
        ({"instances": ["a"], "inputs": ["a"]}, TEXT, "needs one of the keys"),
        ({"instances": "a"}, TEXT, "'instances' must be a list"),
        ({"instances": []}, TEXT, "from 1 to 4 examples, got 0"),
        ({"instances": ["a"] * 5}, TEXT, "from 1 to 4 examples, got 5"),
        ({"inputs": ["a"] * 5}, TEXT, "from 1 to 4 examples, got 5"),
        ({"inputs": []}, TEXT, "from 1 to 4 examples, got 0"),
        ({"inputs": "a"}, TEXT, "must be a list"),
        ({"inputs": {"text": "a"}}, TEXT, "must be a list"),
        ({"inputs": {"other": ["a"]}}, TEXT, "lacks 'text'"),
        ({"instances": [{"text": "a", "other": "a"}]}, TEXT, "has 'other', which is none"),
        (
            {"inputs": {"text": ["a"], "temperature": math.nan, "seed": 0}},
            GENERATE,
            "finite number",
        ),
        ({"inputs": {"text": ["a"], "k": math.inf}}, NEXT, "a whole number of int32"),
        ({"instances": [{"text": "a"}, {"other": "b"}]}, TEXT, "the same inputs"),
        ({"instances": [{"text": "a"}, "b"]}, TEXT, "the same inputs"),
        ({"instances": [1]}, TEXT, "a string is needed, got a number"),
        ({"instances": [None]}, TEXT, "a string is needed, got null"),
        ({"instances": [["a"]]}, TEXT, "a string is needed, got a list"),
        ({"instances": [{"b64": "?"}]}, TEXT, "Unable to base64 decode"),
        ({"instances": ["a" * 11]}, TEXT, "at most 10 characters, got 11"),
        ({"instances": ["\ud800"]}, TEXT, "half a surrogate pair"),
        ({"instances": ["a"]}, NEXT, "use the column format"),
        ({"inputs": ["a"]}, NEXT, "needs the names k, text"),
        ({"inputs": {"text": ["a"]}}, NEXT, "lacks 'k'"),
        ({"inputs": {"text": ["a"], "k": "1"}}, NEXT, "a number is needed, got a string"),
        ({"inputs": {"text": ["a"], "k": True}}, NEXT, "a number is needed, got a truth value"),
        ({"inputs": {"text": ["a"], "k": 1.5}}, NEXT, "a whole number of int32"),
        ({"inputs": {"text": ["a"], "k": 2**31}}, NEXT, "a whole number of int32"),
        ({"inputs": {"text": ["a"], "k": 101}}, NEXT, "k is at most 100, got 101"),
        ({"inputs": {"text": ["a"], "temperature": 1e39, "seed": 0}}, GENERATE, "finite number"),
        ({"inputs": {"text": ["a"], "temperature": 1, "seed": 2**63}}, GENERATE, "whole number"),
        ({"instances": ["a"]}, WORDS, "a list of lists"),
        ({"instances": [["a"] * 4]}, WORDS, "at most 3 words, got 4"),
        ({"instances": [["a", 1]]}, WORDS, "a string is needed, got a number"),
    ],
)
def test_other_requests_are_refused_and_say_why(request_, inputs, message):
    with pytest.raises(BadRequestError, match=message):
        read(request_, inputs)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[1]", b"nul", b'"a"', b"\xff\xfe{}",
        b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(BadRequestError):
        parse_json(body)


def test_json_is_read_as_tensorflow_serving_reads_it():
    found = parse_json(b' {"a": [NaN, -Infinity]} and more')
    assert math.isnan(found["a"][0])
    assert found["a"][1] == -math.inf
    # columns that are no inputs are ignored
    assert read({"inputs": {"text": ["a"], "other": ["a"]}}, TEXT).columns.keys() == {"text"}


def test_rows_of_different_lengths_are_padded_unless_it_is_strict():
    ragged, limits = {"instances": [["a", "b"], ["c"]]}, Limits(strict=True)
    table = parse_predict(ragged, WORDS, Limits()).columns["tokens"]
    assert table.tolist() == [[b"a", b"b"], [b"c", b""]]
    with pytest.raises(BadRequestError, match="rows have different lengths"):
        parse_predict(ragged, WORDS, limits)
    assert parse_predict({"instances": [["a"], ["b"]]}, WORDS, limits).rows == 2


def test_a_signature_is_named_or_the_default():
    assert signature_of({}) == signature_of({"signature_name": ""}) == "serving_default"
    assert signature_of({"signature_name": "next"}) == "next"
    with pytest.raises(BadRequestError, match="must be a string"):
        signature_of({"signature_name": 3})


def test_answers_by_row_and_by_column():
    many = {"label": np.array([b"a", b"\xc3\xbc"], object), "p": np.array([0.5, 1.0], np.float32)}
    assert answer(many, True) == {"predictions": [{"label": "a", "p": 0.5}, {"label": "ü", "p": 1}]}
    assert answer(many, False) == {"outputs": {"label": ["a", "ü"], "p": [0.5, 1.0]}}
    alone = {"p": np.array([[0.5, 0.5]], np.float32)}
    assert answer(alone, True) == {"predictions": [[0.5, 0.5]]}
    assert answer(alone, False) == {"outputs": [[0.5, 0.5]]}


def test_bytes_and_numbers_that_json_lacks():
    raw = {"raw_bytes": np.array([b"\xff"], object)}
    assert answer(raw, True) == {"predictions": [{"b64": "/w=="}]}
    odd = {"x": np.array([np.inf, np.nan, -np.inf], np.float32)}
    text = json.dumps(answer(odd, True), allow_nan=False)
    assert json.loads(text) == {"predictions": [None, None, None]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])  # beside other work
@given(
    st.fixed_dictionaries({}, optional={"instances": JSON, "inputs": JSON, "signature_name": JSON}),
    st.sampled_from([TEXT, WORDS, NEXT, GENERATE]),
)
def test_any_json_is_read_or_refused(request_, inputs):
    refusal = ""
    try:
        found = read(request_, inputs)
        signature_of(request_)
    except BadRequestError as refused:
        refusal = str(refused)
    if refusal:
        assert len(refusal) < 300
        return
    assert 1 <= found.rows <= LIMITS.rows
    assert set(found.columns) | set(found.scalars) == set(inputs)
