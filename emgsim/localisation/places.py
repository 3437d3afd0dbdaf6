"""Which places and diseases there are, and what each puts at risk: the graph of the catalogues.

A lesion puts a share of each muscle's axons (or fibres, or end plates) at risk, and of each sensory
nerve's. Roots, places of entrapment, plexus and lengths of axons are those of
``catalogue/nerves.toml``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from scipy import special

from emgsim.configuration import read_table
from emgsim.localisation.findings import SIDES, Process, Side
from emgsim.shipped import PACKAGE

Kind = Literal["none", "root", "nerve", "plexus", "diffuse", "muscle", "junction"]

ANATOMY = 10.0  # pseudo-counts of a share at risk: the SD of 0.5 is 0.15 between people [P]
DORSAL_SPARED = 0.4  # of radiculopathies leave the paraspinal muscles normal: 0.2-0.6 [M]
MIDDLE_M, SPREAD_M = (0.6, 0.75, 0.9, 1.05), 0.1  # of polyneuropathy, logistic in length [P]
PROXIMAL_M, DISTAL_SHARE = 0.4, 0.3  # myopathy: axons of the near muscles, what others suffer [P]
REGIONS = {"cervical": "C", "thoracic": "T", "lumbosacral": "LS"}  # of motor neuron disease
REGION_SHARE, REGION_SCATTER = 0.7, 3.0  # a region's muscles are unlike each other [P]
# Before the examination: kinds [P], and how often each of a kind is met beside others of it. Roots
# are those of the operated patients of Levin 1996 and Tsao 2003 [S], the rest [P]
PRIOR: dict[Kind, float] = {
    "none": 8.0,
    "root": 5.0,
    "nerve": 5.0,
    "plexus": 0.3,
    "diffuse": 1.5,
    "muscle": 0.7,
    "junction": 0.3,
}
COMMON = {"C5": 7, "C6": 9, "C7": 28, "C8": 6, "L4": 5, "L5": 26, "S1": 13}
COMMON |= {"median_wrist": 20, "ulnar_elbow": 10, "fibular_head": 4, "polyneuropathy": 30}


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """A place or a disease, and the share that it puts at risk of each muscle and sensory nerve.

    What is not named is spared. ``spared`` is the chance that a muscle escapes altogether,
    ``prior`` the lesion's weight before the examination, ``scatter`` how alike people are
    (pseudo-counts).

    Raises
    ------
    ValueError
        If the prior is not above zero.
    """

    kind: Kind
    name: str
    side: Literal["left", "right", "both"] = "both"
    process: Process = "neurogenic"
    at_risk: Mapping[str, float] = field(default_factory=dict)
    sensory: Mapping[str, float] = field(default_factory=dict)
    spared: Mapping[str, float] = field(default_factory=dict)
    prior: float = 1.0
    scatter: float = ANATOMY

    def __post_init__(self) -> None:
        """Refuse what nothing could speak for."""
        if not self.prior > 0:
            raise ValueError(f"{self.name}: prior must be > 0, got {self.prior:g}")

    @property
    def key(self) -> tuple[Kind, str, str]:
        """Kind, name and side: what variants of one lesion have in common."""
        return self.kind, self.name, self.side

    def reaches(self, side: Side) -> bool:
        """Say whether it does anything on this side of the body."""
        return self.side in ("both", side)


@cache
def catalogues() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the catalogue of nerves, and all muscles with nerve and roots."""
    nerves = read_table(PACKAGE / "catalogue" / "nerves.toml")
    return nerves, {**nerves["muscles"], **read_table(PACKAGE / "catalogue" / "muscles.toml")}


def lesions() -> tuple[Lesion, ...]:
    """Return all lesions that follow from the catalogues, "none" first, left before right.

    Several may have the same `Lesion.key`: variants, such as how far a polyneuropathy has come.

    Examples
    --------
    >>> [lesion.name for lesion in lesions() if lesion.kind == "plexus"][:2]
    ['upper_trunk', 'upper_trunk']
    """
    one_side = [*_roots(), *_places()]
    both = [replace(lesion, side=side) for lesion in one_side for side in SIDES]
    found = [Lesion(kind="none", name="none"), *both, *_diffuse()]
    variants = Counter(x.key for x in found)
    total: Counter[Kind] = Counter()
    for kind, name, _ in variants:
        total[kind] += COMMON.get(name, 1)
    return tuple(
        replace(x, prior=PRIOR[x.kind] * COMMON.get(x.name, 1) / total[x.kind] / variants[x.key])
        for x in found
    )


def _roots() -> Iterator[Lesion]:
    nerves, muscles = catalogues()
    dorsal = {m: DORSAL_SPARED for m, entry in muscles.items() if entry["nerve"] == "dorsal rami"}
    for name, roots in nerves["radiculopathies"].items():
        for root in roots:
            at_risk = {m: x["roots"][root] for m, x in muscles.items() if root in x["roots"]}
            yield Lesion(kind="root", name=name, at_risk=at_risk, spared=dorsal)


def _places() -> Iterator[Lesion]:
    nerves, _ = catalogues()
    at_risk = {("nerve", name): site["muscles"] for name, site in nerves["sites"].items()}
    at_risk |= {("plexus", name): _beyond(place) for name, place in nerves["plexus"].items()}
    for (kind, name), muscles in at_risk.items():
        sensory = {
            s: x["places"][name] for s, x in nerves["sensory"].items() if name in x["places"]
        }
        yield Lesion(kind=kind, name=name, at_risk=muscles, sensory=sensory)  # type: ignore[arg-type]


def _beyond(place: Mapping[str, Any]) -> dict[str, float]:
    """Return what a place in the plexus puts at risk: of its roots a share, of its nerves all."""
    at_risk = dict.fromkeys(place.get("muscles", ()), 1.0)
    for name, muscle in catalogues()[1].items():
        if muscle["nerve"] == "dorsal rami" or name in place.get("spares", ()):
            continue
        share = sum(muscle["roots"].get(root, 0.0) for root in place.get("roots", ()))
        share = 1.0 if muscle["nerve"] in place.get("nerves", ()) else share
        if share > 0:
            at_risk[name] = share
    return at_risk


def _diffuse() -> Iterator[Lesion]:
    nerves, muscles = catalogues()
    axon_m = {m: x["axon_m"] for x in nerves["regions"].values() for m in x["muscles"]}
    for middle_m in MIDDLE_M:
        yield Lesion(
            kind="diffuse",
            name="polyneuropathy",
            at_risk={m: _far(length_m, middle_m) for m, length_m in axon_m.items()},
            sensory={s: _far(x["axon_m"], middle_m) for s, x in nerves["sensory"].items()},
        )
    for missing in (None, *REGIONS):
        letters = "".join(x for region, x in REGIONS.items() if region != missing)
        yield Lesion(
            kind="diffuse",
            name="motor_neuron_disease",
            at_risk={m: REGION_SHARE for m, x in muscles.items() if _main_root(x)[0] in letters},
            scatter=REGION_SCATTER,
        )
    near = {m: 1.0 if x <= PROXIMAL_M else DISTAL_SHARE for m, x in axon_m.items()}
    yield Lesion(kind="muscle", name="myopathy", process="myopathic", at_risk=near)
    everywhere = dict.fromkeys(axon_m, REGION_SHARE)
    yield Lesion(kind="junction", name="junction", process="unstable", at_risk=everywhere)


def _far(length_m: float, middle_m: float) -> float:
    return float(special.expit((length_m - middle_m) / SPREAD_M))


def _main_root(muscle: Mapping[str, Any]) -> str:
    roots: Mapping[str, float] = muscle["roots"]
    return max(roots, key=lambda root: roots[root])
