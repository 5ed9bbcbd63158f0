"""Part-of-speech tagging, or any other labelling of words, with recurrent networks.

    python -m tasks.pos_tagging train

Follow one sentence through :mod:`kerasseq.data.conllu`, :mod:`kerasseq.text.word_features`,
:mod:`kerasseq.tasks.tagging.data`, :meth:`PosTagging.build_model`,
:mod:`kerasseq.training.trainer`, :mod:`kerasseq.tasks.tagging.report` and
:mod:`kerasseq.tasks.tagging.export`.
"""

# No `from __future__ import annotations` here: jsonargparse would resolve the names below
# TYPE_CHECKING to read the settings' types, and import tensorflow for every --help.
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kerasseq.config import Settings, group, setting
from kerasseq.data.batches import TokenBatchSettings
from kerasseq.tasks.tagging.data import TaggedData
from kerasseq.tasks.tagging.iob import is_iob
from kerasseq.errors import UserError
from kerasseq.export.serving import Serving, Signature, text_signature
from kerasseq.app.task import Task, TaskSettings
from kerasseq.app.options import tag_verb
from kerasseq.tasks.tagging.baseline import MostFrequentTag
from kerasseq.text.splitter import WordSplitter
from kerasseq.text.splitter_learning import learn_splitter
from kerasseq.text.vocabulary import PAD
from kerasseq.text.word_features import WordFeatures, WordSettings
from kerasseq.training.settings import TrainingSettings
from kerasseq.tuning.space import Choice, Range, When

if TYPE_CHECKING:
    import keras

    from kerasseq.export.elementary import Elementary
    from kerasseq.training.run_folder import RunFolder

CRF_LAYER = "crf"
OUTPUTS = ("tokens", "tags", "probabilities")


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Word, characters and affixes; bidirectional stack; softmax or CRF."""

    embedding: int = setting(100, ge=1)
    """Size of the word vectors."""
    characters: Literal["cnn", "bilstm", "none"] = "cnn"
    """What reads the characters of a word."""
    character_embedding: int = setting(32, ge=1)
    """Size of the character vectors."""
    character_units: int = setting(96, ge=1)
    """Size of the vector made of a word's characters; a multiple of 3 for cnn, of 2 for bilstm."""
    affix_embedding: int = setting(64, ge=1)
    """Size of the affix vectors; those of a word are summed."""
    cell: Literal["simple_rnn", "gru", "lstm"] = "lstm"
    """Recurrent cell of every layer."""
    units: int = setting(160, ge=1)
    """Size of the recurrent state, for each direction."""
    layers: int = setting(2, ge=1)
    """Recurrent layers."""
    output: Literal["softmax", "crf"] = "softmax"
    """Whether each tag is scored by itself, or whole tag sequences are (a conditional random
    field; for IOB2 tags it keeps to their rules)."""
    word_dropout: float = setting(0.2, ge=0, lt=1)
    """Share of words that become unknown in training, so that the unknown word is learned."""
    input_dropout: float = setting(0.5, ge=0, lt=1)
    """Dropout of the words' features."""
    layer_dropout: float = setting(0.4, ge=0, lt=1)
    """Variational dropout between recurrent layers."""
    output_dropout: float = setting(0.5, ge=0, lt=1)
    """Dropout before the output."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = {"cnn": 3, "bilstm": 2, "none": 1}[self.characters]
        if self.character_units % parts:
            raise UserError(
                f"character_units must be a multiple of {parts} for characters {self.characters}, "
                f"got {self.character_units}"
            )


@dataclass(frozen=True)
class TaggingSettings(TaskSettings):
    """What is trained, on what."""

    column: Literal["upos", "xpos", "feats", "chunk"] = "upos"
    """Column of tags that is predicted."""
    held_out: float = setting(0.1, gt=0, lt=0.5)
    """Share of the validation split, and of the test split where the data has none."""
    label_smoothing: float = setting(0.0, ge=0, lt=1)
    """Share of the target probability that is spread over all tags in training; not for a CRF."""
    words: WordSettings = group(WordSettings)
    batches: TokenBatchSettings = group(TokenBatchSettings)
    model: ModelSettings = group(ModelSettings)
    training: TrainingSettings = group(
        TrainingSettings, epochs=16, learning_rate=4e-3, average=0.998, patience=5
    )


class Assets(NamedTuple):
    """What a tagger needs beside its weights, and what its reports compare with."""

    features: WordFeatures
    splitter: WordSplitter
    names: list[str]
    baseline: MostFrequentTag


class PosTagging(Task[TaggingSettings, TaggedData, Assets]):
    """Labels for the words of sentences."""

    name = "pos_tagging"
    title = "Part-of-speech tagging with recurrent networks"
    settings_class = TaggingSettings
    goals = {"accuracy": "max", "unseen": "max", "f1": "max"}
    data_settings = (*Task.data_settings, "held_out", "column", "words")
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
    extra_verbs = (tag_verb("pos_tagging"),)

    # -- data ------------------------------------------------------------------------------------

    def load_data(self, settings: TaggingSettings, download: bool) -> TaggedData:
        from kerasseq.tasks.tagging import data as encoded_tags
        from kerasseq.tasks.tagging import reading as treebanks

        corpus = self._read(settings, settings.data, download)
        corpus = treebanks.with_column(corpus, settings.column)
        corpus = treebanks.cut_splits(corpus, settings.held_out, settings.seed)
        data = encoded_tags.encode_corpus(corpus, settings.column, settings.words)
        if settings.training.monitor == "f1" and not is_iob(data.names):
            raise UserError("training.monitor: f1 is that of spans, and these tags are not IOB")
        sizes = {len(vector) for vector in data.vectors.values()} - {settings.model.embedding}
        if sizes:
            raise UserError(
                f"{settings.words.vectors} has vectors of {sizes.pop()} numbers, and "
                f"model.embedding is {settings.model.embedding}"
            )
        return data

    def _read(self, settings: TaggingSettings, source: str, download: bool) -> Any:
        from kerasseq.data import tfds
        from kerasseq.data import packaged as embedded
        from kerasseq.tasks.tagging import reading as treebanks

        if source == "embedded":
            return embedded.turkish_treebank()
        if source.startswith("tfds:"):
            return tfds.read_tagged(source.removeprefix("tfds:"), download)
        return treebanks.read_tagged(Path(source), settings.encoding)

    def labelled_file(
        self,
        settings: TaggingSettings,
        assets: Assets,
        source: str,
        split: str | None,
        download: bool,
    ) -> TaggedData:
        from kerasseq.data import splits
        from kerasseq.tasks.tagging import data as encoded_tags
        from kerasseq.tasks.tagging import reading as treebanks

        corpus = self._read(settings, source, download)
        corpus = treebanks.with_column(corpus, settings.column)
        chosen = splits.chosen_split(corpus.source, corpus.splits, split)
        return encoded_tags.encode_test(
            corpus, chosen, settings.column, assets.features, assets.names, assets.baseline
        )

    def data_report(self, data: TaggedData) -> dict[str, Any]:
        return data.report

    def samples(self, data: TaggedData) -> list[str]:
        return [
            sentence.text or " ".join(sentence.words)
            for sentence in data.splits["validation"].sentences[:64]
        ]

    def examples(self, run: "RunFolder") -> list[str]:
        return run.need_json("samples.json")[:3]

    def assets(self, data: TaggedData) -> Assets:
        splitter = learn_splitter(data.splits["train"].sentences)
        return Assets(data.features, splitter, data.names, data.baseline)

    def save_assets(self, assets: Assets, run: "RunFolder") -> None:
        from kerasseq.storage import write_json

        assets.features.save(run.path)
        assets.splitter.save(run / "splitter.json")
        write_json(run / "tags.json", assets.names)
        write_json(run / "baseline.json", assets.baseline.to_dict())

    def load_assets(self, run: "RunFolder") -> Assets:
        settings = WordSettings(**run.record(self.name)["settings"]["words"])
        return Assets(
            WordFeatures.load(run.path, settings),
            WordSplitter.load(run / "splitter.json"),
            run.need_json("tags.json"),
            MostFrequentTag.from_dict(run.need_json("baseline.json")),
        )

    def assumed_assets(self, settings: TaggingSettings) -> Assets:
        names = [f"tag {i}" for i in range(17)]
        baseline = MostFrequentTag([["word"]], [["tag 0"]])
        return Assets(WordFeatures.assumed(settings.words), WordSplitter(), names, baseline)

    # -- model -----------------------------------------------------------------------------------

    def build_model(
        self, settings: TaggingSettings, assets: Assets, portable: bool = False
    ) -> "keras.Model":
        import keras
        from keras import ops

        from kerasseq import layers

        options, features = settings.model, assets.features
        kernels = settings.device.of_layers(portable)
        # distinct words with their features, and sentences as positions among them (0 is padding)
        inputs = {
            "index": keras.Input([None], dtype="int32", name="index"),
            "words": keras.Input([], dtype="int32", name="words"),
            "characters": keras.Input([None], dtype="int32", name="characters"),
            "affixes": keras.Input([2 * settings.words.affixes], dtype="int32", name="affixes"),
        }
        index = inputs["index"]
        mask = ops.not_equal(index, 0)
        ids = ops.take(inputs["words"], index, axis=0)
        ids = layers.WordDropout(options.word_dropout, name="word_dropout")(ids)
        embedding = keras.layers.Embedding(len(features.words), options.embedding, name="embedding")
        parts = [embedding(ids)]
        if options.characters != "none":
            encoder = layers.CharacterEncoder(
                len(features.characters),
                options.character_units,
                method=options.characters,
                embedding_dim=options.character_embedding,
                use_cudnn=kernels["use_cudnn"],
                name="character_encoder",
            )
            vectors = encoder(ops.expand_dims(inputs["characters"], 0))[0]
            parts.append(ops.take(vectors, index, axis=0))
        if settings.words.affixes:
            vectors = keras.layers.Embedding(
                len(features.affixes), options.affix_embedding, name="affix_vectors"
            )(inputs["affixes"])
            known = ops.cast(ops.not_equal(inputs["affixes"], PAD), vectors.dtype)
            bag = ops.sum(vectors * known[..., None], axis=1)
            parts.append(ops.take(bag, index, axis=0))
        x = keras.layers.Concatenate(name="word")(parts) if len(parts) > 1 else parts[0]
        x = keras.layers.Dropout(options.input_dropout, name="input_dropout")(x)
        x = layers.RecurrentStack(
            options.units,
            num_layers=options.layers,
            cell=options.cell,
            bidirectional=True,
            dropout=options.layer_dropout,
            **kernels,
            name="recurrent",
        )(x, mask=mask)
        x = keras.layers.Dropout(options.output_dropout, name="output_dropout")(x)
        scores = keras.layers.Dense(len(assets.names), dtype="float32", name="scores")(x)
        if options.output == "crf":
            crf = layers.CRF(
                len(assets.names), name=CRF_LAYER, **layers.iob2_constraints(assets.names)
            )
            tags = crf(scores, mask=mask)
            shares = crf(scores, mask=mask, output="marginals")
        else:
            tags, shares = ops.argmax(scores, axis=-1), ops.softmax(scores)
        outputs = {"scores": scores, "tags": tags, "shares": shares}
        return keras.Model(inputs, outputs, name=self.name)

    def adapt(self, model: "keras.Model", settings: TaggingSettings, data: TaggedData) -> list[str]:
        if not data.vectors:
            return []
        embeddings = model.get_layer("embedding").embeddings
        matrix = embeddings.numpy()
        rows = [row for row, form in enumerate(data.features.words.tokens) if form in data.vectors]
        matrix[rows] = [data.vectors[data.features.words.tokens[row]] for row in rows]
        embeddings.assign(matrix)
        return [f"word vectors given: {len(rows):,} of {len(matrix):,} rows of the embedding"]

    def loss(
        self, model: "keras.Model", settings: TaggingSettings, parts: int = 1
    ) -> Callable[[Any, Mapping[str, Any]], Any]:
        from keras import ops

        from kerasseq.layers.losses import token_nll

        def summed(model: "keras.Model", batch: Mapping[str, Any]) -> tuple[Any, Any]:
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

    def batches(self, settings: TaggingSettings, data: TaggedData, parts: int = 1) -> Any:
        from kerasseq.tasks.tagging.data import TaggedBatches

        return TaggedBatches(data.splits["train"], settings.batches, settings.seed)

    def validator(
        self, model: "keras.Model", settings: TaggingSettings, data: TaggedData
    ) -> Callable[[], dict[str, float]]:
        from kerasseq.tasks.tagging import report as tagging
        from kerasseq.tasks.tagging.tagger import Tagger

        tagger, split = Tagger(model), data.splits["validation"]
        words, true = split.rows(settings.column)

        def validate() -> dict[str, float]:
            return tagging.quick(words, true, tagger.names(split.table, data.names), data.baseline)

        return validate

    # -- use -------------------------------------------------------------------------------------

    def evaluate(
        self, model: "keras.Model", settings: TaggingSettings, data: TaggedData, split: str
    ) -> dict[str, Any]:
        from kerasseq.tasks.tagging import report as tagging
        from kerasseq.tasks.tagging.tagger import Tagger

        part = data.splits[split]
        words, true = part.rows(settings.column)
        tagged = Tagger(model)(part.table)
        return tagging.report(
            words,
            true,
            [[data.names[i] for i in each.tags] for each in tagged],
            [each.probabilities for each in tagged],
            data.names,
            data.baseline,
            [data.baseline.tag(sentence) for sentence in words],
        )

    def show_report(self, report: dict[str, Any], name: str, folder: Path) -> list[str]:
        from kerasseq import plots
        from kerasseq.tasks.tagging import report as tagging

        title = f"{name}: accuracy {report['accuracy']:.4f}"
        plots.confusion(report["confusion"], list(report["classes"]), folder / f"{name}.png", title)
        return tagging.report_lines(report)

    def tag(
        self, model: "keras.Model", assets: Assets, sentences: Iterable[list[str]]
    ) -> Iterator[dict[str, Any]]:
        """Tags and probabilities for the words of each sentence, as a stream."""
        from kerasseq.tasks.tagging.tagger import Tagger

        return Tagger(model).stream(sentences, assets.features, assets.names)

    def predict(
        self,
        model: "keras.Model",
        settings: TaggingSettings,
        assets: Assets,
        texts: Iterable[str],
    ) -> Iterator[dict[str, Any]]:
        given, read = itertools.tee(texts)
        tagged = self.tag(model, assets, map(assets.splitter.split, read))
        for text, result in zip(given, tagged, strict=True):
            yield {"text": text, **result}

    def show_prediction(self, result: dict[str, Any]) -> str:
        return " ".join(f"{w}/{t}" for w, t in zip(result["tokens"], result["tags"], strict=True))

    # -- export ----------------------------------------------------------------------------------

    def serving(
        self, model: "keras.Model", settings: TaggingSettings, assets: Assets, run: "RunFolder"
    ) -> Serving:
        from kerasseq.tasks.tagging.tagger import Tagger
        from kerasseq.tasks.tagging.export import AWKWARD_SENTENCES, TextTagger, pad_tokens

        tagger = Tagger(model)

        def tag_tokens(sentences: list[list[str]]) -> list[dict[str, Any]]:
            return list(tagger.stream(sentences, assets.features, assets.names))

        def tag_texts(texts: list[str]) -> list[dict[str, Any]]:
            return tag_tokens([assets.splitter.split(text) for text in texts])

        module = TextTagger(model, assets.splitter, assets.features, assets.names)
        texts = run.need_json("samples.json")
        sentences = [*AWKWARD_SENTENCES, *map(assets.splitter.split, texts)]
        return Serving(
            module,
            {
                "serving_default": text_signature(module.serve, tag_texts, texts),
                "tag_tokens": Signature(module.serve_tokens, pad_tokens, tag_tokens, sentences),
            },
        )

    def elementary(
        self, model: "keras.Model", settings: TaggingSettings, assets: Assets
    ) -> "Elementary":
        from kerasseq.export.elementary import tagger
        from kerasseq.text.cut import parts

        options, kept = settings.model, parts(settings.words.max_characters, "head+tail")
        spells = options.characters != "none"
        characters = model.get_layer("character_encoder") if spells else None
        crf = model.get_layer(CRF_LAYER) if options.output == "crf" else None
        return tagger(model, settings, assets.features, assets.names, kept, characters, crf)

    def served_result(
        self, text: str, outputs: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {"text": text, **{name: outputs[name] for name in OUTPUTS}}
