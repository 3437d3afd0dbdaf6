"""Motor unit action potentials as the electrode saw them: averages of the unfiltered recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from emgsim.analysis.conditioning import bridged
from emgsim.analysis.detection import peak_offset, snippets
from emgsim.analysis.learning import Unit, add_discharges, relearned, tapered, unit_at
from emgsim.analysis.shrinkage import averaged_octave, octaves, shrunk
from emgsim.recording import Recording

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BEFORE_S, AFTER_S = 0.010, 0.015  # long enough for most satellites
WANDER_S = 0.1  # the baseline is taken in stretches of this length, MUAPs subtracted
CORE_S = 0.005  # around the spike, where sweeps are aligned and compared
ALIGNED_HZ = (300.0, 5_000.0)  # the band in which they are aligned
FARTHEST_S = 0.0004  # that a discharge may stand off its place
FINER = 4  # steps per sample when they are aligned; a parabola finds what is between
REFINED = 2  # rounds in which templates are freed from noise
FEWEST = 5  # sweeps that make an average
OUTLYING = 4.0  # robust SD of the distance to the median sweep


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """The discharges of one unit, cut out with the other units subtracted, and aligned.

    ``samples_uv`` is ``(n_discharges, n_samples)``, the main spike at column ``before``;
    ``offset_s`` is how much later than given each discharge was found. Of the discharges that are
    not ``kept``, ``(n_discharges,)``, the sweep is incomplete or unlike the others.
    """

    samples_uv: Floats
    before: int
    rate_hz: float
    offset_s: Floats
    kept: Flags

    @property
    def good_uv(self) -> Floats:
        """The sweeps that are kept, shape ``(n_kept, n_samples)``."""
        return np.asarray(self.samples_uv[self.kept])


def averaged(recording: Recording, trains_s: list[Floats]) -> list[Floats]:
    """Average each unit's potentials with the other units subtracted.

    Parameters
    ----------
    recording
        Unfiltered.
    trains_s
        Discharge times of each unit.

    Returns
    -------
    list of ndarray
        Shape ``(n_muap_samples, n_channels)`` each, its first sample ``BEFORE_S`` before the
        discharge.
    """
    before, after = (round(s * recording.rate_hz) for s in (BEFORE_S, AFTER_S))
    at = [(t - recording.start_s) * recording.rate_hz for t in trains_s]
    columns = []
    for channel in range(len(recording.channels)):
        samples = recording.samples_uv[:, channel]
        if not np.isfinite(samples).any():
            columns.append([np.full(before + after, np.nan) for _ in at])
            continue
        units: tuple[Unit, ...] = tuple(unit_at(p, before + after) for p in at)
        learned, _ = relearned(bridged(samples), units, before)
        columns.append([unit.template for unit in learned])
    return [np.column_stack(shapes) for shapes in zip(*columns, strict=True)]


def start_s(rate_hz: float) -> float:
    """Return the time of a MUAP's first sample relative to its discharge."""
    return -round(BEFORE_S * rate_hz) / rate_hz


def sweeps_of(
    recording: Recording,
    trains_s: Sequence[Floats],
    channel: int,
    *,
    before_s: float,
    after_s: float,
) -> list[Sweeps]:
    """Cut out every unit's discharges, the other units and the baseline's wander subtracted.

    Parameters
    ----------
    recording
        Unfiltered; NaN where samples are missing.
    trains_s
        Discharge times of each unit; they are sorted, and aligned to a fraction of a sample.
    channel
        Column of the samples.
    before_s, after_s
        What a sweep holds before and after the discharge.
    """
    rate_hz = recording.rate_hz
    samples = recording.samples_uv[:, channel]
    before, after = round(before_s * rate_hz), round(after_s * rate_hz)
    at = [positions_in(recording, train) for train in trains_s]
    clean = bridged(samples)
    clean = clean - wander_uv(clean, rate_hz)
    units, residual = relearned(clean, tuple(unit_at(p, before + after) for p in at), before)
    moved = []
    for p, unit in zip(at, units, strict=True):
        offset = _offsets(_own(residual, unit, before), before, rate_hz)
        moved.append(unit_at(np.clip(p + offset, 0, clean.size - 1), before + after))
    units, residual = relearned(clean, tuple(moved), before)
    residual = residual - wander_uv(residual, rate_hz)
    for _ in range(REFINED):
        units = tuple(_refined(residual, unit, before, rate_hz) for unit in units)
    out = []
    for given, unit in zip(at, units, strict=True):
        cut = _own(residual, unit, before)
        whole = _is_whole(~np.isfinite(samples), unit.positions, before, after)
        out.append(
            Sweeps(
                samples_uv=cut,
                before=before,
                rate_hz=rate_hz,
                offset_s=(unit.positions - given) / rate_hz,
                kept=whole & _is_like_others(cut, whole, before, rate_hz),
            )
        )
    return out


def positions_in(recording: Recording, train_s: Floats) -> Floats:
    """Return a train's places in samples, ascending; what lies outside stands at the ends."""
    at = (np.sort(np.asarray(train_s, dtype=np.float64)) - recording.start_s) * recording.rate_hz
    return np.asarray(np.clip(at, 0, recording.n_samples - 1))


def wander_uv(residual_uv: Floats, rate_hz: float) -> Floats:
    """Return the baseline's slow course: medians of stretches, straight lines between.

    Parameters
    ----------
    residual_uv
        Shape ``(n_samples,)``; best with all potentials subtracted.
    rate_hz
        Its rate.
    """
    n = max(1, round(residual_uv.size / (WANDER_S * rate_hz)))
    edges = np.linspace(0, residual_uv.size, n + 1).astype(np.int64).tolist()
    middle = [0.5 * (a + b - 1) for a, b in pairwise(edges)]
    level = [np.median(residual_uv[a:b]) for a, b in pairwise(edges)]
    return np.asarray(np.interp(np.arange(residual_uv.size), middle, level))


def _refined(residual: Floats, unit: Unit, before: int, rate_hz: float) -> Unit:
    """Free a unit's template from noise, and take the better one off the recording, in place.

    What an unrefined template holds of the murmur is put into every neighbour that it overlaps.
    """
    add_discharges(residual, unit, before)
    after = unit.template.size - before
    first = unit.positions - before
    whole = (first >= 0) & (unit.positions + after + 1 <= residual.size)
    if np.count_nonzero(whole) >= FEWEST:
        cut = snippets(residual, unit.positions[whole], before, after)
        averages = [averaged_octave(octave) for octave in octaves(cut, rate_hz)]
        template = tapered(shrunk(averages, before + after, before, rate_hz), before)
        unit = replace(unit, template=template)
    add_discharges(residual, unit, before, -1.0)
    return unit


def _own(residual: Floats, unit: Unit, before: int) -> Floats:
    """Return a unit's sweeps: what is left of the recording, and its own template again."""
    whole = residual.copy()
    add_discharges(whole, unit, before)
    return snippets(whole, unit.positions, before, unit.template.size - before)


def _offsets(sweeps: Floats, before: int, rate_hz: float) -> Floats:
    """Return how much later than its place each sweep stands, in samples, the median at zero."""
    if sweeps.shape[0] < FEWEST:
        return np.zeros(sweeps.shape[0])
    length = fft.next_fast_len(sweeps.shape[1], real=True)
    f_hz = fft.rfftfreq(length, 1 / rate_hz)
    inside = (f_hz > ALIGNED_HZ[0]) & (f_hz < min(ALIGNED_HZ[1], 0.4 * rate_hz))
    spectra = fft.rfft(sweeps, length, axis=1) * inside
    reach = round(FARTHEST_S * rate_hz) * FINER
    window = _core(sweeps.shape[1], before, rate_hz)
    offset = np.zeros(sweeps.shape[0])
    for _ in range(2):
        turned = spectra * np.exp(2j * np.pi * f_hz * offset[:, None] / rate_hz)
        template = np.median(fft.irfft(turned, length, axis=1), axis=0)[: sweeps.shape[1]]
        likeness = fft.irfft(
            spectra * np.conj(fft.rfft(template * window, length)), FINER * length, axis=1
        )
        near = np.roll(likeness, reach + 1, axis=1)[:, : 2 * reach + 3]
        top = 1 + np.argmax(near[:, 1:-1], axis=1)
        row = np.arange(top.size)
        beyond = peak_offset(near[row, top - 1], near[row, top], near[row, top + 1])
        offset = (top - reach - 1 + beyond) / FINER
        offset -= np.median(offset)
    return np.asarray(offset)


def _core(n: int, before: int, rate_hz: float) -> Floats:
    """Return a window about the spike, shape ``(n,)``, with soft ends."""
    half = round(CORE_S * rate_hz)
    at = np.arange(n) - before + half
    shape = signal.windows.tukey(2 * half + 1, 0.4)
    return np.asarray(np.where((at >= 0) & (at <= 2 * half), shape[np.clip(at, 0, 2 * half)], 0.0))


def _is_whole(missing: Flags, positions: Floats, before: int, after: int) -> Flags:
    """Return which sweeps lie within the recording and hold no missing sample."""
    lost = np.concatenate([[0], np.cumsum(missing)])
    first = np.floor(positions).astype(np.int64) - before
    last = first + before + after + 1
    inside = (first >= 0) & (last <= missing.size)
    a, b = np.clip(first, 0, missing.size), np.clip(last, 0, missing.size)
    return np.asarray(inside & (lost[b] == lost[a]))


def _is_like_others(sweeps: Floats, whole: Flags, before: int, rate_hz: float) -> Flags:
    """Return which sweeps are no farther from the median sweep than chance takes them."""
    if np.count_nonzero(whole) < FEWEST:
        return np.ones(whole.size, dtype=np.bool_)
    core = _core(sweeps.shape[1], before, rate_hz)
    middle = np.median(sweeps[whole], axis=0)
    distance = np.sqrt(np.mean((core * (sweeps - middle)) ** 2, axis=1))
    usual = float(np.median(distance[whole]))
    spread = 1.4826 * float(np.median(np.abs(distance[whole] - usual)))
    return np.asarray(distance <= usual + OUTLYING * max(spread, 0.05 * usual))
