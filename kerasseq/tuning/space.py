"""What a task's settings may be varied over: declared by the task, changed by a user's file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kerasseq.config import replace
from kerasseq.errors import UserError


@dataclass(frozen=True)
class When:
    """A condition: another setting of the space, a :class:`Choice`, has one of some values."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Choice:
    """One of some values.

    Attributes:
        values: what there is to choose from.
        when: where it is varied at all; elsewhere the setting keeps its value.
    """

    values: tuple[Any, ...]
    when: When | None = None


@dataclass(frozen=True)
class Range:
    """A number between two bounds, a whole one if both bounds are.

    Attributes:
        low, high: the bounds, both included.
        log: whether to draw evenly on a logarithmic scale.
        step: distance of the values drawn (of whole numbers 1, if not given); not with `log`.
        when: as in :class:`Choice`.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: When | None = None

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole ones."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Space = Mapping[str, Choice | Range]
"""Settings by dotted name."""


def read_space(path: Path, space: Space) -> dict[str, Choice | Range]:
    """A task's space, changed as a YAML file says.

    An entry of the file adds a setting or takes the place of the task's own entry::

        training.learning_rate: {low: 0.001, high: 0.01, log: true}
        model.units: {low: 64, high: 256, step: 64}
        model.cell: [gru, lstm]
        model.weight_drop: {low: 0.0, high: 0.5, when: {model.cell: [lstm]}}
        model.embedding_dropout: null   # not varied

    Args:
        path: the file.
        space: the task's own.

    Raises:
        UserError: if the file cannot be read or an entry is not as above.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold settings by name, and what to vary them over")
    return changed_space(found, space, str(path))


def changed_space(found: Mapping[str, Any], space: Space, where: str) -> dict[str, Choice | Range]:
    """A task's space with changes.

    Args:
        found: the changes, as a file holds them.
        space: the task's own.
        where: they are from, for messages.

    Raises:
        UserError: if an entry is not as in a file.
    """
    changed = dict(space)
    for name, entry in found.items():
        if entry is None:
            if changed.pop(name, None) is None:
                raise UserError(
                    f"{where}: {name} is not varied as it is; there are {', '.join(space)}"
                )
            continue
        try:
            changed[name] = _read_entry(entry)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {name}: {error}") from None
    for name in set(space) - set(found):
        when = changed[name].when
        if when is None:
            continue
        parent = changed.get(when.name)  # it may keep one value now
        if not isinstance(parent, Choice) or not set(when.values) & set(parent.values):
            del changed[name]
    return changed


def _read_entry(entry: Any) -> Choice | Range:
    if isinstance(entry, list):
        entry = {"values": entry}
    if not isinstance(entry, dict):
        raise ValueError(
            "must be a list of values, or {low, high} with log or step, or null; a setting that "
            f"keeps one value is given on the command line, got {entry!r}"
        )
    entry = dict(entry)
    when = entry.pop("when", None)
    if when is not None:
        if not isinstance(when, dict) or len(when) != 1:
            raise ValueError("when must be one setting and the list of its values")
        ((name, values),) = when.items()
        if values == []:
            raise ValueError("when must have a value")
        when = When(name, tuple(values if isinstance(values, list) else [values]))
    if "values" in entry:
        values = entry.pop("values")
        if entry or not isinstance(values, list) or not values:
            raise ValueError("must have a list of values, and nothing else but when")
        return Choice(tuple(values), when)
    unknown = set(entry) - {"low", "high", "log", "step"}
    if unknown or not {"low", "high"} <= set(entry):
        raise ValueError("must have low and high, and nothing else but log, step and when")
    for name in ("low", "high", "step"):
        if isinstance(entry.get(name), str):  # YAML 1.1 reads 1e-3 as a text
            with contextlib.suppress(ValueError):
                entry[name] = float(entry[name])
    if not isinstance(entry.get("log", False), bool):
        raise ValueError(f"log must be true or false, got {entry['log']!r}")
    numbers = [entry[name] for name in ("low", "high", "step") if entry.get(name) is not None]
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise ValueError(f"low, high and step must be numbers, got {numbers}")
    return Range(**entry, when=when)


def checked_space(space: Space, settings: Any, fixed: tuple[str, ...]) -> dict[str, Choice | Range]:
    """A space that can be searched, its numbers of the settings' types.

    Args:
        space: settings by dotted name.
        settings: the task's, with the values of all that is not varied.
        fixed: settings, or groups of them, that the data is prepared by: it is prepared once.

    Returns:
        The space; a stepped range of numbers that are not whole is the choice of its values.

    Raises:
        UserError: naming the entry.
    """
    known = settings.flat()
    if not space:
        raise UserError("the search space is empty")
    found: dict[str, Choice | Range] = {}
    for name, entry in space.items():
        if name == "training.monitor":
            raise UserError(f"the search space varies {name}, by which trials are compared")
        if name not in known:
            raise UserError(f"the search space varies {name}, which is no setting of the task")
        if any(name == head or name.startswith(f"{head}.") for head in fixed):
            raise UserError(
                f"the search space varies {name}, by which the data is prepared, and that is done "
                "once for all trials: run a sweep for each of its values"
            )
        if isinstance(entry, Range):
            _check_range(name, entry)
        found[name] = entry = _typed(entry, known[name])
        values = entry.values if isinstance(entry, Choice) else (entry.low, entry.high)
        for value in values:
            _check_value(name, value, known[name], settings)
        if entry.when is not None:
            _check_condition(name, entry.when, space)
    return found


def _typed(entry: Choice | Range, now: Any) -> Choice | Range:
    """Whole numbers as floats, where the setting is one."""
    if type(now) is not float:
        return entry

    def number(value: Any) -> Any:
        return float(value) if type(value) is int else value

    if isinstance(entry, Choice):
        return Choice(tuple(map(number, entry.values)), entry.when)
    low, high, step = map(number, (entry.low, entry.high, entry.step))
    if step is None:
        return Range(low, high, entry.log, when=entry.when)
    count = int((high - low) / step + 1e-6)
    return Choice(tuple(round(low + i * step, 12) for i in range(count + 1)), entry.when)


def _check_value(name: str, value: Any, now: Any, settings: Any) -> None:
    kinds = (int, float) if type(now) is float else (type(now),)
    if type(value) not in kinds:
        raise UserError(f"{name}: {value!r} is no {type(now).__name__}")
    try:
        replace(settings, {name: value})
    except UserError as error:
        raise UserError(f"the search space's {name}: {error}") from None


def _check_range(name: str, entry: Range) -> None:
    if not entry.low < entry.high:
        raise UserError(f"{name}: low must be below high, got {entry.low} and {entry.high}")
    if entry.log and (entry.low <= 0 or entry.step is not None):
        raise UserError(f"{name}: a logarithmic scale needs low above 0, and has no step")
    if entry.step is not None and entry.step <= 0:
        raise UserError(f"{name}: step must be above 0, got {entry.step}")
    if entry.whole and entry.step is not None and not isinstance(entry.step, int):
        raise UserError(
            f"{name}: step must be a whole number as low and high are, got {entry.step}"
        )


def _check_condition(name: str, when: When, space: Space) -> None:
    parent = space.get(when.name)
    if not isinstance(parent, Choice):
        raise UserError(f"{name}: its condition is {when.name}, which is no choice of the space")
    if parent.when is not None:
        raise UserError(f"{name}: its condition {when.name} has a condition itself")
    missing = [value for value in when.values if value not in parent.values]
    if missing:
        raise UserError(f"{name}: {when.name} is never {missing[0]!r}")


def points(space: Space) -> int | None:
    """How many different settings a space has; None if a range of it has no steps."""
    counts = {name: _count(entry) for name, entry in space.items()}
    if None in counts.values():
        return None
    free = [name for name, entry in space.items() if entry.when is None]

    def of(names: list[str]) -> int:
        """Of these settings, and of those that they are conditions of."""
        product = 1
        for name in names:
            bound = [n for n, e in space.items() if e.when is not None and e.when.name == name]
            entry, total = space[name], 0
            if not isinstance(entry, Choice):
                product *= counts[name] or 1
                continue
            for value in entry.values:
                total += of([n for n in bound if value in _condition(space, n)])
            product *= total
        return product

    return of(free)


def _condition(space: Space, name: str) -> tuple[Any, ...]:
    when = space[name].when
    return () if when is None else when.values


def _count(entry: Choice | Range) -> int | None:
    if isinstance(entry, Choice):
        return len(entry.values)
    if entry.log or not (entry.whole or entry.step):
        return None
    return int((entry.high - entry.low) / (entry.step or 1) + 1e-9) + 1


def described(space: Space) -> dict[str, Any]:
    """A space as JSON values, as a sweep's record holds it."""
    found = {}
    for name, entry in sorted(space.items()):
        if isinstance(entry, Choice):
            text = ", ".join(map(str, entry.values))
        else:
            text = f"{entry.low} to {entry.high}"
            text += " (log)" if entry.log else f" by {entry.step}" if entry.step else ""
        if entry.when is not None:
            text += f" when {entry.when.name} is {' or '.join(map(str, entry.when.values))}"
        found[name] = text
    return found
