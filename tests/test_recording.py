"""Recordings: shapes, times, and cutting without losing or moving a sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emgsim.recording import Channel, Gap, MotorUnit, Recording
from emgsim.testing import recordings

ONE = (Channel(name="needle"),)


def ramp(n: int, rate_hz: float = 1000.0, start_s: float = 0.0, **more: object) -> Recording:
    """Return a recording whose sample k is k."""
    samples = np.arange(n, dtype=float)[:, None]
    return Recording(samples_uv=samples, rate_hz=rate_hz, channels=ONE, start_s=start_s, **more)


def test_times_begin_at_the_start_and_step_by_the_rate() -> None:
    """By pencil: 4 samples at 1 kHz from 2 s."""
    recording = ramp(4, start_s=2.0)
    assert recording.times_s.tolist() == [2.0, 2.001, 2.002, 2.003]
    assert (recording.n_samples, recording.duration_s) == (4, 0.004)


def test_a_cut_keeps_its_start_and_leaves_its_stop() -> None:
    """The rule start <= time < stop, by pencil."""
    cut = ramp(10).cut(0.002, 0.005)
    assert cut.samples_uv[:, 0].tolist() == [2.0, 3.0, 4.0]
    assert cut.start_s == 0.002


def test_a_cut_moves_and_trims_gaps() -> None:
    """A gap of samples 2..5 cut at 4 is two samples long at the beginning of the rest."""
    whole = ramp(10, gaps=(Gap(first_sample=2, n_samples=4), Gap(first_sample=8, n_samples=1)))
    assert whole.cut(0.004, 0.008).gaps == (Gap(first_sample=0, n_samples=2),)
    assert whole.cut(0.0, 0.003).gaps == (Gap(first_sample=2, n_samples=1),)
    assert whole.cut(0.006, 0.008).gaps == ()


@pytest.mark.parametrize(("start_s", "stop_s"), [(5.0, 6.0), (-3.0, -1.0), (0.004, 0.002)])
def test_a_cut_of_nothing_is_empty(start_s: float, stop_s: float) -> None:
    """Outside the recording, or backwards: no samples and no error."""
    assert ramp(10).cut(start_s, stop_s).n_samples == 0


@given(recording=recordings(), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_cut_between_samples_takes_those_between(
    recording: Recording, data: st.DataObject
) -> None:
    """Bounds that are times of samples mean just these samples, an hour into a session too."""
    assume(recording.n_samples > 0)
    first = data.draw(st.integers(0, recording.n_samples - 1))
    last = data.draw(st.integers(first, recording.n_samples - 1))
    times_s = recording.times_s
    cut = recording.cut(times_s[first], times_s[last])
    np.testing.assert_array_equal(cut.samples_uv, recording.samples_uv[first:last])
    assert cut.channels == recording.channels
    if first < last:
        assert cut.start_s == pytest.approx(times_s[first], abs=1e-9)


@given(recording=recordings(), places=st.lists(st.integers(-20, 420), min_size=4, max_size=4))
@settings(max_examples=200, deadline=None)
def test_cuts_compose(recording: Recording, places: list[int]) -> None:
    """A cut of a cut is the cut of what both keep; gaps go with it."""
    # Half-way between samples, so that rounding has no say.
    a, b, c, d = (recording.start_s + (k + 0.5) / recording.rate_hz for k in places)
    twice = recording.cut(a, b).cut(c, d)
    once = recording.cut(max(a, c), min(b, d))
    np.testing.assert_array_equal(twice.samples_uv, once.samples_uv)
    assert twice.gaps == once.gaps
    if once.n_samples:
        assert twice.start_s == pytest.approx(once.start_s, abs=1e-9)


@given(recording=recordings())
@settings(max_examples=100, deadline=None)
def test_gaps_stay_on_lost_samples_through_a_cut(recording: Recording) -> None:
    """NaN and gaps name the same samples before and after."""
    middle_s = recording.start_s + recording.duration_s / 3
    for part in (recording, recording.cut(middle_s, middle_s + 1e6)):
        lost = np.zeros(part.n_samples, bool)
        for gap in part.gaps:
            lost[gap.first_sample : gap.first_sample + gap.n_samples] = True
        np.testing.assert_array_equal(lost, np.isnan(part.samples_uv[:, 0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"samples_uv": np.zeros(5)},
            r"samples_uv: expected \(n_samples, n_channels\), got \(5,\)",
        ),
        ({"samples_uv": np.zeros((5, 2))}, "channels: expected 2, got 1"),
        ({"rate_hz": 0.0}, "rate_hz must be finite and > 0, got 0.0"),
        ({"rate_hz": np.nan}, "rate_hz must be finite and > 0, got nan"),
        ({"rate_hz": np.inf}, "rate_hz must be finite and > 0, got inf"),
    ],
)
def test_a_recording_that_does_not_fit_together_is_refused(change: dict, message: str) -> None:
    """Each message names the thing, the rule and the value."""
    good = {"samples_uv": np.zeros((5, 1)), "rate_hz": 1000.0, "channels": ONE}
    with pytest.raises(ValueError, match=message):
        Recording(**{**good, **change})


def unit(muap_uv: np.ndarray) -> MotorUnit:
    """Return a unit with two discharges."""
    return MotorUnit(
        id=1,
        muscle="x",
        threshold=0.1,
        n_fibres=3,
        discharge_times_s=np.array([1.0, 1.1]),
        muap_uv=muap_uv,
        muap_start_s=0.002,
        arrival_s=0.004,
    )


def test_a_unit_knows_its_size_and_when_its_spikes_arrive() -> None:
    """By pencil: from -30 to 50 uV on channel 0, 4 ms after each discharge."""
    one = unit(np.array([[0.0, 900.0], [50.0, 0.0], [-30.0, -900.0]]))
    assert one.peak_to_peak_uv == 80.0
    assert one.spike_times_s == pytest.approx([1.004, 1.104])


def test_a_unit_without_a_muap_has_no_size() -> None:
    """A unit out of reach is silent, not an error."""
    assert unit(np.zeros((0, 1))).peak_to_peak_uv == 0.0
