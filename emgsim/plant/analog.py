"""Linear analogue networks driven by a held (staircase) input, solved exactly.

A digital-to-analogue converter holds each code for one period, so the input of the analogue chain
is a staircase. A network with distinct poles then splits into independent first-order modes whose
state is known in closed form at every instant, and the output can be read at the irregular
instants at which another clock samples it: no oversampling, no interpolation.

For ``H(s) = d + sum r_i / (s - p_i)`` and an input held at ``u_k`` from ``k T`` on::

    x_i(k T + t) = exp(p_i t) x_i(k T) + (exp(p_i t) - 1) / p_i u_k
    y(t)         = d u_k + sum r_i x_i(t)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """A transfer function as zeros, poles (rad/s) and gain."""

    zeros: tuple[complex, ...] = ()
    poles: tuple[complex, ...] = ()
    gain: float = 1.0

    def __matmul__(self, other: Network) -> Network:
        """Return the two networks in series."""
        return Network(self.zeros + other.zeros, self.poles + other.poles, self.gain * other.gain)

    def response(self, frequencies_hz: Floats) -> Complexes:
        """Return the complex gain at each frequency."""
        s = 2j * np.pi * np.asarray(frequencies_hz, float)[:, None]
        top = np.prod(s - np.asarray(self.zeros), axis=1)
        bottom = np.prod(s - np.asarray(self.poles), axis=1)
        return np.asarray(self.gain * top / bottom, dtype=np.complex128)


def butterworth(order: int, corner_hz: float, kind: Literal["lowpass", "highpass"]) -> Network:
    """Return a Butterworth network."""
    from scipy import signal  # a rig file is read without it: a worker that only plays is quick

    z, p, k = signal.butter(order, 2 * np.pi * corner_hz, btype=kind, analog=True, output="zpk")
    return Network(tuple(z), tuple(p), float(k))


@dataclass(frozen=True)
class Modes:
    """Partial fractions of a network; of each conjugate pair one mode is kept, counted twice."""

    poles: Complexes
    residues: Complexes
    feedthrough: float


def modes(network: Network) -> Modes:
    """Split a network with distinct poles into first-order modes.

    Raises
    ------
    ValueError
        If poles coincide, or there are more zeros than poles.
    """
    poles, zeros = np.asarray(network.poles, complex), np.asarray(network.zeros, complex)
    if zeros.size > poles.size:
        raise ValueError(f"network: {zeros.size} zeros need at least as many poles")
    apart = poles[:, None] - poles[None, :] + np.eye(poles.size)
    if poles.size and np.min(np.abs(apart) / np.abs(poles[:, None])) < 1e-9:
        raise ValueError("network: poles must be distinct")
    residues = network.gain * np.prod(poles[:, None] - zeros, axis=1) / np.prod(apart, axis=1)
    kept = poles.imag >= -1e-9 * np.abs(poles)
    twice = np.where(np.abs(poles.imag) > 1e-9 * np.abs(poles), 2.0, 1.0)
    feedthrough = network.gain if zeros.size == poles.size else 0.0
    return Modes(poles[kept], (residues * twice)[kept], feedthrough)


@dataclass(frozen=True)
class LineState:
    """State of every mode at the start of one held step."""

    step: int
    x: Complexes


def settled(line: Modes, level: float, step: int = 0) -> LineState:
    """Return the state that the line reaches when its input has always been ``level``."""
    return LineState(step, np.asarray(-level / line.poles, dtype=np.complex128))


def advance(
    line: Modes, state: LineState, held: Floats, period_s: float, times_s: Floats
) -> tuple[LineState, Floats]:
    """Drive the line with held values and read its output at any instants between them.

    Parameters
    ----------
    line
        The network's modes.
    state
        State at the beginning of ``held[0]``, which is held step number ``state.step``.
    held
        Shape ``(n_steps,)``: the input during each step.
    period_s
        Length of a step.
    times_s
        Shape ``(n_times,)``: instants on the same clock, inside the steps of ``held``.

    Returns
    -------
    state : LineState
        At the beginning of the *last* step of ``held``, which the next call repeats.
    output : ndarray
        Shape ``(n_times,)``.
    """
    from scipy import signal

    index = np.floor(times_s / period_s).astype(np.int64)
    inside_s = times_s - index * period_s
    index -= state.step
    if index.size and (index.min() < 0 or index.max() >= held.size):
        raise ValueError(
            f"times {times_s.min():g}..{times_s.max():g} s lie outside the {held.size} held steps"
        )
    output = line.feedthrough * held[index]
    last = np.empty_like(state.x)
    for i, (pole, residue) in enumerate(zip(line.poles, line.residues, strict=True)):
        decay = np.exp(pole * period_s)
        gain = np.expm1(pole * period_s) / pole
        track = np.empty(held.size, complex)
        track[0] = state.x[i]
        if held.size > 1:
            track[1:], _ = signal.lfilter(
                [gain], [1, -decay], held[:-1].astype(complex), zi=[decay * state.x[i]]
            )
        last[i] = track[-1]
        growth = np.exp(pole * inside_s)
        value = growth * track[index] + (growth - 1) / pole * held[index]
        output = output + (residue * value).real
    return LineState(state.step + held.size - 1, last), output
