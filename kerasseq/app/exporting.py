"""A finished run as an exported version, and an exported version in use."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import tensorflow as tf

from kerasseq.app.arguments import need_text
from kerasseq.app.registry import MODEL_NAME, find_task
from kerasseq.app.results import html_table, predictions, texts_of
from kerasseq.app.runs import Trained, build, reported_split
from kerasseq.app.task import Task
from kerasseq.config import differences
from kerasseq.errors import UserError
from kerasseq.export import formats, saved_model
from kerasseq.export.serving import collate_texts
from kerasseq.export.versions import read_manifest, run_clean, versions_in
from kerasseq.training.progress import say
from kerasseq.training.run_folder import DATA, SAMPLES, versions

Format = Literal["saved_model", "litert", "onnx"]


def check_format(kind: Format) -> None:
    """Raises:
    UserError: if there is no such format, or a package that it needs is not installed.
    """
    if kind not in get_args(Format):
        raise UserError(f"format must be one of {', '.join(get_args(Format))}, got {kind!r}")
    if kind != "saved_model":
        formats.check_packages(kind)


def export_name(run: Path, given: str = "") -> str:
    """The name that a run's exports have where they are served.

    Args:
        run: its folder, whose name it is, if none is given.
        given: by the user.

    Raises:
        UserError: if it cannot be the name of a model.
    """
    name = need_text("name", given) or run.resolve().name
    if not MODEL_NAME.fullmatch(name):
        whose = "the name" if given else "the run's folder, which names its export,"
        raise UserError(
            f"{whose} {name!r} cannot be a served model's: letters (A to Z), digits, _, . and -"
            f"{'' if given else '; give a --name'}"
        )
    return name


def export_run(task: Task, trained: Trained, folder: Path, kind: Format, name: str) -> Path:
    """Writes a finished run in a format and verifies it in a clean process.

    Args:
        task, trained: the run.
        folder: the version lands in ``folder/NAME/VERSION/`` or ``folder/NAME-FORMAT/VERSION/``.
        kind: of the export; see :func:`check_format`.
        name: of the exported model, from :func:`export_name`.

    Returns:
        The version's folder.

    Raises:
        UserError: if it cannot be written, or versions of another model have the name, or it does
            not answer as the Keras model does; nothing is left behind then.
    """
    place = folder / (name if kind == "saved_model" else f"{name}-{kind}")
    manifest = _manifest(task, trained)
    _check_same_model(task, place, manifest)
    say("exporting: building a model without GPU kernels, saving, verifying in a clean process")
    settings, assets, samples = trained.settings, trained.assets, trained.run.need_json(SAMPLES)
    # as it will be served: on a CPU; in float32 it is already
    with tf.device("/CPU:0"):
        portable = build(task, settings, assets, portable=True)
        portable.set_weights(trained.use.model.get_weights())
        use = task.use(portable, settings, assets)
        if kind == "saved_model":
            serving = use.serving(samples)
            path, outcome = saved_model.export(serving, place, manifest)
        else:
            elementary = use.elementary()
            reference = task.use(trained.use.model, elementary.settings, assets)

            def predict(texts: list[str]) -> list[dict[str, Any]]:
                with contextlib.redirect_stderr(io.StringIO()):  # what is cut is no news here
                    return list(reference.predict(texts))

            made = kind, elementary, samples, predict
            path, outcome = formats.export(*made, place, manifest)
    say(f"  {outcome}")
    say(f"exported to {path}/")
    return path


def _check_same_model(task: Task, place: Path, manifest: dict[str, Any]) -> None:
    """Makes sure that versions of one model answer the same question.

    Raises:
        UserError: if the newest one is another task's, or tells apart what the new one does not.
    """
    if not place.is_dir() or not (found := versions_in(place)):
        return
    newest = place / str(found[-1])
    before = read_manifest(newest)
    told = [{"task": one["task"]} for one in (before, manifest)]
    if told[0] == told[1]:
        told = [dict(task.identity(one)) for one in (before, manifest)]
    if changed := differences(*told):
        raise UserError(
            f"{newest} is another model ({'; '.join(changed)}): give the new one a --name of its "
            "own"
        )


def _manifest(task: Task, trained: Trained) -> dict[str, Any]:
    """What an export says of the run that it is of."""
    run = trained.run
    return {
        "task": task.name,
        "label": task.label,
        "settings": trained.settings.to_dict(),
        "data": run.read_json(DATA),
        "training": trained.summary,
        "evaluation": run.read_json(f"evaluation/{reported_split(run)}.json"),
        "versions": versions(),
    }


class ExportedModel:
    """An exported version in use: a SavedModel, LiteRT's or ONNX Runtime's form.

    Attributes:
        path: its folder.
        manifest: what it says of itself: task, settings, data, training, evaluation, versions.
    """

    def __init__(self, path: Path):
        self.path, self.manifest = path, read_manifest(path)
        self._task = find_task(self.manifest["task"])

    @property
    def task(self) -> str:
        """The name of its task."""
        return self._task.name

    @property
    def format(self) -> Format:
        """``saved_model``, ``litert`` or ``onnx``."""
        return self.manifest["kind"]

    def predict(self, texts: Iterable[str]) -> list[Any]:
        """Results for texts, in order, as :meth:`kerasseq.Run.predict` gives them.

        LiteRT and ONNX Runtime are asked through the export's own client, in a process of its
        own; they give the fields that the client has, and None for the others.
        """
        return predictions(self._task, self.rows(texts_of(texts, "predict")))

    def rows(self, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The same as mappings, one by one; of a SavedModel in constant memory."""
        if self.format != "saved_model":
            yield from self._asked(list(texts))
            return
        for text, outputs in saved_model.run(self.path, texts, "serving_default", collate_texts):
            yield self._task.served_result(text, outputs, self.manifest)

    def _asked(self, texts: list[str]) -> list[dict[str, Any]]:
        lines = "".join(f"{' '.join(text.split())}\n" for text in texts)
        printed = run_clean([str(self.path.resolve() / formats.CLIENT)], lines, str(self.path))
        answers = [json.loads(line) for line in printed.splitlines()]
        return [{"text": text, **answer} for text, answer in zip(texts, answers, strict=True)]

    def _repr_html_(self) -> str:
        found = {"task": self.task, "format": self.format, "folder": str(self.path)}
        found["verification"] = self.manifest["verification"]
        return html_table(found)


def load_version(path: Path) -> ExportedModel:
    """An exported version; of a model's folder the newest one.

    Raises:
        UserError: if there is none.
    """
    if path.is_dir() and not (path / "manifest.json").exists() and (found := versions_in(path)):
        path = path / str(found[-1])
    return ExportedModel(path)
