"""The potentials of all known units at once, and what is left of the samples without them.

After Chen & Zhou 2015 (IEEE Trans Neural Syst Rehabil Eng 23:1): what a found unit contributes is
taken away, and the next is sought in the rest. The potentials of all units are estimated together,
by least squares, so that where two overlap neither learns a piece of the other. Discharges fall
between samples; a cubic through four samples places them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import linalg, sparse

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Integers = NDArray[np.int64]

TAPS = 4  # of the cubic, from the sample before a position to the second behind it
RIDGE = 1e-3  # [P] of a train's power: potentials that no discharge tells apart stay finite


def potentials(samples: Floats32, trains: Sequence[Floats], before: int, length: int) -> Floats32:
    """Estimate the potentials of all trains together by least squares.

    Parameters
    ----------
    samples
        Shape ``(n_samples, n_channels)``.
    trains
        Positions of each train's discharges in samples, ascending.
    before, length
        Samples of a potential before the discharge, and in all.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_trains, length, n_channels)``, in the unit of the samples.
    """
    sums = np.stack([_sum(samples, train, before, length) for train in trains])
    gram = _gram(trains, length)
    gram[np.diag_indices(len(gram))] += RIDGE * np.median(np.diagonal(gram))
    flat = sums.reshape(len(gram), samples.shape[1])
    solved = linalg.solve(gram, flat, assume_a="pos", overwrite_a=True, overwrite_b=True)
    return np.asarray(solved.reshape(sums.shape), dtype=np.float32)


def residual(samples: Floats32, trains: Sequence[Floats], waves: Floats32, before: int) -> Floats32:
    """Return the samples without all discharges."""
    out = samples.copy()
    for train, wave in zip(trains, waves, strict=True):
        add(out, train, -wave, before)
    return out


def add(out: Floats32, positions: Floats, wave: Floats32, before: int) -> None:
    """Add a wave ``(length, n_channels)`` to samples ``(n, n_channels)`` at every position."""
    length = len(wave)
    first, weights = _placed(positions)
    shifted = np.zeros((TAPS, length + TAPS - 1, wave.shape[1]), np.float32)
    for k in range(TAPS):
        shifted[k, k : k + length] = wave
    placed = (weights @ shifted.reshape(TAPS, -1)).reshape(-1, *shifted.shape[1:])
    for start, piece in zip((first - before).tolist(), placed, strict=True):
        a, b = max(start, 0), min(start + len(piece), len(out))
        if a < b:
            out[a:b] += piece[a - start : b - start]


def _placed(positions: Floats) -> tuple[Integers, Floats32]:
    """Return the first sample of each position's cubic, and its weights ``(n, 4)`` (Lagrange)."""
    whole = np.floor(positions)
    f = positions - whole
    weights = [
        -f * (f - 1) * (f - 2) / 6,
        (f + 1) * (f - 1) * (f - 2) / 2,
        -(f + 1) * f * (f - 2) / 2,
        (f + 1) * f * (f - 1) / 6,
    ]
    return whole.astype(np.int64) - 1, np.stack(weights, axis=1).astype(np.float32)


def _sum(samples: Floats32, positions: Floats, before: int, length: int) -> Floats32:
    """Return the sum of the samples around all positions, ``(length, n_channels)``."""
    n, m = samples.shape
    span = length + TAPS - 1
    first, weights = _placed(positions)
    whole = (first >= before) & (first - before + span <= n)
    windows = sliding_window_view(samples.reshape(-1), span * m)[(first[whole] - before) * m]
    sums = (weights[whole].T @ windows).reshape(TAPS, span, m)
    return np.asarray(sum(sums[k, k : k + length] for k in range(TAPS)), dtype=np.float32)


def _gram(trains: Sequence[Floats], length: int) -> Floats32:
    """Return the products of all trains, each shifted by 0 .. length - 1 samples."""
    matrix = _train_matrix(trains)
    n_trains = len(trains)
    products = np.empty((2 * length - 1, n_trains, n_trains), np.float32)
    for lag in range(length):
        moved = sparse.csr_matrix(
            (matrix.data, matrix.indices + lag, matrix.indptr),
            shape=(n_trains, matrix.shape[1] + length),
        )
        still = sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=moved.shape)
        # lag: how much later the second train's sample is than the first one's
        product = (moved @ still.T).toarray()
        products[length - 1 + lag] = product
        products[length - 1 - lag] = product.T
    out = np.empty((n_trains, length, n_trains, length), np.float32)
    for k in range(length):
        out[:, k] = products[k : k + length][::-1].transpose(1, 2, 0)
    return out.reshape(n_trains * length, n_trains * length)


def _train_matrix(trains: Sequence[Floats]) -> sparse.csr_matrix:
    """Return the trains as rows, four samples per discharge."""
    columns, values, counts = [], [], [0]
    origin = min(int(np.floor(train.min())) for train in trains) - 1
    last = max(int(np.floor(train.max())) for train in trains)
    for train in trains:
        first, weights = _placed(train)
        columns.append((first[:, None] + np.arange(TAPS) - origin).ravel())
        values.append(weights.ravel())
        counts.append(counts[-1] + weights.size)
    return sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), counts),
        shape=(len(trains), last - origin + TAPS),
    )
