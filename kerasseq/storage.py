"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kerasseq.errors import StorageError


def write_json(path: Path, value: Any) -> None:
    """Writes JSON whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` once it is written and on the disk.

    Raises:
        StorageError: if it cannot be written; what stood at ``path`` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        kept = "; the previous one is intact" if path.exists() else ""
        message = f"{path} could not be written: {error.strerror or error}{kept}"
        raise StorageError(message) from None
    finally:
        temporary.unlink(missing_ok=True)
