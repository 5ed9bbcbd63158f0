"""What a text is told: one class of several, or any number of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kerasseq.data.examples import Label, LabelledText
from kerasseq.evaluation.paired import Metric

MOST_AUC = 100
"""Classes up to which every validation has the AUC, which is a sort a class."""


class Classification(ABC):
    """One of the two kinds of classification: how labels become numbers, and logits answers.

    Args:
        names: the classes.
        thresholds: the probability from which a class is given, for each of them; only where a
            text may have several.
    """

    def __init__(self, names: Sequence[str], thresholds: Sequence[float] | None = None):
        self.names = list(names)
        self.thresholds = thresholds
        self._index = {name: position for position, name in enumerate(self.names)}

    # -- labels ----------------------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def names_of(label: Label) -> tuple[str, ...]:
        """The classes of an example."""

    @abstractmethod
    def encode(self, examples: Sequence[LabelledText]) -> Any:
        """The classes of examples as indices: int32 ``[N]``, or a list of such vectors."""

    @abstractmethod
    def targets(self, labels: Sequence[Any]) -> np.ndarray:
        """What a batch of encoded labels is to the loss."""

    @abstractmethod
    def weights(self, labels: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Factors of the loss that let all classes count alike: of each class where it is there,
        and where it is not, float32 ``[classes]``; both have a mean of 1 over the data."""

    @abstractmethod
    def weight_of(self, targets: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The factors of a batch, ``[B]`` or ``[B, classes]``."""

    @abstractmethod
    def prior(self, labels: Sequence[Any]) -> np.ndarray:
        """Logits that give each class its share of the training texts, float32 ``[classes]``."""

    # -- of a model --------------------------------------------------------------------------------

    @abstractmethod
    def nll(self, targets: Any, logits: Any, smoothing: float, weight: Any) -> Any:
        """The loss of each text of a batch, in nats, ``[B]``."""

    @abstractmethod
    def shares(self, logits: Any) -> Any:
        """Probabilities of logits."""

    @abstractmethod
    def answer(self, shares: Any) -> dict[str, Any]:
        """What an exported graph gives for probabilities ``[B, classes]``."""

    # -- figures -----------------------------------------------------------------------------------

    @abstractmethod
    def metrics(self, shares: np.ndarray, labels: Any, auc: bool) -> dict[str, float]:
        """Of the validation split."""

    @abstractmethod
    def report(self, shares: np.ndarray, labels: Any) -> dict[str, Any]:
        """Everything that is measured on a split, as JSON values."""

    @abstractmethod
    def errors(self, shares: np.ndarray, labels: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        """The texts that are wrong, the most confident error first: position, and what is said."""

    @abstractmethod
    def compared(self, shares: np.ndarray, labels: Any) -> list[Metric]:
        """What is compared with another model."""

    @abstractmethod
    def result(self, text: str, shares: Sequence[float], cut: bool) -> dict[str, Any]:
        """The answer for one text."""


def counted(kind: Classification, examples: Sequence[LabelledText]) -> Counter[str]:
    """How many examples have each class."""
    return Counter(name for example in examples for name in kind.names_of(example.label))
