import gzip
import io
import json
import tarfile
from collections import Counter

import pytest

from kerasseq.data.examples import LabelledText
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.reading import Columns, read_path

ROWS = [('a fine, "odd" film\nover two lines', "pos"), ("ßad", "neg"), ("so so", "meh")]


def read(path, text="text", label="label", encoding="utf-8"):
    return read_path(path, Columns(text, label), encoding)


def write(path, content, compress=False):
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if compress else content)
    return path


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_tables_with_any_number_of_classes(tmp_path, kind, compress):
    rows = [(t.replace("\n", " "), label) for t, label in ROWS] if kind == "tsv" else ROWS
    if kind == "csv":
        text = "label,text\n" + "".join(
            '{},"{}"\n'.format(label, text.replace('"', '""')) for text, label in rows
        )
    elif kind == "tsv":
        text = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)
    else:
        text = "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows)
    path = write(tmp_path / f"rows.{kind}{'.gz' * compress}", "\ufeff" + text, compress)
    assert read(path).splits["all"] == rows


def test_folder_of_tables_keeps_its_splits(tmp_path):
    for name in ("train", "dev", "test"):
        write(tmp_path / f"{name}.csv", f"text,label\n{name},x\n")
    for other in ("my test notes.csv", "LICENSE", ".hidden.csv"):
        write(tmp_path / other, "of,another,layout\n")
    (tmp_path / "more").mkdir()
    corpus = read(tmp_path)
    assert corpus.splits == {
        "train": [("train", "x")],
        "validation": [("dev", "x")],
        "test": [("test", "x")],
    }
    assert corpus.notes == [
        "not used, no table of a split: LICENSE, my test notes.csv",
        "not used, folders: more",
        "not used, hidden: .hidden.csv",
    ]
    write(tmp_path / "train_old.csv", "text,label\na,x\n")
    with pytest.raises(
        UserError, match=r"both train\.csv and train_old\.csv could be the train split"
    ):
        read(tmp_path)


def test_a_test_set_alone_is_read(tmp_path):
    write(tmp_path / "test.csv", "text,label\na,x\n")
    assert list(read(tmp_path).splits) == ["test"]


def test_a_broken_link_is_no_missing_split(tmp_path):
    write(tmp_path / "train.csv", "text,label\na,x\n")
    (tmp_path / "test.csv").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path)


def test_a_text_of_10_mb_is_read(tmp_path):
    path = write(tmp_path / "big.csv", f"text,label\n{'word ' * 2_000_000},x\nb,y\n")
    assert len(read(path).splits["all"][0].text) == 10_000_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", " \n", "is empty"),
        ("a.csv", "text,label\n", "has a header but no rows"),
        ("a.csv", "review,label\nx,y\n", "no column 'text'; it has 'review', 'label'"),
        ("a.csv", "text,label\nok,x\nshort\n", "a.csv:3: 1 field, but the header has 2"),
        (
            "a.csv",
            "text,label\nfine,x\nodd, \n",
            "a.csv:3: label is str ' ', expected the name of a class",
        ),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}\n', "a.jsonl:1: not JSON"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1: not JSON"),
        ("a.csv", 'text,label\n"open,x\n', "a.csv:2: unexpected end"),
        ("a.csv", b"text,label\ncaf\xe9,x\n", "a.csv:2 is not utf-8: byte 0xe9 at offset 3"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{oops\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: expected a JSON object"),
        ("a.txt", "hello", "neither a .tar.gz of class folders"),
        ("a.csv.gz", b"not gzip", "damaged or truncated"),
        ("a.tar.gz", b"\x1f\x8b\x08\x00garbage", "damaged or truncated"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, message):
    with pytest.raises(UserError, match=r".") as caught:
        read(write(tmp_path / name, content))
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_missing_paths_and_columns(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="neither folders of classes"):
        read(tmp_path)
    path = write(tmp_path / "a.csv", "body,stars\nfine,5\n".encode("utf-16"))
    for encoding in ("utf-16", "utf-8"):  # its byte order mark says it
        found = read(path, text="body", label="stars", encoding=encoding)
        assert found.splits["all"] == [LabelledText("fine", "5")]
    with pytest.raises(UserError, match="unknown encoding 'klingon'"):
        read(path, encoding="klingon")


def test_every_folder_is_a_class(tmp_path):
    for split in ("Train", "test"):
        for label in ("neg", "neutral", "pos"):
            for number in range(2):
                write_in(tmp_path / split / label / f"{number}_5.txt", f"{split} {label} {number}")
    for extra in ("notes.md", "Train/list.csv", "Train/neg/.hidden.txt", "test/pos/a.json",
                  "extra/a.txt", "Train/unsup/1_0.txt"):  # fmt: skip
        write_in(tmp_path / extra, "x")
    corpus = read(tmp_path)
    assert list(corpus.splits) == ["train", "test"]
    for part in corpus.splits.values():
        assert Counter(label for _, label in part) == {"neg": 2, "neutral": 2, "pos": 2}
    assert corpus.notes == [
        "not used, no split by their names: notes.md",
        "not used, folders: extra",
        "Train/: not used, beside the folders of classes: list.csv",
        "Train/neg/: not used, hidden: .hidden.txt",
        "test/pos/: not used, no .txt: a.json",
        "not used, without a label: 1 texts in unsup/",
    ]
    with tarfile.open(tmp_path.parent / "classes.tar.gz", "w:gz") as archive:
        archive.add(tmp_path, "classes")
    streamed = read(tmp_path.parent / "classes.tar.gz")
    assert {k: sorted(v) for k, v in streamed.splits.items()} == corpus.splits
    write_in(tmp_path / "test_2" / "neg" / "1.txt", "x")
    with pytest.raises(UserError, match="both test/ and test_2/ could be the test split"):
        read(tmp_path)


def test_folders_of_classes_without_splits_are_cut(tmp_path):
    for label in ("ham", "spam"):
        write_in(tmp_path / label / "1.txt", f"a {label}")
    write_in(tmp_path / "readme", "x")
    corpus = read(tmp_path)
    assert corpus.splits == {"all": [("a ham", "ham"), ("a spam", "spam")]}
    assert corpus.notes == ["not used, no split by their names: readme"]


def write_in(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, content)


def acl_archive(path, extra=()):
    names = [
        f"aclImdb/{split}/{label}/{i}_{rating}.txt"
        for split in ("train", "test")
        for label, rating in (("pos", 9), ("neg", 2))
        for i in range(3)
    ]
    with tarfile.open(path, "w:gz") as archive:
        for name in [*names, "aclImdb/README", "aclImdb/train/unsup/0_0.txt", *extra]:
            content = f"text of {name} <br />".encode() * 50
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_acl_imdb_archive_and_folder_agree(tmp_path):
    path = acl_archive(tmp_path / "acl.tar.gz")
    before = set(tmp_path.iterdir())
    streamed = read(path)
    assert set(tmp_path.iterdir()) == before  # nothing is unpacked
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = read(tmp_path / "aclImdb")
    for split in ("train", "test"):
        assert len(streamed.splits[split]) == 6
        pairs = [sorted(c.splits[split]) for c in (streamed, unpacked)]
        assert pairs[0] == pairs[1]
        assert {label for _, label in pairs[0]} == {"positive", "negative"}


def test_an_archive_cut_anywhere_is_refused(tmp_path):
    content = acl_archive(tmp_path / "acl.tar.gz").read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for size in range(1, len(content), 7):
        cut.write_bytes(content[:size])
        with pytest.raises(UserError, match="damaged or truncated"):
            read(cut)


def test_an_archive_with_a_flipped_bit_is_refused(tmp_path):
    content = acl_archive(tmp_path / "acl.tar.gz").read_bytes()
    damaged = tmp_path / "damaged.tar.gz"
    # from behind the gzip header, whose name and time fields mean nothing
    for position in range(24, len(content), 5):
        damaged.write_bytes(
            content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]
        )
        with pytest.raises(UserError):
            read(damaged)


@pytest.mark.parametrize("name", ["../../etc/train/pos/1_9.txt", "/train/pos/1_9.txt"])
def test_paths_that_climb_out_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="unsafe path"):
        read(acl_archive(tmp_path / "acl.tar.gz", [name]))


def test_archive_without_reviews(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    with pytest.raises(UserError, match=r"no \.txt file in train/CLASS/"):
        read(tmp_path / "a.tar.gz")


def test_tsv_keeps_quotes(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n" unbalanced\t1\n')
    assert read(path).splits["all"] == [LabelledText('" unbalanced', "1")]
