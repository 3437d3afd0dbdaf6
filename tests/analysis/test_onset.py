"""When activity begins and ends: right, as sure as it may be, and never from nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.analysis.change_times import (
    GRID,
    RAMP_COST,
    RAMPS_S,
    Cells,
    _likelihood,
    rise_s,
)
from emgsim.analysis.onset import Burst, Rule, onsets
from emgsim.errors import NotAnalysableError

Floats = NDArray[np.float64]
RATE_HZ = 2000.0
RULES: tuple[Rule, ...] = ("likelihood", "threshold")
BURSTS_S = ((2.0, 2.5), (3.4, 3.8), (4.6, 5.3))


def bursts(
    snr_db: float = 10.0, *, rise_s: float = 0.0, rate_hz: float = RATE_HZ, seed: int = 1
) -> Floats:
    """Three bursts over 6.3 s of white rest; coloured, so that the two spectra differ."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(6.3 * rate_hz)) / rate_hz
    strength = np.zeros(time_s.size)
    for begin_s, stop_s in BURSTS_S:
        rising = np.clip((time_s - begin_s) / max(rise_s, 1 / rate_hz), 0, 1)
        falling = np.clip((stop_s - time_s) / max(rise_s, 1 / rate_hz), 0, 1)
        strength += rising * falling * (time_s >= begin_s) * (time_s < stop_s)
    active = np.convolve(rng.standard_normal(time_s.size), [0.8, 0.6], mode="same")
    return rng.standard_normal(time_s.size) + 10 ** (snr_db / 20) * strength * active


def times_s(found: tuple[Burst, ...]) -> list[tuple[float, float]]:
    """Return onsets and offsets."""
    return [(burst.onset_s, burst.offset_s) for burst in found]


def plain_likelihood(cells: Cells, ramp_s: float, level: int, at: int) -> float:
    """The log likelihood of one change, written as a sum over cells."""
    total = -RAMP_COST if ramp_s else 0.0
    for k in range(at, cells.power.size):
        age_s = (k - at + 0.5) * cells.cell_s
        share = min(age_s / ramp_s, 1.0) if ramp_s else 1.0
        variance = 1 + 10 ** (GRID * level) * share**2
        total += 0.5 * cells.power[k] * (1 - 1 / variance)
        total -= 0.5 * cells.counts[k] * np.log(variance)
    return total


@pytest.mark.parametrize("rule", RULES)
def test_three_bursts_are_three(rule: Rule) -> None:
    """Steps of 20 dB: each end within 15 ms, by both methods."""
    found = times_s(onsets(bursts(20.0), RATE_HZ, rule=rule))
    assert np.abs(np.subtract(found, BURSTS_S)).max() < 0.015


def test_a_strong_step_is_placed_between_two_samples() -> None:
    """At 40 dB both ends lie within 1.5 ms, and inside their intervals."""
    found = onsets(bursts(40.0), RATE_HZ)
    assert np.abs(np.subtract(times_s(found), BURSTS_S)).max() < 0.0015
    for burst, (begin_s, stop_s) in zip(found, BURSTS_S, strict=True):
        assert burst.onset_95_s[0] - 1e-9 <= begin_s <= burst.onset_95_s[1] + 1e-9
        assert burst.offset_95_s[0] - 1e-9 <= stop_s <= burst.offset_95_s[1] + 1e-9


def test_a_ramp_is_found_at_its_foot() -> None:
    """Ramps of 80 ms at 20 dB: the median error is below 8 ms, where a step model is 15 late."""
    errors = []
    for seed in range(6):
        found = onsets(bursts(20.0, rise_s=0.08, seed=seed), RATE_HZ)
        errors += [b.onset_s - t[0] for b, t in zip(found, BURSTS_S, strict=True)]
    assert np.median(np.abs(errors)) < 0.008


def test_weaker_bursts_have_wider_intervals() -> None:
    """The median width of the 95 % interval grows as the signal sinks."""
    widths = [
        np.median(
            [np.ptp(b.onset_95_s) for s in range(4) for b in onsets(bursts(db, seed=s), 2000)]
        )
        for db in (20.0, 10.0, 3.0)
    ]
    assert widths[0] < widths[1] < widths[2]


def test_rest_alone_holds_no_burst() -> None:
    """A minute of white rest, and one of coloured rest: nothing."""
    rng = np.random.default_rng(3)
    rest = rng.standard_normal(120_000)
    assert onsets(rest, RATE_HZ) == ()
    assert onsets(np.convolve(rest, [1, 1.6, 0.8], mode="same"), RATE_HZ) == ()


def test_one_artefact_is_no_burst() -> None:
    """A single sample of a hundred times the rest moves nothing."""
    rest = np.random.default_rng(4).standard_normal(12_000)
    rest[7_000] = 100.0
    assert onsets(rest, RATE_HZ, least_burst_s=0.0) == ()


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(1e-3, 1e3), level_uv=st.floats(-1e3, 1e3), start_s=st.floats(-1e3, 1e3))
def test_gain_polarity_level_and_clock_do_not_matter(
    gain: float, level_uv: float, start_s: float
) -> None:
    """A recording turned over, amplified and shifted has the same bursts at shifted times."""
    samples = bursts()
    usual = times_s(onsets(samples, RATE_HZ))
    other = times_s(onsets(level_uv - gain * samples, RATE_HZ, start_s=start_s))
    assert np.allclose(np.subtract(other, start_s), usual, atol=2e-3)


def test_backwards_in_time_onsets_are_offsets() -> None:
    """The reversed recording has the reversed bursts, to 1 ms."""
    samples = bursts(20.0)
    stop_s = (samples.size - 1) / RATE_HZ
    back = [(stop_s - b, stop_s - a) for a, b in times_s(onsets(samples[::-1], RATE_HZ))]
    assert np.allclose(back[::-1], times_s(onsets(samples, RATE_HZ)), atol=1e-3)


@pytest.mark.parametrize("rate_hz", [1000.0, 23_437.5])
def test_any_rate_will_do(rate_hz: float) -> None:
    """At 1 kHz and at 23.4 kHz the three bursts are found, to 10 ms."""
    found = times_s(onsets(bursts(20.0, rate_hz=rate_hz), rate_hz))
    assert np.abs(np.subtract(found, BURSTS_S)).max() < 0.01


def test_activity_cut_by_the_recording_has_an_open_end() -> None:
    """What is active at the first or last sample began or ends at an unknown time."""
    strength = np.where(np.abs(np.arange(8000) - 4000) > 3000, 10.0, 1.0)
    first, last = onsets(strength * np.random.default_rng(8).standard_normal(8000), RATE_HZ)
    assert first.onset_95_s[0] == -np.inf
    assert last.offset_95_s[1] == np.inf


def test_a_gap_is_neither_rest_nor_activity() -> None:
    """NaN in rest and in a burst leave three bursts where they were."""
    samples = bursts(20.0)
    for begin_s in (2.9, 4.8):
        samples[round(begin_s * RATE_HZ) : round((begin_s + 0.1) * RATE_HZ)] = np.nan
    assert np.abs(np.subtract(times_s(onsets(samples, RATE_HZ)), BURSTS_S)).max() < 0.015


def test_a_change_in_a_gap_may_be_anywhere_in_it() -> None:
    """The intervals of an onset and an offset that were lost cover what was lost."""
    samples = bursts(20.0)
    for begin_s in (1.98, 3.78):
        samples[round(begin_s * RATE_HZ) : round((begin_s + 0.05) * RATE_HZ)] = np.nan
    first, second, _ = onsets(samples, RATE_HZ)
    for low_s, high_s, begin_s in ((*first.onset_95_s, 1.98), (*second.offset_95_s, 3.78)):
        assert low_s < begin_s + 0.005
        assert high_s > begin_s + 0.045


def test_single_discharges_are_one_burst_when_asked() -> None:
    """Spikes 100 ms apart are joined by a least gap of 0.35 s, and dropped without."""
    samples = np.random.default_rng(6).standard_normal(96_000)
    for at in range(48_000, 72_000, 2_400):
        samples[at : at + 60] += 40 * np.sin(np.arange(60) / 4)
    assert onsets(samples, 24_000.0) == ()
    (burst,) = onsets(samples, 24_000.0, least_gap_s=0.35)
    assert burst.onset_s == pytest.approx(2.0, abs=0.001)
    assert burst.offset_s == pytest.approx(2.9025, abs=0.001)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), rough=st.integers(20, 60), missing=st.integers(0, 30))
def test_the_fast_likelihood_is_the_plain_sum(seed: int, rough: int, missing: int) -> None:
    """Correlated by Fourier transforms or summed cell by cell: equal to 1e-9."""
    rng = np.random.default_rng(seed)
    counts = np.full(90, 1.0)
    counts[missing : missing + 5] = 0.0
    cells = Cells(power=rng.exponential(2, 90) * counts, counts=counts, rate_hz=2e3, per_cell=1)
    fast = _likelihood(cells, rough)
    excess = max(cells.power[rough:].sum() / cells.counts[rough:].sum() - 1, 0.1)
    centre = round(np.log10(excess) / GRID)
    for row in (0, 13, 32, 54):
        level, ramp = centre - 2 + row // len(RAMPS_S), RAMPS_S[row % len(RAMPS_S)]
        for at in (0, 7, 41, 89):
            assert fast[row, at] == pytest.approx(
                plain_likelihood(cells, ramp, level, at), abs=1e-9
            )


def test_a_rise_is_not_later_than_the_alarm() -> None:
    """14 nats of weak activity are a beginning, though a much stronger one follows 30 ms later."""
    power = np.concatenate([np.ones(200), np.full(60, 3.0), np.full(200, 4000.0)])
    cells = Cells(power=power, counts=np.ones(460), rate_hz=2e3, per_cell=1)
    low_s, at_s, high_s = rise_s(cells, 200, 0, 460)
    assert low_s <= at_s <= high_s
    assert 0.1 <= at_s <= 0.122


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(8000), "flat"),
        (np.random.default_rng(0).standard_normal(1500), "0 s of rest"),
        (np.full(8000, np.nan), "every sample"),
    ],
)
def test_no_rest_no_number(rule: Rule, samples: Floats, message: str) -> None:
    """Flat, short or missing samples are refused and say why."""
    with pytest.raises(NotAnalysableError, match=message):
        onsets(samples, RATE_HZ, rule=rule)


def test_a_flat_rest_is_refused() -> None:
    """Anything at all would be activity over a rest without noise."""
    samples = bursts()
    samples[:4000] = 0.0
    with pytest.raises(NotAnalysableError, match="flat"):
        onsets(samples, RATE_HZ, rest_s=(0.0, 1.9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_hz": 0.0}, "rate_hz"),
        ({"least_gap_s": -1.0}, "least_gap_s"),
        ({"samples_uv": np.zeros((100, 2))}, "samples_uv"),
    ],
)
def test_wrong_arguments_are_named(change, message: str) -> None:
    """A wrong shape, rate or limit is one clear mistake."""
    with pytest.raises(ValueError, match=message):
        onsets(**{"samples_uv": bursts(), "rate_hz": RATE_HZ, **change})


def test_the_two_rules_are_two() -> None:
    """The likelihood gives intervals, the threshold none; their times differ."""
    likely, simple = (onsets(bursts(10.0), RATE_HZ, rule=rule) for rule in RULES)
    assert all(np.isfinite(burst.onset_95_s).all() for burst in likely)
    assert all(np.isnan(burst.onset_95_s).all() for burst in simple)


def test_an_unknown_rule_is_named() -> None:
    """Only the two rules of the house are known."""
    with pytest.raises(ValueError, match="rule must be one of likelihood, threshold, got 'hodges'"):
        onsets(bursts(), RATE_HZ, rule="hodges")
