"""The step of a baseline when a resistance comes into a lead, and goes out of it again.

The device's input current flows through the resistance. A device that is coupled down to DC shows
the step itself. A high-pass one shows its response to it, which is fitted by least squares with the
corner and the instants of the changes unknown. What a relay, a capacitor or the low-pass do to an
edge is of no account: the few milliseconds around it count by their mean alone, which says when
the edge was in the middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft, signal

from emgsim.errors import NotAnalysableError
from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.setup import Setup, State
from emgsim.metrology.stimulus import Floats
from emgsim.metrology.tones import code_step_uv, staircase_sd

# A state without the resistance, and the same with it, the larger resistance first.
PAIRS = (("shorted", "shorted_1m"), ("node_drive", "imbalance"))
LARGEST_STEP = 0.1  # of the device's range: a larger one may be cut, or bent
CYCLES = 2  # of in and out
DWELL_S = 0.4  # in each state at least
DWELL_TURNS = 1.5  # periods of the high-pass corner
RATE_HZ = 2000.0  # to which samples are averaged: 30 Hz is the highest corner of a high-pass
LATE_S = 0.15  # by which a change may be early or late
EDGE_S = 2e-3  # over which the samples before and after an instant are averaged to find it
SURE = 8.0  # deviations from which on an edge is one
GUARD_S = 5e-3  # on each side of an edge
LATE_SD_S = 0.01  # of an instant that was not seen
STEPS = 6  # of Gauss-Newton
SMOOTHED_BINS = 6  # on each side
FREEDOM = 20.0  # of a noise density at so low frequencies


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far the baseline of a channel goes, in microvolts that the device says.

    Attributes
    ----------
    uv, sd_uv
        The step when the resistance comes in, as it is above the high-pass corner.
    corner_hz
        Of the high-pass, fitted where the step is seen; 0: none.
    stairs_uv
        What the converter's steps may add to it, one deviation.
    late_uv
        By which it may be off as nobody saw when the changes were, one deviation.
    times_s, baseline_uv, fitted_uv
        For a plot, shape ``(n,)``.
    """

    uv: float
    sd_uv: float
    corner_hz: float
    stairs_uv: float
    late_uv: float
    times_s: Floats
    baseline_uv: Floats
    fitted_uv: Floats


def bias_step(measuring: Measuring) -> tuple[Step, State]:
    """Measure the step that the first channel's input current makes, and with what in the lead.

    With the smaller resistance, if the fixture has it, where the larger one takes the device too
    far away.
    """
    setup = measuring.setup
    found, loaded = None, setup.states[PAIRS[0][1]]
    for without, within in PAIRS:
        if not {without, within} <= set(setup.states):
            break
        loaded = setup.states[within]
        found = step(changes(measuring, without, within), setup, 0)
        if abs(found.uv) < LARGEST_STEP * setup.device.range_uv:
            break
    if found is None:
        raise NotAnalysableError(
            f"the input current needs the states {' and '.join(PAIRS[0])} of the fixture",
            todo="leave out the tests that need it, or add the states",
        )
    return found, loaded


def changes(measuring: Measuring, without: str, within: str) -> Acquired:
    """Let the fixture bring a resistance in and out again, two times."""
    low_hz = measuring.setup.device.band_hz[0]
    dwell_s = max(DWELL_S, DWELL_TURNS / low_hz if low_hz > 0 else 0.0)
    return measuring.changed((*(without, within) * CYCLES, without), dwell_s)


def step(acquired: Acquired, setup: Setup, channel: int) -> Step:
    """Measure the step of one channel's baseline."""
    low_hz = setup.device.band_hz[0]
    order = setup.device.highpass_order if low_hz > 0 else 0
    t, x = _averaged(acquired.uv[:, channel], acquired.rate_hz)
    instants = _instants(t, x, acquired.changed_s)
    model = _Model(t, order, np.array(acquired.changed_s if instants is None else instants))
    unknown = np.zeros(1 + model.instants.size)  # of the corner's logarithm, and of the instants
    for _ in range(STEPS if instants is not None else 0):
        found, _ = model.solved(x, low_hz, unknown, is_free=True)
        unknown = unknown + np.clip(found[2:], *model.largest_change)
    found, sd_uv = model.solved(x, low_hz, unknown, is_free=instants is not None)
    corner_hz = low_hz * math.exp(unknown[0]) if order else 0.0
    quick = max(2 * math.pi * corner_hz, 1 / (t[-1] / (2 * CYCLES + 1)))
    return Step(
        uv=float(found[0]),
        sd_uv=sd_uv,
        corner_hz=corner_hz,
        stairs_uv=_stairs_uv(acquired.uv[:, channel]),
        late_uv=0.0 if instants is not None else abs(float(found[0])) * LATE_SD_S * quick,
        times_s=t,
        baseline_uv=x,
        fitted_uv=found[0] * model.staircase(low_hz, unknown) + found[1],
    )


def _stairs_uv(samples: Floats) -> float:
    """Return what a converter's steps may add to the difference of two levels, one deviation."""
    # Of the first harmonic of the steps' error two levels meet any phase each.
    step_uv = code_step_uv(samples)
    return staircase_sd(step_uv, 0.5 * float(np.nanmean(np.diff(samples) ** 2))) / 0.58


def _averaged(samples: Floats, rate_hz: float) -> tuple[Floats, Floats]:
    """Return times and means of so many samples that their rate is low, lost ones left out."""
    each = max(1, int(rate_hz / RATE_HZ))
    n = samples.size // each
    boxes = samples[: n * each].reshape(n, each)
    counts = np.isfinite(boxes).sum(axis=1)
    means = np.nansum(boxes, axis=1) / np.maximum(counts, 1)
    t = (np.arange(n) * each + (each - 1) / 2) / rate_hz
    return np.asarray(t), np.interp(t, t[counts > 0], means[counts > 0])


def _instants(t: Floats, x: Floats, about_s: tuple[float, ...]) -> list[float] | None:
    """Return when the baseline jumps at each change, or nothing where that is not sure."""
    period_s = t[1] - t[0]
    n = max(2, round(EDGE_S / period_s))
    sums = np.concatenate([[0.0], np.cumsum(x)])
    jumps = np.abs(sums[2 * n :] - 2 * sums[n:-n] + sums[: -2 * n])
    sure = SURE * 1.4826 * float(np.median(jumps))
    found = []
    for change_s in about_s:
        first = max(0, int((change_s - t[0] - LATE_S) / period_s) - n)
        near = jumps[first : first + int(2 * LATE_S / period_s)]
        at = int(np.argmax(near))
        if near[at] <= sure:
            return None
        found.append(float(t[first + at + n] - 0.5 * period_s))
    return found


class _Model:
    """What unit steps in, out, in, out at about known instants make behind a high-pass."""

    def __init__(self, t: Floats, order: int, instants: Floats) -> None:
        self.t, self.order, self.instants = t, order, instants
        self.period_s = float(t[1] - t[0])
        poles = signal.buttap(order)[1] if order else np.zeros(1)
        apart = poles[:, None] - poles[None, :] + np.eye(poles.size)
        self._poles = poles
        self._residues = poles ** max(0, order - 1) / np.prod(apart, axis=1)

    @property
    def largest_change(self) -> tuple[Floats, Floats]:
        """Bounds of one step of the corner's logarithm and of the instants."""
        most = np.array([0.3] + [GUARD_S / 2] * self.instants.size)
        return -most, most

    def edge(self, k: int, corner_hz: float, late_s: float) -> Floats:
        """Return the response to the k-th step, which is in between for one sample."""
        since_s = self.t - self.instants[k] - late_s
        after = since_s > -0.5 * self.period_s
        out = np.zeros(self.t.size)
        turned = np.multiply.outer(
            2 * np.pi * corner_hz * np.maximum(since_s[after], 0), self._poles
        )
        out[after] = (np.exp(turned) @ self._residues).real
        out[after] *= np.minimum(1.0, since_s[after] / self.period_s + 0.5)
        return out if k % 2 == 0 else -out

    def staircase(self, low_hz: float, unknown: Floats) -> Floats:
        """Return the response to all steps, at a corner and instants moved by the unknown."""
        corner_hz = low_hz * math.exp(unknown[0])
        edges = (self.edge(k, corner_hz, late) for k, late in enumerate(unknown[1:]))
        return np.asarray(sum(edges))

    def solved(
        self, x: Floats, low_hz: float, unknown: Floats, *, is_free: bool
    ) -> tuple[Floats, float]:
        """Return step, mean and changes of the unknown, and the deviation of the step."""
        whole = self.staircase(low_hz, unknown)
        columns = [whole, np.ones(x.size)]
        if is_free:
            size = float(np.linalg.lstsq(np.stack(columns, 1), x, rcond=None)[0][0])
            columns += [size * slope for slope in self._slopes(low_hz, unknown, whole)]
        design = np.stack([self._in_guards_alike(column) for column in columns], axis=1)
        estimator = np.linalg.pinv(design)
        alike = self._in_guards_alike(x)
        found = estimator @ alike
        # Linear in the unknowns: their columns hold the changes.
        residual = alike - design @ found
        return found, _estimate_sd(estimator[0], residual)

    def _slopes(self, low_hz: float, unknown: Floats, whole: Floats) -> list[Floats]:
        """Return how the response changes with the corner's logarithm and with each instant."""
        by = 1e-4
        corner_hz = low_hz * math.exp(unknown[0])
        slopes = []
        if self.order:
            moved = unknown + by * (np.arange(unknown.size) == 0)
            slopes.append((self.staircase(low_hz, moved) - whole) / by)
        else:
            slopes.append(np.zeros(self.t.size))
        for k, late in enumerate(unknown[1:]):
            change = self.edge(k, corner_hz, late + self.period_s) - self.edge(k, corner_hz, late)
            slopes.append(change / self.period_s)
        return slopes

    def _in_guards_alike(self, values: Floats) -> Floats:
        """Return values, those around each edge replaced by their mean."""
        out = values.copy()
        for instant in self.instants:
            near = np.abs(self.t - instant) < GUARD_S
            out[near] = values[near].mean()
        return out


def _estimate_sd(weights: Floats, residual: Floats) -> float:
    """Return the deviation of a weighted sum of samples, whose noise is not white.

    By Parseval it is the mean of the squared spectrum of the weights times that of the noise, which
    is the periodogram of the residual, smoothed.
    """
    size = fft.next_fast_len(residual.size, real=True)
    power = np.abs(fft.rfft(residual, size)) ** 2 / residual.size
    n = SMOOTHED_BINS
    mirrored = np.concatenate([power[n:0:-1], power, power[-2 : -n - 2 : -1]])
    smooth = np.convolve(mirrored, np.full(2 * n + 1, 1 / (2 * n + 1)), "valid")
    share = np.abs(fft.rfft(weights, size)) ** 2
    share[1 : (size + 1) // 2] *= 2
    return math.sqrt(float(share @ smooth) / size)
