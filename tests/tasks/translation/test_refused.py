"""What a user gets wrong is one line."""

import shutil

import pytest

from tests.tasks.translation.conftest import (
    FILES,
    QUICK,
    call,
    write_files,
)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("few"), train=40)


def changed(files, tmp_path, name, content):
    """A copy of the data in which a file is another."""
    folder = shutil.copytree(files, tmp_path / "files")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "messages"),
    [
        ("valid.xx", b"la kat.\nun hun.\n",
         ["valid.en has 60 lines, but ", "valid.xx has 2: nothing matches valid.en:3 ("]),
        ("test.en", b"the cat.\n" * 61,
         ["test.en has 61 lines, but ", "test.xx has 60: nothing matches test.en:61 (the cat.)"]),
        ("test.xx", b"\n" * 60, ["test.xx:1: an empty sentence in the test split"]),
        ("train.en", b"\n" * 40, ["nothing is left after cleaning (40 pairs left out: a"]),
        ("train.en", "naïf\n".encode("latin-1") * 40,
         ["train.en", "is not utf-8", "--encoding"]),
        ("train.xx", None, ["train.en has no train.xx beside it"]),
        ("train.xx", b"", ["has 40 lines, but ", "has 0"]),
    ],
    ids=["shorter", "longer", "empty side", "empty train", "encoding", "missing", "no lines"],
)  # fmt: skip
def test_bad_files_are_one_line(few, tmp_path, name, content, messages):
    folder = changed(few, tmp_path, name, content)
    line = call("train", "--data", folder, *FILES, "--run", tmp_path / "run", *QUICK, status=2)
    for message in messages:
        assert message in line


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"a\tb\nthe cat\n", [], "pairs.tsv:2: no sentence in column 2 of 1"),
        (b"a\tb\nthe cat\t \n", [], "pairs.tsv:2: no sentence in column 2 of 2"),
        (b"a\tb\n", ["--source=1", "--target=3"], "pairs.tsv:1: no sentence in column 3 of 2"),
        (b"a\tb\n", ["--source=2", "--target=2"], "2 cannot be both --source and --target"),
        (b"a\tb\n", ["--source=en"], "--source and --target are both needed; it has 'a', 'b'"),
        (b"", [], "pairs.tsv is empty"),
        (b"a\tb\n", [], "no pair is left for the"),
        ("a\tn\u00e4\n".encode("latin-1"), [], "pairs.tsv"),
        (b"a b c\td e f\n" * 9, ["--text.max_words=2"], "nothing is left after cleaning"),
        (b"".join(b"a%d b c\td%d e f\n" % (i, i) for i in range(60)),
         ["--text.max_length=2"], "no training pair has at most 2 tokens"),
    ],
)  # fmt: skip
def test_bad_tables_are_one_line(tmp_path, content, options, message):
    (tmp_path / "pairs.tsv").write_bytes(content)
    words = ["--data", tmp_path / "pairs.tsv", "--run", tmp_path / "run", *QUICK, *options]
    assert message in call("train", *words, status=2)
    assert not (tmp_path / "run/model.keras").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.attention=bahdanau"], "bahdanau"),
        (["--model.attend=during"], "during"),
        (["--beam.size=0"], "beam.size"),
        (["--beam.length_penalty=-1"], "beam.length_penalty"),
        (["--text.joint=false"], "model.tie three needs one vocabulary"),
        (["--model.attention=dot", "--model.units=20"], "needs units = 2 * encoder_units, got 20"),
        (["--label_smoothing=1"], "label_smoothing"),
        (["--scheduled_sampling=1"], "scheduled_sampling"),
        (["--source=en", "--target=en"], "en cannot be both --source and --target"),
        (["--source=de"], "has no files of the language 'de': choose two of en, xx"),
        (["--source="], "has several languages: choose two of en, xx"),
        (["--data=nowhere"], "nowhere does not exist"),
        (["--training.monitor=accuracy"], "no metric 'accuracy'"),
    ],
)
def test_bad_settings_are_one_line(few, tmp_path, options, message):
    words = ["--data", few, *FILES, "--run", tmp_path / "run", *QUICK, *options]
    assert message in call("train", *words, status=2)
