"""An electrode on the skin over a muscle: what each of its channels hears of a motor unit.

Motor units have as many fibres as needles tell: of the biceps 209 in the mean (Gath & Stalberg 1981
[S]), where anatomists count 750. Near a needle it is their density that counts, and that is right;
but all together they fill a sixth of the muscle's cross-section. The skin hears the whole muscle.
Each fibre therefore counts there as often as fills it; see `crowding`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, interpolate

from emgsim.physiology.fibres import (
    DIAMETER_RANGE_UM,
    UnitFibres,
    conduction_velocity,
    fibre_counts,
)
from emgsim.physiology.mixing import Muap
from emgsim.physiology.parameters import Muscle
from emgsim.physiology.parameters.surface import SurfaceKind
from emgsim.physiology.surface.lead_field import lead_field
from emgsim.physiology.surface.montage import (
    channel_places_mm,
    montage_matrix,
    pads_of,
    recording_channels,
)
from emgsim.physiology.surface.muaps import surface_muap_uv
from emgsim.physiology.surface.placement import conductor_of
from emgsim.physiology.voices import Sampling, last_s
from emgsim.recording import Channel

Floats = NDArray[np.float64]

WORK_HZ = 4_000.0  # potentials are made at such a rate at most: on the skin little is above 1 kHz
LEAD_S = 0.02  # before the discharge, for what the band's limit spreads
FINER = 8  # points of a potential per sample, from which a slower one is read
FILLED = 0.8  # of a muscle's cross-section are fibres, the rest is between them [M]
SCATTER = 6.0  # standard deviations: no fibre's end or end plate lies so far from the others'
LATEST = 8.0  # of their mean delay: no sprout is as late


class Heard(NamedTuple):
    """The potential of a unit at its own velocity, ``(n, n_channels)``, and its mean delay."""

    uv: Floats
    rate_hz: float
    first_s: float  # of its first sample, after the discharge
    delay_s: float


class Skin:
    """An electrode on the skin over a muscle.

    Parameters
    ----------
    electrode, muscle
        What listens, and what lies below.
    healthy
        The muscle before all conditions: what it has lost does not make the rest louder.
    slowest
        The least factor that velocities fall to in fatigue.

    Raises
    ------
    ValueError
        If the muscle does not fit into the limb, or no channel has all its pads.
    """

    def __init__(
        self, electrode: SurfaceKind, muscle: Muscle, healthy: Muscle, slowest: float
    ) -> None:
        self._muscle, self._slowest = muscle, slowest
        self._montage = crowding(healthy) * montage_matrix(electrode)
        conductor = conductor_of(electrode, muscle)
        self._field = lead_field(
            conductor, pads_of(electrode), [_outline(muscle)], electrode.tilt_deg
        )
        up_mm = muscle.flatness * muscle.radius_mm + conductor.layers.cover_mm
        self.channels: tuple[Channel, ...] = tuple(
            replace(channel, position_mm=(float(across), float(up_mm), float(along)))
            for channel, (along, across) in zip(
                recording_channels(electrode), channel_places_mm(electrode).round(9), strict=True
            )
        )

    def reach(self, sampling: Sampling) -> tuple[int, int]:
        """Return the first and the last sample that any unit's potential may have."""
        outline = _outline(self._muscle)
        longest_s = last_s(outline, self._muscle.medium) + LEAD_S
        # A slower unit's potential is stretched about its delay, before it as well
        earliest_s = -(LEAD_S + float(outline.delay_s.max())) / self._slowest
        first, end = sampling.rate_hz * earliest_s, sampling.rate_hz * longest_s / self._slowest
        return math.floor(first) - 1, math.ceil(end) + 2

    def heard(self, fibres: UnitFibres, sampling: Sampling) -> Heard:
        """Return the potential of a motor unit, limited to the recording's band."""
        step = max(1, int(sampling.rate_hz // WORK_HZ))
        work_hz = sampling.rate_hz / step
        lead = math.ceil(LEAD_S * work_hz)
        last = last_s(fibres, self._muscle.medium)
        n = lead + math.ceil((last + LEAD_S) * work_hz)
        pads_uv = surface_muap_uv(
            fibres, self._field, self._muscle.medium, n_samples=n - lead, rate_hz=work_hz
        )
        own_uv = np.zeros((n, len(self.channels)))
        own_uv[lead:] = (self._montage @ pads_uv).T
        return Heard(
            uv=_limited(own_uv, work_hz, sampling, FINER * step),
            rate_hz=FINER * sampling.rate_hz,
            first_s=-lead / work_hz,
            delay_s=float(np.mean(fibres.delay_s)),
        )


def crowding(muscle: Muscle) -> float:
    """Return how many real fibres one of a muscle's pool stands for.

    The pool's cross-section grows evenly from the first unit's diameter to the last one's, scatter
    left aside. A muscle that is full has no more.

    Examples
    --------
    >>> from emgsim.physiology.parameters import Fibres, Pool
    >>> fibres = Fibres(
    ...     per_unit_smallest=100, per_unit_largest=100, length_mm=60,
    ...     diameter_smallest_unit_um=50, diameter_largest_unit_um=50,
    ... )
    >>> muscle = Muscle(name="x", radius_mm=10, pool=Pool(n_units=100), fibres=fibres)
    >>> f"{crowding(muscle):.2f}"  # 10 000 fibres of 50 um fill 25 of 400 squares of 1 mm
    '12.80'
    """
    f = muscle.fibres
    counts = fibre_counts(muscle)
    diameter_um = np.linspace(f.diameter_smallest_unit_um, f.diameter_largest_unit_um, counts.size)
    fibres_mm2 = float(np.sum(counts * (diameter_um / 1000.0) ** 2))  # without pi / 4, as below
    return max(1.0, FILLED * (2 * muscle.radius_mm) ** 2 / fibres_mm2)


def muap_of(heard: Heard, sampling: Sampling, velocity_scale: float) -> Muap:
    """Return a unit's MUAP at the recording's rate, its fibres faster or slower by a factor.

    All that a fibre does after its delay depends on how far its action potential has run: at half
    the velocity it takes twice the time. The unit's fibres count with their mean delay.
    """
    if velocity_scale == 1.0:
        return Muap(heard.uv[::FINER], round(heard.first_s * sampling.rate_hz))
    times_s = heard.first_s + np.arange(len(heard.uv)) / heard.rate_hz
    slowed_s = heard.delay_s + (times_s - heard.delay_s) / velocity_scale
    first = math.ceil(slowed_s[0] * sampling.rate_hz)
    at_s = np.arange(first, math.floor(slowed_s[-1] * sampling.rate_hz) + 1) / sampling.rate_hz
    spline = interpolate.CubicSpline(slowed_s, heard.uv)
    return Muap(np.asarray(spline(at_s), dtype=np.float64), first)


def _limited(uv: Floats, rate_hz: float, sampling: Sampling, finer: int) -> Floats:
    """Return potentials ``(n, n_channels)`` without what lies above the band, on a finer grid."""
    n = int(fft.next_fast_len(len(uv), real=True))
    gain = sampling.gain(fft.rfftfreq(n, 1 / rate_hz))
    spectrum = fft.rfft(uv, n, axis=0) * gain[:, None]
    fine = fft.irfft(spectrum, n * finer, axis=0) * finer
    return np.asarray(fine[: len(uv) * finer])


def _outline(muscle: Muscle) -> UnitFibres:
    """Return fibres at the muscle's borders: no fibre of it lies farther out, is longer or slower.

    The end plates lie anywhere in their band, each end scatters about half the length.
    """
    r, f = muscle.radius_mm, muscle.fibres
    angle = np.linspace(0.0, 2 * np.pi, 9)[:-1]
    n = angle.size
    end_plate_mm = f.end_plate_band_mm / 2 + SCATTER * f.end_plate_sd_mm
    half_mm = f.length_mm * (0.5 + SCATTER * f.tendon_scatter)
    diameter_um = np.full(n, DIAMETER_RANGE_UM[0])
    late_s = LATEST * muscle.junctions.late_delay_s if muscle.junctions.late_share else 0.0
    branch_s = 1e-3 * SCATTER * f.end_plate_sd_mm / f.branch_velocity_m_s
    return UnitFibres(
        x_mm=r * np.cos(angle),
        y_mm=r * np.sin(angle),
        end_plate_mm=np.where(np.arange(n) % 2, end_plate_mm, -end_plate_mm),
        half_lengths_mm=(np.full(n, half_mm + end_plate_mm), np.full(n, half_mm + end_plate_mm)),
        diameter_um=diameter_um,
        delay_s=np.full(n, late_s + 2 * branch_s),
        velocity_m_s=conduction_velocity(diameter_um, muscle.temperature_c),
    )
