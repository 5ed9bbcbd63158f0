"""Settings of the search for a translation."""

from __future__ import annotations

from dataclasses import dataclass

from kerasseq.config import Settings, setting


@dataclass(frozen=True)
class BeamSettings(Settings):
    """Beam search, for scores and exports."""

    size: int = setting(5, ge=1, le=1000)
    """Hypotheses that are followed; 1 is greedy."""
    length_penalty: float = setting(1.0, ge=0)
    """Strength of the length normalisation of Wu et al. (2016); 0 prefers short translations."""
    coverage_penalty: float = setting(0.0, ge=0)
    """Strength of their penalty for source tokens, the end counted, that got no attention."""
