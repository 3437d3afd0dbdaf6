"""The heart as an electrode anywhere on the trunk sees it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.chunks import Burst, Chunk, Grid, render
from emgsim.artefacts.occurrence import event
from emgsim.artefacts.parameters import Ecg

Floats = NDArray[np.float64]

# Waves as Gaussians about the R wave: height over R, then centre and SD in units of the QRS's
# length or, of P and T, in seconds at an RR interval of 1 s. Shapes [P] after a textbook's lead
# II: P 0.15 and T 0.3 of R, PR 0.16 s, QT 0.4 s [M]. Q begins at -0.5 and S ends at 0.5 (2 SD).
QRS = ((-0.12, -0.30, 0.10), (1.0, 0.0, 0.11), (-0.25, 0.30, 0.10))
SLOW = ((0.15, -0.16, 0.020), (0.30, 0.30, 0.045))
REACH_S = 0.8  # from R to beyond P and T, at a mean RR of 1 s and the longest interval there is

RESPIRATION_HZ, PRESSURE_HZ = 0.25, 0.10  # the two rhythms of the RR interval; Task Force 1996 [M]
SHORTEST_RR = 0.4  # of the mean interval; nobody's sinus rhythm is more uneven


def ecg(artefact: Ecg, grid: Grid, rng: np.random.Generator) -> Iterator[Chunk]:
    """Yield beat after beat; the event of a beat is its QRS complex."""
    beats = _beats(artefact, rng)
    scale_uv = artefact.peak_to_peak_uv / _template_height()
    return render((_beat(artefact, scale_uv, r_s, rr_s) for r_s, rr_s in beats), grid)


def _beats(artefact: Ecg, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Yield the time of each R wave and the interval before it.

    Breathing, blood pressure and chance have a third of the intervals' variance each.
    """
    mean_s = 60.0 / artefact.rate_bpm
    phases = rng.uniform(0, 2 * np.pi, 2)
    time_s = -mean_s * (2 + rng.uniform())
    while True:
        rhythms = np.sin(2 * np.pi * np.array([RESPIRATION_HZ, PRESSURE_HZ]) * time_s + phases)
        z = np.sqrt(2 / 3) * rhythms.sum() + np.sqrt(1 / 3) * rng.standard_normal()
        rr_s = mean_s * max(SHORTEST_RR, 1 + artefact.rr_cov * float(z))
        time_s += rr_s
        yield time_s, rr_s


def _beat(artefact: Ecg, scale_uv: float, r_s: float, rr_s: float) -> Burst:
    qrs_s, slow = artefact.qrs_ms / 1e3, np.sqrt(rr_s)  # Bazett: QT goes with the root of RR
    reach_s = REACH_S * np.sqrt(60.0 / artefact.rate_bpm)

    def wave(times_s: Floats) -> Floats:
        since_s = times_s - r_s
        return scale_uv * (_gaussians(QRS, since_s / qrs_s) + _gaussians(SLOW, since_s / slow))

    return Burst(
        r_s - reach_s, r_s + reach_s, wave, event(artefact, r_s - qrs_s / 2, r_s + qrs_s / 2)
    )


def _gaussians(waves: tuple[tuple[float, float, float], ...], x: Floats) -> Floats:
    total = np.zeros(x.shape)
    for height, centre, sd in waves:
        total += height * np.exp(-(((x - centre) / sd) ** 2) / 2)
    return total


def _template_height() -> float:
    """Return the QRS's peak-to-peak for an R wave of 1."""
    return float(np.ptp(_gaussians(QRS, np.linspace(-0.5, 0.5, 2001))))
