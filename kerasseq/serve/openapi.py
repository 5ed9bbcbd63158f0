"""The REST part as OpenAPI 3.1, made from the models that are served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kerasseq.serve.models import Served
from kerasseq.serve.protocol import DEFAULT, Input
from kerasseq.serve.streaming import NEEDED

JSON = "application/json"
ERROR = {"$ref": "#/components/schemas/Error"}
REFUSALS = {"400": "the request is wrong", "404": "there is no such model", "503": "too busy"}


def openapi(models: Iterable[Served], token: bool) -> dict[str, Any]:
    """A description that client generators read.

    Args:
        models: that are served.
        token: whether clients must bring one.
    """
    paths: dict[str, Any] = {
        "/v1/models": {"get": _described("The models.", {"type": "object"})},
        "/v2/health/live": {"get": _described("Whether the server runs.", {"type": "object"})},
        "/v2/health/ready": {"get": _described("Whether it serves.", {"type": "object"})},
    }
    for served in models:
        base = f"/v1/models/{served.name}"
        status = _described("The state of its versions.", {"type": "object"})
        paths[base] = {"get": status}
        paths[f"{base}/metadata"] = {"get": _described("Its signatures.", {"type": "object"})}
        paths[f"{base}:predict"] = {"post": _predict(served)}
        if all(name in served.inputs for name in NEEDED):
            paths[f"/v2/models/{served.name}/generate_stream"] = {"post": _stream(served)}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "kerasseq", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"error": {"type": "string"}},
                    "required": ["error"],
                },
                "Bytes": {
                    "type": "object",
                    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
                    "required": ["b64"],
                },
            }
        },
    }
    if token:
        described["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"}
        }
        described["security"] = [{"bearer": []}]
    return described


def _described(summary: str, answer: Mapping[str, Any], kind: str = JSON) -> dict[str, Any]:
    found: dict[str, Any] = {"200": {"description": summary, "content": {kind: {"schema": answer}}}}
    for status, why in REFUSALS.items():
        found[status] = {"description": why, "content": {JSON: {"schema": ERROR}}}
    return {"summary": summary, "responses": found}


def _predict(served: Served) -> dict[str, Any]:
    """The request of each signature, by rows where it can be, and by columns."""
    forms = []
    for name, inputs in sorted(served.inputs.items()):
        signature = {"signature_name": {"const": name}}
        needed = [] if name == DEFAULT else ["signature_name"]
        if all(spec.rank > 0 for spec in inputs.values()):
            row = {key: _value(spec, spec.rank - 1) for key, spec in inputs.items()}
            rows: Any = {"type": "object", "properties": row, "required": sorted(row)}
            if len(row) == 1:
                rows = {"anyOf": [rows, next(iter(row.values()))]}
            instances = {"instances": {"type": "array", "items": rows, "minItems": 1}}
            forms.append(_object({**signature, **instances}, [*needed, "instances"]))
        columns = {key: _value(spec, spec.rank) for key, spec in inputs.items()}
        forms.append(
            _object({**signature, "inputs": _object(columns, sorted(columns))}, [*needed, "inputs"])
        )
    answer = {"type": "object", "properties": {"predictions": {"type": "array"}, "outputs": {}}}
    body = {"required": True, "content": {JSON: {"schema": {"anyOf": forms}}}}
    return {**_described(f"What {served.name} says.", answer), "requestBody": body}


def _stream(served: Served) -> dict[str, Any]:
    numbers = {
        name: _value(spec, 0)
        for name, spec in served.inputs["advance"].items()
        if spec.rank == 0 and name != "position"
    }
    parameters = _object({"length": {"type": "integer", "minimum": 1}, **numbers}, [])
    schema = _object({"text_input": {"type": "string"}, "parameters": parameters}, ["text_input"])
    summary = f"A text that {served.name} writes, token by token."
    return {
        **_described(summary, {"type": "string"}, "text/event-stream"),
        "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
    }


def _object(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": required}


def _value(spec: Input, rank: int) -> dict[str, Any]:
    """One value, in as many lists."""
    if spec.dtype == "object":
        found: dict[str, Any] = {
            "anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/Bytes"}]
        }
    else:
        found = {"type": "integer" if spec.dtype.startswith("int") else "number"}
    for _ in range(rank):
        found = {"type": "array", "items": found}
    return found
