"""All known units heard anew, each without the others.

A filter that must suppress the other units by its shape alone pays for it with noise. The others
are known, so they are subtracted: each unit's matched filter (Klotz & Rohlen 2025, arXiv
2502.04065: w = R^-1 m) is that for the residual's covariance R, and is applied to the residual plus
the unit's own discharges. Neither needs the samples of more than the residual: filters are linear,
so what a unit's own discharges add to its source is its potential seen through its filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from emgsim.analysis.separation.peeling import add
from emgsim.analysis.separation.picking import between_samples, peaks
from emgsim.analysis.separation.whitening import extended, projected

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

LIMIT = 0.5  # [C] of a lone discharge's peak: the point of least error for noise of any strength


@dataclass(frozen=True, kw_only=True)
class MatchedFilter:
    """The filter of one unit in one window of its potential.

    ``weights`` (n_rows,) are of the samples in a window, scaled such that a lone discharge has a
    peak of 1; ``response`` is the source of a lone discharge, which peaks at sample ``peak``.
    """

    weights: Floats32
    response: Floats32
    peak: int


def matched_filter(
    wave: Floats32,
    whitening: Floats32,
    *,
    density: float | None = None,
    latest: int | None = None,
) -> MatchedFilter:
    """Return the filter for the window of a potential that stands out most.

    Parameters
    ----------
    wave
        The potential, shape ``(length, n_channels)``.
    whitening
        That of everything but the unit, ``(n_white, n_rows)``.
    density
        Discharges per sample. If given, the unit's own discharges are noise too for as long as the
        window holds another part of their potential: a sharper source, but a noisier one. By the
        matrix inversion lemma this takes a system of one equation per window.
    latest
        The last sample of the potential that the window may hold.
    """
    length = whitening.shape[1] // wave.shape[1]
    margin = np.zeros((length - 1, wave.shape[1]), np.float32)
    windows = np.ascontiguousarray(extended(np.concatenate([margin, wave, margin]), length))
    white = windows @ whitening.T
    energy = np.einsum("ij,ij->i", white, white)
    peak = int(np.argmax(energy[: latest + 1] if latest is not None else energy))
    direction = white[peak]
    if density is not None:
        products = white @ white.T
        system = products + np.eye(len(products), dtype=np.float32) / np.float32(density)
        direction = direction - linalg.solve(system, products[peak], assume_a="pos") @ white
    height = direction @ white[peak]
    weights = direction @ whitening / height
    return MatchedFilter(weights=weights, response=windows @ weights, peak=peak)


def cancelled_sources(
    remainder: Floats32,
    trains: Sequence[Floats],
    filters: Sequence[MatchedFilter],
    before: int,
) -> Floats32:
    """Return the source of each unit without the others, shape ``(n_trains, n_samples)``.

    Parameters
    ----------
    remainder
        The samples without all discharges, ``(n_samples, n_channels)``.
    trains, filters
        Of each unit.
    before
        Samples of the potentials before the discharge.
    """
    sources = projected(remainder, np.stack([f.weights for f in filters])).T.copy()
    for source, train, f in zip(sources, trains, filters, strict=True):
        add(source[:, None], train, f.response[:, None], before)
    return sources


def heard(source: Floats32, f: MatchedFilter, rate_hz: float, before: int) -> Floats:
    """Return the positions of the discharges in a source, in samples."""
    at = peaks(source, rate_hz)
    at = at[source[at] > LIMIT]
    return between_samples(source, at) - (f.peak - before)
