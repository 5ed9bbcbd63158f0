"""A trained model and its export translate what a user gives them."""

import gzip

import numpy as np
import pytest

import kerasseq.tasks.translation.translator
from kerasseq.text.subwords import SubwordCodec
from tests.tasks.conftest import given, load_run
from tests.tasks.translation.conftest import (
    MEANING,
    SENTENCE,
    TASK,
    call,
    call_with_warnings,
    export_of,
    pairs,
    rows,
    run_of,
)

pytestmark = pytest.mark.usefixtures("loaded_once")


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
    cut = " ".join(text.split()[:10])
    for model in (run_of(trained), export_of(trained)):
        found = []
        for verb in ("translate", "predict"):
            out, errors = call_with_warnings(verb, text, *model)
            assert errors.count("\n") == 1
            assert errors.startswith("'the red cat sees a dog now now")
            assert errors.endswith("its first 10 tokens are read (text.max_length)\n")
            assert len(errors) < 200
            found.append(out.splitlines()[-1].strip())
        same, errors = call_with_warnings("translate", cut, *model)
        assert errors == ""
        assert found == [same.strip()] * 2


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


def test_verbs_refuse_what_they_cannot_do(trained, tmp_path):
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
