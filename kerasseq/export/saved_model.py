"""SavedModels in TensorFlow Serving's layout, believed only after a clean process loaded them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasseq.data.batches import blocks
from kerasseq.errors import UserError
from kerasseq.export.serving import Serving
from kerasseq.storage import write_json

MANIFEST = "manifest.json"
FORMAT = 1
"""Version of the signatures and the manifest; raised when either changes."""

TOLERANCE = 1e-5
"""Largest difference of a probability or score between the SavedModel and Keras."""

EDGE_CASES = (
    "",
    " \n\t",
    "<br />",
    "👍🏽❤️ 🎬🎬🎬 :-)",
    "이 영화는 정말 재미있었다",
    "Ceci n'est pas un tr\u00e8s bon film; un tre\u0300s mauvais.",
    "यह फ़िल्म बहुत अच्छी थी",
    "фильм мне очень понравился",
    "هذا الفيلم رائع",
    "映画は とても良かった",
    "nul \x00 and control \x07 characters",
    "word " * 10_000,
)

# Runs in a process of its own, where neither kerasseq nor tasks can be imported.
_CHECK = """
import json, sys
sys.modules["kerasseq"] = sys.modules["tasks"] = None
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
serve = loaded.signatures["serving_default"]
outputs = []
for batch in json.load(sys.stdin):
    result = serve(text=tf.constant(batch, tf.string))
    outputs.append({name: value.numpy().tolist() for name, value in result.items()})
def plain(value):
    return value.decode() if isinstance(value, bytes) else str(value)
print(json.dumps(outputs, default=plain))
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
        work.chmod(0o755)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None
    try:
        tf.saved_model.save(serving.module, str(work), signatures=dict(serving.signatures))
        outcome = verify(work, serving)
        write_json(work / MANIFEST, {"format": FORMAT, **manifest, "verification": outcome})
        version = 1 + max(versions_in(folder), default=0)
        while True:
            try:
                work.rename(folder / str(version))
                return folder / str(version), outcome
            except OSError:
                if not (folder / str(version)).exists():
                    raise
                version += 1  # another export was faster
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"{folder} cannot be written: {error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def versions_in(folder: Path) -> list[int]:
    """The version numbers in a task's folder, ascending."""
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def verify(path: Path, serving: Serving) -> str:
    """Loads a SavedModel with tensorflow alone and compares its answers with the model's.

    Texts go alone and in batches, so a difference by padding would show.

    Raises:
        UserError: if it does not load, holds GPU-only ops, or answers otherwise.
    """
    ops = _ops(path)
    foreign = sorted(op for op in ops if "Cudnn" in op)
    if foreign:
        raise UserError(f"the SavedModel holds ops that need a GPU: {', '.join(foreign)}")
    texts = [*EDGE_CASES, *serving.samples]
    batches = [[text] for text in texts[: len(EDGE_CASES) + 4]]
    batches += [texts[i : i + 16] for i in range(0, len(texts), 16)]
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
    }
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, "-c", _CHECK, str(path.resolve())],
            input=json.dumps(batches),
            capture_output=True,
            text=True,
            env=environment,
            cwd=elsewhere,
            check=False,
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"the SavedModel does not run in a clean process: {last}")
    answers = json.loads(done.stdout.splitlines()[-1])
    worst = 0.0
    reference = serving.reference(texts)
    known = {text: i for i, text in enumerate(texts)}
    for batch, answer in zip(batches, answers, strict=True):
        expected = {
            name: [values[known[text]] for text in batch] for name, values in reference.items()
        }
        worst = max(worst, _difference(expected, answer, batch))
    return (
        f"{len(texts)} texts ({len(EDGE_CASES)} awkward), alone and in batches: largest difference "
        f"{worst:.1e}; {len(ops)} kinds of op, all of core TensorFlow, none GPU-only"
    )


def _difference(expected: Mapping[str, Any], answer: Mapping[str, Any], batch: list[str]) -> float:
    if set(expected) != set(answer):
        raise UserError(f"the SavedModel answers {sorted(answer)}, not {sorted(expected)}")
    worst = 0.0
    for name, values in expected.items():
        wanted, got = np.array(values), np.array(answer[name])
        if wanted.shape != got.shape:
            raise UserError(f"the SavedModel's {name} has shape {got.shape}, not {wanted.shape}")
        if wanted.dtype.kind == "f":
            off = np.abs(wanted - got)
            worst = max(worst, float(off.max()))
            if not worst <= TOLERANCE:
                row = int(off.reshape(len(batch), -1).max(axis=1).argmax())
                raise UserError(
                    f"the SavedModel's {name} differs by {worst:.1e} on {batch[row][:60]!r}"
                )
        elif (wanted != got).any():
            row = int((wanted != got).argmax())
            raise UserError(f"the SavedModel's {name} differs on {batch[row][:60]!r}")
    return worst


def _ops(path: Path) -> set[str]:
    """Kinds of op in a SavedModel's graph and functions."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((path / "saved_model.pb").read_bytes())
    found = set()
    for graph in saved.meta_graphs:
        found |= {node.op for node in graph.graph_def.node}
        for function in graph.graph_def.library.function:
            found |= {node.op for node in function.node_def}
    return found


def read_manifest(path: Path, task: str) -> dict[str, Any]:
    """The manifest of an exported version.

    Raises:
        UserError: if there is none, or it is of another task or another format.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{path} is not an exported version (no readable {MANIFEST}): give a folder such as "
            f"saved_models/{task}/1"
        ) from None
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise UserError(f"{path / MANIFEST} is not an export's manifest")
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{path} has export format {manifest['format']}, this kerasseq reads {FORMAT}: "
            "export the run again"
        )
    if manifest.get("task") != task:
        raise UserError(f"{path} is a model of the task {manifest.get('task')!r}, not {task!r}")
    return manifest


def predict(path: Path, texts: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Runs an exported version's ``serving_default`` over texts, in blocks of 64.

    Yields:
        Each text with its row of every output.
    """
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"{path} cannot be loaded: {str(error).splitlines()[0]}") from None
    serve = loaded.signatures["serving_default"]
    for block in blocks(iter(texts), 64):
        answer = serve(text=tf.constant([text.encode("utf-8", "replace") for text in block]))
        rows = {name: values.numpy() for name, values in answer.items()}
        for i, text in enumerate(block):
            yield text, {name: values[i] for name, values in rows.items()}
