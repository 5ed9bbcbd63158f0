"""Examples that are in memory already: lists, columns, a table, or a ``tf.data.Dataset``.

What is given becomes rows, one by one, each with its place for messages. What a row means is the
task's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from kerasseq.data.corpus import WHOLE, Corpus, ordered
from kerasseq.data.fields import kind_of
from kerasseq.data.folders import split_of
from kerasseq.errors import UserError

E = TypeVar("E")

MEMORY = "memory"
"""What a run records as its data, where it was given as an object."""


class Row(NamedTuple):
    """One example as it was given.

    Attributes:
        where: its place: ``data['train'], row 3``.
        split: that it is of.
        values: one for each column that the task asks for.
    """

    where: str
    split: str
    values: tuple[Any, ...]


def is_named(data: Any) -> bool:
    """Whether data is the name of a source. A string with a line end in it is a text."""
    return isinstance(data, Path) or (isinstance(data, str) and "\n" not in data)


def splits_of(data: Any, columns: Sequence[str]) -> dict[str, Iterator[Row]]:
    """The rows of data in memory, by split; one source without splits is the split ``all``.

    >>> splits = splits_of([("good", "yes"), ("bad", "no")], ["text", "label"])
    >>> next(splits["all"])
    Row(where='data, row 1', split='all', values=('good', 'yes'))

    Args:
        data: rows, as a list (or any iterable) of tuples or of mappings by column; a tuple of
            columns, each a list; a mapping or a table (``pandas.DataFrame``) of columns; a
            ``tf.data.Dataset`` whose elements are such rows; or a mapping from the names of splits
            to any of these.
        columns: that the task reads, in order.

    Raises:
        UserError: if it is none of these, or a split is there twice, or a column is missing. Rows
            are checked as they are read.
    """
    if isinstance(data, Mapping) and not data:
        raise UserError(f"data is empty: expected splits, or the columns {', '.join(columns)}")
    if isinstance(data, Mapping) and not set(data) & set(columns):
        splits: dict[str, Iterator[Row]] = {}
        for name, part in data.items():
            split = split_of(name) if isinstance(name, str) else None
            if split is None:
                raise UserError(
                    f"data: the key {name!r} is neither a split (train, validation, test) nor a "
                    f"column ({', '.join(columns)})"
                )
            if split in splits:
                raise UserError(f"data: two keys are the {split} split, {name!r} is one of them")
            splits[split] = _rows(part, columns, f"data[{name!r}]", split)
        return ordered(splits)
    return {WHOLE: _rows(data, columns, "data", WHOLE)}


def corpus_of(data: Any, columns: Sequence[str], example: Callable[[Row], E]) -> Corpus[E]:
    """Data in memory as a corpus.

    Args:
        data, columns: as of :func:`splits_of`.
        example: what a row means.
    """
    splits = {
        name: [example(row) for row in rows] for name, rows in splits_of(data, columns).items()
    }
    for name, part in splits.items():
        if not part:
            raise UserError("data has no rows" + ("" if name == WHOLE else f" in its {name} split"))
    return Corpus(MEMORY, splits)


def _rows(data: Any, columns: Sequence[str], where: str, split: str) -> Iterator[Row]:
    """The rows of one split."""
    found = _given(data, columns, where)
    return (Row(place, split, values) for place, values in found)


Given = Iterator[tuple[str, tuple[Any, ...]]]


def _given(data: Any, columns: Sequence[str], where: str) -> Given:
    if hasattr(data, "as_numpy_iterator"):
        _check_unbatched(data, where)
        return _from_rows(map(_decoded, data.as_numpy_iterator()), columns, where)
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):
        _check_columns(list(data.columns), columns, where)
        return _from_columns([data[column] for column in columns], columns, where)
    if isinstance(data, Mapping):
        _check_columns(list(data), columns, where)
        return _from_columns([data[column] for column in columns], columns, where)
    if isinstance(data, tuple) and len(columns) > 1:
        if len(data) != len(columns):
            raise UserError(
                f"{where}: a tuple holds the columns {', '.join(columns)}, got {len(data)} items; "
                "give rows as a list"
            )
        return _from_columns(data, columns, where)
    if isinstance(data, str) and len(columns) == 1:
        return _from_rows(data.splitlines(keepends=True), columns, where)
    if isinstance(data, set | frozenset):
        raise UserError(
            f"{where}: a set has no order, and a run is of data in an order: give a list"
        )
    if isinstance(data, Iterable) and not isinstance(data, str | bytes):
        return _from_rows(data, columns, where)
    raise UserError(
        f"{where}: expected rows, columns, a table or splits of them, got {kind_of(data)}"
    )


def _check_columns(found: Sequence[Any], columns: Sequence[str], where: str) -> None:
    for column in columns:
        if column not in found:
            raise UserError(f"{where}: no column {column!r}; it has {', '.join(map(repr, found))}")
        if found.count(column) > 1:
            raise UserError(f"{where}: {found.count(column)} columns are {column!r}: keep one")


def _check_unbatched(data: Any, where: str) -> None:
    """Raises:
    UserError: if the elements of a ``tf.data.Dataset`` are batches of texts.
    """
    spec = getattr(data, "element_spec", None)  # of a tf.data.Dataset, but not of its likes
    parts = list(spec.values()) if isinstance(spec, Mapping) else spec
    first = parts[0] if isinstance(parts, tuple | list) else parts
    labels = parts[-1] if isinstance(parts, tuple | list) else parts
    ranks = [getattr(part, "shape", None) for part in (first, labels)]
    if all(shape is not None and shape.rank == 1 and shape[0] is None for shape in ranks) and (
        getattr(labels, "dtype", None) != "string"
    ):
        raise UserError(f"{where}: the dataset is batched: give dataset.unbatch()")


def _from_columns(given: Sequence[Iterable[Any]], columns: Sequence[str], where: str) -> Given:
    end = object()
    for name, column in zip(columns, given, strict=True):
        if isinstance(column, str | bytes) or not isinstance(column, Iterable):
            raise UserError(f"{where}: {name} is {kind_of(column)}, expected a column of values")
    iterators = [iter(column) for column in given]
    number = 0
    while True:
        values = tuple(next(iterator, end) for iterator in iterators)
        ended = [name for name, v in zip(columns, values, strict=True) if v is end]
        if len(ended) == len(columns):
            return
        if ended:
            raise UserError(
                f"{where}: {' and '.join(ended)} ends after {number:,} rows, the other column "
                "goes on"
            )
        number += 1
        yield f"{where}, row {number:,}", values


def _from_rows(rows: Iterable[Any], columns: Sequence[str], where: str) -> Given:
    for number, row in enumerate(rows, start=1):
        place = f"{where}, row {number:,}"
        row = row.tolist() if hasattr(row, "tolist") else row
        if len(columns) == 1 and not isinstance(row, Mapping | tuple):
            yield place, (row,)
            continue
        if isinstance(row, Mapping):
            _check_columns(list(row), columns, place)
            yield place, tuple(row[column] for column in columns)
            continue
        if isinstance(row, str | bytes) or not isinstance(row, Sequence):
            raise UserError(
                f"{place}: expected {len(columns)} values ({', '.join(columns)}), got "
                f"{kind_of(row)}"
            )
        if len(row) != len(columns):
            raise UserError(
                f"{place}: expected {len(columns)} values ({', '.join(columns)}), got {len(row)}"
            )
        yield place, tuple(row)


def _decoded(value: Any) -> Any:
    """Values of TensorFlow as Python's: its strings are bytes."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"data: {kind_of(value)} is no UTF-8") from None
    if isinstance(value, Mapping):
        return {name: _decoded(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return tuple(map(_decoded, value))
    return _decoded(value.tolist()) if hasattr(value, "tolist") else value
