"""What to type where a package is missing that only a part of the suite needs."""

from __future__ import annotations

import re
from importlib import metadata

_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")


def install_extra(name: str) -> str:
    """The command that installs what an extra of kerasseq needs.

    It names the packages themselves, so that it works however kerasseq was installed: from a
    checkout, from a wheel, or from an index.

    Args:
        name: of the extra, as ``pyproject.toml`` has it.
    """
    try:
        required = metadata.requires("kerasseq") or []
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return f"pip install -e '.[{name}]'"
    packages = []
    for line in required:
        package, _, marker = line.partition(";")
        if name in _EXTRA.findall(marker):
            packages.append(f"'{package.strip()}'")
    return f"pip install {' '.join(packages)}"
