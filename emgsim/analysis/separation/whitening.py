"""The samples of some milliseconds of all channels as one vector, uncorrelated and of unit power.

A unit's potential travels over the grid for longer than one sample. Each sample is extended by
those before it (Holobar & Zazula 2007, IEEE Trans Signal Process 55:4487; Negro et al. 2016, J
Neural Eng 13:026027), and the extended vectors are turned and scaled to the identity covariance.
Directions below the noise floor are dropped: they hold no potential, and cost as much as others.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

ROWS = 1024  # [P] of an extended vector: about 1000 are advised (Negro et al. 2016)
LONGEST = 32  # [P] samples of a window, for small grids
CHUNK = 4096  # samples that are extended at a time: 16 MiB


def window_length(n_channels: int) -> int:
    """Return the number of samples per channel in an extended vector."""
    return int(np.clip(ROWS // n_channels, 4, LONGEST))


def extended(samples: Floats32, length: int) -> Floats32:
    """Return a view of all windows: ``(n - length + 1, length * n_channels)``, in order of time."""
    windows = sliding_window_view(samples.reshape(-1), length * samples.shape[1])
    return windows[:: samples.shape[1]]


def extended_covariance(samples: Floats32, length: int) -> Floats:
    """Return the covariance of the windows of samples ``(n, n_channels)``.

    It is block-Toeplitz but for the ends of the recording, so only ``length`` blocks are computed.
    """
    n, m = samples.shape
    out = np.empty((length, m, length, m))
    for lag in range(length):
        block = (samples[: n - lag].T @ samples[lag:]) / n
        for k in range(length - lag):
            out[k, :, k + lag] = block
            out[k + lag, :, k] = block.T
    return out.reshape(length * m, length * m)


def whitening_matrix(covariance: Floats) -> Floats32:
    """Return the matrix ``(n_kept, n_rows)`` that whitens extended vectors.

    The noise floor is the mean of the lower half of the eigenvalues (Negro et al. 2016).
    """
    values, vectors = np.linalg.eigh(covariance)
    floor = values[: values.size // 2].mean()
    kept = values > max(floor, np.finfo(np.float32).eps * values[-1])
    return np.asarray((vectors[:, kept] / np.sqrt(values[kept])).T, dtype=np.float32)


def projected(samples: Floats32, matrix: Floats32) -> Floats32:
    """Return the extended vectors times a matrix ``(n_out, n_rows)``.

    Shape ``(n_samples, n_out)``: row t belongs to the window that ends at sample t; the samples
    before the first are zero.
    """
    n, m = samples.shape
    length = matrix.shape[1] // m
    padded = np.concatenate([np.zeros((length - 1, m), np.float32), samples])
    out = np.zeros((n, len(matrix)), np.float32)
    if len(matrix) <= m:  # few outputs: cheaper than to copy the windows
        for k in range(length):
            out += padded[k : k + n] @ matrix[:, k * m : (k + 1) * m].T
        return out
    for a in range(0, n, CHUNK):
        stop = min(a + CHUNK, n)
        windows = np.ascontiguousarray(extended(padded[a : stop + length - 1], length))
        np.matmul(windows, matrix.T, out=out[a:stop])
    return out
