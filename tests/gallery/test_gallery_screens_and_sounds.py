"""Whether the gallery's screens and sounds of activity at rest are what its words say."""

from __future__ import annotations

import base64
import io
import wave
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from emgsim.exhibits import entries
from emgsim.gallery import exhibit
from emgsim.recording import Floats
from emgsim.report.gallery_page import DIVISIONS, LARGEST_CODE, SOUND_HZ, UP, Exhibit, sound
from emgsim.scenario import kinds
from tests.gallery.conftest import shown, trains

AT_REST = [entry.id for entry in entries([*kinds("activities"), "tremor"])]


@cache
def of(name: str) -> Exhibit:
    """Return an exhibit by its id, as the page shows it."""
    return exhibit(next(entry for entry in entries() if entry.id == name))


@cache
def heard(name: str) -> Floats:
    """Return an exhibit's sound, full scale 1, negative down as in the samples."""
    one = of(name)
    address = sound(one.recording, full_scale_uv=UP * one.screen.gain_uv_div)
    with wave.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))) as file:
        codes = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return np.asarray(codes / LARGEST_CODE)


def spectrum(signal: Floats) -> tuple[Floats, Floats]:
    """Return frequencies and power."""
    power = np.abs(np.fft.rfft(signal - signal.mean())) ** 2
    return np.fft.rfftfreq(signal.size, 1 / SOUND_HZ), power


def brightness_hz(signal: Floats) -> float:
    """Return the frequency below and above which there is equal power."""
    frequencies, power = spectrum(signal)
    return float(frequencies[np.searchsorted(np.cumsum(power), 0.5 * power.sum())])


def pitch(signal: Floats, low_hz: float, high_hz: float) -> tuple[float, float]:
    """Return the rate at which a sound repeats itself best, and how well it does: 1 is exactly.

    Of repetitions that are nearly as good the shortest counts: two periods repeat as one does.
    """
    signal = signal - signal.mean()
    n = signal.size
    power = np.abs(np.fft.rfft(signal, 2 * n)) ** 2
    alike = np.fft.irfft(power)[:n] / (n - np.arange(n))
    alike /= alike[0]
    lags = np.arange(int(SOUND_HZ / high_hz), min(int(SOUND_HZ / low_hz) + 1, n))
    best = alike[lags].max()
    near = np.flatnonzero(alike[lags] > 0.9 * best)
    end = near[np.append(np.flatnonzero(np.diff(near) > 1), near.size - 1)[0]]
    lag = lags[near[0] : end + 1][np.argmax(alike[lags[near[0] : end + 1]])]
    return float(SOUND_HZ / lag), float(best)


def clicks(signal: Floats, level: float, gap_s: float = 0.01) -> Floats:
    """Return begin and end of each sound above a level, shape ``(n, 2)``, seconds."""
    loud = np.flatnonzero(np.abs(signal) > level)
    edges = np.flatnonzero(np.diff(loud) > gap_s * SOUND_HZ)
    begins, ends = loud[np.append(0, edges + 1)], loud[np.append(edges, loud.size - 1)]
    return np.stack([begins, ends], axis=1) / SOUND_HZ


# ---- screens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AT_REST)
def test_a_screen_is_filled_by_its_activity_and_not_overrun(name):
    """Something of a division and more, and hardly anything beyond the upper edge."""
    one = of(name)
    (start_s,) = one.screen.starts_s
    seen = one.recording.cut(start_s, start_s + DIVISIONS * one.screen.sweep_s_div)
    divisions = -seen.samples_uv[:, 0] / one.screen.gain_uv_div
    assert np.ptp(divisions) >= 1.0
    assert np.mean((divisions > UP) | (divisions < -UP)) < 0.002


@pytest.mark.parametrize("name", AT_REST)
def test_every_sweep_of_a_raster_ends_before_the_recording(name):
    """None is cut short at its right edge."""
    one = of(name)
    if one.raster is not None:
        last_s = max(one.raster.starts_s) + DIVISIONS * one.raster.sweep_s_div
        assert last_s <= one.recording.duration_s + 1e-6


def test_a_raster_of_a_repetitive_discharge_shows_copies_and_one_step():
    """Sweep for sweep alike, and once not, when a fibre of the ring drops."""
    ring = of("complex_repetitive_discharge")
    starts_s = np.array(ring.raster.starts_s)
    sweeps = [ring.recording.cut(t, t + 0.02).samples_uv[:950, 0] for t in starts_s]
    alike = np.array([np.corrcoef(a, b)[0, 1] for a, b in pairwise(sweeps)])
    assert np.count_nonzero(alike < 0.97) == 1  # a sample's shift of the trigger costs 0.02
    dropped_s = max(row.onset_s for row in ring.rows)
    step = int(alike.argmin())
    assert starts_s[step] < dropped_s < starts_s[step + 1] + 0.02


def test_the_table_of_truth_says_what_the_samples_do():
    """Rate and CoV of a clock, of a ring and of no rhythm at all, from peaks of the samples."""
    for name in ("fibrillation", "complex_repetitive_discharge", "end_plate_spike"):
        rows = [row for row in of(name).rows if row.kind == name]
        found = sorted(trains(shown(name)), key=lambda one: -one.size_uv)
        for row, one in zip(rows, found, strict=True):
            intervals_s = np.diff(one.times_s)
            assert 1 / np.median(intervals_s) == pytest.approx(row.rate_hz, rel=0.02)
            assert intervals_s.std(ddof=1) / intervals_s.mean() == pytest.approx(row.cov, rel=0.1)


# ---- sounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AT_REST)
def test_a_sound_is_neither_clipped_nor_faint(name):
    """Full scale is reached in less than 0.1 % of the time, an eighth of it is reached."""
    sizes = np.abs(heard(name))
    assert np.mean(sizes > 0.9999) < 1e-3
    assert sizes.max() > 0.125


def test_a_fibrillation_ticks_and_a_sharp_wave_thuds():
    """A short click for each discharge, as even as a clock; the sharp waves are duller."""
    ticks = clicks(heard("fibrillation"), 0.15)
    (row,) = of("fibrillation").rows
    assert abs(len(ticks) - row.n) <= 1
    assert np.diff(ticks).max() < 5e-3
    between_s = np.diff(ticks[:, 0])
    assert between_s.std() / between_s.mean() < 0.1
    assert brightness_hz(heard("positive_sharp_wave")) < 0.7 * brightness_hz(heard("fibrillation"))


def test_a_complex_repetitive_discharge_keeps_its_pitch():
    """At the begin, in the middle and at the end it repeats at one rate, almost exactly."""
    row = of("complex_repetitive_discharge").rows[0]
    signal = heard("complex_repetitive_discharge")
    for start_s in (0.5, 2.5, 3.9):
        part = signal[int(start_s * SOUND_HZ) :][: int(0.6 * SOUND_HZ)]
        found_hz, alike = pitch(part, 5, 100)
        assert found_hz == pytest.approx(row.rate_hz, rel=0.02)
        assert alike > 0.8  # intervals differ by 0.1 ms, a tenth of a period of its spikes


def pitches(name: str, starts_s: Floats, length_s: float, low_hz: float, high_hz: float) -> Floats:
    """Return the pitch of pieces of a sound's size, each from its own mean."""
    sizes = np.abs(heard(name))
    pieces = [sizes[int(t * SOUND_HZ) :][: int(length_s * SOUND_HZ)] for t in starts_s]
    return np.array([pitch(piece, low_hz, high_hz)[0] for piece in pieces])


def test_a_myotonic_discharge_dives():
    """Its pitch climbs from about 25 to 60 per second within two seconds, and falls back."""
    onset_s = of("myotonic_discharge").rows[0].onset_s
    found = pitches("myotonic_discharge", onset_s + np.arange(0.1, 5.5, 0.3), 0.25, 18, 90)
    peak = int(found.argmax())
    assert 0 < peak < 0.5 * found.size
    assert found[peak] > 1.6 * found[0]
    assert found[peak] > 1.6 * found[-1]
    assert 20 <= found.min() <= found.max() <= 80
    assert np.all(np.diff(found[peak:]) < 3)


def test_a_myotonic_discharge_that_only_wanes_only_falls():
    """The first pitch is the highest."""
    onset_s = of("myotonic_sharp_waves").rows[0].onset_s
    found = pitches("myotonic_sharp_waves", onset_s + np.arange(0.05, 3.0, 0.3), 0.25, 18, 90)
    assert np.all(np.diff(found) < 2)
    assert found[-1] < 0.6 * found[0]


def test_a_neuromyotonic_burst_is_a_tone_that_falls_a_little():
    """150-300 per second at its begin, and lower half a second later."""
    first_hz, later_hz = pitches("neuromyotonia", 0.5 + np.array([0.02, 0.52]), 0.08, 100, 400)
    assert 150 <= later_hz < first_hz <= 300


@pytest.mark.parametrize("name", ["end_plate_noise", "trigger_point"])
def test_end_plate_noise_has_no_pitch(name):
    """It hisses: at no delay does it repeat itself."""
    _, alike = pitch(heard(name), 5, 150)
    assert alike < 0.1
