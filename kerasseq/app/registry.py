"""Tasks by name: whoever declares one in the entry-point group ``kerasseq.tasks`` has every verb.

A package with a task of its own says so in its ``pyproject.toml``::

    [project.entry-points."kerasseq.tasks"]
    tickets = "tickets.task:Tickets"
"""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points

from kerasseq.app.task import Task
from kerasseq.errors import UserError

GROUP = "kerasseq.tasks"

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What names tasks and served models: of folders, of layers, in addresses."""

_DECLARED = ("title", "label", "settings_class", "assets_class", "prediction_class", "goals")


def task_names() -> list[str]:
    """The names of all tasks that are installed, sorted."""
    return sorted(entry_points(group=GROUP).names)


def find_task(name: str) -> Task:
    """A task by its name.

    Raises:
        UserError: if there is none of that name, or several, or it cannot be loaded.
    """
    found = list({entry.value: entry for entry in entry_points(group=GROUP, name=name)}.values())
    if not found:
        names = task_names()
        known = f"there are {', '.join(names)}" if names else "none is installed: pip install -e ."
        raise UserError(f"no task {name!r}; {known}")
    if len(found) > 1:
        places = " and ".join(map(_place, found))
        raise UserError(f"the task {name!r} is declared twice, by {places}: uninstall one of them")
    place = _place(found[0])
    if not MODEL_NAME.fullmatch(name):
        raise UserError(
            f"{place} declares the task {name!r}: a name has letters (A to Z), digits, _, . and -"
        )
    try:
        task = found[0].load()()
    except (Exception, SystemExit) as error:  # whatever the other package does when it is imported
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"the task {name!r} of {place} has failed: {reason}") from error
    if not isinstance(task, Task) or getattr(task, "name", None) != name:
        raise UserError(f"{place} declares as {name!r} what is no task of that name")
    lacking = [attribute for attribute in _DECLARED if not hasattr(task, attribute)]
    if lacking:
        raise UserError(f"the task {name!r} of {place} lacks {', '.join(lacking)}")
    return task


def task_title(name: str) -> str:
    """The title of a task, or what is wrong with it: one package's fault keeps nobody from the
    other tasks."""
    try:
        return find_task(name).title
    except UserError as error:
        return " ".join(str(error).split())


def _place(entry: EntryPoint) -> str:
    package = (entry.dist and entry.dist.name) or "an unknown package"
    return f"{package} ({entry.value})"
