"""Leads that have lost the skin: what an open input shows instead of the EMG."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.chunks import Added, Chunk, Grid
from emgsim.artefacts.interference import mains
from emgsim.artefacts.noise import baseline, skin_electrode
from emgsim.artefacts.occurrence import draw_size, event
from emgsim.artefacts.parameters import Baseline, LeadOff, Mains, SkinElectrode
from emgsim.recording import Event

Floats = NDArray[np.float64]

HUM_MODULATION = 0.3  # a loose lead swings: three times what a fixed one strays [P]


class Detached:
    """A stage that takes leads off the skin, and tells of it when they are back on it.

    An open input has no memory of the EMG: it changes from one sample to the next, at both ends.
    Its event ends at the recording's end at the latest, which only `finish` knows.
    """

    def __init__(self, artefact: LeadOff, grid: Grid, rng: np.random.Generator) -> None:
        self._artefact = artefact
        self._rate_hz = grid.rate_hz
        self._until_s = _until_s(artefact)
        self._open_leads = Added(grid, _open_leads(artefact, grid, rng))
        self._end_s = 0.0  # of the samples so far
        self._is_told = False

    def step(self, samples_uv: Floats, start_sample: int) -> tuple[Floats, tuple[Event, ...]]:
        """Return the block as the leads give it, and the event if contact has come back."""
        out, _ = self._open_leads.step(samples_uv, start_sample)
        self._end_s = (start_sample + len(out)) / self._rate_hz
        return out, self.finish() if self._until_s <= self._end_s else ()

    def finish(self) -> tuple[Event, ...]:
        """Return the event if it has begun and was not told."""
        if self._is_told or self._end_s <= self._artefact.from_s:
            return ()
        self._is_told = True
        return (event(self._artefact, self._artefact.from_s, min(self._until_s, self._end_s)),)


def _open_leads(artefact: LeadOff, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield chunks that silence the channels while they are off, and add what an open lead has."""
    hum_rng, size_rng, drift_rng, noise_rng = rng.spawn(4)
    unit_hum = Mains(
        frequency_hz=artefact.frequency_hz, peak_to_peak_uv=1.0, modulation=HUM_MODULATION
    )
    hum = mains(unit_hum, grid, hum_rng)
    sizes = np.array([draw_size(artefact.spread, size_rng) for _ in range(grid.n_channels)])
    hum_uv = artefact.peak_to_peak_uv * sizes
    drift = baseline(Baseline(rms_uv=artefact.drift_uv_rms), grid, drift_rng)
    noise = skin_electrode(SkinElectrode(rms_uv=artefact.noise_uv_rms), grid, noise_rng)
    until_s = _until_s(artefact)
    for times_s, *parts in zip(grid.chunks(), hum, drift, noise, strict=False):
        is_off = ((artefact.from_s <= times_s) & (times_s < until_s))[:, None]
        hummed, drifted, noisy = (part.added_uv for part in parts)
        open_uv = hum_uv * hummed + drifted + noisy
        yield Chunk(np.where(is_off, open_uv, 0.0), gain=np.where(is_off, 0.0, 1.0))


def _until_s(artefact: LeadOff) -> float:
    return math.inf if artefact.until_s is None else artefact.until_s
