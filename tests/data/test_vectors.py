import gzip

import numpy as np
import pytest

from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.vectors import read_vectors
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.data import encode_corpus
from kerasseq.tasks.tagging.settings import ModelSettings, TaggingSettings
from kerasseq.tasks.tagging.task import PosTagging
from kerasseq.text.word_features import WordSettings, normal_form

TEXT = "3 2\nThe 1 2\nthe 5 6\nnew york 3 4\nrare -1 .5 \n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_words_and_numbers(tmp_path):
    found = read_vectors(write(tmp_path / "v.txt", TEXT), normal_form, (), 10)
    assert {form: vector.tolist() for form, vector in found.items()} == {
        "the": [1, 2], "new york": [3, 4], "rare": [-1, 0.5],
    }  # fmt: skip
    few = read_vectors(tmp_path / "v.txt", normal_form, {"rare"}, 1)
    assert list(few) == ["the", "rare"]
    packed = tmp_path / "v.txt.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    assert list(read_vectors(packed, normal_form, (), 10)) == list(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no word vector"),
        ("a 1 2\nb 1\n", ":2: 1 numbers, but the first vector has 2"),
        ("a 1 2\nb c 2\n", ":2: 2 numbers, but|:2: expected a word and 2 numbers"),
        ("a 1 x\n", ":1: expected a word and 2 numbers, got 'a 1 x'"),
    ],
)
def test_what_is_no_vector_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_vectors(write(tmp_path / "v.txt", text), normal_form, (), 10)
    with pytest.raises(UserError, match=r"no.txt cannot be read"):
        read_vectors(tmp_path / "no.txt", normal_form, (), 10)


def test_they_start_the_embedding_and_widen_the_vocabulary(tmp_path):
    path = write(tmp_path / "v.txt", TEXT)
    sentences = [TaggedSentence(["the", "rare", "cat"], {"upos": ["X", "Y", "Y"]})] * 2
    sentences.append(TaggedSentence(["once"], {"upos": ["X"]}))
    corpus = Corpus("", dict.fromkeys(("train", "validation", "test"), sentences))
    settings = WordSettings(vectors=str(path), affixes=0)
    data = encode_corpus(corpus, "upos", settings)
    assert data.assets.features.words.tokens[4:] == ("cat", "rare", "the", "new york")
    assert "2 of 4 words of train have one" in data.report["notes"][-1]
    task = PosTagging()
    whole = TaggingSettings(words=settings, model=ModelSettings(embedding=2))
    model = task.build_model(whole, data.assets)
    before = model.get_layer("embedding").embeddings.numpy()
    assert task.adapt(model, whole, data) == ["word vectors given: 3 of 8 rows of the embedding"]
    after = model.get_layer("embedding").embeddings.numpy()
    np.testing.assert_array_equal(after[5:], [[-1, 0.5], [1, 2], [3, 4]])
    np.testing.assert_array_equal(after[:5], before[:5])
