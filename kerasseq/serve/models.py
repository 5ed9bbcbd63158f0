"""The exported models of a folder: the newest version of each, new ones as they come."""

from __future__ import annotations

import gc
import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from kerasseq.export.saved_model import SAVED_MODEL, meta_graphs, signature_defs
from kerasseq.export.versions import MANIFEST, versions_in
from kerasseq.serve.protocol import Input

LOG = logging.getLogger("kerasseq.serve")


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
    """

    name: str
    version: int
    manifest: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Input]]
    alone: frozenset[str]
    signature_def: Mapping[str, Any]
    loaded: Any

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Runs a signature; blocks.

        Raises:
            tf.errors.InvalidArgumentError: for what the graph itself refuses.
        """
        function = self.loaded.signatures[signature]
        types = {name: spec.dtype for name, spec in function.structured_input_signature[1].items()}
        outputs = function(**{n: tf.constant(value, types[n]) for n, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}


def load(path: Path) -> Served:
    """Loads a version, and runs its default signature once: the first call compiles.

    Raises:
        OSError, ValueError, tf.errors.OpError: if it is damaged.
    """
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
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


class Store:
    """The newest version of every model in a folder.

    Args:
        root: the folder, ``root/NAME/VERSION/``.
    """

    def __init__(self, root: Path):
        self._root = root
        self._newest: dict[str, Served] = {}
        self._failed: dict[Path, list[tuple[str, int, int]]] = {}
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Loads what is new, and lets go of what is gone. Requests go on meanwhile; one that holds
        an old version keeps it until it is answered."""
        for name in {path.name for path in self._root.iterdir()} | set(self._newest):
            held, newest = self._newest.get(name), None
            try:
                versions = [] if name.startswith(".") else versions_in(self._root / name)
            except OSError:  # no folder, or one that cannot be read
                versions = []
            for version in reversed(versions):
                path = self._root / name / str(version)
                newest = held if held and held.version == version else self._loaded(path)
                if newest:
                    break
            with self._lock:
                if newest:
                    self._newest[name] = newest
                else:
                    self._newest.pop(name, None)

    def _loaded(self, path: Path) -> Served | None:
        """A version; None if it cannot be loaded, which is tried again when its files change."""
        start = time.perf_counter()
        files: list[tuple[str, int, int]] = []
        try:
            for file in sorted(path.rglob("*")):
                state = file.stat()
                files.append((str(file), state.st_size, state.st_mtime_ns))
            if self._failed.get(path) == files or not (path / SAVED_MODEL).exists():
                return None
            served = load(path)
        except Exception as error:  # whatever is in that folder, the others go on
            self._failed[path] = files
            LOG.error("cannot load", extra={"path": str(path), "error": str(error)[:300]})
            return None
        # a full collection looks at all of TensorFlow, and every request waits for it
        gc.collect()
        gc.freeze()
        spent = round(time.perf_counter() - start, 2)
        LOG.info(
            "loaded",
            extra={"model": served.name, "version": served.version, "seconds": spent},
        )
        return served

    def get(self, name: str, version: int | None) -> Served | None:
        """A loaded model, or None."""
        with self._lock:
            served = self._newest.get(name)
        return served if served and version in (None, served.version) else None

    def all(self) -> list[Served]:
        """All that are loaded, by name."""
        with self._lock:
            return [self._newest[name] for name in sorted(self._newest)]
