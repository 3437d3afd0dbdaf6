"""What is known of a bench before anything is measured: declared values and their uncertainties.

A test knows no more than this. Expanded uncertainties are of a coverage factor of 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from emgsim.instruments.profiles import DeviceProfile


@dataclass(frozen=True, kw_only=True)
class Known:
    """A value that somebody has calibrated: points over frequency, each with an uncertainty.

    One point says the same at every frequency. Between points the value is straight over the
    logarithm of frequency, and the uncertainty that of the worse neighbour.

    Attributes
    ----------
    certificate
        Which document says so; "" if nobody has certified it.
    frequencies_hz, relative, expanded
        Of each point: the value over the declared one, and its relative expanded uncertainty.
    has_expired
        Whether the certificate was due before today.
    """

    certificate: str = ""
    frequencies_hz: tuple[float, ...] = (1.0,)
    relative: tuple[float, ...] = (1.0,)
    expanded: tuple[float, ...] = (0.0,)
    has_expired: bool = False

    def at(self, frequency_hz: float) -> tuple[float, float]:
        """Return the value over the declared one, and its relative standard uncertainty."""
        x, where = np.log(self.frequencies_hz), np.log(frequency_hz)
        value = float(np.interp(where, x, self.relative))
        right = int(np.clip(np.searchsorted(x, where), 0, x.size - 1))
        left = max(0, right - 1) if where < x[right] else right
        return value, max(self.expanded[left], self.expanded[right]) / 2


@dataclass(frozen=True, kw_only=True)
class State:
    """One way in which the fixture joins source and device, as declared.

    Attributes
    ----------
    differential, common
        Volts between the inputs, and of both against ground, for a volt of the loaded source.
    load_factor
        Volts of the loaded source for an open one.
    transfer
        How well ``differential`` (or ``common``, where that drives) is known.
    electrode_ohm, electrode_nf
        Of the phantom in series with the inputs; 0 nF: a resistor alone.
    series_ohm, series_nf, impedance
        What else is in one lead, and how well its impedance is known.
    offset_mv
        In series with the inputs.
    driven
        Which channels of the device it drives, counted from 0; none named: all of them.
    largest_uv
        That the rig allows between the inputs, or in common where that drives.
    null_db
        Differential over common volts that the fixture itself makes of common ones, at most.
    """

    name: str
    differential: float
    common: float
    load_factor: float
    transfer: Known = Known()
    electrode_ohm: float = 0.0
    electrode_nf: float = 0.0
    series_ohm: float = 0.0
    series_nf: float = 0.0
    impedance: Known = Known()
    offset_mv: float = 0.0
    driven: tuple[int, ...] = ()
    largest_uv: float
    null_db: float = -160.0

    @property
    def is_common(self) -> bool:
        """Whether it drives both inputs together."""
        return self.differential == 0 and self.common > 0

    @property
    def is_silent(self) -> bool:
        """Whether nothing of the source reaches the device."""
        return self.differential == 0 and self.common == 0


@dataclass(frozen=True, kw_only=True)
class SourceSheet:
    """What is declared of the generator.

    Attributes
    ----------
    gain, clock
        How well its volts and its sample clock are known.
    max_rate_hz, min_rate_hz, max_points, max_vpp_open_v, code_bits
        What it can do.
    noise_v2_hz
        At its open output.
    distortion_db
        Each harmonic that it makes of a sine, at most, over the sine.
    """

    gain: Known = Known()
    clock: Known = Known()
    max_rate_hz: float
    min_rate_hz: float = 0.0
    max_points: int
    max_vpp_open_v: float
    code_bits: int = 16
    noise_v2_hz: float = 0.0
    distortion_db: float = -90.0


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A bench as declared: the device's data sheet, the source, the fixture's states."""

    device: DeviceProfile
    source: SourceSheet
    states: Mapping[str, State] = field(default_factory=dict)
    temperature_k: float = 295.0

    @property
    def mid_hz(self) -> float:
        """The frequency at which a gain is stated: 200 Hz, or the middle of a lower band."""
        low_hz, high_hz = self.device.band_hz
        return min(200.0, float(np.sqrt(max(low_hz, 0.5) * high_hz)))

    @property
    def play_rate_hz(self) -> float:
        """Points per second of a stimulus: ten times the device's band, whole kSa/s."""
        wanted_hz = min(10.0 * self.device.band_hz[1], self.source.max_rate_hz)
        return max(self.source.min_rate_hz, 1000.0 * max(1.0, float(wanted_hz // 1000)))
