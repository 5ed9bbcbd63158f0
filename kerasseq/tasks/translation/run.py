"""A finished run of translation, in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasseq.app.arguments import need_whole
from kerasseq.app.results import Report, texts_of
from kerasseq.app.run import Run, names_of
from kerasseq.config import replace
from kerasseq.decoding.beam import check_beam
from kerasseq.decoding.settings import BeamSettings
from kerasseq.errors import UserError
from kerasseq.tasks.translation import comparison
from kerasseq.tasks.translation.scores import length_curves
from kerasseq.tasks.translation.serving import Translation
from kerasseq.training.progress import silence


@dataclass(frozen=True)
class Translated:
    """A text with its translations.

    Attributes:
        text: as it was given.
        translations: the best ones, best first.
    """

    text: str
    translations: list[Translation]


class TranslationRun(Run):
    """A finished run of translation."""

    def translate(
        self, texts: Iterable[str], *, n_best: int = 1, attention: bool = False, **beam: float
    ) -> list[Translated]:
        """Translations of texts.

        Args:
            texts: source sentences.
            n_best: translations of each.
            attention: whether to give the weight of each source token.
            **beam: of the search, where it differs from the run's: ``size``, ``length_penalty``,
                ``coverage_penalty``.

        Raises:
            ValueError: if a number is out of its bounds, or there is no attention to give.
        """
        given = texts_of(texts, "translate")
        need_whole("n_best", n_best, 1)
        search: BeamSettings = chosen_beam(self.trained.settings.beam, beam)
        check_beam(search.size, n_best, 1)
        reader = self.trained.use
        if attention and not reader.model.has_attention:
            raise UserError(f"{self.path} was trained without attention: there is none to give")
        with silence(self.quiet):
            found = reader.translate(given, search, n_best, attention)
            return [Translated(text, translations) for text, translations in found]

    def compare(self, other: Run | str | Path, split: str | None = None) -> Report:
        """Whether this run or another one translates better: paired bootstrap resampling.

        The comparison is written beside this run's reports, with the curves by length.

        Args:
            other: a run whose data has the same split; a split that is not scored yet is scored.
            split: of the data of both; by default ``test``.

        Raises:
            ValueError: if the two are the same, or their splits differ.
        """
        other = self.to_compare(other)
        split = self.check_comparable(other, split)
        data = self.own_data(split)
        pairs = data.splits[split].pairs
        outputs = [run.evaluate(split=split)["translations"] for run in (self, other)]
        found = comparison.compare(
            outputs[0], outputs[1], [pair.references for pair in pairs],
            [pair.source for pair in pairs], data.assets.languages[1], self.settings.seed,
        )  # fmt: skip
        names = names_of(self, other)
        lines = comparison.compare_lines(found, *names)
        report = self.keep_comparison(other, split, found, lines)
        if report.path:
            curves = dict(zip(names, found["by_length"].values(), strict=True))
            length_curves(curves, report.path.with_suffix(".png"), "BLEU by length of the source")
        return report


def chosen_beam(beam: BeamSettings, changes: Mapping[str, Any]) -> BeamSettings:
    """The settings of a search, some of them changed.

    Raises:
        UserError: if there is none of a name, or a number is out of its bounds.
    """
    try:
        return replace(beam, changes)
    except UserError as error:
        raise UserError(f"the beam's {error}") from None
