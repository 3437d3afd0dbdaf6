"""What is played: its layout, its markers, and its resampling to the generator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate

from emgsim.bench.program import (
    alignment_program,
    code,
    markers,
    program_for,
    source_points,
    stretches,
)
from emgsim.recording import Channel, Recording

RATE_HZ = 48_000.0


def recording(peak_uv: float, duration_s: float = 1.0, rate_hz: float = RATE_HZ) -> Recording:
    """Return a ramp, so that every sample is unlike the others."""
    n = round(duration_s * rate_hz)
    return Recording(samples_uv=np.linspace(-peak_uv / 2, peak_uv, n)[:, None], rate_hz=rate_hz,
                     channels=(Channel(name="needle"),))


def test_a_program_is_lead_marker_gap_recording_gap_marker_lead():
    """0.2 + 0.25 + 0.1 s before one second of EMG, and the same behind it: 2.1 s."""
    emg = recording(500.0)
    program = program_for(emg)
    assert program.rate_hz == RATE_HZ
    assert program.recording_start_s == pytest.approx(0.55)
    assert [start_s for start_s, _ in program.markers] == pytest.approx([0.2, 1.65])
    assert program.duration_s == pytest.approx(2.1)
    at = round(0.55 * RATE_HZ)
    np.testing.assert_array_equal(program.samples_uv[at : at + 48_000], emg.samples_uv[:, 0])
    for start_s, shape in program.markers:
        first = round(start_s * RATE_HZ)
        np.testing.assert_array_equal(program.samples_uv[first : first + shape.size], shape)
    quiet = np.r_[0:9600, 21_600:26_400, 74_400:79_200, 91_200:100_800]
    assert not program.samples_uv[quiet].any()


@pytest.mark.parametrize(("peak_uv", "marker_uv"), [(50.0, 200.0), (500.0, 500.0)])
def test_markers_are_as_large_as_the_recording_and_never_too_quiet(peak_uv, marker_uv):
    """The markers use the recording's own swing, and 200 uV at least."""
    program = program_for(recording(peak_uv))
    for _, shape in program.markers:
        assert np.max(np.abs(shape)) == pytest.approx(marker_uv, rel=0.01)
        assert np.max(np.abs(shape)) <= marker_uv
    assert program.peak_uv == pytest.approx(max(peak_uv, marker_uv), rel=0.01)


@given(duration_s=st.floats(0.001, 0.5), rate_hz=st.sampled_from([4e3, 23_437.5, 44_100.0, 48e3]))
def test_a_program_lasts_whole_milliseconds_within_a_sample(duration_s, rate_hz):
    """Any generator rate in kSa/s then holds a whole number of points."""
    emg = recording(300.0, duration_s, rate_hz)
    program = program_for(emg)
    ms = 1000 * program.duration_s
    one_sample_ms = 1000 / rate_hz
    assert 0 <= ms - np.floor(ms + 1e-9) < one_sample_ms + 1e-9
    at = round(program.recording_start_s * rate_hz)
    np.testing.assert_array_equal(program.samples_uv[at : at + emg.n_samples], emg.samples_uv[:, 0])


@pytest.mark.parametrize(
    ("rate_hz", "corner_hz"),
    [
        (8_000.0, np.inf),
        (23_437.5, np.inf),
        (48_000.0, np.inf),
        (48_000.0, 1_800.0),
        (48_000.0, 480.0),
        (24_000.0, 65.0),
    ],
)
def test_markers_are_unlike_each_other_and_like_themselves(rate_hz, corner_hz):
    """No lag and no sign makes one marker look like the other, or like itself shifted.

    Half of one is half of the other, so half the energy agrees at one lag; more never does.
    """
    one, other = markers(rate_hz, corner_hz)
    energy = float(one @ one)
    assert float(other @ other) == pytest.approx(energy, rel=0.01)
    across = np.abs(correlate(one, other, method="fft")) / energy
    assert across.max() < 0.51
    alike = np.abs(correlate(one, one, method="fft")) / energy
    far_s = max(0.005, 2 / min(corner_hz, 6_000.0))  # beyond the main lobe
    far = np.abs(np.arange(alike.size) - (one.size - 1)) > far_s * rate_hz
    assert alike[far].max() < 0.3
    assert alike.max() == pytest.approx(1.0)


@pytest.mark.parametrize("corner_hz", [65.0, 480.0, 1_800.0, 10_000.0])
def test_a_device_hears_the_markers(corner_hz):
    """Nine tenths of their energy lie below its upper corner, whatever that is."""
    for shape in markers(RATE_HZ, corner_hz):
        power = np.abs(np.fft.rfft(shape)) ** 2
        hz = np.fft.rfftfreq(shape.size, 1 / RATE_HZ)
        assert power[hz < corner_hz].sum() > 0.9 * power.sum()


def test_the_halves_of_a_marker_are_mirror_images():
    """A chirp up and the same down: what a clock error does to one half the other undoes."""
    for shape in markers(RATE_HZ):
        np.testing.assert_allclose(shape, -shape[::-1], atol=1e-9)


@pytest.mark.parametrize("source_rate_hz", [20_000.0, 76_000.0, 100_000.0, 250_000.0])
@pytest.mark.parametrize("cycles", [7, 300, 4000, 6000])
def test_a_resampled_sine_keeps_amplitude_and_phase(source_rate_hz, cycles):
    """The spectral line is the sine's own, lifted by 1/sinc(f/rate) against the droop, to 1e-6."""
    t = np.arange(48_000) / RATE_HZ  # one second: `cycles` is the frequency in hertz
    points = source_points(np.sin(2 * np.pi * cycles * t + 0.7), RATE_HZ, source_rate_hz)
    assert points.size == source_rate_hz
    line = np.fft.rfft(points)[cycles] * 2 / points.size
    held = line * np.sinc(cycles / source_rate_hz)
    assert held == pytest.approx(np.exp(1j * (0.7 - np.pi / 2)), abs=1e-6)


def test_nothing_is_left_above_nine_tenths_of_the_generators_band():
    """Lines beyond 45 % of the rate cannot be lifted honestly, so they are left out."""
    t = np.arange(48_000) / RATE_HZ
    points = source_points(np.sin(2 * np.pi * 9_100 * t), RATE_HZ, 20_000.0)
    assert np.max(np.abs(points)) < 1e-9
    kept = source_points(np.sin(2 * np.pi * 8_900 * t), RATE_HZ, 20_000.0)
    assert np.max(np.abs(kept)) > 1.0


def test_a_constant_stays_a_constant():
    """A generator's hold does not weigh direct voltage."""
    np.testing.assert_allclose(source_points(np.full(480, 3.0), RATE_HZ, 100_000.0), 3.0)


@given(
    rate_hz=st.sampled_from([500.0, 2_000.0, 8_000.0]),
    duration_s=st.floats(3.0, 30.0),
    every_s=st.floats(1.5, 10.0),
)
def test_an_alignment_program_holds_its_marks_and_nothing_else(rate_hz, duration_s, every_s):
    """Marks in order without overlap; silence between; the trailer is the preamble reversed."""
    program = alignment_program(rate_hz, (0.04 * rate_hz, 0.2 * rate_hz), duration_s,
                                every_s=every_s)
    rest = program.samples_uv.copy()
    ends_s = [0.2]
    for begin_s, end_s in program.marks_s:
        assert begin_s >= ends_s[-1] - 1e-9
        ends_s.append(end_s)
        rest[round(begin_s * rate_hz) : round(end_s * rate_hz)] = 0.0
    assert not rest.any()
    assert program.peak_uv == pytest.approx(200.0, rel=0.05)
    (first_s, opening), (last_s, closing) = program.markers
    np.testing.assert_array_equal(closing, opening[::-1])
    for start_s, shape in ((first_s, opening), (last_s, closing)):
        at = round(start_s * rate_hz)
        np.testing.assert_array_equal(program.samples_uv[at : at + shape.size], shape)
    assert len(program.marks_s) == 4 + max(0, round(duration_s / every_s) - 1)


def test_a_code_is_unlike_its_neighbours_and_itself_later():
    """A short code's likeness to itself beside the main lobe, and to others, is half at most."""
    band_hz = 300.0, 6_300.0
    codes = [code(RATE_HZ, band_hz, 0.125, number) for number in range(4)]
    for k, one in enumerate(codes):
        energy = float(one @ one)
        alike = np.abs(correlate(one, one, method="fft")) / energy
        far = np.abs(np.arange(alike.size) - (one.size - 1)) > 0.001 * RATE_HZ
        assert alike[far].max() < 0.2
        for other in codes[k + 1 :]:
            assert (np.abs(correlate(one, other, method="fft")) / energy).max() < 0.5


def test_a_code_lies_in_its_band_and_is_long_enough_for_fifteen_chips():
    """Nine tenths of the energy inside; in a narrow band it takes longer than was asked for."""
    for band_hz in ((300.0, 6_300.0), (20.0, 100.0)):
        shape = code(RATE_HZ, band_hz, 0.125)
        power = np.abs(np.fft.rfft(shape)) ** 2
        hz = np.fft.rfftfreq(shape.size, 1 / RATE_HZ)
        inside = (hz >= band_hz[0]) & (hz <= band_hz[1])
        assert power[inside].sum() > 0.9 * power.sum()
        assert shape.size / RATE_HZ >= 15 / (0.5 * (band_hz[1] - band_hz[0]))


def test_stretches_are_the_loudest_parts_between_the_markers():
    """A burst in the second of three parts is what is taken there; markers stay first and last."""
    uv = np.full(3 * 48_000, 0.01)
    uv[60_000:66_000] = 100.0
    emg = Recording(samples_uv=uv[:, None], rate_hz=RATE_HZ, channels=(Channel(name="needle"),))
    program = program_for(emg)
    found = stretches(program, 1.0)
    assert found[0] == program.marks_s[0]
    assert found[-1] == program.marks_s[-1]
    assert len(found) == 5
    begin_s, end_s = (at_s - program.recording_start_s for at_s in found[2])
    assert begin_s <= 60_000 / RATE_HZ
    assert end_s >= 66_000 / RATE_HZ
