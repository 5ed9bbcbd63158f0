"""What a tagger refuses, and what it reads nevertheless."""

import json

import pytest

from tests.tasks.tagging.conftest import SMALL, call, run_of

pytestmark = pytest.mark.usefixtures("_loaded_once")


def refused(tmp_path, name, content, *options):
    """The line that ``train`` ends with on a file."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = call("train", "--data", path, "--run", tmp_path / "run", *options, status=2)
    assert not (tmp_path / "run").exists()
    return line.removeprefix(f"python -m kerasseq pos_tagging: {path}")


WORD = "1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conllu", WORD + "2\tb\t_\tX\n", ":2: 4 columns, but CoNLL-U has 10"),
        ("a.conllu", "# text = b a\n" + WORD.replace("1", "2"), ":2: word 2 comes where 1 should"),
        ("a.conllu", WORD + WORD, ":2: word 1 comes where 2 should"),
        ("a.conllu", WORD.replace("X", ""), ":1: column 4 (UPOS) is empty"),
        ("a.txt", "a DT B-NP\nb NN\n", ":2: 2 columns, but the first token has 3"),
        ("a.conllu", "", " has no sentence"),
        ("a.txt", "\n \t\n\n", " has no sentence"),
        ("a.conllu", WORD.encode() + b"\n1\t\xe8\n", ":3 is not utf-8: byte 0xe8"),
    ],
)
def test_bad_data_is_one_line_with_its_place(tmp_path, name, content, message):
    assert refused(tmp_path, name, content).startswith(message)


def test_a_column_that_is_not_there(tmp_path, trained, treebank, chunks):
    message = " has no column 'chunk'; it has upos"
    assert refused(tmp_path, "a.conllu", WORD, "--column=chunk").startswith(message)
    line = call("train", "--data", treebank, "--column=chunk", "--run", tmp_path / "r", status=2)
    assert f"{treebank} has no column 'chunk'; it has upos, xpos" in line
    line = call("evaluate", *run_of(trained), "--on", chunks / "test.txt", status=2)
    assert f"{chunks / 'test.txt'} has no column 'upos'; it has xpos, chunk" in line


def test_a_missing_file_and_an_unknown_encoding(tmp_path, trained):
    missing = tmp_path / "no.conllu"
    for verb in (["train", "--data", missing, "--run", tmp_path / "run"],
                 ["evaluate", *run_of(trained), "--on", missing]):  # fmt: skip
        assert f"{missing} does not exist" in call(*verb, status=2)
    assert "unknown encoding 'utf-9'" in refused(tmp_path, "a.conllu", WORD, "--encoding=utf-9")


def test_a_metric_that_the_data_does_not_have(tmp_path, treebank):
    where = ["--data", treebank, "--run", tmp_path / "run", *SMALL]
    line = call("train", *where, "--training.monitor=f1", status=2)
    assert "training.monitor: f1 is that of spans, and these tags are not IOB" in line
    assert "no metric 'f2'" in call("train", *where, "--training.monitor=f2", status=2)
    assert not (tmp_path / "run").exists()
    (tmp_path / "seen").mkdir()
    for name in ("train", "dev", "test"):
        content = (treebank / "dev.conllu").read_bytes()
        (tmp_path / f"seen/{name}.conllu").write_bytes(content)
    line = call("train", "--data", tmp_path / "seen", "--run", tmp_path / "run", *SMALL,
                "--training.monitor=unseen", status=2)  # fmt: skip
    assert "unseen" in line


def test_unusual_but_valid_files_are_read(trained, treebank, tmp_path):
    """Line ends, a byte order mark, blanks for tabs, and a word of 2,000 characters."""
    long = "a" * 2000
    plain = (treebank / "test.conllu").read_text().replace("\tthe\t", f"\t{long}\t")
    mixed = "".join(
        line.replace("\t", "  ") if i % 3 == 0 and not line.startswith("#") else line
        for i, line in enumerate(plain.splitlines(keepends=True))
    )
    reports = []
    for number, content in enumerate(
        [plain, "\ufeff" + plain, plain.replace("\n", "\r\n"), mixed.replace("\n", " \n")]
    ):
        path = tmp_path / f"{number}.conllu"
        path.write_bytes(content.encode())
        call("evaluate", *run_of(trained), "--on", path)
        (written,) = (trained[0] / "run/evaluation").glob(f"other-*-{number}-conllu-all-*.json")
        reports.append({**json.loads(written.read_text()), "data": None})
    assert reports[0]["tokens"] == 236
    assert reports[0]["confusions"] or reports[0]["accuracy"] == 1
    assert all(report == reports[0] for report in reports[1:])
