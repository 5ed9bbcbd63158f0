"""Running and training a tagger: small models with random weights."""

import functools
import itertools

import keras
import numpy as np
import pytest

from kerasseq.config import replace
from kerasseq.data.batches import TokenBatchSettings
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import TaggedSentence
from kerasseq.tasks.tagging.data import TaggedBatches, TaggedData, WordTable, encode_corpus
from kerasseq.tasks.tagging.settings import TaggingSettings
from kerasseq.tasks.tagging.tagger import Tagger
from kerasseq.tasks.tagging.task import PosTagging
from tests.layers.crf_reference import enumerate_crf, path_score

TASK = PosTagging()
SMALL = {
    "words.min_count": 1, "words.character_min_count": 1, "words.affix_min_count": 1,
    "words.affixes": 2, "model.embedding": 6, "model.character_embedding": 4,
    "model.character_units": 6, "model.affix_embedding": 3, "model.units": 5, "model.layers": 1,
    "model.word_dropout": 0.0, "model.input_dropout": 0.0, "model.layer_dropout": 0.0,
    "model.output_dropout": 0.0,
}  # fmt: skip
UPOS = ["ADJ", "NOUN", "VERB"]


def corpus(count=12, seed=0):
    """Sentences of 1 to 6 words with random tags."""
    random = np.random.default_rng(seed)
    words = ["sing", "sings", "Singer", "été", "x", "unlikely"]

    def sentence(size):
        draw = [[str(v) for v in random.choice(names, size)] for names in (words, UPOS)]
        return TaggedSentence(draw[0], {"upos": draw[1]})

    sizes = random.integers(1, 7, count)
    made = [sentence(int(size)) for size in sizes]
    return Corpus("made up", {"train": made, "validation": made})


def made(**changes) -> tuple[keras.Model, TaggingSettings, TaggedData]:
    """A model with weights so large that tags differ, and its data; built once."""
    return _made(*changes.items())


@functools.cache
def _made(*changes):
    settings = replace(TaggingSettings(), {**SMALL, **dict(changes)})
    data = encode_corpus(corpus(), "upos", settings.words)
    keras.utils.set_random_seed(0)
    model = TASK.build_model(settings, data.assets)
    random = np.random.default_rng(1)
    model.set_weights([random.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    model.get_layer("scores").bias.assign([0.0] * len(UPOS))
    return model, settings, data


def used(**changes) -> Tagger:
    """The tagger of such a model, whose graph is traced once."""
    return _used(*changes.items())


@functools.cache
def _used(*changes):
    model, settings, data = _made(*changes)
    return Tagger(model, settings, data.assets)


VARIANTS = [
    {"model.output": "softmax"},
    {"model.output": "crf"},
    {"model.characters": "bilstm"},
    {"model.characters": "none"},
    {"words.affixes": 0},
    {"model.characters": "none", "words.affixes": 0},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_tags_do_not_depend_on_what_else_is_in_the_batch(changes):
    tagger = used(**changes)
    sentences = [
        ["sings"], ["Singer", "été", "x"], ["x", "unheard"], ["unlikelihood" * 9, "sing"],
        ["sing", "x"] * 30, ["x"],
    ]  # fmt: skip
    together = list(tagger.tag(sentences))
    assert len({tag for each in together for tag in each["tags"]}) > 1
    for words, found in zip(sentences, together, strict=True):
        (alone,) = tagger.tag([words])
        assert found["tokens"] == alone["tokens"] == words
        assert found["tags"] == alone["tags"]
        np.testing.assert_allclose(found["probabilities"], alone["probabilities"], atol=1e-6)
        assert len(found["probabilities"]) == len(words)


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_order_is_kept_and_sentences_may_be_empty(output):
    tagger = used(**{"model.output": output})
    random = np.random.default_rng(1)
    sentences = [["sing"] * int(size) for size in random.integers(0, 9, 600)]
    sentences[:300] = [[]] * 300  # more than a block
    found = list(tagger.tag(iter(sentences)))
    assert [each["tokens"] for each in found] == sentences
    assert all(len(each["tags"]) == len(each["tokens"]) for each in found)
    assert found[0] == {"tokens": [], "tags": [], "probabilities": []}
    alike = {len(each["tokens"]): each["tags"] for each in found}
    assert all(each["tags"] == alike[len(each["tokens"])] for each in found)
    assert list(tagger.tag(iter([]))) == []


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_a_sentence_of_5000_words(output):
    words = ["sing", "x", "été", "y" * 2000, "unheard"] * 1000
    found = list(used(**{"model.output": output}).tag([["x"], words, ["x"]]))
    assert found[1]["tokens"] == words
    assert len(found[1]["tags"]) == 5000
    assert np.isfinite(found[1]["probabilities"]).all()
    assert 0 < min(found[1]["probabilities"]) <= max(found[1]["probabilities"]) <= 1 + 1e-6
    assert found[0] == found[2]


def test_sentences_come_as_a_stream():
    read = 0

    def sentences():
        nonlocal read
        for read in itertools.count(1):  # noqa: B007
            yield ["sing"]

    next(used().tag(sentences()))
    assert read == 256


def numpy_outputs(model, batch):
    inputs = {name: batch[name] for name in model.input}
    return {name: np.array(v, np.float64) for name, v in model(inputs, training=False).items()}


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_tags_and_probabilities_are_those_of_the_scores(output):
    model, _, data = made(**{"model.output": output})
    table = WordTable(data.assets.features, [["sing", "x", "été"], ["x", "x", "sing", "unheard"]])
    for number, found in enumerate(used(**{"model.output": output}).tag_table(table)):
        scores = numpy_outputs(model, table.inputs(table.sequences[number : number + 1]))
        scores = scores["scores"][0]
        if output == "crf":
            crf = model.get_layer("crf")
            start, end, pairs = (np.array(w) for w in (crf.start, crf.end, crf.transitions))
            _, best, shares, _ = enumerate_crf(scores, pairs, start, end)
        else:
            shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
            best = shares.argmax(-1)
        assert found.tags.tolist() == list(best)
        expected = shares[np.arange(len(shares)), list(best)]
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


# -- the loss --------------------------------------------------------------------------------------


def batches_of(data, multiple=4):
    budget = TokenBatchSettings(tokens=1000, pad_to_multiple=multiple)
    batches = TaggedBatches(data.splits["train"], budget, seed=1)
    (item,) = batches.epoch(0)
    return item, batches.fetch(item)


def loss_of(model, settings, batch):
    total, weight = TASK.loss(model, settings)(model, batch)
    return float(total) / float(weight)


def smoothed(scores, tags, smoothing):
    """Summed over the tokens of a sentence."""
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    target = np.full(scores.shape, smoothing / scores.shape[-1])
    target[np.arange(len(tags)), tags] += 1 - smoothing
    return -(target * logs).sum()


@pytest.mark.parametrize(
    ("output", "smoothing"), [("softmax", 0.0), ("softmax", 0.1), ("crf", 0.0)]
)
def test_the_loss_equals_numpy(output, smoothing):
    """The mean over real tokens; a CRF's by enumeration of every tag sequence."""
    model, settings, data = made(**{"model.output": output, "label_smoothing": smoothing})
    item, batch = batches_of(data)
    outputs = numpy_outputs(model, batch)
    total = tokens = 0.0
    for row, number in enumerate(item):
        tags = data.splits["train"].tags[number]
        tokens += len(tags)
        scores = outputs["scores"][row, : len(tags)]
        if output == "crf":
            crf = model.get_layer("crf")
            start, end, pairs = (np.array(w) for w in (crf.start, crf.end, crf.transitions))
            total += enumerate_crf(scores, pairs, start, end)[0]
            total -= path_score(scores, pairs, start, end, tags)
        else:
            total += smoothed(scores, tags, smoothing)
    assert loss_of(model, settings, batch) == pytest.approx(total / tokens, rel=1e-5)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_padding_has_no_influence_on_the_loss(changes):
    model, settings, data = made(**changes)
    _, batch = batches_of(data, multiple=1)
    _, wider = batches_of(data, multiple=16)
    assert batch["index"].shape[1] < wider["index"].shape[1] == 16
    wider["tags"] = np.where(wider["index"] == 0, 1, wider["tags"])  # any tag may stand there
    wider["characters"] = np.pad(wider["characters"], ((0, 0), (0, 9)))
    expected = loss_of(model, settings, batch)
    assert loss_of(model, settings, wider) == pytest.approx(expected, rel=1e-5)


def test_in_training_words_become_unknown():
    """With every word unknown but for its features, equal features give equal scores."""
    model, settings, data = made(
        **{"model.characters": "none", "words.affixes": 0, "model.word_dropout": 0.5}
    )
    _, batch = batches_of(data)
    inputs = {name: batch[name] for name in model.input}
    first, second = (np.array(model(inputs, training=True)["scores"]) for _ in range(2))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(
        *(np.array(model(inputs, training=False)["scores"]) for _ in range(2))
    )
    assert np.isfinite(loss_of(model, settings, batch))
