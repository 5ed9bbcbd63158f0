"""A small made-up language, and a run trained on it, through the command line as a user would."""

import contextlib
import functools
import gzip
import io
import json
import random
import shutil

import keras
import pytest

import kerasseq.tasks.translation.data
import kerasseq.tasks.translation.serving
import kerasseq.tasks.translation.verbs
from kerasseq.app import cli
from kerasseq.export import serving
from kerasseq.tasks.translation.task import Translation
from tests.tasks import conftest
from tests.tasks.conftest import load_once, really_clean

TASK = Translation()
call = functools.partial(conftest.call, task=TASK)

# XLA compiles for each size of a batch, which takes longer than these trainings
SMALL = [
    "--text.level=word", "--model.cell=lstm", "--text.min_count=5", "--text.max_length=10",
    "--model.embedding=32",
    "--model.units=64", "--model.encoder_units=32", "--model.input_dropout=0",
    "--model.encoder_dropout=0", "--model.decoder_dropout=0", "--model.input_feeding=false",
    "--batches.tokens=1000", "--label_smoothing=0", "--training.learning_rate=1e-2",
    "--training.average=0.95", "--training.epochs=3", "--beam.size=3", "--device.xla=off",
]  # fmt: skip
QUICK = [*SMALL, "--training.epochs=1", "--only-train"]
FILES = ["--source", "en", "--target", "xx"]
WORDS = ["the", "a", "cat", "dog", "bird", "fish", "sees", "hears", "likes", "eats", "red", "big",
         "old", "two", "now", "here"]  # fmt: skip
SENTENCE, MEANING = "the red cat sees a dog.", "dog a sees cat red the."


def sentence(draw):
    """Words in any order, so that nothing but the source tells the next one, and the same the other
    way round; some are names that are in no other sentence."""
    words = [
        draw.choice(WORDS)
        if draw.random() > 0.06
        else "".join(draw.choices("bdgklmnprst", k=6)).capitalize()
        for _ in range(draw.randint(1, 8))
    ]
    return " ".join(words) + ".", " ".join(words[::-1]) + "."


def pairs(count, seed):
    draw = random.Random(seed)
    return [sentence(draw) for _ in range(count)]


def write_pairs(stem, made, languages=("en", "xx")):
    """Two files, a sentence a line."""
    for column, language in enumerate(languages):
        path = stem.with_name(f"{stem.name}.{language}")
        path.write_text("".join(f"{pair[column]}\n" for pair in made), encoding="utf-8")


def write_files(folder, train=7000, held_out=60):
    folder.mkdir(exist_ok=True)
    for number, (split, count) in enumerate(
        {"train": train, "valid": held_out, "test": held_out}.items()
    ):
        write_pairs(folder / split, pairs(count, number))
    return folder


def write_table(path, made):
    lines = "".join("\t".join(row) + "\n" for row in made)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as stream:
        stream.write(lines)
    return path


@pytest.fixture(scope="session")
def files(once):
    folder, _ = once("translation-files", lambda folder: write_files(folder) and None)
    return folder


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "pairs.tsv", pairs(150, 5))


@contextlib.contextmanager
def verified_with_less():
    """To be quick an export is verified with fewer texts, and not with one of 10,000 words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kerasseq.tasks.translation.data, "SAMPLES", 4)
        patch.setattr(serving, "EDGE_CASES", serving.EDGE_CASES[:2])
        patch.setattr(kerasseq.tasks.translation.serving, "EDGE_CASES", serving.EDGE_CASES)
        yield


@pytest.fixture(scope="session")
def trained(once, files, tmp_path_factory):
    """A finished run, its export, and what ``train`` printed; a copy, which may be written to.

    The export is proved as it is for a user: in a really clean process, with all texts.
    """

    def make(folder):
        where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
        where += ["--name", "translation"]
        with really_clean():
            return call("train", "--data", files, *FILES, *where, *SMALL)

    folder, printed = once("translation", make)
    mine = tmp_path_factory.mktemp("translation") / "trained"
    return shutil.copytree(folder, mine), printed


@pytest.fixture
def loaded_once(monkeypatch):
    """Runs and exports are loaded once, which else would take most of the time spent here."""
    load_once(monkeypatch, kerasseq.tasks.translation.verbs)
    yield
    keras.mixed_precision.set_dtype_policy("float32")


def run_of(made):
    (run,) = made[0].glob("run*")
    return ["--run", run]


def export_of(made):
    return ["--saved-model", made[0] / "saved_models/translation/1"]


def rows(*words):
    """The JSON objects that a verb prints."""
    return [json.loads(line) for line in call(*words, "--json").splitlines()]


def call_with_warnings(*words):
    """What a verb that succeeds prints, and what it says on standard error."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        assert cli.run(TASK, list(map(str, words))) == 0, errors.getvalue()
    return out.getvalue(), errors.getvalue()


def report_of(run, name="test"):
    return json.loads((run / f"evaluation/{name}.json").read_text())


def assert_same(ours, theirs):
    """Texts and tokens equal, scores nearly."""
    assert len(ours) == len(theirs)
    for mine, its in zip(ours, theirs, strict=True):
        assert mine["text"] == its["text"]
        assert mine.get("source_tokens") == its.get("source_tokens")
        for one, other in zip(mine["translations"], its["translations"], strict=True):
            assert (one["text"], one["tokens"]) == (other["text"], other["tokens"])
            assert one.get("alignment") == other.get("alignment")
            for name in ("score", "log_prob"):
                assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-4)
