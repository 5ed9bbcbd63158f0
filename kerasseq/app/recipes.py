"""Recipes: files of the settings that gave a recorded figure, every setting pinned.

They are ``kerasseq/recipes/NAME.yaml``. The comment at the head of each says what it gives, how
long it takes, on which processor, and by which command.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from kerasseq.data.sources import EMBEDDED, named_splits, source_of
from kerasseq.errors import UserError

DATA_FOLDER = "KERASSEQ_DATA"
"""The environment variable that names the folder of data sets."""

FOLDER = resources.files("kerasseq") / "recipes"


@dataclass(frozen=True)
class Recipe:
    """Settings that gave a figure.

    Attributes:
        name: of its file.
        task: that they are of.
        record: of the figure, in benchmarks/results.
        data: where that was measured: ``embedded``, or a path in the folder of data sets.
        settings: all of them but ``data``, nested.
        comment: what the file says in its head, a line each.
    """

    name: str
    task: str
    record: str
    data: str
    settings: dict[str, Any]
    comment: tuple[str, ...]

    def changes(self) -> dict[str, Any]:
        """The settings with ``data``: in the folder of data sets, if the environment names it."""
        return {"data": self.data_in(os.environ.get(DATA_FOLDER)), **self.settings}

    def data_in(self, folder: str | None) -> str:
        """Where its data lies.

        Args:
            folder: of data sets; if None, a path that cannot be there stands for it.
        """
        if self.data == EMBEDDED:
            return EMBEDDED
        base = Path(folder or DATA_FOLDER)
        if parts := named_splits(self.data):
            return source_of({s: [base / path for path in paths] for s, paths in parts.items()})
        return str(base / self.data)

    def check_data(self, source: str) -> None:
        """Makes sure that somebody has said where the data lies.

        Args:
            source: the setting ``data`` after all that was given.

        Raises:
            UserError: if nobody has.
        """
        if self.data != EMBEDDED and source == self.data_in(None):
            raise UserError(
                f"the recipe {self.name} was measured on {self.data}: give --data, or set "
                f"{DATA_FOLDER} to the folder that holds it"
            )


def recipe_names() -> list[str]:
    """The names of all recipes, sorted."""
    return sorted(
        file.name.removesuffix(".yaml") for file in FOLDER.iterdir() if file.name.endswith(".yaml")
    )


def find_recipe(name: str, task: str | None = None) -> Recipe:
    """A recipe by its name.

    Args:
        name: of it.
        task: that it must be of; any, if None.

    Raises:
        UserError: if there is none of that name, or it is another task's.
    """
    names = recipe_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise UserError(f"no recipe {name!r}; {hint}")
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    comment = tuple(line.strip() for line in re.findall(r"^#(.*)$", text, re.MULTILINE))
    recipe = Recipe(name, comment=comment, **yaml.safe_load(text))
    if task is not None and recipe.task != task:
        raise UserError(f"the recipe {name} is for {recipe.task}, not for {task}")
    return recipe
