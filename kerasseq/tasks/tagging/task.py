"""Tagging, and named-entity recognition: what they declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasseq.app.task import Task
from kerasseq.app.word_vectors import check_vectors, noted, start_embedding
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.layouts import Asked
from kerasseq.data.sources import EMBEDDED, paths_of, read_source
from kerasseq.errors import UserError
from kerasseq.tasks.tagging.data import (
    Assets,
    TaggedBatches,
    TaggedData,
    cut_corpus,
    encode_corpus,
    encode_test,
    read_word_vectors,
)
from kerasseq.tasks.tagging.iob import is_iob
from kerasseq.tasks.tagging.options import TAG
from kerasseq.tasks.tagging.settings import NerSettings, TaggingSettings
from kerasseq.tuning.space import Choice, Range, When

if TYPE_CHECKING:
    import keras

    from kerasseq.tasks.tagging.tagger import Tagger

OUTPUTS = ("tokens", "tags", "probabilities")


@dataclass(frozen=True)
class Prediction:
    """The tags of a text.

    Attributes:
        text: as it was given.
        tokens: its words.
        tags: one for each word.
        probabilities: of these tags.
    """

    text: str
    tokens: list[str]
    tags: list[str]
    probabilities: list[float]


_COLUMNS = ("column", "word_column", "sentence_column")


class PosTagging(Task[TaggingSettings, TaggedData, Assets]):
    """Labels for the words of sentences."""

    name = "pos_tagging"
    title = "Part-of-speech tagging with recurrent networks"
    label = "Tagging"
    settings_class = TaggingSettings
    assets_class = Assets
    prediction_class = Prediction
    run_class = "kerasseq.tasks.tagging.run:TaggingRun"
    goals = {"accuracy": "max", "unseen": "max", "f1": "max"}
    data_settings = (*Task.data_settings, "held_out", *_COLUMNS, "vectors")
    vocabulary_settings = ("words",)
    reading_settings = (*Task.reading_settings, *_COLUMNS)
    search_space = {
        "training.learning_rate": Range(1e-3, 1e-2, log=True),
        "model.output": Choice(("softmax", "crf")),
        "model.units": Choice((96, 160, 224)),
        "model.word_dropout": Range(0.1, 0.4),
        "model.input_dropout": Range(0.2, 0.6),
        "model.output_dropout": Range(0.2, 0.6),
        "model.layers": Choice((1, 2)),
        "model.layer_dropout": Range(0.0, 0.5, when=When("model.layers", (2,))),
    }
    verbs = (TAG,)

    # -- data ------------------------------------------------------------------------------------

    def check(self, settings: TaggingSettings) -> None:
        check_vectors(settings)

    def read(
        self,
        settings: TaggingSettings,
        source: str,
        download: bool,
        assets: Assets | None = None,
    ) -> Corpus[TaggedSentence]:
        from kerasseq.data.tagged_files import check_free_word
        from kerasseq.tasks.tagging.embedded import turkish_treebank
        from kerasseq.tasks.tagging.reading import read_path, with_column
        from kerasseq.tasks.tagging.tfds import read_tfds

        asked = Asked(settings.column, settings.word_column, settings.sentence_column)
        if not paths_of(source):
            check_free_word(asked, f"{source}: its sentences")
        corpus = read_source(
            source,
            form=settings.table_format(),
            embedded=turkish_treebank,
            tfds=partial(read_tfds, download=download),
            path=partial(
                read_path,
                encoding=settings.encoding,
                asked=asked,
                form=settings.table_format(),
            ),
        )
        return with_column(corpus, settings.column)

    def from_memory(
        self, settings: TaggingSettings, data: Any, assets: Assets | None = None
    ) -> Corpus[TaggedSentence]:
        from kerasseq.data.fields import strings_of
        from kerasseq.data.memory import Row, corpus_of
        from kerasseq.tasks.tagging.reading import with_column

        columns = ("tokens", settings.column)

        def example(row: Row) -> TaggedSentence:
            words, tags = (
                strings_of(value, row.where, name)
                for value, name in zip(row.values, columns, strict=True)
            )
            if len(words) != len(tags):
                raise UserError(f"{row.where}: {len(words)} tokens, but {len(tags)} tags")
            if not words:
                raise UserError(f"{row.where}: no tokens")
            return TaggedSentence(words, {settings.column: tags})

        return with_column(corpus_of(data, columns, example), settings.column)

    def complete(
        self,
        settings: TaggingSettings,
        corpus: Corpus[TaggedSentence],
        share: float | None = None,
    ) -> Corpus[TaggedSentence]:
        return cut_corpus(corpus, settings.held_out if share is None else share, settings.seed)

    def prepare(
        self,
        settings: TaggingSettings,
        corpus: Corpus[TaggedSentence],
        assets: Assets | None = None,
    ) -> TaggedData:
        corpus = self.complete(settings, corpus)
        if settings.vectors and assets is None:
            data = _with_vectors(settings, corpus)
        else:
            data = encode_corpus(corpus, settings.column, settings.words, assets)
        if settings.training.monitor == "f1" and not is_iob(data.assets.names):
            raise UserError("training.monitor: f1 is that of spans, and these tags are not IOB")
        return data

    def as_trained(
        self,
        settings: TaggingSettings,
        reading: TaggingSettings,
        corpus: Corpus[TaggedSentence],
        assets: Assets,
    ) -> Corpus[TaggedSentence]:
        if reading.column == settings.column:
            return corpus

        def renamed(sentence: TaggedSentence) -> TaggedSentence:
            tags = sentence.columns[reading.column]
            return replace(sentence, columns={**sentence.columns, settings.column: tags})

        splits = {split: [renamed(one) for one in part] for split, part in corpus.splits.items()}
        note = f"the column {reading.column} is compared with {settings.column}"
        return Corpus(corpus.source, splits, [*corpus.notes, note])

    def encode(
        self,
        settings: TaggingSettings,
        corpus: Corpus[TaggedSentence],
        split: str,
        assets: Assets,
    ) -> TaggedData:
        return encode_test(corpus, split, settings.column, assets)

    # -- model and training ----------------------------------------------------------------------

    def build_model(
        self, settings: TaggingSettings, assets: Assets, portable: bool = False
    ) -> keras.Model:
        from kerasseq.tasks.tagging.model import build_model

        return build_model(settings, assets, settings.device.of_layers(portable), self.name)

    def adapt(self, model: keras.Model, settings: TaggingSettings, data: TaggedData) -> list[str]:
        forms = data.assets.features.words.tokens
        return start_embedding(model.get_layer("embedding"), forms, data.vectors, settings)

    def loss(
        self, model: keras.Model, settings: TaggingSettings, parts: int = 1
    ) -> Callable[[Any, Mapping[str, Any]], Any]:
        from keras import ops

        from kerasseq.layers.losses import token_nll
        from kerasseq.tasks.tagging.model import CRF_LAYER

        def summed(model: keras.Model, batch: Mapping[str, Any]) -> tuple[Any, Any]:
            scores = model({name: batch[name] for name in model.input}, training=True)["scores"]
            mask = ops.not_equal(batch["index"], 0)
            valid = ops.cast(mask, "float32")
            if settings.model.output == "crf":
                crf = model.get_layer(CRF_LAYER)
                total = -ops.sum(crf.log_likelihood(scores, batch["tags"], mask))
            else:
                each = token_nll(batch["tags"], scores, settings.label_smoothing)
                total = ops.sum(each * valid)
            return total, ops.sum(valid)

        return summed

    def batches(self, settings: TaggingSettings, data: TaggedData, parts: int = 1) -> TaggedBatches:
        return TaggedBatches(data.splits["train"], settings.batches, settings.seed)

    # -- use -------------------------------------------------------------------------------------

    def use(self, model: keras.Model, settings: TaggingSettings, assets: Assets) -> Tagger:
        from kerasseq.tasks.tagging.tagger import Tagger

        return Tagger(model, settings, assets)

    def show_report(self, report: dict[str, Any], name: str, folder: Path | None) -> list[str]:
        from kerasseq import plots
        from kerasseq.tasks.tagging.report import report_lines

        title = f"{name}: accuracy {report['accuracy']:.4f}"
        if folder:
            names, path = list(report["classes"]), folder / f"{name}.png"
            plots.confusion(report["confusion"], names, path, title)
        return report_lines(report)

    def show_prediction(self, result: dict[str, Any]) -> str:
        return " ".join(f"{w}/{t}" for w, t in zip(result["tokens"], result["tags"], strict=True))

    def table_fields(self, result: Mapping[str, Any]) -> dict[str, Any]:
        from kerasseq.data.table_writer import Words

        return {name: Words(result[name]) for name in ("tokens", "tags")}

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {"text": text, **{name: outputs[name] for name in OUTPUTS}}

    def identity(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"column": manifest["settings"]["column"]}


class Ner(PosTagging):
    """Named entities: the same with a CRF over IOB2 tags, judged by the F1 of whole entities."""

    name = "ner"
    title = "Named-entity recognition with recurrent networks"
    label = "Entities"
    settings_class = NerSettings
    search_space = {
        name: values for name, values in PosTagging.search_space.items() if name != "model.output"
    }

    def check(self, settings: TaggingSettings) -> None:
        _check_given(settings.data, "--data")
        super().check(settings)

    def read(
        self,
        settings: TaggingSettings,
        source: str,
        download: bool,
        assets: Assets | None = None,
    ) -> Corpus[TaggedSentence]:
        _check_given(source, "--on")
        return super().read(settings, source, download, assets)


def _with_vectors(settings: TaggingSettings, corpus: Corpus[TaggedSentence]) -> TaggedData:
    """Encoded data of a new run, whose vocabulary has words of the given vectors too."""
    path, notes = Path(settings.vectors), list[str]()
    sizes = settings.words.vocabulary_size, settings.model.embedding
    vectors, coverage = read_word_vectors(corpus.splits["train"], path, *sizes, notes)
    data = encode_corpus(corpus, settings.column, settings.words, None, vectors)
    return noted(data, path, coverage, vectors, notes)


def _check_given(source: str, option: str) -> None:
    """Raises:
    UserError: if no corpus of named entities is given.
    """
    if source in ("", EMBEDDED):
        raise UserError(
            f"no package has a corpus of named entities: give {option}, a file or folder of "
            "WORD TAG or WORD POS CHUNK ENTITY lines, a table, or tfds:conll2003"
        )
