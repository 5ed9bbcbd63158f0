"""Language modelling: what it declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kerasseq.app.task import Task
from kerasseq.app.word_vectors import (
    check_vectors,
    composed,
    folded,
    start_embedding,
    with_vectors,
)
from kerasseq.data.corpus import Corpus
from kerasseq.data.sources import read_source
from kerasseq.errors import UserError
from kerasseq.tasks.language_model.data import (
    Assets,
    TextData,
    cut_corpus,
    encode_corpus,
    encode_test,
)
from kerasseq.tasks.language_model.options import VERBS
from kerasseq.tasks.language_model.settings import LanguageModelSettings
from kerasseq.tasks.language_model.streams import SentenceBatches, StreamBatches
from kerasseq.text.shortened import shortened
from kerasseq.tuning.space import Choice, Range, When

if TYPE_CHECKING:
    import keras

    from kerasseq.tasks.language_model.text_model import TextModel
    from kerasseq.training.trainer import Loss


@dataclass(frozen=True)
class Prediction:
    """How a text goes on.

    Attributes:
        text: as it was given.
        next: the likeliest next tokens, each a mapping with ``token`` and ``probability``.
    """

    text: str
    next: list[dict[str, Any]]


class LanguageModel(Task[LanguageModelSettings, TextData, Assets]):
    """Language modelling."""

    name = "language_model"
    title = "Language model with recurrent networks"
    label = "Language model"
    settings_class = LanguageModelSettings
    assets_class = Assets
    prediction_class = Prediction
    run_class = "kerasseq.tasks.language_model.run:LanguageModelRun"
    goals = {"perplexity": "min", "loss": "min"}
    data_settings = (
        *Task.data_settings,
        "validation_share",
        "test_share",
        "text_column",
        "init_from",
        "vectors",
    )
    vocabulary_settings = ("text",)
    vocabulary_goals = ("perplexity", "loss")
    reading_settings = (*Task.reading_settings, "text_column")
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
    running_text = True
    verbs = VERBS

    # -- data ------------------------------------------------------------------------------------

    def check(self, settings: LanguageModelSettings) -> None:
        from kerasseq.tasks.language_model.starting_point import check_start
        from kerasseq.training.run_folder import RunFolder

        check_vectors(settings)
        if settings.init_from:
            check_start(RunFolder(Path(settings.init_from)), self.name)

    def read(
        self,
        settings: LanguageModelSettings,
        source: str,
        download: bool,
        assets: Assets | None = None,
    ) -> Corpus[str]:
        from kerasseq.tasks.language_model.embedded import review_texts
        from kerasseq.tasks.language_model.reading import read_path
        from kerasseq.tasks.language_model.tfds import read_tfds

        return read_source(
            source,
            form=settings.table_format(),
            embedded=review_texts,
            tfds=partial(read_tfds, text_column=settings.text_column, download=download),
            path=partial(
                read_path,
                encoding=settings.encoding,
                column=settings.text_column,
                form=settings.table_format(),
            ),
        )

    def from_memory(
        self, settings: LanguageModelSettings, data: Any, assets: Assets | None = None
    ) -> Corpus[str]:
        from kerasseq.data.fields import text_of
        from kerasseq.data.memory import Row, corpus_of
        from kerasseq.tasks.language_model.reading import lines_of

        def lines(row: Row) -> list[str]:
            text = text_of(row.values[0], row.where, settings.text_column)
            return lines_of(text if text.endswith("\n") else text + "\n")

        corpus = corpus_of(data, (settings.text_column,), lines)
        splits = {name: list(chain.from_iterable(part)) for name, part in corpus.splits.items()}
        return Corpus(corpus.source, splits)

    def complete(
        self, settings: LanguageModelSettings, corpus: Corpus[str], share: float | None = None
    ) -> Corpus[str]:
        char = settings.text.level == "char"
        unit: Literal["characters", "lines"] = "characters" if char else "lines"
        share = settings.validation_share if share is None else share
        return cut_corpus(corpus, share, settings.test_share, unit)

    def prepare(
        self, settings: LanguageModelSettings, corpus: Corpus[str], assets: Assets | None = None
    ) -> TextData:
        corpus = self.complete(settings, corpus)
        data = encode_corpus(corpus, settings.text, assets)
        size, tokens = settings.streams.size, len(data.splits["train"])
        if settings.streams.mode == "streams" and size > tokens:
            raise UserError(f"streams.size {size:,} is more than the {tokens:,} tokens of train")
        if assets is not None:
            return data
        vocabulary = {"tokens of the vocabulary": data.assets.codec.vocabulary.tokens}
        cased = data.assets.codec.units == "blanks"  # words of raw text are in lower case
        return with_vectors(data, settings, vocabulary, composed if cased else folded)

    def encode(
        self, settings: LanguageModelSettings, corpus: Corpus[str], split: str, assets: Assets
    ) -> TextData:
        return encode_test(corpus, split, assets)

    # -- model and training ----------------------------------------------------------------------

    def build_model(
        self, settings: LanguageModelSettings, assets: Assets, portable: bool = False
    ) -> keras.Model:
        from kerasseq.tasks.language_model.model import build_model

        kernels = settings.device.of_layers(portable)
        return build_model(settings.model, len(assets.codec.vocabulary), kernels, self.name)

    def adapt(
        self, model: keras.Model, settings: LanguageModelSettings, data: TextData
    ) -> list[str]:
        if not settings.init_from:
            tokens = data.assets.codec.vocabulary.tokens
            return start_embedding(model.embedding, tokens, data.vectors, settings)
        from kerasseq.tasks.language_model.starting_point import start_from
        from kerasseq.training.run_folder import RunFolder

        run = RunFolder(Path(settings.init_from))
        return start_from(model, data.assets.codec.vocabulary, run, self.name)

    def loss(self, model: keras.Model, settings: LanguageModelSettings, parts: int = 1) -> Loss:
        from kerasseq.tasks.language_model.loss import LanguageModelLoss

        if settings.temporal_activation and parts > 1:
            raise UserError(
                "temporal_activation is a mean over one batch: it goes with one replica and "
                "training.accumulate 1"
            )
        streams = settings.streams
        states = model.initial_state(streams.size) if streams.mode == "streams" else None
        return LanguageModelLoss(states, settings.activation, settings.temporal_activation, parts)

    def batches(
        self, settings: LanguageModelSettings, data: TextData, parts: int = 1
    ) -> StreamBatches | SentenceBatches:
        train: np.ndarray = data.splits["train"]
        if settings.streams.mode == "streams":
            return StreamBatches(train, settings.streams, settings.seed, parts)
        return SentenceBatches(train, settings.streams, settings.seed)

    # -- use -------------------------------------------------------------------------------------

    def use(self, model: keras.Model, settings: LanguageModelSettings, assets: Assets) -> TextModel:
        from kerasseq.tasks.language_model.text_model import TextModel

        return TextModel(model, settings, assets)

    def show_report(self, report: dict[str, Any], name: str, folder: Path | None) -> list[str]:
        from kerasseq.tasks.language_model.report import frequency_bands, report_lines

        if folder:
            frequency_bands(report["bands"], folder / f"{name}.png", name)
        return report_lines(report)

    def show_prediction(self, result: dict[str, Any]) -> str:
        """A text with its next tokens."""
        from kerasseq.tasks.language_model.text_model import shown_token

        rows = (f"  {row['probability']:.4f}  {shown_token(row['token'])}\n"
                for row in result["next"])  # fmt: skip
        return f"{shortened(result['text'])} ...\n{''.join(rows)}"

    def table_fields(self, result: Mapping[str, Any]) -> dict[str, Any]:
        best = result["next"][0]
        return {"next": best["token"], "probability": best["probability"]}

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        from kerasseq.tasks.language_model.text_model import next_result

        return next_result(text, outputs["tokens"], outputs["probabilities"])
