"""Diseases and other conditions in numbers; [S], [M], [P] as in `emgsim.physiology.parameters`.

A condition says how severe it is and how long ago it began, never when it will begin. What each
does to a body is in `emgsim.physiology.conditions`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from emgsim.physiology.parameters.base import Parameters
from emgsim.physiology.parameters.muscle import Muscle

Share = Annotated[float, Field(ge=0, le=1)]
Months = Annotated[float, Field(ge=0, le=600)]  # since the onset; an onset to come is a mistake
Weeks = Annotated[float, Field(ge=0, le=2600)]
WEEKS_PER_MONTH = 365.25 / 12 / 7


class _Denervation(Parameters):
    """Axons that are lost, and what becomes of their fibres."""

    reinnervation: Share = 1.0  # of the denervated fibres that neighbours can reach; 0: no sprouts
    # Until fibres fibrillate: paraspinal 7-10, proximal limb 14-21, distal limb 21-35; Wilbourn [M]
    fibrillation_delay_days: float = Field(21.0, ge=7, le=35)


class AxonalLoss(_Denervation):
    """Axons lost at one time, whatever their size; neighbours adopt the fibres."""

    kind: Literal["axonal_loss"] = "axonal_loss"
    share: Share  # of the axons
    months: Months


class Radiculopathy(_Denervation):
    """Axons of one root lost; the muscle's root weights say how many of its units these are."""

    kind: Literal["radiculopathy"] = "radiculopathy"
    root: str = Field(min_length=1)  # as in `Muscle.roots`: "C7", "L5"
    share: Share = 0.3  # of the root's axons, 0.1-0.5 [P]
    weeks: Weeks


class Entrapment(_Denervation):
    """Axons of a compressed nerve lost, in the muscles beyond the place."""

    kind: Literal["entrapment"] = "entrapment"
    nerve: str = Field(
        min_length=1
    )  # that supplies the muscle, or of which its nerve is a branch: "ulnar"
    share: Share  # of the axons to the muscle that suffers most
    weeks: Weeks
    # Share of each muscle beyond the place, over that of the worst; of a site in catalogue/nerves.
    # Empty: all muscles of the nerve alike
    muscles: dict[str, Share] = Field(default_factory=dict)


class MotorNeuronDisease(_Denervation):
    """Motor neurons die one after the other; sprouting lags behind. Combine: upper_motor_neuron."""

    kind: Literal["motor_neuron_disease"] = "motor_neuron_disease"
    months: Months  # since the onset in this region
    half_life_months: float = Field(9.0, ge=1, le=120)  # of the units: 6-12; MUNIX -3 to -5 % [M]
    fasciculations_per_min: float = Field(6.0, ge=0, le=60)  # at one site, 1-30 [M]; de Carvalho:
    #   median interval 3.5 s in denervated muscle


class NascentReinnervation(Parameters):
    """Axons that grew back from the lesion and reach some fibres of their old units."""

    kind: Literal["nascent_reinnervation"] = "nascent_reinnervation"
    share: Share  # of the lost units
    months: Months  # since they arrived, at 1 mm a day (1-3) [M]
    fibres: int = Field(20, ge=1, le=500)  # of each unit at first [C]


class ConductionBlock(Parameters):
    """Axons whose impulses do not pass; their fibres stay innervated, so none fibrillates.

    Slowed axons (demyelination) change stimulated responses; at the needle of a voluntary effort
    nobody sees when an impulse left.
    """

    kind: Literal["conduction_block"] = "conduction_block"
    share: Share  # of the axons, now


class _FibreDisease(Parameters):
    """Disease of the muscle fibres themselves."""

    loss: float = Field(0.5, ge=0, le=0.9)  # of each unit's fibres; 0.2-0.7 [M]
    diameter_um: float = Field(45.0, ge=20, le=70)  # mean of those that stay; 35-50 [M]
    diameter_cov: float = Field(0.35, ge=0.1, le=0.6)  # 0.25-0.45; dystrophy has 20 and 80 um [M]
    splitting: float = Field(0.10, ge=0, le=0.5)  # of the fibres, 0.05-0.15 [M]
    end_plate_sd_mm: float = Field(3.0, ge=0, le=6)  # within a unit, 2-4 [M]
    safety_share: float = Field(0.7, gt=0, le=1)  # of the end plates' safety factor: jitter of
    #   20-35 us and 0-5 % block [M]
    # Of the logarithm of the recruitment range: motor neurons adapt. When the second unit of a site
    # begins, the first is faster by 1.78 pps, 2.47 in health, and begins at the same rate: "Motor
    # unit recruitment in myopathy: the myopathic EMG reconsidered" [S]
    recruitment_share: float = Field(0.72, gt=0, le=1)


class Myopathy(_FibreDisease):
    """Dystrophy, metabolic or toxic myopathy: fibres vanish, shrink, swell and split."""

    kind: Literal["myopathy"] = "myopathy"


class Myositis(_FibreDisease):
    """Inflammatory myopathy: necrotic segments also cut off ends, which fibrillate."""

    kind: Literal["myositis"] = "myositis"
    separated: Share = 0.15  # of the fibres with an end cut off [P]: fibrillations 2-3+
    treatment_weeks: Weeks = 0.0  # of effective treatment: fibrillations fall to 0-1+


class _JunctionDisorder(Parameters):
    """End plates that transmit less surely, and how sure each is after what it has just done.

    See `emgsim.physiology.release`; a healthy end plate has so much to spare that none of it shows.
    """

    spread: float = Field(0.5, ge=0, le=1)  # between end plates, of the safety's logarithm [P]
    depletion: float = Field(0.2, ge=0, le=0.5)  # of the store by a discharge, 0.15-0.2 [P]
    mobilisation: float = Field(0.5, ge=0, le=0.5)  # of what the store misses, by a discharge:
    #   the decrement is largest at the fourth or fifth response [S]
    refill_s: float = Field(5.0, gt=0, le=60)  # of the store in rest; slower than 0.5 Hz makes no
    #   decrement [M]
    facilitation: float = Field(1.5, ge=1, le=4)  # most by which quick discharges raise the
    #   release; 1.5 mends a decrement for a moment, 1-4 [P]
    rate_hz: float = Field(10.0, ge=0, le=50)  # of the steady discharge that the safety is of


class Myasthenia(_JunctionDisorder):
    """Myasthenia gravis: fewer receptors, so that end plates transmit less surely."""

    kind: Literal["myasthenia"] = "myasthenia"
    safety_share: float = Field(0.6, gt=0, le=1)  # of the safety factor that is left, median;
    #   mean MCD 50-120 us [S AAEE 25]
    spread: float = Field(0.35, ge=0, le=1)  # [P]


class Lems(_JunctionDisorder):
    """Lambert-Eaton syndrome: too little transmitter at rest, more after quick discharges."""

    kind: Literal["lems"] = "lems"
    safety_share: float = Field(0.22, gt=0, le=1)  # in rest, median: CMAP 10-50 % of normal [S]
    facilitation: float = Field(3.5, ge=1, le=4)  # the CMAP gains >= 60 %, often 100-400 % [S]


class Botulinum(_JunctionDisorder):
    """Botulinum toxin injected at one place along the muscle."""

    kind: Literal["botulinum"] = "botulinum"
    z_mm: float = 0.0  # place along the muscle, 0 = centre of the end-plate band
    weeks: Weeks  # since the injection
    effect: Share = 0.793  # of the fibres that it stops where it is injected, at its peak; it
    #   falls by 46 % for each cm to the end plate; Lapatki 2011, Clin Neurophysiol 122:1611 [S]
    facilitation: float = Field(2.5, ge=1, le=4)  # as in LEMS, >= 60 % [S]
    rate_hz: float = Field(0.0, ge=0, le=50)  # the effect is that on rested end plates


class Myotonia(Parameters):
    """Membranes that discharge on after movement; at rest only, unless a myopathy comes with it."""

    kind: Literal["myotonia"] = "myotonia"
    sites: Share = 0.6  # of the needle's sites, 0.3-1: distal in DM1, all in myotonia congenita [M]
    rate_hz: float = Field(50.0, ge=20, le=150)  # highest of a run, 20-80 [S AANEM], to 150 [M]
    is_waning_only: bool = False  # myotonic dystrophy type 2 [S]


class UpperMotorNeuron(Parameters):
    """Paresis of central origin: rates that do not rise, steady intervals, a narrow recruitment.

    Gemperline 1995, Muscle Nerve 18:1101 [S]: rates, intervals and recruitment.
    """

    kind: Literal["upper_motor_neuron"] = "upper_motor_neuron"
    peak_rate_hz: float = Field(12.0, ge=8, le=15)  # 8-15 [P]
    recruitment_share: float = Field(0.7, gt=0, le=1)  # of the logarithm of the range [P]
    cov_share: float = Field(0.75, gt=0, le=1)  # of the scatter of intervals [P]


class PoorEffort(Parameters):
    """A patient who gives a part of the effort that is asked for, and trembles."""

    kind: Literal["poor_effort"] = "poor_effort"
    effort_share: float = Field(0.3, gt=0, le=1)  # 0.1-0.6 [M]
    tremor_hz: float = Field(6.0, ge=4, le=8)  # 4-8 [M]
    tremor_depth: float = Field(0.5, ge=0, le=1)  # of the modulation [P]


class PainfulEffort(Parameters):
    """Pain that inhibits the motor neurons: the same force with slower and with new units."""

    kind: Literal["pain"] = "pain"
    rate_share: float = Field(0.14, ge=0, lt=1)  # -14 to -16 %; Tucker 2009, J Neurosci [S]
    rate_drop_hz: float = Field(0.0, ge=0, le=10)  # 1.03 +- 0.21 pps; Farina 2004 [S]


class Ageing(Parameters):
    """The years of a healthy patient; see `emgsim.physiology.parameters.aged`."""

    kind: Literal["ageing"] = "ageing"
    years: float = Field(ge=18, le=100)


Condition = Annotated[
    AxonalLoss
    | Radiculopathy
    | Entrapment
    | MotorNeuronDisease
    | NascentReinnervation
    | ConductionBlock
    | Myopathy
    | Myositis
    | Myasthenia
    | Lems
    | Botulinum
    | Myotonia
    | UpperMotorNeuron
    | PoorEffort
    | PainfulEffort
    | Ageing,
    Field(discriminator="kind"),
]


def reaches(condition: Condition, muscle: Muscle) -> bool:
    """Return whether a condition of the patient is one of this muscle.

    A lesion of a root or of a nerve spares the muscles of all others.
    """
    match condition:
        case Radiculopathy():
            return condition.root in muscle.roots
        case Entrapment() if condition.muscles:
            return muscle.name in condition.muscles
        case Entrapment():
            return set(condition.nerve.split()) <= set(muscle.nerve.split())
        case _:
            return True
