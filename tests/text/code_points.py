"""Every code point, for checks that Python and the graph agree on each."""

from collections.abc import Iterator

import pytest

ASSIGNED = 0x40000
"""From here on Unicode has tags and selectors, in plane 14, and what is private."""
SELECTORS = range(0xE0000, 0xE0200)

every_code_point = pytest.mark.parametrize(
    "rest", [False, pytest.param(True, marks=pytest.mark.gate)], ids=["assigned", "rest"]
)
"""The planes that have characters, and of the others each 61st; or all the others."""


def lines(rest: bool, glue: str = "", length: int = 512) -> list[str]:
    """The code points, ``length`` in a line, with ``glue`` between them."""
    if rest:
        codes = list(range(ASSIGNED, 0x110000))
    else:
        codes = [code for code in range(ASSIGNED) if not 0xD800 <= code <= 0xDFFF]
        codes += [*SELECTORS, *range(ASSIGNED, 0x110000, 61), 0x10FFFF]
    return [glue.join(map(chr, codes[i : i + length])) for i in range(0, len(codes), length)]


def parts(lines: list[str], size: int = 600) -> Iterator[list[str]]:
    """As many lines at a time as one call of a graph should get."""
    return (lines[i : i + size] for i in range(0, len(lines), size))
