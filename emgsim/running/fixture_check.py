"""A fixture that is looked at after every change: no relay is believed.

What is played for a look does no harm in whatever state the fixture really is: at first a sine that
the device could bear without any divider, and where nothing of that is heard a large one, counted
through the state that would let most of it through as common mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.bench.levels import SMALLEST_VPP_V
from emgsim.bench.probing import POINTS_OF_PERIOD, harmless_v
from emgsim.bench.station import Station
from emgsim.errors import InstrumentError
from emgsim.estimators import fit_tones
from emgsim.instruments.base import SourceSettings
from emgsim.metrology.fixture import Looked, misfits, noise_bands_hz
from emgsim.metrology.setup import Setup, State

Floats = NDArray[np.float64]

BEFORE_S = 0.1  # recorded before a change
STEP_S = 0.1  # after it, in which a step is looked for
SETTLED = 24.0  # time constants of the device's high-pass: of 600 mV microvolts are left, order 2
LONGEST_SETTLING_S = 3.0
QUIET_S = 1.0  # of noise
QUIET_ALONE_S = 4.0  # where noise is nearly all that tells a state
SINE_S = 1.4  # played
READ_S = 1.2  # from before the trigger on; what is fitted lies well inside the playback
FITTED_S = (0.65, 1.15)
COMMON_OF_LIMIT = 0.5  # of what a state allows both inputs
READ_TIMEOUT_S = 20.0
STEP_OF_LARGEST = 0.8
LINE = 12.0  # times the median of a band: chance makes one bin in 4000 so large
TAPER = 0.2  # of what is looked at: what has not quite settled lies at its beginning


@dataclass
class CheckedFixture:
    """Bring the fixture of a station into states, and look each time whether it is there.

    Attributes
    ----------
    station
        Opened, its output off whenever a state is changed.
    setup
        What is declared of it.
    looks
        What was found in each state so far, the last time.
    alike
        Which other states would fit that as well: on this device nobody can tell them apart.
    """

    station: Station
    setup: Setup
    looks: dict[str, Looked] = field(default_factory=dict)
    alike: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _known: str | None = field(default=None, init=False)  # the state, if it was proved

    def into(self, name: str) -> None:
        """Bring the fixture into a state, and refuse another one.

        From a state that nobody knows, or that has an offset, it goes into the quiet one first:
        which way the baseline jumps says where to only if it is known from where.

        Raises
        ------
        InstrumentError
            If what is heard does not fit the state.
        EmgsimError
            As of `emgsim.bench.station.Station.into`.
        """
        known = self._known if self._known == self.station.source.state else None
        if self.quiet not in {None, name} and not self._is_plain(known):
            self._checked(str(self.quiet), known)
            known = self.quiet
        self._checked(name, known)

    def _is_plain(self, known: str | None) -> bool:
        """Tell whether a jump of the baseline from a state says which one has come."""
        if known is None or self.quiet not in self.looks:
            return False
        return not self.setup.states[known].offset_mv

    @property
    def quiet(self) -> str | None:
        """The state that has nothing in series with the device, whose own noise is heard there."""
        return next((s.name for s in self.setup.states.values() if _is_bare(s)), None)

    def _checked(self, name: str, before: str | None) -> None:
        self._known = None
        looked = self.look(name)
        against = partial(
            misfits, looked, self.setup, before=before, reference=self.looks.get(self.quiet or "")
        )
        wrong = against(name)
        if wrong:
            self.station.source.verified(is_there=False)
            raise InstrumentError(
                f"the fixture is not in state {name!r}: {'; '.join(wrong)}",
                where=f"rig {self.station.rig.id}, fixture.states.{name}",
                todo="look whether its relays close and its cables are where the rig file says",
            )
        self.looks[name], self._known = looked, name
        self.alike[name] = tuple(x for x in self.setup.states if x != name and not against(x))
        self.station.source.verified()

    def look(self, name: str) -> Looked:
        """Bring the fixture into a state, and return what is found there, whatever it is."""
        state = self.setup.states[name]
        step_uv, densities, sds = self._changed(name)
        source = self.station.source
        was_verified = source.is_verified
        source.verified(is_there=False)  # until it is proved: what is played must do no harm
        differential, sd = self._heard(harmless_v(self.station.rig, name), state)
        common, common_sd = np.zeros(0), np.zeros(0)
        loudest = self._loudest()
        is_quiet = bool(np.all(differential < 0.3 * self._smallest + 5 * sd))
        if not state.differential and loudest is not None and is_quiet:
            # Whatever the state is, it divides as much as none of those with a divider does.
            with self._counted_through(loudest.name):
                common, common_sd = self._heard(self._common_v(loudest), loudest)
        if was_verified:
            source.verified()
        return Looked(
            differential=differential,
            differential_sd=sd,
            common=common,
            common_sd=common_sd,
            densities_v2_hz=densities,
            density_sds=sds,
            step_uv=step_uv,
        )

    @contextmanager
    def _counted_through(self, name: str) -> Iterator[None]:
        """Let volts be counted through another state than the declared one."""
        source = self.station.source
        declared = source.state
        source.goes_through(name)
        was_verified = source.is_verified
        source.verified()
        try:
            yield
        finally:
            source.verified(is_there=was_verified)
            source.goes_through(declared)

    @property
    def _smallest(self) -> float:
        """The smallest division of all states."""
        states = self.setup.states.values()
        return min((s.differential for s in states if s.differential), default=1.0)

    def _loudest(self) -> State | None:
        """Return the state that lets most through as common mode, if there is one."""
        states = [state for state in self.setup.states.values() if state.is_common]
        return max(states, key=lambda state: state.common, default=None)

    def _common_v(self, state: State) -> float:
        """Return the open-circuit peak of the large sine."""
        limits = self.station.rig.limits
        most_v = min(limits.device_common_mode_v_pk, 1e-6 * state.largest_uv)
        return min(
            COMMON_OF_LIMIT * most_v / (state.common * state.load_factor),
            COMMON_OF_LIMIT * limits.source_v_pk,
        )

    # -- what is recorded ----------------------------------------------------------------------

    def _changed(self, name: str) -> tuple[float, Floats, Floats]:
        """Change the state while the device is heard; return step, noise and its deviations."""
        device, low_hz = self.station.device, self.setup.device.band_hz[0]
        settle_s = SETTLED / (2 * math.pi * low_hz) if low_hz else STEP_S
        device.start()
        try:
            before = self._read(BEFORE_S)
            self.station.into(name)
            after = self._read(max(STEP_S, min(settle_s, LONGEST_SETTLING_S)))
            quiet = self._read(QUIET_S if self.setup.states[name].differential else QUIET_ALONE_S)
        finally:
            device.stop()
        densities, sds = _densities(1e-6 * quiet, device.rate_hz, self.setup)
        return _step_uv(before, after, self.setup.device.range_uv), densities, sds

    def _heard(self, peak_v: float, state: State) -> tuple[Floats, Floats]:
        """Play a sine, and return what each channel hears of a volt of the loaded source."""
        source, device = self.station.source, self.station.device
        frequency_hz = self.setup.mid_hz
        caps = source.caps
        rate_hz = min(max(POINTS_OF_PERIOD * frequency_hz, caps.min_rate_hz), caps.max_rate_hz)
        n = round(rate_hz / frequency_hz)
        settings = SourceSettings(
            rate_hz=rate_hz,
            vpp_open_v=max(SMALLEST_VPP_V, 2 * peak_v),
            cycles=math.ceil(SINE_S * rate_hz / n),
            filter=self.station.rig.source.filter,
        )
        actual, _ = source.load(peak_v * np.sin(2 * np.pi * np.arange(n) / n), settings)
        try:
            source.energise()
            device.start()
            source.trigger()
            uv = self._read(READ_S)
        finally:
            source.off()
            device.stop()
        first, last = (round(at_s * device.rate_hz) for at_s in FITTED_S)
        volts = 1e-6 * uv[first:last]
        times_s = np.arange(last - first) / device.rate_hz
        fits = [fit_tones(times_s, channel, [actual.rate_hz / n]) for channel in volts.T]
        to_volts = 1 / (peak_v * state.load_factor)
        return (
            to_volts * np.array([abs(tones[0]) for tones, _, _ in fits]),
            to_volts * np.array([sds[0] for _, sds, _ in fits]),
        )

    def _read(self, seconds: float) -> Floats:
        """Return the next samples of the device in microvolts, shape ``(n, n_channels)``."""
        device, n = self.station.device, 0
        wanted, parts = round(seconds * device.rate_hz), []
        while n < wanted:
            counts = device.read_block(wanted - n, READ_TIMEOUT_S).counts
            parts.append(counts)
            n += counts.shape[0]
        return np.concatenate(parts) * self.setup.device.scales_uv_per_count


def _is_bare(state: State) -> bool:
    return state.is_silent and not (state.electrode_ohm or state.series_ohm or state.offset_mv)


def _step_uv(before: Floats, after: Floats, range_uv: float) -> float:
    """Return the first large excursion of any channel, or the largest if none is large."""
    moved = after - np.median(before, axis=0)
    large = np.flatnonzero(
        np.abs(moved).max(axis=1) >= min(STEP_OF_LARGEST * float(np.abs(moved).max()), range_uv)
    )
    row = moved[large[0]]
    return float(row[np.argmax(np.abs(row))])


def _densities(volts: Floats, rate_hz: float, setup: Setup) -> tuple[Floats, Floats]:
    """Return the noise in each band, median of the channels, and its relative deviation.

    Lines far above the rest, as of the mains, are left out.
    """
    n = volts.shape[0]
    window = signal.windows.tukey(n, TAPER)[:, None]
    alike = n * float(np.sum(window**4)) / float(np.sum(window**2)) ** 2  # bins that are as one
    t = np.linspace(-1, 1, n)
    slope = np.polynomial.Polynomial.fit
    level = np.column_stack([slope(t, channel, 2)(t) for channel in volts.T])
    powers = np.abs(np.fft.rfft((volts - level) * window, axis=0)) ** 2
    powers *= 2 / (rate_hz * float(np.sum(window**2)))
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    densities, sds = [], []
    for low_hz, high_hz in noise_bands_hz(setup):
        inside = powers[(f >= low_hz) & (f <= high_hz)]
        kept = np.where(inside <= LINE * np.median(inside, axis=0), inside, np.nan)
        densities.append(float(np.median(np.nanmean(kept, axis=0))))
        sds.append(math.sqrt(alike / inside.shape[0]))
    return np.asarray(densities), np.asarray(sds)
