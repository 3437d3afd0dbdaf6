"""What findings mean: each axis on findings whose meaning is plain; honest where they say less."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.analysis.axes import AXES, axes_of, stability_measures
from emgsim.errors import InputError
from emgsim.recording import AxisFinding, Event, Findings, FoundRun, FoundUnit
from emgsim.references import reference

BICEPS = reference("biceps_brachii")
REST = (Event(kind="rest", onset_s=0.0, offset_s=4.0),)
NORMAL, LARGE, SMALL = (420.0, 8.4, 3.0), (1200.0, 12.0, 5.0), (180.0, 6.0, 4.0)
SPROUTING = (430.0, 14.0, 7.0)  # three months after axons were lost: long, not large
PATTERNS = {  # fastest and units of a slight effort; amplitude, evenness and pace of the strongest
    "normal": (10.0, 6.5, 700.0, 0.62, 31.0),
    "reduced": (15.0, 5.0, 550.0, 0.46, 31.0),
    "early": (13.0, 7.0, 315.0, 0.60, 31.0),
    "sprouting": (10.6, 3.0, 480.0, 0.55, 31.0),  # reduced, its spikes small and in pieces
    "doubtful": (10.5, 4.5, 480.0, 0.60, 31.0),  # small for sprouts, slow for a myopathy
    "poor_effort": (8.6, 6.0, 460.0, 0.30, 6.5),
}


def unit(shape: tuple[float, float, float] = NORMAL, **measures: float) -> FoundUnit:
    """A unit of amplitude, duration and phases, near the needle and often seen."""
    amplitude_uv, duration_ms, phases = shape
    return FoundUnit(
        id=1,
        discharge_times_s=np.arange(0.0, 6.0, 0.1),
        muap_uv=np.zeros((0, 1)),
        muap_start_s=0.0,
        measures={
            "amplitude_uv": amplitude_uv,
            "duration_ms": duration_ms,
            "phases": phases,
            "rise_time_us": 300.0,
            **measures,
        },
    )


def run(kind: str, probability: float = 1.0, seconds: float = 3.0) -> FoundRun:
    """Activity at rest."""
    return FoundRun(
        kind=kind,
        onset_s=0.0,
        offset_s=seconds,
        discharge_times_s=np.arange(0.0, seconds, 0.1),
        potential_uv=np.zeros((0, 1)),
        potential_start_s=0.0,
        probability=probability,
    )


def pattern(name: str) -> list[Findings]:
    """Findings of a slight and of the strongest effort, in rows only."""
    fastest_hz, units, amplitude_uv, evenness, pace = PATTERNS[name]
    slight = {"recruitment.fastest_hz": fastest_hz, "recruitment.active_units": units}
    strong = {
        "interference.turns_per_s": 1000.0,
        "interference.mean_amplitude_uv": amplitude_uv,
        "interference.evenness": evenness,
        "interference.pace_hz": pace,
    }
    return [
        Findings(
            units=(),
            measures=tuple(
                {"id": key, "value": value, "unit": "1", "low": None, "high": None}
                for key, value in rows.items()
            ),
        )
        for rows in (slight, strong)
    ]


def told(*findings: Findings, **how) -> dict[str, AxisFinding]:
    """The axes by their names."""
    return {axis.axis: axis for axis in axes_of(findings, BICEPS, **how)}


def test_probabilities_of_every_axis_add_up_to_one() -> None:
    """All values of the axis have one, and the largest names the value."""
    units = tuple(unit(mcd_us=30.0, widest_jiggle_us=20.0) for _ in range(6))
    found = told(Findings(units=units, events=REST), *pattern("normal"))
    assert set(found) == set(AXES)
    for axis in found.values():
        assert tuple(axis.probabilities) == AXES[axis.axis]
        assert sum(axis.probabilities.values()) == pytest.approx(1)
        assert axis.probabilities[axis.value] == max(axis.probabilities.values())
        assert all(np.isfinite(value) for value in axis.because.values())


def test_a_healthy_muscle_is_normal_on_every_axis() -> None:
    """Normal MUAPs and pattern, steady, quiet."""
    units = tuple(unit(mcd_us=28.0, widest_jiggle_us=17.0) for _ in range(8))
    found = told(Findings(units=units, events=REST), *pattern("normal"))
    values = [found[axis].value for axis in AXES]
    assert values == ["no", "normal", "normal", "stable", "none"]


@pytest.mark.parametrize(
    ("shapes", "value"),
    [
        ([NORMAL] * 8, "normal"),
        ([NORMAL] * 7 + [LARGE], "normal"),
        ([LARGE] * 6 + [NORMAL] * 2, "neurogenic"),
        ([SPROUTING] * 6 + [NORMAL] * 2, "neurogenic"),
        ([SMALL] * 6 + [NORMAL] * 2, "myopathic"),
        ([SMALL] * 8 + [LARGE] * 8, "mixed"),
    ],
    ids=["normal", "one outlier", "large", "sprouting", "small", "both"],
)
def test_the_muscle_is_the_mixture_that_its_muaps_are(shapes, value: str) -> None:
    """Large, long and small ones, alone and together; one outlier does not make a disease."""
    found = told(Findings(units=tuple(unit(shape) for shape in shapes)))
    assert found["muap_type"].value == value


def test_more_muaps_make_it_surer() -> None:
    """Three, six and twelve large MUAPs: a growing probability."""
    sure = [
        told(Findings(units=tuple(unit(LARGE) for _ in range(n))))["muap_type"].probabilities[
            "neurogenic"
        ]
        for n in (3, 6, 12)
    ]
    assert sure == sorted(sure)


def test_far_rare_short_or_unsure_muaps_do_not_count() -> None:
    """A rise of 900 us, eight discharges, 3 ms as of one fibre, or a confidence of 0.7."""
    few = FoundUnit(
        id=2,
        discharge_times_s=np.arange(8.0),
        muap_uv=np.zeros((0, 1)),
        muap_start_s=0.0,
        measures=unit().measures,
    )
    unsure = replace(unit(), confidence=np.full(60, 0.7))
    sure = replace(unit(), confidence=np.full(60, 0.9))
    far, short = unit(SMALL, rise_time_us=900.0), unit(SMALL, duration_ms=3.0)
    found = told(Findings(units=(unit(), unit(), sure, few, unsure, far, short)))
    assert found["muap_type"].because["muaps"] == 3


@pytest.mark.parametrize("name", AXES["recruitment"])
def test_recruitment_is_told_by_rates_units_and_pattern(name: str) -> None:
    """Each of the four patterns is told as itself."""
    assert told(*pattern(name))["recruitment"].value == name


def test_sprouts_make_neither_muaps_nor_pattern_myopathic() -> None:
    """What is long and in pieces is neurogenic, and a small pattern with gaps is a reduced one."""
    muaps = told(Findings(units=tuple(unit(SPROUTING) for _ in range(6))))["muap_type"]
    assert muaps.probabilities["neurogenic"] > 0.93
    assert told(*pattern("sprouting"))["recruitment"].probabilities["reduced"] > 0.7


@pytest.mark.parametrize(("shape", "low", "high"), [(SMALL, 0.8, 1.0), (LARGE, 0.0, 0.3)])
def test_large_units_are_not_recruited_early(shape, low: float, high: float) -> None:
    """A pattern in doubt is early beside small MUAPs, and not beside large and long ones."""
    units = Findings(units=tuple(unit(shape) for _ in range(6)))
    assert low <= told(units, *pattern("doubtful"))["recruitment"].probabilities["early"] <= high


def test_the_muaps_move_the_odds_of_recruitment_as_the_reference_says() -> None:
    """Beside surely normal MUAPs missing units are twice as likely against full recruitment."""
    factors = {"normal": dict.fromkeys((f for f in BICEPS.recruitment if "reduced" in f), 2.0)}
    units = Findings(units=tuple(unit() for _ in range(20)))
    found = [
        axes_of((units, *pattern("sprouting")), BICEPS.model_copy(update={"beside": beside}))
        for beside in ({}, factors)
    ]
    alone, beside = ({axis.axis: axis.probabilities for axis in axes} for axes in found)
    share = alone["muap_type"]["normal"]
    odds = [p["recruitment"]["reduced"] / p["recruitment"]["normal"] for p in (alone, beside)]
    assert odds[1] / odds[0] == pytest.approx(2 * share + (1 - share))


def test_without_the_strongest_effort_nobody_is_accused_of_a_poor_one() -> None:
    """The pattern does not count then, and poor effort has no probability."""
    found = told(*pattern("poor_effort"), strongest=False)["recruitment"]
    assert found.probabilities["poor_effort"] == 0
    assert set(found.because) == {"fastest_hz", "ratio_hz"}


@pytest.mark.parametrize("kind", ["myotonic_discharge", "neuromyotonia"])
def test_what_fires_fast_by_itself_says_nothing_of_recruitment(kind: str) -> None:
    """Its trains are told apart as units, and would look like few units at high rates."""
    slight, strong = pattern("normal")
    slight = replace(slight, measures=pattern("reduced")[0].measures, events=REST)
    assert "ratio_hz" in told(slight, strong)["recruitment"].because
    found = told(replace(slight, runs=(run(kind),)), strong)["recruitment"]
    assert "ratio_hz" not in found.because
    assert "fastest_hz" not in found.because
    assert found.value == "normal"


def test_jitter_tells_an_unstable_muscle() -> None:
    """Pairs of 100 us; and steady ones."""
    shaky = tuple(unit(mcd_us=100.0) for _ in range(4))
    steady = tuple(unit(mcd_us=27.0) for _ in range(4))
    assert told(Findings(units=shaky))["stability"].value == "unstable"
    assert told(Findings(units=steady))["stability"].value == "stable"
    assert stability_measures(shaky) == {"mcd_us": pytest.approx(100.0)}


@pytest.mark.parametrize(
    ("jiggles", "value"),
    [
        ([(12.0, 18.0)] * 10, "stable"),
        ([(20.0, 36.0)] * 10, "stable"),
        ([(35.0, 80.0)] * 6 + [(12.0, 18.0)] * 4, "unstable"),
        ([(40.0, 90.0)] * 3 + [(12.0, 18.0)] * 7, "unstable"),
    ],
    ids=["steady", "settled after reinnervation", "most", "some"],
)
def test_near_fibre_jiggle_tells_an_unstable_muscle(jiggles, value: str) -> None:
    """What the near fibres of each unit do beyond the noise, overall and at the widest."""
    units = tuple(unit(near_fibre_jiggle_us=a, widest_jiggle_us=b) for a, b in jiggles)
    found = told(Findings(units=units))["stability"]
    assert found.value == value
    assert found.because["units"] == 10


def test_what_may_be_anothers_says_nothing_of_stability() -> None:
    """A unit whose discharges are 0.9 sure counts for its MUAP alone."""
    sure, unsure = (
        [replace(unit(widest_jiggle_us=jiggle_us), confidence=np.full(60, level)) for _ in range(6)]
        for jiggle_us, level in ((17.0, 1.0), (90.0, 0.9))
    )
    found = told(Findings(units=(*sure, *unsure)))
    assert found["stability"].value == "stable"
    assert found["stability"].because["units"] == 6
    assert found["muap_type"].because["muaps"] == 12


def effort(turns_per_s: float, *units: FoundUnit) -> Findings:
    """An effort of which only the turns are known, and the units told apart in it."""
    row = {"id": "interference.turns_per_s", "value": turns_per_s, "unit": "1/s"}
    return Findings(units=units, measures=(row | {"low": None, "high": None},))


def test_spikes_of_which_no_unit_can_be_told_are_unstable() -> None:
    """Five slight efforts without a unit; not two, not without the strongest, not with units."""
    strong, blocked = effort(1000.0), effort(200.0)
    found = told(*[blocked] * 5, strong)["stability"]
    assert found.value == "unstable"
    assert found.probabilities["unstable"] > 0.9
    assert (found.because["efforts"], found.because["untold_efforts"]) == (5, 5)
    assert "stability" not in told(*[blocked] * 2, strong)
    assert "stability" not in told(*[blocked] * 5, strong, strongest=False)
    assert told(*[effort(200.0, unit())] * 5, strong)["stability"].value == "stable"
    assert "stability" not in told(*[effort(20.0)] * 5, strong), "no spikes, nothing to tell"


def test_fibrillations_that_last_are_denervation() -> None:
    """One that lasts; one that does not, alone, and in two places; and unsure ones."""

    def yes(*runs: tuple[FoundRun, ...]) -> float:
        found = told(*(Findings(units=(), events=REST, runs=one) for one in runs))
        return found["active_denervation"].probabilities["yes"]

    short = (run("fibrillation", seconds=0.5),)
    assert yes((run("positive_sharp_wave"),)) == 1
    assert yes(short) == 0.5
    assert yes(short, short) == 1
    assert yes((run("fibrillation", 0.3),)) == pytest.approx(0.3)
    assert yes((run("end_plate_spike"), run("artefact"), run("unknown"))) == 0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("myotonic_discharge", "myotonia"),
        ("complex_repetitive_discharge", "complex_repetitive"),
        ("myokymia", "myokymia_neuromyotonia"),
        ("neuromyotonia", "myokymia_neuromyotonia"),
        ("fasciculation", "fasciculation"),
        ("fibrillation", "none"),
        ("end_plate_noise", "none"),
    ],
)
def test_special_discharges_are_named(kind: str, value: str) -> None:
    """Each kind of run has its value on the axis; denervation and end plates have none."""
    found = told(Findings(units=(), events=REST, runs=(run(kind, 0.9),)))["special_discharges"]
    assert found.value == value


def sized(kind: str, onset_s: float, offset_s: float, size_uv: float) -> FoundRun:
    """Activity at rest, of a size."""
    potential_uv = np.array([[0.0], [size_uv], [0.0]])
    return replace(run(kind), onset_s=onset_s, offset_s=offset_s, potential_uv=potential_uv)


@pytest.mark.parametrize(
    ("size_uv", "number", "value"),
    [(150.0, 1, "none"), (900.0, 1, "fasciculation"), (150.0, 3, "fasciculation")],
    ids=["a sum of them", "larger", "often"],
)
def test_what_is_heard_among_fibrillations_is_made_of_them(
    size_uv: float, number: int, value: str
) -> None:
    """If it is rare and no larger; else it is what it seems."""
    fibres = [sized("fibrillation", 0.0, 3.0, 100.0 * k) for k in (1, 2, 3)]
    others = [sized("fasciculation", 1.0, 1.2, size_uv)] * number
    found = told(Findings(units=(), events=REST, runs=(*fibres, *others)))
    assert found["special_discharges"].value == value


def test_a_ring_is_no_sum() -> None:
    """A complex repetitive discharge among fibrillations is as steady as no sum of them."""
    fibres = tuple(sized("fibrillation", 0.0, 3.0, 300.0) for _ in range(3))
    ring = sized("complex_repetitive_discharge", 1.0, 2.0, 100.0)
    found = told(Findings(units=(), events=REST, runs=(*fibres, ring)))
    assert found["special_discharges"].value == "complex_repetitive"
    few = replace(ring, discharge_times_s=ring.discharge_times_s[:3])
    found = told(Findings(units=(), events=REST, runs=(*fibres, few)))
    assert found["special_discharges"].value == "none"


def test_a_fasciculation_seen_once_is_in_doubt() -> None:
    """A single discharge in a muscle is heard and not believed; two are."""
    one = replace(sized("fasciculation", 1.0, 1.0, 500.0), discharge_times_s=np.array([1.0]))
    found = told(Findings(units=(), events=REST, runs=(replace(one, probability=0.9),)))
    assert 0.4 < found["special_discharges"].probabilities["none"] < 0.7
    found = told(Findings(units=(), events=REST, runs=(one, one)))
    assert found["special_discharges"].value == "fasciculation"


def test_what_is_named_fibrillation_among_myotonic_discharges_is_none() -> None:
    """Unless they are rarer, or it lasts while they are silent."""
    myotonic = [sized("myotonic_discharge", 0.0, 1.5, 100.0) for _ in range(3)]

    def denervated(*fibres: FoundRun) -> str:
        found = told(Findings(units=(), events=REST, runs=(*myotonic, *fibres)))
        return found["active_denervation"].value

    beside, short = sized("fibrillation", 0.5, 3.0, 50.0), sized("fibrillation", 2.0, 2.5, 50.0)
    assert denervated(beside, short) == "no"
    assert denervated(sized("fibrillation", 2.0, 3.5, 50.0)) == "yes"
    assert denervated(*[beside] * 4) == "yes"


def test_what_was_not_measured_is_not_told() -> None:
    """Without rest nothing of rest, with two MUAPs no type, without rows no recruitment."""
    assert told(Findings(units=(unit(), unit()))) == {}
    bare = FoundUnit(
        id=1, discharge_times_s=np.arange(20.0), muap_uv=np.zeros((0, 1)), muap_start_s=0.0
    )
    assert told(Findings(units=(bare,) * 5, events=REST)).keys() == {
        "active_denervation",
        "special_discharges",
    }


def test_a_missing_measure_is_left_out() -> None:
    """MUAPs without phases are still told by amplitude and duration."""
    units = tuple(unit(LARGE, phases=float("nan")) for _ in range(8))
    assert told(Findings(units=units))["muap_type"].value == "neurogenic"


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(4)))
def test_the_order_of_the_recordings_does_not_matter(order: list[int]) -> None:
    """Sites and efforts in any order mean the same."""
    sites = [
        Findings(units=tuple(unit(LARGE) for _ in range(3)), events=REST),
        Findings(units=(unit(),), events=REST, runs=(run("fibrillation"),)),
        *pattern("reduced"),
    ]
    usual = told(*sites)
    for axis, found in told(*(sites[k] for k in order)).items():
        assert found.value == usual[axis].value
        assert found.probabilities == pytest.approx(usual[axis].probabilities)


def test_the_reference_of_another_muscle_is_its_own() -> None:
    """Tibialis anterior has larger, longer MUAPs: what is long for the biceps is not for it."""
    units = tuple(unit((640.0, 10.4, 3.0)) for _ in range(12))
    leg = axes_of([Findings(units=units)], reference("tibialis_anterior"))[0]
    arm = axes_of([Findings(units=units)], BICEPS)[0]
    assert leg.probabilities["normal"] > arm.probabilities["normal"]
    with pytest.raises(InputError, match="biceps_brachi"):
        reference("biceps_brachi")


def test_recruitment_is_compared_with_that_of_healthy_ones_of_the_muscle() -> None:
    """The trunk is slower and less even, in every form; the catalogue's own muscle is as it is."""
    trunk = reference("lumbar_paraspinal").recruitment
    for form, table in BICEPS.recruitment.items():
        assert trunk[form]["fastest_hz"].mean < table["fastest_hz"].mean
        assert trunk[form]["evenness"].mean < table["evenness"].mean
        assert trunk[form]["ratio_hz"] == table["ratio_hz"]
    assert reference("soleus").recruitment == BICEPS.recruitment  # nobody has measured it


def test_age_is_taken_into_account() -> None:
    """MUAPs a little long and large are likelier normal at eighty."""
    normal = BICEPS.muaps["normal"]
    amplitude_uv, duration_ms = (
        math.exp(normal[name].mean + by)
        for name, by in (("amplitude_uv", 0.3), ("duration_ms", 0.12))
    )
    units = tuple(unit((amplitude_uv, duration_ms, 3.0)) for _ in range(8))
    young, old = (
        told(Findings(units=units), age_years=age)["muap_type"].probabilities["normal"]
        for age in (30.0, 80.0)
    )
    assert old > young


def test_wrong_arguments_are_named() -> None:
    """No findings at all, and an age that nobody has."""
    with pytest.raises(ValueError, match="findings must hold at least one"):
        axes_of([], BICEPS)
    with pytest.raises(ValueError, match=r"age_years must be in 0\.\.120, got 200"):
        axes_of([Findings(units=())], BICEPS, 200.0)
