"""Movement, needle and pops: their sizes, times, intervals and how they end."""

from __future__ import annotations

import numpy as np
import pytest

from emgsim.artefacts.parameters import Movement, NeedleMovement, Pop


@pytest.mark.parametrize("artefact", [
    Movement(per_min=120.0), NeedleMovement(per_min=120.0), Pop(per_min=120.0),
])
def test_bursts_come_by_chance(made, artefact) -> None:
    """A Poisson process: mean interval 0.5 s, coefficient of variation 1, within 4 SE of 600."""
    _, events = made(artefact, 2_000.0, 300.0)
    intervals_s = np.diff([event.onset_s for event in events])
    assert len(events) == pytest.approx(600, abs=4 * 600**0.5)
    assert intervals_s.std() / intervals_s.mean() == pytest.approx(1.0, abs=4 / 600**0.5)
    assert {event.kind for event in events} == {f"artefact.{artefact.kind}"}


def alone(made, artefact, rate_hz: float):
    """Return the samples and event of the first burst that nothing disturbs, and all of them."""
    samples, events = made(artefact, rate_hz, 60.0)
    ends_s = [0.0] + [event.offset_s + 2 * (event.offset_s - event.onset_s) for event in events]
    for event, before, after in zip(events, ends_s, events[1:], strict=False):
        if before < event.onset_s and after.onset_s > event.offset_s:
            first, last = round((event.onset_s - 0.01) * rate_hz), round(event.offset_s * rate_hz)
            return samples[first:last], event, samples
    raise AssertionError("every burst runs into another one")


@pytest.mark.parametrize("rate_hz", [2_000.0, 48_000.0])
def test_a_swing_has_its_peak_to_peak_and_dies_away(made, rate_hz: float) -> None:
    """Without spread +-1 % of the size set; 5 % of it at most is left at the event's end."""
    artefact = Movement(peak_to_peak_uv=2_000.0, spread=0.0, per_min=10.0, recovery_s=0.2)
    samples, event, _ = alone(made, artefact, rate_hz)
    assert np.ptp(samples) == pytest.approx(2_000.0, rel=0.01)
    assert event.offset_s - event.onset_s == pytest.approx(0.6)
    assert np.abs(samples[-20:]).max() < 0.1 * 2_000


def test_movement_lies_between_1_and_20_hz(made) -> None:
    """Many bursts: 90 % of the power below 20 Hz, 0.1 % at most above 100 Hz."""
    samples, _ = made(Movement(per_min=60.0), 2_000.0, 300.0)
    power = np.abs(np.fft.rfft(samples)) ** 2
    f_hz = np.fft.rfftfreq(samples.size, 1 / 2_000)
    assert power[f_hz < 20].sum() > 0.9 * power.sum()
    assert power[f_hz > 100].sum() < 1e-3 * power.sum()


@pytest.mark.parametrize("rate_hz", [10_000.0, 48_000.0])
def test_a_pop_has_its_peak_rise_and_decay(made, rate_hz: float) -> None:
    """Peak +-1 %; 63 % of it by the rise's time constant; to 1 / e in the decay's, +-2 %."""
    artefact = Pop(peak_uv=1_000.0, spread=0.0, per_min=5.0, rise_ms=1.0, decay_ms=100.0)
    samples, event, _ = alone(made, artefact, rate_hz)
    pop = np.abs(samples)
    assert pop.max() == pytest.approx(1_000.0, rel=0.01)
    onset = round(0.01 * rate_hz)
    assert pop[onset + round(1e-3 * rate_hz)] == pytest.approx(660.0, rel=0.05)
    one, two = (pop[onset + round(at * rate_hz)] for at in (0.05, 0.15))
    assert two / one == pytest.approx(np.exp(-1), rel=0.02)
    assert event.offset_s - event.onset_s == pytest.approx(0.3)


def test_pops_have_either_sign_and_a_log_normal_size(made) -> None:
    """About half are positive; the SD of the log size is the spread, +-10 %."""
    artefact = Pop(per_min=60.0, decay_ms=20.0, spread=0.5, peak_uv=100.0)
    samples, events = made(artefact, 10_000.0, 900.0)
    peaks = []
    for before, event, after in zip(events, events[1:], events[2:], strict=False):
        if event.onset_s - before.onset_s > 0.2 and after.onset_s - event.onset_s > 0.1:
            a = round(event.onset_s * 10_000)
            stretch = samples[a : a + 1_000]
            peaks.append(stretch[np.argmax(np.abs(stretch))])
    peaks = np.array(peaks)
    assert peaks.size > 300
    assert np.mean(peaks > 0) == pytest.approx(0.5, abs=0.1)
    assert np.log(np.abs(peaks)).std() == pytest.approx(0.5, rel=0.1)
    assert np.exp(np.log(np.abs(peaks)).mean()) == pytest.approx(100.0, rel=0.1)


def test_a_needle_movement_lasts_50_to_300_ms(made) -> None:
    """The events' lengths fill the range that was set."""
    _, events = made(NeedleMovement(per_min=120.0), 2_000.0, 100.0)
    lengths_s = np.array([event.offset_s - event.onset_s for event in events])
    assert 0.05 <= lengths_s.min() < 0.07
    assert 0.28 < lengths_s.max() <= 0.3


def test_a_needle_movement_has_its_insertional_burst(made) -> None:
    """Without a step: the bursts' rms over their events is what was set, within 10 %."""
    artefact = NeedleMovement(step_uv=0.0, burst_uv_rms=150.0, spread=0.0, per_min=10.0)
    samples, events = made(artefact, 10_000.0, 300.0)
    is_burst = np.zeros(samples.size, bool)
    for event in events:
        is_burst[int(event.onset_s * 10_000) : int(event.offset_s * 10_000) + 2] = True
    assert samples[is_burst].std() == pytest.approx(150.0, rel=0.1)
    assert np.abs(samples[~is_burst]).max() < 1e-9


def test_a_needle_movement_steps_and_comes_back(made) -> None:
    """Without a burst: the peak +-2 %, and 1 / e of it after each time constant."""
    artefact = NeedleMovement(step_uv=800.0, burst_uv_rms=0.0, spread=0.0, per_min=6.0)
    samples, events = made(artefact, 10_000.0, 60.0)
    stretch = np.abs(samples[round(events[0].onset_s * 10_000) :][:3_000])
    assert stretch.max() == pytest.approx(800.0, rel=0.02)
    assert stretch[2_000] / stretch[1_000] == pytest.approx(np.exp(-1), rel=0.01)


def test_a_needle_movement_changes_the_size_of_the_emg(made) -> None:
    """On a level of 100 uV: constant between events, changing only within them, log SD as set."""
    rate_hz = 2_000.0
    artefact = NeedleMovement(step_uv=0.0, burst_uv_rms=0.0, spread=0.3, per_min=30.0)
    level = np.full(round(600 * rate_hz), 100.0)
    samples, events = made(artefact, rate_hz, samples_uv=level)
    is_moving = np.zeros(level.size, bool)
    for event in events:
        is_moving[int(event.onset_s * rate_hz) : int(event.offset_s * rate_hz) + 2] = True
    changes = np.abs(np.diff(samples))
    np.testing.assert_allclose(changes[~is_moving[1:]], 0.0, atol=1e-9)
    assert samples[0] == 100.0
    sizes = [samples[int(event.onset_s * rate_hz)] for event in events[1:]]
    assert np.log(np.array(sizes) / 100).std() == pytest.approx(0.3, rel=0.15)
    assert changes.max() < 5.0  # no jump: 50 ms are 100 samples


@pytest.mark.parametrize("artefact", [Movement(), NeedleMovement(), Pop()])
def test_a_burst_stands_at_the_same_time_at_every_rate(made, artefact) -> None:
    """Onsets and lengths are drawn in seconds: 2 kHz, 23.4375 kHz and 48 kHz tell one truth."""
    told = [made(artefact, rate_hz, 60.0)[1] for rate_hz in (2_000.0, 23_437.5, 48_000.0)]
    assert len(told[0]) > 0
    assert told[0] == told[1] == told[2]


def test_an_insertional_burst_does_not_fold_back(made) -> None:
    """2 kHz hears of the burst what 20 kHz hears below 900 Hz, within 1 % of its power."""
    artefact = NeedleMovement(step_uv=0.0, spread=0.0, per_min=30.0)
    low, high = (made(artefact, rate_hz, 20.0)[0] for rate_hz in (2_000.0, 20_000.0))
    spectra = [np.fft.rfft(samples) / samples.size for samples in (low, high)]
    n = 850 * 20
    difference = np.sum(np.abs(spectra[0][:n] - spectra[1][:n]) ** 2)
    assert difference < 0.01 * np.sum(np.abs(spectra[1][:n]) ** 2)
    powers = np.abs(spectra[0]) ** 2
    assert powers[(950 * 20) :].sum() < 0.01 * powers.sum()
