"""One output of the virtual generator: everything that can be set on a channel.

Plain settings stand in `Output.values`; those that act on each other are properties whose setter
does what the instrument does, and raises `ScpiError` for what it had to change.
"""

from __future__ import annotations

import math
from typing import Any

from emgsim.plant.parts import GeneratorSettings
from emgsim.virtual.generator_tree import CHANNEL_SETTINGS, MAX_FREQUENCY_HZ, MAX_RATE_HZ
from emgsim.virtual.levels import Levels
from emgsim.virtual.parameters import Number, ScpiError
from emgsim.virtual.waveforms import (
    BUILT_IN,
    MIN_POINTS,
    Codes,
    WaveformMemory,
    rms_of,
    standard,
)

FOREVER = 2**40
"""Cycles of a waveform that nobody sees the end of."""

_MIN_WIDTH_S = 16e-9
_MIN_HZ = 1e-6


class Output:
    """Hold the settings of one channel; `memory` is what a reset leaves alone."""

    def __init__(self, memory: WaveformMemory) -> None:
        self.memory = memory
        self.values: dict[str, Any] = {key: kind.default for _, key, kind in CHANNEL_SETTINGS}
        self.levels = Levels()
        self._function = "SIN"
        self._frequency_hz = 1000.0
        self._arb_name = BUILT_IN
        self._pulse_duty_pct = 10.0
        self._unit = "VPP"

    def get(self, key: str) -> Any:
        """Return a setting."""
        return self.values[key] if key in self.values else getattr(self, key)

    def put(self, key: str, value: Any) -> None:
        """Change a setting."""
        if key in self.values:
            self.values[key] = value
        else:
            setattr(self, key, value)

    # ---- what is played

    @property
    def codes(self) -> Codes | None:
        """Codes of the selected waveform, or None when it is not modelled."""
        if self._function == "ARB":
            return self.memory.codes(self._arb_name)
        duty_pct = self.values["square_duty_pct"]
        return standard(
            self._function,
            n_points=int(min(max(MAX_RATE_HZ / self._frequency_hz, MIN_POINTS), 200)),
            duty_pct=self._pulse_duty_pct if self._function == "PULS" else duty_pct,
            symmetry_pct=self.values["ramp_symmetry_pct"],
        )

    @property
    def plant_settings(self) -> GeneratorSettings:
        """What the plant's generator has to be set to; silent when nothing is modelled."""
        codes = self.codes
        is_flat = codes is None or self._function == "DC"
        sign = -1 if self.values["polarity"] == "INV" else 1
        n_points = 1 if codes is None else codes.size
        rate_hz = self.values["arb_rate_hz"]
        return GeneratorSettings(
            rate_hz=rate_hz if self._function == "ARB" else self._frequency_hz * n_points,
            vpp_open_v=0.0 if is_flat else sign * self.levels.vpp_open_v,
            offset_open_v=sign * self.levels.offset_open_v,
            cycles=int(self.values["burst_cycles"]) if self.is_finite else FOREVER,
            filter=self.values["arb_filter"] if self._function == "ARB" else "NORM",
            output_on=self.values["output_on"],
        )

    @property
    def is_continuous(self) -> bool:
        """Whether the waveform plays without waiting for a trigger."""
        return not self.values["burst_on"]

    @property
    def is_finite(self) -> bool:
        """Whether a burst ends by itself."""
        return bool(self.values["burst_on"]) and not math.isinf(self.values["burst_cycles"])

    def is_armed(self, *sources: str) -> bool:
        """Tell whether a burst waits for a trigger from one of `sources`; none means any."""
        is_burst = self.values["burst_on"] and self.values["burst_mode"] == "TRIG"
        return bool(is_burst and (not sources or self.values["trigger_source"] in sources))

    # ---- function and frequency

    @property
    def function(self) -> str:
        """Waveform that is selected."""
        return self._function

    @function.setter
    def function(self, value: str) -> None:
        self._function = value
        limit_hz = MAX_FREQUENCY_HZ.get(value, math.inf)
        is_reduced = self._frequency_hz > limit_hz
        self._frequency_hz = min(self._frequency_hz, limit_hz)
        self.levels.put_dc(value == "DC")
        if is_reduced:
            raise ScpiError(-221, "frequency reduced for the function")

    @property
    def frequency_kind(self) -> Number:
        """Frequencies that the selected function can have."""
        return Number(_MIN_HZ, MAX_FREQUENCY_HZ.get(self._function, 30e6), 1000, "HZ")

    @property
    def frequency_hz(self) -> float:
        """Repetition rate of the selected waveform."""
        return self.arb_frequency_hz if self._function == "ARB" else self._frequency_hz

    @frequency_hz.setter
    def frequency_hz(self, value: float) -> None:
        if self._function == "ARB":
            self.arb_frequency_hz = value
            return
        width_s = self.pulse_width_s
        self._frequency_hz = value
        if self.values["pulse_hold"] == "WIDT":
            self._hold_width(width_s)

    @property
    def period_s(self) -> float:
        """Inverse of the frequency."""
        return 1 / self.frequency_hz

    @period_s.setter
    def period_s(self, value: float) -> None:
        self.frequency_hz = 1 / value

    # ---- pulses: the duty cycle is kept, the width follows

    @property
    def pulse_duty_pct(self) -> float:
        """Width over period."""
        return self._pulse_duty_pct

    @pulse_duty_pct.setter
    def pulse_duty_pct(self, value: float) -> None:
        self._pulse_duty_pct = value

    @property
    def pulse_width_s(self) -> float:
        """Width of a pulse."""
        return self._pulse_duty_pct / 100 / self._frequency_hz

    @pulse_width_s.setter
    def pulse_width_s(self, value: float) -> None:
        if not _MIN_WIDTH_S <= value < 1 / self._frequency_hz:
            raise ScpiError(-221, "pulse width limited by period")
        self._pulse_duty_pct = 100 * value * self._frequency_hz

    def _hold_width(self, width_s: float) -> None:
        """Keep the width when the period changes; one that does not fit is shortened."""
        longest_s = 1 / self._frequency_hz - _MIN_WIDTH_S
        fitting_s = min(width_s, longest_s)
        self._pulse_duty_pct = 100 * max(fitting_s, 0.0) * self._frequency_hz
        if fitting_s < width_s and self._function == "PULS":
            raise ScpiError(-221, "pulse width decreased due to period")

    @property
    def edges_s(self) -> float:
        """Transition time of both edges; the leading one is shown."""
        return float(self.values["leading_s"])

    @edges_s.setter
    def edges_s(self, value: float) -> None:
        self.values |= {"leading_s": value, "trailing_s": value}

    # ---- arbitrary waveforms

    @property
    def arb_name(self) -> str:
        """Arbitrary waveform that is selected."""
        return self._arb_name

    @arb_name.setter
    def arb_name(self, value: str) -> None:
        self._arb_name = self.memory.find(value)

    @property
    def arb_frequency_hz(self) -> float:
        """Sample rate over the length of the waveform."""
        return float(self.values["arb_rate_hz"]) / self.memory.codes(self._arb_name).size

    @arb_frequency_hz.setter
    def arb_frequency_hz(self, value: float) -> None:
        rate_hz = value * self.memory.codes(self._arb_name).size
        if not _MIN_HZ <= rate_hz <= MAX_RATE_HZ:
            raise ScpiError(-222, "the sample rate would be out of range")
        self.values["arb_rate_hz"] = rate_hz

    @property
    def arb_period_s(self) -> float:
        """Length of the waveform over the sample rate."""
        return 1 / self.arb_frequency_hz

    @arb_period_s.setter
    def arb_period_s(self, value: float) -> None:
        self.arb_frequency_hz = 1 / value

    def clear_memory(self) -> None:
        """Forget the stored waveforms and select the built-in one."""
        self.memory.clear()
        self._arb_name = BUILT_IN

    # ---- levels

    def level_kind(self, name: str) -> Number:
        """Return what a level can be now: ``vpp``, ``offset``, ``high`` or ``low``."""
        low, high = self.levels.bounds(name)
        default = {"vpp": 0.1, "offset": 0.0, "high": 0.05, "low": -0.05}[name]
        if name == "vpp":
            low, high, default = (self._from_vpp(value) for value in (low, high, default))
        return Number(low, high, default, self._unit if name == "vpp" else "V", clipped=True)

    @property
    def amplitude(self) -> float:
        """Amplitude in the selected unit."""
        return self._from_vpp(self.levels.get("vpp"))

    @amplitude.setter
    def amplitude(self, value: float) -> None:
        self.levels.put("vpp", self._to_vpp(value))

    @property
    def offset_v(self) -> float:
        """Offset as displayed."""
        return self.levels.get("offset")

    @offset_v.setter
    def offset_v(self, value: float) -> None:
        self.levels.put("offset", value)

    @property
    def high_v(self) -> float:
        """Upper level as displayed."""
        return self.levels.get("high")

    @high_v.setter
    def high_v(self, value: float) -> None:
        self.levels.put("high", value)

    @property
    def low_v(self) -> float:
        """Lower level as displayed."""
        return self.levels.get("low")

    @low_v.setter
    def low_v(self, value: float) -> None:
        self.levels.put("low", value)

    @property
    def load_ohm(self) -> float:
        """What the output is said to be loaded with."""
        return self.levels.load_ohm

    @load_ohm.setter
    def load_ohm(self, value: float) -> None:
        if self._unit == "DBM" and math.isinf(value):
            self._unit = "VPP"  # there is no power into an open circuit
        self.levels.load_ohm = value

    @property
    def unit(self) -> str:
        """Unit of the amplitude: VPP, VRMS or DBM."""
        return self._unit

    @unit.setter
    def unit(self, value: str) -> None:
        if value == "DBM" and math.isinf(self.levels.load_ohm):
            raise ScpiError(-221, "dBm needs a finite load")
        self._unit = value

    def _crest(self) -> float:
        """Return peak-to-peak over rms of the selected waveform."""
        codes = self.codes
        rms = 0.0 if codes is None else rms_of(codes)
        return 2 / rms if rms else 2.0

    def _from_vpp(self, vpp: float) -> float:
        if self._unit == "VPP":
            return vpp
        vrms = vpp / self._crest()
        return vrms if self._unit == "VRMS" else 10 * math.log10(vrms**2 / self.load_ohm / 1e-3)

    def _to_vpp(self, value: float) -> float:
        if self._unit == "VPP":
            return value
        vrms = value
        if self._unit == "DBM":
            vrms = math.sqrt(10 ** (min(value, 300) / 10) * 1e-3 * self.load_ohm)
        return vrms * self._crest()

    # ---- output limits

    @property
    def limit_high_v(self) -> float:
        """Upper output limit as displayed."""
        return self.levels.get_limit("high")

    @limit_high_v.setter
    def limit_high_v(self, value: float) -> None:
        self.levels.put_limit("high", value)

    @property
    def limit_low_v(self) -> float:
        """Lower output limit as displayed."""
        return self.levels.get_limit("low")

    @limit_low_v.setter
    def limit_low_v(self, value: float) -> None:
        self.levels.put_limit("low", value)

    @property
    def is_limited(self) -> bool:
        """Whether the output limits are in force."""
        return self.levels.is_limited

    @is_limited.setter
    def is_limited(self, value: bool) -> None:
        self.levels.switch_limits(value)
