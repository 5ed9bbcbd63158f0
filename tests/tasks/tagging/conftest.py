"""A small made-up language, and a tagger of it, through the command line as a user would."""

import functools
import random
import re
import shutil

import pytest

import kerasseq.tasks.tagging.verbs
from kerasseq.tasks.tagging.task import PosTagging
from tests.tasks import conftest
from tests.tasks.conftest import load_once

TASK = PosTagging()
call = functools.partial(conftest.call, task=TASK)

STEMS = ["bar", "dol", "fim", "gan", "kel", "lum", "mor", "nip", "pas", "rud", "sol", "tev", "wog"]
SUFFIXES = {"NOUN": "ness", "ADJ": "ish", "ADV": "ly", "VERB": "ates"}
EITHER = ["plan", "walk", "dream", "cook", "paint", "guard"]  # NOUN after DET or ADJ, else VERB

SMALL = [
    "--model.embedding=16", "--model.character_embedding=8", "--model.character_units=12",
    "--model.affix_embedding=16", "--model.units=12", "--model.layers=1",
    "--model.input_dropout=0.1", "--model.layer_dropout=0", "--model.output_dropout=0",
    "--words.affix_min_count=2", "--batches.tokens=60", "--training.learning_rate=0.03",
    "--training.epochs=3", "--training.average=0.9", "--training.evaluate_every=1000",
]  # fmt: skip


def sentence(draw):
    """Words with their tags, told by the word, by its suffix, or by the word before it."""

    def made(tag):
        return draw.choice(STEMS) + draw.choice(STEMS) + SUFFIXES[tag], tag

    def phrase():
        rows = [(draw.choice(["the", "a", "every"]), "DET", "B-NP")]
        rows += [(*made("ADJ"), "I-NP")] if draw.random() < 0.5 else []
        noun = (draw.choice(EITHER), "NOUN") if draw.random() < 0.5 else made("NOUN")
        return [*rows, (*noun, "I-NP")]

    verb = (draw.choice(EITHER), "VERB") if draw.random() < 0.5 else made("VERB")
    rows = phrase() if draw.random() < 0.4 else [(draw.choice(["they", "we"]), "PRON", "B-NP")]
    rows += [(*made("ADV"), "B-ADVP")] if draw.random() < 0.4 or rows[-1][1] != "PRON" else []
    rows += [(*verb, "B-VP"), *phrase()]
    rows += phrase() if draw.random() < 0.3 else []
    return [*rows, (draw.choice(".!"), "PUNCT", "O")]


def as_conllu(rows, number):
    """Lines with comments; here and there with a multi-word token and with an empty node."""
    lines = [f"# sent_id = {number}", "# text = " + " ".join(word for word, *_ in rows)]
    for position, (word, tag, _) in enumerate(rows, start=1):
        if number % 3 == 0 and position == 2:
            lines.append(f"2-3\t{word}+\t" + "\t".join("_" * 7) + "\tSpaceAfter=No")
        misc = "Gloss=x" if position == 1 else "_"
        head = 0 if position == 1 else 1
        lines.append(f"{position}\t{word}\t_\t{tag}\t{tag[:2]}\t_\t{head}\tdep\t_\t{misc}")
        if number % 4 == 0 and position == 1:
            lines.append("1.1\tnothing\t_\tX\tX\t_\t_\t_\t1:dep\t_")
    return lines


def as_columns(rows, number):
    return [f"{word} {tag} {chunk}" for word, tag, chunk in rows]


def write_corpus(folder, form, suffix):
    folder.mkdir()
    draw = random.Random(0)
    for name, count in [("train", 110), ("dev", 20), ("test", 30)]:
        blocks = [form(sentence(draw), number) for number in range(count)]
        text = "".join("\n".join(lines) + "\n\n" for lines in blocks)
        (folder / f"{name}{suffix}").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def treebank(once):
    folder, _ = once(
        "treebank", lambda folder: write_corpus(folder / "treebank", as_conllu, ".conllu") and None
    )
    return folder / "treebank"


@pytest.fixture(scope="session")
def chunks(once):
    folder, _ = once(
        "chunks", lambda folder: write_corpus(folder / "chunks", as_columns, ".txt") and None
    )
    return folder / "chunks"


@pytest.fixture(scope="session")
def trained(once, tmp_path_factory, treebank):
    """A finished run, its export, which is proved as it is for a user, and what ``train`` printed;
    a copy of what is made once, since tests write reports into a run."""

    def make(folder):
        where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
        where += ["--name", "pos_tagging"]
        return conftest.spawn("train", "--data", treebank, *where, *SMALL, task=TASK)

    folder, printed = once("pos_tagging", make)
    copy = tmp_path_factory.mktemp("pos_tagging")
    return shutil.copytree(folder, copy, dirs_exist_ok=True), printed


@pytest.fixture
def _loaded_once(monkeypatch):
    """Runs and exports are loaded once, which else would take most of the time spent here."""
    load_once(monkeypatch, kerasseq.tasks.tagging.verbs)


def run_of(trained):
    return ["--run", trained[0] / "run"]


def export_of(trained):
    return ["--saved-model", trained[0] / "saved_models/pos_tagging/1"]


def assert_same(one, other):
    """Equal but for the last digits of numbers."""
    number = re.compile(r"\d+\.\d+(?:e-\d+)?")
    assert number.sub("#", one) == number.sub("#", other)
    ours, theirs = (list(map(float, number.findall(text))) for text in (one, other))
    assert ours == pytest.approx(theirs, abs=2e-4)
