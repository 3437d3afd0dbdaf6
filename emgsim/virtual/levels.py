"""Amplitude, offset and load of one output of the virtual generator.

The output keeps its open-circuit voltage whatever the load is said to be; the load only changes
what is displayed: ``displayed = open circuit * load / (50 ohm + load)``. A value out of range is
clipped and reported, as the real instrument does.
"""

from __future__ import annotations

import math

from emgsim.virtual.parameters import ScpiError

OUTPUT_OHM = 50.0
PEAK_OPEN_V = 10.0
MIN_VPP_OPEN_V = 0.002
_TOLERANCE_V = 1e-9  # loads such as 75 ohm make limits that are no round numbers


class Levels:
    """Hold the levels of one output in open-circuit volts and show them for its load.

    Parameters
    ----------
    vpp_open_v, load_ohm
        What a reset sets.
    min_vpp_open_v
        Smallest amplitude.
    """

    def __init__(
        self,
        *,
        vpp_open_v: float = 0.2,
        load_ohm: float = 50.0,
        min_vpp_open_v: float = MIN_VPP_OPEN_V,
    ) -> None:
        self.vpp_open_v = vpp_open_v
        self.offset_open_v = 0.0
        self.load_ohm = load_ohm
        self._min_vpp_open_v = min_vpp_open_v
        self.is_dc = False
        self.is_limited = False
        self._limits_open_v = (-PEAK_OPEN_V, PEAK_OPEN_V)

    # ---- what is displayed

    @property
    def shown(self) -> float:
        """Displayed volts per open-circuit volt."""
        if math.isinf(self.load_ohm):
            return 1.0
        return self.load_ohm / (OUTPUT_OHM + self.load_ohm)

    def get(self, name: str) -> float:
        """Return ``vpp``, ``offset``, ``high`` or ``low`` as displayed."""
        half = self.vpp_open_v / 2
        open_v = {
            "vpp": self.vpp_open_v,
            "offset": self.offset_open_v,
            "high": self.offset_open_v + half,
            "low": self.offset_open_v - half,
        }[name]
        return open_v * self.shown

    def bounds(self, name: str) -> tuple[float, float]:
        """Return the least and the largest displayed value that a level can take now."""
        low, high = self._window
        swing = self._swing
        open_v = {
            "vpp": (self._min_vpp_open_v, high - low),
            "offset": (low + swing / 2, high - swing / 2),
            "high": (low + self._min_vpp_open_v, high),
            "low": (low, high - self._min_vpp_open_v),
        }[name]
        return open_v[0] * self.shown, open_v[1] * self.shown

    @property
    def _window(self) -> tuple[float, float]:
        return self._limits_open_v if self.is_limited else (-PEAK_OPEN_V, PEAK_OPEN_V)

    @property
    def _swing(self) -> float:
        return 0.0 if self.is_dc else self.vpp_open_v

    # ---- what is set

    def put(self, name: str, value: float) -> None:
        """Set a displayed level; raise after clipping it, or another one because of it."""
        low, high = self.bounds(name)
        self._place(name, min(max(value, low), high) / self.shown)
        if value < low - _TOLERANCE_V or value > high + _TOLERANCE_V:
            raise ScpiError(-222, f"value clipped to {'lower' if value < low else 'upper'} limit")

    def put_dc(self, is_dc: bool) -> None:
        """Say whether there is a waveform on top of the offset."""
        self.is_dc = is_dc
        self._fit_offset("offset changed on exit from dc function")

    def put_limit(self, name: str, value: float) -> None:
        """Set the ``high`` or the ``low`` output limit, which the signal must respect."""
        low, high = self._limits_open_v
        open_v = value / self.shown
        self._adopt((low, open_v) if name == "high" else (open_v, high), is_on=self.is_limited)

    def get_limit(self, name: str) -> float:
        """Return an output limit as displayed."""
        return self._limits_open_v[name == "high"] * self.shown

    def switch_limits(self, is_on: bool) -> None:
        """Put the limits into force, unless the present signal is outside them."""
        self._adopt(self._limits_open_v, is_on=is_on)

    def _adopt(self, limits: tuple[float, float], *, is_on: bool) -> None:
        half = self._swing / 2
        low, high = limits
        is_inside = low <= self.offset_open_v - half and self.offset_open_v + half <= high
        if low >= high or (is_on and not is_inside):
            raise ScpiError(-221, "the signal is outside the voltage limits")
        self._limits_open_v, self.is_limited = limits, is_on

    def _place(self, name: str, open_v: float) -> None:
        """Set one open-circuit level; of high and low the other one stays, if it can."""
        if name == "vpp":
            self.vpp_open_v = open_v
            self._fit_offset("offset changed due to amplitude")
        elif name == "offset":
            self.offset_open_v = open_v
        else:
            sign = 1 if name == "high" else -1
            other = self.offset_open_v - sign * self.vpp_open_v / 2
            self.vpp_open_v = max(sign * (open_v - other), self._min_vpp_open_v)
            self.offset_open_v = open_v - sign * self.vpp_open_v / 2

    def _fit_offset(self, reason: str) -> None:
        """Bring the offset to where the whole signal is within its bounds."""
        low, high = (bound / self.shown for bound in self.bounds("offset"))
        fitting = min(max(self.offset_open_v, low), high)
        is_changed = abs(fitting - self.offset_open_v) > _TOLERANCE_V
        self.offset_open_v = fitting
        if is_changed:
            raise ScpiError(-221, reason)
