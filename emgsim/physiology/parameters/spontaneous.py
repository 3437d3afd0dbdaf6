"""Spontaneous and insertional activity in numbers; [S], [M], [P] as in the package's docstring.

Rates and sizes are medians over generators, which scatter log-normally by ``rate_spread``. A
*generator* is what discharges by itself: a fibre, a leaky end plate, a ring of fibres or a whole
motor unit. The grade says how many of them there are, by the table `Generators` of each kind.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from emgsim.physiology.parameters.base import Parameters

GRADES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)  # Daube: 0, +/-, 1+ .. 4+ [M]


def _one_of_the_grades(grade: float) -> float:
    if grade not in GRADES:
        names = ", ".join(f"{g:g}" for g in GRADES)
        raise ValueError(f"grade must be one of {names} (0.5: +/-), got {grade:g}")
    return grade


Grade = Annotated[float, AfterValidator(_one_of_the_grades)]


class Generators(Parameters):
    """Mean number of generators that are active at once in the uptake area, for each grade.

    The defaults are those of fibrillation: 1+ to 4+ as 0.3-1, 1-3, 3-8 and more than 10 [P]; +/- is
    one train that does not last.
    """

    plus_minus: float = Field(1.0, ge=0, le=200)
    one: float = Field(0.65, ge=0, le=200)
    two: float = Field(2.0, ge=0, le=200)
    three: float = Field(5.5, ge=0, le=200)
    four: float = Field(12.0, ge=0, le=200)

    def at(self, grade: float) -> float:
        """Return the mean number at a grade.

        Examples
        --------
        >>> Generators().at(2), Generators().at(0)
        (2.0, 0.0)
        """
        means = (0.0, self.plus_minus, self.one, self.two, self.three, self.four)
        return means[GRADES.index(_one_of_the_grades(grade))]


def _few(*means: float) -> Generators:
    return Generators(**dict(zip(Generators.model_fields, means, strict=True)))


SINGLE = _few(1, 1, 2, 3, 4)  # of what one examiner calls one discharge [P]


class Activity(Parameters):
    """What all kinds share: when the activity is there, and how much of it."""

    onset_s: float = Field(0.0, ge=0, le=86_400)
    offset_s: float | None = Field(None, gt=0, le=86_400)  # None: to the end of the recording
    grade: Grade = 1.0
    generators: Generators = SINGLE

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.offset_s is not None and self.offset_s <= self.onset_s:
            raise ValueError(
                f"offset_s must be > onset_s ({self.onset_s:g}), got {self.offset_s:g}"
            )
        return self


class _Wounded(Parameters):
    """A fibre whose wave ends at the needle, and is slow to repolarise.

    See `emgsim.physiology.spontaneous.field`. Ends 0-0.5 mm past the electrode are published (G);
    from some 0.2 mm on a short negative spike parts the sharp phase from the tail [C].
    """

    past_mm: float = Field(0.15, ge=0, le=0.5)  # its waves end so far past the tip at most
    repolarisation_s: float = Field(6e-3, ge=1e-3, le=0.1)  # mean; a tail of 10-30 ms [P]
    slowing: float = Field(0.3, gt=0.05, le=1)  # of the front as it dies: it falls abruptly, and
    #   returns more slowly [P]


class InsertionalBurst(Activity, _Wounded):
    """Fibres that a moving needle excites and wounds; it dies away when the needle rests.

    After the movement: normal 50-300 ms, increased more, reduced less (Daube & Rubin 2009 [M]).
    """

    kind: Literal["insertional_burst"] = "insertional_burst"
    generators: Generators = _few(4, 10, 18, 28, 40)  # fibres [P]
    movement_s: float = Field(0.2, gt=0, le=60)  # from onset_s
    after_s: float = Field(0.15, ge=0, le=10)  # from the rest of the needle to silence
    rate_hz: float = Field(30.0, gt=0, le=200)  # of each fibre while the needle moves [P]
    blocked_share: float = Field(0.4, ge=0, le=1)  # of fibres wounded at the needle [P]
    reach_mm: float = Field(0.6, gt=0, le=2)  # 50-500 uV [M]


class _EndPlateActivity(Activity):
    """What leaking end plates share.

    A quantum's current is 3.9 nA at 22 C and -80 mV in healthy human end plates (Engel's
    laboratory [M]), and with it one quantum makes 5 uV at 0.05 mm from a concentric core [C]. The
    published 10-50 uV need several at once, as an irritated terminal releases them.
    """

    rate_hz: float = Field(30.0, gt=0, le=1000)  # of each end plate, 20-40 [S]
    current_na: float = Field(25.0, gt=0, le=500)  # some six quanta [P]
    current_cov: float = Field(0.3, ge=0, le=1)  # of single events; quanta 0.3 [M]
    rise_s: float = Field(0.15e-3, gt=0, le=5e-3)  # time constants: events last 0.5-2 ms [S]
    decay_s: float = Field(0.4e-3, gt=0, le=20e-3)  # 3.2 ms at 22 C with a Q10 of 3 is 0.6 [M]
    time_spread: float = Field(0.15, ge=0, le=1)  # of both, from end plate to end plate [P]
    length_mm: float = Field(1.5, gt=0.1, le=10)  # length constant of the fibre, 1-2 [M]

    @model_validator(mode="after")
    def _rises_before_it_decays(self) -> Self:
        if self.rise_s >= self.decay_s:
            raise ValueError(f"rise_s must be < decay_s ({self.decay_s:g}), got {self.rise_s:g}")
        return self


class EndPlateNoise(_EndPlateActivity):
    """Miniature end-plate potentials at the needle: 10-50 uV, negative, Poisson."""

    kind: Literal["end_plate_noise"] = "end_plate_noise"
    generators: Generators = _few(1, 3, 6, 12, 24)  # end plates; up to 1000/s summed [M]
    reach_mm: float = Field(0.15, gt=0, le=2)  # beyond it a quantum is below 3 uV [C]


class TriggerPoint(_EndPlateActivity):
    """A nidus of leaky end plates (Hubbard & Berkoff 1993; Simons, Hong & Simons 2002).

    5-50 end plates at 10-40 per second within 1-2 mm; 5-50 uV rms inside, background 3-4 [M, P].
    Without a place of its own it lies at the needle's tip.
    """

    kind: Literal["trigger_point"] = "trigger_point"
    generators: Generators = _few(5, 12, 25, 38, 50)  # end plates
    current_na: float = Field(60.0, gt=0, le=500)  # with which 1+ has 5 uV rms inside [C]
    radius_mm: float = Field(0.75, gt=0, le=3)  # a site of 1-2 mm across
    x_mm: float | None = None
    y_mm: float | None = None
    z_mm: float | None = None


class EndPlateSpike(Activity):
    """Single fibres that an irritated terminal excites, heard at their end plates."""

    kind: Literal["end_plate_spike"] = "end_plate_spike"
    rate_hz: float = Field(15.0, ge=5, le=50)  # 5-50 [S Partanen 2013; M]
    rate_spread: float = Field(0.3, ge=0, le=1)
    isi_cov: float = Field(0.8, ge=0.5, le=1.2)  # [S, M]
    shortest_s: float = Field(3e-3, gt=0, le=0.02)  # refractory; ISIs < 50 ms occur [M]
    reach_mm: float = Field(0.5, gt=0, le=2)  # 100-300 uV, to 600 [S]


class _Denervation(Activity):
    """What the discharges of denervated fibres share."""

    generators: Generators = Generators()
    rate_hz: float = Field(5.0, ge=0.5, le=30)  # 0.5-15, to 30 [S]
    rate_spread: float = Field(0.6, ge=0, le=2)
    isi_cov: float = Field(0.04, ge=0, le=0.1)  # 0.01-0.1 [M]
    drift_sd: float = Field(0.03, ge=0, le=0.5)  # of the rate's logarithm: slow drift [M]
    drift_time_s: float = Field(10.0, gt=0, le=1000)  # over which it is forgotten [P]
    irregular_share: float = Field(0.18, ge=0, le=1)  # of generators, 0.10-0.25 [S]
    irregular_cov: float = Field(0.6, gt=0, le=1.2)  # [P]
    train_s: float = Field(6.0, ge=1, le=600)  # mean length of a train: > 1 s from 1+ on [M]
    unsustained_s: float = Field(0.8, gt=0, le=1)  # length of the train of +/- [M]
    diameter_share: float = Field(0.85, ge=0.3, le=1)  # of healthy fibres; 0.5 in 3-6 months [M].
    #   A body's own denervated fibres keep their diameters
    reach_mm: float = Field(0.6, gt=0, le=3)  # 20-300 uV, 10-1000 [S]


class Fibrillation(_Denervation):
    """Denervated fibres that discharge regularly, heard away from where they are excited."""

    kind: Literal["fibrillation"] = "fibrillation"


class PositiveSharpWave(_Denervation, _Wounded):
    """Denervated fibres whose waves end at the needle: positive and sharp, then a long tail."""

    kind: Literal["positive_sharp_wave"] = "positive_sharp_wave"
    reach_mm: float = Field(0.25, gt=0, le=3)  # 50-400 uV, to 1000: the needle wounds them [S, C]
    rate_hz: float = Field(5.0, ge=0.5, le=40)  # 0.5-20, 2-40 [S, M]


class Fasciculation(Activity):
    """Whole motor units that discharge singly.

    Mean intervals at one site are those of a Poisson process with the published medians, 0.8 s
    benign (Trojaborg & Buchthal 1965 [M]) and 3.5 s in ALS [S]: these over ln 2.
    """

    kind: Literal["fasciculation"] = "fasciculation"
    reach_mm: float = Field(1.0, gt=0, le=5)  # to the unit's nearest fibre [P]
    generators: Generators = _few(1, 2, 3, 4, 6)  # units [P]
    nature: Literal["benign", "malignant"] = "benign"
    mean_interval_s: float | None = Field(None, gt=0, le=600)  # at the site; None: by its nature
    cluster_share: float = Field(0.0, ge=0, le=0.9)  # of discharges that another follows
    cluster_gap_s: float = Field(0.1, gt=0.02, le=1)  # its mean delay [P]
    repeat_share: float = Field(0.0, ge=0, le=1)  # repeated after 32-35 ms by the F wave [S]

    @property
    def interval_s(self) -> float:
        """Mean interval between the discharges of the whole site, clusters and repeats apart."""
        median_s = 0.8 if self.nature == "benign" else 3.5
        return self.mean_interval_s or median_s / math.log(2)


class ComplexRepetitiveDischarge(Activity):
    """A ring of neighbouring fibres that excite each other (Trontelj & Stalberg 1983 [M])."""

    kind: Literal["complex_repetitive_discharge"] = "complex_repetitive_discharge"
    rate_hz: float = Field(25.0, ge=5, le=100)  # [S]
    rate_spread: float = Field(0.3, ge=0, le=1)
    isi_cov: float = Field(0.002, ge=0, lt=0.005)
    ring_fibres: int = Field(8, ge=3, le=20)
    delay_s: float = Field(1.0e-3, ge=0.2e-3, le=2e-3)  # mean ephaptic delay, each fibre 0.2-2 ms
    jitter_s: float = Field(2e-6, ge=0, le=3e-6)  # SD of each; MCD of a pair is then < 5 us
    drops: int = Field(1, ge=0, le=10)  # fibres that fall out on the way, in steps
    diameter_share: float = Field(0.85, ge=0.3, le=1)  # as of denervated fibres [P]
    reach_mm: float = Field(0.35, gt=0, le=2)  # 100-1000 uV [S]

    @model_validator(mode="after")
    def _cycle_fits_its_period(self) -> Self:
        cycle_s = self.ring_fibres * self.delay_s
        if cycle_s >= 1 / self.rate_hz:
            raise ValueError(
                f"ring_fibres * delay_s must be < 1 / rate_hz ({1 / self.rate_hz:.3g} s), "
                f"got {cycle_s:.3g}"
            )
        if self.drops > self.ring_fibres - 2:
            raise ValueError(
                f"drops must leave two of {self.ring_fibres} ring_fibres, got {self.drops}"
            )
        return self


class MyotonicDischarge(Activity, _Wounded):
    """Runs of one fibre, rate and amplitude wax and wane together (AANEM [S], [P])."""

    kind: Literal["myotonic_discharge"] = "myotonic_discharge"
    generators: Generators = _few(1, 1, 2, 4, 8)
    form: Literal["fibrillation", "positive_sharp_wave"] = "fibrillation"
    peak_rate_hz: float = Field(65.0, ge=50, le=150)  # a run goes from 0.4 of it up and back
    isi_cov: float = Field(0.02, ge=0, le=0.1)  # beside the course of its rate [P]
    does_wax: bool = True  # False: it only wanes, as in DM2 [S]
    wax_s: float = Field(1.0, ge=0.5, le=2)
    wane_s: float = Field(4.0, ge=2, le=18)  # 2-8; runs of 2-20 s [S, P]
    pause_s: float = Field(2.0, ge=0.1, le=600)  # mean, between two runs [P]
    reach_mm: float = Field(0.5, gt=0, le=2)  # 10-1000 uV [S]


class Myokymia(Activity):
    """One motor unit in bursts that come semi-rhythmically (AANEM; Gutmann [M])."""

    kind: Literal["myokymia"] = "myokymia"
    reach_mm: float = Field(0.5, gt=0, le=5)  # 200-2000 uV [M]
    bursts_hz: float = Field(0.7, ge=0.1, le=10)
    bursts_cov: float = Field(0.15, ge=0, le=0.5)  # semi-rhythmic [P]
    spikes: int = Field(6, ge=2, le=10)  # mean of a burst
    rate_hz: float = Field(25.0, ge=5, le=60)  # in the burst
    isi_cov: float = Field(0.1, ge=0, le=0.5)  # [P]

    @model_validator(mode="after")
    def _bursts_are_apart(self) -> Self:
        burst_s = (self.spikes - 1) / self.rate_hz
        if not 0.1 <= burst_s <= 0.9:
            raise ValueError(
                f"(spikes - 1) / rate_hz, a burst, must be 0.1..0.9 s, got {burst_s:.3g}"
            )
        if 2 * burst_s * self.bursts_hz >= 1:
            raise ValueError(
                f"bursts_hz must be < {0.5 / burst_s:.3g} for bursts of {burst_s:.3g} s to be "
                f"apart, got {self.bursts_hz:g}"
            )
        return self


class Neuromyotonia(Activity):
    """One motor unit in fast bursts that begin abruptly and shrink (Isaacs; AANEM [M])."""

    kind: Literal["neuromyotonia"] = "neuromyotonia"
    reach_mm: float = Field(0.5, gt=0, le=5)  # 500 uV at its begin [M]
    rate_hz: float = Field(230.0, ge=180, le=300)  # at a burst's begin; it falls by 15 %: 150-300
    isi_cov: float = Field(0.01, ge=0, le=0.05)  # [P]
    burst_s: float = Field(0.8, ge=0.1, le=3)  # mean length
    pause_s: float = Field(1.0, ge=0.05, le=600)  # mean [P]
    last_gain: float = Field(0.1, gt=0, le=1)  # 500 -> 50 uV over the mean length


class Cramp(Activity):
    """Many motor units at high rates, that begin and stop irregularly [M]."""

    kind: Literal["cramp"] = "cramp"
    reach_mm: float = Field(1.0, gt=0, le=5)  # to 1000 uV [M]
    generators: Generators = _few(4, 8, 12, 18, 25)  # units [P]
    rate_hz: float = Field(50.0, ge=20, le=150)  # 40-60, 20-150
    rate_spread: float = Field(0.1, ge=0, le=0.5)
    isi_cov: float = Field(0.15, ge=0, le=0.4)  # [P]
    build_s: float = Field(1.0, ge=0, le=30)  # units join, and at its end leave, within it [P]
    on_s: float = Field(3.0, gt=0.1, le=600)  # mean length of a unit's run [P]
    off_s: float = Field(0.3, gt=0, le=60)  # mean pause of a unit [P]


class Multiplets(Activity):
    """Doublets, triplets and more of one motor unit, as in tetany [M]."""

    kind: Literal["multiplets"] = "multiplets"
    reach_mm: float = Field(0.5, gt=0, le=5)  # [P]
    sets_hz: float = Field(2.5, ge=1, le=5)
    sets_cov: float = Field(0.2, ge=0, le=0.5)  # [P]
    spikes: int = Field(3, ge=2, le=8)  # of each set
    interval_s: float = Field(6e-3, ge=2e-3, le=20e-3)
    isi_cov: float = Field(0.1, ge=0, le=0.3)  # [P]


SpontaneousActivity = Annotated[
    InsertionalBurst
    | EndPlateNoise
    | TriggerPoint
    | EndPlateSpike
    | Fibrillation
    | PositiveSharpWave
    | Fasciculation
    | ComplexRepetitiveDischarge
    | MyotonicDischarge
    | Myokymia
    | Neuromyotonia
    | Cramp
    | Multiplets,
    Field(discriminator="kind"),
]
