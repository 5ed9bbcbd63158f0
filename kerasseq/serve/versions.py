"""Which versions of a model are served, and their labels: by options, or a file that may change."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kerasseq.errors import UserError

LOG = logging.getLogger("kerasseq.serve")


@dataclass(frozen=True)
class Choice:
    """Which versions of a model are served.

    Attributes:
        latest: how many of the newest; 0 if others are named.
        named: these; with neither, all.
        labels: versions by label, which requests may name in their place.
    """

    latest: int = 1
    named: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)

    def candidates(self, there: Sequence[int]) -> list[int]:
        """Versions to be loaded, in this order, until there are enough.

        Args:
            there: versions in the folder.
        """
        return [v for v in sorted(there, reverse=True) if not self.named or v in self.named]

    def enough(self, served: Collection[int]) -> bool:
        """Whether no more are to be loaded."""
        return 0 < self.latest <= len(served)

    def missing(self, there: Collection[int]) -> list[int]:
        """Versions that are named and not there."""
        return [version for version in self.named if version not in there]


class Choices:
    """What is chosen of each model.

    Args:
        options: each ``all``, ``latest:2``, or that of one model: ``NAME=1,2``, ``NAME=all``.
        path: a YAML file, which is read again when it changes::

            sentiment:
              versions: [1, 2]        # or all, or latest:2
              labels: {stable: 1, canary: 2}

    Raises:
        UserError: if one of them cannot be read.
    """

    def __init__(self, options: Sequence[str] = (), path: Path | None = None):
        self._default = Choice()
        self._options: dict[str, Choice] = {}
        for option in options:
            name, equals, versions = option.rpartition("=")
            made = _versions(versions, f"--versions {option}")
            if equals:
                self._options[name] = made
            else:
                self._default = made
        self._path, self._seen = path, (0, 0)
        self._file: dict[str, Choice] = {}
        if path:
            self._seen, self._file = _state(path), _read(path)

    def of(self, name: str) -> Choice:
        """What is chosen of a model."""
        return self._file.get(name) or self._options.get(name) or self._default

    def refresh(self) -> None:
        """Reads the file again if it has changed; what cannot be read is logged, and nothing
        changes."""
        if not self._path:
            return
        try:
            state = _state(self._path)
            if state != self._seen:
                self._seen = state
                self._file = _read(self._path)
                LOG.info("read again", extra={"file": str(self._path)})
        except UserError as error:
            LOG.error("cannot read", extra={"file": str(self._path), "why": str(error)})


def _state(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return state.st_size, state.st_mtime_ns


def _read(path: Path) -> dict[str, Choice]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold models by name, each with versions or labels")
    return {str(name): _model(entry, f"{path}: {name}") for name, entry in found.items()}


def _model(entry: Any, where: str) -> Choice:
    if not isinstance(entry, dict) or not entry or set(entry) - {"versions", "labels"}:
        raise UserError(f"{where} must have versions, labels or both, got {entry!r:.60}")
    labels = entry.get("labels") or {}
    if not isinstance(labels, dict) or not all(_is_version(each) for each in labels.values()):
        raise UserError(f"{where}: labels must be a version for each name, got {labels!r:.60}")
    versions = entry.get("versions", "latest:1")
    if isinstance(versions, list):
        versions = ",".join(map(str, versions))
    chosen = _versions(str(versions), f"{where}: versions")
    named = {str(name): version for name, version in labels.items()}
    # a label that is not among the newest is served all the same
    if chosen.latest and set(named.values()):
        raise UserError(f"{where}: labels need their versions: [1, 2], or all")
    return Choice(chosen.latest, chosen.named, named)


def _versions(text: str, where: str) -> Choice:
    if text == "all":
        return Choice(latest=0)
    kind, colon, count = text.partition(":")
    if kind == "latest" and colon and count.isdecimal() and int(count) > 0:
        return Choice(latest=int(count))
    numbers = text.split(",")
    if all(each.strip().isdecimal() for each in numbers):
        return Choice(latest=0, named=tuple(int(each) for each in numbers))
    raise UserError(f"{where}: versions are all, latest:N, or numbers such as 1,2, got {text!r}")


def _is_version(value: Any) -> bool:
    return type(value) is int and value >= 0
