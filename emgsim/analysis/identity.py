"""Whether a train is one whole unit: splits, merges, followers, and trains that are no trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, signal

from emgsim.analysis.detection import snippets
from emgsim.analysis.learning import Unit, add_discharges, unit_at
from emgsim.analysis.trains import checked, locked

Floats = NDArray[np.float64]

SUSPECT = 0.8  # a train with fewer expected intervals may be several units
BETTER = 0.12  # the parts of a split must be that much more regular
ALIKE = 0.85  # correlation of two templates that may be one
THE_SAME = 0.95
SAME_ENERGY = 1.6
SAME_DISCHARGE_S = 0.002  # two positions nearer than this are one discharge
FARTHEST_S = 0.004  # between the spikes that two halves of one unit were found by
FEWEST = 8


def split(
    units: tuple[Unit, ...], residual: Floats, before: int, rate_hz: float
) -> tuple[Unit, ...]:
    """Split irregular trains by shape where the parts discharge more regularly.

    Parameters
    ----------
    units
        With their discharges.
    residual
        The signal without any of them.
    before
        Column of the spike in the templates.
    rate_hz
        Of the signal.
    """
    out: list[Unit] = []
    for unit in units:
        whole = checked(unit.positions / rate_hz)
        parts = _parts(unit, residual, before, rate_hz) if whole.expected < SUSPECT else []
        out.extend(parts or [unit])
    return tuple(out)


def _parts(unit: Unit, residual: Floats, before: int, rate_hz: float) -> list[Unit]:
    if unit.positions.size < 2 * FEWEST or unit.energy == 0:
        return []
    alone = residual.copy()
    add_discharges(alone, unit, before)
    length = unit.template.size
    each = length // np.atleast_2d(residual).shape[0]
    pieces = snippets(alone, unit.positions, before, each - before)
    scores = _shape_scores(pieces, unit.template)
    best, found = checked(unit.positions / rate_hz).expected + BETTER, []
    for k in (2, 3, 4):
        labels = groups(scores, k)
        trains = [unit.positions[labels == j] for j in range(k)]
        if min(t.size for t in trains) < FEWEST:
            continue
        checks = [checked(t / rate_hz) for t in trains]
        regular = sum(c.n * c.expected for c in checks) / unit.positions.size
        if regular > best:
            best = regular + 0.05
            found = [
                replace(unit_at(t, length), template=np.mean(pieces[labels == j], axis=0))
                for j, t in enumerate(trains)
            ]
    return found


def _shape_scores(pieces: Floats, template: Floats) -> Floats:
    """Project on the three main directions of what differs, where the template has its energy."""
    power = np.convolve(template**2, np.ones(9) / 9, mode="same")
    rest = (pieces - np.median(pieces, axis=0)) * np.sqrt(power / power.max())
    size = np.sum(rest**2, axis=1)
    clean = rest[size <= np.quantile(size, 0.8)]
    _, columns = linalg.eigh(
        clean.T @ clean, subset_by_index=[clean.shape[1] - 3, clean.shape[1] - 1]
    )
    return np.asarray(rest @ columns)


def groups(points: Floats, k: int, *, sweeps: int = 30) -> NDArray[np.int64]:
    """Return the label of each point by k-means, begun at the points farthest apart."""
    centres = [np.median(points, axis=0)]
    reach = np.quantile(np.sum((points - centres[0]) ** 2, axis=1), 0.9)
    far = points[np.sum((points - centres[0]) ** 2, axis=1) <= reach]
    centres = [far[int(np.argmax(np.sum((far - centres[0]) ** 2, axis=1)))]]
    while len(centres) < k:
        gap = np.min([np.sum((far - c) ** 2, axis=1) for c in centres], axis=0)
        centres.append(far[int(np.argmax(gap))])
    middle = np.array(centres)
    for _ in range(sweeps):
        labels = np.argmin(((points[:, None] - middle[None]) ** 2).sum(axis=2), axis=1)
        moved = np.array(
            [
                np.median(points[labels == j], axis=0) if (labels == j).any() else middle[j]
                for j in range(k)
            ]
        )
        if np.array_equal(moved, middle):
            break
        middle = moved
    return np.asarray(labels, dtype=np.int64)


def merged(units: tuple[Unit, ...], rate_hz: float, n_channels: int = 1) -> tuple[Unit, ...]:
    """Join units of one shape whose discharges complete each other to one train."""
    left = sorted(units, key=lambda u: -u.positions.size)
    out: list[Unit] = []
    while left:
        unit = left.pop(0)
        again = True
        while again:
            again = False
            for other in list(left):
                joined = _joined(unit, other, rate_hz, n_channels)
                if joined is not None:
                    left.remove(other)
                    unit, again = joined, True
        out.append(unit)
    return tuple(out)


def _joined(one: Unit, other: Unit, rate_hz: float, n_channels: int) -> Unit | None:
    likeness, lag = similarity(one.template, other.template, n_channels)
    if likeness < ALIKE or abs(lag) > FARTHEST_S * rate_hz:
        return None
    if max(one.energy, other.energy) > SAME_ENERGY * min(one.energy, other.energy):
        return None
    union = united(one, other, lag, rate_hz)
    train = checked(union.positions / rate_hz)
    # two units of one shape would discharge at all intervals: three in ten would be short
    most_short, least_expected = (0.10, 0.75) if likeness >= THE_SAME else (0.05, 0.90)
    if train.short > most_short or train.expected < least_expected:
        return None
    return union


def united(one: Unit, other: Unit, lag: int, rate_hz: float) -> Unit:
    """Return the first unit with the discharges of both, what both have counted once.

    Parameters
    ----------
    one, other
        Their discharges.
    lag
        Samples by which the second one's are late.
    rate_hz
        Samples per second.
    """
    positions = np.concatenate([one.positions, other.positions - lag])
    amplitudes = np.concatenate([one.amplitudes, other.amplitudes])
    order = np.argsort(positions)
    positions, amplitudes = positions[order], amplitudes[order]
    fresh = np.diff(positions, prepend=-np.inf) > SAME_DISCHARGE_S * rate_hz
    return replace(one, positions=positions[fresh], amplitudes=amplitudes[fresh])


def similarity(one: Floats, other: Floats, n_channels: int = 1) -> tuple[float, int]:
    """Return the largest normalised correlation of two templates and its lag in samples.

    The lag is that of ``one``'s features behind those of ``other``, sign reversed: adding
    ``-lag`` to the positions of ``other`` puts them where ``one`` would stand.
    """
    norm = np.sqrt(float(one @ one) * float(other @ other))
    if norm == 0:
        return 0.0, 0
    rows = zip(np.split(one, n_channels), np.split(other, n_channels), strict=True)
    cross = np.sum([signal.correlate(a, b) for a, b in rows], axis=0) / norm
    at = int(np.argmax(cross))
    return float(cross[at]), at - (other.size // n_channels - 1)


def without_followers(units: tuple[Unit, ...], rate_hz: float) -> tuple[Unit, ...]:
    """Drop units whose discharges follow a larger one at a fixed lag: they are parts of it."""
    keep: list[Unit] = []
    for unit in sorted(units, key=lambda u: -u.energy):
        if not any(locked(unit.positions, other.positions, rate_hz) for other in keep):
            keep.append(unit)
    return tuple(keep)
