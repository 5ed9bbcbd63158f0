"""A language model in use: ``next``, ``generate``, ``score``, ``cache``, and its export."""

import contextlib
import gzip
import io
import itertools
import json
import math
import shutil

import pytest
import tensorflow as tf

from kerasseq.app import cli
from kerasseq.export import serving
from tests.tasks.conftest import export_elsewhere, given
from tests.tasks.language_model.conftest import (
    TASK,
    TYPES,
    call,
    call_with_warnings,
    export_of,
    report_of,
    rows,
    run_of,
)

pytestmark = pytest.mark.usefixtures("_loaded_once")

# -- next ------------------------------------------------------------------------------------------


def test_next_knows_the_grammar(trained):
    before = "A dog hears it.\n" * 3  # the state of a text's start is rare in training
    a, the, end, start = rows(
        "next", f"{before}A", f"{before}a cat sees the", before[:-1], before, *run_of(trained)
    )
    for row, expected in ((a, {"cat", "dog"}), (the, {"bird", "fish"})):
        assert {each["token"] for each in row["next"][:2]} == expected
        assert sum(each["probability"] for each in row["next"][:2]) > 0.9
    assert (end["next"][0]["token"], start["next"][0]["token"]) == ("\n", "a")
    for row in (a, the, end, start):
        shares = [each["probability"] for each in row["next"]]
        assert shares == sorted(shares, reverse=True)
        assert len(shares) == 10
    printed = call("next", "a dog hears it.", *run_of(trained), "--k", 1)
    assert printed.startswith("a dog hears it. ...\n")
    assert "(line end)" in printed


def test_next_gives_no_more_than_there_is(trained):
    for model in (run_of(trained), export_of(trained)):
        for k in (1000, 10**15):
            (row,) = rows("next", "a", "--k", k, *model)
            assert len(row["next"]) == len(TYPES) + 2  # all but padding and BOS
            assert sum(each["probability"] for each in row["next"]) == pytest.approx(1, abs=1e-5)


AWKWARD = ["", "a", " \t", "A CAT sees\nthe bird.\n\nA", "👍🏽 e\u0301 naïve", "\udcff a", "a\r\nb"]


@pytest.mark.parametrize("level", ["trained", pytest.param("characters", marks=pytest.mark.gate)])
def test_awkward_prompts_are_answered_alike_by_run_and_export(level, request):
    model = request.getfixturevalue(level)
    texts = [*AWKWARD, *serving.EDGE_CASES[:-1]]
    for verb in ("predict", "next", "score"):
        ours, theirs = (
            [json.loads(line) for line in call_with_warnings(verb, *words)[0].splitlines()]
            for words in ([*texts, "--json", *m] for m in (run_of(model), export_of(model)))
        )
        assert [row["text"] for row in ours] == [t.replace("\udcff", "?") for t in texts]
        assert_same(ours, theirs)


def assert_same(ours, theirs):
    """Strings and whole numbers equal, other numbers nearly; the export leaves out ``unknown``."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert set(one) - set(other) <= {"unknown"}
        for name, value in other.items():
            if name == "next":
                pairs = zip(one["next"], value, strict=True)
                for mine, its in pairs:
                    assert mine["probability"] == pytest.approx(its["probability"], abs=1e-5)
                    if its["probability"] > 1e-3:  # less likely ones may change places
                        assert mine["token"] == its["token"]
            elif isinstance(value, float):
                assert one[name] == pytest.approx(value, rel=1e-5, abs=1e-5)
            else:
                assert one[name] == value


def test_a_prompt_of_unknown_words_is_answered_with_a_warning(trained):
    for words in (["next", "Zebra"], ["generate", "Zebra", "--length", 3]):
        out, errors = call_with_warnings(*words, *run_of(trained))
        assert errors == "tokens of 'Zebra' that the model does not know: 1\n"
        assert out
    assert out.startswith("<unk>")
    _, errors = call_with_warnings("next", "the", "", *run_of(trained))
    assert errors == ""


# -- generate --------------------------------------------------------------------------------------


def generated(trained, *words, model=run_of):
    return rows("generate", *words, *model(trained))


def test_a_seed_makes_a_text(trained):
    long = ["a", "--length", 60]
    once, again = (generated(trained, *long, "--seed", 5) for _ in range(2))
    assert once == again
    several = generated(trained, *long, "--seed", 5, "--samples", 3)
    alone = [generated(trained, *long, "--seed", seed)[0] for seed in (5, 6, 7)]
    assert several == alone
    assert len({row["text"] for row in several}) == 3
    hot = generated(trained, *long, "--seed", 5, "--temperature", 50)
    assert hot[0]["text"] != once[0]["text"]
    assert hot[0]["perplexity"] > 5 > once[0]["perplexity"]
    for row in (*several, *hot):
        assert row["tokens"] == 60
        assert row["prompt"] == "a"
        assert row["perplexity"] == pytest.approx(math.exp(-row["log_prob"] / 60))
        assert "<unk>" not in row["text"]


def test_greedy_is_what_every_narrow_choice_gives(trained):
    stop = ["a", "--stop", "\\n", "--length", 30]
    (greedy,) = generated(trained, *stop, "--greedy")
    for narrow in (["--beam", 1], ["--top-k", 1], ["--top-p", 1e-6], ["--temperature", 1e-6]):
        (row,) = generated(trained, *stop, *narrow)
        assert (row["text"], row["tokens"]) == (greedy["text"], greedy["tokens"])
        assert row["log_prob"] == pytest.approx(greedy["log_prob"], abs=1e-4)
    assert greedy["text"].endswith(".\n")
    assert greedy["text"].split()[1] in ("cat", "dog")
    (scored,) = rows("score", greedy["text"].strip(), *run_of(trained))
    (first,) = rows("score", "a", "--tokens", *run_of(trained))
    # the prompt is given, and the unknown word is never generated
    alone = scored["log_prob"] - first["token_log_probs"][0][1]
    assert greedy["log_prob"] == pytest.approx(alone, abs=0.05)


def test_stop_tokens_end_a_text(trained):
    for stops, ends in ((["."], "."), (["cat", "dog"], ("cat", "dog")), (["\\n"], "\n")):
        given = [word for stop in stops for word in ("--stop", stop)]
        for seed in (1, 2, 3):
            (row,) = generated(trained, "a", *given, "--seed", seed, "--top-k", 2)
            assert row["text"].endswith(ends)
            assert row["tokens"] < 20
    for row in generated(trained, "a", "--beam", 3, "--n-best", 2, "--stop", "sees", "--stop", "."):
        assert row["text"].endswith(("sees", "."))


def test_what_streams_is_the_text(trained, characters):
    for model in (trained, characters):
        for prompt in ("", "A dog", 'a "cat'):
            (row,) = generated(model, prompt, "--length", 25, "--seed", 3)
            printed, _ = call_with_warnings(
                "generate", prompt, "--length", 25, "--seed", 3, *run_of(model)
            )
            assert printed == row["text"] + "\n"
    printed = call("generate", "a", "--length", 5, "--samples", 2, *run_of(trained))
    texts = [row["text"] for row in generated(trained, "a", "--length", 5, "--samples", 2)]
    assert printed == "".join(f"{text}\n\n" for text in texts)


def test_beams_are_distinct_and_sorted_by_perplexity(trained):
    beam = ["a", "--beam", 8, "--n-best", 6, "--length", 30]
    found = generated(trained, *beam)
    assert len({row["text"] for row in found}) == 6
    assert all(row["text"].endswith("\n") for row in found)
    perplexities = [row["perplexity"] for row in found]
    assert perplexities == sorted(perplexities)
    # of the eight sentences of the grammar after `a`, those with `it` are the likeliest
    likely = generated(trained, *beam, "--length-penalty", 0)
    assert [row["log_prob"] for row in likely] == sorted(r["log_prob"] for r in likely)[::-1]
    assert all(" it." in row["text"] for row in likely[:4])
    printed = call("generate", *beam, *run_of(trained))
    assert printed.count("perplexity") == 6
    (best,) = generated(trained, "a", "--beam", 8, "--length", 30)
    assert best == found[0]


@pytest.mark.parametrize("level", ["trained", "characters"])
def test_an_export_generates_what_the_run_does(level, request):
    model = request.getfixturevalue(level)
    for words in (["A", "--seed", 9, "--samples", 2, "--length", 30], ["", "--greedy"],
                  ["a c\n👍\n", "--temperature", 0.7, "--top-k", 4, "--top-p", 0.9, "--seed", -4],
                  ["\udcff", "--top-k", 10**15, "--length", 10, "--seed", 2**63 - 1]):  # fmt: skip
        (ours, _), theirs = (
            call_with_warnings("generate", *words, *run_of(model), "--json"),
            generated(model, *words, model=export_of),
        )
        ours = [json.loads(line) for line in ours.splitlines()]
        assert_same(
            [{**r, "perplexity": 0} for r in ours], [{**r, "perplexity": 0} for r in theirs]
        )
        for one, other in zip(ours, theirs, strict=True):
            assert one["perplexity"] == pytest.approx(other["perplexity"], rel=1e-4)


def test_a_shell_may_pass_bytes_of_no_encoding(trained):
    """Half surrogates, which standard output would not take."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    for verb, model in itertools.product(("generate", "next"), (run_of, export_of)):
        with contextlib.redirect_stdout(out):
            assert cli.run(TASK, [verb, "a \udcff", "--json", *map(str, model(trained))]) == 0
    found = [json.loads(line) for line in out.buffer.getvalue().splitlines()]
    assert [row.get("prompt", row.get("text")) for row in found] == ["a ?"] * 4


# -- score -----------------------------------------------------------------------------------------


def test_score_follows_the_chain_rule(trained):
    line = "A cat sees the bird."
    (row,) = rows("score", line, "--tokens", *run_of(trained))
    tokens = ["a", "cat", "sees", "the", "bird", ".", "\n"]
    assert [token for token, _ in row["token_log_probs"]] == tokens
    assert sum(p for _, p in row["token_log_probs"]) == pytest.approx(row["log_prob"], abs=1e-4)
    assert row["perplexity"] == pytest.approx(math.exp(-row["log_prob"] / 7), rel=1e-5)
    assert (row["tokens"], row["unknown"], row["text"]) == (7, 0, line)
    prefixes = [" ".join(tokens[:i]) for i in range(7)]
    for answer, (token, log_prob) in zip(
        rows("next", *prefixes, "--k", 100, *run_of(trained)), row["token_log_probs"], strict=True
    ):
        shares = {each["token"]: each["probability"] for each in answer["next"]}
        assert math.log(shares[token]) == pytest.approx(log_prob, abs=1e-4)


def test_score_of_many_lines(trained, tmp_path, monkeypatch):
    lines = ["A cat sees it.", "Cat the a it.", "", "A zebra 👍"]
    path = tmp_path / "lines.txt.gz"
    path.write_bytes(gzip.compress("".join(f"{line}\r\n" for line in lines).encode()))
    out, said = call_with_warnings("score", "--file", path, "--json", *run_of(trained))
    found = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in found] == lines
    assert [row["tokens"] for row in found] == [6, 6, 1, 4]
    assert [row["unknown"] for row in found] == [0, 0, 0, 2]
    assert found[0]["perplexity"] < 2 < 10 < found[1]["perplexity"]
    total = sum(row["log_prob"] for row in found)
    perplexity = math.exp(-total / 17)
    assert said == (
        f"4 lines, 17 tokens with line ends: log-probability {total:.2f}, "
        f"perplexity {perplexity:.2f}\n"
    )
    given(monkeypatch, "".join(f"{line}\n" for line in lines).encode())
    shown, _ = call_with_warnings("score", "--tokens", *run_of(trained))
    assert "4 tokens, 2 unknown  A zebra 👍" in shown
    assert "(line end)" in shown
    (tmp_path / "empty").touch()
    assert call("score", "--file", tmp_path / "empty", *run_of(trained)) == ""


@pytest.mark.parametrize("model", [run_of, export_of])
def test_score_reads_a_line_of_any_length(trained, monkeypatch, model):
    line = "a cat sees the bird . " * 10_000
    several = "a cat sees the bird . " * 300  # more than are read at once
    given(monkeypatch, f"{line}\n{several}\na cat sees it.\n".encode())
    out, _ = call_with_warnings("score", "--json", *model(trained))
    long, *others = map(json.loads, out.splitlines())
    assert long["tokens"] == 60_001
    assert math.isfinite(long["log_prob"])
    expected = rows("score", several, "a cat sees it.", *run_of(trained))
    assert [row["tokens"] for row in others] == [1801, 6]
    for found, wanted in zip(others, expected, strict=True):
        assert found["log_prob"] == pytest.approx(wanted["log_prob"], rel=1e-5)


# -- cache -----------------------------------------------------------------------------------------


def test_cache_reports_beside_the_model(trained):
    printed = call("cache", *run_of(trained), "--size", 50)
    report = report_of(trained[0] / "run", "test-cache")
    plain = report_of(trained[0] / "run")
    assert report["perplexity"] == pytest.approx(plain["perplexity"], rel=1e-4)
    assert report["tokens"] == plain["tokens"]
    assert report["size"] == 50
    assert 0 < report["perplexity_with_cache"] < 1.2 * report["perplexity"]
    assert f"perplexity {report['perplexity']:.2f}, with a cache of 50 positions" in printed
    assert "validation split" in call("cache", *run_of(trained), "--split", "validation")


# -- the exported model ----------------------------------------------------------------------------


def test_the_savedmodel_has_its_inputs_and_outputs_by_name(trained):
    """That it needs tensorflow alone is what ``export`` verifies, in a clean process."""
    loaded = tf.saved_model.load(str(trained[0] / "saved_models/language_model/1"))
    found = {
        name: [
            {key: spec.dtype.name for key, spec in serve.structured_input_signature[1].items()},
            {key: spec.dtype.name for key, spec in serve.structured_outputs.items()},
        ]
        for name, serve in loaded.signatures.items()
    }
    text = {"text": "string"}
    likeliest = {"tokens": "string", "probabilities": "float32", "unknown": "int32"}
    drawing = {"length": "int32", "temperature": "float32", "top_k": "int32",
               "top_p": "float32", "seed": "int64"}  # fmt: skip
    states = {name: "float32" for name in found["begin"][1] if name.startswith("state_")}
    assert states
    length = drawing.pop("length")
    assert found == {
        "serving_default": [text, likeliest],
        "next_token": [{**text, "k": "int32"}, likeliest],
        "generate": [
            {**text, "length": length, **drawing},
            {"text": "string", "generated": "int32", "log_prob": "float32", "unknown": "int32"},
        ],
        "score": [
            text,
            {"log_prob": "float32", "perplexity": "float32", "tokens": "int32", "unknown": "int32"},
        ],
        "begin": [text, {"ids": "int32", "last": "int32", "unknown": "int32", **states}],
        "advance": [
            {"last": "int32", "position": "int32", **drawing, **states},
            {"token": "int32", "log_prob": "float32", **states},
        ],
        "spell": [{"ids": "int32"}, {"text": "string"}],
    }
    text = tf.constant([b"A cat sees", b"", b"\xff\xfe broken"])
    assert loaded.signatures["score"](text=text)["tokens"].numpy()[:2].tolist() == [4, 1]
    assert loaded.signatures["serving_default"](text=text)["tokens"].shape == (3, 5)
    made = loaded.signatures["generate"](
        text=text, length=tf.constant(4), temperature=tf.constant(1.0), top_k=tf.constant(1),
        top_p=tf.constant(1.0), seed=tf.constant(1, tf.int64),
    )  # fmt: skip
    (greedy,) = generated(trained, "A cat sees", "--greedy", "--length", 4)
    assert made["text"].numpy()[0].decode() == greedy["text"]


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--temperature", 0], "temperature must be above 0 and finite, got 0.0"),
        (["--temperature", -1], "temperature must be above 0"),
        (["--temperature", "nan"], "temperature"),
        (["--top-p", 0], "top_p must be above 0 and at most 1, got 0.0"),
        (["--top-p", 1.5], "top_p must be above 0 and at most 1, got 1.5"),
        (["--top-k", -1], "top_k must be 0 (all tokens) or more, got -1"),
        (["--length", 0], "length must be from 1 to 1,000,000, got 0"),
        (["--samples", 0], "--samples must be 1 or more, got 0"),
        (["--seed", 2**63], "--seed must be a number of 64 bits"),
        (["--seed", 2**63 - 1, "--samples", 2], "--seed must be a number of 64 bits"),
        (["--beam", 0], "width must be 1 or more, got 0"),
        (["--beam", 2, "--n-best", 3], "n_best must be from 1 to the beam's width 2, got 3"),
        (["--beam", 2, "--n-best", 0], "n_best must be from 1"),
        (["--n-best", 2], "--n-best and --length-penalty are for --beam"),
        (["--length-penalty", 0.5], "--n-best and --length-penalty are for --beam"),
        (["--beam", 2, "--temperature", 0.5], "give --beam, --greedy, or how to draw"),
        (["--beam", 2, "--greedy"], "give --beam, --greedy, or how to draw"),
        (["--greedy", "--samples", 2], "give --beam, --greedy, or how to draw"),
        (["and", "more"], "give one prompt, in quotes"),
        (["--lenght", 3], "unknown setting or option --lenght; did you mean --length?"),
    ],
)
def test_generate_refuses_what_makes_no_sense(trained, words, message):
    for model in (run_of(trained), export_of(trained)):
        assert message in call("generate", "a", *words, *model, status=2)


def test_verbs_refuse_what_they_cannot_do(trained):
    run, exported = run_of(trained), export_of(trained)
    for stop in ("zebra", "a cat", "", "\udcff"):
        line = call("generate", "a", "--stop", stop, *run, status=2)
        assert "is not a token of the vocabulary (such as " in line
    for words in (["--beam", 2], ["--stop", "."]):
        line = call("generate", "a", *words, *exported, status=2)
        assert "--beam and --stop need a --run" in line
    for model in (run, exported):  # float32 has no such numbers
        small = ["--temperature", 1e-50, "--top-p", 1e-50]
        drawn, greedy = (
            call("generate", "a", *how, "--length", 3, *model) for how in (small, ["--greedy"])
        )
        assert drawn == greedy
    assert "--tokens needs a --run" in call("score", "a", "--tokens", *exported, status=2)
    for model in (run, exported):
        for k in (0, -1):
            assert "--k must be 1 or more" in call("next", "a", "--k", k, *model, status=2)
        assert "not both" in call("next", "a", "--file", "b", *model, status=2)
    assert "--size must be 1 or more, got 0" in call("cache", "--size", 0, *run, status=2)


def test_damaged_runs_and_foreign_exports(trained, tmp_path):
    folder, _ = trained

    def damaged(name, content=None):
        run = shutil.copytree(folder / "run", tmp_path / f"{name}-{content is None}")
        (run / name).unlink()
        if content is not None:
            (run / name).write_bytes(content)
        return ["--run", run]

    model = (folder / "run/model.keras").read_bytes()
    cases = [
        (damaged("text.json"), "text.json is missing"),
        (damaged("text.json", b"[]"), "text.json is damaged"),
        (damaged("vocabulary.txt"), "vocabulary.txt is not a vocabulary file"),
        (damaged("model.keras"), "model.keras cannot be loaded"),
        (damaged("model.keras", model[:3000]), "model.keras cannot be loaded"),
        (damaged("training.json"), "is not trained to the end"),
        (["--run", tmp_path / "none"], "holds no run"),
    ]
    for run, message in cases:
        assert message in call("next", "a", *run, status=2)
    for words in (["generate", "a"], ["score", "a"], ["cache"]):
        assert message in call(*words, *run, status=2)
    line = call("evaluate", "--split", "train", *damaged("data.json"), status=2)
    assert "data.json is missing" in line

    copy = shutil.copytree(folder / "saved_models/language_model/1", tmp_path / "1")
    manifest = json.loads((copy / "manifest.json").read_text())
    for change, message in (
        ({"task": "sentiment"}, "is a model of the task 'sentiment', not 'language_model'"),
        ({"format": 99}, "has export format 99"),
    ):
        (copy / "manifest.json").write_text(json.dumps({**manifest, **change}))
        for verb in ("next", "generate", "score", "predict"):
            assert message in call(verb, "a", "--saved-model", copy, status=2)
    for verb in ("next", "generate", "score"):
        line = call(verb, "a", "--saved-model", folder / "run", status=2)
        assert "is not an exported version" in line
        assert "give a folder such as saved_models/NAME/1" in line


# -- in other formats ------------------------------------------------------------------------------


@pytest.mark.parametrize(("made", "kind"), [("characters", "litert"), ("trained", "onnx")])
def test_a_client_in_numpy_answers_as_keras_does(made, kind, tmp_path, request):
    export_elsewhere(call, run_of(request.getfixturevalue(made)), kind, tmp_path)
