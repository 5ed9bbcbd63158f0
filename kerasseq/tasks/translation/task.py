"""Translation with recurrent encoder-decoders.

    python -m tasks.translation train

Follow a pair of sentences through :mod:`kerasseq.tasks.translation.reading`, :mod:`kerasseq.text.subwords`,
:mod:`kerasseq.tasks.translation.data`, :mod:`kerasseq.tasks.translation.model`,
:mod:`kerasseq.training.trainer`, :mod:`kerasseq.decoding.encoder_decoder`,
:mod:`kerasseq.tasks.translation.report` and :mod:`kerasseq.tasks.translation.export`.
"""

# No `from __future__ import annotations` here: jsonargparse would resolve the names below
# TYPE_CHECKING to read the settings' types, and import tensorflow for every --help.
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from kerasseq.config import Settings, group, replace, setting
from kerasseq.data.batches import TokenBatchSettings
from kerasseq.tasks.translation.data import PairData, PairTextSettings
from kerasseq.decoding.settings import BeamSettings
from kerasseq.errors import UserError
from kerasseq.export.serving import Serving
from kerasseq.app.task import Task, TaskSettings
from kerasseq.app.options import translation_verbs
from kerasseq.text.subwords import SubwordCodec
from kerasseq.text.vocabulary import BOS, PAD, Vocabulary
from kerasseq.training.settings import TrainingSettings
from kerasseq.tuning.space import Choice, Range

if TYPE_CHECKING:
    import keras

    from kerasseq.export.elementary import Elementary
    from kerasseq.training.run_folder import RunFolder
    from kerasseq.training.trainer import Loss

VALIDATION_SENTENCES = 1000
"""Most validation sentences that are translated while a model is trained."""


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Bidirectional encoder, attention, decoder; one matrix for target embedding and softmax."""

    embedding: int = setting(256, ge=1)
    """Size of the token vectors."""
    cell: Literal["simple_rnn", "gru", "lstm"] = "gru"
    """Recurrent cell of every layer."""
    units: int = setting(512, ge=1)
    """Size of the decoder's state."""
    encoder_units: int = setting(256, ge=1)
    """Size of the encoder's state, for each direction."""
    encoder_layers: int = setting(1, ge=1)
    """Recurrent layers of the encoder."""
    decoder_layers: int = setting(1, ge=1)
    """Recurrent layers of the decoder."""
    attention: Literal["none", "dot", "scaled_dot", "bilinear", "additive"] = "additive"
    """How the decoder chooses what to read of the source; none is the plain encoder-decoder, which
    reads one context vector at every step."""
    attend: Literal["after", "before"] = "after"
    """Whether attention follows the decoder's recurrent step (Luong et al., 2015) or comes before
    it (Bahdanau et al., 2015)."""
    input_feeding: bool = True
    """Whether the decoder reads its last output, and with it the context, at every step."""
    tie: Literal["two", "three"] = "three"
    """Whether the target embedding and the softmax have one matrix, or the source embedding too,
    which needs text.joint."""
    input_dropout: float = setting(0.1, ge=0, lt=1)
    """Variational dropout of the source vectors: the same mask at every step."""
    encoder_dropout: float = setting(0.5, ge=0, lt=1)
    """Variational dropout between the encoder's layers, and of its output."""
    decoder_dropout: float = setting(0.35, ge=0, lt=1)
    """Dropout of the target vectors, between the decoder's layers, and of its output."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention in ("dot", "scaled_dot") and self.units != 2 * self.encoder_units:
            raise UserError(
                f"attention {self.attention} needs units = 2 * encoder_units, got {self.units} and "
                f"{self.encoder_units} (bilinear does without)"
            )


@dataclass(frozen=True)
class TranslationSettings(TaskSettings):
    """What is trained, on what."""

    source: str = ""
    """Language to translate from: as the files' names or TFDS spell it; of a table the number of
    its column, with its language if that is written without blanks (2:ja), which BLEU must know.
    Embedded is en to es, a table 1 to 2."""
    target: str = ""
    """Language to translate to."""
    held_out: float = setting(0.05, gt=0, lt=0.5)
    """Share of the validation split, and of the test split, where the data has none."""
    label_smoothing: float = setting(0.02, ge=0, lt=1)
    """Share of the target probability that is spread over all tokens in training."""
    scheduled_sampling: float = setting(0.0, ge=0, lt=1)
    """Chance, at the end, that the decoder reads its own last token in training (Bengio et al.,
    2015); 0 is teacher forcing."""
    scheduled_sampling_steps: int = setting(5_000, ge=1)
    """Steps in which that chance grows from 0."""
    text: PairTextSettings = group(PairTextSettings)
    batches: TokenBatchSettings = group(TokenBatchSettings)
    model: ModelSettings = group(ModelSettings)
    beam: BeamSettings = group(BeamSettings)
    training: TrainingSettings = group(
        TrainingSettings, monitor="bleu", learning_rate=2e-3, average=0.999, epochs=12
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.tie == "three" and not self.text.joint:
            raise UserError("model.tie three needs one vocabulary: text.joint, or model.tie two")


class Assets(NamedTuple):
    """What a translation model needs beside its weights."""

    source_codec: SubwordCodec
    target_codec: SubwordCodec
    languages: tuple[str, str]


class Translation(Task[TranslationSettings, PairData, Assets]):
    """Translation."""

    name = "translation"
    title = "Translation with recurrent encoder-decoders"
    settings_class = TranslationSettings
    goals = {"bleu": "max", "perplexity": "min", "loss": "min"}
    data_settings = (*Task.data_settings, "source", "target", "held_out", "text")
    search_space = {
        "training.learning_rate": Range(3e-4, 5e-3, log=True),
        "model.cell": Choice(("gru", "lstm")),
        "model.attention": Choice(("dot", "bilinear", "additive")),
        "model.input_dropout": Range(0.0, 0.5),
        "model.decoder_dropout": Range(0.1, 0.6),
        "label_smoothing": Range(0.0, 0.2),
    }
    extra_verbs = translation_verbs("translation")

    # -- data ------------------------------------------------------------------------------------

    def check(self, settings: TranslationSettings) -> None:
        from kerasseq.tasks.translation.report import need_sacrebleu

        need_sacrebleu()

    def load_data(self, settings: TranslationSettings, download: bool) -> PairData:
        from kerasseq.tasks.translation import data as encoded_pairs
        from kerasseq.tasks.translation import reading as parallel

        corpus = self._read(settings, settings.data, (settings.source, settings.target), download)
        corpus = parallel.clean(corpus, settings.text.max_words, settings.text.max_ratio)
        corpus = parallel.cut_splits(corpus, settings.held_out, settings.seed)
        return encoded_pairs.encode_corpus(corpus, settings.text)

    def _read(
        self,
        settings: TranslationSettings,
        source: str,
        languages: tuple[str, str],
        download: bool,
    ) -> Any:
        from kerasseq.data import tfds
        from kerasseq.data import packaged as embedded
        from kerasseq.tasks.translation import reading as parallel

        if source == "embedded":
            return parallel.turned(embedded.bible_verses(), *languages)
        if source.startswith("tfds:"):
            return tfds.read_parallel(source.removeprefix("tfds:"), *languages, download)
        return parallel.read_parallel(Path(source), *languages, settings.encoding)

    def labelled_file(
        self,
        settings: TranslationSettings,
        assets: Assets,
        source: str,
        split: str | None,
        download: bool,
    ) -> PairData:
        from kerasseq.data import splits
        from kerasseq.tasks.translation import data as encoded_pairs
        from kerasseq.tasks.translation import reading as parallel

        languages = assets.languages
        if parallel.has_tables(Path(source)):
            # columns have numbers, which other data of the run may have given
            own = settings.source, settings.target
            languages = own if parallel.are_columns(*own) else ("", "")
        elif "".join(languages).isdecimal():
            raise UserError(
                f"{source} is not a table, and of the run's languages only their columns are known "
                "(--source 1:en in training would have said it)"
            )
        corpus = self._read(settings, source, languages, download)
        chosen = splits.chosen_split(corpus.origin, corpus.splits, split)
        codecs = assets.source_codec, assets.target_codec
        part = encoded_pairs.encode_pairs(corpus.splits[chosen], *codecs)
        report = {
            "source": corpus.origin,
            "notes": corpus.notes,
            "vocabulary": len(assets.target_codec.vocabulary),
            "splits": {chosen: encoded_pairs.summary(part)},
        }
        return PairData({"test": part}, *codecs, assets.languages, report)

    def data_report(self, data: PairData) -> dict[str, Any]:
        return data.report

    def samples(self, data: PairData) -> list[str]:
        return [pair.source for pair in data.splits["validation"].pairs[:32]]

    def examples(self, run: "RunFolder") -> list[str]:
        return run.need_json("samples.json")[:5]

    def assets(self, data: PairData) -> Assets:
        return Assets(data.source_codec, data.target_codec, data.languages)

    def save_assets(self, assets: Assets, run: "RunFolder") -> None:
        from kerasseq.storage import write_json

        assets.source_codec.save(run / "source.json")
        assets.target_codec.save(run / "target.json")
        write_json(run / "languages.json", list(assets.languages))

    def load_assets(self, run: "RunFolder") -> Assets:
        source, target = run.need_json("languages.json")
        return Assets(
            SubwordCodec.load(run / "source.json"),
            SubwordCodec.load(run / "target.json"),
            (source, target),
        )

    def assumed_assets(self, settings: TranslationSettings) -> Assets:
        codec = SubwordCodec("word", Vocabulary.assumed(settings.text.vocabulary_size))
        return Assets(codec, codec, ("source", "target"))

    # -- model -----------------------------------------------------------------------------------

    def build_model(
        self, settings: TranslationSettings, assets: Assets, portable: bool = False
    ) -> "keras.Model":
        from kerasseq.tasks.translation.model import RecurrentTranslator

        options = settings.model
        return RecurrentTranslator(
            len(assets.source_codec.vocabulary),
            len(assets.target_codec.vocabulary),
            options.embedding,
            options.units,
            options.encoder_units,
            encoder_layers=options.encoder_layers,
            decoder_layers=options.decoder_layers,
            cell=options.cell,
            attention=options.attention,
            attend=options.attend,
            input_feeding=options.input_feeding,
            tie_source=options.tie == "three",
            input_dropout=options.input_dropout,
            encoder_dropout=options.encoder_dropout,
            decoder_dropout=options.decoder_dropout,
            label_smoothing=settings.label_smoothing,
            input_only=(PAD, BOS),
            **settings.device.of_layers(portable),
            name=self.name,
        )

    def loss(self, model: "keras.Model", settings: TranslationSettings, parts: int = 1) -> "Loss":
        from kerasseq.tasks.translation.loss import TranslationLoss

        if settings.scheduled_sampling and parts > 1:
            raise UserError(
                "scheduled_sampling counts updates of one batch: it goes with one replica and "
                "training.accumulate 1"
            )
        return TranslationLoss(settings.scheduled_sampling, settings.scheduled_sampling_steps)

    def batches(self, settings: TranslationSettings, data: PairData, parts: int = 1) -> Any:
        from kerasseq.tasks.translation.data import PairBatches

        return PairBatches(data.splits["train"], settings.batches, settings.seed)

    def validator(
        self, model: "keras.Model", settings: TranslationSettings, data: PairData
    ) -> Callable[[], dict[str, float]]:
        from kerasseq.config import replace
        from kerasseq.tasks.language_model.scorer import perplexity
        from kerasseq.tasks.translation.report import bleu

        reader = self._translator(model, settings, self.assets(data))
        split, greedy = data.splits["validation"], replace(settings.beam, {"size": 1})
        count = min(len(split), VALIDATION_SENTENCES)
        chosen = [split.pairs[i] for i in np.linspace(0, len(split) - 1, count).astype(int)]
        tokens = sum(map(len, split.targets))

        def validate() -> dict[str, float]:
            loss = float(reader.nll(split).sum()) / tokens
            found = reader.translate((pair.source for pair in chosen), greedy)
            texts = [translation.text for _, (translation,) in found]
            score = bleu(texts, [pair.target for pair in chosen], data.languages[1])
            return {"bleu": score, "perplexity": perplexity(loss), "loss": loss}

        return validate

    # -- use -------------------------------------------------------------------------------------

    def _translator(
        self, model: "keras.Model", settings: TranslationSettings, assets: Assets
    ) -> Any:
        from kerasseq.tasks.translation.translator import Translator

        return Translator(model, assets.source_codec, assets.target_codec, settings.text.max_length)

    def evaluate(
        self, model: "keras.Model", settings: TranslationSettings, data: PairData, split: str
    ) -> dict[str, Any]:
        from kerasseq.tasks.translation import report as translation
        from kerasseq.tasks.language_model.scorer import perplexity

        reader, part = self._translator(model, settings, self.assets(data)), data.splits[split]
        sources = [pair.source for pair in part.pairs]
        texts = [found.text for _, (found,) in reader.translate(sources, settings.beam)]
        tokens = sum(map(len, part.targets))
        report = translation.report(
            texts, [pair.target for pair in part.pairs], sources, data.languages[1], settings.seed
        )
        mean = float(reader.nll(part).sum()) / tokens
        return {
            **report,
            "sources_cut": sum(map(reader.is_cut, sources)),
            "tokens": tokens,
            "perplexity": round(perplexity(mean), 4),
            "beam": settings.beam.to_dict(),
            "translations": texts,
        }

    def show_report(self, report: dict[str, Any], name: str, folder: Path) -> list[str]:
        from kerasseq import plots
        from kerasseq.tasks.translation import report as translation

        curve = {f"beam {report['beam']['size']}": report["by_length"]}
        plots.length_curves(curve, folder / f"{name}.png", f"{name}: BLEU by length of the source")
        head = f"perplexity {report['perplexity']:.2f} ({report['tokens']:,} tokens)"
        if report["sources_cut"]:
            head += f"; {report['sources_cut']:,} sources are longer than what is read, and cut"
        return [head, *translation.report_lines(report)]

    def predict(
        self,
        model: "keras.Model",
        settings: TranslationSettings,
        assets: Assets,
        texts: Iterable[str],
    ) -> Iterator[dict[str, Any]]:
        from kerasseq.tasks.translation.translator import say_cut

        reader = self._translator(model, settings, assets)
        for text, (best,) in reader.translate(texts, settings.beam):
            if reader.is_cut(text):
                say_cut(text, reader.longest)
            yield _result(text, best.text, best.score)

    def show_prediction(self, result: dict[str, Any]) -> str:
        from kerasseq.text.shortened import shortened

        return f"{shortened(result['text'])}\n    {result['translation']}"

    # -- export ----------------------------------------------------------------------------------

    def serving(
        self,
        model: "keras.Model",
        settings: TranslationSettings,
        assets: Assets,
        run: "RunFolder",
    ) -> Serving:
        from kerasseq.tasks.translation.translator import serving

        return serving(
            model,
            assets.source_codec,
            assets.target_codec,
            settings.text.max_length,
            settings.beam,
            run.need_json("samples.json"),
        )

    def elementary(
        self, model: "keras.Model", settings: TranslationSettings, assets: Assets
    ) -> "Elementary":
        from kerasseq.export.elementary import translator
        from kerasseq.tasks.translation.export import can_copy

        greedy = replace(settings, {"beam.size": 1})
        codecs = assets.source_codec, assets.target_codec
        copies = can_copy(model, assets.target_codec)
        return translator(model, greedy, *codecs, settings.text.max_length, copies)

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        from kerasseq.tasks.translation.translator import say_cut

        if outputs["cut"]:
            say_cut(text, manifest["settings"]["text"]["max_length"])
        return _result(text, outputs["translation"], outputs["score"])


def _result(text: str, translation: str, score: float) -> dict[str, Any]:
    return {"text": text, "translation": translation, "score": score}
