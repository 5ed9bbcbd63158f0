"""Exports for LiteRT and ONNX Runtime, believed only after their client answered as Keras does."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf

from kerasseq.errors import UserError
from kerasseq.export.elementary import Elementary
from kerasseq.export.serving import EDGE_CASES
from kerasseq.export.versions import (
    ANSWERS,
    FORMAT,
    MANIFEST,
    difference,
    next_version,
    read_answers,
    run_clean,
)
from kerasseq.installing import install_extra
from kerasseq.storage import write_json

Kind = Literal["litert", "onnx"]

VOCABULARY, CLIENT, RUNTIME = "vocabulary.json", "client.py", "runtime.py"
RUNTIMES = Path(__file__).parent / "runtimes"
NEEDS = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnxruntime")}
"""Packages of each kind, by the names that they are imported by."""

OPSET = 18
"""Version of ONNX's operators."""

MOST_CHARACTERS = 2_000
"""Of a text that an export is verified with: a client reads token by token."""

TOLERANCE = 1e-4
"""Largest difference of a number between an export and Keras; the runtimes have kernels of their
own, whose rounding adds up over the steps."""

# The client runs where nothing but its runtime can be imported.
_CHECK = """
import runpy, sys
for name in ("kerasseq", "tasks", "tensorflow", "keras"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
runpy.run_path(sys.argv[1] + "/client.py")
"""


def check_packages(kind: Kind) -> None:
    """Raises:
    UserError: if a package that the kind needs is not installed.
    """
    missing = [name for name in NEEDS[kind] if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--format {kind} needs: {install_extra(kind)}")


def export(
    kind: Kind,
    made: Elementary,
    texts: Sequence[str],
    predict: Callable[[list[str]], list[dict[str, Any]]],
    folder: Path,
    manifest: Mapping[str, Any],
) -> tuple[Path, str]:
    """Writes the next version of a model: functions, vocabulary, and a client that shows their use.

    Args:
        kind: of runtime.
        made: what to export.
        texts: to compare answers on, beside awkward ones.
        predict: results of the Keras model, of whatever kernel.
        folder: the version lands in ``folder/VERSION/``.
        manifest: written beside the model as ``manifest.json``.

    Returns:
        The version's folder, and what the verification found.

    Raises:
        UserError: if the model cannot be converted, the client does not answer as the Keras model
            does, or the folder cannot be written; nothing is left behind then.
    """
    check_packages(kind)
    with next_version(folder) as version:
        work = version.work
        {"litert": _write_litert, "onnx": _write_onnx}[kind](made, work)
        write_json(work / VOCABULARY, made.vocabulary)
        shutil.copy(made.client, work / CLIENT)
        shutil.copy(RUNTIMES / f"{kind}.py", work / RUNTIME)
        lines = [" ".join(text[:MOST_CHARACTERS].split()) for text in (*EDGE_CASES, *texts)]
        results = predict([line.replace("\0", "") for line in lines])
        given = [(made.line(result), dict(made.answer(result))) for result in results]
        recorded = [{"line": line, "answer": answer} for line, answer in given if line is not None]
        outcome = _compare(work, recorded)
        write_json(work / ANSWERS, recorded)
        said = {"format": FORMAT, "kind": kind, **manifest, "verification": outcome}
        write_json(work / MANIFEST, said)
    return version.path, outcome


def verify(path: Path) -> list[str]:
    """Checks an exported version again: its client still gives the answers of the Keras model.

    Returns:
        What was found, in words.

    Raises:
        UserError: if it does not.
    """
    return [_compare(path, read_answers(path, {"line", "answer"}))]


def _compare(path: Path, recorded: Sequence[Mapping[str, Any]]) -> str:
    lines = "".join(one["line"] + "\n" for one in recorded)
    printed = run_clean(["-c", _CHECK, str(path.resolve())], lines, f"{path / CLIENT}")
    answers = [json.loads(line) for line in printed.splitlines()]
    if len(answers) != len(recorded):
        raise UserError(f"{path / CLIENT} answers {len(answers)} of {len(recorded)} lines")
    worst = 0.0
    for one, answer in zip(recorded, answers, strict=True):
        wanted = one["answer"]
        answer = {name: answer.get(name) for name in wanted}
        worst = max(worst, difference(wanted, answer, f"on {one['line']!r:.60}", TOLERANCE))
    return (
        f"the client answers as Keras does on {len(recorded)} inputs, with its runtime and NumPy "
        f"alone: largest difference {worst:.1e}"
    )


def _write_litert(made: Elementary, work: Path) -> None:
    with tempfile.TemporaryDirectory() as saved, _quiet():
        tf.saved_model.save(made.module(), saved, signatures=dict(made.functions))
        converter = tf.lite.TFLiteConverter.from_saved_model(
            saved, signature_keys=list(made.functions)
        )
        try:
            converted = converter.convert()
        except Exception as error:  # whatever the converter cannot do
            raise UserError(f"LiteRT cannot hold this model: {_first_line(error)}") from None
    (work / "model.tflite").write_bytes(converted)


def _write_onnx(made: Elementary, work: Path) -> None:
    import tf2onnx

    for name, function in made.functions.items():
        try:
            with _quiet():
                tf2onnx.convert.from_function(
                    function,
                    input_signature=function.input_signature,
                    opset=OPSET,
                    output_path=str(work / f"{name}.onnx"),
                )
        except Exception as error:  # whatever the converter cannot do
            raise UserError(f"ONNX cannot hold this model: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what converters print."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
