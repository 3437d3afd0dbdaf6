"""Conditions on a small body: who is lost, who adopts, what is refused, what combines."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import emgsim
from emgsim.physiology.body import Body, healthy_body
from emgsim.physiology.conditions import apply, conditioned_phases
from emgsim.physiology.conditions.reinnervation import MOST_FIBRES, SPROUT_MM, sprout_delays_s
from emgsim.physiology.conditions.safety import safety_factors, weakened
from emgsim.physiology.discharges import Epoch, discharge_epochs
from emgsim.physiology.effort import effort_at
from emgsim.physiology.fibres import DIAMETER_RANGE_UM, fibre_counts, place_unit
from emgsim.physiology.parameters import (
    Fibres,
    Hold,
    Muscle,
    Phase,
    Points,
    Pool,
    Ramp,
    Rest,
    aged,
)
from emgsim.physiology.parameters.conditions import (
    Ageing,
    AxonalLoss,
    Botulinum,
    Condition,
    ConductionBlock,
    Entrapment,
    Lems,
    MotorNeuronDisease,
    Myasthenia,
    Myopathy,
    Myositis,
    Myotonia,
    NascentReinnervation,
    PainfulEffort,
    PoorEffort,
    Radiculopathy,
    UpperMotorNeuron,
)
from emgsim.physiology.pool import maximal_force, peak_rates_hz, twitch_gain, twitches
from emgsim.scenario import muscle_catalogue
from emgsim.seeds import stream

MUSCLE = Muscle(
    name="first_dorsal_interosseous",
    radius_mm=7.0,
    nerve="ulnar (deep)",
    roots={"C8": 0.6, "T1": 0.4},
    pool=Pool(n_units=60),
    fibres=Fibres(per_unit_smallest=60, per_unit_largest=240, length_mm=60.0),
)
HEALTHY = healthy_body(MUSCLE, seed=3)
CONDITIONS: TypeAdapter[Condition] = TypeAdapter(Condition)
EVERY: tuple[Condition, ...] = (
    Ageing(years=71),
    AxonalLoss(share=0.3, months=4),
    Radiculopathy(root="C8", weeks=8),
    Entrapment(nerve="ulnar", share=0.3, weeks=12),
    MotorNeuronDisease(months=6),
    NascentReinnervation(share=0.5, months=1),
    ConductionBlock(share=0.2),
    Myopathy(loss=0.3),
    Myasthenia(),
    Botulinum(weeks=3),
    Myotonia(),
    UpperMotorNeuron(),
    PainfulEffort(),
    PoorEffort(),
)
ALONE = (
    EVERY[:5]
    + EVERY[6:]
    + (Myositis(), Lems(), AxonalLoss(share=1, months=0), AxonalLoss(share=0, months=9))
)


def ill(*conditions: Condition, seed: int = 3, body: Body = HEALTHY) -> Body:
    """Return the body with conditions."""
    return apply(conditions, body, seed)


def n_fibres(body: Body) -> np.ndarray:
    """Return the number of fibres of each unit."""
    return np.array([unit.n_fibres for unit in body.units])


def pooled(body: Body, name: str) -> np.ndarray:
    """Return a property of all innervated fibres."""
    return np.concatenate([getattr(unit, name) for unit in body.units])


def bytes_of(body: Body) -> list[bytes]:
    """Return all that a body holds of numbers."""
    parts = [body.is_lost, body.orphan_units, body.fibrillates, *body.end_plates]
    for unit in (*body.units, body.orphans):
        parts += [np.asarray(getattr(unit, f.name)) for f in fields(unit)]
    return [part.tobytes() for part in parts]


# -- every condition ------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", ALONE, ids=lambda c: c.kind)
def test_every_condition_leaves_a_sound_body_and_the_old_one_as_it_was(
    condition: Condition,
) -> None:
    """Every fibre finite, of some thickness and two ends; probabilities within 0..1."""
    before = bytes_of(HEALTHY)
    body = ill(condition)
    assert bytes_of(HEALTHY) == before
    assert body.conditions == (condition.kind,)
    for unit in (*body.units, body.orphans):
        for f in fields(unit):
            assert np.all(np.isfinite(getattr(unit, f.name))), f.name
        low, high = DIAMETER_RANGE_UM
        assert np.all((unit.diameter_um >= low) & (unit.diameter_um <= high))
        assert np.all((unit.block_probability >= 0) & (unit.block_probability <= 1))
        assert np.all(np.asarray(unit.half_lengths_mm) > 0)
        assert np.all(unit.velocity_m_s > 0)
    assert np.all((body.fibrillates >= 0) & (body.fibrillates <= 1))
    assert np.all(body.strength >= 0)


@given(st.permutations(EVERY[1:5] + EVERY[6:]), st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_conditions_combine_in_any_order_and_repeat_exactly(
    order: list[Condition], seed: int
) -> None:
    """Same input, same bytes; another seed, other fibres."""
    one, same = (ill(*order, seed=seed) for _ in range(2))
    assert bytes_of(one) == bytes_of(same)
    assert bytes_of(one) != bytes_of(ill(*order, seed=seed + 1))
    assert one.conditions == tuple(condition.kind for condition in order)


def test_all_conditions_at_once_are_a_body() -> None:
    """Even the unluckiest patient can be simulated."""
    assert len(ill(*EVERY).conditions) == len(EVERY)


def test_one_condition_more_changes_none_of_the_others_chances() -> None:
    """The same axons are lost beside a conduction block and without it."""
    loss = AxonalLoss(share=0.4, months=1)
    lost = n_fibres(ill(loss)) == 0
    np.testing.assert_array_equal(n_fibres(ill(ConductionBlock(share=0.3), loss)) == 0, lost)


def test_a_condition_is_told_by_its_kind() -> None:
    """What a scenario file holds becomes the model that it names, and back."""
    for condition in (*EVERY, Myositis(), Lems()):
        assert CONDITIONS.validate_python(condition.model_dump()) == condition


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (
            [Radiculopathy(root="L5", weeks=4)],
            r"radiculopathy: root must supply first_dorsal_interosseous \(C8, T1\), got 'L5'",
        ),
        ([Entrapment(nerve="median", share=0.5, weeks=4)], r"nerve must supply .* got 'median'"),
        (
            [Entrapment(nerve="ulnar", share=0.5, weeks=4, muscles={"deltoid": 1.0})],
            r"entrapment: nerve must supply first_dorsal_interosseous beyond the place",
        ),
        ([NascentReinnervation(share=0.5, months=1)], r"must follow a loss of axons.* 0 orphans"),
        (
            [Radiculopathy(root="L5", weeks=4), PoorEffort()],
            r"radiculopathy: root must supply",
        ),
        ([Myopathy(), Myositis()], r"myopathy must not occur beside myositis, got both"),
        ([Myasthenia(), Lems()], r"lems must not occur beside myasthenia, got both"),
        ([Myopathy(), Myopathy()], r"myopathy must occur once, got 2"),
        ([Myotonia(), Ageing(years=60)], r"ageing must come first, got it as number 2"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(conditions: list[Condition], message: str) -> None:
    """Thing, rule, value."""
    with pytest.raises(ValueError, match=message):
        ill(*conditions)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("axonal_loss", "months"),
        ("radiculopathy", "weeks"),
        ("entrapment", "weeks"),
        ("motor_neuron_disease", "months"),
        ("botulinum", "weeks"),
    ],
)
def test_an_onset_in_the_future_is_refused(kind: str, name: str) -> None:
    """A time since onset below zero is named with its value."""
    given_ = {"kind": kind, "share": 0.5, "root": "C8", "nerve": "ulnar", name: -1.0}
    model = {c.kind: type(c) for c in EVERY}[kind]
    known = {key: value for key, value in given_.items() if key in model.model_fields}
    with pytest.raises(ValidationError, match=rf"(?s){name}.*greater than or equal to 0.*-1"):
        CONDITIONS.validate_python(known)


# -- axons ----------------------------------------------------------------------------------------


@given(share=st.floats(0, 1), months=st.floats(0, 60), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_no_fibre_is_made_or_vanishes_when_axons_are_lost(
    share: float, months: float, seed: int
) -> None:
    """Each is in a unit or an orphan, exactly once; no unit feeds more than five times its own."""
    body = ill(AxonalLoss(share=share, months=months), seed=seed)
    places = np.concatenate([pooled(body, "x_mm"), body.orphans.x_mm])
    np.testing.assert_array_equal(np.sort(places), np.sort(pooled(HEALTHY, "x_mm")))
    assert np.all(n_fibres(body) <= MOST_FIBRES * fibre_counts(MUSCLE))
    assert abs(body.is_lost.sum() - share * 60) <= 1
    assert np.all(n_fibres(body)[body.is_lost] == 0)
    assert np.all(body.is_lost[body.orphan_units])
    for end_plate in body.end_plates:
        assert np.unique(end_plate).size == end_plate.size


def test_units_are_lost_whatever_their_size() -> None:
    """Over 200 patients the mean order of those lost is that of the pool."""
    lost = [
        np.flatnonzero(ill(AxonalLoss(share=0.3, months=0), seed=s).is_lost) for s in range(200)
    ]
    assert np.concatenate(lost).mean() == pytest.approx(29.5, abs=1.0)


def test_reinnervation_takes_months() -> None:
    """Nothing within two weeks, half the orphans near two months, nearly all after a year."""
    left = [
        ill(AxonalLoss(share=0.5, months=months)).orphans.n_fibres
        for months in (0.0, 0.45, 1.5, 4.0, 12.0)
    ]
    assert left[0] == left[1]
    assert all(after < before for before, after in pairwise(left[1:]))
    assert 0.35 < left[2] / left[0] < 0.65
    assert left[4] < 0.08 * left[0]


def test_without_sprouts_nobody_is_adopted() -> None:
    """The denervated share stays that of the axons."""
    body = ill(AxonalLoss(share=0.5, months=24, reinnervation=0.0))
    assert body.strength[~body.is_lost] == pytest.approx(1.0)
    assert body.denervated_share == pytest.approx(0.5, abs=0.05)


def test_survivors_make_up_for_the_lost_up_to_three_quarters() -> None:
    """Gordon, Thompson & Jansen: full strength up to some 80 % loss, a unit at most times five.

    Some units are full where others still have room: in the mean of six patients 0.95 at 75 %.
    """

    def left(loss: AxonalLoss, seed: int) -> float:
        forces = ill(loss, seed=seed).twitch_share * HEALTHY.healthy_force
        return float(forces.sum() / HEALTHY.healthy_force.sum())

    for share, low, high in ((0.5, 0.98, 1.01), (0.75, 0.9, 1.0), (0.95, 0.15, 0.35)):
        loss = AxonalLoss(share=share, months=36)
        assert low < np.mean([left(loss, seed) for seed in range(1, 7)]) < high, share


def parent_distances_mm(body: Body) -> np.ndarray:
    """Return how far each adopted fibre lies from the nearest fibre that its unit had before."""
    found = []
    for unit, healthy in zip(body.units, HEALTHY.units, strict=True):
        n = healthy.n_fibres
        if unit.n_fibres > n:
            own = np.column_stack([unit.x_mm[:n], unit.y_mm[:n]])
            new = np.column_stack([unit.x_mm[n:], unit.y_mm[n:]])
            found.append(np.linalg.norm(own[:, None] - new, axis=2).min(axis=0))
    return np.concatenate(found)


def test_adopted_fibres_lie_near_fibres_of_their_unit() -> None:
    """60-70 % within 0.1-0.2 mm at a loss of two thirds; none beyond a sprout's reach."""
    away_mm = parent_distances_mm(ill(AxonalLoss(share=2 / 3, months=24)))
    assert 0.55 < np.mean(away_mm < 0.2) < 0.75
    few = ill(AxonalLoss(share=0.97, months=24))
    assert parent_distances_mm(few).max() <= SPROUT_MM


def adopted(months: float) -> tuple[np.ndarray, ...]:
    """Return jitter (us), block, extra delay (ms) and thickness ratio of adopted fibres."""
    body = ill(AxonalLoss(share=0.5, months=months))
    own = n_fibres(HEALTHY)
    new = [
        unit.subset(np.arange(n, unit.n_fibres)) for unit, n in zip(body.units, own, strict=True)
    ]
    return tuple(
        np.concatenate([getattr(unit, name) for unit in new if unit.n_fibres])
        for name in ("jitter_s", "block_probability", "delay_s", "diameter_um")
    )


def test_sprouts_are_slow_and_unsure_at_first_and_mature() -> None:
    """Jitter 40-100 falling to 20-30 us, block 5-30 % falling to < 2 %, delay 4 to 0.5 ms."""
    jitter_s, block, delay_s, thin_um = adopted(1.0)
    assert 50 < 1e6 * np.mean(jitter_s) < 100
    assert 0.05 < np.mean(block) < 0.30
    assert 3e-3 < np.mean(delay_s) < 4.3e-3
    jitter_s, block, delay_s, thick_um = adopted(24.0)
    assert 20 < 1e6 * np.mean(jitter_s) < 30
    assert np.mean(block) < 0.02
    assert 0.4e-3 < np.mean(delay_s) < 0.9e-3
    # By pencil: 0.89 to 0.80 of their size after 0.5 to 1 month without a nerve
    assert 0.80 < np.mean(thin_um) / np.mean(thick_um) < 0.89


def test_sprouts_are_late_by_their_way_over_their_velocity() -> None:
    """By pencil, 0.9 mm: 3.6 ms x 1.083 when fresh, 0.45 ms x 1.325 when grown, a few far later."""
    ways_mm, rng = np.full(100_000, 0.9), np.random.default_rng(1)
    fresh_s, grown_s = (sprout_delays_s(ways_mm, np.array([youth]), rng) for youth in (1.0, 0.0))
    assert fresh_s.mean() == pytest.approx(3.9e-3, rel=0.02)
    assert grown_s.mean() == pytest.approx(0.596e-3, rel=0.02)
    assert 0.02 < np.mean(grown_s > 4 * np.median(grown_s)) < 0.05
    half_s = sprout_delays_s(ways_mm / 2, np.zeros(1), np.random.default_rng(2))
    whole_s = sprout_delays_s(ways_mm, np.zeros(1), np.random.default_rng(2))
    np.testing.assert_allclose(half_s, whole_s / 2)


def test_orphans_shrink_by_half_within_half_a_year() -> None:
    """-50 % of the diameter over 3-6 months, and the velocity follows."""
    healthy_um = pooled(HEALTHY, "diameter_um").mean()
    for months, low, high in ((0, 0.99, 1.01), (3, 0.55, 0.70), (6, 0.5, 0.56)):
        orphans = ill(AxonalLoss(share=1, months=months)).orphans
        assert low < orphans.diameter_um.mean() / healthy_um < high
        np.testing.assert_allclose(orphans.velocity_m_s, 0.95 + 0.05 * orphans.diameter_um)


def test_fibrillations_come_after_weeks_peak_and_fade() -> None:
    """None before the delay, 0.05-0.2 a minute at 1-3 months, after a year a third or less."""

    def share(days: float, delay_days: float = 21) -> float:
        loss = AxonalLoss(share=1, months=days / 30.4375, fibrillation_delay_days=delay_days)
        return float(ill(loss).fibrillates.mean())

    assert share(20) == 0
    assert share(9, delay_days=7) > 0
    assert 0.05 < share(60) < 0.2
    assert share(400) < share(60) / 3


def test_a_radiculopathy_takes_units_of_its_root_alone() -> None:
    """Half of C8's 36 units; a second root takes others."""
    body = ill(Radiculopathy(root="C8", share=0.5, weeks=1))
    assert body.is_lost.sum() == 18
    assert set(HEALTHY.roots[body.is_lost]) == {"C8"}
    roots = (Radiculopathy(root=root, share=1, weeks=1) for root in ("C8", "T1"))
    assert ill(*roots).is_lost.all()


def test_an_entrapment_takes_what_lies_beyond_the_place() -> None:
    """A whole nerve alike, or a muscle's own share of the worst."""
    whole = Entrapment(nerve="ulnar", share=0.5, weeks=1)
    part = whole.model_copy(update={"muscles": {MUSCLE.name: 0.4}})
    assert [ill(c).is_lost.sum() for c in (whole, part)] == pytest.approx([30, 12], abs=1)


def test_motor_neurons_die_with_a_half_life() -> None:
    """Half of them after one, three quarters after two; the latest deaths left fresh orphans."""
    for months, share in ((9, 0.5), (18, 0.75)):
        body = ill(MotorNeuronDisease(months=months))
        assert body.is_lost.mean() == pytest.approx(share, abs=0.02)
    body, at_once = ill(MotorNeuronDisease(months=9)), ill(AxonalLoss(share=0.5, months=9))
    assert body.orphans.n_fibres > 2 * at_once.orphans.n_fibres


def test_a_blocked_axon_keeps_its_fibres_healthy() -> None:
    """Nothing is denervated and nothing changes but who obeys."""
    body = ill(ConductionBlock(share=0.5))
    assert body.is_lost.sum() == 30
    assert body.denervated_share == 0
    assert body.strength == pytest.approx(1.0)


def test_nascent_units_are_few_thin_unsure_fibres() -> None:
    """All units back after a complete loss, 20 of their own fibres each, thin and unsure."""
    body = ill(AxonalLoss(share=1, months=4), NascentReinnervation(share=1, months=0.5))
    assert not body.is_lost.any()
    assert set(n_fibres(body)) == {20}
    assert pooled(body, "diameter_um").mean() < 0.65 * pooled(HEALTHY, "diameter_um").mean()
    assert 1e6 * pooled(body, "jitter_s").mean() > 50
    total = n_fibres(body).sum() + body.orphans.n_fibres
    assert total == n_fibres(HEALTHY).sum()


# -- fibres ---------------------------------------------------------------------------------------


def test_a_myopathy_thins_out_every_unit() -> None:
    """Half of each unit's fibres, uneven ones, weaker in proportion; nobody lost or orphaned."""
    body = ill(Myopathy(loss=0.5, splitting=0.0))
    np.testing.assert_array_equal(n_fibres(body), np.round(0.5 * n_fibres(HEALTHY)))
    diameter_um = pooled(body, "diameter_um")
    assert diameter_um.mean() == pytest.approx(45, abs=1)
    assert diameter_um.std() / diameter_um.mean() == pytest.approx(0.35, abs=0.03)
    assert 0.25 < body.strength.mean() < 0.5
    assert not body.is_lost.any()
    assert body.denervated_share == 0


def test_motor_neurons_adapt_to_a_myopathy() -> None:
    """Thresholds move together: the logarithm of the range to 0.72; rates stay what they were."""
    for condition in (Myopathy(), Myositis()):
        pool = ill(condition).muscle.pool
        assert pool.recruitment_range == pytest.approx(30**0.72)
        assert pool.peak_rate_first_hz == MUSCLE.pool.peak_rate_first_hz
        assert ill(condition).healthy.pool == MUSCLE.pool
    assert ill(Myopathy(recruitment_share=1.0)).muscle.pool == MUSCLE.pool


def test_split_fibres_share_an_end_plate() -> None:
    """5-15 % get a twin 20-60 um away with the same delay, jitter and block."""
    body = ill(Myopathy(loss=0.0, splitting=0.1, diameter_um=55, diameter_cov=0.1))
    n_twins = 0
    for unit, end_plate in zip(body.units, body.end_plates, strict=True):
        _, first, back = np.unique(end_plate, return_index=True, return_inverse=True)
        parent = first[back]
        twin = np.flatnonzero(parent != np.arange(end_plate.size))
        n_twins += twin.size
        apart_mm = np.hypot(*(at[twin] - at[parent[twin]] for at in (unit.x_mm, unit.y_mm)))
        assert np.all((apart_mm > 0.0199) & (apart_mm < 0.0601))
        for name in ("delay_s", "jitter_s", "block_probability", "end_plate_mm"):
            values = getattr(unit, name)
            np.testing.assert_array_equal(values[twin], values[parent[twin]])
    assert 0.05 < n_twins / n_fibres(HEALTHY).sum() < 0.15


def test_myopathic_end_plates_scatter_and_fibres_keep_their_ends() -> None:
    """SD 2-4 mm within a unit; both tendons stay where they were."""
    body = ill(Myopathy(loss=0.0, splitting=0.0, end_plate_sd_mm=3.0))
    sd_mm = np.mean([unit.end_plate_mm.std(ddof=1) for unit in body.units])
    assert sd_mm == pytest.approx(3.0, abs=0.15)
    for old, new in zip(HEALTHY.units, body.units, strict=True):
        free = np.minimum(*new.half_lengths_mm) > 0.5
        for sign, was, now in zip((1, -1), old.half_lengths_mm, new.half_lengths_mm, strict=True):
            np.testing.assert_allclose(
                (new.end_plate_mm + sign * now)[free], (old.end_plate_mm + sign * was)[free]
            )


def test_myositis_cuts_ends_off_that_fibrillate_until_it_is_treated() -> None:
    """Ends lie beside fibres of their unit; treatment stills them, and a myopathy has none."""
    fresh, treated = (ill(Myositis(treatment_weeks=weeks)) for weeks in (0, 12))
    assert fresh.orphans.n_fibres > 0
    assert treated.fibrillates.mean() < fresh.fibrillates.mean() / 5
    for order in np.unique(fresh.orphan_units):
        ends = fresh.orphans.x_mm[fresh.orphan_units == order]
        assert np.isin(ends, fresh.units[order].x_mm).all()


# -- end plates -----------------------------------------------------------------------------------


def test_safety_factors_are_read_back_exactly() -> None:
    """What `place_unit` drew, and a share of it; an end plate that never fails stays perfect."""
    unit = place_unit(MUSCLE, 30, stream(1, "muscle", 30))
    factor = safety_factors(unit)
    sigma_s = 17e-6 * 3 / (factor - 1)
    np.testing.assert_allclose(unit.jitter_s, sigma_s, rtol=1e-9)
    half = safety_factors(weakened(unit, np.full(unit.n_fibres, 0.5), MUSCLE))
    np.testing.assert_allclose(half, factor / 2, rtol=1e-9)


def test_junction_disorders_weaken_in_their_order() -> None:
    """MG: jitter up, some block; LEMS at rest: strength 10-50 %, more at quick discharges."""
    mg, rested = ill(Myasthenia()), ill(Lems(rate_hz=0.0))
    quick = ill(Lems(rate_hz=40.0))
    jitter_us = [1e6 * np.median(pooled(b, "jitter_s")) for b in (HEALTHY, mg)]
    assert jitter_us[1] > 1.7 * jitter_us[0]
    assert 0.9 < mg.strength.mean() < 1.0
    assert 0.1 < rested.strength.mean() < 0.5
    assert quick.strength.mean() > 1.6 * rested.strength.mean()


def test_botulinum_stops_fewer_fibres_the_farther_from_the_end_plates() -> None:
    """Lapatki 2011: 79 % at the zone, 46 % less for each cm; gone after half a year and more."""
    near_mm = MUSCLE.model_copy(
        update={
            "fibres": MUSCLE.fibres.model_copy(
                update={"end_plate_band_mm": 0.0, "end_plate_sd_mm": 0.0}
            )
        }
    )
    body = healthy_body(near_mm, 3)
    stopped = [
        1 - ill(Botulinum(z_mm=z, weeks=4), body=body).strength.mean() for z in (0.0, 10.0, 20.0)
    ]
    assert stopped == pytest.approx([0.793, 0.428, 0.231], abs=0.02)
    late, early = (ill(Botulinum(weeks=w), body=body).strength.mean() for w in (40.0, 0.1))
    assert late > 0.95
    assert early > 0.85


# -- the will -------------------------------------------------------------------------------------


def test_a_paretic_muscle_fires_slowly_evenly_and_all_at_once() -> None:
    """Peak 8-15 pps, less scatter, a narrower range, less than 40 % of the healthy force."""
    for name in ("tibialis_anterior", "biceps_brachii", "first_dorsal_interosseous"):
        healthy = Pool(**muscle_catalogue()[name]["pool"])
        muscle = MUSCLE.model_copy(update={"pool": healthy.model_copy(update={"n_units": 60})})
        pool = ill(UpperMotorNeuron(), body=healthy_body(muscle, 3)).muscle.pool
        assert peak_rates_hz(pool).max() <= 15
        assert pool.isi_cov < healthy.isi_cov
        assert pool.recruitment_range < healthy.recruitment_range
        assert maximal_force(pool) < 0.4 * maximal_force(muscle.pool)


def test_a_slow_muscle_does_not_become_fast_by_paresis() -> None:
    """The soleus peaks near 11 pps in health; the paretic one below."""
    healthy = Pool(**muscle_catalogue()["soleus"]["pool"]).model_copy(update={"n_units": 60})
    body = healthy_body(MUSCLE.model_copy(update={"pool": healthy}), 3)
    assert maximal_force(ill(UpperMotorNeuron(), body=body).muscle.pool) < maximal_force(healthy)


def test_a_poor_effort_is_a_trembling_part_of_what_is_asked() -> None:
    """Mean 0.3 of it, swinging by half at 6 Hz, of the same length; rest stays rest."""
    asked: list[Phase] = [
        Rest(duration_s=1),
        Hold(duration_s=4, level_mvc=0.5, ramp_s=0.5),
        Ramp(duration_s=2, from_mvc=0.2, to_mvc=0.6),
    ]
    given_ = conditioned_phases(asked, [PoorEffort(), PainfulEffort()])
    assert [p.duration_s for p in given_] == pytest.approx([1, 4, 2])
    assert given_[0] == asked[0]
    assert isinstance(given_[1], Points)
    times_s = np.arange(0, 7, 1e-3)
    effort, wanted = effort_at(given_, times_s), effort_at(asked, times_s)
    held = (times_s > 2) & (times_s < 5)
    assert effort[held].mean() == pytest.approx(0.15, rel=0.02)
    assert np.ptp(effort[held]) == pytest.approx(0.15, rel=0.03)
    spectrum = np.abs(np.fft.rfft(effort[held] - effort[held].mean()))
    assert np.argmax(spectrum) / 3.0 == pytest.approx(6.0, abs=0.4)
    assert np.all(effort <= 0.3 * 1.5 * wanted + 1e-3)


def test_without_a_poor_effort_the_patient_does_as_asked() -> None:
    """Pain and paresis act on the motor neurons, not on the will."""
    asked = (Hold(duration_s=4, level_mvc=0.5),)
    assert conditioned_phases(asked, [PainfulEffort(), UpperMotorNeuron()]) == asked


def test_an_aged_patient_has_an_aged_muscle() -> None:
    """The body is that of `aged`, whose force is the new unit of effort."""
    body = ill(Ageing(years=71))
    assert body.healthy == aged(MUSCLE, 71)
    assert len(body.units) == 36


def test_a_third_of_an_old_patients_fibres_hang_on_sprouts() -> None:
    """At 71 years, half as many more than at 30: these answer later, and as surely as others."""
    old, placed = ill(Ageing(years=71)), healthy_body(aged(MUSCLE, 71), 3)
    late_s = pooled(old, "delay_s") - pooled(placed, "delay_s")
    assert np.mean(late_s > 0) == pytest.approx(1 / 3, abs=0.02)
    assert late_s.min() == 0
    assert 1e3 * late_s[late_s > 0].mean() == pytest.approx(0.6, abs=0.05)
    np.testing.assert_array_equal(pooled(old, "jitter_s"), pooled(placed, "jitter_s"))
    assert bytes_of(ill(Ageing(years=30))) == bytes_of(HEALTHY)


# -- the force of what is left --------------------------------------------------------------------


def course(body: Body, *phases: Phase, seed: int = 1) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return force on the grid of 1 ms, and the trains, of a body."""
    epochs: list[Epoch] = list(
        discharge_epochs(
            body.muscle.pool,
            phases,
            seed,
            twitch_share=body.twitch_share,
            healthy=body.healthy.pool,
        )
    )
    trains = [np.concatenate(parts) for parts in zip(*(e.trains for e in epochs), strict=True)]
    return np.concatenate([epoch.force for epoch in epochs]), trains


def test_a_full_share_changes_no_byte() -> None:
    """Shares of 1 are the healthy pool."""
    phases = [Hold(duration_s=2, level_mvc=0.3)]
    plain = list(discharge_epochs(MUSCLE.pool, phases, 1))
    force, trains = course(HEALTHY, *phases)
    np.testing.assert_array_equal(force, np.concatenate([e.force for e in plain]))
    for train, parts in zip(trains, zip(*(e.trains for e in plain), strict=True), strict=True):
        np.testing.assert_array_equal(train, np.concatenate(parts))


def test_lost_units_are_silent_and_the_others_fire_faster_for_the_same_force() -> None:
    """Ten percent of the healthy force with half the axons: held, by fewer and quicker units."""
    body = ill(AxonalLoss(share=0.5, months=0))
    hold = Hold(duration_s=8, level_mvc=0.1)
    force, trains = course(body, hold)
    _, healthy = course(HEALTHY, hold)
    assert force[3000:].mean() == pytest.approx(0.1, abs=0.005)
    assert all(train.size == 0 for train in np.array(trains, object)[body.is_lost])
    fastest = [max(np.sum(train > 3) for train in found) for found in (trains, healthy)]
    assert fastest[0] > 1.1 * fastest[1]


def test_every_twitch_counts_by_its_share() -> None:
    """The force is the sum of all twitches times their shares, within 1e-12 at each step."""
    body = ill(AxonalLoss(share=0.5, months=6))
    force, trains = course(body, Hold(duration_s=1.5, level_mvc=0.2))
    now_s, total = np.arange(force.size) * 1e-3, np.zeros(force.size)
    peaks, times_s = twitches(MUSCLE.pool)
    for train, peak, contraction_s in zip(trains, body.twitch_share * peaks, times_s, strict=True):
        gains = twitch_gain(contraction_s / np.diff(train, prepend=-np.inf))
        for time_s, gain in zip(train, gains, strict=True):
            t = np.maximum(0.0, now_s - time_s) / contraction_s
            total += gain * peak * t * np.exp(1 - t) / maximal_force(MUSCLE.pool)
    np.testing.assert_allclose(force, total, rtol=0, atol=1e-12)


def test_the_drive_knows_what_is_left() -> None:
    """Without a look at the force, half the units still make the tenth that was asked for."""
    blind = HEALTHY.muscle.model_copy(
        update={"pool": HEALTHY.muscle.pool.model_copy(update={"tracking": "drive"})}
    )
    body = ill(AxonalLoss(share=0.5, months=0), body=replace(HEALTHY, muscle=blind))
    force, _ = course(body, Hold(duration_s=8, level_mvc=0.1))
    assert force[3000:].mean() == pytest.approx(0.1, rel=0.05)


def test_stronger_units_make_the_same_force_with_less_drive() -> None:
    """A year later the survivors have adopted: slower than just after the loss."""
    hold = Hold(duration_s=8, level_mvc=0.1)
    rates = []
    for months in (0, 18):
        force, trains = course(ill(AxonalLoss(share=0.5, months=months)), hold)
        assert force[3000:].mean() == pytest.approx(0.1, abs=0.005)
        rates.append(max(np.sum(train > 3) for train in trains))
    assert rates[1] < rates[0]


def test_an_effort_out_of_reach_gets_all_that_is_left() -> None:
    """With a fifth of the axons, half of the healthy force is not to be had."""
    body = ill(AxonalLoss(share=0.8, months=0))
    half, full = (course(body, Hold(duration_s=4, level_mvc=level))[0] for level in (0.5, 1.0))
    left = np.sum(body.twitch_share * HEALTHY.healthy_force) / HEALTHY.healthy_force.sum()
    assert half[2000:].mean() == pytest.approx(left, abs=0.08)
    assert half[2000:].mean() == pytest.approx(full[2000:].mean(), rel=0.05)


def test_a_complete_lesion_is_silence() -> None:
    """Whatever the effort, no discharge and no force, and no error."""
    force, trains = course(ill(AxonalLoss(share=1, months=1)), Hold(duration_s=2, level_mvc=1.0))
    assert not force.any()
    assert all(train.size == 0 for train in trains)


def test_a_paretic_effort_is_counted_in_healthy_force() -> None:
    """All that a paretic muscle can do is below 40 % of the healthy maximum."""
    force, _ = course(ill(UpperMotorNeuron()), Hold(duration_s=4, level_mvc=1.0))
    assert 0.1 < force[2000:].mean() < 0.4


@pytest.mark.parametrize("share", [np.ones(59), np.full(60, -0.1), np.full(60, np.nan)])
def test_shares_that_are_none_are_refused(share: np.ndarray) -> None:
    """One for each unit, none below zero."""
    with pytest.raises(ValueError, match=r"twitch_share: expected \(60,\), all >= 0"):
        discharge_epochs(MUSCLE.pool, [Hold(duration_s=1, level_mvc=0.1)], 1, twitch_share=share)


# -- the catalogue --------------------------------------------------------------------------------


def nerves() -> dict[str, dict[str, dict[str, object]]]:
    """Return the catalogue of nerves."""
    path = Path(emgsim.__file__).parent / "catalogue" / "nerves.toml"
    return tomllib.loads(path.read_text("utf-8"))


def test_every_root_weight_is_a_share() -> None:
    """They add up to 1, and no muscle stands in both catalogues."""
    muscles = nerves()["muscles"]
    assert not set(muscles) & set(muscle_catalogue())
    for name, entry in muscles.items():
        roots = entry["roots"]
        assert isinstance(roots, dict)
        assert sum(roots.values()) == pytest.approx(1.0), name
        assert set(entry) == {"nerve", "roots"}


def test_every_site_is_an_entrapment_of_known_muscles() -> None:
    """Its table fills an `Entrapment` but for what the scenario says."""
    known = {**nerves()["muscles"], **muscle_catalogue()}
    for name, site in nerves()["sites"].items():
        found = Entrapment(**site, share=0.5, weeks=4)
        assert set(found.muscles) <= set(known), name
        assert max(found.muscles.values()) == 1.0, name


def test_the_ulnar_nerve_at_the_elbow_spares_the_forearm_most() -> None:
    """FDI > ADM > deep flexors 4-5 > flexor carpi ulnaris, and no muscle of the median nerve."""
    shares = Entrapment(**nerves()["sites"]["ulnar_elbow"], share=0.5, weeks=4).muscles
    order = ["first_dorsal_interosseous", "abductor_digiti_minimi"]
    order += ["flexor_digitorum_profundus_4_5", "flexor_carpi_ulnaris"]
    assert [shares[name] for name in order] == sorted((shares[n] for n in order), reverse=True)
    assert "abductor_pollicis_brevis" not in shares
