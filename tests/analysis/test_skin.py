"""One analysis of surface EMG: what it refuses, what it leaves out, and what it measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import fft

from emgsim.analysis.core import analyse
from emgsim.analysis.plan import NeedlePlan, Step, SurfacePlan, plan_kind
from emgsim.analysis.skin import analyse_surface
from emgsim.errors import NotAnalysableError
from emgsim.recording import Channel, Findings, Gap, Recording
from emgsim.scenario import Scenario
from emgsim.simulation import patient_of, simulate

Floats = NDArray[np.float64]

BEND = ("standing", "flexion", "full flexion", "re-extension")
RATES_HZ = (2048.0, 10_000.0, 100_000.0)


def recording(
    *columns: Floats, rate_hz: float = 2048.0, kind: str = "surface_bipolar", **more: Any
) -> Recording:
    """Return channels of a kind, as they are given."""
    channels = tuple(Channel(name=f"channel {k}", kind=kind) for k in range(len(columns)))
    return Recording(
        samples_uv=np.column_stack(columns), rate_hz=rate_hz, channels=channels, **more
    )


def noise(
    seconds: float,
    rate_hz: float = 2048.0,
    rms_uv: float = 30.0,
    seed: int = 1,
    band_hz: tuple[float, float] = (30.03, 299.97),  # between the lines of whole seconds
) -> Floats:
    """Return noise of a band: the same curve whatever the rate it is read at."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate_hz)
    f_hz = fft.rfftfreq(n, 1 / rate_hz)
    band = np.flatnonzero((f_hz > band_hz[0]) & (f_hz < band_hz[1]))
    spectrum = np.zeros(f_hz.size, np.complex128)
    spectrum[band] = rng.standard_normal(band.size) + 1j * rng.standard_normal(band.size)
    samples = fft.irfft(spectrum, n)
    return np.asarray(rms_uv * samples / np.std(samples))


def steps(*names: str, each_s: float = 2.0) -> tuple[Step, ...]:
    """Return steps one after the other."""
    return tuple(
        Step(name=name, onset_s=each_s * k, offset_s=each_s * (k + 1))
        for k, name in enumerate(names)
    )


def values(found: Findings, name: str) -> list[float]:
    """Return the values of the rows of an id."""
    return [row["value"] for row in found.measures if row["id"] == name]


# -- what holds nothing ----------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: np.zeros(0), "0 s of samples, at least 1 s"),
        (lambda hz: np.arange(10.0) / hz, "s of samples, at least 1 s"),
        (lambda hz: noise(0.9, hz), "0.9 s of samples, at least 1 s"),
        (lambda hz: np.full(round(2 * hz), np.nan), "0 s of samples, at least 1 s"),
        (lambda hz: np.full(round(2 * hz), 7.3), "the channel is flat at 7.3 uV"),
        (lambda hz: np.clip(noise(2.0, hz), -20.0, 20.0), "% of the samples are clipped"),
    ],
)
def test_what_holds_nothing_is_refused_at_every_rate(make: Any, words: str, rate_hz: float) -> None:
    """Nothing, next to nothing, missing, flat or clipped: no filter before the look hides it."""
    with pytest.raises(NotAnalysableError) as info:
        analyse_surface(recording(make(rate_hz), rate_hz=rate_hz), SurfacePlan())
    assert words in info.value.what
    assert info.value.where == "channel 'channel 0'"
    assert info.value.todo


def test_a_rate_too_low_for_the_band_is_refused() -> None:
    """Half of 950 Hz is above 450 Hz; half of 900 is not."""
    assert analyse_surface(recording(noise(3.0, 950.0), rate_hz=950.0), SurfacePlan()).measures
    with pytest.raises(NotAnalysableError, match=r"the rate must be >= 950 Hz .* got 900 Hz"):
        analyse_surface(recording(noise(3.0, 900.0), rate_hz=900.0), SurfacePlan())


def test_a_recording_without_channels_is_refused() -> None:
    """There is no channel whose name could be told."""
    empty = Recording(samples_uv=np.zeros((4096, 0)), rate_hz=2048.0, channels=())
    with pytest.raises(NotAnalysableError, match="no channel"):
        analyse_surface(empty, SurfacePlan())


@pytest.mark.parametrize("rate_hz", RATES_HZ[:2])
def test_channels_that_hold_nothing_are_left_out_and_said(rate_hz: float) -> None:
    """What is measured is what the good channel says alone."""
    good = noise(3.0, rate_hz)
    flat, lost = np.full(good.size, 5.0), np.full(good.size, np.nan)
    clipped = np.clip(noise(3.0, rate_hz, seed=2), -20.0, 20.0)
    found = analyse_surface(recording(flat, good, clipped, lost, rate_hz=rate_hz), SurfacePlan())
    alone = analyse_surface(recording(good, rate_hz=rate_hz), SurfacePlan())
    assert found.measures == alone.measures
    assert found.plan == (
        "surface: channel 'channel 0' and 3 more of kind surface_bipolar; "
        "left out: channel 0, channel 2, channel 3"
    )


@given(
    n=st.integers(1, 6000),
    rate_hz=st.sampled_from([1000.0, 2048.0, 12_500.0]),
    seed=st.integers(0, 99),
    lost=st.floats(0.0, 1.0),
    limit_uv=st.sampled_from([0.0, 3.0, 90.0, 1e6]),
)
@settings(max_examples=40, deadline=None)
def test_whatever_is_recorded_is_measured_or_refused(
    n: int, rate_hz: float, seed: int, lost: float, limit_uv: float
) -> None:
    """Any length, with a gap anywhere, clipped or not: finite values, or one error."""
    rng = np.random.default_rng(seed)
    samples_uv = np.clip(40.0 * rng.standard_normal(n), -limit_uv, limit_uv)
    begin, n_lost = int(rng.integers(n)), round(lost * n)
    samples_uv[begin : begin + n_lost] = np.nan
    try:
        found = analyse_surface(recording(samples_uv, rate_hz=rate_hz), SurfacePlan())
    except NotAnalysableError:
        return
    assert found.events
    assert all(np.isfinite(row["value"]) for row in found.measures)


# -- plans and channels ----------------------------------------------------------------------------


def test_channels_of_no_kind_are_analysed_if_a_plan_says_so() -> None:
    """A file from elsewhere may not name its electrodes; the plan is chosen by hand then."""
    samples_uv = noise(3.0)
    told = analyse(recording(samples_uv, kind="unknown"), SurfacePlan())
    known = analyse(recording(samples_uv))
    assert told.measures == known.measures
    assert told.plan == "surface: channel 'channel 0' of kind unknown"
    with pytest.raises(NotAnalysableError, match="no plan for kind 'unknown' at 2048 Hz"):
        analyse(recording(samples_uv, kind="unknown"))


def test_of_mixed_channels_those_on_the_skin_are_analysed() -> None:
    """A force channel beside the electrode is not EMG."""
    skin = Channel(name="skin", kind="surface_bipolar")
    force = Channel(name="force", kind="force")
    both = Recording(
        samples_uv=np.column_stack([noise(3.0, seed=2, rms_uv=900.0), noise(3.0)]),
        rate_hz=2048.0,
        channels=(force, skin),
    )
    found = analyse(both, SurfacePlan())
    assert found.measures == analyse(recording(noise(3.0))).measures
    assert found.plan == "surface: channel 'skin' of kind surface_bipolar"


def test_a_table_of_a_plan_is_the_needles_unless_it_says_otherwise() -> None:
    """The two plans share nothing but their field ``kind``."""
    assert plan_kind({}) is NeedlePlan
    assert plan_kind({"kind": "surface", "task": "low_load"}) is SurfacePlan


@pytest.mark.parametrize("n_channels", [1, 16])
def test_no_units_are_looked_for_if_the_plan_says_none(n_channels: int) -> None:
    """Measures are the same; a grid's units are left alone."""
    columns = [noise(3.0, seed=k) for k in range(n_channels)]
    found = analyse_surface(
        recording(*columns, kind="surface_grid"), SurfacePlan(decomposition="none")
    )
    assert found.units == ()
    assert found.measures


def test_steps_that_overlap_are_refused() -> None:
    """One thing after the other: the message names both and the time."""
    late = (Step(name="a", onset_s=0.0, offset_s=2.0), Step(name="b", onset_s=1.5, offset_s=3.0))
    with pytest.raises(ValueError, match=r"onset_s of 'b' must be >= the end of 'a' \(2\), got"):
        SurfacePlan(steps=late)


# -- what is measured ------------------------------------------------------------------------------


def two_contractions(rate_hz: float) -> Recording:
    """Return contractions of 30 and 60 uV and rest, 3 s each, with an amplifier's noise."""
    size = np.repeat([0.0, 30.0, 0.0, 60.0, 0.0], round(3 * rate_hz))
    muscle_uv = size * noise(15.0, rate_hz, rms_uv=1.0)
    return recording(
        muscle_uv + noise(15.0, rate_hz, 2.0, seed=2, band_hz=(5.03, 799.97)), rate_hz=rate_hz
    )


def test_contractions_are_found_and_measured() -> None:
    """Rest and effort by turns; rms as it was made, the frequency in the middle of 30 to 300 Hz."""
    found = analyse_surface(two_contractions(2048.0), SurfacePlan())
    assert [event.kind for event in found.events] == ["rest", "contraction"] * 2 + ["rest"]
    onsets_s = [event.onset_s for event in found.events]
    np.testing.assert_allclose(onsets_s, [0.0, 3.0, 6.0, 9.0, 12.0], atol=0.05)
    np.testing.assert_allclose(values(found, "surface.rms_uv"), [30.0, 60.0], rtol=0.1)
    np.testing.assert_allclose(values(found, "surface.mnf_hz"), 165.0, rtol=0.05)


@pytest.mark.parametrize("rate_hz", [10_000.0, 100_000.0])
def test_a_fast_copy_gives_the_same_measures(rate_hz: float) -> None:
    """The same curve sampled faster: every row within 1 %, and contractions where they were."""
    plan = SurfacePlan(steps=steps("rest", "work", "rest", "hard work", "rest", each_s=3.0))
    curves = [two_contractions(hz) for hz in (2048.0, rate_hz)]
    slow, fast = (analyse_surface(curve, plan) for curve in curves)
    assert fast.muap_rate_hz <= 4000.0
    assert [row["id"] for row in fast.measures] == [row["id"] for row in slow.measures]
    for a, b in zip(slow.measures, fast.measures, strict=True):
        assert b["value"] == pytest.approx(a["value"], rel=0.01), a["id"]
    here, there = (analyse_surface(curve, SurfacePlan()).events for curve in curves)
    for before, after in zip(here, there, strict=True):
        assert (after.kind, after.onset_s) == (
            before.kind,
            pytest.approx(before.onset_s, abs=0.05),
        )


def test_times_are_those_of_the_recordings_clock() -> None:
    """Begun an hour late, everything is an hour later, and nothing else."""
    at_zero = two_contractions(2048.0)
    late = Recording(
        samples_uv=at_zero.samples_uv, rate_hz=2048.0, channels=at_zero.channels, start_s=3600.0
    )
    here, there = (analyse_surface(one, SurfacePlan()) for one in (at_zero, late))
    for a, b in zip(here.measures, there.measures, strict=True):
        assert b["onset_s"] - a["onset_s"] == pytest.approx(3600.0)
        assert b["value"] == pytest.approx(a["value"])


def test_a_gap_keeps_its_place_when_a_fast_recording_is_slowed() -> None:
    """Half a second that never arrived is missing in the contraction, at any rate."""
    fast = two_contractions(10_000.0)
    samples_uv = fast.samples_uv.copy()
    samples_uv[35_000:40_000] = np.nan
    gaps = (Gap(first_sample=35_000, n_samples=5_000),)
    broken = recording(samples_uv[:, 0], rate_hz=10_000.0, gaps=gaps)
    found = analyse_surface(broken, SurfacePlan(steps=steps("rest", "work", each_s=3.0)))
    whole = analyse_surface(fast, SurfacePlan(steps=steps("rest", "work", each_s=3.0)))
    assert values(found, "surface.mnf_hz") == pytest.approx(
        values(whole, "surface.mnf_hz"), rel=0.05
    )
    assert values(found, "surface.mnf_hz") != values(whole, "surface.mnf_hz")
    for rms_uv in values(found, "surface.rms_uv"):  # silence in the gap's place would lower it
        assert rms_uv == pytest.approx(30.0, rel=0.05)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_velocity_is_that_of_the_fibres(seed: int) -> None:
    """A lone unit under a row of pads, far from end plates and tendons: within 2 % of its mean."""
    table = {
        "schema": "emgsim.scenario/1",
        "id": "lone_unit",
        "title": "A lone unit",
        "seed": seed,
        "muscle": {
            "name": "long",
            "radius_mm": 8.0,
            "fat_mm": 2.0,
            "pool": {"n_units": 1},
            "fibres": {"per_unit_smallest": 60, "per_unit_largest": 60, "length_mm": 160.0},
        },
        "electrode": {
            "kind": "surface_grid",
            "rows": 6,
            "columns": 1,
            "pitch_mm": 5.0,
            "centre_z_mm": 35.0,
            "noise_uv": 0.0,
        },
        "phases": [{"kind": "hold", "duration_s": 6.0, "level_mvc": 0.5, "ramp_s": 0.1}],
    }
    scenario = Scenario.model_validate(table)
    found = analyse(simulate(scenario)[0], scenario.analysis)
    wanted_m_s = float(patient_of(scenario).fibres(0).velocity_m_s.mean())
    assert values(found, "surface.velocity_m_s") == [pytest.approx(wanted_m_s, rel=0.02)]


# -- steps and tasks -------------------------------------------------------------------------------


def test_a_step_that_was_not_recorded_has_no_measures() -> None:
    """Recorded to the middle of the third step: the fourth is no event, half the third is."""
    plan = SurfacePlan(steps=steps("rest", "work", "more work", "hard work"))
    found = analyse_surface(recording(noise(5.0)), plan)
    assert [(e.source, e.offset_s) for e in found.events] == [
        ("rest", 2.0),
        ("work", 4.0),
        ("more work", 5.0),
    ]
    assert [row["offset_s"] for row in found.measures if row["id"] == "surface.rms_uv"] == [4, 5]


def test_a_step_whose_samples_never_arrived_has_no_measures() -> None:
    """It was done, and says so; the others are measured."""
    samples_uv = noise(6.0)
    samples_uv[4096:8192] = np.nan
    plan = SurfacePlan(steps=steps("work", "lost work", "more work"))
    found = analyse_surface(recording(samples_uv), plan)
    assert [event.source for event in found.events] == ["work", "lost work", "more work"]
    assert [row["onset_s"] for row in found.measures if row["id"] == "surface.rms_uv"] == [0, 4]


def bent(full_uv: float, seconds: float = 8.0) -> Recording:
    """Return one bend whose full flexion has an rms, the others 10, 40 and 80 uV."""
    size = np.repeat([10.0, 40.0, full_uv, 80.0], 4096)
    return recording((size * noise(8.0, rms_uv=1.0))[: round(2048 * seconds)])


@pytest.mark.parametrize(("full_uv", "relaxes"), [(1.0, True), (20.0, False)])
def test_a_bend_is_told_by_its_full_flexion(full_uv: float, relaxes: bool) -> None:
    """Far below 3.2 uV it relaxes, far above 5 uV it does not; levels are those that were made."""
    plan = SurfacePlan(task="flexion_relaxation", steps=steps(*BEND))
    found = analyse_surface(bent(full_uv), plan)
    (probability,) = values(found, "flexion.relaxation_probability")
    assert probability > 0.95 if relaxes else probability < 0.05
    assert values(found, "flexion.standing_uv") == [pytest.approx(10.0, rel=0.15)]
    assert values(found, "flexion.full_flexion_uv") == [pytest.approx(full_uv, rel=0.15)]
    assert {row["onset_s"] for row in found.measures if "flexion." in row["id"]} == {0.0}


@pytest.mark.parametrize(
    ("one", "names", "words"),
    [
        (bent(1.0), ("standing", "flexion", "re-extension"), "no steps standing, flexion, full"),
        (bent(1.0, seconds=3.0), BEND, "a phase must have 0.75 s or more"),
    ],
)
def test_a_bend_that_is_not_whole_is_refused(
    one: Recording, names: tuple[str, ...], words: str
) -> None:
    """Steps that are not named so, or were not recorded."""
    plan = SurfacePlan(task="flexion_relaxation", steps=steps(*names))
    with pytest.raises(NotAnalysableError, match=words) as info:
        analyse_surface(one, plan)
    assert info.value.todo


def test_light_work_is_measured_step_by_step() -> None:
    """Each stretch of work has its load, rest has none; without steps the whole is one."""
    plan = {"task": "low_load", "mvc_uv": 300.0, "noise_uv": 0.3}
    one = recording(noise(12.0, rms_uv=30.0))
    names = ("typing", "rest", "typing")
    found = analyse_surface(one, SurfacePlan(steps=steps(*names, each_s=4.0), **plan))
    spans = [
        (row["onset_s"], row["offset_s"])
        for row in found.measures
        if row["id"] == "load.median_pct"
    ]
    assert spans == [(0.0, 4.0), (8.0, 12.0)]
    np.testing.assert_allclose(values(found, "load.median_pct"), 10.0, rtol=0.1)
    whole = analyse_surface(one, SurfacePlan(**plan))
    assert values(whole, "load.median_pct") == [pytest.approx(10.0, rel=0.1)]
