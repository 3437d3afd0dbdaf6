"""How intervals between discharges scatter: deviates of mean 0 and variance 1, as a table.

An interval is ``(1 + cov z) / rate``. A plain cut at 3 SD and at 20 ms would take from the scatter
(0.98658 of the SD is left by the first alone) and shift the mean. So z is drawn from a law on
``-(1 - 20 ms rate) / cov <= z`` that has mean 0 and variance 1 by construction:

- gaussian: the density of greatest entropy between that floor and 3, an exponential of a quadratic
  polynomial: a truncated normal whose mean and SD *after* truncation are those wanted;
- gamma: a gamma density that begins at the floor.

Both depend on the floor alone, that is on ``depth = cov / (1 - 20 ms rate)``. A latent normal g is
mapped to z quantile by quantile, so the serial correlation of g passes to the intervals (a Gaussian
copula).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

CUT_SD = 3.0
LATENT_TO = 5.0  # the table's end; beyond it lie 6e-7 of all intervals
LATENT_STEP = 0.05
DEEPEST = 0.8  # SDs to the floor are at least 1 / 0.8; from 1.0 on no truncated normal exists
DEPTH_STEP = 1 / 60  # 1 / 3, where the floor meets the cut, is a node


def latent_grid() -> Floats:
    """Return the latent normals that the table's columns stand for."""
    return np.arange(-LATENT_TO, LATENT_TO + LATENT_STEP / 2, LATENT_STEP)


def depth_grid() -> Floats:
    """Return the depths that the table's rows stand for, 0 to `DEEPEST`."""
    return np.arange(0.0, DEEPEST + DEPTH_STEP / 2, DEPTH_STEP)


@lru_cache(maxsize=2)
def deviate_table(law: str) -> Floats:
    """Return z by law, depth and latent normal, shape ``(2, n_depths, n_latent)``.

    The first page is for mean intervals up to 120 ms, the second, always gamma, for longer ones.

    Parameters
    ----------
    law
        "gaussian" or "gamma".
    """
    gamma = np.array([_gamma_row(depth) for depth in depth_grid()])
    if law == "gamma":
        return np.array([gamma, gamma])
    return np.array([[_gaussian_row(depth) for depth in depth_grid()], gamma])


def _gamma_row(depth: float) -> Floats:
    """Return the quantiles of a gamma of shape ``1 / depth^2``, centred and scaled."""
    g = latent_grid()
    if depth == 0:
        return g
    shape = depth**-2
    lower = special.gammaincinv(shape, special.ndtr(np.minimum(g, 0.0)))
    upper = special.gammainccinv(shape, special.ndtr(-np.maximum(g, 0.0)))
    return np.asarray(depth * (np.where(g < 0, lower, upper) - shape))


def _gaussian_row(depth: float) -> Floats:
    """Return the quantiles of the density ``exp(a z + b z^2)`` between the floor and the cut."""
    z = np.linspace(-min(CUT_SD, 1 / max(depth, 1e-9)), CUT_SD, 4001)
    weight = np.full(z.size, z[1] - z[0])
    weight[[0, -1]] /= 2
    density = _density_of_greatest_entropy(z, weight)
    below = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(z))])
    return np.asarray(np.interp(special.ndtr(latent_grid()), below / below[-1], z))


def _density_of_greatest_entropy(z: Floats, weight: Floats) -> Floats:
    """Return the density on z with mean 0 and variance 1, by Newton's method on its exponent."""
    powers = np.stack([z, z**2])
    wanted, exponent = np.array([0.0, 1.0]), np.array([0.0, -0.5])
    for _ in range(100):
        density = np.exp(exponent @ powers)
        density /= density @ weight
        mean = powers @ (density * weight)
        covariance = (powers - mean[:, None]) @ ((powers - mean[:, None]) * density * weight).T
        step = np.linalg.solve(covariance, wanted - mean)
        exponent = exponent + step * min(1.0, 2.0 / np.abs(step).max())
        if np.abs(step).max() < 1e-12:
            break
    return np.asarray(density)
