"""A lead off the skin: hum, drift and noise for the EMG, then the EMG again as if nothing was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal

from emgsim.artefacts.composition import apply, stages
from emgsim.artefacts.parameters import LeadOff, Mains, Pop, SkinElectrode
from emgsim.recording import Channel, Event, Recording

RATE_HZ = 2_048.0


def emg(duration_s: float, n_channels: int, *, start_s: float = 0.0) -> Recording:
    """Return white noise of 100 uV as a recording."""
    n = round(duration_s * RATE_HZ)
    samples_uv = 100 * np.random.default_rng(1).standard_normal((n, n_channels))
    channels = tuple(Channel(name=f"{k}") for k in range(n_channels))
    return Recording(samples_uv=samples_uv, rate_hz=RATE_HZ, channels=channels, start_s=start_s)


def open_leads(artefact: LeadOff, duration_s: float, n_channels: int) -> np.ndarray:
    """Return what leads that are off from the first sample on add to silence."""
    silence = np.zeros((round(duration_s * RATE_HZ), n_channels))
    return stages([artefact], RATE_HZ, 1, n_channels=n_channels).step(silence, 0)[0]


def density(samples: np.ndarray, at_hz: tuple[float, float]) -> float:
    """Return the mean power density (uV^2/Hz) between two frequencies."""
    f_hz, power = signal.welch(samples, RATE_HZ, nperseg=4_096, axis=0)
    return float(power[(f_hz >= at_hz[0]) & (f_hz < at_hz[1])].mean())


def test_only_the_named_lead_is_off_and_only_while_it_is() -> None:
    """Channel 1 from 2 s to 4 s; before, after and beside it each sample is as it was."""
    clean = emg(6.0, 3)
    found, _ = apply(clean, (), [LeadOff(channels=(1,), from_s=2.0, until_s=4.0)], 1)
    is_same = found.samples_uv == clean.samples_uv
    assert is_same[:, [0, 2]].all()
    off = slice(round(2 * RATE_HZ), round(4 * RATE_HZ))
    assert not is_same[off, 1].any()
    assert np.delete(is_same[:, 1], np.arange(off.start, off.stop)).all()


def test_an_open_lead_hears_no_emg() -> None:
    """What it shows is the same on an EMG as on silence, to the last bit."""
    clean, artefact = emg(3.0, 2), LeadOff(channels=(0, 1))
    found, _ = apply(clean, (), [artefact], 1)
    np.testing.assert_array_equal(found.samples_uv, open_leads(artefact, 3.0, 2))


def test_what_stands_before_it_is_silenced_and_what_follows_is_heard() -> None:
    """Mains of the body is gone with the EMG; a pop that is listed behind the lead stays."""
    artefact, pops = LeadOff(channels=(0,)), Pop(per_min=120.0)
    silence = np.zeros((8_192, 1))
    alone, behind = (stages([*before, artefact, *after], RATE_HZ, 1).step(silence, 0)[0]
                     for before, after in (((Mains(),), ()), ((Mains(),), (pops,))))
    popped, _ = stages([pops], RATE_HZ, 1).step(silence, 0)
    np.testing.assert_array_equal(alone, open_leads(artefact, 4.0, 1))
    np.testing.assert_allclose(behind - alone, popped, atol=1e-9)
    assert np.ptp(popped) > 100.0


@pytest.mark.parametrize("frequency_hz", [50.0, 60.0])
def test_the_hum_is_that_of_the_mains_and_1_mv(frequency_hz: float) -> None:
    """Without spread the fundamental has 1 mV p-p: rms 354 uV and 1.5 % for its modulation."""
    artefact = LeadOff(channels=(0,), frequency_hz=frequency_hz, spread=0.0, noise_uv_rms=1.0)
    samples = open_leads(artefact, 60.0, 1)
    around = signal.butter(4, (frequency_hz - 5, frequency_hz + 5), "band", fs=RATE_HZ,
                           output="sos")
    hum = signal.sosfiltfilt(around, samples[:, 0])[2_048:-2_048]
    assert hum.std() == pytest.approx(1_000 / 8**0.5, rel=0.04)


def test_the_hums_size_is_log_normal_over_channels() -> None:
    """Of 400 channels the median is 1 mV and the SD of the log size 0.5, within 4 SE."""
    quiet = LeadOff(channels=tuple(range(400)), drift_uv_rms=1e-3, noise_uv_rms=1e-3)
    samples = open_leads(quiet, 1.0, 400)
    logs = np.log(samples.std(axis=0))
    one_mv = open_leads(quiet.model_copy(update={"channels": (0,), "spread": 0.0}), 1.0, 1).std()
    assert np.median(logs) == pytest.approx(np.log(one_mv), abs=4 * 1.25 * 0.5 / 20)
    assert logs.std() == pytest.approx(0.5, abs=4 * 0.5 / 800**0.5)
    assert np.corrcoef(samples.T)[0].min() > 0.999  # one mains for all


def test_the_drift_is_slow_and_has_the_rms_that_was_set() -> None:
    """2 mV rms within 10 % over 500 s, 97 % of it below 0.5 Hz, another on each channel."""
    artefact = LeadOff(channels=(0, 1), peak_to_peak_uv=1e-3, noise_uv_rms=1e-3)
    samples = open_leads(artefact, 500.0, 2)
    np.testing.assert_allclose(samples.std(axis=0), 2_000.0, rtol=0.1)
    power = np.abs(np.fft.rfft(samples, axis=0)) ** 2
    slow = np.fft.rfftfreq(len(samples), 1 / RATE_HZ) < 0.5
    assert power[slow][1:].sum() > 0.97 * power[1:].sum()
    assert abs(np.corrcoef(samples.T)[0, 1]) < 0.3


@pytest.mark.parametrize("rms_uv", [20.0, 200.0])
def test_the_noise_is_that_of_a_contact_of_its_size(rms_uv: float) -> None:
    """Where neither hum nor drift is it has the density of `skin_electrode`, within 10 %."""
    samples = open_leads(LeadOff(channels=(0,), noise_uv_rms=rms_uv), 30.0, 1)
    skin, _ = stages([SkinElectrode(rms_uv=rms_uv)], RATE_HZ, 1).step(np.zeros(samples.shape), 0)
    free_hz = (180.0, 220.0)
    assert density(samples[:, 0], free_hz) == pytest.approx(density(skin[:, 0], free_hz), rel=0.1)


def test_another_lead_moves_none() -> None:
    """Channel 0 shows the same whether it is off alone or with two more."""
    one, three = (open_leads(LeadOff(channels=tuple(range(n))), 2.0, n) for n in (1, 3))
    assert one[:, 0].tobytes() == three[:, 0].tobytes()
    assert len({column.tobytes() for column in three.T}) == 3


@pytest.mark.parametrize(("until_s", "ends_s"), [(2.5, 12.5), (None, 14.0), (9.0, 14.0)])
def test_the_event_ends_with_the_lead_or_with_the_recording(until_s, ends_s) -> None:
    """On the clock of a recording from 10 s to 14 s; without a return it ends at 14 s."""
    artefact = LeadOff(channels=(0,), from_s=1.0, until_s=until_s)
    _, events = apply(emg(4.0, 1, start_s=10.0), (), [artefact], 1)
    assert events == (Event(kind="artefact.lead_off", onset_s=11.0, offset_s=ends_s),)
    assert math.isfinite(events[0].offset_s)


def test_a_lead_that_comes_off_after_the_end_is_not_told() -> None:
    """From 4 s on in a recording of 4 s: no sample changes, and there is no event."""
    clean = emg(4.0, 1)
    found, events = apply(clean, (), [LeadOff(channels=(0,), from_s=4.0)], 1)
    np.testing.assert_array_equal(found.samples_uv, clean.samples_uv)
    assert events == ()


def test_the_event_is_told_once_in_the_block_where_contact_comes_back() -> None:
    """Blocks of 0.5 s, off from 1 s to 2 s: the fourth tells it, the last word does not."""
    chain = stages([LeadOff(channels=(0,), from_s=1.0, until_s=2.0)], RATE_HZ, 1)
    told = [chain.step(np.zeros((1_024, 1)), a)[1] for a in range(0, 6_144, 1_024)]
    assert [k for k, events in enumerate(told) if events] == [3]
    assert chain.finish() == ()


def test_lost_samples_stay_lost_in_an_open_lead() -> None:
    """A gap of the recording is no contact that was lost: it is not filled with hum."""
    clean = emg(1.0, 1)
    clean.samples_uv[100:105] = np.nan
    found, _ = apply(clean, (), [LeadOff(channels=(0,))], 1)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.samples_uv[:, 0])),
                                  np.arange(100, 105))
