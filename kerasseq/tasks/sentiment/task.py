"""Sentiment, or any other classification of texts: what it declares."""

from __future__ import annotations

from collections import Counter
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
    class_names,
    cut_corpus,
    encode_corpus,
    encode_test,
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
        label: the likeliest class.
        probability: of that class.
        probabilities: of every class; None where an export's client does not tell.
        cut: whether the text was longer than what is read of it (``text.max_length``).
    """

    text: str
    label: str
    probability: float
    probabilities: dict[str, float] | None
    cut: bool


_COLUMNS = ("text_column", "label_column")


class Sentiment(Task[SentimentSettings, LabelledData, Assets]):
    """Text classification."""

    name = "sentiment"
    title = "Sentiment classification with recurrent networks"
    label = "Sentiment"
    settings_class = SentimentSettings
    assets_class = Assets
    prediction_class = Prediction
    goals = {"accuracy": "max", "loss": "min"}
    data_settings = (*Task.data_settings, "held_out", "text", "vectors", *_COLUMNS)
    reading_settings = (*Task.reading_settings, *_COLUMNS)
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
        from kerasseq.tasks.sentiment.reading import Columns, read_path
        from kerasseq.tasks.sentiment.tfds import read_tfds

        columns = Columns(settings.text_column, settings.label_column)
        form = settings.table_format()
        return read_source(
            source,
            embedded=imdb_reviews,
            tfds=partial(read_tfds, columns=columns, download=download),
            path=partial(read_path, columns=columns, encoding=settings.encoding, form=form),
        )

    def from_memory(
        self, settings: SentimentSettings, data: Any, assets: Assets | None = None
    ) -> Corpus[LabelledText]:
        from kerasseq.data.fields import label_of, noted, text_of
        from kerasseq.data.memory import Row, corpus_of

        columns, kinds = (settings.text_column, settings.label_column), set[type]()
        counts: Counter[str] = Counter()

        def example(row: Row) -> LabelledText:
            text, label = row.values
            return LabelledText(
                text_of(text, row.where, columns[0], counts),
                label_of(label, row.where, columns[1], kinds, counts),
            )

        corpus = corpus_of(data, columns, example)
        return Corpus(corpus.source, corpus.splits, noted(counts))

    def prepare(
        self,
        settings: SentimentSettings,
        corpus: Corpus[LabelledText],
        assets: Assets | None = None,
    ) -> LabelledData:
        corpus = cut_corpus(corpus, settings.held_out, settings.seed)
        data = encode_corpus(corpus, class_names(corpus), settings.text, assets)
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
        sizes = len(assets.vocabulary), len(assets.class_names)
        return build_model(settings.model, *sizes, kernels, self.name)

    def adapt(
        self, model: keras.Model, settings: SentimentSettings, data: LabelledData
    ) -> list[str]:
        from kerasseq.tasks.sentiment.model import NGRAMS, start_wide
        from kerasseq.text.vocabulary import UNK

        tokens = data.assets.vocabulary.tokens
        lines = start_embedding(model.get_layer("embedding"), tokens, data.vectors, settings)
        if not settings.model.ngrams:
            return lines
        train, bayes = data.splits["train"], settings.model.ngram_start == "naive_bayes"
        known = model.get_layer(NGRAMS).adapt(
            train.sequences, settings.model.ngram_documents, UNK if bayes else None
        )
        if bayes:
            start_wide(model, train.sequences, train.labels, len(data.assets.class_names))
        return [*lines, f"wide path: {known:,} n-grams of up to {settings.model.ngrams} words"]

    def loss(
        self, model: keras.Model, settings: SentimentSettings, parts: int = 1
    ) -> Callable[[Any, Mapping[str, Any]], Any]:
        import keras

        from kerasseq.layers.losses import token_nll

        def summed(model: keras.Model, batch: Mapping[str, Any]) -> tuple[Any, Any]:
            each = token_nll(
                batch["label"], model(batch["ids"], training=True), settings.label_smoothing
            )
            return keras.ops.sum(each), keras.ops.cast(keras.ops.size(each), "float32")

        return summed

    def batches(
        self, settings: SentimentSettings, data: LabelledData, parts: int = 1
    ) -> LabelledBatches:
        return LabelledBatches(data.splits["train"], settings.batches, settings.seed)

    # -- use -------------------------------------------------------------------------------------

    def use(self, model: keras.Model, settings: SentimentSettings, assets: Assets) -> Classifier:
        from kerasseq.tasks.sentiment.classifier import Classifier

        return Classifier(model, settings, assets)

    def show_report(self, report: dict[str, Any], name: str, folder: Path | None) -> list[str]:
        from kerasseq import plots
        from kerasseq.tasks.sentiment.report import report_lines

        title = f"{name}: accuracy {report['accuracy']:.4f}"
        if folder:
            names, path = list(report["classes"]), folder / f"{name}.png"
            plots.confusion(report["confusion"], names, path, title)
        return report_lines(report)

    def show_prediction(self, result: dict[str, Any]) -> str:
        cut = "  (cut)" if result["cut"] else ""
        shown = shortened(result["text"])
        return f"{result['label']:>10} {result['probability']:.3f}  {shown}{cut}"

    def identity(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"classes": ", ".join(manifest["data"]["classes"])}

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        from kerasseq.tasks.sentiment.classifier import result_of

        names = manifest["data"]["classes"]
        return result_of(text, outputs["probabilities"], names, outputs["cut"])
