"""SavedModels in TensorFlow Serving's layout, believed only after a clean process loaded them."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import message

from kerasseq import compat
from kerasseq.data.batches import blocks
from kerasseq.errors import UserError
from kerasseq.export.serving import EDGE_CASES, Serving
from kerasseq.export.versions import (
    ANSWERS,
    FORMAT,
    MANIFEST,
    difference,
    next_version,
    read_answers,
    read_manifest,
    run_clean,
)
from kerasseq.storage import write_json

SAVED_MODEL = "saved_model.pb"

SAMPLES, SAMPLE = 3, 200
"""Texts that a page offers, and most characters of one."""

RECORDED = 2_000
"""Characters of a request, at most, that is recorded with its answer."""

BLOCK, BATCH = 1024, 64  # examples that are sorted by length together, and those that are run so
# Runs in a process of its own, where neither kerasseq nor tasks can be imported.
_CHECK = """
import json, sys
sys.modules["kerasseq"] = sys.modules["tasks"] = None
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
answers = []
for name, inputs in json.load(sys.stdin):
    serve = loaded.signatures[name]
    types = {key: spec.dtype for key, spec in serve.structured_input_signature[1].items()}
    result = serve(**{key: tf.constant(value, types[key]) for key, value in inputs.items()})
    answers.append({name: value.numpy().tolist() for name, value in result.items()})
def plain(value):
    return value.decode() if isinstance(value, bytes) else str(value)
print(json.dumps(answers, default=plain))
"""


def export(serving: Serving, folder: Path, manifest: Mapping[str, Any]) -> tuple[Path, str]:
    """Writes the next version of a model, after a clean process has proved it.

    Args:
        serving: what to save and what to compare with.
        folder: the task's folder; the version lands in ``folder/VERSION/``.
        manifest: written beside the model as ``manifest.json``.

    Returns:
        The version's folder, and what the verification found.

    Raises:
        UserError: if the folder cannot be written or the SavedModel does not agree with the model;
            nothing is left behind then.
    """
    with next_version(folder) as version:
        functions = {name: served.function for name, served in serving.signatures.items()}
        try:
            with _without_news():
                tf.saved_model.save(serving.module, str(version.work), signatures=functions)
        except tf.errors.OpError as error:
            raise UserError(f"{folder} cannot be written: {error}") from None
        graphs = meta_graphs(version.work)
        kinds = _check_ops(graphs)
        found, recorded = _prove(version.work, serving)
        outcome = f"{found}; {_core(kinds)}"
        write_json(version.work / ANSWERS, recorded)
        said = {
            "format": FORMAT,
            "kind": "saved_model",
            **manifest,
            "signatures": _signatures(graphs),
            "page": {**serving.page, "samples": shown_samples(serving)},
            "verification": outcome,
        }
        write_json(version.work / MANIFEST, said)
    return version.path, outcome


def shown_samples(serving: Serving) -> list[str]:
    """A few short texts of the model's own language, for a page to try it on."""
    samples = serving.signatures["serving_default"].samples
    own = [each for each in samples if isinstance(each, str) and each not in EDGE_CASES]
    return [each for each in own if 10 <= len(each) <= SAMPLE][:SAMPLES]


@contextlib.contextmanager
def _without_news() -> Iterator[None]:
    """Without what TensorFlow only tells where Python is interactive, and in a notebook twice."""
    logger = logging.getLogger("tensorflow")

    def matters(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    logger.addFilter(matters)
    try:
        yield
    finally:
        logger.removeFilter(matters)


def verify(path: Path) -> list[str]:
    """Checks an exported version again: its manifest, its ops, and that it still gives, loaded with
    tensorflow alone, the answers that were recorded when it was exported.

    Returns:
        What was found, in words.

    Raises:
        UserError: if anything is not as it should be.
    """
    recorded = read_answers(path, {"signature", "inputs", "outputs"})
    try:
        graphs = meta_graphs(path)
    except (OSError, message.DecodeError) as error:
        raise UserError(f"{path / SAVED_MODEL} cannot be read: {error}") from None
    kinds, signatures = _check_ops(graphs), _signatures(graphs)
    exported = read_manifest(path).get("signatures", {})
    for name in sorted({*signatures, *exported}):
        was, found = exported.get(name), signatures.get(name)
        if was != found:
            raise UserError(f"the signature {name} is {found}, was exported as {was}")
    if unproved := set(signatures) - {one["signature"] for one in recorded}:
        raise UserError(f"{path / ANSWERS} has no answer of {', '.join(sorted(unproved))}")
    answers = _ask(path, [(one["signature"], one["inputs"]) for one in recorded])
    worst: dict[str, float] = {}
    for one, answer in zip(recorded, answers, strict=True):
        name = one["signature"]
        off = difference(one["outputs"], answer, f"{name} on {json.dumps(one['inputs'])[:60]}")
        worst[name] = max(worst.get(name, 0.0), off)
    counts = {name: sum(one["signature"] == name for one in recorded) for name in worst}
    return [
        _core(kinds),
        *(
            f"{name}: {counts[name]} recorded answers, largest difference {off:.1e}"
            for name, off in worst.items()
        ),
    ]


def _check_ops(graphs: Any) -> int:
    """How many kinds of op a SavedModel has.

    Raises:
        UserError: if one needs a GPU, or a library beside core TensorFlow.
    """
    ops = _ops(graphs)
    foreign = sorted(op for op in ops if "Cudnn" in op)
    if foreign:
        raise UserError(f"the SavedModel holds ops that need a GPU: {', '.join(foreign)}")
    custom = sorted(op for op in ops if not compat.is_core_op(op))
    if custom:
        raise UserError(f"the SavedModel holds ops that TensorFlow lacks: {', '.join(custom)}")
    return len(ops)


def _core(kinds: int) -> str:
    return f"{kinds} kinds of op, all of core TensorFlow, none GPU-only"


def _prove(path: Path, serving: Serving) -> tuple[str, list[dict[str, Any]]]:
    """Loads a SavedModel with tensorflow alone and compares its answers with the model's.

    Examples go alone and in batches, so a difference by padding would show.

    Returns:
        What was found, in words; and the shorter ones of the requests, with their answers.

    Raises:
        UserError: if it does not load, or answers otherwise.
    """
    requests = [
        (name, batch)
        for name, served in serving.signatures.items()
        for batch in _batches(list(range(len(served.samples))))
    ]
    inputs = []
    for name, batch in requests:
        served = serving.signatures[name]
        inputs.append((name, dict(served.collate([served.samples[i] for i in batch]))))
    answers = _ask(path, inputs)
    worst = dict.fromkeys(serving.signatures, 0.0)
    expected = {
        name: served.reference(list(served.samples)) for name, served in serving.signatures.items()
    }
    for (name, batch), answer in zip(requests, answers, strict=True):
        for i, row in zip(batch, rows_of(answer), strict=True):
            what = f"{name} on {serving.signatures[name].samples[i]!r:.60}"
            row = serving.signatures[name].unpadded(row)
            worst[name] = max(worst[name], difference(expected[name][i], row, what))
    found = "; ".join(
        f"{name} on {len(serving.signatures[name].samples)} inputs, alone and in batches: largest "
        f"difference {off:.1e}"
        for name, off in worst.items()
    )
    recorded = [
        {"signature": name, "inputs": given, "outputs": answer}
        for (name, given), answer in zip(inputs, answers, strict=True)
        if len(json.dumps(given)) <= RECORDED
    ]
    return found, recorded


def _batches(items: list[int]) -> list[list[int]]:
    return [[i] for i in items[:16]] + [items[i : i + 16] for i in range(0, len(items), 16)]


def _ask(path: Path, requests: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The answers of a SavedModel in a process that has tensorflow alone."""
    given = run_clean(["-c", _CHECK, str(path.resolve())], json.dumps(requests), "the SavedModel")
    return json.loads(given.splitlines()[-1])


def rows_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The outputs of a batch, example by example, without padding.

    Raises:
        UserError: if what should be padding holds something.
    """
    lengths = answer.get("lengths")
    rows = []
    for i in range(len(next(iter(answer.values())))):
        row = {name: values[i] for name, values in answer.items() if name != "lengths"}
        if lengths is not None:
            padding = [value for values in row.values() for value in values[lengths[i] :]]
            if any(padding):
                raise UserError(f"the SavedModel gives values beyond its lengths: {padding[:3]}")
            row = {name: values[: lengths[i]] for name, values in row.items()}
        rows.append(row)
    return rows


def meta_graphs(path: Path) -> Any:
    """The graphs of a SavedModel, as protocol buffers.

    Raises:
        OSError, google.protobuf.message.DecodeError: if they cannot be read.
    """
    return compat.read_saved_model(path / SAVED_MODEL)


def signature_defs(graphs: Any) -> dict[str, Any]:
    """The signatures that can be called, by name."""
    return {
        name: definition
        for graph in graphs
        for name, definition in sorted(graph.signature_def.items())
        if definition.outputs and not name.startswith("__")
    }


def _signatures(graphs: Any) -> dict[str, Any]:
    """The signatures of a SavedModel: dtype and shape of each input and output."""

    def shown(tensors: Mapping[str, Any]) -> dict[str, str]:
        types = {name: tf.dtypes.as_dtype(tensor.dtype).name for name, tensor in tensors.items()}
        return {
            name: f"{types[name]} {tf.TensorShape(tensor.tensor_shape)}"
            for name, tensor in sorted(tensors.items())
        }

    return {
        name: {"inputs": shown(signature.inputs), "outputs": shown(signature.outputs)}
        for name, signature in signature_defs(graphs).items()
    }


def _ops(graphs: Any) -> set[str]:
    """Kinds of op in a SavedModel's graph and functions."""
    found = set()
    for graph in graphs:
        found |= {node.op for node in graph.graph_def.node}
        for function in graph.graph_def.library.function:
            found |= {node.op for node in function.node_def}
    return found


def run(
    path: Path,
    examples: Iterable[Any],
    served: str,
    collate: Callable[[list], Mapping[str, Any]],
    without: Collection[str] = (),
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Runs a function of an exported version over examples: blocks, sorted by length, in batches.

    Args:
        path: the version's folder.
        examples: a stream of them.
        served: the signature's name.
        collate: as :class:`~kerasseq.export.serving.Signature` has it.
        without: outputs that are not read.

    Yields:
        Each example, in order, with its row of every output, as Python values, strings decoded.
    """
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"{path} cannot be loaded: {str(error).splitlines()[0]}") from None
    serve = loaded.signatures[served]
    types = {name: spec.dtype for name, spec in serve.structured_input_signature[1].items()}

    def answers(batch: list[Any]) -> list[dict[str, Any]]:
        inputs = {
            name: tf.constant(_encoded(value), types[name])
            for name, value in collate(batch).items()
        }
        try:
            outputs = serve(**inputs)
        except tf.errors.OpError as error:
            raise UserError(f"{path} refuses: {str(error).splitlines()[0]}") from None
        read = {name: value.numpy().tolist() for name, value in outputs.items()
                if name not in without}  # fmt: skip
        return rows_of({name: _decoded(value) for name, value in read.items()})

    for block in blocks(iter(examples), BLOCK):
        order = sorted(range(len(block)), key=lambda i: len(block[i]))
        rows: list[dict[str, Any]] = [{}] * len(block)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            for i, row in zip(chosen, answers([block[i] for i in chosen]), strict=True):
                rows[i] = row
        yield from zip(block, rows, strict=True)


def _encoded(value: Any) -> Any:
    """Strings as UTF-8, half surrogates replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return [_encoded(item) for item in value] if isinstance(value, list) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_decoded(item) for item in value] if isinstance(value, list) else value
