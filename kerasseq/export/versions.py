"""Exported versions: numbered folders, written whole or not at all, never overwritten."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kerasseq.errors import UserError

MANIFEST, ANSWERS = "manifest.json", "answers.json"
"""What an export says of itself, and some requests with the answers that it gave."""

NEEDED = ("format", "kind", "task", "settings", "data", "training", "versions", "verification")
"""What a complete manifest has."""

KINDS = ("saved_model", "litert", "onnx")

FORMAT = 1
"""Version of the signatures and the manifest; raised when either changes."""

TOLERANCE = 1e-5
"""Largest difference of a number between an export and Keras; relative for one above 1."""


class NextVersion:
    """A version that is being written.

    Attributes:
        work: the folder that it is written to.
        path: where it lies when it is done.
    """

    def __init__(self, work: Path):
        self.work = self.path = work


@contextmanager
def next_version(folder: Path) -> Iterator[NextVersion]:
    """Writes the next version: it lands in ``folder/VERSION/`` if no exception is raised.

    Raises:
        UserError: if the folder cannot be written; nothing is left behind.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
        work.chmod(0o755)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None
    made = NextVersion(work)
    try:
        yield made
        made.path = _place(work, folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _place(work: Path, folder: Path) -> Path:
    version = 1 + max(versions_in(folder), default=0)
    while True:
        try:
            return work.rename(folder / str(version))
        except OSError:
            if not (folder / str(version)).exists():
                raise
            version += 1  # another export was faster


def versions_in(folder: Path) -> list[int]:
    """The version numbers in a folder, ascending."""
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def read_json(path: Path, name: str) -> Any:
    """A JSON file of a version.

    Raises:
        UserError: if it is not there or is no JSON.
    """
    try:
        return json.loads((path / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{path} is not an exported version (no readable {name}): give a folder such as "
            "saved_models/NAME/1"
        ) from None


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of an exported version.

    Raises:
        UserError: if there is none, it is not complete, or it is of another format.
    """
    manifest = read_json(path, MANIFEST)
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise UserError(f"{path / MANIFEST} is not an export's manifest")
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{path} has export format {manifest['format']}, this kerasseq reads {FORMAT}: "
            "export the run again"
        )
    if missing := [name for name in NEEDED if name not in manifest]:
        raise UserError(f"{path / MANIFEST} lacks {', '.join(missing)}")
    if manifest["kind"] not in KINDS:
        raise UserError(f"{path / MANIFEST}: kind {manifest['kind']!r} is none of {KINDS}")
    return manifest


def read_answers(path: Path, keys: set[str]) -> list[dict[str, Any]]:
    """The recorded answers of an exported version, each with these keys.

    Raises:
        UserError: if there are none.
    """
    recorded = read_json(path, ANSWERS)
    if not isinstance(recorded, list) or not recorded:
        raise UserError(f"{path / ANSWERS} holds no recorded answers")
    if not all(isinstance(one, dict) and keys <= set(one) for one in recorded):
        raise UserError(f"{path / ANSWERS}: each recorded answer needs {', '.join(sorted(keys))}")
    return recorded


def read_manifest_of(path: Path, task: str) -> dict[str, Any]:
    """The manifest of a SavedModel of a task.

    Raises:
        UserError: as :func:`read_manifest`, or if it is of another task or kind.
    """
    manifest = read_manifest(path)
    if manifest["task"] != task:
        raise UserError(f"{path} is a model of the task {manifest['task']!r}, not {task!r}")
    if manifest["kind"] != "saved_model":
        raise UserError(f"{path} is {manifest['kind']}, which takes no texts: see client.py there")
    return manifest


def run_clean(words: Sequence[str], given: str, what: str) -> str:
    """What Python prints in a process of its own, in an empty folder, without ``PYTHONPATH``.

    Args:
        words: its arguments.
        given: its standard input.
        what: is run, for the error.

    Raises:
        UserError: if it fails.
    """
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
    }
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONUTF8": "1"}
    with tempfile.TemporaryDirectory() as elsewhere:
        done = run_python(words, given, elsewhere, environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{what} does not run in a clean process: {last}")
    return done.stdout


def run_python(
    words: Sequence[str], given: str, folder: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs Python with some arguments and standard input; what it printed."""
    return subprocess.run(
        [sys.executable, *words],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        cwd=folder,
        check=False,
    )


def difference(
    expected: Mapping[str, Any], got: Mapping[str, Any], what: str, tolerance: float = TOLERANCE
) -> float:
    """The largest difference of a number in two answers; everything else must be equal.

    Raises:
        UserError: if they differ.
    """
    if set(expected) != set(got):
        raise UserError(f"the export answers {sorted(got)}, not {sorted(expected)}")
    worst = 0.0
    for name, value in expected.items():
        wanted, found = np.array(value), np.array(got[name])
        if wanted.shape != found.shape:
            raise UserError(
                f"the export's {name} has shape {found.shape}, not {wanted.shape}: {what}"
            )
        if wanted.dtype.kind == "f":
            # what is not finite must be the same; a difference with it would be no number
            with np.errstate(invalid="ignore"):
                off = np.abs(wanted - found) / np.maximum(1.0, np.abs(wanted))
            off = np.where(np.isfinite(wanted) & np.isfinite(found), off, np.inf)
            off = np.where((wanted == found) | (np.isnan(wanted) & np.isnan(found)), 0.0, off)
            worst = max(worst, float(off.max(initial=0.0)))
            if worst > tolerance:
                raise UserError(f"the export's {name} differs by {worst:.1e}: {what}")
        elif (wanted != found).any():
            raise UserError(f"the export's {name} differs: {what}")
    return worst
