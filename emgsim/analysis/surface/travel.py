"""How waves travel past electrodes: cross-spectra, delays of pairs, and their common slowness.

A wave of slowness p (seconds per metre) reaches an electrode at z after z p. If all channels hear
one shape in independent noise of one power, the likeliest slowness is that with which the channels,
each shifted back, add up to the most power (Farina et al. 2001, Med Biol Eng Comput 39:225). In the
frequency domain this is the sum, over pairs of channels and over frequencies, of

    Re C(f) exp(2 pi i f p d)

with C the cross-spectrum of a pair and d its distance. What a channel has in common with itself
only, its own noise, is in no pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from emgsim.analysis.surface.filtering import BAND_HZ

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Pair = tuple[int, int]

BLOCK_S = 0.5  # of a signal; in a shorter one, window and delay misread the velocity by 0.05 %
FEWEST_BLOCKS = 7  # of a shorter signal, with those that overlap
MOST_GROUPS = 20  # of blocks, of which each is left out in turn
SLOWEST_M_S = 1.0  # that is searched: no muscle fibre is as slow
STEP_PERIODS = 0.05  # of the search, at the highest frequency
NEWTON_STEPS = 8
MUAP_TAPER = 0.2  # share of a MUAP's window at its two ends


@dataclass(frozen=True, kw_only=True, eq=False)
class Transforms:
    """Spectra of all channels, in the band of surface EMG.

    ``spectra`` are ``(n_blocks, n_channels, n_frequencies)``; the blocks follow one another in
    time, or are averages that each lack some sweeps.
    """

    spectra: Complexes
    frequencies_hz: Floats


@dataclass(frozen=True, kw_only=True)
class Delay:
    """How much later the second of two channels hears what the first does.

    ``correlation`` is that at ``delay_s``, of the signals in the band; negative if the second
    channel hears the wave turned over.
    """

    delay_s: float
    correlation: float


def transforms(samples_uv: Floats, rate_hz: float) -> Transforms:
    """Return the spectra of half seconds, or quarters of the signal, that overlap by half.

    Parameters
    ----------
    samples_uv
        Shape ``(n_samples, n_channels)``; blocks with NaN are left out.
    rate_hz
        Sampling rate.
    """
    length = min(round(BLOCK_S * rate_hz), 2 * len(samples_uv) // (FEWEST_BLOCKS + 1))
    firsts = range(0, len(samples_uv) - length + 1, length // 2)
    blocks = [samples_uv[k : k + length].T for k in firsts]
    whole = [block for block in blocks if np.isfinite(block).all()]
    stacked = np.array(whole).reshape(-1, samples_uv.shape[1], length)
    return _transformed(stacked, signal.windows.hann(length, sym=False), rate_hz, length)


def transforms_of_averages(sweeps_uv: Floats, rate_hz: float) -> Transforms:
    """Return the spectra of averages: of all sweeps, then without each group of sweeps in turn.

    Parameters
    ----------
    sweeps_uv
        Shape ``(n_sweeps, n_samples, n_channels)``, without NaN.
    rate_hz
        Sampling rate.
    """
    groups = np.array_split(sweeps_uv, min(MOST_GROUPS, len(sweeps_uv)))
    total = sweeps_uv.sum(axis=0)
    averages = [total / len(sweeps_uv)]
    if len(groups) > 1:
        averages += [
            (total - group.sum(axis=0)) / (len(sweeps_uv) - len(group)) for group in groups
        ]
    n = sweeps_uv.shape[1]
    window = signal.windows.tukey(n, MUAP_TAPER)
    stacked = np.array(averages).transpose(0, 2, 1)
    return _transformed(stacked, window, rate_hz, fft.next_fast_len(2 * n, real=True))


def _transformed(blocks: Floats, window: Floats, rate_hz: float, n_fft: int) -> Transforms:
    centred = blocks - blocks.mean(axis=2, keepdims=True)
    frequencies = fft.rfftfreq(n_fft, 1 / rate_hz)
    kept = (frequencies >= BAND_HZ[0]) & (frequencies <= min(BAND_HZ[1], 0.45 * rate_hz))
    spectra = fft.rfft(centred * window, n_fft, axis=2)[:, :, kept]
    return Transforms(spectra=spectra, frequencies_hz=frequencies[kept])


def all_but_one(of: Transforms, pairs: list[Pair]) -> Complexes:
    """Return the cross-spectra of pairs: of all blocks, then without each group of them in turn.

    Shape ``(1 + n_groups, n_pairs, n_frequencies)``.
    """
    groups = np.array_split(of.spectra, min(MOST_GROUPS, len(of.spectra)))
    each = np.array([cross_spectra(group, pairs) for group in groups])
    total = each.sum(axis=0)
    return np.concatenate([total[None], total - each])


def cross_spectra(spectra: Complexes, pairs: list[Pair]) -> Complexes:
    """Return the cross-spectra of pairs of channels, summed over blocks."""
    return np.array([np.sum(spectra[:, a].conj() * spectra[:, b], axis=0) for a, b in pairs])


def pairs_of(channels: list[int]) -> list[Pair]:
    """Return all pairs of channels."""
    return list(combinations(channels, 2))


def likeliest_delay(of: Transforms, first: int, second: int, reach_s: float) -> Delay:
    """Return the delay at which two channels resemble each other most, upright or turned over.

    Parameters
    ----------
    of, first, second
        The spectra, and which channels.
    reach_s
        The longest delay, either way.
    """
    cross = cross_spectra(of.spectra, [(first, second)])
    power = np.sum(np.abs(of.spectra[:, [first, second]]) ** 2, axis=(0, 2))
    norm = float(np.sqrt(power[0] * power[1]))
    if not norm > 0:
        return Delay(delay_s=0.0, correlation=0.0)
    step_s = STEP_PERIODS / of.frequencies_hz[-1]
    tried_s = np.linspace(-reach_s, reach_s, 2 * int(np.ceil(reach_s / step_s)) + 1)
    shifts = np.exp(2j * np.pi * np.multiply.outer(tried_s, of.frequencies_hz))
    likeness = (shifts @ cross[0]).real
    best = int(np.argmax(np.abs(likeness)))
    one, start_s = np.ones(1), float(tried_s[best])
    delay_s = climbed(np.sign(likeness[best]) * cross, one, of.frequencies_hz, start_s)
    if not abs(delay_s - start_s) < 2 * step_s:  # at an end of the reach there is no top
        delay_s = start_s
    return Delay(
        delay_s=delay_s,
        correlation=power_at(cross, one, of.frequencies_hz, delay_s) / norm,
    )


def power_at(
    cross: Complexes, distances_m: Floats, frequencies_hz: Floats, slowness_s_m: float
) -> float:
    """Return what pairs add up to if one channel of each is shifted back.

    Parameters
    ----------
    cross
        Shape ``(n_pairs, n_frequencies)``.
    distances_m, frequencies_hz
        Of the pairs, and of the spectra.
    slowness_s_m
        Of the wave; for distances of 1 its delay.
    """
    turns = np.exp(2j * np.pi * slowness_s_m * np.multiply.outer(distances_m, frequencies_hz))
    return float(np.sum((cross * turns).real))


def climbed(
    cross: Complexes, distances_m: Floats, frequencies_hz: Floats, start_s_m: float
) -> float:
    """Return the slowness of most power near a start, by Newton's method; NaN if it has no top.

    Parameters are those of `power_at`.
    """
    angles = 2 * np.pi * np.multiply.outer(distances_m, frequencies_hz)
    at = start_s_m
    for _ in range(NEWTON_STEPS):
        turned = cross * np.exp(1j * at * angles)
        slope = -float(np.sum(angles * turned.imag))
        curvature = -float(np.sum(angles**2 * turned.real))
        if not curvature < 0:
            return float("nan")
        step = slope / curvature
        at -= step
        if abs(step) < 1e-9 * (abs(at) + 1e-6):
            break
    return at
