"""Fibres that discharge together during a recording: they sound in blocks, and know the truth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.conditions.safety import transmission
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import TipPosition
from emgsim.physiology.release import Release, Terminals
from emgsim.physiology.rendering import add_discharges
from emgsim.physiology.track import Track
from emgsim.physiology.voices import Voices
from emgsim.recording import FibreTruth

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SEEN_UV = 20.0  # peak to peak: what noise of 3 uV hides

Hear = Callable[[TipPosition], tuple[Voices, ...]]


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Discharges that are heard at one station: of each channel its voices, and their instants."""

    voices: tuple[Voices, ...]
    instants: tuple[Floats, ...]  # (n_discharges, 1 + n_near) each, in samples; NaN: blocked
    weights: Floats  # (n_discharges,)
    ends: float  # in samples: after it nothing sounds


class Sounding:
    """A motor unit, or a source of spontaneous activity, while an electrode listens.

    Parameters
    ----------
    fibres, end_plates
        What discharges; fibres of one end-plate number jitter and block together.
    hear
        Returns the voices of each channel with the tip at a place.
    where
        The needle's track.
    rate_hz
        Of the recording.
    chance
        For jitter and block.
    fibre_truth
        Whether the arrivals of its near fibres are kept.
    release
        How its terminals depend on what they did before; None: each discharge is as the last. Far
        fibres, which sound together, keep their mean.
    """

    def __init__(
        self,
        fibres: UnitFibres,
        end_plates: Integers,
        hear: Hear,
        where: Track,
        *,
        rate_hz: float,
        chance: np.random.Generator,
        fibre_truth: bool = False,
        release: Release | None = None,
    ) -> None:
        self._fibres = fibres
        self._plate = np.unique(end_plates, return_inverse=True)[1]
        self._hear = hear
        self._track = where
        self._rate_hz = rate_hz
        self._chance = chance
        self._pending: deque[_Group] = deque()
        self._times_s: list[Floats] = []
        self._muap = _MeanMuap(where.rests if len(where.rests) > 1 else ())
        self._arrivals: list[FibreTruth] | None = [] if fibre_truth else None
        self._terminals = None if release is None else Terminals(release)

    def discharge(self, times_s: Floats, gains: Floats | None = None) -> None:
        """Take the next discharges, ascending, each with a factor on its potential."""
        self._times_s.append(times_s)
        late_s = self._transmission_s(times_s)
        station, share = self._track.shares(times_s)
        for place in np.unique(np.concatenate([station, station[share > 0] + 1])):
            weights = (1 - share) * (station == place) + share * (station + 1 == place)
            heard = weights > 0
            if heard.any():
                factor = weights[heard] if gains is None else (weights * gains)[heard]
                self._listen(int(place), times_s[heard], late_s[heard], factor)
        if self._arrivals is not None:
            self._arrivals.append(self._arrive(times_s, late_s, station))

    def _transmission_s(self, times_s: Floats) -> Floats:
        """Return each fibre's delay beyond its mean, ``(n_discharges, n_fibres)``; NaN: blocked.

        All end plates draw, near and far: what a fibre does depends on no electrode.
        """
        f = self._fibres
        jitter_s, block = f.jitter_s, f.block_probability
        if self._terminals is not None:
            jitter_s, block = transmission(f, self._terminals.factors(times_s))
        shape = (times_s.size, int(self._plate.max(initial=-1)) + 1)
        late_s = jitter_s * self._chance.standard_normal(shape)[:, self._plate]
        if f.block_probability.any():
            fails = self._chance.uniform(size=shape)[:, self._plate] < block
            late_s[fails] = np.nan
        return late_s

    def _listen(self, place: int, times_s: Floats, late_s: Floats, weights: Floats) -> None:
        voices = self._hear(self._track.tips[place])
        instants = tuple(
            self._rate_hz * np.column_stack([times_s, times_s[:, None] + late_s[:, channel.near]])
            for channel in voices
        )
        latest = max(float(np.nanmax(i)) for i in instants)
        ends = latest + max(channel.ends for channel in voices)
        self._pending.append(_Group(voices=voices, instants=instants, weights=weights, ends=ends))
        self._muap.add(voices, float(weights.sum()), place)

    def _arrive(self, times_s: Floats, late_s: Floats, station: Integers) -> FibreTruth:
        """Return the arrivals of the fibres that are near at any of these discharges."""
        places = np.unique(station)
        tips = [self._track.tips[place] for place in places]
        near = [self._hear(tip)[0].near for tip in tips]
        fibre = np.unique(np.concatenate(near))
        arrival_s = np.full((times_s.size, fibre.size), np.nan)
        is_blocked = np.zeros(arrival_s.shape, bool)
        for place, tip, apart in zip(places, tips, near, strict=True):
            cells = np.ix_(station == place, np.searchsorted(fibre, apart))
            late = late_s[np.ix_(station == place, apart)]
            on_way_s = self._fibres.delay_s + travel_s(self._fibres, tip.z_mm)
            arrival_s[cells] = times_s[station == place, None] + on_way_s[apart] + late
            is_blocked[cells] = np.isnan(late)
        return FibreTruth(fibre=fibre, arrival_s=arrival_s, is_blocked=is_blocked)

    def sound(self, samples_uv: Floats, first_sample: int) -> None:
        """Add what sounds to a block ``(n_samples, n_channels)``; forget what has sounded.

        In Fortran's order each channel is a row of memory, and the sums are fast.
        """
        for group in self._pending:
            for channel, voices in enumerate(group.voices):
                add_discharges(
                    samples_uv[:, channel],
                    first_sample,
                    voices.phases,
                    voices.start,
                    group.instants[channel],
                    group.weights,
                )
        over = first_sample + samples_uv.shape[0]
        self._pending = deque(group for group in self._pending if group.ends > over)

    @property
    def times_s(self) -> Floats:
        """All discharges so far."""
        return np.concatenate([*self._times_s, np.zeros(0)])

    def muap(self) -> tuple[int, Floats]:
        """Return the mean MUAP ``(n, n_channels)`` and its first sample after the discharge."""
        return self._muap.value()

    def muap_at(self, place: int) -> tuple[int, Floats] | None:
        """Return the MUAP at a station where the needle rested; None if nobody can see it there."""
        return self._muap.at(place)

    def fibre_truth(self) -> FibreTruth | None:
        """Return the near fibres' arrivals at every discharge, if they were asked for."""
        if self._arrivals is None:
            return None
        fibre = np.unique(np.concatenate([part.fibre for part in self._arrivals]))
        arrival_s = np.full((self.times_s.size, fibre.size), np.nan)
        is_blocked = np.zeros(arrival_s.shape, bool)
        row = 0
        for part in self._arrivals:
            rows = np.arange(row, row + part.arrival_s.shape[0])
            cells = np.ix_(rows, np.searchsorted(fibre, part.fibre))
            arrival_s[cells], is_blocked[cells] = part.arrival_s, part.is_blocked
            row += rows.size
        return FibreTruth(fibre=fibre, arrival_s=arrival_s, is_blocked=is_blocked)


def travel_s(fibres: UnitFibres, z_mm: float) -> Floats:
    """Return the time from each end plate to the place ``z_mm``, or to an end before it."""
    along_mm = z_mm - fibres.end_plate_mm
    end_mm = np.where(along_mm >= 0, *fibres.half_lengths_mm)
    return np.minimum(np.abs(along_mm), end_mm) * 1e-3 / fibres.velocity_m_s


class _MeanMuap:
    """The mean MUAP over discharges at one station after the other, and each of some by itself."""

    def __init__(self, kept_at: Collection[int] = ()) -> None:
        self._kept_at = frozenset(kept_at)
        self._kept: dict[int, tuple[int, Floats]] = {}
        self._place = -1
        self._start = 0
        self._sum = np.zeros((0, 0))
        self._weight = 0.0
        self._here: tuple[Voices, ...] = ()  # at the last station, not yet in the sum
        self._here_weight = 0.0

    def add(self, voices: tuple[Voices, ...], weight: float, place: int) -> None:
        """Add some discharges at a station."""
        if voices is not self._here:
            self._leave()
            self._here, self._place = voices, place
        self._here_weight += weight

    def _leave(self) -> None:
        """Add the last station's MUAP to the sum."""
        if not self._here:
            return
        start, muap_uv = _aligned(self._here)
        if self._place in self._kept_at and np.ptp(muap_uv, axis=0).max() >= SEEN_UV:
            self._kept[self._place] = (start, muap_uv)
        first = min(start, self._start) if self._weight else start
        end = max(start + len(muap_uv), self._start + len(self._sum))
        total = np.zeros((end - first, muap_uv.shape[1]))
        if self._weight:
            total[self._start - first :][: len(self._sum)] = self._sum
        total[start - first :][: len(muap_uv)] += self._here_weight * muap_uv
        self._start, self._sum = first, total
        self._weight += self._here_weight
        self._here, self._here_weight = (), 0.0

    def value(self) -> tuple[int, Floats]:
        """Return the first sample after the discharge, and the mean ``(n, n_channels)``."""
        if not self._weight:  # the needle has not moved: exact, however often it was heard
            return _aligned(self._here)
        self._leave()
        return self._start, self._sum / self._weight

    def at(self, place: int) -> tuple[int, Floats] | None:
        """Return first sample and MUAP at one of the stations that are kept, if it is seen."""
        self._leave()
        return self._kept.get(place)


def _aligned(voices: tuple[Voices, ...]) -> tuple[int, Floats]:
    """Return the MUAPs of all channels as columns, and their common first sample."""
    first = min(channel.muap_start for channel in voices)
    end = max(channel.muap_start + channel.muap_uv.size for channel in voices)
    muap_uv = np.zeros((end - first, len(voices)))
    for column, channel in enumerate(voices):
        muap_uv[channel.muap_start - first :, column][: channel.muap_uv.size] = channel.muap_uv
    return first, muap_uv
