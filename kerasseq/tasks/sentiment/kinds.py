"""The two kinds of classification, by what the settings say."""

from __future__ import annotations

from collections.abc import Sequence

from kerasseq.tasks.sentiment.classification import Classification
from kerasseq.tasks.sentiment.multiclass import Multiclass
from kerasseq.tasks.sentiment.multilabel import Multilabel


def classification(
    multi_label: bool, names: Sequence[str], thresholds: Sequence[float] | None = None
) -> Classification:
    """The kind that settings ask for, with the names of its classes."""
    return (Multilabel if multi_label else Multiclass)(names, thresholds)
