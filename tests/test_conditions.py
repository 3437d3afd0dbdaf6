"""What conditions do at the needle: direction and size class of each, and rows of the table.

Each change is that of the mean over 40 MUAPs against the same patient in health, for five patients,
with its 95 % interval over the patients. Sites are those of an examiner: a unit that can be
recruited, the tip inside its healthy territory and 15 mm from the end plates, moved along its track
by 0.1 mm until the main spike rises within 500 us.

Size classes (H.0-H.11) and rows (O) are those of the project's physiological reference. Rows
A26-A28 and A58-A60 share their origin with the constants of the conditions: they are regression
tests and no validation.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import emgsim
from emgsim.measures import (
    MuapMeasures,
    RuleName,
    blocking_share,
    mean_consecutive_difference_us,
    muap_measures,
)
from emgsim.physiology.body import Body, healthy_body
from emgsim.physiology.conditions import apply, conditioned_phases
from emgsim.physiology.conditions.junctions import release_law
from emgsim.physiology.conditions.safety import transmission
from emgsim.physiology.discharges import discharge_epochs
from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import add_fibre_potentials
from emgsim.physiology.parameters import (
    ConcentricNeedle,
    Fibres,
    Hold,
    Macro,
    Muscle,
    Phase,
    Pool,
    TipPosition,
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
from emgsim.physiology.release import Terminals
from emgsim.scenario import muscle_catalogue
from emgsim.seeds import stream

pytestmark = pytest.mark.slow
Floats = np.ndarray

SEEDS = (1, 2, 3, 4, 5)
STUDENT = 2.776  # 97.5 % of Student's t for five patients
N_SITES = 40
RATE_HZ = 48_000.0
NEEDLE_MM = 15.0
STEP_MM = 0.1
CRISP_US = 500.0
INSIDE = 0.8
UPTAKE_MM = 0.6  # no fibre farther off makes a spike that rises within 500 us
MUSCLE = Muscle(  # units of H.0, a hundred of them: 69 fibres per mm2, as in the biceps
    name="generic",
    radius_mm=9.0,
    nerve="ulnar",
    roots={"C8": 0.6, "T1": 0.4},
    pool=Pool(n_units=100),
    fibres=Fibres(
        per_unit_smallest=176,
        per_unit_largest=176,
        diameter_smallest_unit_um=50.0,
        diameter_largest_unit_um=50.0,
        length_mm=100.0,
    ),
)
BICEPS = Muscle(name="biceps_brachii", **muscle_catalogue()["biceps_brachii"])
TERRITORY_MM = 4.0
LOW_EFFORT = 0.1  # of the healthy force: the fastest unit then fires at 12-15 pps (row A34)

MUSCLES = {"generic": MUSCLE, "biceps": BICEPS}
PATIENTS: dict[str, tuple[Condition, ...]] = {
    "healthy": (),
    "chronic": (AxonalLoss(share=2 / 3, months=24),),  # three times the fibres
    "early": (AxonalLoss(share=0.5, months=2),),
    "nascent": (AxonalLoss(share=1, months=4), NascentReinnervation(share=1, months=0.5)),
    "fresh loss": (AxonalLoss(share=0.7, months=0),),
    "block": (ConductionBlock(share=0.5),),
    "motor neuron disease": (MotorNeuronDisease(months=18),),
    "radiculopathy": (Radiculopathy(root="C8", share=0.5, weeks=104),),
    "entrapment": (Entrapment(nerve="ulnar", share=0.6, weeks=78),),
    "myopathy": (Myopathy(loss=0.5, diameter_um=48),),
    "severe myopathy": (Myopathy(loss=0.7),),
    "myositis": (Myositis(loss=0.5, diameter_um=48),),
    "myasthenia": (Myasthenia(),),
    "severe myasthenia": (Myasthenia(safety_share=0.35),),
    "lems": (Lems(),),
    "botulinum": (Botulinum(weeks=3),),
    "myotonia": (Myotonia(),),
    "upper motor neuron": (UpperMotorNeuron(),),
    "pain": (PainfulEffort(),),
    "poor effort": (PoorEffort(),),
    "ageing": (Ageing(years=71),),
}


# -- an examination --------------------------------------------------------------------------------


@cache
def patient(name: str, seed: int, muscle: str = "generic") -> Body:
    """Return the body of one of `PATIENTS`."""
    if name != "healthy":
        return apply(PATIENTS[name], patient("healthy", seed, muscle), seed)
    return healthy_body(MUSCLES[muscle], seed)


def potential_uv(
    unit: UnitFibres, tip: TipPosition, electrode: ConcentricNeedle | Macro | None = None
) -> Floats:
    """Return a unit's potential at the electrode's first channel, until its last fibre is done."""
    run_mm = np.maximum(*unit.half_lengths_mm) + 16.0
    last_s = np.max(unit.delay_s + 1e-3 * run_mm / unit.velocity_m_s)
    wave = np.zeros(int(RATE_HZ * last_s))
    heard = channels(electrode or ConcentricNeedle(), tip)[0]
    add_fibre_potentials(wave, RATE_HZ, heard, MUSCLE.medium, unit)
    return wave


def tips(seed: int) -> Iterator[tuple[float, Iterator[float]]]:
    """Yield tracks through a territory about the origin: x, and every y on the way down."""
    rng, reach_mm = stream(seed, "sites"), INSIDE * TERRITORY_MM
    while True:
        r, angle = reach_mm * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        x_mm, y_mm = r * np.cos(angle), r * np.sin(angle)
        yield x_mm, iter(np.arange(y_mm, -np.sqrt(reach_mm**2 - x_mm**2), -STEP_MM))


def one_discharge(unit: UnitFibres, rng: np.random.Generator) -> UnitFibres:
    """Return the fibres that a single discharge excites, each when it does."""
    late_s = unit.jitter_s * rng.standard_normal(unit.n_fibres)
    passes = rng.uniform(size=unit.n_fibres) >= unit.block_probability
    return replace(unit, delay_s=unit.delay_s + late_s).subset(passes)


class Site(NamedTuple):
    """One unit of a patient with the tip at an accepted place."""

    unit: UnitFibres
    tip: TipPosition
    found: MuapMeasures


@cache
def sites(name: str, seed: int) -> tuple[Site, ...]:
    """Return accepted sites in one patient; MUAPs are those of single discharges."""
    body, found = patient(name, seed), list[Site]()
    chance = stream(seed, "transmission")
    able = np.flatnonzero(~body.is_lost)
    for order, (x_mm, ys_mm) in zip(
        np.resize(stream(seed, "units").permutation(able), 40 * N_SITES), tips(seed), strict=False
    ):
        unit, own = body.units[order], patient("healthy", seed).units[order]
        x0_mm, y0_mm = own.x_mm.mean(), own.y_mm.mean()
        for y_mm in ys_mm:
            tip = TipPosition(x_mm=x0_mm + x_mm, y_mm=y0_mm + y_mm, z_mm=NEEDLE_MM)
            if np.hypot(unit.x_mm - tip.x_mm, unit.y_mm - tip.y_mm).min() > UPTAKE_MM:
                continue
            excited = one_discharge(unit, chance)
            if excited.n_fibres == 0:
                continue
            measures = muap_measures(potential_uv(excited, tip), RATE_HZ)
            if measures.rise_time_us <= CRISP_US:
                found.append(Site(unit, tip, measures))
                break
        if len(found) == N_SITES:
            return tuple(found)
    raise AssertionError(f"only {len(found)} sites of {name}")


class Change(NamedTuple):
    """A mean over five patients, and its 95 % interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Change:
    """Return the mean of one value per patient with its interval."""
    half = STUDENT * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Change(
        float(np.mean(values)), float(np.mean(values) - half), float(np.mean(values) + half)
    )


def mean_of(name: str, measure: str, seed: int, rule: RuleName = "dur_5_5") -> float:
    """Return the mean of a measure over a patient's sites."""
    found = (site.found for site in sites(name, seed))
    if rule != "dur_5_5":
        found = (
            muap_measures(potential_uv(site.unit, site.tip), RATE_HZ, rule=rule)
            for site in sites(name, seed)
        )
    return float(np.mean([getattr(one, measure) for one in found]))


def ratio(name: str, measure: str, rule: RuleName = "dur_5_5") -> Change:
    """Return the change of a measure against health, as a share of it: 0.2 is + 20 %."""
    pairs = [[mean_of(who, measure, s, rule) for who in (name, "healthy")] for s in SEEDS]
    return interval([ill / well - 1 for ill, well in pairs])


def shift(name: str, measure: str, rule: RuleName = "dur_5_5") -> Change:
    """Return the change of a measure against health, in its own unit."""
    pairs = [[mean_of(who, measure, s, rule) for who in (name, "healthy")] for s in SEEDS]
    return interval([ill - well for ill, well in pairs])


def value(name: str, measure: str) -> Change:
    """Return a measure itself."""
    return interval([mean_of(name, measure, seed) for seed in SEEDS])


def macro_uv(name: str, seed: int, n: int = 20) -> float:
    """Return the mean macro amplitude at a patient's first sites."""
    return float(
        np.mean([np.ptp(potential_uv(s.unit, s.tip, Macro())) for s in sites(name, seed)[:n]])
    )


def macro_ratio(name: str) -> Change:
    """Return the change of the macro amplitude against health."""
    return interval([macro_uv(name, s) / macro_uv("healthy", s) - 1 for s in SEEDS])


# -- jitter ----------------------------------------------------------------------------------------


def pairs_s(name: str, seed: int, n_pairs: int = 60) -> list[Floats]:
    """Return the intervals of a patient's fibre pairs over 100 discharges; NaN: one was blocked."""
    body, rng = patient(name, seed), stream(seed, "pairs")
    able = np.flatnonzero(~body.is_lost)
    found = []
    for order in rng.choice(able, n_pairs):
        unit = body.units[order]
        pair = rng.choice(unit.n_fibres, 2, replace=False)
        late_s = unit.jitter_s[pair] * rng.standard_normal((100, 2))
        is_blocked = rng.uniform(size=(100, 2)) < unit.block_probability[pair]
        found.append(np.where(is_blocked.any(axis=1), np.nan, late_s[:, 0] - late_s[:, 1]))
    return found


def mcd_us(name: str) -> Change:
    """Return the mean MCD of 60 pairs in each patient."""
    return interval(
        [np.nanmean([mean_consecutive_difference_us(p) for p in pairs_s(name, s)]) for s in SEEDS]
    )


def blocking_pairs(name: str) -> Change:
    """Return the share of pairs with a block."""
    return interval([np.mean([blocking_share(p) > 0 for p in pairs_s(name, s)]) for s in SEEDS])


def jiggle(name: str) -> Change:
    """Return how much a MUAP differs from one discharge to the next, over its own mean size.

    Both are means of absolute values over its course (after Stalberg & Sonoo 1994).
    """

    def of(site: Site, chance: np.random.Generator) -> float:
        waves = [potential_uv(one_discharge(site.unit, chance), site.tip) for _ in range(6)]
        n = max(wave.size for wave in waves)
        course = np.array([np.pad(wave, (0, n - wave.size)) for wave in waves])
        return float(np.abs(np.diff(course, axis=0)).mean() / np.abs(course).mean())

    return interval(
        [np.mean([of(site, stream(s, "jiggle")) for site in sites(name, s)[:15]]) for s in SEEDS]
    )


def responses(name: str, times_s: Floats, seed: int) -> Floats:
    """Return the share of a patient's fibres that answer each of some stimuli, after rest."""
    law = release_law(PATIENTS[name])
    assert law is not None
    factors = Terminals(law).factors(times_s)
    blocked = [transmission(unit, factors)[1] for unit in patient(name, seed).units]
    return 1 - np.concatenate(blocked, axis=1).mean(axis=1)


# -- an effort -------------------------------------------------------------------------------------


class Effort(NamedTuple):
    """What a body does in an effort, after it has settled."""

    rates_hz: Floats  # (n_units,)
    force: float


@cache
def effort(name: str, seed: int, muscle: str, level: float, hold_s: float = 7.0) -> Effort:
    """Return the rates and the force of a patient who is asked for a level of healthy force."""
    body = patient(name, seed, muscle)
    asked: list[Phase] = [Hold(duration_s=hold_s, level_mvc=level)]
    epochs = list(
        discharge_epochs(
            body.muscle.pool,
            conditioned_phases(asked, PATIENTS[name]),
            seed,
            twitch_share=body.twitch_share,
            healthy=body.healthy.pool,
        )
    )
    trains = [np.concatenate(parts) for parts in zip(*(e.trains for e in epochs), strict=True)]
    settled = [train[train > 2.0] for train in trains]
    rates = [(t.size - 1) / (t[-1] - t[0]) if t.size > 3 else 0.0 for t in settled]
    return Effort(
        rates_hz=np.array(rates),
        force=float(np.concatenate([e.force for e in epochs])[2000:].mean()),
    )


class Heard(NamedTuple):
    """Means over tips at which a unit is heard."""

    fastest_hz: float
    n_units: float


@cache
def heard(name: str, seed: int, level: float = LOW_EFFORT, n_tips: int = 20) -> Heard:
    """Return the rate of the fastest and the number of units heard at a tip, biceps.

    A unit counts by the rule by which its MUAP is accepted: it rises within 500 us (F.1), and to
    more than 50 uV.
    """
    rng, body = stream(seed, "tips"), patient(name, seed, "biceps")
    rates_hz, found = effort(name, seed, "biceps", level).rates_hz, []
    for _ in range(n_tips):
        r, angle = 0.7 * BICEPS.radius_mm * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        tip = TipPosition(x_mm=r * np.cos(angle), y_mm=r * np.sin(angle), z_mm=NEEDLE_MM)
        near = [order for order in np.flatnonzero(rates_hz) if is_crisp(body.units[order], tip)]
        if near:
            found.append((rates_hz[near].max(), len(near)))
    fastest_hz, n_units = np.mean(found, axis=0)
    return Heard(float(fastest_hz), float(n_units))


def is_crisp(unit: UnitFibres, tip: TipPosition) -> bool:
    """Return whether an examiner would accept a unit's MUAP."""
    if np.hypot(unit.x_mm - tip.x_mm, unit.y_mm - tip.y_mm).min() > UPTAKE_MM:
        return False
    found = muap_measures(potential_uv(unit, tip), RATE_HZ)
    return found.rise_time_us <= CRISP_US and found.amplitude_uv > 50


def recruitment_ratio(name: str, level: float = LOW_EFFORT) -> Change:
    """Return the mean rate of the fastest unit over the mean number of units, at low effort."""
    per_patient = [heard(name, seed, level) for seed in SEEDS]
    return interval([one.fastest_hz / one.n_units for one in per_patient])


def early_recruitment(name: str, level: float) -> Change:
    """Return how many times as many units are active as in health, for the same force, biceps."""

    def n_active(who: str, seed: int) -> float:
        return float(np.sum(effort(who, seed, "biceps", level).rates_hz > 0))

    return interval([n_active(name, seed) / n_active("healthy", seed) for seed in SEEDS])


# -- root lesions ----------------------------------------------------------------------------------

ROOT_WEEKS = 5.0
ROOT_SHARES = (0.2, 0.5)  # of a root's axons, in lesions that came to surgery; 0.1-0.5 [P]
FIBRILLATING_FROM = 0.10  # of the fibres denervated: found positive. Fitted, as the weights are
N_LESIONS = 60


def nerve_catalogue() -> dict[str, dict[str, dict[str, object]]]:
    """Return nerve and roots of all muscles of both catalogues."""
    path = Path(emgsim.__file__).parent / "catalogue" / "nerves.toml"
    return {**tomllib.loads(path.read_text("utf-8"))["muscles"], **muscle_catalogue()}


@cache
def positive_share(root: str, muscle: str) -> float:
    """Return the share of lesions of a root after which a muscle fibrillates."""
    small = Muscle(
        name=muscle,
        radius_mm=5.0,
        roots=nerve_catalogue()[muscle]["roots"],
        pool=Pool(n_units=80),
        fibres=Fibres(per_unit_smallest=12, per_unit_largest=12, length_mm=60.0),
    )
    found = []
    for seed in range(N_LESIONS):
        share = stream(seed, "lesion").uniform(*ROOT_SHARES)
        lesion = Radiculopathy(root=root, share=share, weeks=ROOT_WEEKS)
        body = apply([lesion], healthy_body(small, seed), seed) if root in small.roots else None
        found.append(body is not None and body.denervated_share > FIBRILLATING_FROM)
    return float(np.mean(found))


# -- nerves ----------------------------------------------------------------------------------------


def test_a26_chronic_reinnervation() -> None:
    """Three times the fibres: amplitude + 80-250 %, size index + 0.6, duration + 10-50 %."""
    assert 0.8 < ratio("chronic", "amplitude_uv").mean < 2.5
    assert shift("chronic", "size_index").low > 0.6
    duration = ratio("chronic", "duration_ms")
    assert 0.1 < duration.low < duration.high < 0.5


def test_chronic_reinnervation_is_large_mature_and_strong() -> None:
    """H.0, H.1: area and macro amplitude about doubled, hardly any block."""
    assert 0.8 < ratio("chronic", "area_uv_ms").mean < 2.5
    assert 0.69 < macro_ratio("chronic").mean < 1.7
    assert blocking_pairs("chronic").mean < 0.02
    assert patient("chronic", 1).twitch_share.max() > 2.5


def test_chronic_reinnervation_is_often_polyphasic() -> None:
    """H.1: 20-40 % of the MUAPs, and more of them than in health."""
    assert 0.2 < value("chronic", "is_polyphasic").mean < 0.4
    assert shift("chronic", "is_polyphasic").low > 0


def test_a28_early_reinnervation() -> None:
    """Phases > 5, duration + 30-100 %, mean MCD > 60 us, amplitude within 30 % of health."""
    phases, duration = value("early", "phases"), ratio("early", "duration_ms")
    assert phases.low > 5
    assert 0.3 < duration.low < duration.high < 1.0
    assert mcd_us("early").low > 60
    assert abs(ratio("early", "amplitude_uv").mean) < 0.3


def test_early_reinnervation_is_unstable_and_matures() -> None:
    """H.1: unsteady from discharge to discharge, some pairs block, both pass within two years."""
    assert jiggle("early").low > jiggle("healthy").high
    assert blocking_pairs("early").low > 0
    assert mcd_us("chronic").high < mcd_us("early").low


def test_nascent_units_are_small_short_and_shaky() -> None:
    """H.0: amplitude -65 %, duration -55 %, size index below zero, macro near nothing."""
    assert ratio("nascent", "amplitude_uv").high < -0.5
    assert ratio("nascent", "duration_ms").high < -0.4
    assert value("nascent", "size_index").high < 0
    assert macro_ratio("nascent").high < -0.85
    assert mcd_us("nascent").low > 60


def test_motor_neuron_disease_is_large_polyphasic_and_goes_on() -> None:
    """H.7: MUAPs grow and are polyphasic, pairs unsteady, and fresh orphans fibrillate."""
    name = "motor neuron disease"
    assert ratio(name, "amplitude_uv").low > 0.3
    assert shift(name, "is_polyphasic").low > 0.1
    assert mcd_us(name).low > mcd_us("chronic").high
    assert jiggle(name).low > jiggle("healthy").high
    assert patient(name, 1).fibrillates.sum() > patient("chronic", 1).fibrillates.sum()


@pytest.mark.parametrize("name", ["radiculopathy", "entrapment"])
def test_old_lesions_of_root_and_nerve_leave_large_units(name: str) -> None:
    """H.8, H.9: as axonal loss of the share that the root or nerve has in the muscle."""
    assert ratio(name, "area_uv_ms").low > 0.1
    assert shift(name, "size_index").low > 0.1
    assert patient(name, 1).is_lost.mean() == pytest.approx(
        {"radiculopathy": 0.3, "entrapment": 0.6}[name], abs=0.01
    )


@pytest.mark.parametrize("name", ["block", "fresh loss"])
def test_axons_just_lost_or_blocked_leave_the_other_muaps_as_they_were(name: str) -> None:
    """H.1 at once, H.2: nothing is denervated yet, and MUAPs are those of health."""
    for measure in ("amplitude_uv", "duration_ms", "area_uv_ms"):
        change = ratio(name, measure)
        assert change.low < 0 < change.high, measure
    assert not patient(name, 1).fibrillates.any()


def test_a58_an_l5_lesion() -> None:
    """PL, TP, TFL, EDB fibrillate in > 80 %, the short head of the biceps femoris in < 10 %."""
    l5 = ("peroneus_longus", "tibialis_posterior", "tensor_fasciae_latae")
    assert all(positive_share("L5", m) > 0.8 for m in (*l5, "extensor_digitorum_brevis"))
    assert positive_share("L5", "biceps_femoris_short") < 0.1


def test_a59_an_s1_lesion() -> None:
    """Both heads of the biceps femoris and the gastrocnemius in > 80 %, TP in < 25 %."""
    s1 = ("biceps_femoris_long", "biceps_femoris_short", "gastrocnemius_lateralis")
    assert all(positive_share("S1", m) > 0.8 for m in (*s1, "gastrocnemius_medialis"))
    assert positive_share("S1", "tibialis_posterior") < 0.25


def test_a60_a_c7_lesion() -> None:
    """Triceps and FCR in > 90 %, pronator teres in 20-60 % (Furukawa 2021, Levin 1996)."""
    assert positive_share("C7", "triceps_brachii") > 0.9
    assert positive_share("C7", "flexor_carpi_radialis") > 0.9
    assert 0.2 < positive_share("C7", "pronator_teres") < 0.6


def test_a60_the_long_extensor_in_a_c7_lesion() -> None:
    """EDC in 30-60 % (Furukawa 2021: 4 of 9)."""
    assert 0.3 < positive_share("C7", "extensor_digitorum") < 0.6


# -- fibres ----------------------------------------------------------------------------------------


def test_a27_myopathy() -> None:
    """Half of the fibres lost: duration -20 to -45 %, amplitude -25 to -60 %, thickness down.

    The rule of duration is that of the row's own run, 10 uV and 10 uV/ms. By dur_5_5 the duration
    falls by 14 %: the slow waves of thin fibres stay above 5 uV.
    """
    duration = ratio("myopathy", "duration_ms", "dur_10_10")
    assert -0.45 < duration.low < duration.high < -0.2
    assert -0.6 < ratio("myopathy", "amplitude_uv").mean < -0.25
    assert shift("myopathy", "thickness_ms", "dur_10_10").high < 0


@pytest.mark.parametrize("name", ["myopathy", "myositis"])
def test_myopathies_make_small_polyphasic_muaps(name: str) -> None:
    """H.3, H.4: duration down by any rule, size index by 0.5 or more, polyphasic share up."""
    assert ratio(name, "duration_ms").high < -0.05
    assert shift(name, "size_index").high < -0.5
    assert shift(name, "is_polyphasic").low > 0.05
    assert 0.25 < value(name, "is_polyphasic").mean < 0.5


def test_myopathic_end_plates_are_mildly_unsteady() -> None:
    """H.3: sigma of 20-35 us, so a mean MCD of 32-56; block in 0-5 %."""
    mcd = mcd_us("myopathy")
    assert 32 < mcd.low < mcd.high < 56
    assert blocking_pairs("myopathy").mean <= 0.05


def test_only_myositis_fibrillates() -> None:
    """H.4: separated ends; a plain myopathy has no denervated fibre."""
    assert patient("myositis", 1).fibrillates.sum() > 10
    assert patient("myopathy", 1).orphans.n_fibres == 0


def test_ageing_makes_muaps_a_little_larger_and_longer() -> None:
    """A.1, F.1: half as many fibres more at 71 years; duration grows, amplitude does not fall.

    By 0.03 ms a year; published are 0.04 in the biceps, where it is the same here.
    """
    per_year = shift("ageing", "duration_ms").mean / (71 - 30)
    assert 0.02 < per_year < 0.05
    assert ratio("ageing", "duration_ms").low > 0
    assert abs(mcd_us("ageing").mean - mcd_us("healthy").mean) < 3
    assert ratio("ageing", "area_uv_ms").low > 0
    assert ratio("ageing", "amplitude_uv").high > 0


# -- end plates ------------------------------------------------------------------------------------


def test_a45_jitter_in_myasthenia() -> None:
    """Mean MCD > 45 us (AAEE 25: 50-120)."""
    mcd = mcd_us("myasthenia")
    assert 45 < mcd.low < mcd.high < 120


def test_myasthenia_shows_in_pairs_and_not_in_the_mean_muap() -> None:
    """H.5: 5-40 % of pairs block, the MUAP jiggles; it is hardly smaller, and slightly short."""
    assert 0.05 < blocking_pairs("myasthenia").mean < 0.4
    assert jiggle("myasthenia").low > 2 * jiggle("healthy").high
    assert abs(ratio("myasthenia", "amplitude_uv").mean) < 0.1
    duration = ratio("myasthenia", "duration_ms")
    assert -0.05 < duration.low < duration.mean <= 0


def test_severe_myasthenia_makes_muaps_small_and_slightly_short_but_not_polyphasic() -> None:
    """H.5: where a fifth of the fibres fail, size and duration fall, unlike a myopathy's shape."""
    duration = ratio("severe myasthenia", "duration_ms")
    assert -0.15 < duration.low < duration.high < 0
    assert ratio("severe myasthenia", "area_uv_ms").high < -0.1
    assert jiggle("severe myasthenia").low > jiggle("myasthenia").high
    assert shift("severe myasthenia", "is_polyphasic").high < 0.05


def test_a45_the_decrement_of_myasthenia() -> None:
    """H.5, A45: at 3 Hz the response falls, least at the fourth or fifth; by >= 10 % if severe."""
    train_s = np.arange(10) / 3
    for name, least in (("myasthenia", 0.01), ("severe myasthenia", 0.1)):
        response = np.mean([responses(name, train_s, seed) for seed in SEEDS], axis=0)
        assert np.all(np.diff(response[:4]) < 0), name
        assert np.argmin(response) in {3, 4}, name
        fall = interval([1 - r[3] / r[0] for r in (responses(name, train_s, s) for s in SEEDS)])
        assert fall.low > least, name


def test_an_effort_mends_the_decrement_for_a_moment() -> None:
    """H.5: after 10 s at 20 Hz the fifth response at 3 Hz is larger than in rest."""
    train_s = np.arange(5) / 3
    after_s = np.concatenate([np.arange(200) / 20, 10.5 + train_s])
    for seed in SEEDS:
        rested = responses("severe myasthenia", train_s, seed)
        assert responses("severe myasthenia", after_s, seed)[-1] > 1.02 * rested[-1]


@pytest.mark.parametrize("name", ["lems", "botulinum"])
def test_presynaptic_disorders_fall_at_low_rates_and_grow_at_high_ones(name: str) -> None:
    """H.5, A46: a first response of 10-50 %, less at 3 Hz, >= 60 % more after 10 s at 50 Hz."""
    slow_s, quick_s = np.arange(5) / 3, np.arange(500) / 50
    changes = []
    for seed in SEEDS:
        first, *_, last = responses(name, quick_s, seed)
        assert 0.1 < first < 0.5
        assert responses(name, slow_s, seed)[3] < 0.9 * first
        changes.append(last / first - 1)
    assert interval(changes).low > 0.6


@pytest.mark.parametrize("name", ["lems", "botulinum"])
def test_presynaptic_disorders_make_muaps_small_and_block_most_pairs(name: str) -> None:
    """H.5, L: fewer fibres at each discharge, so smaller MUAPs; most pairs block."""
    assert ratio(name, "amplitude_uv").high < -0.1
    assert ratio(name, "area_uv_ms").high < -0.2
    assert blocking_pairs(name).low > 0.5
    assert patient(name, 1).strength.mean() < 0.8


# -- the will, and recruitment ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["myotonia", "upper motor neuron", "pain", "poor effort"])
def test_what_acts_on_the_will_or_at_rest_changes_no_muap(name: str) -> None:
    """H.6, H.10: not a byte of the fibres."""
    for ill, well in zip(patient(name, 1).units, patient("healthy", 1).units, strict=True):
        np.testing.assert_array_equal(ill.delay_s, well.delay_s)
        np.testing.assert_array_equal(ill.velocity_m_s, well.velocity_m_s)


def test_a35_recruitment_in_health_and_myopathy() -> None:
    """Fastest rate over number of units: 3-5.5 in health, < 3.5 in myopathy, where more are heard.

    At low effort, where the fastest unit of the healthy pool fires at 13 pps.
    """
    assert 3 < recruitment_ratio("healthy").mean < 5.5
    assert recruitment_ratio("myopathy").high < 3.5
    n_units = [np.mean([heard(who, s).n_units for s in SEEDS]) for who in ("myopathy", "healthy")]
    assert n_units[0] > 1.3 * n_units[1]


def test_a35_recruitment_after_the_loss_of_70_percent() -> None:
    """> 8 where 70 % of the axons are lost."""
    assert recruitment_ratio("fresh loss").mean > 8


def test_lost_or_blocked_axons_reduce_recruitment() -> None:
    """H.1, H.2: fewer units at a higher rate, the more the more are missing."""
    healthy, block, loss = (recruitment_ratio(n) for n in ("healthy", "block", "fresh loss"))
    assert block.low > healthy.high
    assert loss.low > block.high
    assert heard("fresh loss", 1).fastest_hz > 1.2 * heard("healthy", 1).fastest_hz


@pytest.mark.parametrize("name", ["myopathy", "severe myopathy"])
def test_myopathy_recruits_early(name: str) -> None:
    """H.3: 2-3 times as many units at the needle at 5-10 % of the healthy force, a ratio below 3.

    Half of the fibres lost, or 70 %.
    """
    for level in (0.05, 0.1):
        more = interval(
            [heard(name, s, level).n_units / heard("healthy", s, level).n_units for s in SEEDS]
        )
        assert 2 < more.mean < 3, level
        assert more.low > 1.5, level
        assert recruitment_ratio(name, level).high < 3, level


def test_myopathy_recruits_early_in_the_whole_pool() -> None:
    """H.3, for the same newtons: 1.5 times as many units and more, 2-3 times at a loss of 70 %.

    Twice the force takes only 1.45 times as many of a healthy pool in order of size (A.2), since
    later units are stronger.
    """
    for level in (0.05, 0.1):
        assert early_recruitment("myopathy", level).low > 1.5
        severe = early_recruitment("severe myopathy", level)
        assert 2 < severe.low < severe.high < 3


def test_a37_a_painful_effort() -> None:
    """The same force: rates -12 to -18 % or -1.0 +- 0.4 pps (Tucker 2009, Farina 2004), new units.

    Fibres, and with them their velocity, are unchanged.
    """
    for level in (0.05, 0.1):
        changes = []
        for seed in SEEDS:
            ill, well = (effort(who, seed, "biceps", level, 12.0) for who in ("pain", "healthy"))
            both = (ill.rates_hz > 0) & (well.rates_hz > 0)
            changes.append(ill.rates_hz[both].mean() / well.rates_hz[both].mean() - 1)
            assert ill.force == pytest.approx(well.force, rel=0.01)
            assert np.sum(ill.rates_hz > 0) > np.sum(well.rates_hz > 0)
        change = interval(changes)
        assert -0.18 < change.low < change.high < -0.12


def test_an_upper_motor_neuron_lesion_keeps_rates_low() -> None:
    """A.4: whatever is asked, peaks of 8-15 pps, and less force than 40 % of health."""
    for level in (0.1, 0.3, 1.0):
        found = effort("upper motor neuron", 1, "biceps", level)
        assert found.rates_hz.max() < 15.5
    assert found.force < 0.4
    assert recruitment_ratio("upper motor neuron").mean < recruitment_ratio("healthy").high


def test_a_poor_effort_has_slow_units_and_little_force() -> None:
    """H.10: rates of 5-10 pps, a third of the force that was asked for, recruitment not reduced."""
    found = effort("poor effort", 1, "biceps", 0.1)
    assert found.force == pytest.approx(0.03, abs=0.005)
    active = found.rates_hz[found.rates_hz > 0]
    assert 5 < active.mean() < 10
    assert active.max() < effort("healthy", 1, "biceps", 0.1).rates_hz.max()
