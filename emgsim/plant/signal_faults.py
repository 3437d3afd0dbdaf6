"""Faults of the signal's way, and how the plant acts them out.

Every fault begins at an instant: so many seconds after the first point of a playback, or, for
playback 0, after the rig was switched on. From there on it stays. Where a fixture is not yet known
a bench plays a probe first, and the program that it was opened for is playback 2; else it is 1.

The way of the signal has four parts at which a fault may sit. The loopback shows the ``source``;
the device's analogue output shows the source, the ``lead`` and the ``amplifier``; the codes show
all of them and the ``converter``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emgsim.plant.physics import Physics

Floats = NDArray[np.float64]
Part = Literal["source", "lead", "amplifier", "converter"]


class SignalFault(Physics):
    """Base of the faults of the signal: when one begins."""

    playback: int = Field(0, ge=0)  # number of the trigger; 0: before the first one
    at_s: float = Field(0.0, ge=0)  # after the first point of that playback

    def acts(self, playback: int, times_s: Floats) -> NDArray[np.bool_]:
        """Tell at which times after the first point of a playback it is there, shape ``(n,)``."""
        if playback != self.playback:
            return np.full(times_s.shape, playback > self.playback)
        if playback == 0 and self.at_s == 0:  # its times begin a little before 0
            return np.ones(times_s.shape, np.bool_)
        return np.asarray(times_s >= self.at_s)


class GainDrift(SignalFault):
    """The gain runs away in a straight line, and stays where it has got to."""

    per_cent: float = Field(ge=-100, le=100)
    over_s: float = Field(gt=0)  # in which it comes to that
    part: Part = "amplifier"

    def gain(self, playback: int, times_s: Floats) -> Floats:
        """Return the factor at each time, shape ``(n,)``."""
        share = np.where(
            self.acts(playback, times_s),
            1.0 if playback > self.playback else (times_s - self.at_s) / self.over_s,
            0.0,
        )
        return np.asarray(1 + self.per_cent / 100 * np.minimum(share, 1.0))


class InvertedPolarity(SignalFault):
    """Two wires, or a sign, are the wrong way round."""

    part: Part = "lead"

    def gain(self, playback: int, times_s: Floats) -> Floats:
        """Return the factor at each time, shape ``(n,)``."""
        return np.where(self.acts(playback, times_s), -1.0, 1.0)


class Saturation(SignalFault):
    """Something is full below its range; the samples beyond it are all alike."""

    at_uv: float = Field(gt=0)  # at the device's input, either side
    part: Literal["amplifier", "converter"] = "amplifier"


class BrokenLead(SignalFault):
    """The lead to the device's input is broken: hum comes in, and the signal does not.

    The open input has the noise of its own resistance, which its capacitance rolls off: 1 Gohm
    parallel to 20 pF make 14 uV rms below 8 Hz (kT/C).
    """

    mains_uv_pk: float = Field(250.0, ge=0)  # at the open input
    hz: float = Field(50.0, gt=0)

    def gain(self, playback: int, times_s: Floats) -> Floats:
        """Return the factor at each time, shape ``(n,)``."""
        return np.where(self.acts(playback, times_s), 0.0, 1.0)


class Mains(SignalFault):
    """The mains come in at the device's input, with harmonics."""

    uv_pk: float = Field(gt=0)  # of the fundamental
    hz: float = Field(50.0, gt=0)
    harmonics: tuple[float, ...] = (0.0, 0.3, 0.0, 0.1)  # the 2nd, 3rd, ... over the fundamental


class StuckChannel(SignalFault):
    """The converter says the same code for ever."""

    code: int = 0


class MissingCodes(SignalFault):
    """The converter lacks codes: every n-th one, or its lowest bits never change."""

    every: int = Field(0, ge=0)  # 0: none is missing; a missing one reads as the one above it
    stuck_bits: int = Field(0, ge=0, le=16)  # that read 0

    def seen(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the codes that it says in place of these, of any shape."""
        if self.every:
            codes = codes + (codes % self.every == 0)
        return np.asarray(codes & ~np.int32((1 << self.stuck_bits) - 1), np.int32)


class ClockStep(SignalFault):
    """The device's clock stands still, and its counter with it: so many samples are not taken."""

    samples: int = Field(ge=1)
    is_repeated: bool = False  # in every playback from that one on, and not in that one alone

    def acts_in(self, playback: int) -> bool:
        """Tell whether it happens in a playback."""
        return playback == self.playback or (self.is_repeated and playback > self.playback)


class SwappedChannels(SignalFault):
    """Two channels of the device have changed places."""

    channels: tuple[int, int] = (0, 1)  # counted from 0

    def placed(self, codes: NDArray[np.int32], acts: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Return codes, shape ``(n, n_channels)``, with the two columns swapped while it acts."""
        a, b = self.channels
        codes = codes.copy()
        codes[acts, a], codes[acts, b] = codes[acts, b], codes[acts, a]
        return codes


class SignalFaults(Physics):
    """Say what goes wrong on the signal's way; by default nothing does."""

    gain_drift: GainDrift | None = None
    inverted_polarity: InvertedPolarity | None = None
    saturation: Saturation | None = None
    broken_lead: BrokenLead | None = None
    mains: Mains | None = None
    stuck_channel: StuckChannel | None = None
    missing_codes: MissingCodes | None = None
    clock_step: ClockStep | None = None
    swapped_channels: SwappedChannels | None = None

    def elsewhere(self) -> SignalFaults:
        """Return what of it another generator's inputs meet: the mains, which come in everywhere.

        Lead and generator that are at fault are those of the first; the amplifier is one for all.
        """
        return SignalFaults(mains=self.mains)

    def gain(self, part: Part, playback: int, times_s: Floats) -> Floats | float:
        """Return what a part multiplies the signal by, shape ``(n,)``, or 1 if it is whole."""
        total: Floats | float = 1.0
        if self.broken_lead is not None and part == "lead":
            total = total * self.broken_lead.gain(playback, times_s)
        for fault in (self.gain_drift, self.inverted_polarity):
            if fault is not None and fault.part == part:
                total = total * fault.gain(playback, times_s)
        return total

    def gained(self, part: Part, playback: int, times_s: Floats, volts: Floats) -> Floats:
        """Return what a part makes of volts, a row per time after the playback's first point."""
        gain = self.gain(part, playback, times_s)
        if isinstance(gain, float):
            return volts * gain if gain != 1 else volts
        return np.asarray(volts * (gain if volts.ndim == 1 else gain[:, None]), dtype=np.float64)

    def hum_v(self, playback: int, times_s: Floats) -> Floats | float:
        """Return the volts that the mains make at the device's input, shape ``(n,)``, or 0."""
        total: Floats | float = 0.0
        if (lead := self.broken_lead) is not None:
            hum = 1e-6 * lead.mains_uv_pk * np.sin(2 * np.pi * lead.hz * times_s)
            total = total + lead.acts(playback, times_s) * hum
        if (mains := self.mains) is not None:
            hum = np.zeros_like(times_s)
            for k, share in enumerate((1.0, *mains.harmonics), start=1):
                hum += share * np.sin(2 * np.pi * k * mains.hz * times_s)
            total = total + mains.acts(playback, times_s) * (1e-6 * mains.uv_pk * hum)
        return total

    def within(self, part: Part, playback: int, times_s: Floats, volts: Floats) -> Floats:
        """Return the volts at the input, a row per time, as a part lets them through."""
        full = self.saturation
        if full is None or full.part != part:
            return volts
        limit_v = np.where(full.acts(playback, times_s), 1e-6 * full.at_uv, np.inf)
        limit_v = limit_v if volts.ndim == 1 else limit_v[:, None]
        return np.clip(volts, -limit_v, limit_v)

    def said(
        self, codes: NDArray[np.int32], playback: int, times_s: Floats, period_s: float
    ) -> NDArray[np.int32]:
        """Return what a converter says in place of its codes.

        Parameters
        ----------
        codes
            Shape ``(n, n_channels)``.
        playback, times_s
            When they were taken, shape ``(n,)``.
        period_s
            Of the device's clock.

        Returns
        -------
        ndarray
            Shape ``(m, n_channels)``; fewer where the clock stood still.
        """
        if (swap := self.swapped_channels) is not None:
            codes = swap.placed(codes, swap.acts(playback, times_s))
        if (lacking := self.missing_codes) is not None:
            acts = lacking.acts(playback, times_s)[:, None]
            codes = np.where(acts, lacking.seen(codes), codes)
        if (stuck := self.stuck_channel) is not None:
            codes = codes.copy()
            codes[stuck.acts(playback, times_s), 0] = stuck.code
        if (step := self.clock_step) is not None and step.acts_in(playback):
            runs_s = times_s - step.at_s
            codes = codes[(runs_s < 0) | (runs_s >= step.samples * period_s)]
        return codes
