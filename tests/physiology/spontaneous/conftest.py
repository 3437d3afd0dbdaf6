"""A muscle with a needle in it, and what the needle hears of sources, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres, place_unit
from emgsim.physiology.parameters import ConcentricNeedle, TipPosition
from emgsim.physiology.parameters.spontaneous import SpontaneousActivity
from emgsim.physiology.rendering import add_discharges, polyphase
from emgsim.physiology.spontaneous.activities import sources
from emgsim.physiology.spontaneous.field import source_wave_uv
from emgsim.physiology.spontaneous.source import Source
from emgsim.physiology.spontaneous.surroundings import Site
from emgsim.physiology.voices import Sampling
from emgsim.scenario import load_scenario
from emgsim.seeds import stream

BICEPS = load_scenario("healthy_biceps").muscle
SAMPLING = Sampling(rate_hz=48_000.0, band_hz=10_000.0)
LEAD = 8  # samples before the discharge: the band rings there


@cache
def unit_fibres(order: int) -> UnitFibres:
    """Return a unit of the muscle."""
    return place_unit(BICEPS, order, stream(3, "muscle", order))


@dataclass(frozen=True)
class Room:
    """The examination: where the needle stands, what it hears."""

    sampling: Sampling = SAMPLING

    def site(self, z_mm: float = 15.0, orphans: UnitFibres | None = None) -> Site:
        """Return the muscle with the needle so far from the middle of its end-plate band."""
        tip = TipPosition(x_mm=1.0, y_mm=0.5, z_mm=z_mm)
        return Site(muscle=BICEPS, tip=tip, unit_fibres=unit_fibres, orphans=orphans)

    def sources(
        self, activity: SpontaneousActivity, duration_s: float, seed: int = 0
    ) -> tuple[Source, ...]:
        """Return an activity's sources, end plates where they are wanted."""
        at_end_plates = activity.kind.startswith(("end_plate", "trigger"))
        return sources(activity, self.site(0.0 if at_end_plates else 15.0), duration_s, seed)

    def tip(self, source: Source) -> TipPosition:
        """Return where the needle stands for a source."""
        return self.site(0.0 if source.kind.startswith(("end_plate", "trigger")) else 15.0).tip

    def wave_uv(self, source: Source, tip: TipPosition | None = None) -> np.ndarray:
        """Return one discharge of all fibres together, at the fine rate, limited to the band."""
        electrode = channels(ConcentricNeedle(), tip or self.tip(source))[0]
        wave = source_wave_uv(source, electrode, BICEPS.medium, self.sampling).sum(axis=0)
        return self.sampling.limited(np.pad(wave, 400)[None])[0]

    def signal_uv(
        self,
        heard: Sequence[Source],
        duration_s: float,
        *,
        tip: TipPosition | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Return the samples; every fibre jitters if there is a generator."""
        out = np.zeros(round(duration_s * self.sampling.rate_hz))
        lead = LEAD * self.sampling.oversampling
        for source in heard:
            electrode = channels(ConcentricNeedle(), tip or self.tip(source))[0]
            waves = source_wave_uv(source, electrode, BICEPS.medium, self.sampling)
            if rng is None:
                waves = waves.sum(axis=0, keepdims=True)
            waves = self.sampling.limited(np.pad(waves, ((0, 0), (lead, lead))))
            late_s = np.zeros((source.times_s.size, waves.shape[0]))
            if rng is not None:
                late_s = source.fibres.jitter_s * rng.standard_normal(late_s.shape)
            instants = self.sampling.rate_hz * (source.times_s[:, None] + late_s)
            phases = polyphase(waves, self.sampling.oversampling)
            add_discharges(out, 0, phases, -float(LEAD), instants, source.gains)
        return out


@pytest.fixture(scope="session")
def room() -> Room:
    """Return the examination room."""
    return Room()


def crossings(wave: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return first and last samples of the stretches beyond a level."""
    beyond = np.concatenate([[0], (wave > level).astype(int), [0]])
    steps = np.diff(beyond)
    return np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1


@pytest.fixture(scope="session")
def peak_times_s() -> Callable[..., np.ndarray]:
    """Return a detector: times of peaks beyond a share of the largest one, parabolas between."""

    def found(signal_uv: np.ndarray, *, share: float = 0.5, dead_s: float = 2e-3) -> np.ndarray:
        rectified = np.abs(signal_uv)
        firsts, lasts = crossings(rectified, share * rectified.max())
        spans = zip(firsts, lasts, strict=True)
        tops = [int(a + np.argmax(rectified[a : b + 1])) for a, b in spans]
        kept: list[int] = []
        for top in tops:
            if not kept or top - kept[-1] > dead_s * SAMPLING.rate_hz:
                kept.append(top)
        at = np.array([k for k in kept if 0 < k < signal_uv.size - 1])
        a, b, c = rectified[at - 1], rectified[at], rectified[at + 1]
        return (at + 0.5 * (a - c) / (a - 2 * b + c)) / SAMPLING.rate_hz

    return found
