"""Files as text: decoded with their place in every message, also out of ``.gz`` and ``.tar.gz``."""

from __future__ import annotations

import functools
import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Concatenate, ParamSpec, TypeVar

from kerasseq.errors import UserError

T = TypeVar("T")
R = ParamSpec("R")

_WIDE_ENCODING = re.compile(r"utf[-_]?(?:16|32)", re.IGNORECASE)


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
    try:
        return content.decode(encoding).removeprefix("\ufeff")
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
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
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
    if _WIDE_ENCODING.match(encoding):  # a line end is more than one byte there
        for text in decode(b"".join(lines), encoding, where).removesuffix("\n").split("\n"):
            yield text.removesuffix("\r")
        return
    for number, line in enumerate(lines, start=1):
        yield decode(line, encoding, f"{where}:{number}").rstrip("\r\n")


def text_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file (``.gz`` too), without line ends, one by one."""
    with open_lines(path) as stream:
        yield from decoded_lines(stream, encoding, str(path))


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
