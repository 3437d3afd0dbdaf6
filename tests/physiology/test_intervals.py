"""The table of interval deviates: mean 0, variance 1, and no value under the floor."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from emgsim.physiology.intervals import (
    CUT_SD,
    depth_grid,
    deviate_table,
    latent_grid,
)

TABLE = deviate_table("gaussian")
LATENT = np.linspace(-7, 7, 140_001)
DENSITY = stats.norm.pdf(LATENT) * (LATENT[1] - LATENT[0])


def deviates(page: int, row: int) -> np.ndarray:
    """Return z of a fine grid of latent normals, as the kernel reads the table."""
    return np.interp(LATENT, latent_grid(), TABLE[page, row])


@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize("row", range(0, depth_grid().size, 4))
def test_every_law_has_mean_0_and_variance_1(page: int, row: int) -> None:
    """Within 2e-4, whatever the floor: an untreated cut at 3 SD alone would leave 0.973."""
    z = deviates(page, row)
    assert z @ DENSITY == pytest.approx(0.0, abs=2e-4)
    assert (z * z) @ DENSITY == pytest.approx(1.0, abs=2e-4)


def test_rows_between_have_it_too() -> None:
    """The kernel mixes two neighbouring rows."""
    for row in range(depth_grid().size - 1):
        z = 0.5 * (deviates(0, row) + deviates(0, row + 1))
        assert (z * z) @ DENSITY == pytest.approx(1.0, abs=5e-4)


def test_no_deviate_lies_under_the_floor_or_over_the_cut() -> None:
    """Both laws begin at -1 / depth at the earliest; the gaussian one lies within 3 SD."""
    for depth, gauss, gamma in zip(depth_grid()[1:], *TABLE[:, 1:], strict=True):
        assert gauss.min() >= -min(CUT_SD, 1 / depth) - 1e-12
        assert gauss.max() <= CUT_SD
        assert gamma.min() >= -1 / depth - 1e-9


def test_a_free_gaussian_is_the_widened_truncated_normal() -> None:
    """With the floor out of reach: a normal of SD s cut at 3 such that 1 is left of it."""
    row = TABLE[0, 0]
    widths = np.linspace(1.0, 1.03, 3001)
    left = np.array([stats.truncnorm.std(-CUT_SD / s, CUT_SD / s, scale=s) for s in widths[::300]])
    s = np.interp(1.0, left, widths[::300])
    z = np.array([-2.0, -0.5, 0.0, 1.0, 2.5])
    quantiles = stats.truncnorm.ppf(stats.norm.cdf(z), -CUT_SD / s, CUT_SD / s, scale=s)
    assert np.interp(z, latent_grid(), row) == pytest.approx(quantiles, abs=2e-3)


def test_a_free_gamma_has_the_shape_of_its_scatter() -> None:
    """Depth 0.3: gamma of shape 1 / 0.09, skewness 2 * 0.3."""
    z = deviates(1, 18)
    assert depth_grid()[18] == pytest.approx(0.3)
    assert (z**3) @ DENSITY == pytest.approx(0.6, abs=0.005)


def test_on_request_all_intervals_are_gamma() -> None:
    """Both pages of the law "gamma" are the second page of the other."""
    table = deviate_table("gamma")
    np.testing.assert_array_equal(table[0], TABLE[1])
    np.testing.assert_array_equal(table[1], TABLE[1])
