"""Translation: what it declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasseq.app.task import Task
from kerasseq.app.word_vectors import check_vectors, composed, start_embedding, with_vectors
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import Pair
from kerasseq.data.sources import paths_of, read_source
from kerasseq.errors import UserError
from kerasseq.tasks.translation.cleaning import clean, cut_corpus
from kerasseq.tasks.translation.data import (
    Assets,
    PairBatches,
    PairData,
    encode_corpus,
    encode_test,
)
from kerasseq.tasks.translation.options import VERBS
from kerasseq.tasks.translation.settings import TranslationSettings
from kerasseq.text.shortened import shortened
from kerasseq.text.subwords import BLANK
from kerasseq.tuning.space import Choice, Range

if TYPE_CHECKING:
    import keras

    from kerasseq.tasks.translation.translator import Translator
    from kerasseq.training.trainer import Loss


@dataclass(frozen=True)
class Prediction:
    """The translation of a text.

    Attributes:
        text: as it was given.
        translation: the best one found.
        score: its log-probability, normalised by its length.
        cut: whether the text was longer than what is read of it (``text.max_length``).
    """

    text: str
    translation: str
    score: float
    cut: bool


class Translation(Task[TranslationSettings, PairData, Assets]):
    """Translation."""

    name = "translation"
    title = "Translation with recurrent encoder-decoders"
    label = "Translation"
    settings_class = TranslationSettings
    assets_class = Assets
    prediction_class = Prediction
    run_class = "kerasseq.tasks.translation.run:TranslationRun"
    goals = {"bleu": "max", "perplexity": "min", "loss": "min"}
    data_settings = (*Task.data_settings, "source", "target", "held_out", "vectors")
    vocabulary_settings = ("text",)
    vocabulary_goals = ("perplexity", "loss")
    reading_settings = (*Task.reading_settings, "source", "target")
    search_space = {
        "training.learning_rate": Range(3e-4, 5e-3, log=True),
        "model.cell": Choice(("gru", "lstm")),
        "model.attention": Choice(("dot", "bilinear", "additive")),
        "model.input_dropout": Range(0.0, 0.5),
        "model.decoder_dropout": Range(0.1, 0.6),
        "label_smoothing": Range(0.0, 0.2),
    }
    verbs = VERBS

    # -- data ------------------------------------------------------------------------------------

    def check(self, settings: TranslationSettings) -> None:
        from kerasseq.tasks.translation.scores import need_sacrebleu

        need_sacrebleu()
        check_vectors(settings)

    def read(
        self,
        settings: TranslationSettings,
        source: str,
        download: bool,
        assets: Assets | None = None,
    ) -> Corpus[Pair]:
        from kerasseq.tasks.translation.embedded import bible_verses
        from kerasseq.tasks.translation.other_data import check_known, languages_of
        from kerasseq.tasks.translation.pairs import turned
        from kerasseq.tasks.translation.reading import read_path
        from kerasseq.tasks.translation.tfds import read_tfds

        asked, form = (settings.source, settings.target), settings.table_format()
        known = assets.languages if assets else asked
        if assets and not paths_of(source):
            check_known(source, known)

        def by_path(path: Path) -> Corpus[Pair]:
            languages, notes = asked, list[str]()
            if assets:
                languages, notes = languages_of(path, asked, known, settings.encoding, form)
            corpus = read_path(path, *languages, settings.encoding, form)
            return replace(corpus, notes=[*notes, *corpus.notes])

        first, second = known
        return read_source(
            source,
            form=settings.table_format(),
            embedded=lambda: turned(bible_verses(), first, second),
            tfds=partial(read_tfds, source=first, target=second, download=download),
            path=by_path,
        )

    def is_there(self, source: str) -> bool:
        from kerasseq.tasks.translation.reading import is_there

        return is_there(Path(source))

    def from_memory(
        self, settings: TranslationSettings, data: Any, assets: Assets | None = None
    ) -> Corpus[Pair]:
        from kerasseq.data.fields import text_of
        from kerasseq.data.memory import Row, corpus_of
        from kerasseq.tasks.translation.pairs import check_differ, pair_of

        languages = settings.source or "source", settings.target or "target"
        if assets is not None:
            languages = assets.languages
        check_differ("data", *languages)

        def example(row: Row) -> Pair:
            value, given = row.values
            source = text_of(value, row.where, languages[0])
            several = list(given) if isinstance(given, list | tuple) and given else [given]
            target, *further = (text_of(one, row.where, languages[1]) for one in several)
            for one in further:
                pair_of(source, one, row.split, (row.where, row.where))
            pair = pair_of(source, target, row.split, (row.where, row.where))
            return pair._replace(further=tuple(further))

        return replace(corpus_of(data, languages, example), languages=languages)

    def complete(
        self, settings: TranslationSettings, corpus: Corpus[Pair], share: float | None = None
    ) -> Corpus[Pair]:
        corpus = clean(corpus, settings.text.max_words, settings.text.max_ratio)
        return cut_corpus(corpus, settings.held_out if share is None else share, settings.seed)

    def prepare(
        self, settings: TranslationSettings, corpus: Corpus[Pair], assets: Assets | None = None
    ) -> PairData:
        corpus = self.complete(settings, corpus)
        data = encode_corpus(corpus, settings.text, assets)
        return _with_vectors(settings, data) if assets is None else data

    def as_trained(
        self,
        settings: TranslationSettings,
        reading: TranslationSettings,
        corpus: Corpus[Pair],
        assets: Assets,
    ) -> Corpus[Pair]:
        numbers = "".join(corpus.languages).isdecimal()  # of columns: they say no direction
        if not numbers and corpus.languages == assets.languages[::-1] != assets.languages:
            raise UserError(
                f"{corpus.source} is read as {' to '.join(corpus.languages)}, and the run "
                f"translates {' to '.join(assets.languages)}: turn --source and --target round"
            )
        return corpus

    def encode(
        self, settings: TranslationSettings, corpus: Corpus[Pair], split: str, assets: Assets
    ) -> PairData:
        return encode_test(corpus, split, assets)

    # -- model and training ----------------------------------------------------------------------

    def build_model(
        self, settings: TranslationSettings, assets: Assets, portable: bool = False
    ) -> keras.Model:
        from kerasseq.tasks.translation.model import build_model

        kernels = settings.device.of_layers(portable)
        sizes = len(assets.source_codec.vocabulary), len(assets.target_codec.vocabulary)
        return build_model(settings, sizes, kernels, self.name)

    def adapt(self, model: keras.Model, settings: TranslationSettings, data: PairData) -> list[str]:
        source, target = (codec.vocabulary.tokens for codec in data.assets[:2])
        if model.source_embedding is None:
            return start_embedding(model.embedding, target, data.vectors, settings)
        # the target's matrix is that of the softmax too, and is trained whatever happens
        trained = replace(settings, train_vectors=True)
        return [
            *start_embedding(
                model.source_embedding, source, data.vectors, settings, "source embedding"
            ),
            *start_embedding(model.embedding, target, data.vectors, trained, "target embedding"),
        ]

    def loss(self, model: keras.Model, settings: TranslationSettings, parts: int = 1) -> Loss:
        from kerasseq.tasks.translation.loss import TranslationLoss

        if settings.scheduled_sampling and parts > 1:
            raise UserError(
                "scheduled_sampling counts updates of one batch: it goes with one replica and "
                "training.accumulate 1"
            )
        return TranslationLoss(settings.scheduled_sampling, settings.scheduled_sampling_steps)

    def batches(self, settings: TranslationSettings, data: PairData, parts: int = 1) -> PairBatches:
        return PairBatches(data.splits["train"], settings.batches, settings.seed)

    # -- use -------------------------------------------------------------------------------------

    def use(self, model: keras.Model, settings: TranslationSettings, assets: Assets) -> Translator:
        from kerasseq.tasks.translation.translator import Translator

        return Translator(model, settings, assets)

    def show_report(self, report: dict[str, Any], name: str, folder: Path | None) -> list[str]:
        from kerasseq.tasks.translation.report import report_lines
        from kerasseq.tasks.translation.scores import length_curves

        if folder:
            curve = {f"beam {report['beam']['size']}": report["by_length"]}
            length_curves(curve, folder / f"{name}.png", f"{name}: BLEU by length of the source")
        head = f"perplexity {report['perplexity']:.2f} ({report['tokens']:,} tokens)"
        if report["sources_cut"]:
            head += f"; {report['sources_cut']:,} sources are longer than what is read, and cut"
        return [head, *report_lines(report)]

    def show_prediction(self, result: dict[str, Any]) -> str:
        return f"{shortened(result['text'])}\n    {result['translation']}"

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        from kerasseq.tasks.translation.translator import result_of, say_cut

        if outputs["cut"]:
            say_cut(text, manifest["settings"]["text"]["max_length"])
        return result_of(text, outputs["translation"], outputs["score"], outputs["cut"])

    def identity(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(zip(("source", "target"), manifest["data"]["languages"], strict=True))


def _with_vectors(settings: TranslationSettings, data: PairData) -> PairData:
    """Encoded data with the vectors of its tokens, which begin with a mark behind a blank.

    The vector of a word may be spelled with that mark, as it is, or in lower case; that of a
    subword only as it is, since the same letters inside a word are another token.
    """
    subwords = settings.text.level == "subword"

    def forms(token: str) -> Sequence[str]:
        word = token.removeprefix(BLANK)
        return (token,) if subwords else (token, word, word.casefold())

    vocabularies = {
        f"{side} tokens": codec.vocabulary.tokens
        for side, codec in zip(("source", "target"), data.assets[:2], strict=True)
    }
    advice = (
        f": at text.level subword they are spelled as in {BLANK}the and ing; words have their "
        "vectors at --text.level word"
    )
    return with_vectors(data, settings, vocabularies, composed, forms, advice * subwords)
