"""The embedded corpus: the texts of film reviews."""

from __future__ import annotations

import numpy as np

from kerasseq.data.corpus import WHOLE, Corpus
from kerasseq.data.packaged import imdb_reviews


def review_texts() -> Corpus[str]:
    """The texts of :func:`imdb_reviews`, one review a line, as one split.

    Line breaks (``<br />``) and runs of white space become one blank, and repeated reviews go. The
    package has the negative reviews before the positive ones, so they are shuffled, by the fixed
    seed 1: a cut by position is a random choice of reviews then.
    """
    corpus = imdb_reviews()
    texts = [review.text for review in corpus.splits[WHOLE]]
    distinct = list(dict.fromkeys(" ".join(t.replace("<br />", " ").split()) for t in texts))
    order = np.random.default_rng(1).permutation(len(distinct))
    notes = ["one review a line, shuffled by seed 1; <br /> and white space became one blank"]
    if len(distinct) < len(texts):
        notes.append(f"{len(texts) - len(distinct):,} repeated reviews removed")
    return Corpus(corpus.source, {WHOLE: [distinct[i] + "\n" for i in order]}, notes)
