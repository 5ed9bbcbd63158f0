"""Sentiment, or any other classification of texts: what it declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasseq.app.task import Task
from kerasseq.app.word_vectors import check_vectors, folded, start_embedding, with_vectors
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import LabelledText
from kerasseq.data.sources import EMBEDDED, read_source
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.data import (
    Assets,
    LabelledBatches,
    LabelledData,
    cut_corpus,
    encode_corpus,
    encode_test,
    kind_of,
)
from kerasseq.tasks.sentiment.settings import SentimentSettings
from kerasseq.text.shortened import shortened
from kerasseq.tuning.space import Choice, Range

if TYPE_CHECKING:
    import keras

    from kerasseq.tasks.sentiment.classifier import Classifier


@dataclass(frozen=True)
class Prediction:
    """The class of a text.

    Attributes:
        text: as it was given.
        label: the likeliest class; None where a text may have several.
        probability: of that class.
        labels: the classes, where a text may have several; else None.
        probabilities: of every class; None where an export's client does not tell.
        cut: whether the text was longer than what is read of it (``text.max_length``).
    """

    text: str
    label: str | None
    probability: float | None
    labels: list[str] | None
    probabilities: dict[str, float] | None
    cut: bool


_COLUMNS = ("text_column", "label_column")
_LABELS = ("multi_label", "label_separator")


class Sentiment(Task[SentimentSettings, LabelledData, Assets]):
    """Text classification."""

    name = "sentiment"
    title = "Sentiment classification with recurrent networks"
    label = "Sentiment"
    settings_class = SentimentSettings
    assets_class = Assets
    prediction_class = Prediction
    goals = {"accuracy": "max", "macro_f1": "max", "micro_f1": "max", "auc": "max", "loss": "min"}
    data_settings = (*Task.data_settings, "held_out", "vectors", *_COLUMNS, *_LABELS)
    vocabulary_settings = ("text",)
    reading_settings = (*Task.reading_settings, *_COLUMNS, "label_separator")
    search_space = {
        "training.learning_rate": Range(5e-4, 1e-2, log=True),
        "model.cell": Choice(("gru", "lstm")),
        "model.units": Choice((32, 64, 128)),
        "model.word_dropout": Range(0.0, 0.3),
        "model.embedding_dropout": Range(0.0, 0.6),
        "model.output_dropout": Range(0.2, 0.6),
    }

    # -- data ------------------------------------------------------------------------------------

    def check(self, settings: SentimentSettings) -> None:
        check_vectors(settings)
        if not settings.multi_label:
            given = [name for name in ("label_separator", "threshold") if getattr(settings, name)]
            if given:
                raise UserError(f"{', '.join(given)}: only with --multi_label true")
            if settings.training.monitor == "micro_f1":
                raise UserError("training.monitor micro_f1 is accuracy where a text has one class")
        defaults = SentimentSettings()
        given = [n for n in _COLUMNS if getattr(settings, n) != getattr(defaults, n)]
        if settings.data == EMBEDDED and given:
            raise UserError(
                f"{', '.join(given)} and no data: the embedded reviews have no such columns; name "
                "yours (--data)"
            )

    def read(
        self,
        settings: SentimentSettings,
        source: str,
        download: bool,
        assets: Assets | None = None,
    ) -> Corpus[LabelledText]:
        from kerasseq.data.packaged import imdb_reviews
        from kerasseq.tasks.sentiment.labels import LabelReader
        from kerasseq.tasks.sentiment.reading import Columns, read_path
        from kerasseq.tasks.sentiment.tfds import read_tfds

        columns = Columns(settings.text_column, settings.label_column)
        labels = LabelReader(settings.multi_label, settings.label_separator)
        form = settings.table_format()
        return read_source(
            source,
            form=form,
            embedded=imdb_reviews,
            tfds=partial(read_tfds, columns=columns, download=download, labels=labels),
            path=partial(
                read_path, columns=columns, labels=labels, encoding=settings.encoding, form=form
            ),
        )

    def from_memory(
        self, settings: SentimentSettings, data: Any, assets: Assets | None = None
    ) -> Corpus[LabelledText]:
        from kerasseq.data.fields import text_of
        from kerasseq.data.memory import Row, corpus_of
        from kerasseq.data.notes import Notes
        from kerasseq.tasks.sentiment.labels import LabelReader

        columns, notes = (settings.text_column, settings.label_column), Notes()
        labels = LabelReader(settings.multi_label, settings.label_separator)

        def example(row: Row) -> LabelledText:
            text, label = row.values
            return LabelledText(
                text_of(text, row.where, columns[0], notes.counts),
                labels.read(label, row.where, columns[1], notes.counts),
            )

        corpus = corpus_of(data, columns, example)
        said = [*notes.lines(), *labels.notes(notes.counts)]
        return Corpus(corpus.source, corpus.splits, said)

    def complete(
        self,
        settings: SentimentSettings,
        corpus: Corpus[LabelledText],
        share: float | None = None,
    ) -> Corpus[LabelledText]:
        share = settings.held_out if share is None else share
        return cut_corpus(corpus, share, settings.seed, settings.multi_label)

    def label_of(self, example: LabelledText) -> str | None:
        return example.label if isinstance(example.label, str) else None

    def prepare(
        self,
        settings: SentimentSettings,
        corpus: Corpus[LabelledText],
        assets: Assets | None = None,
    ) -> LabelledData:
        corpus = self.complete(settings, corpus)
        kind = assets.kind if assets else kind_of(corpus, settings.multi_label)
        data = encode_corpus(corpus, kind, settings, assets)
        data.report["batches"] = self.batches(settings, data).waste()
        if assets is not None:
            return data
        tokens = {"tokens of the vocabulary": data.assets.vocabulary.tokens}
        return with_vectors(data, settings, tokens, folded)

    def encode(
        self, settings: SentimentSettings, corpus: Corpus[LabelledText], split: str, assets: Assets
    ) -> LabelledData:
        return encode_test(corpus, split, assets, settings.text)

    # -- model and training ----------------------------------------------------------------------

    def build_model(
        self, settings: SentimentSettings, assets: Assets, portable: bool = False
    ) -> keras.Model:
        from kerasseq.tasks.sentiment.model import build_model

        kernels = settings.device.of_layers(portable)
        sizes = len(assets.vocabulary), assets.ngrams, len(assets.kind.names)
        return build_model(settings.model, settings.text, *sizes, kernels, self.name)

    def adapt(
        self, model: keras.Model, settings: SentimentSettings, data: LabelledData
    ) -> list[str]:
        from kerasseq.tasks.sentiment.linear_start import start_wide
        from kerasseq.tasks.sentiment.model import MOST, NGRAMS

        tokens, kind = data.assets.vocabulary.tokens, data.assets.kind
        lines = start_embedding(model.get_layer("embedding"), tokens, data.vectors, settings)
        if not settings.text.ngrams:
            return lines
        model.get_layer(NGRAMS).know(data.ngrams)
        train, balanced = data.splits["train"], settings.class_weight == "balanced"
        known = f"wide path: {len(data.ngrams):,} n-grams of up to {settings.text.ngrams} words"
        if len(kind.names) > MOST:
            return [*lines, f"{known}, which begin at random: more than {MOST} classes"]
        start_wide(model, data.ngrams, train.sequences, train.labels, kind, balanced)
        return [*lines, known]

    def settle(
        self, model: keras.Model, settings: SentimentSettings, data: LabelledData
    ) -> Assets | None:
        """The thresholds, of which the validation split decides."""
        if not settings.multi_label:
            return None
        from kerasseq.tasks.sentiment.multilabel import Multilabel

        kind, validation = data.assets.kind, data.splits["validation"]
        assert isinstance(kind, Multilabel)
        found = [settings.threshold] * len(kind.names)
        if not settings.threshold:
            shares = self.use(model, settings, data.assets).probabilities(validation.sequences)
            found = kind.find_thresholds(shares, validation.labels)
        return data.assets._replace(kind=Multilabel(kind.names, found))

    def loss(
        self, model: keras.Model, settings: SentimentSettings, parts: int = 1
    ) -> Callable[[Any, Mapping[str, Any]], Any]:
        import keras

        from kerasseq.tasks.sentiment.kinds import classification

        kind = classification(settings.multi_label, [])

        def summed(model: keras.Model, batch: Mapping[str, Any]) -> tuple[Any, Any]:
            logits = model(batch["ids"], training=True)
            smoothing, weight = settings.label_smoothing, batch.get("weight")
            each = kind.nll(batch["label"], logits, smoothing, weight)
            return keras.ops.sum(each), keras.ops.cast(keras.ops.size(each), "float32")

        return summed

    def batches(
        self, settings: SentimentSettings, data: LabelledData, parts: int = 1
    ) -> LabelledBatches:
        return LabelledBatches(data.splits["train"], data.assets.kind, settings)

    # -- use -------------------------------------------------------------------------------------

    def use(self, model: keras.Model, settings: SentimentSettings, assets: Assets) -> Classifier:
        from kerasseq.tasks.sentiment.classifier import Classifier

        return Classifier(model, settings, assets)

    def show_report(self, report: dict[str, Any], name: str, folder: Path | None) -> list[str]:
        from kerasseq import plots
        from kerasseq.tasks.sentiment.report import report_lines

        title = f"{name}: accuracy {report['accuracy']:.4f}"
        if folder and "confusion" in report:
            names, path = list(report["classes"]), folder / f"{name}.png"
            plots.confusion(report["confusion"], names, path, title)
        return report_lines(report)

    def show_prediction(self, result: dict[str, Any]) -> str:
        cut = "  (cut)" if result["cut"] else ""
        shown = shortened(result["text"])
        if "labels" in result:
            shares = result["probabilities"]
            given = ", ".join(f"{name} {shares[name]:.3f}" for name in result["labels"])
            return f"{given or 'no label':<24}  {shown}{cut}"
        return f"{result['label']:>10} {result['probability']:.3f}  {shown}{cut}"

    def identity(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        several = {"several classes a text": True} if manifest["settings"]["multi_label"] else {}
        return {"classes": ", ".join(manifest["data"]["classes"]), **several}

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        from kerasseq.tasks.sentiment.classifier import without_padding

        shares = dict(zip(manifest["data"]["classes"], outputs["probabilities"], strict=True))
        given = without_padding(outputs)
        return {"text": text, **given, "probabilities": shares, "cut": bool(outputs["cut"])}
