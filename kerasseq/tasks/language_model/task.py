"""Language models of words or characters with recurrent networks.

    python -m tasks.language_model train

Follow a text through :mod:`kerasseq.tasks.language_model.reading`, :mod:`kerasseq.text.codec`,
:mod:`kerasseq.tasks.language_model.data`, :mod:`kerasseq.tasks.language_model.streams`,
:mod:`kerasseq.tasks.language_model.model`, :mod:`kerasseq.training.trainer`,
:mod:`kerasseq.tasks.language_model.scorer`, :mod:`kerasseq.decoding` and
:mod:`kerasseq.tasks.language_model.export`.
"""

# No `from __future__ import annotations` here: jsonargparse would resolve the names below
# TYPE_CHECKING to read the settings' types, and import tensorflow for every --help.
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from kerasseq.config import Settings, group, setting
from kerasseq.tasks.language_model.data import TextData, VocabularySettings
from kerasseq.tasks.language_model.streams import StreamSettings
from kerasseq.errors import UserError
from kerasseq.export.serving import Serving
from kerasseq.app.task import Task, TaskSettings
from kerasseq.app.options import language_verbs
from kerasseq.text.codec import Codec
from kerasseq.text.vocabulary import BOS, PAD, Vocabulary
from kerasseq.training.settings import TrainingSettings
from kerasseq.tuning.space import Choice, Range, When

if TYPE_CHECKING:
    import keras

    from kerasseq.export.elementary import Elementary
    from kerasseq.training.run_folder import RunFolder
    from kerasseq.training.trainer import Loss

EXAMPLES = ("this is one of the", "i would not", "the acting was")
VALIDATION_STREAMS = 20
ASSUMED_VOCABULARY = {"word": 10_000, "char": 100}
LARGE_VOCABULARY = 20_000


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Embedding and softmax with one matrix, a recurrent stack between them."""

    embedding: int = setting(256, ge=1)
    """Size of the token vectors, which the softmax uses too."""
    cell: Literal["simple_rnn", "gru", "lstm"] = "lstm"
    """Recurrent cell of every layer."""
    units: int = setting(512, ge=1)
    """Size of the recurrent state; a projection follows if embedding differs."""
    layers: int = setting(1, ge=1)
    """Recurrent layers."""
    softmax: Literal["auto", "full", "sampled", "adaptive"] = "auto"
    """Training loss: full; sampled, estimated from some of the vocabulary; or adaptive, in clusters
    of falling frequency. Auto is sampled above 20,000 ids, else full. Nothing is sampled in
    evaluation; adaptive is another distribution there too."""
    sampled: int = setting(1024, ge=1)
    """Candidates of the sampled softmax, drawn for every batch."""
    cutoffs: str = "2000,10000"
    """First ids of the clusters of the adaptive softmax, ascending."""
    embedding_dropout: float = setting(0.0, ge=0, lt=1)
    """Share of the vocabulary whose vectors are dropped, wherever they stand in the batch."""
    input_dropout: float = setting(0.2, ge=0, lt=1)
    """Variational dropout of the token vectors: the same mask at every step."""
    layer_dropout: float = setting(0.2, ge=0, lt=1)
    """Variational dropout between recurrent layers."""
    output_dropout: float = setting(0.2, ge=0, lt=1)
    """Variational dropout of the last layer's output."""
    recurrent_dropout: float = setting(0.0, ge=0, lt=1)
    """Variational dropout of the recurrent state."""
    weight_drop: float = setting(0.0, ge=0, lt=1)
    """DropConnect of the recurrent weights, one mask a batch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clusters()

    def clusters(self) -> list[int]:
        """The cutoffs as numbers.

        Raises:
            UserError: if they are not ascending numbers.
        """
        try:
            found = [int(part) for part in self.cutoffs.split(",")]
        except ValueError:
            found = []
        if not found or found != sorted(set(found)) or found[0] < 1:
            raise UserError(f"cutoffs must be ascending numbers, got {self.cutoffs!r}")
        return found


@dataclass(frozen=True)
class LanguageModelSettings(TaskSettings):
    """What is trained, on what."""

    text_column: str = "text"
    """Feature of the text in a TFDS source."""
    validation_share: float = setting(0.05, gt=0, lt=0.5)
    """Share of a text without splits that is the validation split: what stands before test."""
    test_share: float = setting(0.1, ge=0, lt=0.5)
    """Share of a text without splits that is the test split: its end."""
    init_from: str = ""
    """Run folder of a language model whose embedding and recurrent weights training starts from."""
    activation: float = setting(0.0, ge=0)
    """Activation regularisation (AR): weight of the mean squared output, after dropout."""
    temporal_activation: float = setting(0.0, ge=0)
    """Temporal activation regularisation (TAR): weight of the mean squared change of the output
    from step to step, before dropout."""
    score_streams: int = setting(1, ge=1)
    """Streams that a split is cut into for evaluate, read side by side, each from a zero state; 1
    is how results are published, more are faster."""
    text: VocabularySettings = group(VocabularySettings)
    streams: StreamSettings = group(StreamSettings)
    model: ModelSettings = group(ModelSettings)
    training: TrainingSettings = group(
        TrainingSettings,
        monitor="perplexity",
        learning_rate=2e-3,
        momentum=0.0,  # far better than 0.9 on language models: Melis et al. 2018, and measured
        average=0.999,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.streams.mode == "sentences" and self.score_streams > 1:
            raise UserError("score_streams is for streams.mode streams: sentences have no streams")


class Assets(NamedTuple):
    """What a language model needs beside its weights.

    Attributes:
        codec: text to ids and back.
        counts: training frequency of every id, int64 `[V]`.
    """

    codec: Codec
    counts: np.ndarray


class LanguageModel(Task[LanguageModelSettings, TextData, Assets]):
    """Language modelling."""

    name = "language_model"
    title = "Language model with recurrent networks"
    settings_class = LanguageModelSettings
    goals = {"perplexity": "min", "loss": "min"}
    data_settings = (
        *Task.data_settings,
        "validation_share",
        "test_share",
        "text_column",
        "text",
        "init_from",
    )
    search_space = {
        "training.learning_rate": Range(5e-4, 1e-2, log=True),
        "model.cell": Choice(("gru", "lstm")),
        "model.units": Choice((128, 256, 512)),
        "model.input_dropout": Range(0.0, 0.6),
        "model.output_dropout": Range(0.0, 0.6),
        "model.weight_drop": Range(0.0, 0.5),
        "model.layers": Choice((1, 2)),
        "model.layer_dropout": Range(0.0, 0.5, when=When("model.layers", (2,))),
    }
    extra_verbs = language_verbs("language_model")

    # -- data ------------------------------------------------------------------------------------

    def check(self, settings: LanguageModelSettings) -> None:
        from kerasseq.training.run_folder import RunFolder
        from kerasseq.tasks.language_model.starting_point import check_start

        if settings.init_from:
            check_start(RunFolder(Path(settings.init_from)))

    def load_data(self, settings: LanguageModelSettings, download: bool) -> TextData:
        from kerasseq.tasks.language_model import data as running_text
        from kerasseq.tasks.language_model import reading as texts

        corpus = self._read(settings, settings.data, download)
        char = settings.text.level == "char"
        unit: Literal["characters", "lines"] = "characters" if char else "lines"
        corpus = texts.cut_text(corpus, settings.validation_share, settings.test_share, unit)
        data = running_text.encode_corpus(corpus, settings.text)
        size, tokens = settings.streams.size, len(data.splits["train"])
        if settings.streams.mode == "streams" and size > tokens:
            raise UserError(f"streams.size {size:,} is more than the {tokens:,} tokens of train")
        return data

    def _read(self, settings: LanguageModelSettings, source: str, download: bool) -> Any:
        from kerasseq.data import tfds
        from kerasseq.data import packaged as embedded
        from kerasseq.tasks.language_model import reading as texts

        if source == "embedded":
            return embedded.review_texts()
        if source.startswith("tfds:"):
            return tfds.read_text(source.removeprefix("tfds:"), settings.text_column, download)
        return texts.read_text(Path(source), settings.encoding)

    def labelled_file(
        self,
        settings: LanguageModelSettings,
        assets: Assets,
        source: str,
        split: str | None,
        download: bool,
    ) -> TextData:
        from kerasseq.data import splits
        from kerasseq.tasks.language_model import data as running_text

        corpus = self._read(settings, source, download)
        chosen = splits.chosen_split(corpus.source, corpus.splits, split)
        ids, summary = running_text.encode_split(corpus.splits[chosen], assets.codec)
        running_text.check_length(ids, corpus.source, chosen)
        report = {
            "source": corpus.source,
            "notes": corpus.notes,
            "vocabulary": len(assets.codec.vocabulary),
            "splits": {"test": summary},
        }
        return TextData({"test": ids}, assets.codec, report, assets.counts)

    def data_report(self, data: TextData) -> dict[str, Any]:
        return data.report

    def samples(self, data: TextData) -> list[str]:
        ids = data.splits["validation"]
        starts = np.linspace(0, max(0, len(ids) - 25), 24).astype(int)
        return [data.codec.decode(ids[start : start + 25]) for start in starts]

    def examples(self, run: "RunFolder") -> tuple[str, ...]:
        return EXAMPLES

    def assets(self, data: TextData) -> Assets:
        return Assets(data.codec, data.counts)

    def save_assets(self, assets: Assets, run: "RunFolder") -> None:
        from kerasseq.storage import write_json

        assets.codec.vocabulary.save(run / "vocabulary.txt")
        write_json(
            run / "text.json", {"units": assets.codec.units, "counts": assets.counts.tolist()}
        )

    def load_assets(self, run: "RunFolder") -> Assets:
        text, vocabulary = run.need_json("text.json"), Vocabulary.load(run / "vocabulary.txt")
        try:
            counts = np.array(text["counts"], np.int64).reshape(len(vocabulary))
            return Assets(Codec(text["units"], vocabulary), counts)
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{run / 'text.json'} is damaged") from None

    def assumed_assets(self, settings: LanguageModelSettings) -> Assets:
        least = settings.model.clusters()[-1] + 1 if settings.model.softmax == "adaptive" else 0
        assumed = ASSUMED_VOCABULARY[settings.text.level]
        size = settings.text.vocabulary_size or max(assumed, least)
        return Assets(Codec("words", Vocabulary.assumed(size)), np.ones(size, np.int64))

    # -- model -----------------------------------------------------------------------------------

    def build_model(
        self, settings: LanguageModelSettings, assets: Assets, portable: bool = False
    ) -> "keras.Model":
        from kerasseq.tasks.language_model.model import RecurrentLanguageModel

        options, size = settings.model, len(assets.codec.vocabulary)
        softmax = _softmax(options, size)
        if softmax == "sampled" and options.sampled >= size:
            raise UserError(
                f"model.sampled {options.sampled:,} must be less than the {size:,} ids of the "
                "vocabulary, of which model.softmax full takes all"
            )
        if softmax == "adaptive" and options.clusters()[-1] >= size:
            raise UserError(
                f"model.cutoffs {options.cutoffs} must be below the {size:,} ids of the vocabulary"
            )
        return RecurrentLanguageModel(
            size,
            options.embedding,
            options.units,
            num_layers=options.layers,
            cell=options.cell,
            softmax=softmax,
            num_sampled=options.sampled,
            cutoffs=options.clusters(),
            embedding_dropout=options.embedding_dropout,
            input_dropout=options.input_dropout,
            layer_dropout=options.layer_dropout,
            output_dropout=options.output_dropout,
            recurrent_dropout=options.recurrent_dropout,
            weight_drop=options.weight_drop,
            input_only=(PAD, BOS),
            **settings.device.of_layers(portable),
            name=self.name,
        )

    def adapt(
        self, model: "keras.Model", settings: LanguageModelSettings, data: TextData
    ) -> list[str]:
        if not settings.init_from:
            return []
        from kerasseq.training.run_folder import RunFolder
        from kerasseq.tasks.language_model.starting_point import start_from

        return start_from(model, data.codec.vocabulary, RunFolder(Path(settings.init_from)))

    def loss(self, model: "keras.Model", settings: LanguageModelSettings, parts: int = 1) -> "Loss":
        from kerasseq.tasks.language_model.loss import LanguageModelLoss

        if settings.temporal_activation and parts > 1:
            raise UserError(
                "temporal_activation is a mean over one batch: it goes with one replica and "
                "training.accumulate 1"
            )
        streams = settings.streams
        states = model.initial_state(streams.size) if streams.mode == "streams" else None
        return LanguageModelLoss(states, settings.activation, settings.temporal_activation, parts)

    def batches(self, settings: LanguageModelSettings, data: TextData, parts: int = 1) -> Any:
        from kerasseq.tasks.language_model.streams import SentenceBatches, StreamBatches

        train = data.splits["train"]
        if settings.streams.mode == "streams":
            return StreamBatches(train, settings.streams, settings.seed, parts)
        return SentenceBatches(train, settings.streams, settings.seed)

    def validator(
        self, model: "keras.Model", settings: LanguageModelSettings, data: TextData
    ) -> Callable[[], dict[str, float]]:
        from kerasseq.tasks.language_model.scorer import evaluator, perplexity

        nll_of = evaluator(model, settings.streams.mode == "sentences", VALIDATION_STREAMS)

        def validate() -> dict[str, float]:
            loss = float(nll_of(data.splits["validation"]).mean(dtype=np.float64))
            return {"perplexity": perplexity(loss), "loss": loss}

        return validate

    # -- use -------------------------------------------------------------------------------------

    def evaluate(
        self, model: "keras.Model", settings: LanguageModelSettings, data: TextData, split: str
    ) -> dict[str, Any]:
        from kerasseq.tasks.language_model.scorer import evaluator, report

        ids = data.splits[split]
        nll = evaluator(model, settings.streams.mode == "sentences", settings.score_streams)(ids)
        summary = data.report["splits"][split]
        return {
            "level": settings.text.level,
            **report(nll, ids, summary["characters"], data.counts),
        }

    def show_report(self, report: dict[str, Any], name: str, folder: Path) -> list[str]:
        from kerasseq.tasks.language_model import scorer as language_model
        from kerasseq import plots

        plots.frequency_bands(report["bands"], folder / f"{name}.png", name)
        return language_model.report_lines(report)

    def predict(
        self,
        model: "keras.Model",
        settings: LanguageModelSettings,
        assets: Assets,
        texts: Iterable[str],
    ) -> Iterator[dict[str, Any]]:
        from kerasseq.tasks.language_model.export import DEFAULT_K
        from kerasseq.tasks.language_model.text_model import TextModel, next_result

        reader = TextModel(model, assets.codec)
        for text in texts:
            yield next_result(text, *zip(*reader.next(text, DEFAULT_K), strict=True))

    def show_prediction(self, result: dict[str, Any]) -> str:
        from kerasseq.tasks.language_model.verbs import next_lines

        return next_lines(result)

    # -- export ----------------------------------------------------------------------------------

    def serving(
        self,
        model: "keras.Model",
        settings: LanguageModelSettings,
        assets: Assets,
        run: "RunFolder",
    ) -> Serving:
        from kerasseq.tasks.language_model.text_model import serving

        return serving(model, assets.codec, run.need_json("samples.json"))

    def elementary(
        self, model: "keras.Model", settings: LanguageModelSettings, assets: Assets
    ) -> "Elementary":
        from kerasseq.export.elementary import language_model
        from kerasseq.tasks.language_model.export import DEFAULT_K

        return language_model(model, settings, assets.codec, DEFAULT_K)

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        from kerasseq.tasks.language_model.text_model import next_result

        return next_result(text, outputs["tokens"], outputs["probabilities"])


def _softmax(options: ModelSettings, vocabulary_size: int) -> str:
    if options.softmax != "auto":
        return options.softmax
    return "sampled" if vocabulary_size > LARGE_VOCABULARY else "full"
