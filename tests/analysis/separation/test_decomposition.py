"""Whole recordings: the units that are there, no others, and whatever the scale or the order."""

from __future__ import annotations

import numpy as np
import pytest

from emgsim.analysis.separation import decompose_surface, search
from emgsim.errors import NotAnalysableError

RATE_HZ = 2000.0


def shared(one, other) -> float:
    """Common over all discharges at the best constant lag, within 0.5 ms."""
    lags = (one[:, None] - other).ravel()
    lags = lags[np.abs(lags) < 0.03]
    common = max((np.abs(lags - lag) <= 0.0005).sum() for lag in lags) if lags.size else 0
    return common / (one.size + other.size - common)


def assert_same(found, again, shift_s: float = 0.0) -> None:
    """Two decompositions have the same units, in whatever order."""
    assert len(again.units) == len(found.units)
    for unit in found.units:
        agreements = [
            (np.abs(unit.discharge_times_s[:, None] + shift_s - other.discharge_times_s) < 1e-4)
            .any(axis=1)
            .mean()
            for other in again.units
        ]
        assert max(agreements) > 0.97


def test_every_unit_is_found_and_no_other(grid, found):
    """Four units, all discharges but a few, within half a millisecond."""
    assert len(found.units) == len(grid.trains_s)
    for train_s in grid.trains_s:
        assert max(shared(u.discharge_times_s, train_s) for u in found.units) > 0.95


def test_a_discharge_is_where_the_potential_is_largest(grid, found):
    """The stated convention, in the samples themselves: the mean around all discharges."""
    for unit in found.units:
        at = np.round(unit.discharge_times_s * RATE_HZ).astype(int)
        at = at[(at > 60) & (at < len(grid.samples_uv) - 60)]
        mean = np.mean([grid.samples_uv[k - 40 : k + 40] for k in at], axis=0)
        assert abs(int(np.argmax(np.abs(mean).max(axis=1))) - 40) <= 1


def test_the_potential_is_the_units_own(grid, found):
    """In microvolts on every channel, and largest at the discharge."""
    for unit in found.units:
        at = round(-unit.muap_start_s * RATE_HZ)
        largest_uv = np.abs(unit.muap_uv).max(axis=1)
        assert np.argmax(largest_uv) == at
        assert 20 < largest_uv[at] < 400
        assert unit.muap_uv.shape[1] == grid.samples_uv.shape[1]


def test_clear_units_have_high_marks(found):
    """Silhouette, pulse-to-noise ratio and regularity of units far above the noise."""
    for unit in found.units:
        assert unit.silhouette > 0.95
        assert unit.pnr_db > 20
        assert unit.cov_isi < 0.2


def test_the_unit_of_voltage_does_not_matter(grid, found):
    """A thousand times the samples: the same units."""
    assert_same(found, decompose_surface(1000 * grid.samples_uv, RATE_HZ))


def test_the_order_of_the_channels_does_not_matter(grid, found):
    """Shuffled electrodes: the same units."""
    order = np.random.default_rng(1).permutation(grid.samples_uv.shape[1])
    assert_same(found, decompose_surface(grid.samples_uv[:, order], RATE_HZ))


def test_a_later_start_shifts_all_discharges(grid, found):
    """Half a second of rest in front moves every discharge by half a second."""
    rest = np.random.default_rng(9).standard_normal((1000, grid.samples_uv.shape[1]))
    later = np.concatenate([rest, grid.samples_uv])
    assert_same(found, decompose_surface(later, RATE_HZ), 0.5)


def test_bad_channels_are_left_out_and_named(grid, found):
    """A flat, a clipped and a broken channel change nothing but the list of those left out."""
    n = len(grid.samples_uv)
    clipped = np.clip(1000 * np.sin(np.arange(n) / 3), -500, 500)
    broken = np.where(np.arange(n) == 77, np.nan, grid.samples_uv[:, 0])
    extra = np.stack([np.full(n, 5.0), clipped, broken], axis=1)
    again = decompose_surface(np.hstack([extra, grid.samples_uv]), RATE_HZ)
    assert again.conditioner.left_out == ((0, "flat"), (1, "clipped"), (2, "missing samples"))
    assert_same(found, again)
    for unit in again.units:
        assert np.isnan(unit.muap_uv[:, :3]).all()
        assert np.isfinite(unit.muap_uv[:, 3:]).all()


def test_mains_are_notched_where_they_are(grid, found):
    """A line and its harmonic, larger than the signal, cost no unit."""
    t_s = np.arange(len(grid.samples_uv)) / RATE_HZ
    hum_uv = 100 * np.sin(2 * np.pi * 50 * t_s) + 50 * np.sin(2 * np.pi * 150 * t_s)
    again = decompose_surface(grid.samples_uv + hum_uv[:, None], RATE_HZ)
    assert again.conditioner.lines_hz == (50.0, 150.0)
    assert found.conditioner.lines_hz == ()
    assert len(again.units) == len(found.units)


def test_units_are_heard_where_they_were_not_sought(grid, found, monkeypatch):
    """Sought in three of six seconds, and heard in all six."""
    monkeypatch.setattr(search, "LEARNED_S", 3.0)
    assert_same(found, decompose_surface(grid.samples_uv, RATE_HZ))


def test_noise_holds_no_unit():
    """White noise on every channel."""
    noise_uv = np.random.default_rng(4).standard_normal((10_000, 16))
    nothing = decompose_surface(noise_uv, RATE_HZ)
    assert nothing.units == ()
    assert nothing.filters is None


@pytest.mark.parametrize(
    ("shape", "rate_hz", "words"),
    [
        ((8000, 16), 500.0, "500 Hz, at least 1000 Hz"),
        ((4000, 16), 2000.0, "2 s, at least 3 s"),
        ((8000, 7), 2000.0, "7 good channels, at least 8"),
    ],
)
def test_too_little_is_refused(shape, rate_hz, words):
    """Rate, length and channels, each with what was got and what is needed."""
    samples_uv = np.random.default_rng(1).standard_normal(shape)
    with pytest.raises(NotAnalysableError, match=words):
        decompose_surface(samples_uv, rate_hz)


def test_a_flat_recording_is_refused():
    """Electrodes without contact."""
    with pytest.raises(NotAnalysableError, match="0 good channels"):
        decompose_surface(np.zeros((8000, 16)), RATE_HZ)


def test_wrong_arguments_are_named():
    """A vector is no grid, and there are two efforts."""
    with pytest.raises(ValueError, match=r"\(n_samples, n_channels\), got \(10,\)"):
        decompose_surface(np.zeros(10), RATE_HZ)
    with pytest.raises(ValueError, match="standard, thorough, got 'more'"):
        decompose_surface(np.zeros((8000, 16)), RATE_HZ, effort="more")
