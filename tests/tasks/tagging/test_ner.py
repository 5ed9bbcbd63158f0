"""Named entities: what differs from tagging, and a small run through the command line."""

import functools
import json
import random

import pytest

import kerasseq.tasks.tagging.verbs
from kerasseq.app.registry import find_task
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.settings import NerSettings, TaggingSettings
from kerasseq.tasks.tagging.task import Ner, PosTagging
from tests.tasks import conftest

TASK = Ner()
call = functools.partial(conftest.call, task=TASK)

# IOB1, as the files of CoNLL-2003 have it: B only where an entity follows one of its kind
CONLL2003 = """-DOCSTART- -X- O O

Anna NNP I-NP I-PER
Berg NNP I-NP I-PER
left VBD I-VP O
Rome NNP I-NP I-LOC
Oslo NNP I-NP B-LOC
. . O O

-DOCSTART- -X- O O

Rain NN I-NP O

"""
TWO_COLUMNS = "".join(
    f"{fields[0]} {fields[-1]}\n" if fields else "\n"
    for fields in map(str.split, CONLL2003.splitlines())
)
WORDS = ["Anna", "Berg", "left", "Rome", "Oslo", "."]
IOB2 = ["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "O"]


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
    conftest.load_once(monkeypatch, kerasseq.tasks.tagging.verbs)


def read(source):
    return TASK.read(NerSettings(data=str(source)), str(source), download=False)


# -- settings and data -----------------------------------------------------------------------------


def test_the_defaults_are_those_of_entities():
    assert isinstance(find_task("ner"), Ner)
    settings, plain = NerSettings().to_dict(), TaggingSettings().to_dict()
    assert settings.pop("data") == ""
    assert settings.pop("column") == "ner"
    assert settings["model"].pop("output") == "crf"
    assert settings["training"].pop("monitor") == "f1"
    assert TASK.goals["f1"] == "max"
    # all else is as in tagging
    for name in ("data", "column"):
        plain.pop(name)
    plain["model"].pop("output")
    plain["training"].pop("monitor")
    assert settings == plain
    space = dict(PosTagging.search_space)
    del space["model.output"]
    assert TASK.search_space == space


@pytest.mark.parametrize(
    ("content", "columns"),
    [(TWO_COLUMNS, {"xpos", "ner"}), (CONLL2003, {"xpos", "chunk", "ner"})],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_files_of_words_and_entities(tmp_path, content, columns, ending):
    path = tmp_path / "a.txt"
    path.write_bytes(content.replace("\n", ending).encode())
    corpus = read(path)
    assert set(corpus.splits) == {"all"}
    first, second = corpus.splits["all"]
    assert (first.words, second.words) == (WORDS, ["Rain"])
    assert set(first.columns) == set(second.columns) == columns
    assert (first.columns["ner"], second.columns["ner"]) == (IOB2, ["O"])
    assert corpus.notes[1:] == ["2 -DOCSTART- lines skipped", "2 IOB1 tags written as IOB2"]


def test_other_columns_stay_as_they_came(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(CONLL2003)
    first, _ = read(path).splits["all"]
    assert first.columns["xpos"] == ["NNP", "NNP", "VBD", "NNP", "NNP", "."]
    assert first.columns["chunk"] == ["I-NP", "I-NP", "I-VP", "I-NP", "I-NP", "O"]


def test_files_without_entities_are_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("The DT B-NP\n")
    with pytest.raises(UserError, match=r"a\.txt has no column 'ner'; it has xpos, chunk"):
        read(path)
    path.write_text("a B C O\nb B C\n")
    with pytest.raises(UserError, match=r"a\.txt:2: 3 columns, but the first token has 4"):
        read(path)


def test_entities_of_tfds(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))

    def labels(*names):
        return tfds.features.Sequence(tfds.features.ClassLabel(names=names))

    tags = ["NNP", "NNP", "VBD", "NNP", "NNP", "."]
    row = {"tokens": WORDS, "pos": tags, "chunks": ["O"] * 6, "ner": IOB2}
    tfds.dataset_builders.AdhocBuilder(
        name="tiny_entities",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "tokens": tfds.features.Sequence(tfds.features.Text()),
                "pos": labels("NNP", "VBD", "."),
                "chunks": labels("O", "B-NP"),
                "ner": labels("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
            }
        ),
        split_datasets={"train": [(0, row)], "dev": [(0, row)]},
        data_dir=tmp_path,
    ).download_and_prepare()
    corpus = read("tfds:tiny_entities")
    assert list(corpus.splits) == ["train", "validation"]
    for part in corpus.splits.values():
        (sentence,) = part
        assert sentence.words == WORDS
        assert sentence.columns == {"xpos": tags, "chunk": ["O"] * 6, "ner": IOB2}


@pytest.mark.parametrize("data", [[], ["--data="], ["--data=embedded"]], ids=str)
def test_without_data_one_line_says_what_to_give(tmp_path, data):
    line = call("train", *data, "--run", tmp_path / "run", status=2)
    assert line.startswith("python -m kerasseq ner: no package has a corpus of named entities: ")
    assert "give --data, a file or folder of WORD TAG or WORD POS CHUNK ENTITY lines" in line
    assert line.endswith("or tfds:conll2003\n")
    assert not (tmp_path / "run").exists()


def test_tags_that_are_no_spans_are_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"a{i} DT\nb{i} NN\n\n" for i in range(40)))
    line = call("train", "--data", path, "--run", tmp_path / "run", status=2)
    assert "f1 is that of spans, and these tags are not IOB" in line


# -- a run -----------------------------------------------------------------------------------------

SMALL = [
    "--model.embedding=16", "--model.character_embedding=8", "--model.character_units=12",
    "--model.affix_embedding=8", "--model.units=12", "--model.layers=1",
    "--model.input_dropout=0.1", "--model.layer_dropout=0", "--model.output_dropout=0",
    "--batches.tokens=60", "--training.learning_rate=0.03", "--training.epochs=3",
    "--training.average=0.9",
]  # fmt: skip
FIRST, LAST = ["Anna", "Ben", "Cleo", "Dov"], ["Berg", "Stein", "Hill", "Wood"]
PLACES = ["Rome", "Oslo", "Lima", "Bonn"]


def sentence(draw):
    """A token a line, its entity told by the word; now and then two places in a row."""
    rows = [(draw.choice(FIRST), "I-PER")]
    rows += [(draw.choice(LAST), "I-PER")] if draw.random() < 0.5 else []
    rows += [(draw.choice(["left", "saw"]), "O"), (draw.choice(PLACES), "I-LOC")]
    rows += [(draw.choice(PLACES), "B-LOC")] if draw.random() < 0.3 else []
    return "".join(f"{word} X O {tag}\n" for word, tag in [*rows, (".", "O")]) + "\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was only trained, and its data."""
    folder = tmp_path_factory.mktemp("ner")
    draw = random.Random(0)
    (folder / "data").mkdir()
    for name, count in [("train", 120), ("valid", 20), ("test", 20)]:
        text = "-DOCSTART- -X- O O\n\n" + "".join(sentence(draw) for _ in range(count))
        (folder / f"data/{name}.txt").write_text(text)
    printed = call("train", "--data", folder / "data", "--run", folder / "run", *SMALL,
                   "--only-train")  # fmt: skip
    assert "IOB1 tags written as IOB2" in printed
    return folder / "run"


def test_entities_are_learned(run):
    training = json.loads((run / "training.json").read_text())
    assert training["validation"]["f1"] > 0.9
    names = ["B-LOC", "B-PER", "I-PER", "O"]
    assert json.loads((run / "tags.json").read_text()) == names
    assert not (run / "evaluation").exists()


def test_entities_are_predicted(run):
    text = "Anna Berg left Rome Oslo ."
    (line,) = call("predict", text, "--run", run, "--json").splitlines()
    row = json.loads(line)
    assert (row["text"], row["tokens"], row["tags"]) == (text, WORDS, IOB2)
    shown = "Anna/B-PER Berg/I-PER left/O Rome/B-LOC Oslo/B-LOC ./O\n"
    assert call("predict", text, "--run", run) == shown
    (line,) = call("tag", text, "--input=tokens", "--output=json", "--run", run).splitlines()
    assert json.loads(line)["tags"] == IOB2
    line = call("tag", text, "--output=conllu", "--run", run, status=2)
    assert "--output conllu has no place for the column 'ner'" in line


def test_entities_are_scored_as_spans(run):
    printed = call("evaluate", "--run", run)
    assert "span F1" in printed
    report = json.loads((run / "evaluation/test.json").read_text())
    assert set(report["spans"]["kinds"]) == {"LOC", "PER"}
    assert report["span_f1"] > 0.9


def test_a_run_of_entities_is_none_of_tagging(run):
    line = conftest.call("predict", "a", "--run", run, task=PosTagging(), status=2)
    assert "is a run of the task 'ner', not 'pos_tagging'" in line
