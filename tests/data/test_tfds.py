import time
from dataclasses import replace

import pytest

from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import LabelledText, Pair
from kerasseq.data.tfds import prepared, read_rows
from kerasseq.errors import UserError
from kerasseq.tasks.language_model.tfds import read_tfds as read_text
from kerasseq.tasks.sentiment.labels import LabelReader
from kerasseq.tasks.sentiment.reading import Columns
from kerasseq.tasks.sentiment.tfds import read_tfds as read_labelled
from kerasseq.tasks.tagging.settings import NerSettings
from kerasseq.tasks.tagging.task import Ner
from kerasseq.tasks.tagging.tfds import read_tfds as read_tagged
from kerasseq.tasks.translation.tfds import read_tfds as read_parallel

tfds = pytest.importorskip("tensorflow_datasets")

COLUMNS = Columns("text", "label")


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A folder with one prepared data set, made by TFDS itself."""
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    import tensorflow as tf

    def rows(texts, labels):
        return tf.data.Dataset.from_tensor_slices({"text": texts, "label": labels})

    builder = tfds.dataset_builders.AdhocBuilder(
        name="tiny_reviews",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "text": tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=["neg", "pos"]),
            }
        ),
        split_datasets={
            "train": rows(["good é", "bad"], [1, 0]),
            "test": rows(["fine"], [1]),
            "unsupervised": rows(["what"], [-1]),
        },
        data_dir=tmp_path,
    )
    builder.download_and_prepare()
    return tmp_path


def test_prepared_data_is_read(data_dir):
    corpus = read_labelled("tiny_reviews", COLUMNS, download=False)
    assert sorted(corpus.splits["train"]) == [("bad", "neg"), ("good é", "pos")]
    assert set(corpus.splits) == {"train", "test"}
    assert corpus.splits["test"] == [LabelledText("fine", "pos")]
    with pytest.raises(UserError, match="no feature 'body'; it has"):
        read_labelled("tiny_reviews", Columns("body", "label"), download=False)


def tiny(data_dir, name, label, **splits):
    """Prepares a data set of texts with labels, given as rows of both."""
    tfds.dataset_builders.AdhocBuilder(
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict({"text": tfds.features.Text(), "label": label}),
        split_datasets={
            split: [(i, {"text": text, "label": label}) for i, (text, label) in enumerate(rows)]
            for split, rows in splits.items()
        },
        data_dir=data_dir,
    ).download_and_prepare()


def test_several_labels_of_a_row(tmp_path, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    names = tfds.features.ClassLabel(names=["war", "love"])
    given = {"text": ["a", "b", "c"], "label": tf.ragged.constant([[1, 0], [], [1]], tf.int64)}
    tfds.dataset_builders.AdhocBuilder(
        name="films",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {"text": tfds.features.Text(), "label": tfds.features.Sequence(names)}
        ),
        split_datasets={"train": tf.data.Dataset.from_tensor_slices(given)},
        data_dir=tmp_path,
    ).download_and_prepare()
    corpus = read_labelled("films", COLUMNS, download=False, labels=LabelReader(True))
    found = [("a", ("love", "war")), ("b", ()), ("c", ("love",))]
    assert sorted(map(tuple, corpus.splits["train"])) == found
    with pytest.raises(UserError, match="a list of 2 labels, and a text has one class"):
        read_labelled("films", COLUMNS, download=False)


def test_hidden_labels_are_no_split(data_dir):
    classes = tfds.features.ClassLabel(names=["neg", "pos"])
    tiny(data_dir, "hidden", classes, train=[("a", 1)], dev=[("b", 0)], test=[("c", -1)])
    assert read_labelled("hidden", COLUMNS, download=False).splits == {
        "train": [LabelledText("a", "pos")], "validation": [LabelledText("b", "neg")],
    }  # fmt: skip


def test_labels_may_be_texts(data_dir):
    tiny(data_dir, "named", tfds.features.Text(), train=[("a", "süß")])
    assert read_labelled("named", COLUMNS, download=False).splits == {
        "train": [LabelledText("a", "süß")]
    }


def test_a_set_without_a_train_split(data_dir):
    tiny(data_dir, "tested", tfds.features.Text(), test=[("a", "x")], more=[("b", "y")])
    with pytest.raises(UserError, match=r"tfds:tested has no train split; it has .*more"):
        read_labelled("tested", COLUMNS, download=False)


def test_rows_know_their_split_and_place(data_dir):
    tiny(data_dir, "placed", tfds.features.Text(), train=[("a", "x")], valid=[("b", "")] * 2)
    seen = []

    def example(row, split, where):
        seen.append((split, where))
        return row["text"].decode() if row["label"] else None

    builder = prepared("placed", False)
    corpus = read_rows("placed", builder, example, ("en", "de"))
    assert corpus == Corpus(corpus.source, {"train": ["a"]}, [], ("en", "de"))
    assert "placed/1.0.0" in corpus.source
    assert str(data_dir) in corpus.source
    assert seen == [
        ("train", "tfds:placed, row 1 of train"),
        ("validation", "tfds:placed, row 1 of valid"),
        ("validation", "tfds:placed, row 2 of valid"),
    ]


def test_a_name_has_to_be_given():
    with pytest.raises(UserError, match="tfds: needs the name of a data set"):
        prepared("", download=True)


def test_unprepared_data_is_not_fetched_silently(data_dir):
    start = time.perf_counter()
    with pytest.raises(UserError, match=r"is not prepared in .* add --download"):
        read_labelled("imdb_reviews", COLUMNS, download=False)
    assert time.perf_counter() - start < 30


def test_unknown_name(data_dir):
    with pytest.raises(UserError, match="no_such_data"):
        read_labelled("no_such_data", COLUMNS, download=True)


def test_running_text_is_a_row_a_line_and_keeps_its_lines(data_dir):
    corpus = read_text("tiny_reviews", "text", download=False)
    assert corpus.splits["train"] in (["good é\n", "bad\n"], ["bad\n", "good é\n"])
    assert corpus.splits["test"] == ["fine\n"]
    assert list(corpus.splits) == ["train", "test"]
    assert "tiny_reviews" in corpus.source
    with pytest.raises(UserError, match="no feature 'body'; it has"):
        read_text("tiny_reviews", "body", download=False)
    with pytest.raises(UserError, match="the feature 'label' is not a text"):
        read_text("tiny_reviews", "label", download=False)
    with pytest.raises(UserError, match=r"is not prepared in .* add --download"):
        read_text("lm1b", "text", download=False)

    tfds.dataset_builders.AdhocBuilder(
        name="tiny_play",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
        split_datasets={"train": [(0, {"text": "First:\r\n\nWe"})], "dev": [(0, {"text": "a\n"})]},
        data_dir=data_dir,
    ).download_and_prepare()
    splits = read_text("tiny_play", "text", download=False).splits
    assert splits == {"train": ["First:\n", "\n", "We\n"], "validation": ["a\n"]}


TREEBANK = """# sent_id = made-up-1
# text = du lait
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\t_\tADP\tP\t_\t3\tcase\t_\t_
2\tle\t_\tDET\tD\tNumber=Sing|PronType=Art\t3\tdet\t_\t_
2.1\tbon\t_\tADJ\tA\t_\t_\t_\t3:amod\t_
3\tlait\t_\tNOUN\tN\t_\t0\troot\t_\t_

# sent_id = made-up-2
# text = Oui
1\tOui\t_\tINTJ\t_\t_\t0\troot\t_\t_

"""


@pytest.fixture
def treebank(tmp_path, monkeypatch):
    """A folder with one prepared treebank, made by TFDS' own reader of CoNLL-U."""
    pytest.importorskip("conllu")
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    source = tmp_path / "source.conllu"
    source.write_text(TREEBANK)
    from tensorflow_datasets.core.dataset_builders.conll import conllu_dataset_builder_utils

    config = conllu_dataset_builder_utils.get_universal_morphology_config(
        language="xy", features=conllu_dataset_builder_utils.UNIVERSAL_DEPENDENCIES_FEATURES
    )

    class TinyTreebank(tfds.dataset_builders.ConllUDatasetBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [config]

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=self.builder_config.features_dict)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(source) for split in ("train", "dev")}

    TinyTreebank(data_dir=tmp_path).download_and_prepare()
    return tmp_path


def test_a_treebank_has_its_words_and_nothing_else(treebank):
    corpus = read_tagged("tiny_treebank/xy", download=False)
    assert list(corpus.splits) == ["train", "validation"]
    for part in corpus.splits.values():
        milk, yes = sorted(part, key=len, reverse=True)
        assert milk.words == ["de", "le", "lait"]
        assert milk.columns == {
            "upos": ["ADP", "DET", "NOUN"],
            "xpos": ["P", "D", "N"],
            "feats": ["_", "Number=Sing|PronType=Art", "_"],
        }
        assert milk.text == "du lait"
        assert (yes.words, yes.columns["xpos"]) == (["Oui"], ["_"])
    assert corpus.notes == ["4 multi-word tokens and empty nodes skipped"]


def test_chunks_and_hidden_tags(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))

    def labels(*names):
        return tfds.features.Sequence(tfds.features.ClassLabel(names=names))

    rows = [
        (0, {"tokens": ["The", "end"], "pos": ["DT", "NN"], "chunks": ["B-NP", "I-NP"]}),
        (1, {"tokens": ["Yes"], "pos": [-1], "chunks": ["O"]}),
    ]
    tfds.dataset_builders.AdhocBuilder(
        name="tiny_chunks",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "tokens": tfds.features.Sequence(tfds.features.Text()),
                "pos": labels("DT", "NN"),
                "chunks": labels("O", "B-NP", "I-NP"),
            }
        ),
        split_datasets={"train": rows},
        data_dir=tmp_path,
    ).download_and_prepare()
    corpus = read_tagged("tiny_chunks", download=False)
    found = {tuple(s.words): s.columns for s in corpus.splits["train"]}
    assert found == {
        ("The", "end"): {"xpos": ["DT", "NN"], "chunk": ["B-NP", "I-NP"]},
        ("Yes",): {"xpos": ["_"], "chunk": ["O"]},
    }


def test_entities_of_conll2003(tmp_path, monkeypatch):
    """With the features, and the names of tags, that TFDS' own data set has."""
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    from tensorflow_datasets.core.dataset_builders.conll import conll_dataset_builder_utils

    row = {"tokens": ["Ann", "ran"], "pos": ["NNP", "VBD"], "chunks": ["B-NP", "B-VP"]}
    tfds.dataset_builders.AdhocBuilder(
        name="tiny_conll",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            conll_dataset_builder_utils.CONLL_2003_ORDERED_FEATURES
        ),
        split_datasets={"train": [(0, row | {"ner": ["B-PER", "O"]})],
                        "dev": [(0, row | {"ner": ["B-ORG", "O"]})]},
        data_dir=tmp_path,
    ).download_and_prepare()  # fmt: skip
    settings = NerSettings(data="tfds:tiny_conll")
    corpus = Ner().read(settings, settings.data, download=False)
    assert list(corpus.splits) == ["train", "validation"]
    assert corpus.splits["train"][0].words == ["Ann", "ran"]
    assert corpus.splits["train"][0].columns == {
        "xpos": ["NNP", "VBD"], "chunk": ["B-NP", "B-VP"], "ner": ["B-PER", "O"],
    }  # fmt: skip
    with pytest.raises(UserError, match="tfds:tiny_conll: its sentences have no columns to choose"):
        Ner().read(replace(settings, word_column="2"), settings.data, download=False)


def test_a_set_without_tagged_sentences(data_dir):
    with pytest.raises(UserError, match=r"has no tagged sentences .* it has .*text"):
        read_tagged("tiny_reviews", download=False)


def test_a_treebank_needs_conllu_before_the_download(data_dir, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"package conllu, .* pip install 'conllu"):
        read_tagged("universal_dependencies/en_ewt", download=True)


def prepare(data_dir, features, splits, keys=None):
    """Prepares a data set ``tiny_pairs``, by a builder, as an ad-hoc one names no keys."""

    class TinyPairs(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=keys)

        def _split_generators(self, dl_manager):
            return {split: enumerate(rows) for split, rows in splits.items()}

        def _generate_examples(self):
            raise NotImplementedError

    TinyPairs(data_dir=data_dir).download_and_prepare()


def test_translations(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    row = {"pt": "Olá é", "en": "Hello é", "fr": ""}
    prepare(
        tmp_path,
        tfds.features.Translation(languages=["pt", "en", "fr"]),
        {"train": [row], "validation": [row], "extra": [row]},
        keys=("pt", "en"),
    )
    corpus = read_parallel("tiny_pairs", "", "", download=False)
    assert corpus.languages == ("pt", "en")
    pairs = [Pair("Olá é", "Hello é", "Olá é")]
    assert corpus.splits == {"train": pairs, "validation": pairs}
    assert "tiny_pairs" in corpus.source
    assert corpus.notes == []
    swapped = read_parallel("tiny_pairs", "en", "pt", download=False)
    assert swapped.splits["train"] == [Pair("Hello é", "Olá é", "Hello é")]
    with pytest.raises(UserError, match=r"row 1 of validation: an empty sentence in the validatio"):
        read_parallel("tiny_pairs", "en", "fr", download=False)
    there = "choose two of (en|pt|fr|, )+ with --source and --target"
    with pytest.raises(UserError, match=f"has no language 'de': {there}"):
        read_parallel("tiny_pairs", "de", "en", download=False)
    with pytest.raises(UserError, match=f"has several languages: {there}"):
        read_parallel("tiny_pairs", "pt", "", download=False)
    with pytest.raises(UserError, match=r"is not prepared in .* add --download"):
        read_parallel("ted_hrlr_translate/pt_to_en", "", "", download=False)


def test_translations_into_some_languages(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    rows = [{"en": "One", "de": "Eins", "fr": "Un"}, {"en": "Two", "fr": "Deux"}]
    features = {
        "translations": tfds.features.TranslationVariableLanguages(languages=["en", "de", "fr"]),
        "talk_name": tfds.features.Text(),
    }
    splits = {"train": [{"translations": row, "talk_name": "talk"} for row in rows]}
    prepare(tmp_path, tfds.features.FeaturesDict(features), splits)
    corpus = read_parallel("tiny_pairs", "en", "de", download=False)
    assert corpus.splits == {"train": [Pair("One", "Eins", "One")]}
    assert corpus.notes == ["1 rows without en or de skipped"]
    corpus = read_parallel("tiny_pairs", "fr", "en", download=False)
    assert sorted(corpus.splits["train"]) == [Pair("Deux", "Two", "Deux"), Pair("Un", "One", "Un")]
    with pytest.raises(UserError, match="several languages: choose two of"):
        read_parallel("tiny_pairs", "", "", download=False)


def test_a_set_without_translations(data_dir):
    with pytest.raises(UserError, match=r"has no translations; it has .*text"):
        read_parallel("tiny_reviews", "en", "de", download=False)
