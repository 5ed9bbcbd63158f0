"""Word vectors that a user gives, in every task."""

import numpy as np
import pytest

from kerasseq.app.word_vectors import check_vectors
from kerasseq.config import replace
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import LabelledText, Pair, TaggedSentence
from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.tasks.language_model.task import LanguageModel
from kerasseq.tasks.sentiment.task import Sentiment
from kerasseq.tasks.tagging.task import Ner, PosTagging
from kerasseq.tasks.translation.task import Translation
from kerasseq.training.optimizers import make_optimizer
from kerasseq.training.run_folder import DATA, RunFolder

TEXT = "The 1 2\nthe 5 6\nnew york 3 4\nrare -1 .5 \n"
SPLITS = ("train", "validation", "test")
TAGGED = [TaggedSentence(["the", "rare", "cat"], {"upos": ["X", "Y", "Y"]})] * 2
TAGGED.append(TaggedSentence(["once"], {"upos": ["X"]}))
TEXTS = [LabelledText(f"The rare cat {i}", "yn"[i % 2]) for i in range(4)]
LINES = ["The rare cat sat.\n", "The rare one.\n"]
SMALL = {
    PosTagging: {"words.affixes": 0, "model.characters": "none", "model.units": 2},
    Sentiment: {"model.units": 2, "text.ngrams": 0, "text.min_count": 1},
    LanguageModel: {"model.units": 2, "streams.size": 2, "text.min_count": 1},
    Translation: {
        "model.units": 4, "model.encoder_units": 2, "text.min_count": 1, "text.level": "word",
        "source": "en", "target": "fr", "held_out": 0.4,
    },
}  # fmt: skip


def corpus_of(task):
    if task is PosTagging:
        return Corpus("", dict.fromkeys(SPLITS, TAGGED))
    if task is Sentiment:
        return Corpus("", dict.fromkeys(SPLITS, TEXTS))
    if task is LanguageModel:
        return Corpus("", dict.fromkeys(SPLITS, LINES))
    pairs = [Pair(f"The rare cat {i}", f"Le rare chat {i}", str(i)) for i in range(12)]
    sides = {name: pairs[n::3] for n, name in enumerate(SPLITS)}
    return Corpus("", sides, languages=("en", "fr"))


def started(kind, path, **changes):
    """Data, the model before and after, what was said, and settings."""
    task = kind()
    given = {"vectors": str(path), "model.embedding": 2, **SMALL[kind]}
    given |= {name.replace("__", "."): value for name, value in changes.items()}
    settings = replace(task.settings_class(), given)
    data = task.prepare(settings, corpus_of(kind))
    model = task.build_model(settings, data.assets)
    return task, settings, data, model


@pytest.fixture
def path(tmp_path):
    (tmp_path / "v.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "v.txt"


def note_of(data):
    return next(note for note in data.report["notes"] if note.startswith("word vectors of"))


def test_of_a_tagger_they_widen_the_vocabulary(path):
    task, settings, data, model = started(PosTagging, path)
    assert data.assets.features.words.tokens[4:] == ("cat", "rare", "the", "new york")
    assert note_of(data).startswith(f"word vectors of {path} (SHA-256 ")
    assert note_of(data).endswith("2 of 4 words of train have one")
    before = model.get_layer("embedding").embeddings.numpy()
    lines = task.adapt(model, settings, data)
    assert lines == ["word vectors given: 3 of 8 rows of the embedding"]
    after = model.get_layer("embedding").embeddings.numpy()
    np.testing.assert_array_equal(after[5:8], [[-1, 0.5], [1, 2], [3, 4]])
    np.testing.assert_array_equal(after[:5], before[:5])
    again = task.prepare(settings, corpus_of(PosTagging), data.assets)  # as evaluate and export do
    assert not again.vectors
    assert "vectors" not in again.report


@pytest.mark.parametrize("kind", [Sentiment, LanguageModel])
def test_rows_are_those_of_the_tokens(kind, path):
    task, settings, data, model = started(kind, path)
    tokens = (data.assets.vocabulary if kind is Sentiment else data.assets.codec.vocabulary).tokens
    layer = model.get_layer("embedding") if kind is Sentiment else model.embedding
    before = layer.embeddings.numpy()
    assert f": 2 of {len(tokens) - 4} tokens of the vocabulary have one" in note_of(data)
    (line,) = task.adapt(model, settings, data)
    assert line == f"word vectors given: 2 of {len(tokens)} rows of the embedding"
    after = layer.embeddings.numpy()
    given = {"the": [1, 2], "rare": [-1, 0.5]}
    for row, token in enumerate(tokens):
        np.testing.assert_array_equal(after[row], given.get(token, before[row]))


@pytest.mark.parametrize("tie", ["two", "three"])
def test_of_a_translator_both_sides_have_them(path, tie):
    joint = tie == "three"
    changes = {"model__tie": tie, "text__joint": joint}
    task, settings, data, model = started(Translation, path, **changes)
    source, target = (codec.vocabulary.tokens for codec in data.assets[:2])
    lines = task.adapt(model, settings, data)
    given = {"▁The": [1, 2], "▁rare": [-1, 0.5]}
    sides = [(model.embedding, target)]
    if not joint:
        assert ": 2 of 7 source tokens, 1 of 7 target tokens have one" in note_of(data)
        assert [line.rpartition("the ")[2] for line in lines] == [
            "source embedding", "target embedding",
        ]  # fmt: skip
        sides.append((model.source_embedding, source))
    for layer, tokens in sides:
        matrix = layer.embeddings.numpy()
        for token in given.keys() & set(tokens):
            np.testing.assert_array_equal(matrix[tokens.index(token)], given[token])


def test_of_subwords_it_is_their_own_spelling_that_counts(path):
    words = path.parent / "w.txt"
    words.write_text("The 1 2\n")
    with pytest.raises(UserError, match=r"vector of none of the .*tokens: at text.level subword"):
        started(Translation, words, text__level="subword")
    words.write_text("The 1 2\n▁rare 7 7\n", encoding="utf-8")
    data = started(Translation, words, text__level="subword")[2]
    assert list(data.vectors) == ["▁rare"]


@pytest.mark.parametrize("kind", [PosTagging, Sentiment])
def test_frozen(kind, path):
    task, settings, data, model = started(kind, path, train_vectors=False)
    (line,) = task.adapt(model, settings, data)
    assert line.endswith("rows of the embedding; none of it is trained (train_vectors)")
    layer = model.get_layer("embedding")
    assert not any(v.path == layer.embeddings.path for v in model.trainable_variables)
    assert len(model.variables) == len(task.build_model(settings, data.assets).variables)
    make_optimizer(settings.training).build(model.trainable_variables)


def test_a_frozen_source_of_a_translator(path):
    task, settings, data, model = started(
        Translation, path, train_vectors=False, model__tie="two", text__joint=False
    )
    source, target = task.adapt(model, settings, data)
    assert "none of it is trained" in source
    assert "none of it" not in target
    paths = {v.path for v in model.trainable_variables}
    assert model.source_embedding.embeddings.path not in paths
    assert model.embedding.embeddings.path in paths


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (Sentiment, {"model__embedding": 3}, "2 numbers, and model.embedding is 3"),
        (PosTagging, {"model__embedding": 3}, "2 numbers, and model.embedding is 3"),
        (LanguageModel, {"text__level": "char"}, "vectors are those of words, and text.level"),
        (LanguageModel, {"init_from": "x"}, "give one of them"),
        (LanguageModel, {"train_vectors": False}, "one matrix for the embedding and for the sof"),
        (Translation, {"train_vectors": False}, r"embedding of its own.*model.tie two"),
        (Sentiment, {"train_vectors": False, "vectors": ""}, "is for given word vectors"),
    ],
)
def test_what_cannot_be(path, kind, changes, message):
    with pytest.raises(UserError, match=message):
        started(kind, path, **changes)


def test_of_other_words_they_are_refused(path):
    path.write_text("zzz 1 2\n")
    with pytest.raises(UserError, match="has a vector of none of the 7 tokens"):
        started(Sentiment, path)


@pytest.mark.parametrize("kind", [Sentiment, PosTagging, Ner, LanguageModel, Translation])
def test_a_missing_file_is_said_before_data_is_read(kind, tmp_path):
    changes = {"vectors": str(tmp_path / "no.txt"), "data": str(tmp_path)}
    with pytest.raises(UserError, match=r"vectors: .*no.txt does not exist"):
        kind().check(replace(kind.settings_class(), changes))
    with pytest.raises(UserError, match="is no file"):
        check_vectors(replace(kind.settings_class(), {"vectors": str(tmp_path)}))
    assert "vectors" in kind.data_settings


def test_a_run_goes_on_with_the_same_file_only(path, tmp_path):
    task, settings, data, _ = started(Sentiment, path)
    run = RunFolder(tmp_path / "run")
    (tmp_path / "run").mkdir()
    write_json(run / DATA, data.report)
    run.check_data(data.report)
    run.check_data(task.prepare(settings, corpus_of(Sentiment), data.assets).report)  # evaluation
    path.write_text(TEXT.replace("5 6", "6 5"))
    with pytest.raises(UserError, match=r"the word vectors are not those that .* was trained with"):
        run.check_data(started(Sentiment, path)[2].report)
