"""Flexion and relaxation: whether the muscles of the back fall silent in full flexion.

They do in healthy people, and not in most with chronic low-back pain. Measures are the rms in each
phase of one bend, the ratio of the peak in flexion, and of re-extension, to full flexion, and the
absolute level in full flexion, for which 3.2 to 5 uV rms divide the two (Neblett et al. 2013,
Clin J Pain 29:334).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from emgsim.analysis.quality import require_vector
from emgsim.analysis.surface.intervals import Estimate

Floats = NDArray[np.float64]
Span = tuple[float, float]

CUT_UV = (3.2, 5.0)  # Neblett 2013: levels that studies have used
PEAK_S = 0.5  # the strongest part of flexion [P]
PIECE_S = 0.25  # of a phase, for its interval: the envelope's pieces hardly depend on each other
FEWEST_PIECES = 3
STILL_SHARE = 0.1  # of the full angle, within which one stands, or is fully bent [P]
SMALLEST_DEG = 20.0  # of a bend; less is swaying


@dataclass(frozen=True, kw_only=True)
class Phases:
    """When each phase of one bend begins and ends, in seconds."""

    standing_s: Span
    flexion_s: Span
    full_flexion_s: Span
    re_extension_s: Span


@dataclass(frozen=True, kw_only=True)
class FlexionRelaxation:
    """The muscle in each phase of one bend, and whether it relaxes."""

    standing_uv: Estimate  # rms, and so are the others
    flexion_uv: Estimate
    full_flexion_uv: Estimate
    re_extension_uv: Estimate
    flexion_peak_uv: float  # over half a second
    flexion_ratio: float  # of that peak to full flexion
    re_extension_ratio: float
    relaxation_probability: float

    @property
    def relaxes(self) -> bool:
        """Whether the muscle more likely relaxes than not."""
        return self.relaxation_probability > 0.5


def flexion_relaxation(envelope_uv: Floats, rate_hz: float, phases: Phases) -> FlexionRelaxation:
    """Measure one bend.

    Parameters
    ----------
    envelope_uv
        Rms envelope (`emgsim.analysis.surface.envelope_uv`) of a signal without heartbeat, shape
        ``(n_samples,)``, whose first sample is at time 0; NaN where it is not known.
    rate_hz
        Of the envelope.
    phases
        When was what.

    Returns
    -------
    FlexionRelaxation
        The probability is that of a level below the cut. The cut is no number but two: its
        logarithm counts as normal, with 3.2 and 5 uV one standard deviation to either side [P]. The
        error of the level is added to it.

    Raises
    ------
    ValueError
        If the envelope is no vector, or a phase has fewer than three quarters of a second.

    Examples
    --------
    >>> bend = np.repeat([10.0, 40.0, 2.0, 90.0], 300)  # uV, 3 s each
    >>> phases = Phases(
    ...     standing_s=(0, 3), flexion_s=(3, 6), full_flexion_s=(6, 9), re_extension_s=(9, 12)
    ... )
    >>> found = flexion_relaxation(bend, 100.0, phases)
    >>> found.flexion_ratio, found.re_extension_ratio, found.relaxes
    (20.0, 45.0, True)
    """
    require_vector(envelope_uv, rate_hz)
    spans = (phases.standing_s, phases.flexion_s, phases.full_flexion_s, phases.re_extension_s)
    parts = [_part(envelope_uv, rate_hz, span) for span in spans]
    standing, flexion, full, re_extension = (_level(part, rate_hz) for part in parts)
    peak_uv = _peak_uv(parts[1], rate_hz)
    return FlexionRelaxation(
        standing_uv=standing,
        flexion_uv=flexion,
        full_flexion_uv=full,
        re_extension_uv=re_extension,
        flexion_peak_uv=peak_uv,
        flexion_ratio=_ratio(peak_uv, full.value),
        re_extension_ratio=_ratio(re_extension.value, full.value),
        relaxation_probability=_below_cut(full),
    )


def phases_of(angle_deg: Floats, rate_hz: float) -> tuple[Phases, ...]:
    """Find the phases of each bend from an angle of the trunk.

    Parameters
    ----------
    angle_deg
        0 upright, positive in flexion, shape ``(n_samples,)``, without missing samples.
    rate_hz
        Its rate.

    Returns
    -------
    tuple of Phases
        One for each bend from standing to standing whose fullest angle is nine tenths or more of
        the largest. Standing is what comes before the bend, since the one before.

    Raises
    ------
    ValueError
        If the angle is no vector, has missing samples, or does not change by 20 degrees.
    """
    require_vector(angle_deg, rate_hz)
    if not np.isfinite(angle_deg).all() or np.ptp(angle_deg) < SMALLEST_DEG:
        raise ValueError(f"angle_deg must be finite and change by {SMALLEST_DEG:g} or more")
    low = float(np.percentile(angle_deg, 2))
    reach = float(angle_deg.max()) - low
    is_bent = angle_deg > low + STILL_SHARE * reach
    is_full = angle_deg > low + (1 - STILL_SHARE) * reach
    edges = np.flatnonzero(np.diff(is_bent.astype(np.int8)))
    if is_bent[0]:
        edges = edges[1:]
    found, upright = [], 0.0
    for first, last in zip((edges[::2] + 1).tolist(), (edges[1::2] + 1).tolist(), strict=False):
        full = np.flatnonzero(is_full[first:last]) + first
        if full.size:
            begin, stop = int(full[0]) / rate_hz, (int(full[-1]) + 1) / rate_hz
            found.append(
                Phases(
                    standing_s=(upright, first / rate_hz),
                    flexion_s=(first / rate_hz, begin),
                    full_flexion_s=(begin, stop),
                    re_extension_s=(stop, last / rate_hz),
                )
            )
        upright = last / rate_hz
    return tuple(found)


def _part(envelope_uv: Floats, rate_hz: float, span: Span) -> Floats:
    first, stop = (max(0, round(at_s * rate_hz)) for at_s in span)
    part = envelope_uv[first:stop]
    part = part[np.isfinite(part)]
    if part.size < FEWEST_PIECES * round(PIECE_S * rate_hz):
        raise ValueError(
            f"a phase must have {FEWEST_PIECES * PIECE_S:g} s or more of envelope, got "
            f"{part.size / rate_hz:.3g} s from {span[0]:g} to {span[1]:g} s"
        )
    return part


def _level(part_uv: Floats, rate_hz: float) -> Estimate:
    """Return the rms, with an interval from the powers of its pieces (Student's t of the logs)."""
    length = round(PIECE_S * rate_hz)
    pieces = part_uv[: part_uv.size // length * length].reshape(-1, length)
    powers = np.mean(pieces**2, axis=1)
    value = math.sqrt(float(np.mean(part_uv**2)))
    if not powers.min() > 0:
        return Estimate(value=value, low=0.0, high=float(part_uv.max()))
    error = 0.5 * float(np.std(np.log(powers), ddof=1)) / math.sqrt(len(powers))
    factor = math.exp(float(stats.t.ppf(0.975, len(powers) - 1)) * error)
    return Estimate(value=value, low=value / factor, high=value * factor)


def _peak_uv(part_uv: Floats, rate_hz: float) -> float:
    length = round(PEAK_S * rate_hz)
    power = ndimage.uniform_filter1d(part_uv**2, length)
    inside = power[length // 2 : power.size - length // 2]
    return math.sqrt(float(inside.max()))


def _ratio(of_uv: float, to_uv: float) -> float:
    return of_uv / to_uv if to_uv > 0 else math.inf


def _below_cut(level_uv: Estimate) -> float:
    """Return the probability that a level is below a cut of which only a range is known."""
    if not level_uv.low > 0:
        return float(level_uv.value < CUT_UV[0])
    cut_sd = 0.5 * math.log(CUT_UV[1] / CUT_UV[0])
    level_sd = 0.5 * math.log(level_uv.high / level_uv.low) / 1.96
    distance = math.log(math.sqrt(CUT_UV[0] * CUT_UV[1]) / level_uv.value)
    return float(stats.norm.cdf(distance / math.hypot(cut_sd, level_sd)))
