"""Docstrings of which several classes share a part."""

import re
import textwrap
from collections.abc import Callable
from typing import TypeVar

Class = TypeVar("Class", bound=type)

_PLACE = re.compile(r"^( *)\{(\w+)\}$", re.MULTILINE)


def documented(**shared: str) -> Callable[[Class], Class]:
    """Fill a class's docstring: a line `{name}` becomes the text of that name, indented likewise.

    Args:
        shared: texts by their names.
    """

    def fill(cls: Class) -> Class:
        if cls.__doc__:  # python -OO has none
            cls.__doc__ = _PLACE.sub(
                lambda place: textwrap.indent(shared[place[2]], place[1]), cls.__doc__
            )
        return cls

    return fill
