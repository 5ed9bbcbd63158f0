"""Sentiment, or any other classification of texts, with a recurrent network.

    python -m tasks.sentiment train

Follow one review through :mod:`kerasseq.data.packaged`, :mod:`kerasseq.tasks.sentiment.data`,
:mod:`kerasseq.data.batches`, :meth:`Sentiment.build_model`, :mod:`kerasseq.training.trainer`,
:mod:`kerasseq.evaluation.classification` and :mod:`kerasseq.export.saved_model`.
"""

# No `from __future__ import annotations` here: jsonargparse would resolve the names below
# TYPE_CHECKING to read the settings' types, and import tensorflow for every --help.
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kerasseq.config import Settings, group, setting
from kerasseq.data.batches import BatchSettings
from kerasseq.tasks.sentiment.data import LabelledData, TextSettings
from kerasseq.errors import UserError
from kerasseq.export.serving import Serving, text_signature
from kerasseq.app.task import Task, TaskSettings
from kerasseq.text.vocabulary import PAD, Vocabulary
from kerasseq.training.settings import TrainingSettings
from kerasseq.tuning.space import Choice, Range

if TYPE_CHECKING:
    import keras

    from kerasseq.export.elementary import Elementary
    from kerasseq.training.run_folder import RunFolder

EXAMPLES = (
    "A moving, beautifully acted film. I loved every minute of it.",
    "Two hours of my life that I will never get back.",
    "The first half drags, but the ending is so good that I forgave everything.",
)
POOLINGS = ("last", "mean", "max", "attention")
NGRAMS = "ngrams"  # the layer's name


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Embedding, recurrent stack, pooling, softmax."""

    embedding: int = setting(96, ge=1)
    """Size of the word vectors."""
    cell: Literal["simple_rnn", "gru", "lstm"] = "lstm"
    """Recurrent cell of every layer."""
    units: int = setting(64, ge=1)
    """Size of the recurrent state, for each direction."""
    layers: int = setting(1, ge=1)
    """Recurrent layers."""
    bidirectional: bool = True
    """Whether to read the text in both directions."""
    pooling: str = "max"
    """Sequence to vector: last, mean, max or attention, or several joined by +."""
    ngrams: int = setting(3, ge=0, le=8)
    """Longest n-gram of the wide path, a bag of frequent n-grams beside the recurrent network;
    0 turns it off."""
    ngram_rows: int = setting(600_000, ge=1)
    """Most n-grams known to the wide path."""
    ngram_size: int = setting(8, ge=1)
    """Size of an n-gram's vector."""
    ngram_documents: int = setting(2, ge=1)
    """An n-gram must occur in this many training texts."""
    word_dropout: float = setting(0.1, ge=0, lt=1)
    """Share of words that become unknown in training."""
    embedding_dropout: float = setting(0.3, ge=0, lt=1)
    """Variational dropout of the word vectors: the same mask at every step."""
    layer_dropout: float = setting(0.3, ge=0, lt=1)
    """Variational dropout between recurrent layers."""
    recurrent_dropout: float = setting(0.0, ge=0, lt=1)
    """Variational dropout of the recurrent state; cuDNN does not have it."""
    output_dropout: float = setting(0.5, ge=0, lt=1)
    """Dropout of the pooled vector."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self.pooling.split("+")
        if not set(names) <= set(POOLINGS) or len(set(names)) < len(names):
            raise UserError(
                f"pooling must be of {', '.join(POOLINGS)}, joined by +, got {self.pooling!r}"
            )


@dataclass(frozen=True)
class SentimentSettings(TaskSettings):
    """What is trained, on what."""

    text_column: str = "text"
    """Column of the texts in a CSV, TSV, JSON lines or TFDS source."""
    label_column: str = "label"
    """Column of the labels."""
    held_out: float = setting(0.1, gt=0, lt=0.5)
    """Share of the validation split, and of the test split where the data has none."""
    label_smoothing: float = setting(0.05, ge=0, lt=1)
    """Share of the target probability that is spread over all classes in training."""
    text: TextSettings = group(TextSettings)
    batches: BatchSettings = group(BatchSettings)
    model: ModelSettings = group(ModelSettings)
    training: TrainingSettings = group(TrainingSettings)


class Assets(NamedTuple):
    """What a classifier needs beside its weights."""

    vocabulary: Vocabulary
    class_names: list[str]


class Sentiment(Task[SentimentSettings, LabelledData, Assets]):
    """Text classification."""

    name = "sentiment"
    title = "Sentiment classification with recurrent networks"
    settings_class = SentimentSettings
    goals = {"accuracy": "max", "loss": "min"}
    data_settings = (*Task.data_settings, "held_out", "text", "text_column", "label_column")
    search_space = {
        "training.learning_rate": Range(5e-4, 1e-2, log=True),
        "model.cell": Choice(("gru", "lstm")),
        "model.units": Choice((32, 64, 128)),
        "model.word_dropout": Range(0.0, 0.3),
        "model.embedding_dropout": Range(0.0, 0.6),
        "model.output_dropout": Range(0.2, 0.6),
    }

    # -- data ------------------------------------------------------------------------------------

    def load_data(self, settings: SentimentSettings, download: bool) -> LabelledData:
        from kerasseq.data import batches, labelled
        from kerasseq.tasks.sentiment import data as encoded

        corpus = self._read(settings, settings.data, download)
        corpus = labelled.cut_splits(corpus, settings.held_out, settings.seed)
        data = encoded.encode_corpus(corpus, labelled.class_names(corpus), settings.text)
        lengths = data.splits["train"].lengths
        epoch = batches.shuffled_batches(lengths, settings.batches, settings.seed, 0)
        waste = batches.padding_waste(lengths, epoch, settings.batches.pad_to_multiple)
        data.report["batches"] = {"padding waste": f"{waste:.2%} of {len(epoch)} training batches"}
        return data

    def _read(self, settings: SentimentSettings, source: str, download: bool) -> Any:
        from kerasseq.data import tfds
        from kerasseq.data import packaged as embedded
        from kerasseq.data import reading as files

        columns = settings.text_column, settings.label_column
        if source == "embedded":
            return embedded.imdb_reviews()
        if source.startswith("tfds:"):
            return tfds.read_labelled(source.removeprefix("tfds:"), *columns, download)
        return files.read_path(Path(source), *columns, settings.encoding)

    def labelled_file(
        self,
        settings: SentimentSettings,
        assets: Assets,
        source: str,
        split: str | None,
        download: bool,
    ) -> LabelledData:
        from kerasseq.data import labelled, splits
        from kerasseq.tasks.sentiment import data as encoded
        from kerasseq.text.tokenizer import tokenize

        corpus = labelled.without_empty(self._read(settings, source, download))
        chosen = splits.chosen_split(corpus.source, corpus.splits, split)
        examples = corpus.splits[chosen]
        labelled.check_labels(examples, assets.class_names, corpus.source)
        part, summary = encoded.encode_split(
            examples,
            map(tokenize, examples.texts),
            assets.class_names,
            assets.vocabulary,
            settings.text,
        )
        report = {
            "source": corpus.source,
            "notes": corpus.notes,
            "classes": assets.class_names,
            "vocabulary": len(assets.vocabulary),
            "splits": {chosen: summary},
        }
        return LabelledData({"test": part}, assets.vocabulary, assets.class_names, report)

    def data_report(self, data: LabelledData) -> dict[str, Any]:
        return data.report

    def samples(self, data: LabelledData) -> list[str]:
        return data.splits["validation"].texts[:64]

    def examples(self, run: "RunFolder") -> tuple[str, ...]:
        return EXAMPLES

    def assets(self, data: LabelledData) -> Assets:
        return Assets(data.vocabulary, data.class_names)

    def save_assets(self, assets: Assets, run: "RunFolder") -> None:
        from kerasseq.storage import write_json

        assets.vocabulary.save(run / "vocabulary.txt")
        write_json(run / "classes.json", assets.class_names)

    def load_assets(self, run: "RunFolder") -> Assets:
        return Assets(Vocabulary.load(run / "vocabulary.txt"), run.need_json("classes.json"))

    def assumed_assets(self, settings: SentimentSettings) -> Assets:
        return Assets(Vocabulary.assumed(settings.text.vocabulary_size), ["negative", "positive"])

    # -- model -----------------------------------------------------------------------------------

    def build_model(
        self, settings: SentimentSettings, assets: Assets, portable: bool = False
    ) -> "keras.Model":
        import keras

        from kerasseq import layers

        options = settings.model
        poolings = {
            "last": lambda: layers.LastPooling(options.bidirectional, name="last"),
            "mean": lambda: layers.MeanPooling(name="mean"),
            "max": lambda: layers.MaxPooling(name="max"),
            "attention": lambda: layers.AttentionPooling(name="attention"),
        }
        ids = keras.Input([None], dtype="int32", name="ids")
        mask = keras.ops.not_equal(ids, PAD)
        x = layers.WordDropout(options.word_dropout, name="word_dropout")(ids)
        x = keras.layers.Embedding(len(assets.vocabulary), options.embedding, name="embedding")(x)
        x = layers.LockedDropout(options.embedding_dropout, name="embedding_dropout")(x)
        x = layers.RecurrentStack(
            options.units,
            num_layers=options.layers,
            cell=options.cell,
            bidirectional=options.bidirectional,
            dropout=options.layer_dropout,
            recurrent_dropout=options.recurrent_dropout,
            **settings.device.of_layers(portable),
            name="recurrent",
        )(x, mask=mask)
        pooled = [poolings[name]()(x, mask=mask) for name in options.pooling.split("+")]
        if options.ngrams:
            bag = layers.BagOfNgrams(
                options.ngram_rows, options.ngram_size, options.ngrams, name=NGRAMS
            )
            pooled.append(bag(ids, mask=mask))
        x = keras.layers.Concatenate(name="pooled")(pooled) if len(pooled) > 1 else pooled[0]
        x = keras.layers.Dropout(options.output_dropout, name="output_dropout")(x)
        logits = keras.layers.Dense(len(assets.class_names), dtype="float32", name="logits")(x)
        return keras.Model(ids, logits, name=self.name)

    def adapt(
        self, model: "keras.Model", settings: SentimentSettings, data: LabelledData
    ) -> list[str]:
        if not settings.model.ngrams:
            return []
        known = model.get_layer(NGRAMS).adapt(
            data.splits["train"].sequences, settings.model.ngram_documents
        )
        return [f"wide path: {known:,} n-grams of up to {settings.model.ngrams} words"]

    def loss(
        self, model: "keras.Model", settings: SentimentSettings, parts: int = 1
    ) -> Callable[[Any, Mapping[str, Any]], Any]:
        import keras

        from kerasseq.layers.losses import token_nll

        def summed(model: "keras.Model", batch: Mapping[str, Any]) -> tuple[Any, Any]:
            each = token_nll(
                batch["label"], model(batch["ids"], training=True), settings.label_smoothing
            )
            return keras.ops.sum(each), keras.ops.cast(keras.ops.size(each), "float32")

        return summed

    def batches(self, settings: SentimentSettings, data: LabelledData, parts: int = 1) -> Any:
        from kerasseq.data.batches import LabelledBatches

        train = data.splits["train"]
        return LabelledBatches(train.sequences, train.labels, settings.batches, settings.seed)

    def validator(
        self, model: "keras.Model", settings: SentimentSettings, data: LabelledData
    ) -> Callable[[], dict[str, float]]:
        from kerasseq.evaluation.classification import log_loss
        from kerasseq.tasks.sentiment.classifier import Classifier

        classify, split = Classifier(model), data.splits["validation"]

        def validate() -> dict[str, float]:
            shares = classify(split.sequences)
            right = shares.argmax(axis=1) == split.labels
            return {"accuracy": float(right.mean()), "loss": log_loss(shares, split.labels)}

        return validate

    # -- use -------------------------------------------------------------------------------------

    def evaluate(
        self, model: "keras.Model", settings: SentimentSettings, data: LabelledData, split: str
    ) -> dict[str, Any]:
        from kerasseq.evaluation.classification import report
        from kerasseq.tasks.sentiment.classifier import Classifier

        part = data.splits[split]
        return report(Classifier(model)(part.sequences), part.labels, data.class_names)

    def show_report(self, report: dict[str, Any], name: str, folder: Path) -> list[str]:
        from kerasseq.evaluation import classification
        from kerasseq import plots

        title = f"{name}: accuracy {report['accuracy']:.4f}"
        plots.confusion(report["confusion"], list(report["classes"]), folder / f"{name}.png", title)
        return classification.report_lines(report)

    def predict(
        self,
        model: "keras.Model",
        settings: SentimentSettings,
        assets: Assets,
        texts: Iterable[str],
    ) -> Iterator[dict[str, Any]]:
        from kerasseq.data.batches import blocks
        from kerasseq.tasks.sentiment.data import encode_text
        from kerasseq.tasks.sentiment.classifier import Classifier

        classify = Classifier(model)
        for block in blocks(iter(texts), 256):
            encoded = [encode_text(text, assets.vocabulary, settings.text) for text in block]
            for text, shares in zip(block, classify(encoded).tolist(), strict=True):
                yield _result(text, shares, assets.class_names)

    def show_prediction(self, result: dict[str, Any]) -> str:
        from kerasseq.text.shortened import shortened

        return f"{result['label']:>10} {result['probability']:.3f}  {shortened(result['text'])}"

    # -- export ----------------------------------------------------------------------------------

    def serving(
        self, model: "keras.Model", settings: SentimentSettings, assets: Assets, run: "RunFolder"
    ) -> Serving:
        from kerasseq.tasks.sentiment.export import TextClassifier

        def reference(texts: list[str]) -> list[dict[str, Any]]:
            return [
                {
                    "label": result["label"],
                    "probability": result["probability"],
                    "probabilities": list(result["probabilities"].values()),
                }
                for result in self.predict(model, settings, assets, texts)
            ]

        module = TextClassifier(model, assets.vocabulary, assets.class_names, settings.text)
        samples = run.need_json("samples.json")
        return Serving(
            module, {"serving_default": text_signature(module.serve, reference, samples)}
        )

    def elementary(
        self, model: "keras.Model", settings: SentimentSettings, assets: Assets
    ) -> "Elementary":
        from kerasseq.export.elementary import classifier
        from kerasseq.text.cut import parts

        ngrams = model.get_layer(NGRAMS) if settings.model.ngrams else None
        kept = parts(settings.text.max_length, settings.text.keep)
        tokens = assets.vocabulary.tokens
        return classifier(model, settings, tokens, assets.class_names, kept, ngrams)

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        return _result(text, outputs["probabilities"], manifest["data"]["classes"])


def _result(text: str, shares: list[float], names: list[str]) -> dict[str, Any]:
    best = max(range(len(names)), key=shares.__getitem__)
    return {
        "text": text,
        "label": names[best],
        "probability": shares[best],
        "probabilities": dict(zip(names, shares, strict=True)),
    }
