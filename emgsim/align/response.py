"""The clock of a recorder behind a filter whose corners are not quite known.

A filter delays, and a clock that is late looks the same to anything but the shape of what comes
out. The corners are fitted together with the clock, so that clock offset, group delay and drift
are told apart, each with its standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.align.fitting import (
    Alignment,
    Fit,
    Shaped,
    alignment_of,
    judged,
    solve,
    squares_left,
    stepped,
)
from emgsim.align.waveform import Waveform
from emgsim.stages import BandResponse, Response

Floats = NDArray[np.float64]

ROUNDS = 20  # in which the waveform is shaped anew, at most
WIDEST = 0.3  # by how much the logarithm of a corner may change in one of them
SHARES = (1.0, 0.5, 0.25, 0.1)  # of a step that are tried
SETTLED = 0.02  # standard deviations of a corner that are not worth another round
CLOCK_STEPS = 1
STEP = 1e-4  # of a corner's logarithm, in numerical derivatives


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """A clock, and the filter in front of it."""

    alignment: Alignment  # the filter taken out of account
    response: BandResponse
    highpass_sd_hz: float  # 0 where there is none
    lowpass_sd_hz: float
    group_delay_s: float  # of the played waveform: mean over its timing information
    group_delay_sd_s: float


def fit_response(
    samples: Floats,
    rate_hz: float,
    played: tuple[Floats, float],
    near: Alignment,
    response: BandResponse,
) -> Filtered:
    """Fit gain, offset, drift and the corners of a filter to a recording.

    Parameters
    ----------
    samples
        Shape ``(n,)``; NaN where samples were lost.
    rate_hz
        The recorder's nominal rate.
    played
        What was played, shape ``(n_played,)``, and its rate; both ends quiet.
    near
        The alignment by what `response` makes of it, to within a quarter of a period.
    response
        The filter as declared, its corners to within some 30 %. The orders are taken as they are.
    """
    here = _clocked(samples, rate_hz, response, Waveform(*played, response), _clock_of(near))
    for _ in range(ROUNDS):
        shaped = Shaped(here.waveform, _derivatives(played, here.response))
        start = np.concatenate([here.clock, np.zeros(len(shaped.by))])
        there, normal = stepped(samples, rate_hz, shaped, start, 1)
        variance = here.squares / np.isfinite(samples).sum()
        sd = np.sqrt(variance * np.diag(solve(normal, np.eye(start.size))))
        if np.all(np.abs(there[3:]) < SETTLED * sd[3:]):
            break
        better = _better(samples, rate_hz, played, here, there)
        if better is None:
            break
        here = better
    fit = judged(samples, rate_hz, shaped, start, normal)
    return _told(samples.size / rate_hz, played, here.response, fit)


def corners_of(response: BandResponse) -> tuple[str, ...]:
    """Return the names of the corners that a response has, the high-pass first."""
    orders = {"highpass_hz": response.highpass_order, "lowpass_hz": response.lowpass_order}
    return tuple(name for name, order in orders.items() if order)


def shaped_by(played: tuple[Floats, float], response: BandResponse) -> Shaped:
    """Return what a filter makes of a waveform, and its derivatives by its corners' logarithms.

    Parameters
    ----------
    played, response
        As in `fit_response`.
    """
    return Shaped(Waveform(*played, response), _derivatives(played, response))


@dataclass(frozen=True, eq=False)
class _Guess:
    """A response, what it makes of the waveform, the clock behind it, and what is left over."""

    response: BandResponse
    waveform: Waveform
    clock: Floats  # gain, offset, drift
    squares: float


def _clock_of(alignment: Alignment) -> Floats:
    return np.array([alignment.gain, alignment.offset_s, alignment.drift])


def _clocked(
    samples: Floats, rate_hz: float, response: BandResponse, waveform: Waveform, clock: Floats
) -> _Guess:
    """Return a response with the clock that fits it best, near one that nearly does."""
    shaped = Shaped(waveform)
    fits, _ = stepped(samples, rate_hz, shaped, clock, CLOCK_STEPS)
    return _Guess(response, waveform, fits, squares_left(samples, rate_hz, shaped, fits))


def _better(
    samples: Floats, rate_hz: float, played: tuple[Floats, float], here: _Guess, there: Floats
) -> _Guess | None:
    """Return a guess on the way to a Gauss-Newton step that leaves less; None if there is none.

    ``there`` are gain, offset, drift, and the changes of the corners' logarithms.
    """
    step = np.clip(there[3:], -WIDEST, WIDEST)
    for share in SHARES:
        response = moved(here.response, share * step)
        clock = here.clock + share * (there[:3] - here.clock)
        guess = _clocked(samples, rate_hz, response, Waveform(*played, response), clock)
        if guess.squares < here.squares:
            return guess
    return None


def moved(response: BandResponse, by: Floats) -> BandResponse:
    """Return a response whose corners' logarithms are changed, in the order of `corners_of`."""
    names = corners_of(response)
    corners = {n: getattr(response, n) * float(np.exp(x)) for n, x in zip(names, by, strict=True)}
    return replace(response, **corners)


@dataclass(frozen=True)
class _Derivative:
    """Derivative of a response along a change of its corners' logarithms."""

    response: BandResponse
    along: Floats

    def at(self, frequencies_hz: Floats) -> NDArray[np.complex128]:
        """Return it at each frequency."""
        up = moved(self.response, STEP * self.along).at(frequencies_hz)
        down = moved(self.response, -STEP * self.along).at(frequencies_hz)
        return np.asarray((up - down) / (2 * STEP))


def _derivatives(played: tuple[Floats, float], response: BandResponse) -> tuple[Waveform, ...]:
    along = np.eye(len(corners_of(response)))
    return tuple(Waveform(*played, _Derivative(response, one)) for one in along)


def _told(
    duration_s: float, played: tuple[Floats, float], response: BandResponse, fit: Fit
) -> Filtered:
    names = corners_of(response)
    relative = dict(zip(names, fit.deviations(0.0, white=False).others, strict=True))
    delay_s = group_delay_s(played, response)
    beside = (moved(response, STEP * one) for one in np.eye(len(names)))
    slopes = np.array([(group_delay_s(played, one) - delay_s) / STEP for one in beside])
    variance = float(slopes @ fit.covariance[3:, 3:] @ slopes)
    return Filtered(
        alignment=alignment_of(fit, duration_s),
        response=response,
        highpass_sd_hz=response.highpass_hz * relative.get("highpass_hz", 0.0),
        lowpass_sd_hz=response.lowpass_hz * relative.get("lowpass_hz", 0.0),
        group_delay_s=delay_s,
        group_delay_sd_s=float(np.sqrt(max(0.0, variance))),
    )


def group_delay_s(played: tuple[Floats, float], response: Response) -> float:
    """Return the group delay of a response for a waveform: the mean over its timing information.

    Each frequency weighs as much as its slope comes out of the response, squared.
    """
    samples, rate_hz = played
    n = fft.next_fast_len(samples.size, real=True)
    frequencies_hz = np.arange(1.0, n // 2) * float(rate_hz / n)
    power = np.abs(fft.rfft(samples, n)[1 : n // 2]) ** 2
    step = 1e-6
    here = response.at(np.asarray(frequencies_hz * (1 - step)))
    beside = response.at(np.asarray(frequencies_hz * (1 + step)))
    turn = np.angle(beside * np.conj(here)) / (2 * step * frequencies_hz)  # radians per hertz
    weight = power * np.abs(here) ** 2 * frequencies_hz**2
    return float(-(weight @ turn) / (2 * np.pi * weight.sum()))
