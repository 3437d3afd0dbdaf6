"""Networks that several elements make together, from their resistances and capacitances."""

from __future__ import annotations

import math

import numpy as np

from emgsim.plant.analog import Network


def notch(corner_hz: float, quality: float) -> Network:
    """Return a filter that lets nothing through at one frequency: -3 dB ``f / Q`` wide."""
    turn = 2 * math.pi * corner_hz
    bottom = np.roots([1.0, turn / quality, turn**2])
    return Network((1j * turn, -1j * turn), tuple(bottom))


def loaded_input(
    *,
    series_ohm: float,
    series_nf: float,
    electrode_ohm: float,
    electrode_nf: float,
    shunt_ohm: float,
    input_ohm: float,
    input_pf: float,
) -> Network:
    """Return what an input of R parallel to C gets of a source behind all that is in series.

    With ``Z = Re + 1 / (s Ce) + Rs / (1 + s Rs Cs)`` and the shunt R0 of the divider::

        H = 1 / (1 + (R0 + Z) / Ri + s Ci Z)

    What the input's capacitance draws through the shunt is left out: 10 ohm and 100 pF are 1 ns.

    Parameters
    ----------
    series_ohm, series_nf
        Rs and Cs; 0 nF: a resistor alone.
    electrode_ohm, electrode_nf
        Re and Ce in series; 0 nF: no electrode.
    shunt_ohm, input_ohm, input_pf
        R0, Ri and Ci.
    """
    top, bottom = np.poly1d([series_ohm]), np.poly1d([series_ohm * series_nf * 1e-9, 1.0])
    if electrode_nf:
        charge = np.poly1d([electrode_nf * 1e-9, 0.0])
        top = top * charge + (np.poly1d([1.0]) + electrode_ohm * charge) * bottom
        bottom = bottom * charge
    drawn = np.poly1d([input_pf * 1e-12, 0.0]) * top
    total = bottom + (top + shunt_ohm * bottom) * (1 / input_ohm) + drawn
    return Network(
        tuple(bottom.roots), tuple(total.roots), float(bottom.coeffs[0] / total.coeffs[0])
    )
