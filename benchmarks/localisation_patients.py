"""Patients with one lesion each, and what an examiner finds in their muscles: exact truth.

What is lost of a muscle's axons, and what of it fibrillates at the needle, is the simulator's. The
anatomy is that of the catalogue, varied between people. Used by ``localisation.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from scipy import special

from emgsim.analysis.axes import AXES
from emgsim.configuration import read_table
from emgsim.localisation import Lesion, SensoryFinding
from emgsim.localisation.findings import SIDES, Side
from emgsim.localisation.places import Kind
from emgsim.physiology.body import Body, healthy_body
from emgsim.physiology.conditions import apply
from emgsim.physiology.conditions.at_rest import FEWEST, fibrillating, nearest_grade
from emgsim.physiology.parameters import Muscle, TipPosition
from emgsim.physiology.parameters.conditions import AxonalLoss, MotorNeuronDisease, Radiculopathy
from emgsim.physiology.parameters.spontaneous import Fibrillation
from emgsim.recording import AxisFinding
from emgsim.scenario import muscle_catalogue
from emgsim.seeds import stream
from emgsim.shipped import PACKAGE

ERROR = 0.03  # of the observer, either way
# Beyond it, what the analysis of the device's recording concludes otherwise than a perfect observer
# of the same muscles of the shipped examinations (0 of 83; 5, 4 and 11 of 82), by
# (k + 1) / (n + 2): `python benchmarks/device_errors.py RUNS`
DEVICE_ERROR = {
    "active_denervation": 0.012,
    "muap_type": 0.071,
    "recruitment": 0.095,
    "stability": 0.143,
}
ANATOMY_SD = 0.15  # of root weights and of shares beyond a place, between people
WEEKS = (4.0, 12.0)
N_SITES = 8  # of the needle in a muscle
MOST_JITTER_US = 41.0  # mean of a normal muscle's fibre pairs [M]
ARM = ("shoulder", "arm", "forearm", "hand")  # regions of the catalogue
LEG = ("hip", "thigh", "leg", "foot")

NERVES = read_table(PACKAGE / "catalogue" / "nerves.toml")
KNOWN: Mapping[str, Any] = {**NERVES["muscles"], **muscle_catalogue()}
AXON_M = {m: region["axon_m"] for region in NERVES["regions"].values() for m in region["muscles"]}
ARM_MUSCLES = {m for name in ARM for m in NERVES["regions"][name]["muscles"]} | {"trapezius_upper"}
LEG_MUSCLES = {m for name in LEG for m in NERVES["regions"][name]["muscles"]}


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One patient: the lesion, how severe it is, and an anatomy that is not quite the book's."""

    seed: int
    kind: Kind
    name: str
    side: Side
    limb: str
    severity: float
    weeks: float
    roots: Mapping[str, Mapping[str, float]]
    is_dorsal_spared: bool
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def true_side(self) -> Literal["left", "right", "both"]:
        """Left, right or both."""
        return "both" if self.kind in ("diffuse", "muscle", "junction") else self.side


def patient(seed: int, known: Sequence[Lesion]) -> Patient:
    """Draw a patient."""
    rng = stream(seed, "patient")
    names = sorted({(x.kind, x.name) for x in known if x.kind != "none"})
    kind, name = names[int(rng.integers(len(names)))]
    low, high = (0.1, 0.5) if kind == "root" else (0.3, 0.9)
    return Patient(
        seed=seed,
        kind=kind,
        name=name,
        side=SIDES[int(rng.integers(2))],
        limb=limb_of(kind, name, known, rng),
        severity=float(rng.uniform(low, high)),
        weeks=float(rng.uniform(*WEEKS)),
        roots={m: varied_roots(entry["roots"], rng) for m, entry in KNOWN.items()},
        is_dorsal_spared=bool(rng.uniform() < rng.uniform(0.2, 0.6)),
        extra=course(name, rng),
    )


def limb_of(kind: str, name: str, known: Sequence[Lesion], rng: np.random.Generator) -> str:
    """Return the limb that hurts: where the lesion is, the legs in polyneuropathy."""
    if name == "polyneuropathy":
        return "leg"
    if kind in ("diffuse", "muscle", "junction"):
        return ("arm", "leg")[int(rng.integers(2))]
    lesion = next(x for x in known if (x.kind, x.name) == (kind, name))
    return "arm" if ARM_MUSCLES & set(lesion.at_risk) else "leg"


def varied_roots(roots: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Return the root weights of one person."""
    weights = np.maximum(np.array([*roots.values()]) + rng.normal(0, ANATOMY_SD, len(roots)), 0.0)
    if weights.sum() == 0:
        return dict(roots)
    return dict(zip(roots, (weights / weights.sum()).tolist(), strict=True))


def course(name: str, rng: np.random.Generator) -> dict[str, float]:
    """Return what else a disease has: how far it came, and where."""
    if name == "polyneuropathy":
        return {"middle_m": float(rng.uniform(0.6, 1.1))}
    if name == "motor_neuron_disease":
        months = {region: float(rng.uniform(3, 18)) for region in "CTL"}
        if rng.uniform() < 0.5:
            months["CTL"[int(rng.integers(3))]] = 0.0  # two regions of three
        return months | {"half_life": float(rng.uniform(6, 12))}
    return {"root": float(rng.integers(2))}  # which of a name's roots


def share_beyond(one: Patient, muscle: str) -> float:
    """Return the share of a muscle's axons that a place of entrapment or plexus puts at risk."""
    rng = stream(one.seed, f"anatomy {muscle} {one.side}")
    if one.kind == "nerve":
        book = NERVES["sites"][one.name]["muscles"].get(muscle, 0.0)
        return varied(book, rng)
    place, entry = NERVES["plexus"][one.name], KNOWN[muscle]
    if entry["nerve"] == "dorsal rami" or muscle in place.get("spares", ()):
        return 0.0
    if muscle in place.get("muscles", ()) or entry["nerve"] in place.get("nerves", ()):
        return varied(1.0, rng)
    return sum(one.roots[muscle].get(root, 0.0) for root in place.get("roots", ()))


def varied(book: float, rng: np.random.Generator) -> float:
    """Return a share of one person, whose mean is near the book's; what is spared is spared."""
    if book <= 0:
        return 0.0
    return float(np.clip(1 - abs(1 - book + rng.normal(0, ANATOMY_SD)), 0, 1))


def axons_struck(one: Patient, muscle: str, side: Side) -> list[Any]:
    """Return the conditions of one muscle of the patient."""
    months = one.weeks * 84 / 365.25
    if one.kind == "diffuse":
        return [everywhere(one, muscle, stream(one.seed, f"loss {muscle} {side}"))]
    if side != one.side:
        return []
    if one.kind == "root":
        names = NERVES["radiculopathies"][one.name]
        root = names[int(one.extra["root"]) % len(names)]
        spared = one.is_dorsal_spared and KNOWN[muscle]["nerve"] == "dorsal rami"
        if spared or one.roots[muscle].get(root, 0.0) == 0:
            return []
        return [Radiculopathy(root=root, share=one.severity, weeks=one.weeks)]
    share = share_beyond(one, muscle) if one.kind in ("nerve", "plexus") else 0.0
    return [AxonalLoss(share=one.severity * share, months=months)] if share > 0 else []


def everywhere(one: Patient, muscle: str, rng: np.random.Generator) -> Any:
    """Return what a diffuse disease does to one muscle."""
    if one.name == "polyneuropathy":  # H.11
        share = special.expit((AXON_M[muscle] - one.extra["middle_m"]) / 0.1)
        return AxonalLoss(
            share=float(share * rng.uniform(0.8, 1.0)), months=one.weeks * 84 / 365.25
        )
    region = main_root(muscle)[0].replace("S", "L")
    since = one.extra[region] * float(rng.uniform(0.4, 1.3))
    return MotorNeuronDisease(months=since, half_life_months=one.extra["half_life"])


def main_root(muscle: str) -> str:
    """Return the root that gives most to a muscle."""
    roots = KNOWN[muscle]["roots"]
    return max(roots, key=lambda root: roots[root])


# -- what is found -------------------------------------------------------------------------------


@cache
def healthy(muscle: str) -> Body:
    """Return a healthy body of the muscle, the same in all patients but for its roots."""
    table = muscle_catalogue().get(muscle) or {
        **muscle_catalogue()["first_dorsal_interosseous"],
        "roots": KNOWN[muscle]["roots"],
        "nerve": KNOWN[muscle]["nerve"],
    }
    return healthy_body(Muscle(name=muscle, **table), seed=1)


def body_of(one: Patient, muscle: str, side: Side) -> Body:
    """Return the patient's muscle, ill or not."""
    body, weights = healthy(muscle), one.roots[muscle]
    rng = stream(one.seed, f"roots {muscle} {side}")
    roots = rng.choice([*weights], size=body.roots.size, p=[*weights.values()])
    own = body.healthy.model_copy(update={"roots": dict(weights)})
    conditions = axons_struck(one, muscle, side)
    if not conditions:
        return body
    return apply(conditions, replace(body, healthy=own, roots=roots), one.seed)


def muscle_axes(
    one: Patient, muscle: str, side: Side, *, by_device: bool = False
) -> tuple[AxisFinding, ...]:
    """Return what the examiner writes of one muscle, axis by axis; or the device's analysis."""
    more = DEVICE_ERROR if by_device else dict.fromkeys(DEVICE_ERROR, 0.0)
    errors = {name: ERROR + share for name, share in more.items()}
    body = body_of(one, muscle, side)
    rng = stream(one.seed, f"examiner {muscle} {side}")
    lost = float(body.is_lost.mean()) + rng.normal(0, 0.07)
    fibres = fibres_lost(one, muscle, side) + rng.normal(0, 0.05)
    grade = fibrillation_grade(body, rng)
    is_denervated = wrong(grade > 0, rng, errors["active_denervation"])
    if is_denervated and grade == 0:
        grade = float(rng.choice([0.5, 1.0]))  # what a false alarm looks like
    # MUAPs, after sprouting
    is_chronic = wrong(lost > 0.25 and one.weeks > 6, rng, errors["muap_type"])
    is_reduced = wrong(lost > 0.35, rng, errors["recruitment"])
    is_myopathic = wrong(fibres > 0.2, rng)
    is_unstable = wrong(jitter_of(one, muscle, side) > MOST_JITTER_US, rng, errors["stability"])
    changed = "neurogenic" if is_chronic else "normal"
    recruited = "reduced" if is_reduced else "normal"
    return (
        axis("active_denervation", "yes" if is_denervated else "no", grade * is_denervated),
        axis("muap_type", "myopathic" if is_myopathic else changed),
        axis("recruitment", "early" if is_myopathic else recruited),
        axis("stability", "unstable" if is_unstable else "stable"),
    )


def fibrillation_grade(body: Body, rng: np.random.Generator) -> float:
    """Return the grade after eight sites: two must fibrillate, and their mean number counts."""
    at_sites = np.array([fibrillating(body, tip) for tip in tips(body, rng)])
    if np.sum(at_sites >= 2 * FEWEST) < 2:  # half of them sound as sharp waves
        return 0.0
    return max(0.5, nearest_grade(float(at_sites.mean()), Fibrillation().generators))


def wrong(is_so: bool, rng: np.random.Generator, error: float = ERROR) -> bool:
    """Return the conclusion of an observer who is wrong at times."""
    return bool(is_so) != bool(rng.uniform() < error)


def axis(name: str, value: str, grade: float = 0.0) -> AxisFinding:
    """Return an axis of which the observer is as sure as an observer may be."""
    rest = ERROR / (len(AXES[name]) - 1)
    told = {each: 1 - ERROR if each == value else rest for each in AXES[name]}
    return AxisFinding(axis=name, value=value, probabilities=told, because={"largest_grade": grade})


def tips(body: Body, rng: np.random.Generator) -> list[TipPosition]:
    """Return the needle's sites in a muscle."""
    radius_mm = 0.8 * body.healthy.radius_mm * np.sqrt(rng.uniform(size=N_SITES))
    turn = rng.uniform(0, 2 * np.pi, size=N_SITES)
    x_mm, y_mm = radius_mm * np.cos(turn), radius_mm * np.sin(turn)
    return [TipPosition(x_mm=float(x), y_mm=float(y)) for x, y in zip(x_mm, y_mm, strict=True)]


def fibres_lost(one: Patient, muscle: str, side: Side) -> float:
    """Return the share of fibres that a myopathy took of a muscle: most near the trunk, H.3."""
    if one.kind != "muscle":
        return 0.0
    rng = stream(one.seed, f"fibres {muscle} {side}")
    near = 0.2 + 0.5 * (one.severity - 0.3) / 0.6
    share = near if AXON_M[muscle] <= 0.4 else near * rng.uniform(0, 0.6)
    return float(np.clip(share + rng.normal(0, 0.1), 0, 0.9))


def jitter_of(one: Patient, muscle: str, side: Side) -> float:
    """Return the mean jitter of a muscle (MCD, us): from the safety factor that is left, H.5."""
    rng = stream(one.seed, f"safety {muscle} {side}")
    left = 1.0 if one.kind != "junction" else 0.75 - 0.3 * (one.severity - 0.3) / 0.6
    safety = max(
        4.0 * left * float(rng.lognormal(0, 0.15 if one.kind == "junction" else 0.05)), 1.2
    )
    return 2 / np.sqrt(np.pi) * 17.0 * 3.0 / (safety - 1.0)


def sensory_of(one: Patient, nerve: str) -> SensoryFinding:
    """Return what stimulation of a sensory nerve on the painful side says."""
    rng = stream(one.seed, f"sensory {nerve}")
    entry = NERVES["sensory"][nerve]
    share = 0.0
    if one.name == "polyneuropathy":
        share = float(special.expit((entry["axon_m"] - one.extra["middle_m"]) / 0.1))
    elif one.kind in ("nerve", "plexus"):
        # thick sensory fibres suffer before motor ones (no potential from grade 4 on, H.9)
        share = varied(entry["places"].get(one.name, 0.0), rng) * np.sqrt(one.severity)
    left = (1 - share) * float(rng.lognormal(0, 0.2))
    low = wrong(left < 0.55, rng)
    return SensoryFinding(nerve=nerve, side=one.side, low=1 - ERROR if low else ERROR)
