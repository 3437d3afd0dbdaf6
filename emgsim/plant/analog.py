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

PRODUCT_STEPS = 2048  # of one matrix product
SLOW = 2.0  # a mode that turns or decays by so much in a step is a polynomial within it
AT_ONCE = 512  # instants whose polynomials stay in the cache
REST = 1e-16  # of the polynomial, that is left out
ORDER = 18  # of the longest: 1 / 18! is 1.6e-16
FACTORIALS = np.cumprod([1.0, *range(1, ORDER + 1)])


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


@dataclass(frozen=True)
class Track:
    """How the modes of a line went while it was driven by a staircase.

    ``x`` has a row per mode: its state at the start of each held step, ``(n_modes, n_steps)``.
    """

    line: Modes
    first_step: int
    held: Floats
    period_s: float
    x: Complexes
    is_silent: bool  # nothing has ever come in

    @property
    def end(self) -> LineState:
        """State at the beginning of the last step, which the next drive repeats."""
        return LineState(self.first_step + self.held.size - 1, self.x[:, -1].copy())

    def since(self, step: int) -> LineState:
        """Return the state at the beginning of a step."""
        return LineState(step, self.x[:, step - self.first_step].copy())

    def at(self, times_s: Floats) -> Floats:
        """Return the output at instants inside the steps, shape ``(n_times,)``."""
        index = np.floor(times_s / self.period_s).astype(np.int64)
        inside_s = times_s - index * self.period_s
        index -= self.first_step
        if index.size and (index.min() < 0 or index.max() >= self.held.size):
            raise ValueError(
                f"times {times_s.min():g}..{times_s.max():g} s lie outside the {self.held.size} "
                "held steps"
            )
        if self.is_silent:
            return np.zeros(times_s.size)
        slow = np.abs(self.line.poles) * self.period_s < SLOW
        output = self._slow_at(index, inside_s, slow)
        heard = self.held[index]
        for pole, residue, x in zip(
            self.line.poles[~slow], self.line.residues[~slow], self.x[~slow], strict=True
        ):
            growth = np.exp(pole * inside_s)
            value = growth * x[index] + (growth - 1) / pole * heard
            output += (residue * value).real
        return output

    def _slow_at(
        self, index: NDArray[np.int64], inside_s: Floats, slow: NDArray[np.bool_]
    ) -> Floats:
        """Return what the slow modes and the input itself make at times inside of steps.

        All of them together are a polynomial of the time from a step's middle, whose coefficients
        are a product of matrices: far cheaper than an exponential for each mode.
        """
        poles, residues = self.line.poles[slow], self.line.residues[slow]
        middle = np.exp(poles * (0.5 * self.period_s))
        quickest = 0.5 * self.period_s * float(np.max(np.abs(poles), initial=0.0))
        sizes = quickest ** np.arange(ORDER + 1) / FACTORIALS
        n_terms = max(1, int(np.count_nonzero(sizes > REST)))
        factors = (poles[:, None] * self.period_s) ** np.arange(n_terms) / FACTORIALS[:n_terms]
        growths = factors * middle[:, None]
        forced = (residues / poles) @ growths
        forced[0] -= np.sum(residues / poles)
        weights = residues[:, None] * growths
        terms = np.vstack([weights.real, -weights.imag, forced.real[None]])
        terms[-1, 0] += self.line.feedthrough
        states = np.vstack([self.x.real[slow], self.x.imag[slow], self.held])
        place = inside_s / self.period_s - 0.5
        output = np.empty(index.size)
        for start in range(0, index.size, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            coefficients = terms.T @ states.take(index[part], axis=1)
            value, u = coefficients[-1], place[part]
            for row in coefficients[-2::-1]:
                value *= u
                value += row
            output[part] = value
        return output

    def peak(self, fractions: Floats) -> float:
        """Return the largest magnitude at fractions of every step but the last."""
        growth = np.exp(np.multiply.outer(self.line.poles, fractions * self.period_s))
        weights = self.line.residues[:, None] * growth
        forced = self.line.residues[:, None] * (growth - 1) / self.line.poles[:, None]
        terms = np.vstack([weights.real, -weights.imag, forced.real.sum(axis=0)[None]])
        terms[-1] += self.line.feedthrough
        states = np.vstack([self.x.real, self.x.imag, self.held])
        peak = 0.0
        # In pieces: for a larger product BLAS would wake its threads, which costs far more.
        for start in range(0, self.held.size - 1, PRODUCT_STEPS):
            output = terms.T @ states[:, start : min(start + PRODUCT_STEPS, self.held.size - 1)]
            peak = max(peak, float(output.max()), -float(output.min()))
        return peak


Known = dict[tuple[complex, complex], Complexes]
"""How modes went that were driven by one staircase: by pole and state at its beginning."""


def drive(
    line: Modes, state: LineState, held: Floats, period_s: float, known: Known | None = None
) -> Track:
    """Drive a line from a state at the first of some held values on.

    Parameters
    ----------
    line, state
        The network's modes, and their state at the beginning of ``held[0]``.
    held
        Shape ``(n_steps,)``: the input during each step.
    period_s
        Length of a step.
    known
        Modes that other lines have in common with this one, which the same values drive; those of
        this line are added.
    """
    known = {} if known is None else known
    x = np.zeros((line.poles.size, held.size), complex)
    is_silent = not (held.any() or state.x.any())
    if not is_silent:
        for row, pole, begin in zip(x, line.poles, state.x, strict=True):
            key = (complex(pole), complex(begin))
            if key not in known:
                known[key] = _driven(*key, held, period_s)
            row[:] = known[key]
    return Track(line, state.step, held, period_s, x, is_silent)


def _driven(pole: complex, begin: complex, held: Floats, period_s: float) -> Complexes:
    """Return the state of one mode at the start of each step, shape ``(n_steps,)``."""
    from scipy import signal

    is_real = not (pole.imag or begin.imag)  # half as dear
    p, x = (pole.real, begin.real) if is_real else (pole, begin)
    decay, gain = np.exp(p * period_s), np.expm1(p * period_s) / p
    row = np.full(held.size, begin, complex)
    if held.size > 1:
        earlier = held[:-1].astype(float if is_real else complex)
        row[1:], _ = signal.lfilter([gain], [1, -decay], earlier, zi=[decay * x])
    return row


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
    track = drive(line, state, held, period_s)
    return track.end, track.at(times_s)
