"""Near-fibre measures of one motor unit: what the fibres next to the electrode do.

A second derivative makes each near fibre a peak of its own in the potential of a concentric needle,
and leaves little of the far ones: the near-fibre motor unit potential (NFM). In the concept of
Piasecki, Allen & Stashuk (near fibre EMG, 2020); filter, thresholds and exact definitions are this
library's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from emgsim.analysis.detection import peak_offset
from emgsim.analysis.muaps import FEWEST, Sweeps

Floats = NDArray[np.float64]

SMOOTHING_S = 70e-6  # SD of the Gaussian that is differentiated twice: most is let through at 3 kHz
LEAST_SHARE = 0.25  # of the largest peak: lobes beside a fibre's peak stay below
LEAST_CLEAR = 5.0  # over the SD of the noise of the NFM
HALF_S = 0.0003  # of a segment: about a fibre's peak
FARTHEST_S = 0.0003  # that a segment is looked for
BEFORE_S, AFTER_S = 0.004, 0.006  # of the main spike: where fibres jiggle
BEYOND_S = (0.007, 0.010)  # before and after it: what changes there is noise
FEWEST_JIGGLED = 10  # sweeps that make a jiggle
STEADIEST = 0.8  # share of the changes that count: a superposition is none of the fibres'
STEADIEST_POWER = 0.4377  # of a Gaussian's power that they hold
SUREST_US = 15.0  # error of the jiggle of a segment that counts


@dataclass(frozen=True, kw_only=True)
class NearFibreMeasures:
    """The near-fibre measures of one unit.

    ``fibres_ms``, ``(n_fibres,)``, says where each near fibre stands, from the main spike;
    ``segment_jitter_us`` is NaN without three sweeps that follow each other.
    """

    fibres_ms: Floats
    duration_ms: float  # first to last time at which the NFM is beyond the threshold
    dispersion_ms: float  # first to last near fibre
    segment_jitter_us: float  # mean |offset| of segments between consecutive discharges


def near_fibre_measures(sweeps: Sweeps) -> NearFibreMeasures | None:
    """Measure the near fibres of a unit.

    Parameters
    ----------
    sweeps
        Of `emgsim.analysis.muaps.sweeps_of`: aligned, the other units subtracted.

    Returns
    -------
    NearFibreMeasures or None
        None if fewer than 5 sweeps are good, or no fibre stands out.
    """
    if np.count_nonzero(sweeps.kept) < FEWEST:
        return None
    each = near_fibre_potentials(sweeps.samples_uv, sweeps.rate_hz)
    nfm = np.median(each[sweeps.kept], axis=0)
    noise = float(np.median(np.abs(nfm))) / 0.6745  # for most of a sweep is beyond the potential
    least = max(LEAST_SHARE * float(nfm.max()), LEAST_CLEAR * noise)
    peaks, _ = signal.find_peaks(nfm, height=least, prominence=least)
    if peaks.size == 0:
        return None
    loud = np.flatnonzero(np.abs(nfm) >= least)
    per_ms = sweeps.rate_hz / 1e3
    return NearFibreMeasures(
        fibres_ms=(peaks - sweeps.before) / per_ms,
        duration_ms=float(np.ptp(loud)) / per_ms,
        dispersion_ms=float(np.ptp(peaks)) / per_ms,
        segment_jitter_us=_segment_jitter_us(each, sweeps.kept, nfm, peaks, sweeps.rate_hz),
    )


def near_fibre_potentials(sweeps_uv: Floats, rate_hz: float) -> Floats:
    """Return sweeps ``(n, n_samples)`` smoothed and differentiated twice: spikes become positive.

    The unit is microvolts: a wave at the frequency that passes best keeps its size.
    """
    sigma = SMOOTHING_S * rate_hz
    largest = 2 / np.e / sigma**2  # gain at sqrt(2) / sigma radians per sample
    return np.asarray(ndimage.gaussian_filter1d(sweeps_uv, sigma, axis=-1, order=2) / largest)


@dataclass(frozen=True, kw_only=True)
class NearFibreJiggle:
    """How far the near fibres of one unit stray from discharge to discharge.

    Both are the SD, in microseconds, with which the near-fibre potential would have to be shifted
    to change as much as it does beyond its noise: ``overall_us`` that of the whole potential,
    ``widest_us`` that of the segment that strays farthest. A fibre that is blocked at times counts
    as one that strays. Fibres of jitter 17 us, the main one aligned, give some 14 us overall.
    """

    overall_us: float
    widest_us: float


def near_fibre_jiggle(sweeps: Sweeps) -> NearFibreJiggle | None:
    """Measure how much a unit's near-fibre potential changes beyond what noise changes in it.

    What a wave of slope s changes when it is shifted with an SD of t has the variance (s t)^2. The
    noise is taken from the same sweeps, before and after the potential, so that the murmur of other
    units is none of the jiggle. In the concept of the near-fibre jiggle of Stashuk and colleagues;
    definition and thresholds are this library's own.

    Parameters
    ----------
    sweeps
        Of `emgsim.analysis.muaps.sweeps_of`: aligned, the other units subtracted; they begin 8 ms
        before the spike and end 12 ms after it, or beyond.

    Returns
    -------
    NearFibreJiggle or None
        None if fewer than 10 sweeps are good, or no segment stands out enough to tell its jiggle
        within 15 us.
    """
    if np.count_nonzero(sweeps.kept) < FEWEST_JIGGLED:
        return None
    each = near_fibre_potentials(sweeps.good_uv, sweeps.rate_hz)
    power = (np.gradient(np.median(each, axis=0)) * sweeps.rate_hz / 1e6) ** 2
    changes = _steady_power(np.diff(each, axis=0) / np.sqrt(2))
    at_s = (np.arange(power.size) - sweeps.before) / sweeps.rate_hz
    inside = (at_s >= -BEFORE_S) & (at_s <= AFTER_S)
    beyond = (at_s < -BEYOND_S[0]) | (at_s > BEYOND_S[1])
    noise = float(np.median(changes[beyond]))
    width = 2 * round(HALF_S * sweeps.rate_hz) + 1
    slopes, strays = (ndimage.uniform_filter1d(one, width) for one in (power, changes))
    clear = inside & (slopes * SUREST_US**2 > float(np.std(strays[beyond])))
    # Only where a fibre stands: between two of them slopes cancel, and their changes do not.
    fibres = [peak for peak in signal.find_peaks(slopes)[0] if clear[peak]]
    if not fibres:
        return None
    widest = float(np.max((strays[fibres] - noise) / slopes[fibres]))
    overall = float(np.sum(changes[inside] - noise) / np.sum(power[inside]))
    return NearFibreJiggle(
        overall_us=float(np.sqrt(max(overall, 0.0))), widest_us=float(np.sqrt(max(widest, 0.0)))
    )


def _steady_power(changes: Floats) -> Floats:
    """Return the mean square of each column without its largest ones, as of a Gaussian."""
    ranked = np.sort(changes**2, axis=0)[: max(1, int(STEADIEST * changes.shape[0]))]
    return np.asarray(np.mean(ranked, axis=0) / STEADIEST_POWER)


def _segment_jitter_us(
    each: Floats, kept: NDArray[np.bool_], nfm: Floats, peaks: NDArray[np.intp], rate_hz: float
) -> float:
    """Return the mean |offset| between consecutive discharges, segments weighed by energy."""
    consecutive = kept[1:] & kept[:-1]
    half, reach = round(HALF_S * rate_hz), round(FARTHEST_S * rate_hz)
    inside = peaks[(peaks >= half + reach + 1) & (peaks < nfm.size - half - reach - 1)]
    if np.count_nonzero(consecutive) < 2 or inside.size == 0:
        return float("nan")
    offsets, energies = [], []
    for peak in inside.tolist():
        segment = nfm[peak - half : peak + half + 1]
        at = _offsets(each[:, peak - half - reach - 1 : peak + half + reach + 2], segment)
        offsets.append(float(np.mean(np.abs(np.diff(at))[consecutive])))
        energies.append(float(segment @ segment))
    return 1e6 * float(np.average(offsets, weights=energies)) / rate_hz


def _offsets(around: Floats, segment: Floats) -> Floats:
    """Return where a segment is most alike in each row, in samples."""
    pieces = np.lib.stride_tricks.sliding_window_view(around, segment.size, axis=1)
    # The squared distance has its minimum where a neighbour's larger peak would mislead a product.
    unlike = -np.sum((pieces - segment) ** 2, axis=2)
    top = 1 + np.argmax(unlike[:, 1:-1], axis=1)
    row = np.arange(top.size)
    beyond = peak_offset(unlike[row, top - 1], unlike[row, top], unlike[row, top + 1])
    return np.asarray(top + beyond)
