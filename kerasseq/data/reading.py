"""Files as text: decoded with their place in every message, also out of ``.gz`` and ``.tar.gz``."""

from __future__ import annotations

import codecs
import functools
import gzip
import io
import itertools
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Concatenate, ParamSpec, TypeVar

from kerasseq.data.notes import Notes
from kerasseq.errors import UserError

T = TypeVar("T")
R = ParamSpec("R")

_WIDE_ENCODING = re.compile(r"utf[-_]?(?:16|32)", re.IGNORECASE)
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"} | {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks that say an encoding; the longer ones first."""

_BUFFER = 1 << 16
"""Bytes that are looked at before reading."""


def reader(read: Callable[Concatenate[Path, R], T]) -> Callable[Concatenate[Path, R], T]:
    """Makes sure that a reader's path is there, and that what cannot be read is said.

    Args:
        read: takes a file or folder, and more.
    """

    @functools.wraps(read)
    def checked(path: Path, *args: R.args, **more: R.kwargs) -> T:
        try:
            if not path.exists():
                raise UserError(f"{path} does not exist")
            return read(path, *args, **more)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error}") from None

    return checked


def decode(content: bytes, encoding: str, where: str) -> str:
    """Decodes text, without a byte order mark.

    Raises:
        UserError: naming the offending byte, or an unknown encoding.
    """
    if encoding.lower() in ("utf-8", "utf8"):
        encoding = next(
            (name for mark, name in _MARKS.items() if content.startswith(mark)), encoding
        )
    return _decode(content, encoding, where).removeprefix("\ufeff")


def _decode(content: bytes, encoding: str, where: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where} is not {encoding}: byte 0x{content[error.start]:02x} at offset "
            f"{error.start}; if it is in another encoding, give it with --encoding"
        ) from None
    except LookupError:
        raise UserError(f"unknown encoding {encoding!r}") from None


@contextmanager
def open_lines(path: Path) -> Iterator[io.BufferedReader]:
    """Opens a plain or gzip-compressed file for reading bytes, line by line."""
    packed = path.suffix.lower() == ".gz"
    with gzip.open(path, "rb") if packed else path.open("rb", buffering=_BUFFER) as stream:
        try:
            yield stream  # type: ignore[misc]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path} is damaged or truncated: {error}") from None


def decoded_lines(lines: Iterable[bytes], encoding: str, where: str) -> Iterator[str]:
    """Decodes line by line, without line ends, so that an error names the line.

    Args:
        lines: as a binary file gives them.
        encoding: of the text.
        where: name of the source, for messages.

    Raises:
        UserError: if a line is not in the encoding.
    """
    for line in _decoded(lines, encoding, where):
        yield line.rstrip("\r\n")


def _decoded(lines: Iterable[bytes], encoding: str, where: str) -> Iterator[str]:
    """The same with line ends."""
    if _WIDE_ENCODING.match(encoding):  # a line end is more than one byte there
        yield from _decoded_wide(lines, encoding, where)
        return
    for number, line in enumerate(lines, start=1):
        text = _decode(line, encoding, f"{where}:{number}")
        yield text.removeprefix("\ufeff") if number == 1 else text


def _decoded_wide(lines: Iterable[bytes], encoding: str, where: str) -> Iterator[str]:
    """Lines of an encoding in which a line end is more than one byte."""
    rest, read = "", 0
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        for chunk in itertools.chain(lines, [b""]):
            *ended, rest = (rest + decoder.decode(chunk, final=not chunk)).split("\n")
            for line in ended:
                yield f"{line}\n" if read else f"{line}\n".removeprefix("\ufeff")
                read += 1
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}:{read + 1} is not {encoding}: {error.reason}; if it is in another encoding, "
            "give it with --encoding"
        ) from None
    except LookupError:
        raise UserError(f"unknown encoding {encoding!r}") from None
    if rest:
        yield rest if read else rest.removeprefix("\ufeff")


def text_lines(path: Path, encoding: str, notes: Notes | None = None) -> Iterator[str]:
    """The lines of a text file (``.gz`` too), without line ends, one by one.

    Args:
        path, encoding, notes: as of :func:`ended_lines`.
    """
    for line in ended_lines(path, encoding, notes):
        yield line.rstrip("\r\n")


def ended_lines(path: Path, encoding: str, notes: Notes | None = None) -> Iterator[str]:
    """The lines of a text file (``.gz`` too) with their ends, one by one, as they are.

    A byte order mark of UTF-16 or UTF-32 says the encoding, where UTF-8 was expected. Where lines
    end with a carriage return alone, as old spreadsheets write them, it becomes a line feed.

    Args:
        path: of the file.
        encoding: if no mark says another.
        notes: gets what was found out.

    Raises:
        UserError: if it is damaged, or not in the encoding.
    """
    notes = notes or Notes()
    with open_lines(path) as stream:
        head = stream.peek(_BUFFER)
        marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
        if marked and encoding.lower() in ("utf-8", "utf8"):  # another one was asked for
            notes.say(f"{path.name}: read as {marked}, by its byte order mark")
            encoding = marked
        chunks: Iterable[bytes] = stream
        if b"\n" not in head and b"\r" in head[:-1] and not _WIDE_ENCODING.match(encoding):
            notes.say(f"{path.name}: lines end with a carriage return alone")
            chunks = _lines_by_return(stream)
        yield from _decoded(chunks, encoding, str(path))


def _lines_by_return(stream: io.BufferedReader) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_BUFFER):
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\n", b"\r").split(b"\r")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def open_bytes(path: Path) -> bytes:
    """The content of a plain or gzip-compressed file."""
    with open_lines(path) as stream:
        return stream.read()


def archive_files(
    path: Path, wanted: Callable[[PurePosixPath], bool]
) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files of a ``.tar.gz`` with their content, as a stream; nothing is unpacked.

    Args:
        path: the archive.
        wanted: whether a file of that name is given.

    Raises:
        UserError: if a name leads out of the archive, or it is damaged.
    """
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise UserError(f"{path}: unsafe path {member.name!r} inside the archive")
                content = archive.extractfile(member) if member.isfile() else None
                if content and wanted(name):
                    yield name, content.read()
            # tarfile takes a cut or damaged header for the end; gzip's checksum tells
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise UserError(f"{path} is damaged or truncated: {error}") from None
