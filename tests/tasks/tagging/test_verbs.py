"""A tagger in use: ``train``, ``evaluate``, ``predict``, ``tag``, and its export."""

import gzip
import json
import re
import shutil

import pytest
import tensorflow as tf

import kerasseq
from tests.tasks.conftest import export_elsewhere, given
from tests.tasks.tagging.conftest import SMALL, assert_same, call, export_of, run_of

pytestmark = pytest.mark.usefixtures("_loaded_once")


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
    (path,) = (trained[0] / "run/evaluation").glob("other-*odd-conllu-all-*.json")
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


def test_describe_before_and_after_training(trained, treebank, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = call("describe", *SMALL, "--model.output=crf")
    for text in ("RecurrentStack", "CharacterEncoder", "CRF", "assumed size", "device plan"):
        assert text in printed
    printed = call("describe", "--data", treebank, *run_of(trained), *SMALL)
    assert f"vocabulary of {trained[0] / 'run'}" in printed


# -- tag -------------------------------------------------------------------------------------------


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


def test_comments_that_stand_alone_come_back(trained, tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(f"# a licence\n\n{CONLLU}\n# the end\n", encoding="utf-8")
    where = ["tag", "--file", path, "--input", "conllu", *run_of(trained)]
    blocks = call(*where, "--output", "conllu").split("\n\n")
    assert [blocks[0], *blocks[-2:]] == ["# a licence", "# the end", ""]
    assert len(blocks) == 5
    assert len(call(*where, "--output", "json").splitlines()) == 2


def test_columns_of_conllu_plus_stay_where_they_are(trained, tmp_path):
    path = tmp_path / "a.conllup"
    path.write_text("# global.columns = ID MISC FORM X:Y UPOS\n1\t_ \tthe\t*\tX\n")
    where = ["tag", "--file", path, "--input", "conllu", "--output", "conllu", *run_of(trained)]
    first, line, _ = call(*where).split("\n", 2)
    assert first == "# global.columns = ID MISC FORM X:Y UPOS"
    assert re.fullmatch(r"1\tTagProbability=[01]\.\d{4}\tthe\t\*\tDET", line)
    path.write_text("# global.columns = ID FORM UPOS\n1\tthe\tX\n")
    assert "the file has no column MISC to write to; it has ID, FORM, UPOS: give --output" in call(
        *where, status=2
    )


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


# -- in another format -----------------------------------------------------------------------------


def test_a_client_in_numpy_answers_as_keras_does(trained, tmp_path):
    export_elsewhere(call, run_of(trained), "litert", tmp_path)


# -- errors, comparison, tables --------------------------------------------------------------------


def test_errors_and_outcome_are_those_of_the_report(trained, tmp_path):
    run = kerasseq.load(trained[0] / "run", quiet=True)
    report = run.evaluate()
    errors = run.errors()
    assert len(errors) == round((1 - report["accuracy"]) * report["tokens"])
    shares = [row["probability"] for row in errors]
    assert shares == sorted(shares, reverse=True)
    for row in errors:
        assert row["tag"] != row["predicted"]
        assert f"[{row['word']}]" in row["context"]
    (accuracy,) = run.trained.use.outcome(run.own_data("test"), "test").metrics
    assert accuracy.value == pytest.approx(report["accuracy"], abs=1e-5)
    copy = shutil.copytree(run.path, tmp_path / "copy")
    found = run.compare(kerasseq.load(copy, quiet=True))
    assert found["metrics"]["accuracy"]["p"] == 1.0
    assert "sentences, paired bootstrap" in str(found)


def test_tables_get_the_words_and_their_tags(trained, tmp_path):
    file, out = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_text(f"id,text\n1,{TEXT}\n2,\n")
    where = [*run_of(trained), "--file", file, "--output", out]
    assert "name the column of the texts with --column" in call("predict", *where, status=2)
    call("predict", *where, "--column", "text")
    header, first, second = out.read_text().splitlines()
    assert header == "id,text,tokens,tags"
    assert first == f"1,{TEXT},{TEXT},{' '.join(TAGS)}"
    assert second == "2,,,"


def test_another_column_is_compared_with_the_one_that_was_learned(trained, treebank):
    ours = call("evaluate", *run_of(trained), "--on", treebank, "--split", "test")
    other = call("evaluate", *run_of(trained), "--on", treebank, "--split", "test",
                 "--column", "xpos")  # fmt: skip
    assert "the column xpos is compared with upos" in other
    assert "true tag is unknown to the model" in other
    assert "is compared with" not in ours
