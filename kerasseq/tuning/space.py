"""What a task's settings may be varied over: declared by the task, changed by a user's file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kerasseq.config import flattened, replace
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
    found = _read_yaml(path)
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


def read_points(path: Path, settings: Any) -> list[dict[str, Any]]:
    """Settings that are to be tried: a YAML list of them, or one such as a sweep's ``best.yaml``::

        - {model.units: 128, model.cell: gru}
        - training: {learning_rate: 0.002}

    Args:
        path: the file.
        settings: the task's, as they are; what a point does not name stays so.

    Raises:
        UserError: if the file cannot be read, or holds what is no setting or no value of it.
    """
    found = _read_yaml(path)
    return checked_points(found if isinstance(found, list) else [found], settings, str(path))


def checked_points(found: Any, settings: Any, where: str) -> list[dict[str, Any]]:
    """Settings that are to be tried, by dotted name.

    Args:
        found: a list of them, as a file holds it.
        settings: the task's, as they are.
        where: they are from, for messages.

    Raises:
        UserError: for what is no setting, or no value of it.
    """
    if not isinstance(found, list | tuple):
        raise UserError(f"{where} must be a list of settings by name, got {found!r:.60}")
    origin, made = where, []
    for number, point in enumerate(found, 1):
        where = f"{origin}: point {number}"
        if not isinstance(point, dict) or not point:
            raise UserError(f"{where} must hold settings by name, got {point!r:.60}")
        named, known = dict(flattened(point)), settings.flat()
        named = {name: plain(value) for name, value in named.items()}
        for name, value in named.items():
            if name not in known:
                raise UserError(f"{where}: {name} is no setting of the task")
            if type(known[name]) is float and type(value) is int:
                named[name] = float(value)
            try:
                _check_value(name, named[name], known[name], settings)
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
        made.append(named)
    return made


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None


def _read_entry(entry: Any) -> Choice | Range:
    if isinstance(entry, list):
        entry = {"values": entry}
    if not isinstance(entry, dict):
        raise ValueError(
            "must be a list of values, or {low, high} with log or step, or null; a setting that "
            f"keeps one value is given on the command line, got {entry!r}"
        )
    entry = {key: plain(value) for key, value in entry.items()}
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
        return Choice(tuple(map(plain, values)), when)
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


class Fixed(NamedTuple):
    """What a sweep's space may vary not at all, or not in any way.

    Attributes:
        settings: settings, or groups of them, that the data is read by: it is read once.
        encoding: groups of settings that the data is encoded by, once for each of their values.
        incomparable: metrics that such settings change the meaning of.
    """

    settings: tuple[str, ...] = ()
    encoding: tuple[str, ...] = ()
    incomparable: tuple[str, ...] = ()


def checked_space(space: Space, settings: Any, fixed: Fixed) -> dict[str, Choice | Range]:
    """A space that can be searched, its numbers of the settings' types.

    Args:
        space: settings by dotted name.
        settings: the task's, with the values of all that is not varied.
        fixed: what must not be varied.

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
        if _is_of(name, fixed.settings):
            raise UserError(
                f"the search space varies {name}, by which the data is read, and that is done "
                "once for all trials: run a sweep for each of its values"
            )
        if _is_of(name, fixed.encoding):
            if settings.training.monitor in fixed.incomparable:
                raise UserError(
                    f"the search space varies {name}, and {settings.training.monitor} says nothing "
                    "of models whose vocabularies differ: another --training.monitor, or a sweep "
                    "for each value"
                )
            if isinstance(entry, Range):
                raise UserError(
                    f"the search space's {name}: the data is prepared anew for each of its values, "
                    "so give a list of some"
                )
        if isinstance(entry, Range):
            _check_range(name, entry)
        elif len({str(value) for value in entry.values}) < len(entry.values):
            raise UserError(f"{name}: a value stands twice in {', '.join(map(str, entry.values))}")
        found[name] = entry = _typed(entry, known[name])
        values = entry.values if isinstance(entry, Choice) else (entry.low, entry.high)
        for value in values:
            _check_value(name, value, known[name], settings)
        if entry.when is not None:
            _check_condition(name, entry.when, space)
    return found


def plain(value: Any) -> Any:
    """A number of NumPy's as Python's."""
    return value.item() if hasattr(value, "item") else value


def _is_of(name: str, heads: tuple[str, ...]) -> bool:
    """Whether a setting is one of some, or in a group of them."""
    return any(name == head or name.startswith(f"{head}.") for head in heads)


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


def fitted(changes: Mapping[str, Any], space: Space, base: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a point of a space.

    Args:
        changes: settings by dotted name; all others are as they are.
        space: that is searched.
        base: all settings, as they are.

    Returns:
        The values of all that is varied there.

    Raises:
        UserError: if it is no point of the space, saying why.
    """
    found: dict[str, Any] = {}

    def keep(name: str, why: str) -> None:
        if name in changes and changes[name] != base[name]:
            raise UserError(f"{name} is {changes[name]}, {why}")

    for name in changes:
        if name not in space:
            keep(name, "and the search space does not vary it")
    for name, entry in sorted(space.items(), key=lambda item: item[1].when is not None):
        when, value = entry.when, changes.get(name, base[name])
        if when is not None and found.get(when.name) not in when.values:
            keep(
                name,
                f"which is varied only where {when.name} is {' or '.join(map(str, when.values))}",
            )
        elif isinstance(entry, Choice):
            if value not in entry.values:
                kept = "" if name in changes else " as it is without a change,"
                values = ", ".join(map(str, entry.values))
                raise UserError(f"{name} is {value},{kept} none of {values}")
            found[name] = entry.values[entry.values.index(value)]
        elif type(value) not in (int, float) or not entry.low <= value <= entry.high:
            kept = "" if name in changes else " as it is without a change"
            raise UserError(f"{name} is {value}{kept}, outside of {entry.low} to {entry.high}")
        else:
            found[name] = value
    return found


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


def all_points(space: Space) -> list[dict[str, Any]]:
    """The points of a space that has a number of them (:func:`points`)."""
    found: list[dict[str, Any]] = [{}]
    for name, entry in sorted(space.items(), key=lambda item: (item[1].when is not None, item[0])):
        values: Sequence[Any]
        if isinstance(entry, Choice):
            values = entry.values
        else:
            step = entry.step or 1
            values = [entry.low + i * step for i in range(_count(entry) or 0)]
        made = []
        for point in found:
            when = entry.when
            if when is not None and point.get(when.name) not in when.values:
                made.append(point)
            else:
                made += [{**point, name: value} for value in values]
        found = made
    return found


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
