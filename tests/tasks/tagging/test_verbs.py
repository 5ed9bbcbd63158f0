"""A tagger of a small made-up language, through the command line as a user would."""

import functools
import gzip
import itertools
import json
import random
import re

import pytest
import tensorflow as tf

import kerasseq.tasks.tagging.verbs
from kerasseq.export import serving
from kerasseq.tasks.tagging import tagger
from kerasseq.tasks.tagging.task import PosTagging
from tests.tasks import conftest
from tests.tasks.conftest import export_elsewhere, given, load_once

TASK = PosTagging()
call = functools.partial(conftest.call, task=TASK)
spawn = functools.partial(conftest.spawn, task=TASK)

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
EVERY_EPOCH = "--training.evaluate_every=0"


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


@pytest.fixture(scope="module")
def treebank(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("data") / "treebank", as_conllu, ".conllu")


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("data") / "chunks", as_columns, ".txt")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, treebank):
    """A finished run, its export, and what ``train`` printed."""
    folder = tmp_path_factory.mktemp("trained")
    where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
    return folder, spawn("train", "--data", treebank, *where, *SMALL)


@pytest.fixture(scope="module")
def chunker(tmp_path_factory, chunks):
    """The same for chunks and a CRF; only the other export is verified with very long texts."""
    folder = tmp_path_factory.mktemp("chunker")
    where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
    crf = ["--column=chunk", "--model.output=crf", "--training.monitor=f1", EVERY_EPOCH]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "EDGE_CASES", serving.EDGE_CASES[:-1])
        patch.setattr(tagger, "AWKWARD_SENTENCES", tagger.AWKWARD_SENTENCES[:-1])
        return folder, call("train", "--data", chunks, *where, *SMALL, *crf)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
    """Runs and exports are loaded once, which else would take most of the time spent here."""
    load_once(monkeypatch, kerasseq.tasks.tagging.verbs)


def run_of(trained):
    return ["--run", trained[0] / "run"]


def export_of(trained):
    return ["--saved-model", trained[0] / "saved_models/pos_tagging/1"]


def rows_of(lines):
    return [line.split("\t") for line in lines if re.match(r"\d+\t", line)]


# -- train, evaluate, predict, export, describe ----------------------------------------------------


def test_train_learns_reports_and_exports(trained):
    folder, printed = trained
    run = folder / "run"
    for name in ("run.json", "settings.yaml", "data.json", "words.txt", "characters.txt",
                 "affixes.txt", "tags.json", "baseline.json", "splitter.json", "samples.json",
                 "metrics.jsonl", "training.json", "model.keras", "curves.png",
                 "evaluation/test.json", "evaluation/test.png"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    for text in ("54 multi-word tokens skipped", "41 empty nodes skipped", "column feats is left",
                 "token accuracy", "baseline", "95 % interval", "examples:", "exported to",
                 "serving_default on", "tag_tokens on"):  # fmt: skip
        assert text in printed
    report = json.loads((run / "evaluation/test.json").read_text())
    assert {"accuracy", "accuracy_95", "accuracy_95_sentences", "unseen", "unseen_accuracy",
            "sentence_accuracy", "baseline", "classes", "confusion", "confusions",
            "unknown_tags"} <= set(report)  # fmt: skip
    assert report["accuracy"] > 0.9 > report["baseline"]["accuracy"]
    assert report["unseen_accuracy"] > 0.9 > report["baseline"]["unseen_accuracy"]
    assert "spans" not in report
    assert set(report["classes"]["NOUN"]) == {"precision", "recall", "f1", "support"}


def test_evaluate_another_split_and_other_data(trained, treebank, tmp_path):
    printed = call("evaluate", *run_of(trained), "--split", "validation")
    assert "validation split:" in printed
    odd = tmp_path / "odd.conllu"
    lines = (treebank / "test.conllu").read_text().replace("\tADV\t", "\tPART\t")
    odd.write_text(lines, encoding="utf-8")
    assert "whose true tag is unknown to the model, counted as wrong: 25 (PART 25)" in (
        printed := call("evaluate", *run_of(trained), "--on", odd)
    )
    assert "PART taken for ADV" in printed
    (path,) = (trained[0] / "run/evaluation").glob("other-*odd-conllu.json")
    assert path.with_suffix(".png").stat().st_size > 0
    report = json.loads(path.read_text())
    assert report["unknown_tags"]["tags"] == {"PART": 25}
    assert report["classes"]["PART"]["recall"] == 0
    own = json.loads((trained[0] / "run/evaluation/test.json").read_text())
    assert report["accuracy"] == pytest.approx(own["accuracy"] - 25 / own["tokens"], abs=1e-4)


TEXT = "we boldly walk a barfimish dream ."
TAGS = ["PRON", "ADV", "VERB", "DET", "ADJ", "NOUN", "PUNCT"]
SHORT, SHORT_TAGS = ["they", "walk", "the", "walk", "."], ["PRON", "VERB", "DET", "NOUN", "PUNCT"]


def test_predict_by_a_run_and_by_an_export(trained):
    texts = [TEXT, "", " ".join(SHORT), "👍"]
    ours, theirs = (
        [json.loads(line) for line in call("predict", *texts, *model, "--json").splitlines()]
        for model in (run_of(trained), export_of(trained))
    )
    assert ours[0]["tokens"] == TEXT.split()
    assert ours[0]["tags"] == TAGS
    assert ours[2]["tags"] == SHORT_TAGS
    assert ours[1] == theirs[1] == {"text": "", "tokens": [], "tags": [], "probabilities": []}
    assert_same(*(json.dumps(rows, sort_keys=True) for rows in (ours, theirs)))
    shown = "they/PRON walk/VERB the/DET walk/NOUN ./PUNCT\n"
    assert [call("predict", texts[2], *m) for m in (run_of(trained), export_of(trained))] == [
        shown, shown
    ]  # fmt: skip


def test_the_savedmodel_serves_raw_bytes_and_words(trained):
    path = trained[0] / "saved_models/pos_tagging/1"
    loaded = tf.saved_model.load(str(path))
    serve, of_words = (loaded.signatures[name] for name in ("serving_default", "tag_tokens"))
    outputs = serve(
        text=tf.constant([b"they walk the walk.", b"", b"\xff\xfe broken", TEXT.encode()])
    )
    assert set(outputs) == {"tokens", "tags", "probabilities", "lengths"}
    assert outputs["lengths"].numpy()[[0, 1, 3]].tolist() == [5, 0, 7]
    assert outputs["tags"].numpy()[3].tolist() == [tag.encode() for tag in TAGS]
    for name, row in (("tags", SHORT_TAGS), ("tokens", SHORT)):
        assert outputs[name].numpy()[0].tolist() == [*(text.encode() for text in row), b"", b""]
    assert not outputs["probabilities"].numpy()[0, 5:].any()
    padded = [[*SHORT, "", ""], TEXT.split(), [""] * 7]
    outputs = of_words(tokens=tf.constant(padded))
    assert outputs["lengths"].numpy().tolist() == [5, 7, 0]
    assert outputs["tags"].numpy()[1].tolist() == [tag.encode() for tag in TAGS]
    manifest = json.loads((path / "manifest.json").read_text())
    assert {"task", "settings", "data", "training", "evaluation", "versions"} <= set(manifest)
    assert "tag_tokens on" in manifest["verification"]


def test_describe_before_and_after_training(trained, treebank, tmp_path):
    printed = call("describe", "--run", tmp_path / "none", *SMALL, "--model.output=crf")
    for text in ("RecurrentStack", "CharacterEncoder", "CRF", "assumed size", "device plan"):
        assert text in printed
    printed = call("describe", "--data", treebank, *run_of(trained), *SMALL)
    assert f"vocabulary of {trained[0] / 'run'}" in printed


# -- tag -------------------------------------------------------------------------------------------


def assert_same(one, other):
    """Equal but for the last digits of numbers."""
    number = re.compile(r"\d+\.\d+(?:e-\d+)?")
    assert number.sub("#", one) == number.sub("#", other)
    ours, theirs = (list(map(float, number.findall(text))) for text in (one, other))
    assert ours == pytest.approx(theirs, abs=2e-4)


CONLLU = """# sent_id = 1
# text = they+walk the walk.
1-2\tthey+walk\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
1\tthey\tthey\tX\tx\tCase=Nom\t2\tnsubj\t2:nsubj\tGloss=eux
2\twalk\t_\t_\t_\t_\t0\troot\t_\t_
2.1\tnothing\t_\tX\t_\t_\t_\t_\t2:dep\t_
3\tthe\t_\t_\t_\t_\t_\t_\t_\t_
4\twalk\t_\t_\t_\t_\t_\t_\t_\t_
5\t.\t_\t_\t_\t_\t_\t_\t_\t_

# sent_id = 2
1\tthe\t_\t_\t_\t_\t_\t_\t_\t_
2\twalk\t_\t_\t_\t_\t_\t_\t_\t_
"""
PLAIN = "they walk the walk .\n\nthe walk\n"
WANTED = [(SHORT, SHORT_TAGS), (["the", "walk"], ["DET", "NOUN"])]


def tagged(printed, output):
    """The words and tags in what ``tag`` printed; an empty sentence is left out."""
    if output == "json":
        rows = [json.loads(line) for line in printed.splitlines()]
        assert all(len(row["probabilities"]) == len(row["tags"]) for row in rows)
        return [(row["tokens"], row["tags"]) for row in rows if row["tokens"]]
    blocks = [block.splitlines() for block in printed.strip("\n").split("\n\n")]
    if output == "conllu":
        columns = [[(row[1], row[3]) for row in rows_of(block)] for block in blocks]
    else:
        columns = [[tuple(line.split()[:2]) for line in block if line] for block in blocks]
    return [tuple(map(list, zip(*rows, strict=True))) for rows in columns]


@pytest.mark.parametrize("source", ["text", "tokens", "conllu"])
def test_tag_reads_and_writes_every_form(trained, tmp_path, source):
    path = tmp_path / "input"
    path.write_text(CONLLU if source == "conllu" else PLAIN, encoding="utf-8")
    for output in ("table", "json", "conllu"):
        form = ["--file", path, "--input", source, "--output", output]
        ours, theirs = (call("tag", *form, *m) for m in (run_of(trained), export_of(trained)))
        assert tagged(ours, output) == WANTED
        assert_same(ours, theirs)


def test_tag_prints_a_table_by_default(trained):
    lines = call("tag", " ".join(SHORT), *run_of(trained)).splitlines()
    shown = zip(SHORT, SHORT_TAGS, strict=True)
    assert [line[:13] for line in lines[:5]] == [f"{word:<4}  {tag:<5}  " for word, tag in shown]
    assert lines[5:] == [""]
    assert all(0.5 < float(line.split()[2]) <= 1 for line in lines[:5])


def test_conllu_comes_back_with_every_line_it_had(trained, tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(CONLLU, encoding="utf-8")
    printed = call(
        "tag", "--file", path, "--input", "conllu", "--output", "conllu", *run_of(trained)
    )
    before, after = CONLLU.splitlines(), printed.splitlines()
    assert len(before) + 1 == len(after)  # an empty line behind the last sentence too
    for ours, theirs in zip(before, after, strict=False):
        if not re.match(r"\d+\t", ours):
            assert ours == theirs
            continue
        old, new = ours.split("\t"), theirs.split("\t")
        assert [*new[:3], *new[4:9]] == [*old[:3], *old[4:9]]
        assert re.fullmatch(r"(Gloss=eux\|)?TagProbability=[01]\.\d{4}", new[9])
    assert after[3].split("\t")[9].startswith("Gloss=eux|")


def test_text_becomes_conllu_with_its_text(trained):
    printed = call("tag", "they  walk the walk.", "", "--output", "conllu", *run_of(trained))
    lines = printed.splitlines()
    assert lines[0] == "# text = they walk the walk."
    assert [(row[1], row[3]) for row in rows_of(lines)] == list(zip(SHORT, SHORT_TAGS, strict=True))
    assert len(lines) == 7  # an empty text is no sentence


def test_tag_reads_gz_files_and_standard_input(trained, tmp_path, monkeypatch):
    path = tmp_path / "a.conllu.gz"
    path.write_bytes(gzip.compress(CONLLU.encode()))
    form = ["--input", "conllu", "--output", "conllu", *run_of(trained)]
    expected = call("tag", "--file", path, *form)
    given(monkeypatch, ("\ufeff" + CONLLU.replace("\n", "\r\n")).encode())
    assert call("tag", *form) == expected
    (tmp_path / "blank").write_bytes(b"")
    assert call("tag", "--file", tmp_path / "blank", *form) == ""


@pytest.mark.parametrize("model", [run_of, export_of])
def test_tag_stands_long_sentences_and_words(trained, tmp_path, model):
    words = ["they", "walk", "a" * 2000, "the", "walk"] * 1000
    path = tmp_path / "long.txt"
    path.write_text(" ".join(words) + "\nthey walk the walk .\n", encoding="utf-8")
    printed = call("tag", "--file", path, "--input", "tokens", "--output", "json", *model(trained))
    long, short = map(json.loads, printed.splitlines())
    assert long["tokens"] == words
    assert len(long["tags"]) == len(long["probabilities"]) == 5000
    assert short["tags"] == SHORT_TAGS


def test_tag_refuses_what_it_cannot_do(trained, tmp_path):
    run = run_of(trained)
    line = call("tag", "a text", "--input", "conllu", *run, status=2)
    assert "--input conllu reads a --file or standard input" in line
    assert "not both" in call("tag", "a", "--file", "b", *run, status=2)
    missing = tmp_path / "no.txt"
    assert f"{missing} cannot be read" in call("tag", "--file", missing, *run, status=2)
    latin = tmp_path / "latin.txt"
    latin.write_bytes("they\nun très\n".encode("latin-1"))
    line = call("tag", "--file", latin, *run, status=2)
    assert f"{latin}:2 is not utf-8: byte 0xe8" in line
    assert "--encoding" in line
    assert "très" in call("tag", "--file", latin, "--encoding", "latin-1", *run)
    bad = tmp_path / "bad.conllu"
    bad.write_text(CONLLU + "4\tx\n")
    line = call("tag", "--file", bad, "--input", "conllu", *run, status=2)
    assert f"{bad}:14: 2 columns, but CoNLL-U has 10" in line


# -- chunks by a CRF -------------------------------------------------------------------------------


def test_chunks_are_learned_and_reported_as_spans(chunker):
    folder, printed = chunker
    report = json.loads((folder / "run/evaluation/test.json").read_text())
    assert report["span_f1"] > 0.9 > report["baseline"]["span_f1"]
    assert set(report["spans"]["kinds"]) == {"ADVP", "NP", "VP"}
    assert "span F1" in printed
    history = map(json.loads, (folder / "run/metrics.jsonl").read_text().splitlines())
    kept = json.loads((folder / "run/training.json").read_text())["validation"]["f1"]
    assert kept == pytest.approx(max(record["validation_f1"] for record in history), abs=1e-4)


def test_chunks_obey_iob2_whatever_the_words(chunker, tmp_path):
    draw = random.Random(1)
    vocabulary = ["the", "plan", "they", "barfimish", "walk", ".", "quickly", "gandolates", "?"]
    path = tmp_path / "random.txt"
    lines = [" ".join(draw.choices(vocabulary, k=draw.randint(1, 30))) for _ in range(60)]
    path.write_text("\n".join(lines) + "\n")
    form = ["--file", path, "--input", "tokens", "--output", "json"]
    ours, theirs = (call("tag", *form, *model(chunker)) for model in (run_of, export_of))
    rows = [json.loads(line)["tags"] for line in ours.splitlines()]
    for before, tag in itertools.chain.from_iterable(
        itertools.pairwise(["O", *tags]) for tags in rows
    ):
        assert not tag.startswith("I-") or before in (f"B-{tag[2:]}", tag)
    assert rows == [json.loads(line)["tags"] for line in theirs.splitlines()]


def test_chunks_have_no_place_in_conllu(chunker):
    line = call("tag", "a plan", "--output", "conllu", *run_of(chunker), status=2)
    assert "--output conllu has no place for the column 'chunk'" in line


# -- bad input -------------------------------------------------------------------------------------


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
        (written,) = (trained[0] / "run/evaluation").glob(f"other-*-{number}-conllu.json")
        reports.append({**json.loads(written.read_text()), "data": None})
    assert reports[0]["tokens"] == 236
    assert reports[0]["confusions"] or reports[0]["accuracy"] == 1
    assert all(report == reports[0] for report in reports[1:])


@pytest.mark.parametrize(("made", "kind"), [("trained", "litert"), ("chunker", "onnx")])
def test_a_client_in_numpy_answers_as_keras_does(made, kind, tmp_path, request):
    export_elsewhere(call, run_of(request.getfixturevalue(made)), kind, tmp_path)
