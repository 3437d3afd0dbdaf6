"""Look for units until a round finds none: sources, peeling, all units heard anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgsim import seeds
from emgsim.analysis.separation.cancellation import (
    cancelled_sources,
    heard,
    matched_filter,
)
from emgsim.analysis.separation.peeling import potentials, residual
from emgsim.analysis.separation.quality import FEWEST, SAME, agreement, cov_isi, distinct
from emgsim.analysis.separation.refinement import refined
from emgsim.analysis.separation.sources import first_filters, independent
from emgsim.analysis.separation.whitening import (
    extended_covariance,
    projected,
    whitening_matrix,
    window_length,
)

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

BEFORE_S, AFTER_S = 0.025, 0.030  # [P] of a potential around a discharge: it crosses the grid
EXPONENTS = (2, 3)  # [S] of the contrasts' derivatives: skewness, kurtosis (Negro et al. 2016)
LEARNED_S = 20.0  # [P] in which units are sought: bounds the memory; then they are heard anywhere
LAST_TURNS = 2  # of hearing all units anew at the end


@dataclass(frozen=True, kw_only=True)
class Search:
    """How long to look for units."""

    candidates: int  # in a round
    rounds: int
    dry_rounds: int  # in a row without a new unit, after which the search ends


@dataclass(frozen=True, kw_only=True)
class Model:
    """The trains known so far, their potentials, and what these leave of the samples.

    Positions of discharges are in samples; ``waves`` has shape ``(n_units, length, n_channels)``.
    """

    samples: Floats32
    rate_hz: float
    trains: tuple[Floats, ...]
    waves: Floats32
    remainder: Floats32

    @property
    def before(self) -> int:
        """Samples of a potential before the discharge."""
        return round(BEFORE_S * self.rate_hz)

    @property
    def length(self) -> int:
        """Samples of a potential."""
        return self.before + round(AFTER_S * self.rate_hz)

    def learned(self, trains: Sequence[Floats]) -> Model:
        """Return the model of other trains, with potentials and remainder estimated anew."""
        if not trains:
            return started(self.samples, self.rate_hz)
        waves = potentials(self.samples, trains, self.before, self.length)
        remainder = residual(self.samples, trains, waves, self.before)
        return replace(self, trains=tuple(trains), waves=waves, remainder=remainder)


def started(samples: Floats32, rate_hz: float) -> Model:
    """Return the model without any unit."""
    return Model(
        samples=samples,
        rate_hz=rate_hz,
        trains=(),
        waves=np.empty((0, 0, samples.shape[1]), np.float32),
        remainder=samples,
    )


def searched(model: Model, search: Search) -> tuple[Model, Floats32]:
    """Return the model with all units that a search finds, and the remainder's whitening."""
    whitening = remainder_whitening(model)
    dry = 0
    for turn in range(search.rounds):
        trains = _with_new_ones(model, whitening, search.candidates, turn)
        dry = 0 if len(trains) > len(model.trains) else dry + 1
        if dry == search.dry_rounds:
            break
        if dry == 0:
            model = model.learned(trains)
            whitening = remainder_whitening(model)
            model = heard_anew(model, whitening)
    kept = distinct(model.trains, [cov_isi(t, model.rate_hz) for t in model.trains], model.rate_hz)
    model = model.learned([model.trains[k] for k in kept])
    whitening = remainder_whitening(model)
    for _ in range(LAST_TURNS):
        model = heard_anew(model, whitening)
    return model, whitening


def _off_centre(wave: Floats32, before: int) -> int:
    """Return how far a potential's centre of energy lies behind the middle that it should have."""
    energy = np.square(wave).sum(axis=1)
    return round(float(energy @ np.arange(energy.size) / energy.sum())) - before


def remainder_whitening(model: Model) -> Floats32:
    """Return the matrix that whitens the windows of the remainder."""
    length = window_length(model.samples.shape[1])
    return whitening_matrix(extended_covariance(model.remainder, length))


def _with_new_ones(model: Model, whitening: Floats32, n_candidates: int, turn: int) -> list[Floats]:
    """Return the trains, and behind them those found in the remainder."""
    rate_hz = model.rate_hz
    first, stop = _busiest(model.remainder, round(LEARNED_S * rate_hz))
    white = projected(model.remainder[first:stop], whitening)
    rng = seeds.stream(0, "surface separation", turn)
    filters = first_filters(white, rate_hz, n_candidates, rng)
    exponents = np.resize(np.array(EXPONENTS), len(filters))
    found = refined(white, independent(white, filters, exponents), rate_hz)
    trains = list(model.trains)
    for candidate in sorted(found, key=lambda c: c.cov_isi):
        train = candidate.positions + first
        if candidate.is_credible and all(agreement(train, t, rate_hz) < SAME for t in trains):
            trains.append(train)
    return trains


def _busiest(samples: Floats32, n: int) -> tuple[int, int]:
    """Return begin and end of the stretch of so many samples with the greatest power."""
    if len(samples) <= n:
        return 0, len(samples)
    total = np.cumsum(np.square(samples).sum(axis=1, dtype=np.float64))
    first = int(np.argmax(total[n:] - total[:-n])) + 1
    return first, first + n


def heard_anew(model: Model, whitening: Floats32) -> Model:
    """Return the model of the discharges that stand out once the other units are subtracted."""
    if not model.trains:
        return model
    filters = [matched_filter(wave, whitening) for wave in model.waves]
    sources = cancelled_sources(model.remainder, model.trains, filters, model.before)
    rate_hz = model.rate_hz
    trains = [
        heard(source, f, rate_hz, model.before) + _off_centre(wave, model.before)
        for source, f, wave in zip(sources, filters, model.waves, strict=True)
    ]
    return model.learned([train for train in trains if train.size >= FEWEST])
