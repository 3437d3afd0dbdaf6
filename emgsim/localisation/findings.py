"""What the examination of each muscle, and of each sensory nerve, says to the search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emgsim.recording import AxisFinding

Side = Literal["left", "right"]
Process = Literal["neurogenic", "myopathic", "unstable"]
SIDES: tuple[Side, ...] = ("left", "right")
PROCESSES: tuple[Process, ...] = ("neurogenic", "myopathic", "unstable")

# Share of a muscle's axons that a grade of fibrillations stands for: the simulator's muscles, 4-12
# weeks after the axons were lost [P]
GRADES, GRADE_SHARES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0), (0.02, 0.04, 0.1, 0.25, 0.6, 0.9)

# How far reduced recruitment of normal MUAPs is believed: one axis alone, and nothing else to bear
# it out [P]
BLOCK_COUNTS = 0.7


@dataclass(frozen=True, kw_only=True)
class MuscleFinding:
    """What the examination of one muscle says: the probability of each process, 0..1.

    0.5 says nothing. ``affected`` is the share of the muscle's axons that seems lost if it is
    neurogenic (by the grade of its fibrillations); None if nobody said.

    Raises
    ------
    ValueError
        If a probability or a share is none.
    """

    muscle: str
    side: Side = "right"
    neurogenic: float = 0.5
    myopathic: float = 0.5
    unstable: float = 0.5
    affected: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        for process in PROCESSES:
            _check_share(f"{self.muscle}: {process}", getattr(self, process))
        if self.affected is not None and not 0 < self.affected <= 1:
            raise ValueError(f"{self.muscle}: affected must be > 0 and <= 1, got {self.affected:g}")


@dataclass(frozen=True, kw_only=True)
class SensoryFinding:
    """What stimulation of one sensory nerve says: the probability that its potential is low.

    Raises
    ------
    ValueError
        If it is no probability.
    """

    nerve: str
    side: Side = "right"
    low: float

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        _check_share(f"{self.nerve}: low", self.low)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in 0..1, got {value:g}")


def muscle_finding(muscle: str, axes: Iterable[AxisFinding], side: Side = "right") -> MuscleFinding:
    """Return what the axes of a muscle's examination mean to the search.

    Neurogenic is active denervation, neurogenic MUAPs with reduced recruitment, or reduced
    recruitment of normal and stable MUAPs: axons that are blocked, or were lost a short time ago
    (where MUAPs are unstable, whole units may be blocked at their junctions). Myopathic are
    myopathic MUAPs with early recruitment, with denervation or without; unstable is instability
    alone. Mixed MUAPs count half for either. An axis that was not measured says nothing, and no
    more does a poor effort: changed MUAPs then count whatever the recruitment.

    Parameters
    ----------
    muscle
        Name in the catalogues.
    axes
        Of `emgsim.analysis.axes.axes_of`.
    side
        Of the body.
    """
    told = {axis.axis: axis for axis in axes}
    chances = {name: axis.probabilities for name, axis in told.items()}
    rest, muaps = chances.get("active_denervation"), chances.get("muap_type")
    effort, stability = chances.get("recruitment"), chances.get("stability")
    denervated = rest["yes"] if rest else 0.0
    chronic = _muaps(muaps, "neurogenic") * _recruited(effort, "reduced")
    blocked = BLOCK_COUNTS * muaps["normal"] * effort["reduced"] if muaps and effort else 0.0
    blocked *= stability["stable"] if stability else 1.0
    myopathic = _muaps(muaps, "myopathic") * _recruited(effort, "early")
    healthy_axons = (1 - denervated) * (1 - chronic) * (1 - blocked)
    neurogenic = (1 - healthy_axons) * (1 - myopathic)
    grade = told["active_denervation"].because.get("largest_grade", 0.0) if rest else 0.0
    return MuscleFinding(
        muscle=muscle,
        side=side,
        neurogenic=neurogenic if rest else max(neurogenic, 0.5),
        myopathic=myopathic if muaps else 0.5,
        unstable=stability["unstable"] * healthy_axons * (1 - myopathic) if stability else 0.5,
        affected=float(np.interp(grade, GRADES, GRADE_SHARES)) if grade > 0 else None,
    )


def _muaps(chances: Mapping[str, float] | None, kind: str) -> float:
    return chances[kind] + chances.get("mixed", 0.0) / 2 if chances else 0.0


def _recruited(chances: Mapping[str, float] | None, value: str) -> float:
    """Return how probably the recruitment is so, or could not be judged."""
    return chances[value] + chances.get("poor_effort", 0.0) if chances else 1.0
