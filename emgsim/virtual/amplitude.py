"""An amplitude that can be said in three units: Vpp, Vrms and dBm."""

from __future__ import annotations

import math
import re

from emgsim.virtual.arb_output import ArbGenerator, ArbOutput
from emgsim.virtual.parameters import Choice, Number, ScpiError
from emgsim.virtual.scpi import Call, Command, setting
from emgsim.virtual.waveforms import rms_of

UNITS = ("VPP", "VRMS", "DBM")
_UNIT = "amplitude unit"
_SUFFIX = re.compile(rb"(?i)(VPP|VRMS|DBM)\s*$")
_ANY = Number(-1e6, 1e6, 1.0, "V", clipped=True)


def amplitude_commands(arb: ArbGenerator, level: str, unit: str) -> list[Command]:
    """Return the commands of an amplitude and of its unit.

    Parameters
    ----------
    arb
        Whose outputs are meant.
    level, unit
        Patterns of the two headers. A value with a unit of its own is taken in that one; the
        answer is in the selected unit.
    """

    def write(call: Call) -> None:
        output = arb.output(call.suffix)
        found = _SUFFIX.search(call.arguments[0])
        said = found[1].decode().upper() if found else _unit(output)
        value = _ANY.read(_SUFFIX.sub(b"", call.arguments[0]))
        arb.put_level("vpp", call.suffix, to_vpp(output, value, said))

    def read(call: Call) -> str:
        output = arb.output(call.suffix)
        return _ANY.write(from_vpp(output, output.levels.get("vpp"), _unit(output)))

    def put_unit(channel: int, value: str) -> None:
        output = arb.output(channel)
        if value == "DBM" and math.isinf(output.levels.load_ohm):
            raise ScpiError(-221, "dBm needs a finite load")
        output.values[_UNIT] = value

    units = setting(
        unit, Choice(UNITS, "VPP"), lambda channel: _unit(arb.output(channel)), put_unit
    )
    return [Command(level, write, 1, 1), Command(f"{level}?", read), *units]


def from_vpp(output: ArbOutput, vpp_v: float, unit: str) -> float:
    """Return an amplitude, of the waveform that is selected, in a unit."""
    vrms_v = vpp_v / _crest(output)
    if unit == "DBM":
        return 10 * math.log10(vrms_v**2 / output.levels.load_ohm / 1e-3)
    return vrms_v if unit == "VRMS" else vpp_v


def to_vpp(output: ArbOutput, value: float, unit: str) -> float:
    """Return the peak-to-peak volts of an amplitude in a unit."""
    if unit == "VPP":
        return value
    vrms_v = value
    if unit == "DBM":
        if math.isinf(output.levels.load_ohm):
            raise ScpiError(-221, "dBm needs a finite load")
        vrms_v = math.sqrt(10 ** (min(value, 300.0) / 10) * 1e-3 * output.levels.load_ohm)
    return vrms_v * _crest(output)


def _unit(output: ArbOutput) -> str:
    return str(output.values.get(_UNIT, "VPP"))


def _crest(output: ArbOutput) -> float:
    """Return peak-to-peak over rms."""
    codes = output.codes
    rms = 0.0 if codes is None else rms_of(codes)
    return 2 / rms if rms else 2.0
