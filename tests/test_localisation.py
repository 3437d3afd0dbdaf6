"""Where the lesion is: cases that a pencil solves, and what must hold for any findings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.configuration import read_table
from emgsim.localisation import (
    Lesion,
    Located,
    MuscleFinding,
    SensoryFinding,
    lesions,
    localisation_table,
    located,
    most_telling,
    muscle_finding,
)
from emgsim.recording import AxisFinding
from emgsim.scenario import muscle_catalogue
from emgsim.shipped import PACKAGE

KNOWN = lesions()
NERVES = read_table(PACKAGE / "catalogue" / "nerves.toml")
MUSCLES = {**NERVES["muscles"], **muscle_catalogue()}
SURE, NOT = 0.97, 0.03


def found(abnormal: str, normal: str = "", process: str = "neurogenic") -> list[MuscleFinding]:
    """Return the findings of muscles that are abnormal, and of normal ones, names in a line."""
    none = {"neurogenic": NOT, "myopathic": NOT, "unstable": NOT}
    return [
        *(MuscleFinding(muscle=m, **(none | {process: SURE})) for m in abnormal.split()),
        *(MuscleFinding(muscle=m, **none) for m in normal.split()),
    ]


def probability(result: tuple[Located, ...], name: str, side: str = "right") -> float:
    """Return the probability of the lesion of that name, on that side or on both."""
    return sum(x.probability for x in result if x.lesion.name == name and x.lesion.side == side)


def first(result: tuple[Located, ...]) -> tuple[str, str]:
    """Return the name and side of the most probable lesion."""
    return result[0].lesion.name, result[0].lesion.side


# -- pencil cases ---------------------------------------------------------------------------------


def test_an_abnormal_tibialis_posterior_speaks_for_l5_against_the_fibular_nerve() -> None:
    """Foot drop with TP and TFL, of other nerves, is of the root."""
    leg = found("tibialis_anterior tibialis_posterior tensor_fasciae_latae",
                "vastus_lateralis gastrocnemius_medialis first_dorsal_interosseous")  # fmt: skip
    result = located(leg, KNOWN)
    assert first(result) == ("L5", "right")
    assert probability(result, "L5") > 100 * probability(result, "fibular_head")


def test_a_normal_tibialis_posterior_speaks_for_the_fibular_nerve() -> None:
    """Foot drop with nothing but muscles of the fibular nerve is of the nerve."""
    leg = found("tibialis_anterior peroneus_longus extensor_digitorum_brevis",
                "tibialis_posterior tensor_fasciae_latae biceps_femoris_short")  # fmt: skip
    assert first(located(leg, KNOWN)) == ("fibular_head", "right")


def test_the_short_head_of_the_biceps_moves_it_up_the_sciatic_nerve() -> None:
    """It leaves above the fibular head."""
    low = found("tibialis_anterior peroneus_longus", "gluteus_maximus biceps_femoris_short")
    high = found("tibialis_anterior peroneus_longus biceps_femoris_short", "gluteus_maximus")
    assert probability(located(high, KNOWN), "sciatic") > probability(
        located(low, KNOWN), "sciatic"
    )
    assert probability(located(high, KNOWN), "sciatic") > probability(
        located(high, KNOWN), "fibular_head"
    )


def test_an_abductor_pollicis_alone_is_the_carpal_tunnel() -> None:
    """All else of the hand and forearm is normal."""
    others = "first_dorsal_interosseous extensor_indicis_proprius flexor_pollicis_longus"
    hand = found("abductor_pollicis_brevis", others)
    assert first(located(hand, KNOWN)) == ("median_wrist", "right")


def test_three_nerves_of_one_root_are_the_root() -> None:
    """APB (median), FDI (ulnar) and EIP (radial) share C8; C7 and C5 are normal."""
    hand = found("abductor_pollicis_brevis first_dorsal_interosseous extensor_indicis_proprius "
                 "cervical_paraspinal_c8", "deltoid tibialis_anterior")  # fmt: skip
    assert first(located(hand, KNOWN)) == ("C8", "right")


@pytest.mark.parametrize(
    ("nerve", "low", "more_likely"),
    [("ulnar_d5", SURE, "lower_trunk"), ("ulnar_d5", NOT, "C8")],
)
def test_a_sensory_potential_tells_the_trunk_from_the_root(
    nerve: str, low: float, more_likely: str
) -> None:
    """The root is lesioned above the ganglion, where the needle sees the same muscles."""
    hand = found("abductor_pollicis_brevis first_dorsal_interosseous extensor_indicis_proprius")
    without = located(hand, KNOWN)
    with_it = located(hand, KNOWN, [SensoryFinding(nerve=nerve, low=low)])
    assert probability(with_it, more_likely) > probability(without, more_likely)


def test_distal_legs_on_both_sides_are_a_polyneuropathy() -> None:
    """One side alone could be the nerve's; muscles near the trunk are normal."""
    distal = found("extensor_digitorum_brevis abductor_hallucis", "vastus_lateralis deltoid")
    other = [replace(x, side="left") for x in distal[:2]]
    assert first(located([*distal, *other], KNOWN)) == ("polyneuropathy", "both")


def test_three_regions_are_a_motor_neuron_disease() -> None:
    """Arm, leg and trunk, of all roots, and sensory potentials that are normal."""
    many = found("deltoid triceps_brachii first_dorsal_interosseous thoracic_paraspinal "
                 "tibialis_anterior vastus_lateralis gastrocnemius_medialis")  # fmt: skip
    sural = [SensoryFinding(nerve="sural", low=NOT), SensoryFinding(nerve="ulnar_d5", low=NOT)]
    assert first(located(many, KNOWN, sural)) == ("motor_neuron_disease", "both")


@pytest.mark.parametrize(("process", "name"), [("myopathic", "myopathy"), ("unstable", "junction")])
def test_other_processes_have_their_own_diseases(process: str, name: str) -> None:
    """Near the trunk they are myopathic or unstable."""
    result = located(found("deltoid biceps_brachii vastus_lateralis", "", process), KNOWN)
    assert first(result) == (name, "both")


def test_normal_muscles_are_no_lesion() -> None:
    """Nothing was found where most lesions would show."""
    result = located(found("", "deltoid triceps_brachii abductor_pollicis_brevis"), KNOWN)
    assert first(result) == ("none", "both")


def test_how_much_is_affected_tells_neighbouring_roots_apart() -> None:
    """Much in the triceps and little in the biceps is C7, the reverse C6 or C5."""
    arm = found("triceps_brachii brachioradialis pronator_teres", "tibialis_anterior")
    most_c7 = [replace(arm[0], affected=0.35), replace(arm[1], affected=0.05), *arm[2:]]
    most_c6 = [replace(arm[0], affected=0.05), replace(arm[1], affected=0.35), *arm[2:]]
    assert probability(located(most_c7, KNOWN), "C7") > probability(located(arm, KNOWN), "C7")
    assert probability(located(most_c6, KNOWN), "C6") > probability(located(arm, KNOWN), "C6")


# -- what must hold for any findings ---------------------------------------------------------------

FINDINGS = st.lists(
    st.builds(
        MuscleFinding,
        muscle=st.sampled_from(sorted(MUSCLES)),
        side=st.sampled_from(["left", "right"]),
        neurogenic=st.floats(0, 1),
        myopathic=st.floats(0, 1),
        unstable=st.floats(0, 1),
        affected=st.none() | st.floats(0.01, 1),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda f: (f.muscle, f.side),
)


def by_key(result: tuple[Located, ...]) -> dict[tuple[str, str, str], float]:
    return {x.lesion.key: x.probability for x in result}


@settings(max_examples=20)
@given(findings=FINDINGS)
def test_the_probabilities_add_up_to_1(findings: list[MuscleFinding]) -> None:
    """All lesions that are known take part, each once, the most probable first."""
    result = located(findings, KNOWN)
    told = [x.probability for x in result]
    assert sum(told) == pytest.approx(1.0)
    assert told == sorted(told, reverse=True)
    assert len(result) == len({x.key for x in KNOWN})


@settings(max_examples=20)
@given(findings=FINDINGS, seed=st.integers(0, 99))
def test_the_order_of_the_muscles_does_not_matter(findings: list[MuscleFinding], seed: int) -> None:
    """It is one examination, whoever was first."""
    order = np.random.default_rng(seed).permutation(len(findings))
    other = by_key(located([findings[k] for k in order], KNOWN))
    assert other == pytest.approx(by_key(located(findings, KNOWN)))


@settings(max_examples=20)
@given(findings=FINDINGS)
def test_a_finding_of_one_half_changes_nothing(findings: list[MuscleFinding]) -> None:
    """The examiner does not know: as if the muscle had not been examined."""
    told = {(f.muscle, f.side) for f in findings}
    blank = next(m for m in sorted(MUSCLES) if (m, "right") not in told)
    more = by_key(located([*findings, MuscleFinding(muscle=blank)], KNOWN))
    assert more == pytest.approx(by_key(located(findings, KNOWN)))


@settings(max_examples=20)
@given(findings=FINDINGS, value=st.floats(0.5, 1))
def test_an_abnormal_muscle_never_lowers_the_only_lesion_that_explains_it(
    findings: list[MuscleFinding], value: float
) -> None:
    """Here the lesion of the one place that reaches the muscle, among others that do not."""
    only = [x for x in KNOWN if "serratus_anterior" not in x.at_risk or x.name == "long_thoracic"]
    before = [f for f in findings if f.muscle != "serratus_anterior"] or found("deltoid")
    more = MuscleFinding(muscle="serratus_anterior", neurogenic=value)
    with_it = probability(located([*before, more], only), "long_thoracic")
    assert with_it >= probability(located(before, only), "long_thoracic") - 1e-12


@settings(max_examples=20)
@given(findings=FINDINGS)
def test_the_other_side_is_the_mirror(findings: list[MuscleFinding]) -> None:
    """Left and right exchanged exchanges the lesions' sides."""
    swap = {"left": "right", "right": "left", "both": "both"}
    mirrored = by_key(located([replace(f, side=swap[f.side]) for f in findings], KNOWN))  # type: ignore[arg-type]
    expected = {(k, n, swap[s]): p for (k, n, s), p in by_key(located(findings, KNOWN)).items()}
    assert mirrored == pytest.approx(expected)


def test_the_reasons_say_what_each_muscle_speaks_for_and_against() -> None:
    """For the root that explains it, against the one whose other muscle is spared."""
    result = located(found("triceps_brachii", "flexor_carpi_radialis deltoid"), KNOWN)
    c7 = next(x for x in result if x.lesion.name == "C7" and x.lesion.side == "right")
    triceps, radial_flexor, deltoid = c7.because
    assert (triceps.what, triceps.seen) == ("triceps_brachii", "neurogenic")
    assert triceps.nats > 1
    assert radial_flexor.nats < -0.5
    assert deltoid.nats == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("chances", "seen"),
    [({"neurogenic": NOT}, "normal"), ({}, "not judged"), ({"unstable": SURE}, "unstable")],
)
def test_a_reason_says_what_was_seen(chances: dict[str, float], seen: str) -> None:
    """A muscle that is not neurogenic is normal, if nobody judged the rest."""
    result = located([MuscleFinding(muscle="deltoid", **chances)], KNOWN)
    assert {x.because[0].seen for x in result} == {seen}


# -- what to examine next --------------------------------------------------------------------------


def test_the_next_muscle_is_one_that_the_first_hypotheses_disagree_on() -> None:
    """L5 and the fibular nerve are told apart by what the fibular nerve does not reach."""
    two = [x for x in KNOWN if x.name in ("L5", "fibular_head") and x.side == "right"]
    candidates = [
        ("tibialis_posterior", "right"),
        ("deltoid", "right"),
        ("peroneus_brevis", "right"),
    ]
    leg = found("tibialis_anterior peroneus_longus")
    assert most_telling(leg, [KNOWN[0], *two], candidates) == ("tibialis_posterior", "right")


def test_without_candidates_there_is_no_next_muscle() -> None:
    """The caller is told at once."""
    with pytest.raises(ValueError, match="candidates must hold at least one muscle, got none"):
        most_telling(found("deltoid"), KNOWN, [])


# -- from the axes of an examination ---------------------------------------------------------------


def axis(name: str, because: dict[str, float] | None = None, **told: float) -> AxisFinding:
    return AxisFinding(
        axis=name, value=max(told, key=lambda v: told[v]), probabilities=told, because=because or {}
    )


REST = axis("active_denervation", no=0.95, yes=0.05)
NORMAL = axis("muap_type", normal=0.96, neurogenic=0.02, myopathic=0.02, mixed=0.0)
NEUROGENIC = axis("muap_type", normal=0.02, neurogenic=0.96, myopathic=0.02, mixed=0.0)
MYOPATHIC = axis("muap_type", normal=0.02, neurogenic=0.02, myopathic=0.96, mixed=0.0)
STABLE = axis("stability", stable=0.95, unstable=0.05)
UNSTABLE = axis("stability", stable=0.02, unstable=0.98)


def recruitment(value: str) -> AxisFinding:
    rest = dict.fromkeys(("normal", "reduced", "early", "poor_effort"), 0.01)
    return axis("recruitment", **(rest | {value: 0.97}))


def test_denervation_is_neurogenic_and_its_grade_says_how_much() -> None:
    """Without voluntary activity the myopathy is open."""
    rest = axis("active_denervation", {"largest_grade": 2.0}, no=0.01, yes=0.99)
    finding = muscle_finding("deltoid", [rest])
    assert finding.neurogenic > 0.95
    assert finding.affected == pytest.approx(0.25)
    assert finding.myopathic == finding.unstable == 0.5


@pytest.mark.parametrize(
    ("axes", "process"),
    [
        ([REST, NEUROGENIC, recruitment("reduced")], "neurogenic"),
        ([REST, MYOPATHIC, recruitment("early")], "myopathic"),
        ([axis("active_denervation", no=0.02, yes=0.98), MYOPATHIC, recruitment("early")],
         "myopathic"),
        ([REST, NORMAL, recruitment("normal"), UNSTABLE], "unstable"),
        ([REST, NEUROGENIC, recruitment("reduced"), UNSTABLE], "neurogenic"),
        ([REST, NEUROGENIC, recruitment("poor_effort")], "neurogenic"),
        ([REST, NORMAL, recruitment("reduced"), UNSTABLE], "unstable"),
    ],
)  # fmt: skip
def test_axes_mean_one_process(axes: list[AxisFinding], process: str) -> None:
    """Myositis fibrillates and is myopathic; sprouts are unstable and neurogenic."""
    finding = muscle_finding("deltoid", axes, side="left")
    told = {name: getattr(finding, name) for name in ("neurogenic", "myopathic", "unstable")}
    assert told.pop(process) > 0.85
    assert all(value <= 0.5 for value in told.values())
    assert finding.side == "left"


def test_reduced_recruitment_of_stable_normal_muaps_speaks_for_a_block() -> None:
    """It is believed, though not as denervation is: 0.05 heard at rest, 0.7 of nearly all else."""
    finding = muscle_finding("deltoid", [REST, NORMAL, recruitment("reduced"), STABLE])
    blocked = 0.7 * 0.96 * 0.97 * 0.95
    healthy = 0.95 * (1 - 0.02 * 0.98) * (1 - blocked)
    assert finding.neurogenic == pytest.approx(1 - healthy, abs=0.01)
    assert finding.unstable < 0.05


def test_a_poor_effort_of_normal_muaps_is_no_disease() -> None:
    """It counts for nothing; the rest and the MUAPs do."""
    finding = muscle_finding("deltoid", [REST, NORMAL, recruitment("poor_effort")])
    assert max(finding.neurogenic, finding.myopathic) < 0.1


def test_what_was_not_measured_says_nothing() -> None:
    """No axis, no finding."""
    assert muscle_finding("deltoid", []) == MuscleFinding(muscle="deltoid")


# -- the table and the catalogue -------------------------------------------------------------------


def test_the_table_has_one_lesion_a_line_with_its_reasons() -> None:
    """In words, with nats."""
    hand = found("abductor_pollicis_brevis", "first_dorsal_interosseous")
    lines = localisation_table(located(hand, KNOWN), n=3).splitlines()
    assert len(lines) == 3
    assert "nerve lesion median wrist, right" in lines[0]
    assert "right abductor pollicis brevis neurogenic (+" in lines[0]


def test_every_muscle_has_its_region() -> None:
    """One each: the length of its axons is that of the region."""
    told = [m for region in NERVES["regions"].values() for m in region["muscles"]]
    assert sorted(told) == sorted(MUSCLES)


def test_all_that_the_catalogue_names_exists() -> None:
    """Muscles, nerves, roots and places are spelt as where they stand."""
    roots = {root for muscle in MUSCLES.values() for root in muscle["roots"]}
    nerves = {muscle["nerve"] for muscle in MUSCLES.values()}
    for place in NERVES["plexus"].values():
        assert set(place.get("roots", ())) <= roots
        assert set(place.get("nerves", ())) <= nerves
        assert {*place.get("muscles", ()), *place.get("spares", ())} <= set(MUSCLES)
    for entry in NERVES["sensory"].values():
        assert set(entry["places"]) <= {*NERVES["sites"], *NERVES["plexus"]}
    assert {root for group in NERVES["radiculopathies"].values() for root in group} <= roots


def test_a_plexus_spares_what_leaves_above_it() -> None:
    """The rhomboids and the paraspinal muscles tell the upper trunk from its roots."""
    upper: Lesion = next(x for x in KNOWN if x.name == "upper_trunk")
    assert upper.at_risk["deltoid"] == pytest.approx(1.0)
    assert not {"rhomboids", "serratus_anterior", "cervical_paraspinal_c6"} & set(upper.at_risk)


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        ([], "findings must hold at least one muscle, got none"),
        (found("deltoyd"), "the catalogue has no 'deltoyd'; did you mean 'deltoid'"),
        (found("deltoid deltoid"), "each muscle once a side, got right deltoid twice"),
    ],
)
def test_impossible_findings_are_refused(findings: list[MuscleFinding], message: str) -> None:
    """With what is wrong, and what to do where that helps."""
    with pytest.raises(ValueError, match=message):
        located(findings, KNOWN)


def test_impossible_values_are_refused() -> None:
    """Where they are made."""
    with pytest.raises(ValueError, match=r"deltoid: neurogenic must be in 0..1, got 1.2"):
        MuscleFinding(muscle="deltoid", neurogenic=1.2)
    with pytest.raises(ValueError, match="deltoid: affected must be > 0 and <= 1, got 0"):
        MuscleFinding(muscle="deltoid", affected=0)
    with pytest.raises(ValueError, match=r"sural: low must be in 0..1, got nan"):
        SensoryFinding(nerve="sural", low=float("nan"))
    with pytest.raises(ValueError, match="C7: prior must be > 0, got 0"):
        Lesion(kind="root", name="C7", prior=0)
    with pytest.raises(ValueError, match="the catalogue has no 'sura'; did you mean 'sural'"):
        located(found("deltoid"), KNOWN, [SensoryFinding(nerve="sura", low=0.5)])
