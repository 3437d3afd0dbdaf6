"""The trains of a pool: laws of intervals and rates, doublets, time and chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.physiology.discharges import Epoch, discharge_epochs, recruited
from emgsim.physiology.effort import effort_at
from emgsim.physiology.parameters import (
    CommonDrive,
    Doublets,
    Hold,
    Intervals,
    Phase,
    Pool,
    Ramp,
    Rest,
    Synchrony,
)
from emgsim.physiology.pool import (
    ISI_FLOOR_S,
    excitation_for,
    rates_hz,
    thresholds,
)
from emgsim.scenario import muscle_catalogue

Floats = NDArray[np.float64]

ALONE = {
    "common_drive": CommonDrive(strength=0),
    "synchrony": Synchrony(pairs_per_s=0),
    "doublets": Doublets(share_at_recruitment=0),
}


def joined(epochs: list[Epoch]) -> list[Floats]:
    """Return each unit's whole train."""
    return [np.concatenate(parts) for parts in zip(*(e.trains for e in epochs), strict=True)]


def run(pool: Pool, *phases: Phase, seed: int = 1, epoch_s: float = 1.0) -> list[Floats]:
    """Return the trains of a pool."""
    return joined(list(discharge_epochs(pool, phases, seed, epoch_s=epoch_s)))


@pytest.mark.parametrize("lost", [0.0, 0.5])
def test_recruited_are_those_that_discharge(lost: float) -> None:
    """A steady effort without scatter wakes exactly the units that are told, lost ones never."""
    pool = Pool(n_units=60, tracking="drive", **ALONE)
    share = np.where(np.arange(60) % 10 < 10 * lost, 0.0, 1.0)
    told = recruited(pool, 0.1, twitch_share=share, healthy=pool).tolist()
    epochs = discharge_epochs(
        pool, [Hold(duration_s=4, level_mvc=0.1)], 1, twitch_share=share, healthy=pool
    )
    woken = [order for order, train in enumerate(joined(list(epochs))) if train.size]
    assert told == woken
    assert 5 < len(told) < 60


def test_no_effort_recruits_nobody() -> None:
    """Not even the unit whose threshold is nought."""
    assert recruited(Pool(n_units=10), 0.0).size == 0


def after(trains: list[Floats], begin_s: float) -> list[Floats]:
    """Leave out how the effort began."""
    return [train[train > begin_s] for train in trains]


def at_rate(rate_hz: float, cov: float, **intervals: object) -> Pool:
    """Return forty units that all fire at one rate in a maximal effort, without common inputs."""
    return Pool(
        n_units=40,
        minimal_rate_hz=3.0,
        peak_rate_first_hz=rate_hz,
        peak_rate_drop_hz=0.0,
        isi_cov=cov,
        intervals=Intervals.model_validate(intervals),
        tracking="drive",
        **ALONE,
    )


def steady_intervals(pool: Pool, n: int) -> Floats:
    """Return at least ``n`` intervals, shape ``(n_units, n_each)``."""
    rate_hz = pool.peak_rate_first_hz
    seconds = 1.03 * n / rate_hz / pool.n_units + 3
    trains = run(pool, Hold(duration_s=seconds, level_mvc=1.0, ramp_s=0.0), epoch_s=10.0)
    intervals = [np.diff(train) for train in trains]
    n_each = min(each.size for each in intervals)
    return np.array([each[:n_each] for each in intervals])


def test_slow_units_scatter_to_the_right() -> None:
    """Means over 120 ms: gamma, skewed by about twice the CoV; under it: symmetric."""
    slow, quick = (steady_intervals(at_rate(rate, 0.2), 20_000) for rate in (6.0, 12.0))
    skewness = [np.mean((x - x.mean()) ** 3) / x.std() ** 3 for x in (slow, quick)]
    assert skewness == pytest.approx([0.45, 0.0], abs=0.06)


def test_close_to_the_floor_the_scatter_gives_way_and_the_mean_stays() -> None:
    """45 pps: the floor of 20 ms leaves 0.8 of the 2.2 ms above it, 8 % of the mean."""
    intervals = steady_intervals(at_rate(45.0, 0.15), 50_000)
    assert 1 / intervals.mean() == pytest.approx(45.0, rel=0.005)
    assert intervals.std() / intervals.mean() == pytest.approx(0.08, rel=0.02)
    assert intervals.min() >= ISI_FLOOR_S - 1e-9


@pytest.mark.parametrize("rho", [-0.2, -0.1, 0.2])
def test_neighbouring_intervals_correlate_as_asked(rho: float) -> None:
    """Lag 1, within 0.015; lag 2 is its square."""
    x = steady_intervals(at_rate(12.0, 0.15, serial_correlation=rho), 50_000)
    x = x - x.mean()
    lags = [np.mean(x[:, lag:] * x[:, : x.shape[1] - lag]) / x.var() for lag in (1, 2)]
    assert lags == pytest.approx([rho, rho**2], abs=0.015)


def test_the_hand_muscle_becomes_steadier_with_drive() -> None:
    """On its way from 30 to 13 %, the CoV loses its excess exponentially; the ends are row A32."""
    table = muscle_catalogue()["first_dorsal_interosseous"]["pool"]
    intervals = Intervals(cov_at_recruitment=0.30, serial_correlation=0.0)
    pool = Pool(**table | ALONE | {"intervals": intervals}, tracking="drive").model_copy(
        update={"isi_cov": 0.13}
    )
    trains = after(run(pool, Hold(duration_s=120, level_mvc=0.3), epoch_s=20.0), 1.0)
    level = excitation_for(pool, np.array([0.3]))[0]
    above = (level - thresholds(pool)) / pool.maximal_excitation
    cov = np.array([np.diff(t).std() / np.diff(t).mean() for t in trains if t.size])
    above = above[: cov.size]
    assert np.all(np.diff(cov[above < 0.15][::4]) > 0)
    expected = 0.13 + 0.17 * np.exp(-above / 0.05)
    assert cov == pytest.approx(expected, rel=0.08)
    assert expected[-1] > 0.24


@pytest.mark.parametrize("law", ["linear", "de_luca_hostage_vl"])
@pytest.mark.parametrize("recruitment", ["fuglevand", "de_luca_contessa", "caillet"])
def test_trains_have_the_rates_of_the_law(law: str, recruitment: str) -> None:
    """Each of 60 units in 60 s at 40 % of drive, within four standard errors."""
    pool = Pool(n_units=60, rate_law=law, recruitment=recruitment, tracking="drive", **ALONE)
    trains = after(run(pool, Hold(duration_s=60, level_mvc=0.4), epoch_s=10.0), 1.0)
    rates = rates_hz(pool, excitation_for(pool, np.array([0.4])))[:, 0]
    for train, rate in zip(trains, rates, strict=True):
        if rate == 0:
            assert train.size == 0
            continue
        error = pool.isi_cov / math.sqrt(train.size)
        assert 1 / np.diff(train).mean() == pytest.approx(rate, rel=4 * error)


def test_doublets_are_as_many_and_as_close_as_asked() -> None:
    """Ten percent of discharges are followed within 5-10 ms by a second one."""
    pool = at_rate(12.0, 0.15).model_copy(
        update={"doublets": Doublets(share=0.10, share_at_recruitment=0.0)}
    )
    intervals = steady_intervals(pool, 20_000).ravel()
    close = intervals < 0.015
    assert 0.005 <= intervals[close].min() <= intervals[close].max() <= 0.010 + 1e-9
    assert close.sum() / (intervals.size - close.sum()) == pytest.approx(0.10, abs=0.01)


def test_doublets_at_recruitment_come_first() -> None:
    """Asked of every first discharge, two contractions a second apart: two in each train."""
    pool = Pool(
        n_units=20, tracking="drive", **ALONE | {"doublets": Doublets(share_at_recruitment=1.0)}
    )
    hold = Hold(duration_s=1, level_mvc=0.6, ramp_s=0.1)
    for train in run(pool, hold, Rest(duration_s=1), hold):
        if not train.size:
            continue
        doubles = np.flatnonzero(np.diff(train) < 0.0101)
        assert doubles.size == 2
        assert doubles[0] == 0
        assert train[doubles[1]] > 2.0


PHASES = (Rest(duration_s=0.3), Hold(duration_s=2.5, level_mvc=0.2), Ramp(duration_s=1, to_mvc=0.6))


def test_what_comes_later_does_not_change_what_was_before() -> None:
    """A longer hold, or another contraction after it, gives the same trains until then."""
    pool = Pool(n_units=50)
    short = run(pool, Hold(duration_s=2.7, level_mvc=0.2))
    long = run(pool, Hold(duration_s=2.7, level_mvc=0.2), Rest(duration_s=1.1), *PHASES)
    for a, b in zip(short, long, strict=True):
        np.testing.assert_array_equal(b[b < 2.7], a)


def test_one_more_unit_does_not_move_the_first_ones() -> None:
    """Each unit draws from rows of its own: at peak rates all else is equal."""
    few, many = (at_rate(20.0, 0.2).model_copy(update={"n_units": n}) for n in (5, 9))
    hold = Hold(duration_s=3, level_mvc=1.0, ramp_s=0.0)
    for a, b in zip(run(few, hold), run(many, hold), strict=False):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_a_role_that_is_switched_off_moves_no_other() -> None:
    """Without doublets the discharges are the same, less the second ones."""
    pool = at_rate(12.0, 0.1)
    twice = pool.model_copy(update={"doublets": Doublets(share=0.2, share_at_recruitment=0.0)})
    hold = Hold(duration_s=3, level_mvc=1.0, ramp_s=0.0)
    for a, b in zip(run(pool, hold), run(twice, hold), strict=True):
        is_first = np.diff(b, prepend=-1.0) > 0.015
        assert is_first.sum() < b.size
        np.testing.assert_allclose(b[is_first], a, rtol=0, atol=1e-12)


def test_more_effort_keeps_the_patient() -> None:
    """With the same seed units begin alike: the first discharge of each comes only earlier."""
    pool = Pool(n_units=40, tracking="drive", **ALONE)
    slight, strong = (
        run(pool, Hold(duration_s=1, level_mvc=level, ramp_s=0.0)) for level in (0.1, 0.5)
    )
    for a, b in zip(slight, strong, strict=True):
        if a.size:
            assert b[0] <= a[0]


def test_discharges_stop_with_the_effort_and_begin_again_with_it() -> None:
    """Two holds with a rest between: nothing falls into the rest."""
    hold = Hold(duration_s=1, level_mvc=1.0, ramp_s=0.0)
    for train in run(Pool(n_units=4, recruitment_range=10.0), hold, Rest(duration_s=1), hold):
        assert not np.any((train >= 1.0105) & (train < 2.0))  # a doublet may end in it
        assert np.sum(train < 1.0) > 10
        assert np.sum(train >= 2.0) > 10


def test_an_epoch_knows_its_place() -> None:
    """3.8 s in epochs of 1.5 s: the last one is what is left, and the effort is that of phases."""
    epochs = list(discharge_epochs(Pool(n_units=5), PHASES, 1, epoch_s=1.5))
    assert [(e.start_s, e.n_steps) for e in epochs] == [(0, 1500), (1.5, 1500), (3.0, 800)]
    effort = np.concatenate([e.effort for e in epochs])
    np.testing.assert_allclose(effort, effort_at(PHASES, np.arange(3800) * 1e-3), atol=1e-12)


def test_a_patient_at_rest_is_silent() -> None:
    """No discharge, no force, no drive."""
    epochs = list(discharge_epochs(Pool(n_units=20), [Rest(duration_s=2)], 1))
    assert not any(train.size for train in joined(epochs))
    assert not any(epoch.force.any() or epoch.excitation.any() for epoch in epochs)


def test_an_effort_too_faint_for_the_first_unit_makes_none_discharge() -> None:
    """A millionth of MVC: common drive does not recruit what the effort does not."""
    assert not any(t.size for t in run(Pool(n_units=50), Hold(duration_s=2, level_mvc=1e-6)))


@pytest.mark.parametrize(
    ("phases", "epoch_s", "words"),
    [
        ((), 1.0, "phases must have at least one phase, got none"),
        (PHASES, 0.0, r"epoch_s must be >= 0\.001, got 0"),
    ],
)
def test_impossible_epochs_are_refused(
    phases: tuple[Phase, ...], epoch_s: float, words: str
) -> None:
    """At once, not at the first epoch."""
    with pytest.raises(ValueError, match=words):
        discharge_epochs(Pool(n_units=5), phases, 1, epoch_s=epoch_s)
