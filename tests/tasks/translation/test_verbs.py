"""Translation of a small made-up language, through the command line as a user would."""

import contextlib
import functools
import gzip
import io
import itertools
import json
import random
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasseq.tasks.translation.data
import kerasseq.tasks.translation.serving
import kerasseq.tasks.translation.translator
import kerasseq.tasks.translation.verbs
from kerasseq.app import cli
from kerasseq.export import serving
from kerasseq.tasks.translation.task import Translation
from kerasseq.text.subwords import SubwordCodec
from tests.tasks import conftest
from tests.tasks.conftest import export_elsewhere, given, load_once, load_run

TASK = Translation()
call = functools.partial(conftest.call, task=TASK)

SMALL = [
    "--text.level=word", "--model.cell=lstm", "--text.min_count=5", "--text.max_length=20",
    "--model.embedding=32",
    "--model.units=64", "--model.encoder_units=32", "--model.input_dropout=0",
    "--model.encoder_dropout=0", "--model.decoder_dropout=0", "--model.input_feeding=false",
    "--batches.tokens=1000", "--label_smoothing=0", "--training.learning_rate=5e-3",
    "--training.average=0.95", "--training.epochs=7", "--beam.size=3",
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
        if draw.random() > 0.03
        else "".join(draw.choices("bdgklmnprst", k=6)).capitalize()
        for _ in range(draw.randint(1, 18))
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


def write_files(folder, train=8000, held_out=60):
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


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("data") / "files")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data") / "pairs.tsv", pairs(150, 5))


@contextlib.contextmanager
def verified_with_less():
    """To be quick an export is verified with fewer texts, and not with one of 10,000 words, which
    is read below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kerasseq.tasks.translation.data, "SAMPLES", 4)
        patch.setattr(serving, "EDGE_CASES", serving.EDGE_CASES[:-1])
        patch.setattr(kerasseq.tasks.translation.serving, "EDGE_CASES", serving.EDGE_CASES)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, files):
    """A finished run, its export, and what ``train`` printed."""
    folder = tmp_path_factory.mktemp("trained")
    where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
    with verified_with_less():
        return folder, call("train", "--data", files, *FILES, *where, *SMALL)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, files):
    """The same without attention, and less trained."""
    folder = tmp_path_factory.mktemp("plain")
    where = ["--run", folder / "run.v2", "--saved-models", folder / "saved_models"]
    options = [*SMALL, "--model.attention=none", "--training.epochs=2"]
    with verified_with_less(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "EDGE_CASES", serving.EDGE_CASES[:2])
        patch.setattr(kerasseq.tasks.translation.serving, "EDGE_CASES", serving.EDGE_CASES)
        return folder, call("train", "--data", files, *FILES, *where, *options)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
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


# -- train, evaluate, export, describe -------------------------------------------------------------


def test_train_learns_reports_and_exports(trained, files):
    folder, printed = trained
    run = folder / "run"
    for name in ("run.json", "settings.yaml", "data.json", "source.json", "target.json",
                 "languages.json", "samples.json", "metrics.jsonl", "training.json", "model.keras",
                 "curves.png", "evaluation/test.json", "evaluation/test.png"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert not (run / "checkpoint.npz").exists()
    for part in ("perplexity", "BLEU", "chrF2", "source words", "lowest chrF2:", "examples:",
                 "exported to", "serving_default on", "translate_verbose on"):  # fmt: skip
        assert part in printed
    report = report_of(run)
    references = (files / "test.xx").read_text().splitlines()
    assert len(report["translations"]) == len(references) == report["sentences"]
    right = sum(a == b for a, b in zip(report["translations"], references, strict=True))
    assert right / len(references) > 0.8
    assert report["bleu"]["score"] > 80
    assert report["beam"] == {"size": 3, "length_penalty": 1.0, "coverage_penalty": 0.0}
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == list(range(1, 8))
    for record in history:
        assert record["validation_perplexity"] == pytest.approx(
            np.exp(record["validation_loss"]), abs=1e-3
        )
    assert history[-1]["validation_bleu"] > history[0]["validation_bleu"]
    manifest = json.loads((folder / "saved_models/translation/1/manifest.json").read_text())
    assert {"task", "settings", "data", "training", "evaluation", "versions"} <= set(manifest)
    assert manifest["evaluation"] == report


def test_a_name_of_no_other_sentence_is_copied(trained, files):
    """Most attention is paid to the word that an unknown one stands for."""
    made = (files / "test.en").read_text().splitlines()
    names = [[w.strip(".") for w in line.split() if w[0].isupper()] for line in made]
    found = zip(report_of(trained[0] / "run")["translations"], names, strict=True)
    copied = [all(name in text for name in some) for text, some in found if some]
    assert len(copied) > 5
    assert sum(copied) / len(copied) > 0.7
    assert not any("<unk>" in text for text in report_of(trained[0] / "run")["translations"])


def test_the_data_report(trained, files):
    data = json.loads((trained[0] / "run/data.json").read_text())
    assert data["languages"] == ["en", "xx"]
    assert data["vocabulary"] == data["source_vocabulary"]
    splits = data["splits"]
    assert list(splits) == ["train", "validation", "test"]
    assert [split["examples"] for split in splits.values()][1:] == [60, 60]
    lines = (files / "test.xx").read_text().splitlines()
    assert splits["test"]["tokens"] == sum(len(line.split()) + 2 for line in lines)
    lines = (files / "test.en").read_text().splitlines()
    assert splits["test"]["source_tokens"] == sum(len(line.split()) + 2 for line in lines)
    assert 0 < splits["test"]["unknown_share"] < 0.2
    tokens = json.loads((trained[0] / "run/source.json").read_text())["tokens"]
    assert {"▁" + word for word in WORDS} < {*tokens}


def test_the_same_command_does_not_train_again(trained, files):
    folder, _ = trained
    before = (folder / "run/training.json").read_text()
    words = ["train", "--data", files, *FILES, "--run", folder / "run", *SMALL]
    assert "is trained already" in call(*words, "--only-train")
    assert (folder / "run/training.json").read_text() == before
    assert "other settings (seed: 1 -> 2)" in call(*words, "--seed=2", status=2)


def test_evaluate_another_split_and_other_data(trained, tmp_path):
    assert "validation split:" in call("evaluate", *run_of(trained), "--split", "validation")
    folder = write_files(tmp_path / "other", train=5, held_out=20)
    printed = call("evaluate", *run_of(trained), "--on", folder, "--split", "test")
    assert "20 sentences" in printed
    (path,) = (trained[0] / "run/evaluation").glob("other-*.json")
    report = json.loads(path.read_text())
    assert len(report["translations"]) == 20
    assert path.with_suffix(".png").stat().st_size > 0


def test_describe_before_and_after_training(trained, files, tmp_path):
    printed = call("describe", "--run", tmp_path / "none", *SMALL, "--model.cell=gru")
    for part in ("RecurrentStack", "TiedEmbedding", "AttentionDecoder", "assumed size",
                 "device plan", "kernel of encoder"):  # fmt: skip
        assert part in printed
    printed = call("describe", "--data", files, *FILES, *run_of(trained), *SMALL)
    assert f"vocabulary of {trained[0] / 'run'}" in printed


# -- predict and translate -------------------------------------------------------------------------


def test_predict_and_translate_agree(trained):
    texts = [SENTENCE, "", "a big bird hears the cat now."]
    predicted = rows("predict", *texts, *run_of(trained))
    assert [row["text"] for row in predicted] == texts
    assert predicted[0]["translation"] == MEANING
    assert predicted[2]["translation"] == "now cat the hears bird big a."
    translated = rows("translate", *texts, *run_of(trained))
    for one, other in zip(predicted, translated, strict=True):
        (best,) = other["translations"]
        assert other["text"] == one["text"]
        assert best["text"] == one["translation"]
        assert best["score"] == pytest.approx(one["score"], abs=1e-4)
        length = len(best["tokens"])
        assert best["score"] == pytest.approx(best["log_prob"] / ((5 + length) / 6), abs=1e-4)
    assert translated[0]["translations"][0]["tokens"] == [
        "▁dog", "▁a", "▁sees", "▁cat", "▁red", "▁the", ".", "<eos>",
    ]  # fmt: skip
    assert MEANING in call("predict", SENTENCE, *run_of(trained))
    assert call("translate", SENTENCE, *run_of(trained)) == MEANING + "\n"


def test_an_empty_line_has_an_empty_translation(trained):
    texts = ["", " \t", SENTENCE, "\x07", "\u2581"]
    for model in (run_of(trained), export_of(trained)):
        assert call("translate", *texts, *model).splitlines() == ["", "", MEANING, "", ""]
        (row,) = rows("translate", "", "--n-best", 2, *model)
        (one,) = row["translations"]
        assert (one["text"], one["tokens"], one["score"]) == ("", ["<eos>"], 0.0)
    (row,) = rows("predict", "", *run_of(trained))
    assert row["translation"] == ""


def test_what_comes_after_many_blanks_is_translated(trained):
    for model in (run_of(trained), export_of(trained)):
        assert call("translate", " " * 1500 + SENTENCE, *model) == MEANING + "\n"


def test_files_and_standard_input_in_order(trained, tmp_path, monkeypatch):
    """Sentences of all lengths, several batches of them."""
    made = [source for source, _ in pairs(90, 11)]
    made[3:3] = ["", "the cat sees", made[0] + " " + made[1]]
    monkeypatch.setattr(kerasseq.tasks.translation.translator, "BLOCK", 40)
    monkeypatch.setattr(kerasseq.tasks.translation.translator, "HYPOTHESES", 48)
    content = "".join(line + "\n" for line in made)
    (tmp_path / "plain.txt").write_text(content)
    with gzip.open(tmp_path / "text.gz", "wt") as stream:
        stream.write(content)
    wanted = [row["translations"][0] for row in rows("translate", *made, *run_of(trained))]
    for name in ("plain.txt", "text.gz"):
        found = rows("translate", "--file", tmp_path / name, *run_of(trained))
        assert [row["text"] for row in found] == made
        for row, best in zip(found, wanted, strict=True):
            assert row["translations"][0] == best
    given(monkeypatch, content.encode())
    printed = call("translate", *run_of(trained)).split("\n")
    assert printed == [*(best["text"] for best in wanted), ""]
    # each as if it were alone
    for text in made[:6]:
        ((alone,),) = (row["translations"] for row in rows("translate", text, *run_of(trained)))
        best = wanted[made.index(text)]
        assert (alone["text"], alone["tokens"]) == (best["text"], best["tokens"])
        assert alone["score"] == pytest.approx(best["score"], abs=1e-4)


def test_the_n_best_are_distinct_and_sorted(trained):
    words = ["translate", SENTENCE, "a cat likes Kobold.", "--n-best", 3, "--beam", 4]
    found = rows(*words, *run_of(trained))
    for row in found:
        scores = [one["score"] for one in row["translations"]]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(one["tokens"]) for one in row["translations"]}) == 3
    assert found[0]["translations"][0]["text"] == MEANING
    printed = call(*words, *run_of(trained)).split("\n\n")
    assert len(printed) == 3
    assert printed[2] == ""
    for part, row in zip(printed, found, strict=False):
        for line, one in zip(part.split("\n"), row["translations"], strict=True):
            assert line == f"{one['score']:>9.4f}  {one['text']}"
    # a beam of 1 is greedy; without the length normalisation a score is a log-probability
    (row,) = rows("translate", SENTENCE, "--beam", 1, "--length-penalty", 0, *run_of(trained))
    (best,) = row["translations"]
    assert best["score"] == best["log_prob"]
    (other,) = rows("translate", SENTENCE, "--coverage-penalty", 5, *run_of(trained))
    assert other["translations"][0]["score"] < best["score"]


def test_a_seed_makes_a_translation(trained):
    texts = [SENTENCE, "the dog likes a red bird now.", SENTENCE]

    def sampled(*words):
        made = rows("translate", *texts, *words, *run_of(trained))
        return [row["translations"][0] for row in made]

    once, again = (sampled("--sample", 3.0, "--seed", 5) for _ in range(2))
    assert once == again
    later = sampled("--sample", 3.0, "--seed", 6)
    assert once != later
    # a text has the seed and those that follow the numbers after it
    assert later[1]["tokens"] != once[1]["tokens"]
    (alone,) = rows("translate", texts[0], "--sample", 3.0, "--seed", 7, *run_of(trained))
    assert alone["translations"][0]["tokens"] == once[2]["tokens"]
    cold = sampled("--sample", 1e-3)
    greedy = sampled("--beam", 1)
    assert [one["text"] for one in cold] == [one["text"] for one in greedy]
    for one in (*once, *cold):
        assert one["score"] == one["log_prob"] <= 0


def test_a_very_long_sentence_is_translated_with_a_warning(trained):
    """What is read of it is what the model was set to read; the rest is not."""
    text = SENTENCE.removesuffix(".") + " now" * 4995
    cut = " ".join(text.split()[:20])
    for model in (run_of(trained), export_of(trained)):
        found = []
        for verb in ("translate", "predict"):
            out, errors = call_with_warnings(verb, text, *model)
            assert errors.count("\n") == 1
            assert errors.startswith("'the red cat sees a dog now now")
            assert errors.endswith("its first 20 tokens are read (text.max_length)\n")
            assert len(errors) < 200
            found.append(out.splitlines()[-1].strip())
        same, errors = call_with_warnings("translate", cut, *model)
        assert errors == ""
        assert found == [same.strip()] * 2


def test_sources_that_are_cut_are_counted_in_a_report(trained, tmp_path):
    folder = write_files(tmp_path / "other", train=5, held_out=3)
    write_pairs(folder / "test", [(" ".join(["cat"] * 50), "cat"), ("a cat.", "cat a.")])
    printed = call("evaluate", *run_of(trained), "--on", folder, "--split", "test")
    assert "1 sources are longer than what is read, and cut" in printed


def test_a_text_is_cut_where_its_tokens_say():
    """A subword may be a blank alone, so that there are more tokens than characters."""
    codec = SubwordCodec.learn(["xyz"], "subword", 20)
    for text in ("a", "a b", "a b c", "क़", "", "abcdef"):
        tokens = len(codec.encode(text))
        for longest in range(1, 12):
            reader = kerasseq.tasks.translation.translator.Translator.__new__(
                kerasseq.tasks.translation.translator.Translator
            )
            reader.source_codec, reader.longest = codec, longest
            assert reader.is_cut(text) == (tokens > longest)


def test_attention_is_drawn(trained, tmp_path):
    for name, model in (("run.png", run_of(trained)), ("export.png", export_of(trained))):
        path = tmp_path / name
        words = ["translate", SENTENCE, "the dog.", "--plot-attention", path]
        out, errors = call_with_warnings(*words, *model)
        assert out.splitlines()[0] == MEANING
        assert len(out.splitlines()) == 2
        assert errors == f"attention of the first text: {path}\n"
        assert path.read_bytes().startswith(b"\x89PNG")
    call("translate", "", "--plot-attention", tmp_path / "empty.png", *run_of(trained))
    assert (tmp_path / "empty.png").exists()
    line = call(
        "translate", "a", "--plot-attention", tmp_path / "none/a.png", *run_of(trained), status=2
    )
    assert "none/a.png" in line


def test_the_attention_of_a_word_is_on_its_translation(trained):
    """Where a decoder looks is what makes it translate the right word."""
    made = load_run(TASK, trained[0] / "run")
    reader, beam = made.use, made.settings.beam
    ((_, (best,)),) = reader.translate(["the cat likes Kobold."], beam, with_attention=True)
    tokens = reader.source_tokens("the cat likes Kobold.")
    assert tokens == ["▁the", "▁cat", "▁likes", "<unk>", ".", "<eos>"]
    assert best.attention.shape == (len(best.tokens), len(tokens))
    np.testing.assert_allclose(best.attention.sum(1), 1, atol=1e-5)
    assert best.text == "Kobold likes cat the."
    assert best.attention[best.tokens.index("<unk>")].argmax() == 3


# -- without attention -----------------------------------------------------------------------------


def test_without_attention_nothing_unknown_is_given(plain, tmp_path):
    report = report_of(plain[0] / "run.v2")
    assert not any("<unk>" in text for text in report["translations"])
    for model, message in (
        (run_of(plain), "was trained without attention"),
        (export_of(plain), "the exported version was trained without attention"),
    ):
        line = call("translate", "a", "--plot-attention", tmp_path / "a.png", *model, status=2)
        assert message in line
    assert not (tmp_path / "a.png").exists()
    ours, theirs = (rows("translate", SENTENCE, "", *m) for m in (run_of(plain), export_of(plain)))
    assert_same(ours, theirs)


# -- compare ---------------------------------------------------------------------------------------


def test_compare_two_runs(trained, plain, table, tmp_path):
    (_, first), (_, second) = run_of(trained), run_of(plain)
    printed = call("compare", "--run", first, "--with", second)
    for part in ("60 sentences, paired bootstrap", "BLEU  run", "run.v2", "difference", "p = "):
        assert part in printed
    path = first / "evaluation/test-against-run.v2.json"
    report = json.loads(path.read_text())
    assert report["bleu"]["second"]["score"] == pytest.approx(
        report_of(second)["bleu"]["score"], abs=1e-3
    )
    assert report["bleu"]["difference"] < 0
    assert (first / "evaluation/test-against-run.v2.png").stat().st_size > 0
    assert "are the same run" in call("compare", "--run", first, "--with", first, status=2)
    line = call("compare", "--run", second, "--with", first, "--split", "validation", status=2)
    assert "is not scored on validation yet" in line
    other = tmp_path / "other"
    call("train", "--data", table, "--run", other, *QUICK, "--held_out=0.2")
    line = call("compare", "--run", first, "--with", other, status=2)
    assert "the test splits of the two runs differ" in line
    assert "give the other run: --with" in call("compare", "--run", first, status=2)


# -- the exported version --------------------------------------------------------------------------

AWKWARD = ["", SENTENCE, " \t", "the\ncat", "👍🏽 e\u0301 naïve", "\udcff a", "Kobold likes Mr. X"]


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


@pytest.mark.parametrize("words", [[], ["--n-best", 2], ["--beam", 1, "--length-penalty", 0.3]])
def test_run_and_export_translate_alike(trained, words):
    texts = [*AWKWARD, *serving.EDGE_CASES[:-1]]
    both = run_of(trained), export_of(trained)
    ours, theirs = (rows("translate", *texts, *words, *model) for model in both)
    assert [row["text"] for row in ours] == [text.replace("\udcff", "?") for text in texts]
    assert_same(ours, theirs)
    if not words:
        ours, theirs = (rows("predict", *texts, *model) for model in both)
        for mine, its in zip(ours, theirs, strict=True):
            assert (mine["text"], mine["translation"]) == (its["text"], its["translation"])
            assert mine["score"] == pytest.approx(its["score"], rel=1e-4, abs=1e-4)


def test_the_savedmodel_has_its_inputs_and_outputs_by_name(trained):
    loaded = tf.saved_model.load(str(export_of(trained)[1]))
    assert {"serving_default", "translate_verbose"} <= set(loaded.signatures)
    texts = [SENTENCE, "", "the big bird likes Kobold now."]
    served = loaded.signatures["serving_default"](text=tf.constant(texts))
    assert set(served) == {"translation", "score", "cut"}
    assert not served["cut"].numpy().any()
    assert served["translation"].numpy()[0].decode() == MEANING
    assert served["translation"].numpy()[1] == b""

    def verbose(size, penalty=1.0):
        found = loaded.signatures["translate_verbose"](
            text=tf.constant(texts), beam_size=tf.constant(size),
            length_penalty=tf.constant(penalty),
        )  # fmt: skip
        return {name: value.numpy() for name, value in found.items()}

    found = verbose(3)
    size, steps = found["tokens"].shape[2], found["source_tokens"].shape[1]
    assert {name: value.shape for name, value in found.items()} == {
        "translations": (3, 3), "scores": (3, 3), "log_probs": (3, 3), "tokens": (3, 3, size),
        "source_tokens": (3, steps), "attention": (3, 3, size, steps), "cut": (3,),
    }  # fmt: skip
    assert steps == 8
    assert found["translations"][0, 0] == served["translation"].numpy()[0]
    np.testing.assert_allclose(found["scores"][:, 0], served["score"], atol=1e-4)
    np.testing.assert_array_equal(-np.sort(-found["scores"], 1), found["scores"])
    lengths = (found["tokens"] != b"").sum(2)
    inside = np.arange(size) < lengths[..., None]
    np.testing.assert_allclose(found["attention"].sum(3), inside, atol=1e-5)
    sources = (found["source_tokens"] != b"").sum(1)
    assert sources.tolist() == [8, 1, 8]
    assert not found["attention"][1, :, :, 1:].any()
    np.testing.assert_allclose(
        found["scores"][lengths > 0],
        (found["log_probs"] / ((5 + lengths) / 6))[lengths > 0],
        rtol=1e-4,
        atol=1e-4,
    )
    one = verbose(1)
    assert one["translations"].shape == (3, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="beam_size must be 1 or more"):
        verbose(0)
    for penalty in (-1.0, np.nan):
        with pytest.raises(tf.errors.InvalidArgumentError, match="length_penalty must be 0"):
            verbose(1, penalty)


# -- layouts and variants --------------------------------------------------------------------------


def test_a_table_is_cut_into_splits(table, tmp_path):
    call("train", "--data", table, "--run", tmp_path / "run", *QUICK, "--held_out=0.1")
    data = json.loads((tmp_path / "run/data.json").read_text())
    assert data["languages"] == ["1", "2"]
    sizes = {name: split["examples"] for name, split in data["splits"].items()}
    assert 120 <= sum(sizes.values()) <= 150  # none is there twice, nor a side in two splits
    assert 5 <= sizes["validation"] <= 20
    assert 5 <= sizes["test"] <= 20
    texts = [SENTENCE, "a cat"]
    assert len(call("translate", *texts, "--run", tmp_path / "run").splitlines()) == 2
    printed = call("evaluate", "--run", tmp_path / "run", "--on", table)
    assert "150 sentences" in printed
    folder = write_files(tmp_path / "files", train=3, held_out=3)
    line = call("evaluate", "--run", tmp_path / "run", "--on", folder, status=2)
    assert "only their columns are known (--source 1:en" in line


def test_other_data_of_another_layout(trained, table, tmp_path):
    """A table where files were trained on, and files where a table's columns have languages."""
    assert "150 sentences" in call("evaluate", *run_of(trained), "--on", table)
    folder = tmp_path / "tables"
    folder.mkdir()
    write_table(folder / "train.tsv", pairs(10, 1))
    write_table(folder / "test.tsv", pairs(7, 2))
    printed = call("evaluate", *run_of(trained), "--on", folder, "--split", "test")
    assert "7 sentences" in printed
    run = ["--run", tmp_path / "run"]
    call("train", "--data", table, *run, *QUICK, "--source=1:en", "--target=2:xx")
    assert json.loads((tmp_path / "run/data.json").read_text())["languages"] == ["en", "xx"]
    files = write_files(tmp_path / "files", train=3, held_out=4)
    assert "4 sentences" in call("evaluate", *run, "--on", files, "--split", "test")
    assert "150 sentences" in call("evaluate", *run, "--on", table)


def test_a_folder_of_tables_backwards(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, (count, seed) in {
        "train.tsv": (100, 1), "valid.tsv": (20, 2), "test.tsv.gz": (20, 3)
    }.items():  # fmt: skip
        write_table(folder / name, [("note", *pair) for pair in pairs(count, seed)])
    run = tmp_path / "run"
    columns = ["--source=3", "--target=2"]
    call("train", "--data", folder, "--run", run, *QUICK, *columns)
    data = json.loads((run / "data.json").read_text())
    assert data["languages"] == ["3", "2"]
    train, *held_out = (split["examples"] for split in data["splits"].values())
    assert held_out == [20, 20]
    assert 80 <= train <= 100  # none is there twice
    samples = json.loads((run / "samples.json").read_text())
    assert samples[0] == pairs(20, 2)[0][1]


VARIANTS = [
    ["--model.cell=gru", "--model.attention=bilinear", "--model.tie=two", "--text.joint=false",
     "--model.encoder_layers=2", "--model.decoder_layers=2"],
    ["--model.attention=dot", "--model.attend=before", "--model.input_feeding=true",
     "--beam.coverage_penalty=0.2"],
    ["--text.level=subword", "--text.vocabulary_size=60", "--model.attention=scaled_dot",
     "--scheduled_sampling=0.5", "--scheduled_sampling_steps=4"],
    ["--model.cell=simple_rnn", "--model.attention=none", "--model.tie=two", "--beam.size=1",
     "--scheduled_sampling=0.2", "--model.input_feeding=true",
     "--device.precision=mixed_bfloat16"],
]  # fmt: skip


@pytest.mark.parametrize("options", VARIANTS, ids=["gru", "dot", "subword", "plain"])
def test_variants_train_and_are_used(table, tmp_path, options):
    run = ["--run", tmp_path / "run"]
    call("train", "--data", table, *run, *QUICK, "--held_out=0.1", *options)
    assert "BLEU" in call("evaluate", *run)
    found = rows("translate", SENTENCE, "", "Zebra", *run)
    assert [row["text"] for row in found] == [SENTENCE, "", "Zebra"]
    assert found[1]["translations"][0]["text"] == ""
    assert all(np.isfinite(row["translations"][0]["score"]) for row in found)


# -- what a user gets wrong ------------------------------------------------------------------------


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
        ("train.en", b"\n" * 8000, ["nothing is left after cleaning (8,000 pairs left out: a"]),
        ("train.en", "naïf\n".encode("latin-1") * 8000,
         ["train.en", "is not utf-8", "--encoding"]),
        ("train.xx", None, ["train.en has no train.xx beside it"]),
        ("train.xx", b"", ["has 8,000 lines, but ", "has 0"]),
    ],
    ids=["shorter", "longer", "empty side", "empty train", "encoding", "missing", "no lines"],
)  # fmt: skip
def test_bad_files_are_one_line(files, tmp_path, name, content, messages):
    folder = changed(files, tmp_path, name, content)
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
        (b"a\tb\n", ["--source=en"], "(1, 2; with a language 2:ja), not 'en'"),
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
def test_bad_settings_are_one_line(files, tmp_path, options, message):
    words = ["--data", files, *FILES, "--run", tmp_path / "run", *QUICK, *options]
    assert message in call("train", *words, status=2)


def test_verbs_refuse_what_they_cannot_do(trained, files, tmp_path):
    run, export = run_of(trained), export_of(trained)
    cases = [
        (["--beam", 0], run, "size"),
        (["--beam", -3], run, "size"),
        (["--beam", 0], export, "size must be >= 1, got 0"),
        (["--beam", -3], export, "size must be >= 1, got -3"),
        (["--beam", 2, "--n-best", 3], run, "n_best must be from 1 to the beam's width 2, got 3"),
        (["--beam", 2, "--n-best", 3], export, "n_best must be from 1 to the beam's width 2"),
        (["--n-best", 4], run, "n_best must be from 1 to the beam's width 3, got 4"),
        (["--n-best", 0], run, "n_best must be from 1"),
        (["--n-best", 0], export, "n_best must be from 1"),
        (["--length-penalty", -1], run, "length_penalty"),
        (["--coverage-penalty", "nan"], run, "coverage_penalty"),
        (["--sample", 0], run, "temperature must be above 0"),
        (["--sample", 1, "--beam", 2], run, "--sample draws: a beam's options"),
        (["--sample", 1, "--n-best", 2], run, "--sample draws: a beam's options"),
        (["--sample", 1, "--seed", 10**30], run, "--seed must be within"),
        (["--sample", 1, "--plot-attention", "a.png"], run, "--sample draws: a beam's options"),
        (["--sample", 1], export, "give a --run"),
        (["--coverage-penalty", 1], export, "give a --run"),
        (["--length-penalty", -1], export, "length_penalty"),
        (["--beam", 1001], export, "size must be"),
        (["--file", "b"], run, "not both"),
        ([], ["--run", tmp_path / "none"], "holds no run"),
        ([], ["--saved-model", trained[0] / "run"], "is not an exported version"),
    ]
    for words, model, message in cases:
        line = call("translate", "a", *words, *model, status=2)
        assert message in line, words
    line = call("translate", "--file", tmp_path / "none.txt", *run, status=2)
    assert "none.txt cannot be read" in line
    (tmp_path / "latin.txt").write_bytes("naïf\n".encode("latin-1"))
    line = call("translate", "--file", tmp_path / "latin.txt", *run, status=2)
    assert "is not utf-8" in line
    found = call("translate", "--file", tmp_path / "latin.txt", "--encoding=latin-1", *run)
    assert found.count("\n") == 1


def test_damaged_runs(trained, tmp_path):
    for name, message in (
        ("source.json", "source.json is not a vocabulary of subwords"),
        ("target.json", "target.json is not a vocabulary of subwords"),
        ("languages.json", "languages.json is missing"),
        ("model.keras", "model.keras cannot be loaded"),
        ("training.json", "is not trained to the end"),
    ):
        run = shutil.copytree(trained[0] / "run", tmp_path / name)
        (run / name).unlink()
        assert message in call("translate", "a", "--run", run, status=2)


def test_changed_data_is_refused(tmp_path):
    folder = write_files(tmp_path / "files", train=40, held_out=10)
    call("train", "--data", folder, *FILES, "--run", tmp_path / "run", *QUICK)
    (folder / "test.xx").write_text("la kat.\n" * 10)
    line = call("evaluate", "--run", tmp_path / "run", status=2)
    assert "the data has changed since" in line


# -- learning --------------------------------------------------------------------------------------

LETTERS = "abcdefghijklmnopqrst"
LEARN = [
    "--text.level=word", "--text.min_count=1", "--model.embedding=32", "--model.units=64",
    "--model.encoder_units=32", "--model.input_feeding=false", "--model.input_dropout=0",
    "--model.encoder_dropout=0", "--model.decoder_dropout=0", "--label_smoothing=0",
    "--training.learning_rate=5e-3", "--training.average=0.99", "--training.epochs=12",
    "--beam.size=1",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_learns_to_copy_and_to_reverse(task, tmp_path):
    draw, wanted = random.Random(0), []
    for split, count in {"train": 10_000, "valid": 200, "test": 1000}.items():
        made = [draw.choices(LETTERS, k=draw.randint(1, 20)) for _ in range(count)]
        order = -1 if task == "reverse" else 1
        wanted = [" ".join(row[::order]) for row in made]
        sources = map(" ".join, made)
        write_pairs(tmp_path / split, list(zip(sources, wanted, strict=True)))
    run = ["--run", tmp_path / "run"]
    call("train", "--data", tmp_path, *FILES, *run, *LEARN, "--only-train")
    call("evaluate", *run)
    found = report_of(tmp_path / "run")["translations"]
    right = sum(one == other for one, other in itertools.zip_longest(found, wanted))
    assert right / len(wanted) >= 0.99


@pytest.mark.parametrize(("made", "kind"), [("trained", "litert"), ("plain", "onnx")])
def test_a_client_in_numpy_answers_as_keras_does(made, kind, tmp_path, request):
    export_elsewhere(call, run_of(request.getfixturevalue(made)), kind, tmp_path)
