"""Recruitment, rates, force and discharges: Fuglevand's numbers, and laws for any pool."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.parameters import Pain, Pool
from emgsim.physiology.pool import (
    excitation_for,
    rates_hz,
    steady_force,
    thresholds,
    thresholds_in_pain,
)
from emgsim.scenario import muscle_catalogue
from emgsim.testing import pools

FUGLEVAND = Pool(n_units=120, recruitment_range=30.0, twitch_range=100.0)
PROPERTY = settings(max_examples=50, deadline=None)


def test_a_unit_starts_at_its_minimal_rate_and_stops_at_its_peak() -> None:
    """One unit by pencil: threshold 30, MFR 8, peak 25, gain 1."""
    pool = Pool(n_units=1, recruitment_range=30.0)
    levels = np.array([0.0, 29.9, 30.1, 35.0, 47.0, 90.0])
    assert rates_hz(pool, levels)[0] == pytest.approx([0, 0, 8.1, 13, 25, 25])
    assert pool.maximal_excitation == 47.0


def test_a_twitch_train_pulls_with_its_integral() -> None:
    """One unit by pencil: below T f = 0.4 force is linear in the rate, above the gain sets in."""
    pool = Pool(n_units=1, recruitment_range=30.0, twitch_range=100.0, isi_cov=0.0)  # T = 30 ms
    x = np.array([0.030 * 10.0, 0.030 * 25.0])  # rates at excitations 32 and 47
    gain = (1 - np.exp(-2 * x[1] ** 3)) / x[1] / ((1 - np.exp(-2 * 0.4**3)) / 0.4)
    force = steady_force(pool, np.array([32.0, 47.0]))
    assert force == pytest.approx([x[0] / (x[1] * gain), 1.0])


@given(pool=pools())
@PROPERTY
def test_thresholds_rise_to_the_recruitment_range(pool: Pool) -> None:
    """The size principle: each unit later than the one before, the last at RR."""
    level = thresholds(pool)
    assert np.all(np.diff(level) > 0)
    assert level[-1] == pytest.approx(pool.recruitment_range)
    assert level[0] > 1


@given(pool=pools())
@PROPERTY
def test_force_and_rates_never_fall_with_excitation(pool: Pool) -> None:
    """More drive is never less force, and no rate leaves its bounds."""
    levels = np.linspace(0, pool.maximal_excitation, 200)
    rates = rates_hz(pool, levels)
    assert np.all(np.diff(rates, axis=1) >= 0)
    assert np.all(np.diff(steady_force(pool, levels)) >= -1e-12)
    assert np.all((rates == 0) | (rates >= pool.minimal_rate_hz - 1e-9))
    assert steady_force(pool, levels[-1:])[0] == pytest.approx(1.0)


@given(pool=pools(), effort=st.floats(0.0, 1.0))
@PROPERTY
def test_excitation_makes_the_force_asked_for(pool: Pool, effort: float) -> None:
    """Just below and just above the excitation found, force brackets the effort."""
    found = excitation_for(pool, np.array([effort]))[0]
    step = pool.maximal_excitation / 4000
    low, high = steady_force(pool, np.array([max(0.0, found - step), found + step]))
    assert low - 1e-9 <= effort <= high + 1e-9


def test_no_effort_is_no_excitation() -> None:
    """At rest not even the first unit is half recruited."""
    assert excitation_for(FUGLEVAND, np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("effort", [-0.1, 1.2])
def test_an_effort_beyond_the_maximum_is_refused(effort: float) -> None:
    """The message names the thing, its range and the value."""
    with pytest.raises(ValueError, match=rf"effort must be in 0\.\.1 .*, got .*{effort:g}"):
        excitation_for(FUGLEVAND, np.array([effort]))


LAWS = ("fuglevand", "de_luca_contessa", "caillet")


@pytest.mark.parametrize("recruitment", LAWS)
def test_every_law_of_recruitment_ends_at_the_same_excitation(recruitment: str) -> None:
    """Thresholds rise, from little, to the recruitment range: fractions that can be compared."""
    pool = Pool(n_units=200, recruitment=recruitment, recruitment_range=60.0)
    share = thresholds(pool) / pool.maximal_excitation
    assert np.all(np.diff(share) > 0)
    assert 0 < share[0] < 0.02
    assert share[-1] == pytest.approx(pool.last_threshold) == pytest.approx(60.0 / 77.0)


def test_de_luca_and_contessa_recruit_by_their_equation() -> None:
    """Their constants, in percent of the maximal excitation: b 20, RR 67 in the FDI, 10 units."""
    pool = Pool(
        n_units=10,
        recruitment="de_luca_contessa",
        recruitment_range=67.0,
        peak_rate_first_hz=51.0,
        peak_rate_drop_hz=10.0,
    )  # 67 + 41 - 8 = 100
    i = np.arange(1, 11)
    expected = 20 * i / 10 * np.exp(i * np.log(67 / 20) / 10)
    assert thresholds(pool) == pytest.approx(expected)


def test_caillet_recruits_the_tibialis_anterior_by_his_equation() -> None:
    """0.5052 (58.1 x + 120^(x^1.83)), % MVC, with the last of 400 units at its 90.0."""
    pool = Pool(n_units=400, recruitment="caillet", recruitment_range=0.5052 * 178.1)
    x = np.array([1, 100, 200, 400]) / 400
    expected = 0.5052 * (58.1 * x + 120 ** (x**1.83))
    assert thresholds(pool)[[0, 99, 199, 399]] == pytest.approx(expected)


def test_a_recruitment_too_early_for_its_law_is_refused() -> None:
    """Under b = 0.2 the thresholds of De Luca & Contessa would bend back."""
    with pytest.raises(ValueError, match=r"last threshold >= 0\.2 .*, got 0\.105"):
        Pool(n_units=10, recruitment="de_luca_contessa", recruitment_range=2.0)


@pytest.mark.parametrize(
    ("law", "early_hz", "middle_hz"),
    [
        # By pencil at full drive: D + E + (C - A exp(-1 / B)) tau, tau 0.1 and 0.5
        ("de_luca_hostage_fdi", 25.1565, 14.4626),
        ("de_luca_hostage_vl", 24.9152, 16.4562),
        ("de_luca_hostage_ta", 23.5081, 10.5806),
    ],
)
def test_de_luca_and_hostage_make_an_onion_skin(
    law: str, early_hz: float, middle_hz: float
) -> None:
    """Their plane at full drive, above the minimal rate: later units fire slower."""
    pool = Pool(n_units=2000, rate_law=law, minimal_rate_hz=5.0)
    top = np.array([pool.maximal_excitation])
    rates = rates_hz(pool, top)[:, 0]
    found = np.interp([0.1, 0.5], thresholds(pool) / top, rates)
    assert found == pytest.approx([early_hz, middle_hz], abs=1e-3)
    assert np.all(np.diff(rates) <= 0)


def test_a_rate_that_falls_below_the_minimum_is_the_minimum() -> None:
    """In the tibialis anterior the published plane is below zero for the last units."""
    pool = Pool(n_units=100, rate_law="de_luca_hostage_ta", recruitment_range=150.0)
    rates = rates_hz(pool, thresholds(pool))
    assert np.diag(rates).min() == pool.minimal_rate_hz


def test_the_hand_muscle_fires_faster_the_later_it_is_recruited() -> None:
    """FDI, Moritz 2005: minimal rates 7 to 23, peak rates 14 to 38 pps from first to last."""
    pool = Pool(
        n_units=119,
        recruitment_range=1000**0.5,
        minimal_rate_hz=7.0,
        minimal_rate_rise_hz=16.0,
        peak_rate_first_hz=14.0,
        peak_rate_drop_hz=-24.0,
    )
    at_recruitment = np.diag(rates_hz(pool, thresholds(pool)))
    at_most = rates_hz(pool, np.array([pool.maximal_excitation]))[:, 0]
    assert at_recruitment[[0, -1]] == pytest.approx([7.5, 23.0], abs=0.1)
    assert at_most[[0, -1]] == pytest.approx([14.8, 38.0], abs=0.1)
    assert np.all(np.diff(at_most) > 0)


@pytest.mark.parametrize("level", [0.10, 0.15, 0.20])
@pytest.mark.parametrize("muscle", ["biceps_brachii", "vastus_lateralis", "tibialis_anterior"])
def test_pain_slows_the_units_at_the_same_force(muscle: str, level: float) -> None:
    """A37: -12 to -18 %, or -1.0 +- 0.4 pps; with new units, and the same force."""
    pool = Pool(**muscle_catalogue()[muscle]["pool"])
    effort = np.array([level])
    before = rates_hz(pool, excitation_for(pool, effort))[:, 0]
    for pain in (Pain(rate_share=0.14), Pain(rate_drop_hz=1.03)):
        hurt = pool.model_copy(update={"pain": pain})
        level_in_pain = excitation_for(hurt, effort)
        after = rates_hz(hurt, level_in_pain)[:, 0]
        assert steady_force(hurt, level_in_pain)[0] == pytest.approx(level, abs=0.002)
        assert np.sum(after > 0) > np.sum(before > 0)
        change_hz = after[before > 0].mean() - before[before > 0].mean()
        if pain.rate_share:
            assert -0.18 <= change_hz / before[before > 0].mean() <= -0.12
        else:
            assert change_hz == pytest.approx(-1.0, abs=0.4)


def test_pain_leaves_less_than_the_maximal_force() -> None:
    """No unit is left to help: a maximal effort gets the maximal excitation, and less force."""
    pool = Pool(n_units=120, pain=Pain(rate_share=0.14))
    top = excitation_for(pool, np.ones(1))
    assert 0.8 < steady_force(pool, top)[0] < 0.95
    assert np.all(thresholds_in_pain(pool) < thresholds(pool))


def test_without_pain_no_threshold_moves() -> None:
    """The default is the healthy pool, to the last bit."""
    np.testing.assert_array_equal(thresholds_in_pain(FUGLEVAND), thresholds(FUGLEVAND))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_units": 0}, "greater than or equal to 1"),
        ({"minimal_rate_rise_hz": 20.0}, r"minimal_rate_hz \(28\), got 25"),
        ({"peak_rate_first_hz": 7.0}, r"peak_rate_first_hz must be > minimal_rate_hz \(8\), got 7"),
        ({"pain": {"rate_drop_hz": 9.0}}, r"minimal_rate_hz \(8\), got 9"),
        ({"doublets": {"shortest_s": 0.015}}, r"shortest_s must be <= longest_s \(0\.01\)"),
        ({"intervals": {"serial_correlation": 0.3}}, "less than or equal to 0.2"),
    ],
)
def test_an_impossible_pool_is_refused(changes: dict[str, object], words: str) -> None:
    """Empty, or with rates that no unit could have: thing, rule and value."""
    with pytest.raises(ValueError, match=words):
        Pool.model_validate({"n_units": 10, **changes})
