"""Bayes' rule over the lesions: how well each explains what was found, and what to examine next.

How much of what is at risk is lost is not known, and people's anatomy differs from the book's: both
are averaged over. A muscle that is spared speaks against the lesions that should have hurt it as an
abnormal one speaks for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.configuration import nearest
from emgsim.localisation.findings import PROCESSES, MuscleFinding, Process, SensoryFinding, Side
from emgsim.localisation.places import Kind, Lesion, catalogues

Floats = NDArray[np.float64]
Muscle = tuple[str, Side]

# Share lost of what is at risk, all alike before the examination. Roots 0.1-0.5, entrapments
# 0.3-0.9, here with room for the unusual [P]; polyneuropathy says itself how much each muscle loses
LOST: dict[Kind, tuple[float, float]] = {
    "none": (0.0, 0.0),
    "root": (0.08, 0.6),
    "nerve": (0.2, 0.95),
    "plexus": (0.2, 0.95),
    "diffuse": (0.6, 1.0),
    "muscle": (0.2, 0.8),
    "junction": (0.4, 1.0),
}
N_LOST = 8
# Share lost that is found in one muscle of two. Fibrillations of few axons are heard at two of
# eight sites (the simulator's own muscles: 0.02-0.05); lost fibres and jitter need more [P]
HALF_SEEN: dict[Process, float] = {"neurogenic": 0.035, "myopathic": 0.15, "unstable": 0.25}
FALSE_ALARM, MISSED = 0.03, 0.03  # of a normal, and of a wholly ill muscle [P]
MOST_AT_RISK = 0.95  # mean of what is at risk where the book says all [P]
N_ANATOMY = 9  # nodes of the quadrature over anatomy
SENSORY_LOW = 0.85  # of lesions that put all of a sensory nerve at risk [P]
# Scatter of the logarithm of an estimated share [P]; odd estimates lie anywhere within e^4
AFFECTED_SD, ODD_SHARE, ODD_RANGE = 0.55, 0.1, 4.0


class Reason(NamedTuple):
    """What one muscle or sensory nerve says for a lesion, in nats against health."""

    what: str
    side: Side
    seen: str
    nats: float


@dataclass(frozen=True, kw_only=True)
class Located:
    """A lesion with its probability, and the reasons in the order of the findings."""

    lesion: Lesion
    probability: float
    because: tuple[Reason, ...]


def located(
    findings: Sequence[MuscleFinding],
    known: Sequence[Lesion],
    sensory: Sequence[SensoryFinding] = (),
) -> tuple[Located, ...]:
    """Return the lesions by their probability given the findings, the most probable first.

    Parameters
    ----------
    findings
        One for each muscle examined, normal ones too.
    known
        Of `emgsim.localisation.lesions`. Variants of one lesion are added up; the likeliest one
        gives the reasons.
    sensory
        Sensory nerve action potentials, if they were measured.

    Raises
    ------
    ValueError
        If there is no finding, two are of the same muscle, or no catalogue has the muscle or nerve.

    Examples
    --------
    >>> from emgsim.localisation import lesions
    >>> hand = [
    ...     MuscleFinding(muscle="abductor_pollicis_brevis", neurogenic=0.97),
    ...     MuscleFinding(muscle="first_dorsal_interosseous", neurogenic=0.03),
    ... ]
    >>> located(hand, lesions())[0].lesion.name
    'median_wrist'
    """
    _check(findings, sensory)
    rows = [_log_likelihoods(lesion, findings, sensory) for lesion in known]
    weights = _weights(known, rows)
    healthy = _log_likelihoods(Lesion(kind="none", name="none"), findings, sensory)[:, 0]
    found = []
    for of_one in _variants(known).values():
        best = max(of_one, key=lambda k: float(weights[k].sum()))
        nats = rows[best][:, int(np.argmax(weights[best]))] - healthy
        found.append(
            Located(
                lesion=known[best],
                probability=float(sum(weights[k].sum() for k in of_one)),
                because=tuple(_reasons(findings, sensory, nats)),
            )
        )
    return tuple(sorted(found, key=lambda one: -one.probability))


def most_telling(
    findings: Sequence[MuscleFinding],
    known: Sequence[Lesion],
    candidates: Iterable[Muscle],
    sensory: Sequence[SensoryFinding] = (),
) -> Muscle:
    """Return the muscle whose examination is expected to tell most about which lesion it is.

    Parameters
    ----------
    findings, known, sensory
        As for `located`: what was found so far.
    candidates
        Muscles that could be examined next, each with its side.

    Raises
    ------
    ValueError
        If there is no candidate, or the findings are impossible.
    """
    _check(findings, sensory)
    choice = list(candidates)
    if not choice:
        raise ValueError("candidates must hold at least one muscle, got none")
    weights = _weights(known, [_log_likelihoods(one, findings, sensory) for one in known])
    told = [_information(known, weights, muscle) for muscle in choice]
    return choice[int(np.argmax(told))]


def _information(known: Sequence[Lesion], weights: Sequence[Floats], muscle: Muscle) -> float:
    """Return the mutual information of a muscle's yes or no and the lesion, nats."""
    names = {key: k for k, key in enumerate(_variants(known))}
    mass = np.zeros(len(names))
    abnormal = {process: np.zeros(len(names)) for process in PROCESSES}
    for lesion, weight in zip(known, weights, strict=True):
        mass[names[lesion.key]] += weight.sum()
        if lesion.reaches(muscle[1]) and muscle[0] in lesion.at_risk:
            yes, _ = _chance(lesion, *muscle, lesion.process, None)
            abnormal[lesion.process][names[lesion.key]] += weight @ (yes - FALSE_ALARM)
    told = [FALSE_ALARM * mass + more for more in abnormal.values()]
    return sum(float(_entropy(p.sum()) - mass @ _entropy(p / mass)) for p in told)


def _entropy(p: Floats) -> Floats:
    return np.asarray(special.entr(p) + special.entr(1 - p))


def _variants(known: Sequence[Lesion]) -> dict[tuple[Kind, str, str], list[int]]:
    found: dict[tuple[Kind, str, str], list[int]] = {}
    for k, lesion in enumerate(known):
        found.setdefault(lesion.key, []).append(k)
    return found


def _weights(known: Sequence[Lesion], rows: Sequence[Floats]) -> list[Floats]:
    """Return the probability of each lesion at each share lost; all of them sum to 1."""
    logs = [
        np.log(lesion.prior / row.shape[1]) + row.sum(axis=0)
        for lesion, row in zip(known, rows, strict=True)
    ]
    total = special.logsumexp(np.concatenate(logs))
    return [np.maximum(np.exp(log - total), 1e-300) for log in logs]


# -- likelihoods ----------------------------------------------------------------------------------


def _log_likelihoods(
    lesion: Lesion, findings: Sequence[MuscleFinding], sensory: Sequence[SensoryFinding]
) -> Floats:
    """Return that of each finding at each share lost, ``(n_findings + n_sensory, n_lost)``."""
    muscles = [_of_muscle(lesion, finding) for finding in findings]
    nerves = [np.full(N_LOST, _of_sensory(lesion, finding)) for finding in sensory]
    return np.array([*muscles, *nerves])


def _of_muscle(lesion: Lesion, finding: MuscleFinding) -> Floats:
    total = np.zeros(N_LOST)
    for process in PROCESSES:
        called = getattr(finding, process)
        affected = finding.affected if process == "neurogenic" else None
        yes, no = _chance(lesion, finding.muscle, finding.side, process, affected)
        total += np.log(called * yes + (1 - called) * no)
    return total


def _of_sensory(lesion: Lesion, finding: SensoryFinding) -> float:
    share = lesion.sensory.get(finding.nerve, 0.0) if lesion.reaches(finding.side) else 0.0
    low = FALSE_ALARM + (SENSORY_LOW - FALSE_ALARM) * share
    return float(np.log(finding.low * low + (1 - finding.low) * (1 - low)))


def _chance(
    lesion: Lesion, muscle: str, side: Side, process: Process, affected: float | None
) -> tuple[Floats, Floats]:
    """Return how likely a muscle is called abnormal (and so affected), and normal."""
    hit = process == lesion.process and lesion.reaches(side)
    at_risk = lesion.at_risk.get(muscle, 0.0) if hit else 0.0
    spared = lesion.spared.get(muscle, 0.0)
    return _called(at_risk, spared, lesion.scatter, lesion.kind, process, affected)


@lru_cache(maxsize=20_000)
def _called(
    at_risk: float,
    spared: float,
    scatter: float,
    kind: Kind,
    process: Process,
    affected: float | None,
) -> tuple[Floats, Floats]:
    shares, weight = _anatomy(at_risk, scatter)
    lost = np.linspace(*LOST[kind], N_LOST)[:, None] * shares
    seen = (1 - spared) * (1 - FALSE_ALARM - MISSED) * (1 - 0.5 ** (lost / HALF_SEEN[process]))
    yes = FALSE_ALARM + seen * _so_much(affected, lost)
    return np.asarray(yes @ weight), np.asarray((1 - FALSE_ALARM - seen) @ weight)


def _anatomy(at_risk: float, scatter: float) -> tuple[Floats, Floats]:
    """Return what is at risk in people, and their weights: a Beta distribution in nine parts."""
    if at_risk <= 0:
        return np.zeros(1), np.ones(1)
    mean = min(at_risk, MOST_AT_RISK)
    middle = (np.arange(N_ANATOMY) + 0.5) / N_ANATOMY
    shares = special.betaincinv(mean * scatter, (1 - mean) * scatter, middle)
    return np.asarray(shares), np.full(N_ANATOMY, 1 / N_ANATOMY)


def _so_much(affected: float | None, lost: Floats) -> Floats:
    """Return how much likelier an estimate is than among odd ones, at each share lost."""
    if affected is None:
        return np.ones_like(lost)
    off = (np.log(affected) - np.log(np.maximum(lost, 1e-3))) / AFFECTED_SD
    peak = ODD_RANGE / (AFFECTED_SD * np.sqrt(2 * np.pi))
    return np.asarray(ODD_SHARE + (1 - ODD_SHARE) * peak * np.exp(-0.5 * off**2))


# -- what goes in and comes out -------------------------------------------------------------------


def _check(findings: Sequence[MuscleFinding], sensory: Sequence[SensoryFinding]) -> None:
    if not findings:
        raise ValueError("findings must hold at least one muscle, got none")
    nerves, muscles = catalogues()
    named = [(muscles, f.muscle, f.side) for f in findings]
    named += [(nerves["sensory"], s.nerve, s.side) for s in sensory]
    for catalogue, name, _ in named:
        if name not in catalogue:
            raise ValueError(f"findings: the catalogue has no {name!r}{nearest(name, catalogue)}")
    for (name, side), number in Counter((name, side) for _, name, side in named).items():
        if number > 1:
            raise ValueError(f"findings must hold each muscle once a side, got {side} {name} twice")


def _reasons(
    findings: Sequence[MuscleFinding], sensory: Sequence[SensoryFinding], nats: Floats
) -> Iterable[Reason]:
    for finding, told in zip(findings, nats, strict=False):
        yield Reason(finding.muscle, finding.side, _seen(finding), float(told))
    for potential, told in zip(sensory, nats[len(findings) :], strict=True):
        seen = "low" if potential.low > 0.5 else "normal"
        yield Reason(potential.nerve, potential.side, seen, float(told))


def _seen(finding: MuscleFinding) -> str:
    told = {process: float(getattr(finding, process)) for process in PROCESSES}
    process = max(told, key=lambda name: told[name])
    if told[process] > 0.5:
        return process
    return "normal" if min(told.values()) < 0.5 else "not judged"
