"""Rest, contraction and artefact on signals made of murmur, trains and swings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.analysis.effort import segments
from emgsim.recording import Event

Floats = NDArray[np.float64]
RATE_HZ = 12_000.0
WORK_S = (3.0, 6.0)
SECONDS = 9.0


def quiet(seed: int = 1, seconds: float = SECONDS) -> Floats:
    """White noise of 1.5 uV, as of a resting needle."""
    return 1.5 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def add_spikes(samples: Floats, times_s: Floats, height_uv: float) -> None:
    """Put a biphasic spike of 4 ms on each time."""
    t_ms = np.arange(48) / RATE_HZ * 1e3 - 2.0
    shape = -height_uv * t_ms * np.exp(0.5 - (t_ms / 0.4) ** 2 / 2) / 0.4
    at = np.rint(times_s * RATE_HZ).astype(int)
    at = at[(at >= 0) & (at < samples.size - shape.size)]
    for first in at.tolist():
        samples[first : first + shape.size] += shape


def train(rate_per_s: float, span_s: tuple[float, float], cov: float, seed: int) -> Floats:
    """Return discharges within a span."""
    rng = np.random.default_rng(seed)
    steps = (1 + cov * rng.standard_normal(round(2 * rate_per_s * SECONDS) + 5)) / rate_per_s
    times_s = span_s[0] + rng.uniform(0, 0.5 / rate_per_s) + np.cumsum(np.abs(steps)) - steps[0]
    return times_s[times_s < span_s[1]]


def effort(span_s: tuple[float, float] = WORK_S, *, n_units: int = 60, seed: int = 3) -> Floats:
    """Return rest, an effort of many small and some large units, and rest."""
    samples = quiet(seed)
    sizes = np.geomspace(3.0, 300.0, n_units)
    for k, size in enumerate(sizes):
        add_spikes(samples, train(9.0, span_s, 0.15, seed * 1000 + k), float(size))
    return samples


def kinds(events: tuple[Event, ...]) -> list[str]:
    """Return the kinds in order."""
    return [event.kind for event in events]


def test_an_effort_between_two_rests_is_found_with_its_edges() -> None:
    """Three segments; both edges within 60 ms, less than a unit's interval."""
    found = segments(effort(), RATE_HZ)
    assert kinds(found) == ["rest", "contraction", "rest"]
    assert found[1].onset_s == pytest.approx(WORK_S[0], abs=0.06)
    assert found[1].offset_s == pytest.approx(WORK_S[1], abs=0.06)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), start_s=st.floats(-10, 10))
def test_segments_fill_the_recording(seed: int, start_s: float) -> None:
    """Each begins where the one before ends, on the recording's clock; neighbours differ."""
    rng = np.random.default_rng(seed)
    edges_s = np.sort(rng.uniform(0, SECONDS, 2))
    found = segments(effort((float(edges_s[0]), float(edges_s[1]))), RATE_HZ, start_s=start_s)
    assert found[0].onset_s == start_s
    assert found[-1].offset_s == pytest.approx(start_s + SECONDS)
    for one, after in pairwise(found):
        assert one.offset_s == after.onset_s
        assert one.kind != after.kind


def test_a_silence_shorter_than_an_interval_is_no_rest() -> None:
    """An effort from 0.2 s after the first sample to 0.1 s before the last fills the recording."""
    assert kinds(segments(effort((0.2, SECONDS - 0.1)), RATE_HZ)) == ["contraction"]


def test_polarity_does_not_matter() -> None:
    """Upside down the same segments."""
    assert segments(-effort(), RATE_HZ) == segments(effort(), RATE_HZ)


def test_regular_spikes_of_single_fibres_are_rest() -> None:
    """Two fibrillating fibres of 80 uV at 5 and 9 per second are no effort."""
    samples = quiet()
    add_spikes(samples, train(5.0, (0.5, 8.5), 0.03, 1), 80.0)
    add_spikes(samples, train(9.0, (0.5, 8.5), 0.03, 2), 60.0)
    assert kinds(segments(samples, RATE_HZ)) == ["rest"]


def test_a_myotonic_run_is_rest() -> None:
    """A run whose rate falls from 70 to 25 per second fills the screen, and is no effort."""
    samples = quiet()
    times_s = 2.0 + np.cumsum(1 / np.linspace(70, 25, 180))
    add_spikes(samples, times_s, 150.0)
    assert "contraction" not in kinds(segments(samples, RATE_HZ))


def test_a_single_unit_tells_an_effort_by_its_rhythm() -> None:
    """Without distant units it takes the train; a fibrillation's is too regular."""
    samples = quiet()
    own = train(8.0, WORK_S, 0.15, 4)
    add_spikes(samples, own, 200.0)
    assert kinds(segments(samples, RATE_HZ)) == ["rest"]
    found = segments(samples, RATE_HZ, trains_s=[own])
    assert kinds(found) == ["rest", "contraction", "rest"]
    assert found[1].onset_s == pytest.approx(own[0], abs=0.05)
    regular = train(8.0, WORK_S, 0.02, 4)
    assert kinds(segments(samples, RATE_HZ, trains_s=[regular])) == ["rest"]


def test_trains_are_on_the_recordings_clock() -> None:
    """A recording that starts at 100 s, and a train that does."""
    samples = quiet()
    own = train(8.0, WORK_S, 0.15, 4)
    add_spikes(samples, own, 200.0)
    found = segments(samples, RATE_HZ, start_s=100.0, trains_s=[own + 100.0])
    assert found[1].onset_s == pytest.approx(100.0 + own[0], abs=0.05)


@pytest.mark.parametrize("at_s", [1.0, 4.5], ids=["at rest", "in effort"])
def test_a_pop_is_an_artefact_until_a_twentieth_is_left(at_s: float) -> None:
    """A jump of 800 uV that decays with 150 ms: from its edge to three time constants."""
    samples = effort()
    since_s = np.arange(samples.size) / RATE_HZ - at_s
    samples += np.where(since_s >= 0, 800 * np.exp(-np.maximum(since_s, 0) / 0.15), 0.0)
    (found,) = [event for event in segments(samples, RATE_HZ) if event.kind == "artefact"]
    assert found.onset_s == pytest.approx(at_s, abs=0.05)
    assert found.offset_s == pytest.approx(at_s + 0.45, abs=0.15)


def test_a_swinging_lead_is_an_artefact_and_slow_wander_is_not() -> None:
    """A swing of 5 Hz and 300 uV is; a baseline that drifts by 200 uV in 10 s is not."""
    samples = quiet()
    time_s = np.arange(samples.size) / RATE_HZ
    wander = 100 * np.sin(2 * np.pi * 0.1 * time_s)
    assert kinds(segments(samples + wander, RATE_HZ)) == ["rest"]
    swing = np.where(time_s >= 4, 300 * np.exp(-(time_s - 4) / 0.3), 0)
    swing = swing * np.sin(2 * np.pi * 5 * (time_s - 4))
    assert kinds(segments(samples + swing + wander, RATE_HZ)) == ["rest", "artefact", "rest"]


def test_samples_that_stand_still_at_the_end_of_the_range_are_an_artefact() -> None:
    """An effort clipped at 150 uV: artefacts within it, none outside."""
    found = segments(np.clip(effort(), -150, 150), RATE_HZ)
    odd = [event for event in found if event.kind == "artefact"]
    assert odd
    assert all(WORK_S[0] - 0.05 < e.onset_s < e.offset_s < WORK_S[1] + 0.05 for e in odd)


def test_what_is_loud_throughout_is_an_effort() -> None:
    """Noise of 30 uV from the first sample to the last."""
    assert kinds(segments(20 * quiet(), RATE_HZ)) == ["contraction"]


def test_missing_samples_do_not_matter() -> None:
    """Half a second missing within the effort, and within the rest: the same three segments."""
    samples = effort()
    samples[round(4.0 * RATE_HZ) : round(4.5 * RATE_HZ)] = np.nan
    samples[round(1.0 * RATE_HZ) : round(1.5 * RATE_HZ)] = np.nan
    assert kinds(segments(samples, RATE_HZ)) == ["rest", "contraction", "rest"]


@pytest.mark.parametrize(
    ("samples", "rate_hz", "message"),
    [
        (np.zeros((10, 2)), RATE_HZ, r"samples_uv must be \(n_samples,\)"),
        (np.full(100, np.nan), RATE_HZ, "samples_uv must hold a number"),
        (np.zeros(100), 0.0, "rate_hz must be finite and > 0"),
    ],
)
def test_wrong_arguments_are_named(samples: Floats, rate_hz: float, message: str) -> None:
    """A wrong shape, no number, no rate: one clear mistake each."""
    with pytest.raises(ValueError, match=message):
        segments(samples, rate_hz)
