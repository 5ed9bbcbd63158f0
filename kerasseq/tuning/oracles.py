"""KerasTuner's random and Bayesian search: without repeats, to the last point of a space."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras_tuner
import numpy as np

from kerasseq import compat

CANDIDATES = 200
"""Points that were not tried yet, of which the best takes the place of a repeat."""

ATTEMPTS = 20
"""Draws for each of them; a space in which these give nothing new was tried as a whole."""


class RandomOracle(keras_tuner.oracles.RandomSearchOracle):
    """Random search that goes on to the last point: KerasTuner gives up after 20 repeats.

    Args:
        every: all points, if they are not too many.
        **options: as KerasTuner takes them.
    """

    def __init__(self, every: Sequence[Mapping[str, Any]] | None = None, **options: Any):
        super().__init__(**options)
        self._every = every

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See KerasTuner."""
        found = super().populate_space(trial_id)
        if found["status"] == "STOPPED" and (left := _left(self._every or (), _tried(self.trials))):
            drawn = np.random.default_rng([self.seed, len(self.trials)]).integers(len(left))
            return {"status": "RUNNING", "values": dict(left[drawn])}
        return found


class BayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """A Gaussian process over what trials gave (`KerasTuner
    <https://keras.io/keras_tuner/api/oracles/bayesian/>`_).

    Near an optimum its proposals are the same again, and a training is a function of its settings.
    Then the best of some points that were not tried is taken, by the same bound. What is drawn for
    a trial depends on its number alone, so that a sweep that was stopped goes on as one that was
    not.

    Attributes:
        known: values of the next trial, from a journal; no process is fitted for it.
        others: trials that it did not propose, by number, and learns from too.
    """

    known: Mapping[str, Any] | None = None

    def __init__(self, every: Sequence[Mapping[str, Any]] | None = None, **options: Any):
        super().__init__(**options)
        self.others: dict[str, _Told] = {}
        self._every = every

    def learn(self, number: str, values: Mapping[str, Any], score: float) -> None:
        """Takes the value of a trial that it did not propose."""
        parameters = self.hyperparameters.copy()
        parameters.values = dict(values)
        self.others[f"other {number}"] = _Told(parameters, score)  # numbers of its own may be alike

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See KerasTuner."""
        if self.known is not None:
            known, self.known = self.known, None
            return {"status": "RUNNING", "values": dict(known)}
        own: dict[str, Any] = self.trials  # type: ignore[has-type]
        compat.reseed_oracle(self, 1000 * self.seed + len(own))
        self.trials = {**self.others, **own}
        try:
            return self._found(trial_id, len(own))
        finally:
            self.trials = own

    def _found(self, trial_id: str, number: int) -> dict[str, Any]:
        """Another point, from all trials."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            found = super().populate_space(trial_id)
        if found["status"] == "STOPPED" or _key(found["values"]) in _tried(self.trials):
            new = list(self._untried(number))
            if not new:
                return {"status": "STOPPED", "values": None}
            ended = sum(trial.status == "COMPLETED" for trial in self.trials.values())
            drawn = ended < self.num_initial_points  # there is no process yet
            best = new[0] if drawn else min(new, key=self._bound)
            found = {"status": "RUNNING", "values": best}
        return found

    def _untried(self, number: int) -> Iterator[dict[str, Any]]:
        """Random points that no trial had, each once."""
        tried = _tried(self.trials)
        random = np.random.default_rng([self.seed, number])
        if self._every is not None:
            left = _left(self._every, tried)
            for i in random.permutation(len(left))[:CANDIDATES]:
                yield dict(left[i])
            return
        for _ in range(CANDIDATES):
            for _ in range(ATTEMPTS):
                values = self._draw(random)
                if _key(values) not in tried:
                    tried.add(_key(values))
                    yield values
                    break
            else:
                return

    def _draw(self, random: np.random.Generator) -> dict[str, Any]:
        made = keras_tuner.HyperParameters()
        for parameter in self.hyperparameters.space:
            made.merge([parameter])
            if made.is_active(parameter):
                made.values[parameter.name] = parameter.prob_to_value(random.random())
        return made.values

    def _bound(self, values: dict[str, Any]) -> float:
        """How good values may be, less being better: what the search looks for the least of."""
        point = [
            parameter.value_to_prob(values.get(parameter.name, parameter.default))
            for parameter in self.hyperparameters.space
        ]
        mean, spread = self.gpr.predict([point], return_std=True)
        return float(mean[0] - self.beta * spread[0])


@dataclass(eq=False)
class _Told:
    """A trial that was not proposed, as KerasTuner reads one."""

    hyperparameters: Any
    score: float
    status: str = "COMPLETED"


def _tried(trials: Mapping[str, Any]) -> set[str]:
    """The keys of the points that trials had."""
    return {_key(trial.hyperparameters.values) for trial in trials.values()}


def _left(every: Sequence[Mapping[str, Any]], tried: set[str]) -> list[Mapping[str, Any]]:
    """The points that none had."""
    return [point for point in every if _key(point) not in tried]


def _key(values: Mapping[str, Any]) -> str:
    plain = {n: int(v) if isinstance(v, bool) else v for n, v in values.items()}
    return json.dumps(plain, sort_keys=True, default=float)
