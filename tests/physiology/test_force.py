"""The force of a pool: twitches that add up, and a hand that tracks what the eye sees."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.physiology.discharges import discharge_epochs
from emgsim.physiology.effort import effort_at
from emgsim.physiology.parameters import (
    CommonDrive,
    Doublets,
    Fatigue,
    Hold,
    Pain,
    Phase,
    Pool,
    Ramp,
    Rest,
    Sinusoid,
    Synchrony,
)
from emgsim.physiology.pool import maximal_force, twitch_gain, twitches
from emgsim.scenario import muscle_catalogue

Floats = NDArray[np.float64]

FUGLEVAND = Pool(n_units=120)


def course(pool: Pool, *phases: Phase, seed: int = 1) -> tuple[Floats, Floats, list[Floats]]:
    """Return force and excitation on the grid of 1 ms, and the trains."""
    epochs = list(discharge_epochs(pool, phases, seed))
    force = np.concatenate([epoch.force for epoch in epochs])
    excitation = np.concatenate([epoch.excitation for epoch in epochs])
    trains = [np.concatenate(parts) for parts in zip(*(e.trains for e in epochs), strict=True)]
    return force, excitation, trains


def test_the_force_is_the_sum_of_all_twitches() -> None:
    """Every discharge a twitch P t/T exp(1 - t/T) with its gain: within 1e-12 at each step."""
    pool = Pool(n_units=6, recruitment_range=10.0, doublets=Doublets(share=0.1))
    force, _, trains = course(pool, Hold(duration_s=1.5, level_mvc=0.6), Rest(duration_s=0.7))
    now_s = np.arange(force.size) * 1e-3
    total = np.zeros(force.size)
    for train, peak, contraction_s in zip(trains, *twitches(pool), strict=True):
        gains = twitch_gain(contraction_s / np.diff(train, prepend=-np.inf))
        for time_s, gain in zip(train, gains, strict=True):
            t = np.maximum(0.0, now_s - time_s) / contraction_s
            total += gain * peak * t * np.exp(1 - t) / maximal_force(pool)
    np.testing.assert_allclose(force, total, rtol=0, atol=1e-12)


def test_the_gain_rises_with_the_rate_and_falls_when_twitches_fuse() -> None:
    """Fuglevand 1993, eq. 15-16: 1 up to 0.4, by pencil 2.8787 at 1; the force it makes rises."""
    assert twitch_gain(np.array([0.0, 0.2, 0.4, 1.0])) == pytest.approx([1, 1, 1, 2.8787], abs=1e-4)
    x = np.linspace(0.01, 5, 500)
    gain = twitch_gain(x)
    assert np.all(np.diff(x * gain) > -1e-12)
    assert np.all(np.diff(gain[x > 1.2]) < 0)


@pytest.mark.parametrize("level", [0.02, 0.05, 0.20, 0.50, 0.80])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_hold_has_the_force_that_was_asked_for(level: float, seed: int) -> None:
    """Mean force over 20 s after settling, within 0.5 % of MVC."""
    force, _, _ = course(FUGLEVAND, Hold(duration_s=23, level_mvc=level), seed=seed)
    assert force[3000:].mean() == pytest.approx(level, abs=0.005)


@pytest.mark.parametrize("muscle", ["biceps_brachii", "soleus", "first_dorsal_interosseous"])
def test_muscles_of_the_catalogue_hold_a_fifth_of_their_force(muscle: str) -> None:
    """20 +- 0.5 % MVC."""
    pool = Pool(**muscle_catalogue()[muscle]["pool"])
    force, _, _ = course(pool, Hold(duration_s=18, level_mvc=0.2))
    assert force[3000:].mean() == pytest.approx(0.2, abs=0.005)


def test_a_maximal_effort_is_the_unit_of_force() -> None:
    """At the maximal excitation, reached within 2 %, the mean force is one within 1 %."""
    force, excitation, _ = course(FUGLEVAND, Hold(duration_s=12, level_mvc=1.0))
    assert force[3000:].mean() == pytest.approx(1.0, abs=0.01)
    assert excitation[3000:].mean() == pytest.approx(FUGLEVAND.maximal_excitation, rel=0.02)


def test_the_excitation_alone_makes_nearly_the_force() -> None:
    """With tracking by drive nothing is seen: the static map is right within 1 % of MVC."""
    pool = FUGLEVAND.model_copy(update={"tracking": "drive"})
    force, _, _ = course(pool, Hold(duration_s=23, level_mvc=0.2))
    assert force[3000:].mean() == pytest.approx(0.2, abs=0.01)


def test_tracking_mends_what_the_map_does_not_know() -> None:
    """Doublets in three of ten discharges: too much force by drive alone, not when tracked."""
    doublets = Doublets(share=0.3)
    force = {}
    for tracking in ("force", "drive"):
        pool = Pool(n_units=120, doublets=doublets, tracking=tracking)
        force[tracking] = course(pool, Hold(duration_s=23, level_mvc=0.2))[0][4000:].mean()
    assert force["drive"] > 0.205
    assert force["force"] == pytest.approx(0.2, abs=0.005)


def test_the_force_follows_a_slow_target() -> None:
    """A ramp to 50 % and a swing of 0.2 Hz: within 3 % of MVC rms, later by less than 0.3 s."""
    quiet = FUGLEVAND.model_copy(update={"common_drive": CommonDrive(strength=0.04)})
    phases = (
        Ramp(duration_s=5, to_mvc=0.3),
        Sinusoid(duration_s=10, mean_mvc=0.3, amplitude_mvc=0.15, frequency_hz=0.2),
    )
    force, _, _ = course(quiet, *phases)
    target = effort_at(phases, np.arange(force.size) * 1e-3)
    assert np.sqrt(np.mean((force - target) ** 2)) < 0.03
    lags = [np.mean((force[lag:] - target[: target.size - lag]) ** 2) for lag in range(0, 600, 10)]
    assert 10 * int(np.argmin(lags)) < 300


def test_force_and_excitation_end_with_the_effort() -> None:
    """The excitation at once, the force within half a second."""
    force, excitation, _ = course(FUGLEVAND, Hold(duration_s=3, level_mvc=0.3), Rest(duration_s=1))
    assert not excitation[3000:].any()
    assert force[3700:].max() < 0.005


def test_without_any_noise_the_force_is_smooth() -> None:
    """Only twitches ripple: the coefficient of variation of 120 units is under 2 %."""
    pool = Pool(
        n_units=120,
        isi_cov=0.0,
        common_drive=CommonDrive(strength=0),
        synchrony=Synchrony(pairs_per_s=0),
    )
    force, _, _ = course(pool, Hold(duration_s=12, level_mvc=0.2))
    assert force[4000:].std() / force[4000:].mean() < 0.02


def mean_rate_hz(trains: list[Floats], begin_s: float, end_s: float) -> float:
    """Return the mean rate of the units that are active in a window."""
    counts = np.array([np.sum((t >= begin_s) & (t < end_s)) for t in trains])
    return float(counts[counts > 0].mean() / (end_s - begin_s))


def test_a_minute_of_maximal_effort_halves_the_rates() -> None:
    """From about 30 to 15-20 pps at 40-60 s, Bigland-Ritchie 1983; the force falls with them."""
    pool = Pool(n_units=120, fatigue=Fatigue(rate_fall=0.5))
    force, _, trains = course(pool, Hold(duration_s=60, level_mvc=1.0))
    assert mean_rate_hz(trains, 0.5, 2.5) == pytest.approx(31, abs=2)
    assert 15 <= mean_rate_hz(trains, 40, 60) <= 20.5
    assert force[50_000:].mean() < 0.7


def test_a_fatigued_pool_is_driven_harder_at_the_same_force() -> None:
    """30 % MVC for a minute: the force stays, excitation and active units rise, rates fall."""
    pool = Pool(n_units=120, fatigue=Fatigue(rate_fall=0.5))
    force, excitation, trains = course(pool, Hold(duration_s=60, level_mvc=0.3))
    assert force[50_000:].mean() == pytest.approx(0.3, abs=0.006)
    assert excitation[50_000:].mean() > 1.05 * excitation[2000:6000].mean()
    early = [t for t in trains if np.sum((t > 2) & (t < 6)) > 20]
    assert mean_rate_hz(early, 50, 60) < 0.97 * mean_rate_hz(early, 2, 6)


def test_pain_leaves_the_force_and_the_scatter_and_takes_from_the_rates() -> None:
    """A37 in trains: 15 % MVC, rates -12 to -18 %, CoV of intervals changed by less than 1 %.

    Without common inputs, whose share in the scatter depends on the rate.
    """
    alone = {"common_drive": CommonDrive(strength=0), "synchrony": Synchrony(pairs_per_s=0)}
    rates, scatter = [], []
    for pain in (Pain(), Pain(rate_share=0.14)):
        pool = Pool(n_units=120, pain=pain, doublets=Doublets(share_at_recruitment=0), **alone)
        force, _, trains = course(pool, Hold(duration_s=63, level_mvc=0.15))
        assert force[3000:].mean() == pytest.approx(0.15, abs=0.005)
        intervals = [np.diff(train[train > 3]) for train in trains[:75]]
        rates.append(np.mean([1 / each.mean() for each in intervals]))
        scatter.append(np.mean([each.std() / each.mean() for each in intervals]))
    assert -0.18 <= rates[1] / rates[0] - 1 <= -0.12
    assert scatter[1] == pytest.approx(scatter[0], abs=0.01)
