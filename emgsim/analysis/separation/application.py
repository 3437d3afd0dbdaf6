"""The units of a recording followed in new samples, block by block.

A linear filter alone must suppress all other units. So each unit is heard in stages: first by the
filters for everything there is, then by filters for what is left when the discharges heard so far
are subtracted, with a share of the units' power still in their covariance, for those discharges
that were missed or misplaced. Filters are linear: to subtract a discharge from the samples is to
subtract its response from the sources, so the samples are filtered once.

All work is done hop by hop from the first sample on, whatever the blocks, so the discharges do not
depend on the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from emgsim.analysis.separation.cancellation import LIMIT, matched_filter
from emgsim.analysis.separation.conditioning import Conditioner
from emgsim.analysis.separation.peeling import add
from emgsim.analysis.separation.picking import APART_S
from emgsim.analysis.separation.search import Model
from emgsim.analysis.separation.whitening import (
    extended,
    extended_covariance,
    whitening_matrix,
    window_length,
)

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Integers = NDArray[np.int64]

NOT_SUBTRACTED = (1.0, 0.3)  # [P] share of the units' power in each stage's covariance
HIGHEST_S = (0.010, 0.020)  # [P] around a discharge, where no sample of its source is higher
PHASES = 8  # of a response between two samples
HOP_S = 0.008
STAGE_S = 0.012  # by which a stage stays behind the one before: what overlaps must be known
LATEST_S = 0.007  # of a filter's window behind the discharge


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What it takes to hear a recording's units in other samples of the same electrodes.

    ``weights`` has shape ``(n_stages * n_units, n_rows)``; ``responses`` has shape ``(n_stages - 1,
    n_units, PHASES, n, n_units)``: what a discharge of one unit adds to the others' sources in the
    stage behind, from ``before`` samples before its position. ``peaks`` (n_stages, n_units) is how
    far a source's peak lies behind that position, ``delays`` (n_units,) how far the discharge does.
    """

    conditioner: Conditioner
    weights: Floats32
    responses: Floats32
    before: int
    peaks: Integers
    delays: Floats

    @property
    def n_units(self) -> int:
        """Number of units."""
        return self.delays.size

    @property
    def latency_s(self) -> float:
        """The longest time from a discharge to the sample with which it is told."""
        rate_hz = self.conditioner.rate_hz
        late = float((self.peaks[-1] - self.delays).max()) + 1
        return (late + behind(len(self.peaks) - 1, rate_hz) + samples_of(HOP_S, rate_hz)) / rate_hz

    def applied(self, samples_uv: Floats) -> tuple[Floats, ...]:
        """Return the discharge times of each unit in seconds from the first sample.

        Discharges within the last `latency_s` of the samples are not told.
        """
        stream = SurfaceStream(self)
        told = stream.step(samples_uv)
        times_s: list[list[float]] = [[] for _ in range(self.n_units)]
        for unit, time_s in told:
            times_s[unit].append(time_s)
        return tuple(np.array(sorted(own)) for own in times_s)


class SurfaceStream:
    """Hear the units of `Filters` in blocks of samples of any size.

    Parameters
    ----------
    filters
        Of an earlier recording with the same electrodes at the same rate.
    """

    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        plan = filters.conditioner
        self._hop = samples_of(HOP_S, plan.rate_hz)
        self._reaches = [samples_of(reach_s, plan.rate_hz) for reach_s in HIGHEST_S]
        self._apart = samples_of(APART_S, plan.rate_hz)
        n_stages, n_units = filters.peaks.shape
        m = len(plan.channels)
        self._waiting = np.empty((0, plan.n_channels))
        self._state: Floats | None = None
        self._seen = np.zeros((filters.weights.shape[1] // m - 1, m), np.float32)
        # The sources' rows behind the newest sample hold what is to be subtracted there
        span = filters.responses.shape[3]
        self._past = span + behind(n_stages - 1, plan.rate_hz) + 2 * self._hop
        self._sources = np.zeros((n_stages, self._past + self._hop + span, n_units), np.float32)
        self._n_done = 0  # samples
        self._last = np.full((n_stages, n_units), -np.inf)
        self._height = np.zeros((n_stages, n_units))

    def step(self, block_uv: Floats) -> tuple[tuple[int, float], ...]:
        """Take samples ``(n, n_channels)`` and return the discharges that are now known.

        Returns
        -------
        tuple of (int, float)
            Number of the unit and time of the discharge, in seconds from the first sample.

        Raises
        ------
        ValueError
            If the number of channels is not that of the recording from which the filters come.
        """
        expected = self._waiting.shape[1]
        if block_uv.ndim != 2 or block_uv.shape[1] != expected:
            raise ValueError(f"block_uv must be (n, {expected}), got {block_uv.shape}")
        waiting = np.concatenate([self._waiting, block_uv])
        n_hops = len(waiting) // self._hop
        told: list[tuple[int, float]] = []
        for k in range(n_hops):
            told += self._step(waiting[k * self._hop : (k + 1) * self._hop])
        self._waiting = waiting[n_hops * self._hop :]
        return tuple(told)

    def _step(self, hop_uv: Floats) -> list[tuple[int, float]]:
        """Take one hop."""
        self._append(hop_uv)
        rate_hz = self.filters.conditioner.rate_hz
        last = len(self._sources) - 1
        for stage in range(last):
            for unit, position in self._discharges(stage):
                self._subtract(stage, unit, position)
        told = self._discharges(last)
        return [(unit, (at + self.filters.delays[unit]) / rate_hz) for unit, at in told]

    def _append(self, hop_uv: Floats) -> None:
        """Filter a hop and put its sources behind the others."""
        filters = self.filters
        if self._state is None:
            self._state = filters.conditioner.started(hop_uv[0])
        self._state, conditioned = filters.conditioner.step(self._state, hop_uv)
        samples = np.concatenate([self._seen, conditioned])
        self._seen = samples[self._hop :]
        length = len(self._seen) + 1
        new = np.ascontiguousarray(extended(samples, length)) @ filters.weights.T
        self._sources[:, : -self._hop] = self._sources[:, self._hop :]
        self._sources[:, -self._hop :] = 0.0
        stages = new.reshape(self._hop, len(self._sources), -1).transpose(1, 0, 2)
        self._sources[:, self._past - self._hop : self._past] += stages
        self._n_done += self._hop

    def _discharges(self, stage: int) -> list[tuple[int, float]]:
        """Return units and positions of the discharges that a stage hears in its newest hop."""
        reach = self._reaches[stage]
        stop = self._past - behind(stage, self.filters.conditioner.rate_hz)
        first = stop - self._hop
        around = self._sources[stage, first - reach : stop + reach]
        here = around[reach : reach + self._hop]
        units = np.flatnonzero(here.max(axis=0) > LIMIT)
        if units.size == 0:
            return []
        highest = ndimage.maximum_filter1d(around[:, units], 2 * reach + 1, axis=0)
        here = here[:, units]
        is_top = (here > LIMIT) & (here == highest[reach : reach + self._hop])
        origin = self._n_done - self._past
        told = []
        for row, column in np.argwhere(is_top).tolist():
            at, unit = first + row, int(units[column])
            before, top, after = self._sources[stage, at - 1 : at + 2, unit].tolist()
            bend = min(before - 2 * top + after, -1e-12)
            peak = origin + at + min(max(0.5 * (before - after) / bend, -0.5), 0.5)
            is_echo = peak - self._last[stage, unit] < self._apart
            if is_echo and top < self._height[stage, unit]:
                continue
            self._last[stage, unit], self._height[stage, unit] = peak, top
            told.append((unit, peak - float(self.filters.peaks[stage, unit])))
        return told

    def _subtract(self, stage: int, unit: int, position: float) -> None:
        """Take a discharge out of the other units' sources of the stage behind."""
        fine = round(position * PHASES)
        response = self.filters.responses[stage, unit, fine % PHASES]
        start = fine // PHASES - self.filters.before - (self._n_done - self._past)
        first = max(start, 0)
        stop = min(start + len(response), self._sources.shape[1])
        if first < stop:
            self._sources[stage + 1, first:stop] -= response[first - start : stop - start]


def learned_filters(model: Model, conditioner: Conditioner, delays: Sequence[float]) -> Filters:
    """Return the filters of a model's units.

    Parameters
    ----------
    model
        The units.
    conditioner
        What the model's samples have passed.
    delays
        Samples from each unit's position to its discharge.
    """
    length = window_length(model.samples.shape[1])
    rest = extended_covariance(model.remainder, length)
    by_units = extended_covariance(model.samples, length) - rest
    late = model.before + samples_of(LATEST_S, model.rate_hz)
    stages = []
    for share in NOT_SUBTRACTED:
        whitening = whitening_matrix(rest + share * by_units)
        units = zip(model.waves, delays, strict=True)
        stages.append(
            [matched_filter(w, whitening, latest=late + round(delay)) for w, delay in units]
        )
    weights = [np.stack([f.weights for f in stage]) for stage in stages]
    return Filters(
        conditioner=conditioner,
        weights=np.concatenate(weights),
        responses=np.stack([_responses(model.waves, own) for own in weights[1:]]),
        before=model.before + 1,  # the cubic begins a sample early
        peaks=np.array([[f.peak - model.before for f in stage] for stage in stages]),
        delays=np.asarray(delays, dtype=np.float64),
    )


def _responses(waves: Floats32, weights: Floats32) -> Floats32:
    """Return what a discharge of each unit adds to the others' sources, at every phase."""
    m = waves.shape[2]
    length = weights.shape[1] // m
    margin = np.zeros((length - 1, m), np.float32)
    n = waves.shape[1] + length - 1
    out = np.zeros((len(waves), PHASES, n + 3, len(waves)), np.float32)
    for unit, wave in enumerate(waves):
        windows = np.ascontiguousarray(extended(np.concatenate([margin, wave, margin]), length))
        response = windows @ weights.T
        response[:, unit] = 0.0
        for phase in range(PHASES):
            add(out[unit, phase], np.array([1 + phase / PHASES]), response, 0)
    return out


def behind(stage: int, rate_hz: float) -> int:
    """Return how many samples a stage waits before it tells a discharge."""
    return samples_of(HIGHEST_S[stage], rate_hz) + stage * samples_of(STAGE_S, rate_hz)


def samples_of(seconds: float, rate_hz: float) -> int:
    """Return a duration in samples, one at least."""
    return max(1, round(seconds * rate_hz))
