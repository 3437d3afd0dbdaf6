"""Templates from discharges: averages of what each unit leaves when the others are taken away."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.detection import TAPS, interpolator, snippets

Floats = NDArray[np.float64]

TRIMMED = 0.2  # of each end, per sample: superpositions that are not yet resolved
AMPLITUDE_SD = (0.04, 0.15)  # bounds of what is believed of a unit's amplitude spread


@dataclass(frozen=True, kw_only=True, eq=False)
class Unit:
    """One motor unit in the working signal: its template and its discharges.

    Parameters
    ----------
    template
        Shape ``(length,)``.
    amplitude_sd
        Spread of its amplitudes around 1.
    positions
        Of its discharges, in samples, fractional, ascending.
    amplitudes
        One per discharge.
    """

    template: Floats
    amplitude_sd: float = 0.1
    positions: Floats = field(default_factory=lambda: np.zeros(0))
    amplitudes: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def energy(self) -> float:
        """Sum of squares of the template."""
        return float(self.template @ self.template)


def unit_at(positions: Floats, length: int) -> Unit:
    """Return a unit known only by its discharges; its template is yet to be learned."""
    return Unit(
        template=np.zeros(length), positions=np.sort(positions), amplitudes=np.ones(positions.size)
    )


def add_discharges(samples: Floats, unit: Unit, before: int, sign: float = 1.0) -> None:
    """Add all discharges of a unit to samples at their exact positions, in place."""
    if unit.positions.size == 0:
        return
    waves = sign * unit.amplitudes[:, None] * delayed(unit.template, unit.positions)
    start = np.floor(unit.positions).astype(np.int64)[:, None] - before - TAPS
    index = start + np.arange(waves.shape[1])[None, :]
    inside = (index >= 0) & (index < samples.size)
    samples += np.bincount(index[inside], weights=waves[inside], minlength=samples.size)


def delayed(template: Floats, positions: Floats) -> Floats:
    """Return the template delayed by each position's fraction, ``TAPS`` longer at both ends."""
    weights = interpolator(positions - np.floor(positions))
    size = template.size + 2 * TAPS
    padded = np.pad(template, 2 * TAPS)
    starts = 2 * TAPS - 1 - np.arange(2 * TAPS)
    return np.asarray(weights @ padded[starts[:, None] + np.arange(size)[None, :]])


def relearned(
    samples: Floats, units: tuple[Unit, ...], before: int, *, rounds: int = 2
) -> tuple[tuple[Unit, ...], Floats]:
    """Learn every unit anew, the others subtracted; return the units and the residual.

    Parameters
    ----------
    samples
        Shape ``(n,)``.
    units
        With their discharges.
    before
        Column of the spike in each template.
    rounds
        Sweeps over all units; each sweep uses the newest template of every other unit.
    """
    learned = list(units)
    residual = samples.copy()
    for unit in units:
        add_discharges(residual, unit, before, -1.0)
    for _ in range(rounds):
        for k, unit in enumerate(learned):
            if unit.positions.size < 3:
                continue
            add_discharges(residual, unit, before)
            pieces = snippets(residual, unit.positions, before, unit.template.size - before)
            template = tapered(average(pieces / unit.amplitudes[:, None]), before)
            spread = float(np.clip(np.std(unit.amplitudes), *AMPLITUDE_SD))
            learned[k] = replace(unit, template=template, amplitude_sd=spread)
            add_discharges(residual, learned[k], before, -1.0)
    return tuple(learned), residual


def average(pieces: Floats) -> Floats:
    """Return the trimmed mean of each column, shape ``(length,)``."""
    n = pieces.shape[0]
    if n < 5:
        return np.asarray(np.median(pieces, axis=0))
    cut = int(TRIMMED * n)
    ranked = np.sort(pieces, axis=0)[cut : n - cut]
    return np.asarray(np.mean(ranked, axis=0))


def tapered(shape: Floats, before: int) -> Floats:
    """Let a template end smoothly: a tenth of each side falls to zero."""
    window = np.ones(shape.size)
    left, right = max(2, before // 10), max(2, (shape.size - before) // 10)
    window[:left] = np.sin(np.pi / 2 * (np.arange(left) + 0.5) / left) ** 2
    window[-right:] = np.sin(np.pi / 2 * (np.arange(right) + 0.5) / right)[::-1] ** 2
    return np.asarray(shape * window)
