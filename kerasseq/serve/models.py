"""The exported models of a folder: which versions are served, new ones as they come."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from kerasseq.errors import UserError
from kerasseq.export.saved_model import SAVED_MODEL, meta_graphs, signature_defs
from kerasseq.export.versions import MANIFEST, read_json
from kerasseq.serve.protocol import Input
from kerasseq.serve.versions import Choices

LOG = logging.getLogger("kerasseq.serve")

AT_ONCE = 4
"""Models that are loaded side by side."""


@dataclass
class Served:
    """A loaded version of a model.

    Attributes:
        name, version: where it lies.
        manifest: what its export says of it.
        inputs: of each signature.
        alone: signatures some output of which is as wide as the batch needs, and does not say how
            wide each example needs it.
        signature_def: as TensorFlow Serving's metadata shows it.
        seconds: that it took to load.
    """

    name: str
    version: int
    manifest: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Input]]
    alone: frozenset[str]
    signature_def: Mapping[str, Any]
    loaded: Any
    seconds: float = 0.0

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Runs a signature; blocks.

        Raises:
            tf.errors.InvalidArgumentError: for what the graph itself refuses.
        """
        function = self.loaded.signatures[signature]
        types = {name: spec.dtype for name, spec in function.structured_input_signature[1].items()}
        outputs = function(**{n: tf.constant(value, types[n]) for n, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}


def read_checked(path: Path) -> dict[str, Any]:
    """A version's manifest, as far as the server and its page use it.

    Raises:
        UserError: if it is not there, or holds what they cannot use.
    """
    manifest = read_json(path, MANIFEST)
    if not isinstance(manifest, dict):
        raise UserError(f"{MANIFEST} is no object")
    kinds: dict[str, tuple[type, Any]] = {
        "task": (str, ""), "label": (str, ""), "page": (dict, {}), "data": (dict, {}),
        "settings": (dict, {}),
    }  # fmt: skip
    for name, (kind, default) in kinds.items():
        value = manifest.get(name, default)
        if not isinstance(value, kind):
            raise UserError(f"{MANIFEST}: {name} is {value!r:.60}, expected a {kind.__name__}")
    classes = manifest.get("data", {}).get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{MANIFEST}: data.classes is {classes!r:.60}, expected a list of names")
    return manifest


def load(path: Path) -> Served:
    """Loads a version, and runs its default signature once: the first call compiles.

    Raises:
        OSError, UserError, ValueError, tf.errors.OpError: if it is damaged.
    """
    manifest = read_checked(path)
    shown = {
        name: json_format.MessageToDict(
            definition,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for name, definition in signature_defs(meta_graphs(path)).items()
    }
    loaded = tf.saved_model.load(str(path))
    inputs, alone = {}, set()
    for name, function in loaded.signatures.items():
        outputs = function.structured_outputs
        shapes = [tensor.shape[1:].as_list() for tensor in outputs.values()]
        if "lengths" not in outputs and any(None in shape for shape in shapes):
            alone.add(name)
        specs = function.structured_input_signature[1]
        inputs[name] = {
            key: Input(np.dtype(spec.dtype.as_numpy_dtype).name, len(spec.shape))
            for key, spec in specs.items()
        }
    name, version = path.parent.name, int(path.name)
    served = Served(name, version, manifest, inputs, frozenset(alone), shown, loaded)
    first = inputs.get("serving_default", {})
    if len(first) == 1:
        served.run("serving_default", {next(iter(first)): [b"warm up"]})
    return served


@dataclass(frozen=True)
class Failed:
    """What lies in the folder and cannot be served.

    Attributes:
        name: of the model.
        version: of it, as its folder is named; empty if the model as a whole cannot.
        reason: why.
        files: names, sizes and times; it is tried again when they change.
    """

    name: str
    version: str
    reason: str
    files: tuple[tuple[str, int, int], ...] = ()


@dataclass
class Model:
    """What is known of one model.

    Attributes:
        served: by version.
        failed: by the name of the version's folder.
        labels: versions by label.
    """

    served: dict[int, Served] = field(default_factory=dict)
    failed: dict[str, Failed] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)


class Store:
    """The versions of every model in a folder that are to be served.

    Args:
        root: the folder, ``root/NAME/VERSION/``.
        choices: which versions.
    """

    def __init__(self, root: Path, choices: Choices):
        self._root, self._choices = root, choices
        self._models: dict[str, Model] = {}
        self._loading: set[str] = set()
        self._lock = threading.Lock()
        self.looked = False
        """Whether all that lay there at first is loaded, or cannot be."""

    def refresh(self) -> None:
        """Loads what is new, several models side by side, and lets go of what is gone. Requests go
        on meanwhile; one that holds an old version keeps it until it is answered."""
        self._choices.refresh()
        names = {p.name for p in self._root.iterdir() if not p.name.startswith(".") and p.is_dir()}
        for name in set(self._models) - names:
            with self._lock:
                self._models.pop(name, None)
        with ThreadPoolExecutor(AT_ONCE, "load") as pool:
            list(pool.map(self._refresh, sorted(names)))
        self.looked = True

    def _refresh(self, name: str) -> None:
        """Looks at one model."""
        model = self._models.get(name, Model())
        failed: dict[str, Failed] = {}
        versions: dict[int, Path] = {}
        if ":" in name:
            failed[""] = Failed(name, "", "a model's name has no colon: requests could not name it")
        else:
            try:
                versions = _versions(self._root / name, failed)
            except OSError as error:
                failed[""] = Failed(name, "", f"the folder cannot be read: {error.strerror}")
        choice = self._choices.of(name)
        served: dict[int, Served] = {}
        for version in choice.candidates(sorted(versions)):
            if choice.enough(served):
                break
            found = model.served.get(version) or self._loaded(versions[version], model, failed)
            if found:
                served[version] = found
                with self._lock:  # at once: others may take long
                    self._models.setdefault(name, model).served[version] = found
        for version in choice.missing(versions):
            reason = "there is no such version, and it is asked for"
            failed[str(version)] = Failed(name, str(version), reason)
        for key, one in failed.items():
            if model.failed.get(key) != one:
                LOG.error("cannot load", extra={"model": name, "version": key, "why": one.reason})
        with self._lock:
            if served or failed:
                self._models[name] = Model(served, failed, choice.labels)
            else:  # no folder of a model, or one that is written just now
                self._models.pop(name, None)

    def _loaded(self, path: Path, model: Model, failed: dict[str, Failed]) -> Served | None:
        """A version; None if it cannot be loaded, which is tried again when its files change."""
        start = time.perf_counter()
        name = path.parent.name
        files: tuple[tuple[str, int, int], ...] = ()
        try:
            files = tuple(
                (str(file), state.st_size, state.st_mtime_ns)
                for file in sorted(path.rglob("*"))
                for state in [file.stat()]
            )
            before = model.failed.get(path.name)
            if before and before.files == files:
                failed[path.name] = before
                return None
            if not os.access(path, os.R_OK | os.X_OK):
                raise UserError("its folder cannot be read")
            if not (path / SAVED_MODEL).exists():
                if (path / MANIFEST).exists():
                    raise UserError(f"there is no {SAVED_MODEL}: it is no SavedModel")
                return None
            with self._lock:
                self._loading.add(f"{name} {path.name}")
            served = load(path)
        except Exception as error:  # whatever is in that folder, the others go on
            text = " ".join(str(error).split())[:300] or type(error).__name__
            failed[path.name] = Failed(name, path.name, text, files)
            return None
        finally:
            with self._lock:
                self._loading.discard(f"{name} {path.name}")
        # a full collection looks at all of TensorFlow, and every request waits for it
        gc.collect()
        gc.freeze()
        spent = served.seconds = round(time.perf_counter() - start, 2)
        LOG.info(
            "loaded",
            extra={"model": served.name, "version": served.version, "seconds": spent},
        )
        return served

    def get(self, name: str, version: int | str | None = None) -> Served | None:
        """A loaded version, the newest without one, or that of a label; None if there is none."""
        with self._lock:
            model = self._models.get(name)
            if model is None or not model.served:
                return None
            if version is None:
                version = max(model.served)
            if isinstance(version, str):
                version = model.labels.get(version, -1)
            return model.served.get(version)

    def versions(self, name: str) -> tuple[list[Served], list[Failed]]:
        """What is served of a model, the newest first, and what is not."""
        with self._lock:
            model = self._models.get(name, Model())
            served = [model.served[version] for version in sorted(model.served, reverse=True)]
            return served, list(model.failed.values())

    def all(self) -> list[Served]:
        """The newest loaded version of each model, by name."""
        with self._lock:
            return [m.served[max(m.served)] for _, m in sorted(self._models.items()) if m.served]

    def served(self) -> list[Served]:
        """Every loaded version."""
        with self._lock:
            models = [model for _, model in sorted(self._models.items())]
            return [one for model in models for _, one in sorted(model.served.items())]

    def failed(self) -> list[Failed]:
        """All that cannot be loaded, by name."""
        with self._lock:
            models = [model for _, model in sorted(self._models.items())]
            return [one for model in models for one in model.failed.values()]

    def loading(self) -> list[str]:
        """What is loaded just now."""
        with self._lock:
            return sorted(self._loading)


def _versions(folder: Path, failed: dict[str, Failed]) -> dict[int, Path]:
    """The versions in a model's folder; those that no request could name have failed."""
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        if not path.name.isdecimal() or not path.is_dir():
            continue
        if path.name != str(int(path.name)) or len(path.name) > 18:
            reason = "a version is a number without leading zeros, of at most 18 digits"
            failed[path.name] = Failed(folder.name, path.name, reason)
        else:
            found[int(path.name)] = path
    return found
