"""Where candidates come from: Optuna's TPE, or a sequence that fills the space evenly.

Neither touches the storage of the search, which may be far away: TPE learns from a copy of its
trials in memory, and point `i` of the sequence is known from `i`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from ncd_jax.types import Interval

__all__ = ["SAMPLERS", "distribution_of", "without_chatter"]


Drawn = tuple[dict[str, float], dict[str, Any]]
"""A candidate: its tuned hyperparameters, and what the sampler wants to find with it later."""


class _Tpe:
    """Tree-structured Parzen estimator, seeded anew for each trial by its number.

    Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.
    """

    def __init__(self, space: Mapping[str, Interval], seed: int):
        self._space = {name: distribution_of(interval) for name, interval in space.items()}
        self._seed = seed
        self._states: list[TrialState] = []
        with without_chatter():
            self._study = optuna.create_study(direction="maximize")

    def look_at(self, trials: Sequence[FrozenTrial]) -> None:
        """Learns of all trials of the search; those known before may have a score now."""
        for trial in trials:
            if trial.number == len(self._states):
                self._study.add_trial(trial)
                self._states.append(trial.state)
            elif trial.state != self._states[trial.number]:
                value = trial.value if trial.state == TrialState.COMPLETE else None
                self._study.tell(trial.number, value, state=trial.state)
                self._states[trial.number] = trial.state

    def draw(self, number: int) -> Drawn:
        """The candidate of trial `number`, the first that the search does not have yet."""
        self._study.sampler = optuna.samplers.TPESampler(
            seed=(self._seed * 1_000_003 + number) % 2**32, constant_liar=True
        )
        self._study.ask(self._space)
        self._states.append(TrialState.RUNNING)
        trial = self._study.get_trials(deepcopy=False)[number]
        return trial.params, trial.system_attrs


class _QuasiRandom:
    """A scrambled Sobol sequence.

    Source: Owen, "Scrambling Sobol' and Niederreiter-Xing points", 1998.
    """

    def __init__(self, space: Mapping[str, Interval], seed: int):
        self._space = dict(space)
        self._seed = seed

    def look_at(self, trials: Sequence[FrozenTrial]) -> None:
        """Scores change nothing."""

    def draw(self, number: int) -> Drawn:
        """Point `number` of the sequence."""
        if not self._space:
            return {}, {}
        sequence = qmc.Sobol(len(self._space), rng=self._seed)
        if number:
            sequence.fast_forward(number)
        point = sequence.random(1)[0].tolist()
        places = zip(self._space.items(), point, strict=True)
        return {name: _at(interval, share) for (name, interval), share in places}, {}


SAMPLERS: dict[str, type[_Tpe] | type[_QuasiRandom]] = {
    "tpe": _Tpe,
    "quasi_random": _QuasiRandom,
}
"""By the name in a configuration."""


def distribution_of(interval: Interval) -> BaseDistribution:
    """An interval as Optuna knows it."""
    if interval.integer:
        return IntDistribution(int(interval.low), int(interval.high), log=interval.log)
    return FloatDistribution(interval.low, interval.high, log=interval.log)


def _at(interval: Interval, share: float) -> float:
    """What lies so far, from 0 to 1, between its ends; every whole number has its share."""
    margin = 0.5 if interval.integer else 0.0
    low, high = interval.low - margin, interval.high + margin
    place = low * (high / low) ** share if interval.log else low + (high - low) * share
    if not interval.integer:
        return min(max(place, interval.low), interval.high)
    return int(min(max(round(place), interval.low), interval.high))


@contextmanager
def without_chatter() -> Iterator[None]:
    """Optuna says of every study that it was made; its log level is that of whoever imports us."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
