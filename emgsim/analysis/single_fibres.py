"""The spikes of single fibres within the discharges of one motor unit.

The recording is high-passed, so that each near fibre stands as a spike of its own. Each spike is
followed from discharge to discharge by its own shape, with all other spikes subtracted: a matched
filter gives its time to a fraction of a sample and its size, and a spike of less than half its size
is a blocked one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

from emgsim.analysis.conditioning import band, bridged
from emgsim.analysis.detection import peak_offset, snippets
from emgsim.analysis.learning import Unit, add_discharges, relearned, unit_at
from emgsim.analysis.muaps import positions_in
from emgsim.recording import Recording

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HIGHPASS_HZ = {"single_fibre": 500.0}  # Stalberg & Trontelj 1994
CONCENTRIC_HIGHPASS_HZ = 2_000.0  # for all larger electrodes; Stalberg 2016 uses 1 kHz
LOWPASS_HZ = 10_000.0
BEFORE_S, AFTER_S = 0.006, 0.010  # of a discharge: where fibres are looked for
HALF_S = 0.0008  # of a spike's window: a high-passed fibre has lobes
CORE_S = 0.00035  # of it, where another fibre would show
APART_S = 0.0003  # spikes nearer than this are one
FARTHEST_S = 0.0004  # that a spike strays from its mean time
PASSAGE = 0.2  # of the distance of two spikes, on either side of half-way: from one to the other
STEPS = 4  # of the search, per sample; a parabola finds what is between
ROUNDS = 4  # of fitting all spikes
LEAST_SHARE = 0.1  # of the largest spike
LEAST_CLEAR = 8.0  # size of a spike over the SD of its noise, through its matched filter
MOST_STRANGE = 2.0  # variance left at a spike over that of the noise; more than one fibre has more
DISTURBED = 4.0  # variance left at a discharge's spike, over the usual one
BLOCKED = 0.5  # of its size: below it a spike is missing
MOST = 6  # spikes that are followed
FEWEST = 10  # intervals that make a measure


@dataclass(frozen=True, kw_only=True)
class Spike:
    """One fibre's spike in all discharges of a unit.

    ``at_s``, ``(n_discharges,)``, is when it stands on the recording's clock, NaN where it is
    blocked, or hidden by something else; ``noise_s`` is the SD that the recording's noise gives
    to it.
    """

    at_s: Floats
    is_blocked: Flags
    peak_uv: float
    clearness: float  # size over the SD of its noise
    strangeness: float  # variance left at the spike, over that of the noise
    noise_s: float


def fibre_spikes(
    recording: Recording,
    train_s: Floats,
    channel: int = 0,
    *,
    others_s: Sequence[Floats] = (),
    highpass_hz: float | None = None,
) -> tuple[Spike, ...]:
    """Follow every clear spike of single fibres through a unit's discharges.

    Parameters and errors are those of `emgsim.analysis.jitter.jitter_pairs`.

    Returns
    -------
    tuple of Spike
        The largest one first; those that more than one fibre makes are left out.
    """
    _check(recording, channel, highpass_hz)
    rate_hz, train = recording.rate_hz, np.sort(np.asarray(train_s, dtype=np.float64))
    if train.size < FEWEST:
        return ()
    kind = recording.channels[channel].kind
    lowest_hz = highpass_hz or HIGHPASS_HZ.get(kind, CONCENTRIC_HIGHPASS_HZ)
    samples = recording.samples_uv[:, channel]
    filtered = high_passed(bridged(samples), rate_hz, lowest_hz)
    at = [positions_in(recording, times_s) for times_s in (train, *others_s)]
    own, positions = _own_samples(filtered, at, rate_hz)
    missing = ndimage.binary_dilation(~np.isfinite(samples), iterations=round(HALF_S * rate_hz))
    found = [
        _spike(unit, left, missing, rate_hz, recording.start_s)
        for unit, left in _followed(own, positions, rate_hz)
    ]
    clear = [s for s in found if s.clearness >= LEAST_CLEAR and s.strangeness <= MOST_STRANGE]
    return tuple(sorted(clear, key=lambda spike: -spike.peak_uv))


def high_passed(samples_uv: Floats, rate_hz: float, highpass_hz: float) -> Floats:
    """Return the samples ``(n,)`` above a frequency, without delay."""
    n = fft.next_fast_len(samples_uv.size, real=True)
    gain = band(fft.rfftfreq(n, 1 / rate_hz), highpass_hz, min(LOWPASS_HZ, 0.42 * rate_hz))
    return np.asarray(fft.irfft(fft.rfft(samples_uv, n) * gain, n)[: samples_uv.size])


def _check(recording: Recording, channel: int, highpass_hz: float | None) -> None:
    if not 0 <= channel < len(recording.channels):
        raise ValueError(f"channel must be 0..{len(recording.channels) - 1}, got {channel}")
    if recording.rate_hz < 10_000:
        raise ValueError(f"rate_hz must be >= 10000 to follow a spike, got {recording.rate_hz:g}")
    if highpass_hz is not None and not highpass_hz > 0:
        raise ValueError(f"highpass_hz must be > 0, got {highpass_hz}")


def _own_samples(filtered: Floats, at: Sequence[Floats], rate_hz: float) -> tuple[Floats, Floats]:
    """Return the samples without the other units, and the unit's positions."""
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    units, residual = relearned(filtered, tuple(unit_at(p, before + after) for p in at), before)
    # The other units' shapes are taken away; this unit's own, which its jitter blurs, is not used.
    add_discharges(residual, units[0], before)
    return residual, at[0]


def _followed(samples: Floats, positions: Floats, rate_hz: float) -> list[tuple[Unit, Floats]]:
    """Return each spike as a unit of its own, with the samples that no spike explains.

    Spikes are taken up one by one, the largest first, from what those before leave: a high-passed
    fibre has lobes of its own, which must not count as other fibres.
    """
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    half, last = round(HALF_S * rate_hz), samples.size - 1
    aligned, left = positions, samples
    units: list[Unit] = []
    expected: list[Floats] = []
    for _ in range(MOST):
        middle = np.median(snippets(left, aligned, before, after), axis=0)
        taken = [int(np.median(e - aligned)) + before for e in expected]
        column = _peak(middle, taken, samples, units, rate_hz)
        if column is None:
            break
        expected.append(np.clip(aligned + column - before, 0, last))
        units = _fitted(samples, [*units, _unit(expected[-1], half)], expected, rate_hz)
        if len(units) == 1:  # from here on time counts from the largest spike
            aligned = np.clip(units[0].positions - (column - before), 0, last)
            expected[0] = units[0].positions
        left = samples.copy()
        for unit in units:
            add_discharges(left, unit, half, -1.0)
    return [(unit, left) for unit in units]


def _unit(positions: Floats, half: int) -> Unit:
    """Return a spike that is known only by where it should stand."""
    return Unit(
        template=np.zeros(2 * half + 1), positions=positions, amplitudes=np.ones(positions.size)
    )


def _peak(
    middle: Floats, taken: list[int], samples: Floats, units: list[Unit], rate_hz: float
) -> int | None:
    """Return the column of the largest negative peak that stands out and is not yet taken."""
    noise = 1.25 * float(np.median(np.abs(samples))) / 0.6745
    edge = round((HALF_S + FARTHEST_S) * rate_hz)
    free = np.zeros(middle.size, dtype=np.bool_)
    free[edge : middle.size - edge] = True
    for column in taken:
        free[max(0, column - round(APART_S * rate_hz)) : column + round(APART_S * rate_hz)] = False
    if not free.any():
        return None
    column = int(np.argmin(np.where(free, middle, np.inf)))
    if not units:
        return column
    depth = -float(units[0].template.min())
    enough = max(LEAST_SHARE * depth, 4 * noise / np.sqrt(units[0].positions.size))
    return column if -middle[column] >= enough else None


def _fitted(
    samples: Floats, units: list[Unit], expected: list[Floats], rate_hz: float
) -> list[Unit]:
    """Fit time, size and shape of all spikes in turn, each with the others subtracted."""
    half = round(HALF_S * rate_hz)
    left = samples.copy()
    for unit in units:
        add_discharges(left, unit, half, -1.0)
    for _ in range(ROUNDS):
        for i, unit in enumerate(units):
            shaped = replace(unit, template=_shape(samples, unit, _share(expected, i, half)))
            add_discharges(left, unit, half)
            units[i] = _placed(left, shaped, expected[i], _room(expected, i, rate_hz))
            add_discharges(left, units[i], half, -1.0)
    return units


def _share(expected: list[Floats], i: int, half: int) -> Floats:
    """Return the window ``(2 half + 1,)`` of a spike: it passes to the next one half-way.

    Where two fibres overlap, an average does not tell which of them made what. If the shape of one
    spike held part of the other, that part would be subtracted at the wrong time at each discharge,
    and what is left of the other would seem to stray farther than it does.
    """
    window = signal.windows.tukey(2 * half + 1, 0.3)
    column = np.arange(-half, half + 1)
    for k, other in enumerate(expected):
        apart = float(np.median(other - expected[i]))
        if k != i and abs(apart) > 0:
            beyond = (column / apart - 0.5) / PASSAGE
            window = window * (0.5 - 0.5 * np.sin(np.pi / 2 * np.clip(beyond, -1, 1)))
    return np.asarray(window)


def _shape(samples: Floats, unit: Unit, share: Floats) -> Floats:
    """Return a spike's shape where it stands now: its share of the discharges' average."""
    there = unit.amplitudes >= BLOCKED
    if np.count_nonzero(there) < FEWEST:
        return unit.template
    half = share.size // 2
    cut = snippets(samples, unit.positions[there], half, half + 1)
    return np.asarray(share * (np.mean if unit.template.any() else np.median)(cut, axis=0))


def _room(expected: list[Floats], i: int, rate_hz: float) -> float:
    """Return how far a spike may stray, in samples: not much beyond half-way to the next one."""
    others = [abs(float(np.median(e - expected[i]))) for k, e in enumerate(expected) if k != i]
    return min([FARTHEST_S * rate_hz, *(0.6 * apart for apart in others)])


def _placed(samples: Floats, unit: Unit, expected: Floats, room: float) -> Unit:
    """Return the spike at the places, and of the sizes, at which its shape fits best."""
    half = unit.template.size // 2
    reach = int(np.ceil(room))
    energy = max(unit.energy, 1e-30)
    lags = np.arange(-reach * STEPS - 1, reach * STEPS + 2) / STEPS
    padded = np.pad(unit.template, 2 * reach + half)
    middle = 2 * reach + 2 * half
    shifted = snippets(padded, middle - lags, half + reach, half + reach + 1)
    around = snippets(samples, expected, half + reach, half + reach + 1)
    likeness = around @ shifted.T / energy
    top = 1 + np.argmax(likeness[:, 1:-1], axis=1)
    row = np.arange(top.size)
    low, mid, high = likeness[row, top - 1], likeness[row, top], likeness[row, top + 1]
    beyond = peak_offset(low, mid, high)
    size = mid - 0.25 * (low - high) * beyond
    positions = np.clip(expected + lags[top] + beyond / STEPS, 0, samples.size - 1)
    return replace(unit, positions=positions, amplitudes=np.maximum(size, 0.0))


def _spike(unit: Unit, left: Floats, missing: Flags, rate_hz: float, start_s: float) -> Spike:
    """Return what is measured of a spike; ``left`` is without all spikes of the unit."""
    half = unit.template.size // 2
    core = round(CORE_S * rate_hz)
    at = np.rint(unit.positions).astype(np.int64)
    inside = (at >= half) & (at < missing.size - half)
    around = np.mean(snippets(left, unit.positions, core, core + 1) ** 2, axis=1)
    # Beside a spike of something else neither its time nor its size can be told.
    disturbed = around > DISTURBED * np.median(around)
    seen = inside & ~missing[np.clip(at, 0, missing.size - 1)] & ~disturbed
    blocked = seen & (unit.amplitudes < BLOCKED)
    usual = float(np.median(np.abs(left))) / 0.6745
    there = seen & ~blocked
    strange = float(np.mean(around[there])) / max(usual**2, 1e-30) if there.any() else np.inf
    return Spike(
        at_s=np.where(there, start_s + unit.positions / rate_hz, np.nan),
        is_blocked=blocked,
        peak_uv=float(np.ptp(unit.template)),
        clearness=1 / max(_sd_through(left, unit.template), 1e-12),
        strangeness=strange,
        noise_s=_sd_through(left, np.gradient(unit.template)) / rate_hz,
    )


def _sd_through(left: Floats, filter_uv: Floats) -> float:
    """Return the robust SD of noise through a matched filter of unit gain."""
    out = signal.fftconvolve(left, filter_uv[::-1], "same")
    return float(np.median(np.abs(out))) / 0.6745 / max(float(filter_uv @ filter_uv), 1e-30)
