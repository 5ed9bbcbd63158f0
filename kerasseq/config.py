"""Settings: frozen dataclasses that are declared once and checked when they are made.

A task's settings are a tree of :class:`Settings`. The command line, ``--help``, ``--config`` and
``--print_config`` are generated from it (see :mod:`kerasseq.app.cli`), so that a setting's type,
default, bounds and documentation stand in exactly one place::

    @dataclass(frozen=True)
    class Model(Settings):
        '''The network.'''

        units: int = setting(64, ge=1)
        '''Size of the recurrent state, for each direction.'''
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from kerasseq.errors import UserError

S = TypeVar("S", bound="Settings")

_BOUNDS = {
    "ge": (lambda value, bound: value >= bound, ">="),
    "gt": (lambda value, bound: value > bound, ">"),
    "le": (lambda value, bound: value <= bound, "<="),
    "lt": (lambda value, bound: value < bound, "<"),
}


def setting(
    default: Any,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Declares a field with a default and bounds (greater or equal, greater, less ...)."""
    given = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    bounds = {name: bound for name, bound in given.items() if bound is not None}
    return dataclasses.field(default=default, metadata={"bounds": bounds})


def group(kind: type[S], **changes: Any) -> Any:
    """Declares a nested group of settings, with defaults that differ from its own if given."""
    return dataclasses.field(default_factory=lambda: kind(**changes))


def describe_bounds(field: dataclasses.Field) -> str:
    """``">= 0, < 1"``, or an empty string for a field without bounds."""
    bounds = field.metadata.get("bounds", {})
    return ", ".join(f"{_BOUNDS[name][1]} {bound}" for name, bound in bounds.items())


@dataclass(frozen=True)
class Settings:
    """Base of every group of settings. Checks bounds and choices of its fields when it is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for name, bound in field.metadata.get("bounds", {}).items():
                holds, sign = _BOUNDS[name]
                if not (math.isfinite(value) and holds(value, bound)):
                    raise UserError(f"{field.name} must be {sign} {bound}, got {value}")
        kind: Any = type(self)
        for name, choices in _choices(kind).items():
            if getattr(self, name) not in choices:
                shown = ", ".join(map(str, choices))
                raise UserError(f"{name} must be one of {shown}, got {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain nested dictionaries, as YAML and JSON hold it."""
        return dataclasses.asdict(self)

    def flat(self) -> dict[str, Any]:
        """``{"model.units": 64, ...}``: the dotted names of the command line."""
        return dict(flattened(self.to_dict()))


@cache
def _choices(kind: Any) -> dict[str, tuple[Any, ...]]:
    """The fields of a group that take one of some values."""
    hints = get_type_hints(kind)
    return {n: get_args(hint) for n, hint in hints.items() if get_origin(hint) is Literal}


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dictionaries by dotted name."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """``["model.units: 64 -> 128", ...]`` between two nested dictionaries of settings."""
    before, after = dict(flattened(old)), dict(flattened(new))
    names = [*before, *(name for name in after if name not in before)]
    missing = "(not set)"
    return [
        f"{name}: {before.get(name, missing)} -> {after.get(name, missing)}"
        for name in names
        if before.get(name, missing) != after.get(name, missing)
    ]


def replace(settings: S, changes: Mapping[str, Any]) -> S:
    """A copy with dotted settings changed: ``replace(config, {"model.units": 128})``.

    Raises:
        UserError: for a name that is not a setting.
    """
    nested: dict[str, dict[str, Any]] = {}
    plain: dict[str, Any] = {}
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        if head not in {field.name for field in dataclasses.fields(settings)}:
            raise UserError(f"unknown setting {name!r}")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            plain[head] = value
    for head, inner in nested.items():
        plain[head] = replace(getattr(settings, head), inner)
    return dataclasses.replace(settings, **plain)


def from_dict(kind: type[S], tree: Mapping[str, Any]) -> S:
    """Settings from nested dictionaries that :meth:`Settings.to_dict` made.

    Raises:
        UserError: if a name is not a setting or a setting is missing.
    """
    hints = get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    if names != set(tree):
        odd = ", ".join(sorted(names ^ set(tree)))
        raise UserError(f"the settings were written by another version of kerasseq: {odd}")
    values = {
        name: from_dict(hints[name], value) if isinstance(value, Mapping) else value
        for name, value in tree.items()
    }
    return kind(**values)
