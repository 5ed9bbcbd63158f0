"""Rows of files whose values have types: JSON lines and arrays, Parquet, Arrow and Feather."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kerasseq.data.folders import suffix
from kerasseq.data.notes import Notes
from kerasseq.data.reading import open_bytes
from kerasseq.errors import UserError

Rows = Iterator[tuple[int, dict[str, Any]]]

HIDDEN = -1
"""What Hugging Face and TFDS write in the place of a class that is not told."""

_BATCH = 4096
"""Rows of a Parquet file that are in memory at a time."""


def json_rows(lines: Iterable[str], path: Path, notes: Notes) -> Rows:
    """The objects of a file, one a line or in one array, each with its line or its place.

    Raises:
        UserError: naming the line, if it is none.
    """
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise UserError(f"{path} is empty")
    if first[1].lstrip().startswith("[") and path.name.lower().removesuffix(".gz").endswith("json"):
        notes.say(f"{path.name}: one array of objects")
        yield from _array(itertools.chain([first], numbered), path)
        return
    for number, line in itertools.chain([first], numbered):
        try:
            row = _loaded(line)
        except (ValueError, RecursionError) as error:
            whole = number == 1 and line.strip() in ("{", "[")
            more = " (expected an object a line, or one array of objects)" if whole else ""
            raise UserError(f"{path}:{number}: not JSON: {error}{more}") from None
        yield number, _checked(row, f"{path}:{number}", line)


def _array(numbered: Iterable[tuple[int, str]], path: Path) -> Rows:
    text = "".join(line for _, line in numbered)
    try:
        rows = _loaded(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not rows:
        raise UserError(f"{path} is empty")
    for number, row in enumerate(rows, start=1):
        yield number, _checked(row, f"{path}: row {number}", str(row))


def _loaded(text: str) -> Any:
    value = json.loads(text, object_pairs_hook=_object)
    json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    return value


def _checked(row: Any, where: str, shown: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected a JSON object, got {shown.strip()[:40]}")
    return row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(k for k, _ in pairs).items() if count > 1)
        raise ValueError(f"two values are called {twice!r}")
    return found


def arrow_rows(path: Path, kind: str) -> Rows:
    """The rows of a file of Arrow's, each with its number.

    Args:
        path: ``.gz`` too, which is read into memory.
        kind: ``.parquet``, or the suffix of an Arrow or Feather file.

    Raises:
        UserError: if it is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    packed = path.suffix.lower() == ".gz"
    source: Any = io.BytesIO(open_bytes(path)) if packed else path
    try:
        if kind == ".parquet":
            batches = parquet.ParquetFile(source).iter_batches(_BATCH)
        else:
            batches = _arrow_batches(source)
        number = itertools.count(1)
        for batch in batches:
            names = batch.schema.names
            if twice := [name for name in names if names.count(name) > 1]:
                raise UserError(f"{path}: two columns are called {twice[0]!r}")
            for row in batch.to_pylist():
                yield next(number), row
    except (pyarrow.ArrowException, ValueError) as error:
        name = "Parquet" if kind == ".parquet" else "Arrow"
        raise UserError(f"{path} cannot be read as {name}: {error}") from None


def class_names(path: Path, column: str) -> list[str]:
    """The names of a column's classes that Hugging Face's datasets writes into Parquet and Arrow
    files; none, if it did not."""
    if suffix(path) not in (".parquet", ".arrow", ".feather"):
        return []
    import pyarrow
    from pyarrow import parquet

    packed = path.suffix.lower() == ".gz"
    try:
        source: Any = io.BytesIO(open_bytes(path)) if packed else pyarrow.memory_map(str(path))
        if suffix(path) == ".parquet":
            schema = parquet.read_schema(source)
        else:
            schema = _arrow_reader(source).schema
    except (pyarrow.ArrowException, ValueError):  # damaged: its rows are refused
        return []
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        feature = features[column]
        feature = feature[0] if isinstance(feature, list) else feature
        names = feature.get("feature", feature)["names"]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return []
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else []


def class_named(value: Any, names: Sequence[str], where: str, column: str) -> Any:
    """A number of a class, or a list of them, by the file's names; other values stay what they are.

    Raises:
        UserError: if a number is no class's.
    """
    if isinstance(value, list):
        return [class_named(one, names, where, column) for one in value]
    if not names or not isinstance(value, int) or isinstance(value, bool):
        return value
    if value == HIDDEN:
        return str(HIDDEN)
    if not 0 <= value < len(names):
        raise UserError(f"{where}: {column} is {value}, expected a number below {len(names)}")
    return names[value]


def _arrow_batches(source: Any) -> Iterator[Any]:
    """The record batches of a file, in either form of Arrow's: file (Feather), or stream."""
    import pyarrow

    opened = source if isinstance(source, io.BytesIO) else pyarrow.memory_map(str(source))
    reader = _arrow_reader(opened)
    if hasattr(reader, "num_record_batches"):
        batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        batches = iter(reader)
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH):
            yield batch.slice(start, _BATCH)


def _arrow_reader(opened: Any) -> Any:
    """A reader of either form of Arrow's: file (Feather), or stream."""
    import pyarrow
    from pyarrow import ipc

    try:
        return ipc.open_file(opened)
    except pyarrow.ArrowInvalid:
        opened.seek(0)
        return ipc.open_stream(opened)
