"""Labelled texts as ids, tokenised once and kept in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from kerasseq.app.task import Data
from kerasseq.data.batches import (
    SequenceBatches,
    lengths_of,
    pad,
    padding_waste,
    shuffled_batches,
)
from kerasseq.data.corpus import Corpus, distinct, length_percentiles
from kerasseq.data.cutting import ADVICE, Rule, cut_splits, stratified, whole_of
from kerasseq.data.examples import LabelledText
from kerasseq.errors import UserError
from kerasseq.storage import write_json
from kerasseq.tasks.sentiment.classification import Classification, counted
from kerasseq.tasks.sentiment.kinds import classification
from kerasseq.tasks.sentiment.settings import SentimentSettings, TextSettings
from kerasseq.text.cut import cut
from kerasseq.text.tokenizer import has_token, tokenize
from kerasseq.text.vocabulary import BOS, UNK, FirstIds, Vocabulary
from kerasseq.training.run_folder import RunFolder

SAMPLES = 64

MOST_SHARE = 0.9
"""Of one class, more than which is said."""


class Assets(NamedTuple):
    """What a classifier needs beside its weights.

    Attributes:
        vocabulary: of tokens.
        kind: of classification, with the names of the classes.
        ngrams: how many n-grams are known.
    """

    vocabulary: Vocabulary
    kind: Classification
    ngrams: int = 0

    def save(self, run: RunFolder) -> None:
        """Writes them to a run folder."""
        self.vocabulary.save(run / "vocabulary.txt")
        write_json(run / "classes.json", self.kind.names)
        write_json(run / "ngrams.json", self.ngrams)
        if self.kind.thresholds:
            write_json(run / "thresholds.json", self.kind.thresholds)

    @classmethod
    def load(cls, run: RunFolder, settings: Any) -> Assets:
        """Reads what :meth:`save` wrote."""
        names, thresholds = run.need_json("classes.json"), run.read_json("thresholds.json")
        kind = classification(settings.multi_label, names, thresholds)
        return cls(Vocabulary.load(run / "vocabulary.txt"), kind, run.need_json("ngrams.json"))

    @classmethod
    def assumed(cls, settings: Any) -> Assets:
        """Those of two classes."""
        kind = classification(settings.multi_label, ["negative", "positive"])
        text = settings.text
        return cls(Vocabulary.assumed(text.vocabulary_size), kind, text.ngram_rows)


@dataclass(frozen=True)
class EncodedTexts:
    """A split.

    Attributes:
        sequences: of ids, each starting with BOS.
        labels: class indices, as :meth:`Classification.encode` gives them.
        texts: as they were; none of what is trained on.
    """

    sequences: list[np.ndarray]
    labels: Any
    texts: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> np.ndarray:
        """Length of each sequence, int32 ``[N]``."""
        return lengths_of(self.sequences)


@dataclass(frozen=True)
class LabelledData(Data[EncodedTexts, Assets]):
    """Encoded data.

    Attributes:
        ngrams: keys of the n-grams that train has; only what training starts from.
    """

    ngrams: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))


def without_empty(corpus: Corpus[LabelledText]) -> Corpus[LabelledText]:
    """The corpus without the texts that have no token, which are counted in its notes.

    Raises:
        UserError: if a split has nothing else.
    """
    splits, notes = {}, list(corpus.notes)
    for name, part in corpus.splits.items():
        kept = [example for example in part if has_token(example.text)]
        if not kept:
            raise UserError(f"{corpus.source}: every text is empty after tokenising")
        if len(kept) < len(part):
            where = "" if name == "all" else f" of {name}"
            notes.append(f"{len(part) - len(kept):,} texts{where} without any token dropped")
        splits[name] = kept
    return replace(corpus, splits=splits, notes=notes)


def cut_corpus(
    corpus: Corpus[LabelledText], fraction: float, seed: int, multi_label: bool = False
) -> Corpus[LabelledText]:
    """Completes a corpus to train, validation and test, with the same balance of classes.

    Texts without any token go first. An official test split stays what it is. Repeated texts are
    removed from what is cut, so that no text stands on both sides of a cut.

    Args:
        corpus: with the splits its source has.
        fraction: share of the validation split, and of the test split where there is none.
        seed: of the cut.
        multi_label: whether a text may have several classes.

    Raises:
        UserError: if a split would be empty or train has fewer than two classes (with
            ``multi_label``, one).
    """
    corpus = without_empty(corpus)
    whole, notes = whole_of(corpus), list(corpus.notes)
    train = distinct(corpus.splits[whole], lambda example: example.text)
    if repeated := len(corpus.splits[whole]) - len(train):
        notes.append(f"{repeated:,} repeated texts removed before cutting")
        label_of = dict(train)
        if conflicts := sum(label != label_of[text] for text, label in corpus.splits[whole]):
            notes.append(
                f"{conflicts:,} of them had another label than the first of the same text, which "
                "counts"
            )
    corpus = replace(corpus, splits={**corpus.splits, whole: train}, notes=notes)
    rule = _stratified(train, fraction, seed)
    shared = "texts", lambda example: example.text
    corpus = cut_splits(corpus, rule, "example", shared, advice=ADVICE)
    kind = classification(multi_label, [])
    counts = counted(kind, corpus.splits["train"])
    texts = len(corpus.splits["train"])
    if multi_label and (not counts or min(counts.values()) == texts):
        every = f"every text in train has all classes ({', '.join(sorted(counts)[:10])})"
        cure = "; a list holds the classes that the text has, not a 0 or 1 for each class"
        raise UserError(f"{corpus.source}: {every + cure if counts else 'no text has a class'}")
    if not multi_label and len(labels := list(counts)) < 2:
        raise UserError(
            f"{corpus.source}: a classifier needs at least two classes, but every label in train "
            f"is {labels.pop()!r}"
        )
    often = {name: count / texts for name, count in counts.items() if count > MOST_SHARE * texts}
    notes = [
        f"{share:.1%} of train is {name!r}: accuracy says little of the rest "
        "(--training.monitor macro_f1, --class_weight balanced)"
        for name, share in often.items()
    ]
    corpus = replace(corpus, notes=[*corpus.notes, *notes])
    return corpus


def _stratified(examples: Sequence[LabelledText], fraction: float, seed: int) -> Rule[LabelledText]:
    """Parts with the same balance of classes; of a text with several classes the rarest decides.

    A class that train would lack, since its texts have rarer classes too, keeps one there.
    """
    kind = classification(True, [])  # one class is a list of one
    counts = counted(kind, examples)

    def rarest(example: LabelledText) -> str:
        names = kind.names_of(example.label)
        return min(names, key=lambda name: (counts[name], name), default="")

    rule: Rule[LabelledText] = stratified(fraction, seed, rarest)

    def complete(
        examples: Sequence[LabelledText], missing: Sequence[str], notes: list[str]
    ) -> dict[str, list[LabelledText]]:
        parts = {name: list(part) for name, part in rule(examples, missing, notes).items()}
        lacking = set(counts) - set(counted(kind, parts["train"]))
        for part in (parts[name] for name in missing):
            for example in [e for e in part if lacking & set(kind.names_of(e.label))]:
                if lacking & set(kind.names_of(example.label)):
                    part.remove(example)
                    parts["train"].append(example)
                    lacking -= set(kind.names_of(example.label))
        return parts

    return complete


def kind_of(corpus: Corpus[LabelledText], multi_label: bool) -> Classification:
    """The kind of classification, with the classes of the train split, sorted.

    Raises:
        UserError: if another split has a label that train lacks.
    """
    names = sorted(counted(classification(multi_label, []), corpus.splits["train"]))
    kind = classification(multi_label, names)
    for split, examples in corpus.splits.items():
        check_labels(examples, kind, f"{corpus.source}, {split} split")
    return kind


def check_labels(examples: Sequence[LabelledText], kind: Classification, where: str) -> None:
    """Raises:
    UserError: if an example has a class that ``kind`` has not.
    """
    known = set(kind.names)
    unseen = {name: n for name, n in counted(kind, examples).items() if name not in known}
    if unseen:
        label = max(unseen, key=unseen.__getitem__)
        first = next(i for i, e in enumerate(examples, 1) if label in kind.names_of(e.label))
        raise UserError(
            f"{where}: label {label!r} (example {first}, {unseen[label]} in all) does not occur in "
            f"the training data, which has {', '.join(map(repr, kind.names[:10]))}"
        )


def encode_text(
    text: str, vocabulary: Vocabulary, settings: TextSettings
) -> tuple[np.ndarray, bool]:
    """Ids of one text: BOS, then its tokens, cut by the rule of ``settings``; and whether it was
    cut."""
    ids = vocabulary.encode(tokenize(text))
    return _with_bos(ids, settings), len(ids) > settings.max_length


def _with_bos(ids: np.ndarray, settings: TextSettings) -> np.ndarray:
    return np.concatenate([[BOS], cut(ids, settings.max_length, settings.keep)]).astype(np.int32)


def encode_split(
    examples: Sequence[LabelledText],
    encoded: Iterable[np.ndarray],
    assets: Assets,
    settings: TextSettings,
    keep_texts: bool = True,
) -> tuple[EncodedTexts, dict[str, Any]]:
    """Encodes a split and says what it holds.

    Args:
        examples: texts and labels.
        encoded: the ids of each text; at least one.
        assets: of the train split; a label's index is its position among the classes.
        settings: the cut.
        keep_texts: whether the split has its texts, which errors are listed with.
    """
    sequences, sizes, unknown = [], [], 0
    for ids in encoded:
        sequences.append(_with_bos(ids, settings))
        sizes.append(len(ids))
        unknown += int(np.count_nonzero(ids == UNK))
    lengths = np.array(sizes)
    split = EncodedTexts(
        sequences,
        assets.kind.encode(examples),
        [example.text for example in examples] if keep_texts else (),
    )
    counts = counted(assets.kind, examples)
    return split, {
        "examples": len(split),
        "labels": {name: counts[name] for name in assets.kind.names},
        "tokens": int(lengths.sum()),
        "unknown_share": round(unknown / int(lengths.sum()), 4),
        "length_percentiles": length_percentiles(lengths),
        "cut_share": round(float(np.mean(lengths > settings.max_length)), 4),
        "sha256": _digest(examples),
    }


def _digest(examples: Iterable[LabelledText]) -> str:
    """Of the texts and labels, in order: a run refuses to go on with other data."""
    digest = hashlib.sha256()
    for text, label in examples:
        digest.update(f"{len(text)} {text} {label}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def encode_corpus(
    corpus: Corpus[LabelledText],
    kind: Classification,
    settings: SentimentSettings,
    assets: Assets | None = None,
) -> LabelledData:
    """Tokenises every split once, builds the vocabulary from train, and encodes.

    Args:
        corpus: with the splits train, validation and test.
        kind: of classification, with its classes.
        settings: of the task.
        assets: whose vocabulary is taken, if there is one already.
    """
    ids = FirstIds()
    drafts = {
        name: [ids.encode(tokenize(example.text)) for example in part]
        for name, part in corpus.splits.items()
    }
    trained = assets is not None
    if assets is None:
        counts = ids.counts(drafts["train"])
        text = settings.text
        assets = Assets(Vocabulary.from_counts(counts, text.vocabulary_size, text.min_count), kind)
    known = ids.known(assets.vocabulary)
    splits, reports = {}, {}
    for name, part in corpus.splits.items():
        encoded = (known[draft] for draft in drafts.pop(name))
        splits[name], reports[name] = encode_split(
            part, encoded, assets, settings.text, keep_texts=trained or name != "train"
        )
    ngrams = np.zeros(0, np.int32)
    if not trained and settings.text.ngrams:
        ngrams = _ngrams(splits["train"].sequences, settings)
        assets = assets._replace(ngrams=len(ngrams))
    samples = [example.text for example in corpus.splits["validation"][:SAMPLES]]
    return LabelledData(splits, assets, _report(corpus, assets, reports), samples, ngrams=ngrams)


def _ngrams(sequences: Sequence[np.ndarray], settings: SentimentSettings) -> np.ndarray:
    from kerasseq.layers.bag_of_ngrams import frequent_ngrams  # keras takes seconds to import

    text = settings.text
    return frequent_ngrams(sequences, text.ngrams, text.ngram_rows, text.ngram_documents, UNK)


def encode_test(
    corpus: Corpus[LabelledText], split: str, assets: Assets, settings: TextSettings
) -> LabelledData:
    """Encodes a split of other data for a trained model, as ``test``.

    Raises:
        UserError: if it has a label that the model does not know.
    """
    corpus = without_empty(corpus)
    examples = corpus.splits[split]
    check_labels(examples, assets.kind, corpus.source)
    encoded = (assets.vocabulary.encode(tokenize(example.text)) for example in examples)
    part, summary = encode_split(examples, encoded, assets, settings)
    return LabelledData({"test": part}, assets, _report(corpus, assets, {split: summary}))


def _report(corpus: Corpus[LabelledText], assets: Assets, splits: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": corpus.source,
        "notes": list(corpus.notes),
        "classes": assets.kind.names,
        "vocabulary": len(assets.vocabulary),
        "splits": splits,
    }


class LabelledBatches(SequenceBatches):
    """Training batches of labelled sequences: ids and targets.

    Args:
        split: the training data.
        kind: of classification.
        settings: of the task: batch size, pool and padding, weights of classes.
    """

    def __init__(self, split: EncodedTexts, kind: Classification, settings: SentimentSettings):
        super().__init__(split.lengths, settings.seed)
        self._split, self._kind, self._settings = split, kind, settings.batches
        balanced = settings.class_weight == "balanced"
        self._weights = kind.weights(split.labels) if balanced else None

    def epoch(self, number: int) -> list[np.ndarray]:
        """The positions that make up each batch of an epoch."""
        return shuffled_batches(self._lengths, self._settings, self._seed, number)

    def fetch(self, item: np.ndarray) -> dict[str, np.ndarray]:
        """``ids`` int32 ``[B, T]``; ``label`` int32 ``[B]``, or of several classes float32
        ``[B, classes]``; and ``weight`` float32 of the same shape, if classes are balanced."""
        sequences, labels = self._split.sequences, self._split.labels
        ids, _ = pad([sequences[i] for i in item], self._settings.pad_to_multiple)
        batch = {"ids": ids, "label": self._kind.targets([labels[i] for i in item])}
        if self._weights is not None:
            batch["weight"] = self._kind.weight_of(batch["label"], self._weights)
        return batch

    def waste(self) -> dict[str, str]:
        """For a data report: how much of the first epoch is padding."""
        epoch = self.epoch(0)
        waste = padding_waste(self._lengths, epoch, self._settings.pad_to_multiple)
        return {"padding waste": f"{waste:.2%} of {len(epoch)} training batches"}
