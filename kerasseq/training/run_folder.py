"""A run is a folder: its settings, versions, vocabulary, metrics, checkpoints and final model."""

from __future__ import annotations

import fcntl
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from kerasseq.config import differences
from kerasseq.errors import UserError
from kerasseq.storage import replacing, write_json

CHECKPOINT, MODEL, SUMMARY = "checkpoint.npz", "model.keras", "training.json"
DATA, SAMPLES = "data.json", "samples.json"
JOURNAL = "journal.jsonl"  # of a sweep, whose folder is like a run's
WORTH_KEEPING = (CHECKPOINT, SUMMARY, JOURNAL)

PACKAGES = ("kerasseq", "keras", "tensorflow", "numpy")


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


class RunFolder:
    """The files of one run.

    Args:
        path: the folder.
        writes: whether this process writes it; of several workers only the chief does, and what
            the others would write is dropped.

    Attributes:
        path, writes: as given.
    """

    def __init__(self, path: Path | str, writes: bool = True):
        self.path, self.writes = Path(path), writes

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def open(self, task: str, settings: Mapping[str, Any]) -> Iterator[bool]:
        """Creates the run, or continues it if it was started with the same settings.

        Args:
            task: name of the task.
            settings: the resolved settings, nested.

        Yields:
            Whether the run existed before.

        Raises:
            UserError: if the folder is another task's, has other settings, is in use, or is not a
                run folder.
        """
        if not self.writes:
            yield self.path.exists()
            return
        existed = self.check(task, settings)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.path} cannot be created: {error.strerror}") from None
        with self._lock():
            for left in self.path.glob(".*.tmp"):  # by a process that was killed while writing
                left.unlink(missing_ok=True)
            if not existed:
                write_json(
                    self / "run.json",
                    {
                        "task": task,
                        "settings": settings,
                        "versions": versions(),
                        "command": sys.orig_argv[1:],
                    },
                )
            yield existed

    def amend(self, settings: Mapping[str, Any]) -> None:
        """Writes other settings into the run's record, while it is open."""
        write_json(self / "run.json", {**self._record(), "settings": settings})

    def check(self, task: str, settings: Mapping[str, Any]) -> bool:
        """Whether the run exists and can be continued.

        A run that stopped before it had anything to lose is started anew.

        Raises:
            UserError: as :meth:`open`.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file, not a run folder")
        if not (self / "run.json").exists():
            if self.path.exists() and any(not p.name.startswith(".") for p in self.path.iterdir()):
                raise UserError(f"{self.path} is not empty and is not a run folder")
            return False
        changed = differences(self.record(task)["settings"], settings)
        if changed and any((self / name).exists() for name in WORTH_KEEPING):
            raise UserError(
                f"{self.path} holds a run with other settings ({'; '.join(changed)}): "
                "give another --run, or the same settings to continue it"
            )
        return not changed

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(f"{self.path} is in use by another process") from None
            yield

    def task(self) -> str:
        """The name of its task.

        Raises:
            UserError: if there is no such run.
        """
        return self._record()["task"]

    def record(self, task: str) -> dict[str, Any]:
        """What ``run.json`` holds.

        Raises:
            UserError: if there is no such run or it is another task's.
        """
        record = self._record()
        if record["task"] != task:
            raise UserError(f"{self.path} is a run of the task {record['task']!r}, not {task!r}")
        return record

    def _record(self) -> dict[str, Any]:
        try:
            record = json.loads((self / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.path} holds no run: train one first") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self / 'run.json'} cannot be read: {error}") from None
        if not isinstance(record, dict) or not {"task", "settings"} <= set(record):
            raise UserError(f"{self / 'run.json'} is not a run's record")
        return record

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file of the run, whole or not at all."""
        if not self.writes:
            return
        with replacing(self / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def read_json(self, name: str) -> Any:
        """A JSON file of the run, or None if it is not there.

        Raises:
            UserError: if it is damaged.
        """
        path = self / name
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}") from None

    def need_json(self, name: str) -> Any:
        """A JSON file that every run of the task has.

        Raises:
            UserError: if it is missing or damaged.
        """
        found = self.read_json(name)
        if found is None:
            raise UserError(f"{self / name} is missing")
        return found

    def check_data(self, report: Mapping[str, Any]) -> None:
        """Makes sure that data is what the run was trained on.

        Args:
            report: of the data, whose splits have hashes, and so have word vectors.

        Raises:
            UserError: if a split is another one, or the file of word vectors is.
        """
        before = self.read_json(DATA)
        if before and report.get("vectors", before.get("vectors")) != before.get("vectors"):
            raise UserError(
                f"the word vectors are not those that {self.path} was trained with; the file has "
                "changed since"
            )
        for split, summary in report["splits"].items():
            if before is None or before["splits"].get(split, {}).get("sha256") != summary["sha256"]:
                raise UserError(
                    f"{report['source']}: the {split} split is not the one that {self.path} was "
                    "trained with; the data has changed since"
                )

    def log(self, record: Mapping[str, Any]) -> None:
        """Adds a line to ``metrics.jsonl``."""
        if not self.writes:
            return
        with (self / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``."""
        path = self / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def keep_history(self, count: int) -> None:
        """Keeps the first ``count`` lines of ``metrics.jsonl``; a resumed run writes the rest."""
        kept = [json.dumps(record) for record in self.history()[:count]]
        self.write_text("metrics.jsonl", "".join(line + "\n" for line in kept))

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray], state: Any) -> None:
        """Writes named arrays and a JSON value as one ``.npz``, whole or not at all."""
        if not self.writes:
            return
        with replacing(self / name) as temporary, temporary.open("wb") as stream:
            np.savez(stream, state=np.array(json.dumps(state)), **arrays)  # type: ignore[arg-type]

    def load_arrays(self, name: str) -> tuple[dict[str, np.ndarray], Any] | None:
        """Reads what :meth:`save_arrays` wrote, or None if it is not there."""
        path = self / name
        if not path.exists():
            return None
        try:
            with np.load(path) as stored:
                arrays = {key: stored[key] for key in stored.files}
        except Exception as error:
            raise UserError(f"{path} is damaged: {error}") from None
        return arrays, json.loads(str(arrays.pop("state")))
