"""The motor neuron pool in numbers; [S], [M], [R], [P] as in `emgsim.physiology.parameters`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from emgsim.physiology.parameters.base import Parameters


class Intervals(Parameters):
    """How the intervals between a unit's discharges scatter about their mean.

    The coefficient of variation is `Pool.isi_cov`, or falls to it from ``cov_at_recruitment`` as
    the drive rises above the unit's threshold.
    """

    law: Literal["gaussian", "gamma"] = "gaussian"  # means over 120 ms are gamma in any case [M]
    serial_correlation: float = Field(-0.1, ge=-0.2, le=0.2)  # of neighbours: -0.1 to -0.2 in
    #   health, none or positive in spasticity; Rosenfalck & Andreassen 1980, JNNP 43:907 [S]
    cov_at_recruitment: float | None = Field(None, ge=0, le=0.5)  # FDI 0.30, then 0.13; Moritz
    #   2005, J Neurophysiol 93:2449 [S]; None: isi_cov at any drive
    cov_falls_over: float = Field(0.05, gt=0, le=1)  # of the maximal excitation, to 1/e of the
    #   excess: 2.5 of some 47 units in models made on Moritz's data [M]


class CommonDrive(Parameters):
    """Slow fluctuations of the rates that all active units of the pool share.

    They act on rates and do not recruit: as fluctuations of the excitation they would make the
    force of a hold tremble by 20 % and more, and units at the brink flicker.
    """

    strength: float = Field(0.12, ge=0, le=0.5)  # SD of a rate below its peak, over the minimal
    #   rate; fitted to rates that correlate by 0.4-0.8 when smoothed over 400 ms; De Luca & Erim
    #   1994 [M]
    cutoff_hz: float = Field(2.5, gt=0, le=10)  # 2-3 [M]


class Synchrony(Parameters):
    """Short-term synchrony: a fast input that all units share, without any slow part."""

    pairs_per_s: float = Field(0.4, ge=0, le=2)  # CIS, pairs of two units beyond chance; 0.2-0.9,
    #   Nordstrom 1992 [M]
    frequency_hz: float = Field(25.0, ge=15, le=30)  # 15-30 Hz coherence; the peak is half a
    #   period wide: 10-20 ms [M]


class Doublets(Parameters):
    """Two discharges in quick succession."""

    share: float = Field(0.0, ge=0, le=0.3)  # of all discharges, 0-0.03; Bawa & Calancie 1983 [M]
    share_at_recruitment: float = Field(0.05, ge=0, le=1)  # of first discharges after a pause;
    #   to 0.1-0.3 in ballistic efforts, Van Cutsem 1998 [M]; the default is ours [P]
    shortest_s: float = Field(0.005, ge=0.003, le=0.02)  # 5-10 ms (3-20) [M]
    longest_s: float = Field(0.010, ge=0.003, le=0.02)

    @model_validator(mode="after")
    def _shortest_is_not_longest(self) -> Self:
        if self.shortest_s > self.longest_s:
            raise ValueError(
                f"shortest_s must be <= longest_s ({self.longest_s:g}), got {self.shortest_s:g}"
            )
        return self


class Fatigue(Parameters):
    """Rates that fall in a long effort, in proportion to how hard the pool is driven."""

    rate_fall: float = Field(0.0, ge=0, le=0.9)  # share lost in an endless maximal effort; 0.5:
    #   from 30 to 15-20 pps in 40-60 s, Bigland-Ritchie 1983 [M]
    time_constant_s: float = Field(30.0, gt=0, le=3600)  # of the fall and of the recovery [M]
    # Share of the fibres' velocity lost likewise: 0.1-0.3, Merletti 1990 [M]. At the skin only
    velocity_fall: float = Field(0.0, ge=0, le=0.5)


class Pain(Parameters):
    """Inhibition of the motor neurons by pain, as it is seen at the same force.

    New units make up for the force; see `emgsim.physiology.pool.thresholds_in_pain`.
    """

    rate_share: float = Field(0.0, ge=0, lt=1)  # 0.14: quadriceps 8.7 -> 7.5, FPL 11.9 -> 10.0
    #   pps (-0.14, -0.16), Tucker 2009, J Neurosci [S]
    rate_drop_hz: float = Field(0.0, ge=0, le=10)  # 1.03 +- 0.21 at 10 % MVC, Farina 2004,
    #   J Neurophysiol [S]


class Pool(Parameters):
    """Motor neurons in order of size (Fuglevand, Winter & Patla 1993, J Neurophysiol 70:2470).

    Excitation has no unit of its own: on its scale ``recruitment_range`` recruits the last unit,
    whichever the law of recruitment, and ``rate_gain`` says how many pps a step of one adds.
    """

    n_units: int = Field(ge=1, le=5000)  # motor units in the muscle
    recruitment: Literal["fuglevand", "de_luca_contessa", "caillet"] = "fuglevand"  # see
    #   `emgsim.physiology.pool.thresholds`; caillet was measured in the tibialis anterior
    recruitment_range: float = Field(30.0, gt=1, le=500)  # RR: last over first threshold
    twitch_range: float = Field(100.0, gt=1, le=1000)  # RP: largest over smallest twitch [M]
    rate_law: Literal[
        "linear", "de_luca_hostage_fdi", "de_luca_hostage_vl", "de_luca_hostage_ta"
    ] = "linear"
    minimal_rate_hz: float = Field(8.0, gt=0, le=50)  # MFR, 5-10 pps [M]
    minimal_rate_rise_hz: float = Field(0.0, ge=0, le=40)  # last unit's over the first's; FDI 7 to
    #   23 pps, Moritz 2005 [S]; Fuglevand: none
    peak_rate_first_hz: float = Field(35.0, gt=0, le=100)  # PFR_1, 35-45 pps [M]
    peak_rate_drop_hz: float = Field(10.0, ge=-60, le=60)  # PFR_D: later units peak lower [M]
    rate_gain: float = Field(1.0, gt=0)  # pps per unit of excitation (thresholds begin at ~1)
    isi_cov: float = Field(0.15, ge=0, le=0.5)  # 7.6-46 %, median of needle recordings 0.14 [S]
    intervals: Intervals = Intervals()
    common_drive: CommonDrive = CommonDrive()
    synchrony: Synchrony = Synchrony()
    doublets: Doublets = Doublets()
    fatigue: Fatigue = Fatigue()
    pain: Pain = Pain()
    tracking: Literal["force", "drive"] = "force"  # what an effort sets: force, seen and corrected,
    #   or only the excitation that should make it

    @model_validator(mode="after")
    def _units_can_fire(self) -> Self:
        self._check_peak(self.peak_rate_first_hz, "peak_rate_first_hz", self.minimal_rate_hz)
        lowest_hz = self.minimal_rate_hz + self.minimal_rate_rise_hz
        last_hz = self.peak_rate_first_hz - self.peak_rate_drop_hz
        self._check_peak(last_hz, "peak_rate_first_hz - peak_rate_drop_hz", lowest_hz)
        return self

    @staticmethod
    def _check_peak(peak_hz: float, name: str, lowest_hz: float) -> None:
        if peak_hz <= lowest_hz:
            raise ValueError(f"{name} must be > minimal_rate_hz ({lowest_hz:g}), got {peak_hz:g}")

    @model_validator(mode="after")
    def _pain_leaves_a_rate(self) -> Self:
        left_hz = (1 - self.pain.rate_share) * self.minimal_rate_hz
        if self.pain.rate_drop_hz >= left_hz:
            raise ValueError(
                f"pain.rate_drop_hz must be < what is left of minimal_rate_hz ({left_hz:g}), "
                f"got {self.pain.rate_drop_hz:g}"
            )
        return self

    @model_validator(mode="after")
    def _later_units_have_higher_thresholds(self) -> Self:
        if self.recruitment == "de_luca_contessa" and self.last_threshold < 0.2:
            raise ValueError(
                "recruitment = 'de_luca_contessa' needs a last threshold >= 0.2 of the maximal "
                f"excitation, got {self.last_threshold:.3g}; raise recruitment_range"
            )
        return self

    @property
    def maximal_excitation(self) -> float:
        """Excitation at which the last unit reaches its peak rate (of the linear law)."""
        last_hz = self.peak_rate_first_hz - self.peak_rate_drop_hz
        lowest_hz = self.minimal_rate_hz + self.minimal_rate_rise_hz
        return self.recruitment_range + (last_hz - lowest_hz) / self.rate_gain

    @property
    def last_threshold(self) -> float:
        """Excitation that recruits the last unit, as a fraction of the maximal one."""
        return self.recruitment_range / self.maximal_excitation
