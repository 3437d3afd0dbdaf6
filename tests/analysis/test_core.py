"""What an analysis finds, what it refuses, and what must not change its findings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from emgsim.analysis.conditioning import Conditioned
from emgsim.analysis.core import LEAST_NOISE, _with_noise, analyse
from emgsim.analysis.identity import merged
from emgsim.analysis.learning import Unit
from emgsim.analysis.plan import NeedlePlan
from emgsim.errors import NotAnalysableError
from emgsim.recording import Channel, Findings, Recording
from emgsim.scoring import best_lag_s, match_discharges
from tests.analysis.conftest import played, train

Floats = NDArray[np.float64]


def agreements(findings: Findings, trains: list[Floats]) -> list[float]:
    """Return the best Jaccard agreement of each true train with any found unit, 0.5 ms."""
    out = []
    for true in trains:
        best = 0.0
        for unit in findings.units:
            found = unit.discharge_times_s
            lag = best_lag_s(true, found, 0.0005, 0.006)
            n = len(match_discharges(true, found - lag, 0.0005))
            best = max(best, n / (true.size + found.size - n))
        out.append(best)
    return out


def plain(findings: Findings) -> list[list[float]]:
    """Return the discharge times as lists, which compare exactly."""
    return [unit.discharge_times_s.tolist() for unit in findings.units]


def test_three_units_are_found_and_no_fourth(
    three_units: Recording, three_trains: list[Floats]
) -> None:
    """Three clear units over white noise: all of them, nothing else, nearly every discharge."""
    findings = analyse(three_units)
    assert len(findings.units) == 3
    assert min(agreements(findings, three_trains)) >= 0.97


def test_the_same_samples_give_the_same_findings(three_units: Recording) -> None:
    """There is no chance in an analysis."""
    assert plain(analyse(three_units)) == plain(analyse(three_units))


@pytest.mark.parametrize("rate_hz", [10_000.0, 23_437.5, 100_000.0])
def test_units_are_found_at_any_rate(rate_hz: float, three_trains: list[Floats]) -> None:
    """Rates from 10 to 100 kHz, whole or not, give the same three units."""
    findings = analyse(played(three_trains, rate_hz, 8.0))
    assert len(findings.units) == 3
    assert min(agreements(findings, three_trains)) >= 0.93


def test_a_signal_without_noise_gets_the_least_that_is_believed() -> None:
    """A hundredth of its rms, the same each time; one that has as much stays as it is."""
    samples = np.zeros(16000)
    samples[8000:] = 100.0 * np.sin(np.arange(8000) / 3.0)
    clean = Conditioned(
        samples=samples, usable=np.ones(16000, dtype=bool), rate_hz=16000.0, start_s=0.0
    )
    least = LEAST_NOISE * np.std(samples)
    noisy = _with_noise(clean)
    assert np.std(noisy.samples[:8000]) == pytest.approx(least, rel=0.1)
    assert np.array_equal(noisy.samples, _with_noise(clean).samples)
    louder = replace(clean, samples=samples + np.random.default_rng(1).normal(0, 2, 16000))
    assert np.array_equal(_with_noise(louder).samples, louder.samples)


@pytest.mark.parametrize("factor", [-1.0, 1e-3, 50.0])
def test_polarity_and_amplitude_do_not_matter(
    factor: float, three_units: Recording, three_trains: list[Floats]
) -> None:
    """An inverted, a tiny and a huge recording are decomposed alike."""
    scaled = replace(three_units, samples_uv=factor * three_units.samples_uv)
    findings = analyse(scaled)
    assert len(findings.units) == 3
    assert min(agreements(findings, three_trains)) >= 0.97


def test_times_are_those_of_the_recordings_clock(
    three_units: Recording, three_trains: list[Floats]
) -> None:
    """A recording that starts at 100 s gives discharges and events from 100 s on."""
    findings = analyse(replace(three_units, start_s=100.0))
    assert min(agreements(findings, [t + 100.0 for t in three_trains])) >= 0.97
    assert findings.events[0].onset_s == 100.0
    assert findings.events[-1].offset_s == pytest.approx(108.0)


def test_an_offset_does_not_matter(three_units: Recording, three_trains: list[Floats]) -> None:
    """Electrodes carry direct voltages of many millivolts."""
    lifted = replace(three_units, samples_uv=three_units.samples_uv + 20_000.0)
    assert min(agreements(analyse(lifted), three_trains)) >= 0.97


def test_a_gap_is_bridged_by_nothing(three_units: Recording, three_trains: list[Floats]) -> None:
    """Lost samples hold no discharge; outside them the units are the same."""
    samples = three_units.samples_uv.copy()
    samples[72_000:96_000] = np.nan
    findings = analyse(replace(three_units, samples_uv=samples))
    every = np.concatenate([unit.discharge_times_s for unit in findings.units])
    assert not np.any((every > 3.0) & (every < 4.0))
    outside = [t[(t < 2.99) | (t > 4.01)] for t in three_trains]
    assert min(agreements(findings, outside)) >= 0.95


def test_noise_alone_gives_no_unit() -> None:
    """White noise holds spikes, but no trains; the whole recording is rest."""
    findings = analyse(played([], 24_000.0, 8.0))
    assert findings.units == ()
    assert [event.kind for event in findings.events] == ["rest"]


def test_irregular_spikes_of_one_shape_are_no_unit() -> None:
    """Artefacts that come at random times are not a motor unit, however alike they look."""
    rng = np.random.default_rng(3)
    random_s = np.sort(rng.uniform(0.1, 7.9, 80))
    findings = analyse(played([random_s], 24_000.0, 8.0))
    assert findings.units == ()


def test_rest_and_contraction_are_told_apart() -> None:
    """Three seconds of rest, then a contraction until the end."""
    rng = np.random.default_rng(7)
    trains = [train(rng, rate, 3.0, 8.0) for rate in (9.0, 11.0, 13.0)]
    events = analyse(played(trains, 24_000.0, 8.0)).events
    assert [event.kind for event in events] == ["rest", "contraction"]
    assert events[1].onset_s == pytest.approx(3.0, abs=0.25)


def test_muaps_are_those_of_the_unfiltered_recording(
    three_units: Recording, three_trains: list[Floats]
) -> None:
    """The averaged potential has the true peak-to-peak amplitude within 5 %."""
    sizes = sorted(unit.measures["peak_to_peak_uv"] for unit in analyse(three_units).units)
    clean = [
        float(np.ptp(played([[]] * k + [np.array([0.5])], 24_000.0, 1.0, noise_uv=0.0).samples_uv))
        for k in range(3)
    ]
    assert sizes == pytest.approx(sorted(clean), rel=0.05)


def test_the_plan_says_why_it_was_chosen(three_units: Recording) -> None:
    """By the electrode's kind, by the rate, or because it was asked for."""
    assert "is a concentric_needle" in analyse(three_units).plan
    unknown = replace(three_units, channels=(Channel(name="x", kind="unknown"),))
    assert "sampled at 24000 Hz" in analyse(unknown).plan
    assert "as asked for" in analyse(unknown, NeedlePlan()).plan


def test_most_units_is_a_limit(three_units: Recording) -> None:
    """A plan for two units gives no more than two."""
    assert len(analyse(three_units, NeedlePlan(max_units=2)).units) <= 2


def broken(three_units: Recording, how: str) -> Recording:
    """Return the recording spoilt in one way."""
    samples = three_units.samples_uv.copy()
    if how == "flat":
        samples[:] = 3.0
    elif how == "missing":
        samples[:] = np.nan
    elif how == "clipped":
        samples = np.clip(samples, -60.0, 60.0)
    elif how == "short":
        samples = samples[:24_000]
    return replace(three_units, samples_uv=samples)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("flat", "flat at 3 uV"),
        ("missing", "every sample is missing"),
        ("clipped", "clipped"),
        ("short", "1 s of samples"),
    ],
)
def test_what_cannot_be_analysed_is_refused(three_units: Recording, how: str, words: str) -> None:
    """Flat, missing, clipped and short channels give a sentence, never a number."""
    with pytest.raises(NotAnalysableError, match=words):
        analyse(broken(three_units, how))


def test_a_slow_channel_has_no_plan(three_units: Recording) -> None:
    """Surface rates with an unknown electrode are refused; so is a needle below 9.5 kHz."""
    slow = replace(
        three_units, rate_hz=2_048.0, channels=(Channel(name="x", kind="surface_monopolar"),)
    )
    with pytest.raises(NotAnalysableError, match="no plan for kind 'surface_monopolar'"):
        analyse(slow)
    with pytest.raises(NotAnalysableError, match="rate must be >= 9500 Hz"):
        analyse(replace(three_units, rate_hz=1_000.0))


@pytest.mark.slow
def test_the_shipped_healthy_biceps_is_decomposed() -> None:
    """F1 of the detectable units is at least 0.95 on seed 1."""
    from emgsim.scenario import load_scenario
    from emgsim.scoring import compare
    from emgsim.simulation import simulate

    recording, truth = simulate(load_scenario("healthy_biceps"), seed=1)
    assert compare(analyse(recording), truth, recording=recording).f1 >= 0.95


def test_units_that_lost_all_their_discharges_are_not_joined() -> None:
    """Two templates of one shape without a discharge stay two, and nothing breaks."""
    template = np.sin(np.linspace(0.0, 6.0, 60))
    empty = Unit(template=template, positions=np.zeros(0), amplitudes=np.zeros(0))
    assert len(merged((empty, empty), 10_000.0)) == 2


# -- what is said of units, efforts and rest ----------------------------------------------------


def test_a_found_unit_comes_with_its_measures_and_how_sure_they_are(
    three_units: Recording, three_trains: list[Floats]
) -> None:
    """The MUAP has intervals, each discharge a probability, each unit its distance to others."""
    for unit in analyse(three_units).units:
        assert unit.confidence is not None
        assert unit.confidence.shape == unit.discharge_times_s.shape
        assert np.mean(unit.confidence > 0.99) > 0.9
        assert unit.measures["decomposability"] > 20
        low, high = unit.intervals["amplitude_uv"]
        assert low <= unit.measures["amplitude_uv"] <= high
        assert unit.measures["amplitude_uv"] == pytest.approx(
            unit.measures["peak_to_peak_uv"], rel=0.1
        )


def test_efforts_are_measured_in_rows(three_units: Recording) -> None:
    """Each row has an id, a value and a unit; the effort fills the recording."""
    rows = {row["id"]: row for row in analyse(three_units).measures}
    assert rows["effort.contraction_s"]["value"] == pytest.approx(8.0, abs=0.1)
    assert 8 < rows["discharges.mean_rate_hz"]["value"] < 12
    assert {"id", "value", "unit", "low", "high"} == set(rows["effort.contraction_s"])


def test_what_discharges_by_itself_is_a_run_and_no_unit() -> None:
    """A fibre that fires almost like a clock at rest is not a unit of the will."""
    rng = np.random.default_rng(2)
    rate_hz, clock_s = 24_000.0, 0.5 + np.cumsum(0.1 * (1 + 0.03 * rng.standard_normal(70)))
    samples_uv = 1.5 * rng.standard_normal(round(8 * rate_hz))
    t_ms = np.arange(round(0.006 * rate_hz)) / rate_hz * 1e3
    wave_uv = 60 * np.exp(-(((t_ms - 2) / 0.35) ** 2)) - 90 * np.exp(-(((t_ms - 2.7) / 0.4) ** 2))
    for at_s in clock_s:
        first = round((at_s - 0.0027) * rate_hz)
        samples_uv[first : first + wave_uv.size] += wave_uv
    found = analyse(
        Recording(
            samples_uv=samples_uv[:, None], rate_hz=rate_hz, channels=(Channel(name="needle"),)
        )
    )
    assert found.units == ()
    assert [event.kind for event in found.events] == ["rest"]
    (run,) = found.runs
    assert run.kind == "fibrillation"
    assert len(match_discharges(clock_s, run.discharge_times_s, 0.001)) >= 68


def test_a_broken_channel_beside_a_good_one_is_left_out(
    three_units: Recording, three_trains: list[Floats]
) -> None:
    """The flat one is not decomposed, the other one as if it were alone."""
    both = replace(
        three_units,
        samples_uv=np.column_stack([np.zeros(three_units.n_samples), three_units.samples_uv[:, 0]]),
        channels=(Channel(name="broken"), Channel(name="good")),
    )
    findings = analyse(both)
    assert "'good'" in findings.plan
    assert min(agreements(findings, three_trains)) >= 0.97


def test_when_all_channels_are_broken_the_first_is_named(three_units: Recording) -> None:
    """Nothing is guessed from two flat lines."""
    flat = replace(
        three_units,
        samples_uv=np.zeros((three_units.n_samples, 2)),
        channels=(Channel(name="one"), Channel(name="two")),
    )
    with pytest.raises(NotAnalysableError, match="flat") as caught:
        analyse(flat)
    assert "one" in caught.value.where
