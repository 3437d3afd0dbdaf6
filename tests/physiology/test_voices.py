"""A unit at an electrode as its voices: the band, the mean MUAP, and who sounds apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import add_fibre_potentials, fibre_waves_uv
from emgsim.physiology.parameters import ConcentricNeedle, Medium, TipPosition
from emgsim.physiology.rendering import BEFORE
from emgsim.physiology.voices import (
    FINE_HZ,
    LUMPED_UV,
    QUIET_UV,
    STOP_OVER_BAND,
    Sampling,
    Voices,
    last_s,
    near_fibres,
    unit_voices,
    voices_of,
)

ELECTRODE = channels(ConcentricNeedle(), TipPosition(z_mm=15.0))[0]
MEDIUM = Medium()
ROSENFALCK = Medium(action_potential="rosenfalck")
SAMPLINGS = [
    Sampling(rate_hz=rate_hz, band_hz=min(10_000.0, 0.45 * rate_hz))
    for rate_hz in (10_000.0, 12_000.0, 23_437.5, 48_000.0, 100_000.0)
]
AT_48_KHZ = SAMPLINGS[3]
seeds = st.integers(0, 2**32 - 1)


def unit(
    x_mm: object, *, jitter_us: float = 17.0, block: object = 0.0, half_mm: float = 50.0
) -> UnitFibres:
    """Return fibres of 55 um at some distances from the needle, end plates at 0."""
    x = np.asarray(x_mm, dtype=np.float64)
    one = np.ones(x.size)
    return UnitFibres(
        x_mm=x,
        y_mm=0 * one,
        end_plate_mm=0 * one,
        half_lengths_mm=(half_mm * one, half_mm * one),
        diameter_um=55 * one,
        delay_s=0 * one,
        jitter_s=1e-6 * jitter_us * one,
        block_probability=np.asarray(block) * one,
    )


def scattered(seed: int, n: int = 40) -> UnitFibres:
    """Return a random unit about the needle."""
    rng = np.random.default_rng(seed)
    return unit(rng.uniform(0.1, 4.0, n) * rng.choice([-1, 1], n))


def waves_of(heard: Voices) -> np.ndarray:
    """Return the voices' waves as they went into their phases, ``(1 + n_near, n)``."""
    return heard.phases.transpose(0, 2, 1).reshape(heard.phases.shape[0], -1)[:, BEFORE:]


def spectra(waves: np.ndarray, n: int = 2**16) -> np.ndarray:
    """Return spectra of some resolution."""
    return np.fft.rfft(waves, n, axis=-1)


# -- the band --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: f"{s.rate_hz:g}")
def test_the_grid_of_the_waves_divides_the_samples(sampling: Sampling) -> None:
    """A whole number of points a sample, 80 kHz or finer, and no finer than it must be."""
    assert sampling.fine_hz == sampling.oversampling * sampling.rate_hz >= FINE_HZ
    assert sampling.oversampling == 1 or sampling.fine_hz - sampling.rate_hz < FINE_HZ


@given(seed=seeds, sampling=st.sampled_from(SAMPLINGS))
@settings(max_examples=25, deadline=None)
def test_the_limit_is_flat_below_the_band_and_stops_all_above(
    seed: int, sampling: Sampling
) -> None:
    """Any wave: exactly itself up to the band's edge, without delay; nothing from the stop on."""
    waves = np.random.default_rng(seed).standard_normal((2, 3000))
    f_hz = np.fft.rfftfreq(3000, 1 / sampling.fine_hz)
    gain = np.fft.rfft(sampling.limited(waves)) / np.fft.rfft(waves)
    np.testing.assert_allclose(gain[:, f_hz <= sampling.band_hz], 1.0, atol=1e-8)
    np.testing.assert_allclose(gain[:, f_hz >= STOP_OVER_BAND * sampling.band_hz], 0.0, atol=1e-8)
    between = gain[0, (f_hz > sampling.band_hz) & (f_hz < STOP_OVER_BAND * sampling.band_hz)].real
    assert np.all(np.diff(between) < 1e-8)


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: f"{s.rate_hz:g}")
def test_nothing_of_a_voice_folds_back(sampling: Sampling) -> None:
    """The stop is at or below half the rate; above it is only what cutting the quiet ends adds.

    That is a wave, too, and nowhere beyond the quiet.
    """
    assert STOP_OVER_BAND * sampling.band_hz <= sampling.rate_hz / 2 + 1e-9
    spectrum = spectra(waves_of(unit_voices(unit([0.1]), ELECTRODE, MEDIUM, sampling)))
    f_hz = np.fft.rfftfreq(2**16, 1 / sampling.fine_hz)
    above = np.fft.irfft(spectrum * (f_hz >= STOP_OVER_BAND * sampling.band_hz))
    assert np.abs(above).max() < QUIET_UV


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: f"{s.rate_hz:g}")
def test_a_voice_is_its_fibres_wave_within_the_band(sampling: Sampling) -> None:
    """Amplitude and phase, so no delay: the spectrum from the discharge on, below the band."""
    fibre = unit([0.3])
    heard = unit_voices(fibre, ELECTRODE, MEDIUM, sampling)
    n = int(sampling.fine_hz * last_s(fibre, MEDIUM))
    raw = spectra(fibre_waves_uv(n, sampling.fine_hz, ELECTRODE, MEDIUM, fibre))[0]
    f_hz = np.fft.rfftfreq(2**16, 1 / sampling.fine_hz)
    later = np.exp(-2j * np.pi * f_hz * heard.start / sampling.rate_hz)
    assert heard.near.tolist() == [0]
    voice = (spectra(waves_of(heard)) * later).sum(axis=0)
    is_kept = f_hz <= sampling.band_hz
    cut = QUIET_UV * 2e-2 * sampling.fine_hz  # 20 ms of what was too quiet to be kept
    np.testing.assert_allclose(voice[is_kept], raw[is_kept], rtol=0, atol=cut)
    assert cut < 1e-3 * np.abs(raw).max()


# -- the mean MUAP ---------------------------------------------------------------------------------


@given(seed=seeds, sampling=st.sampled_from(SAMPLINGS))
@settings(max_examples=15, deadline=None)
def test_the_muap_is_the_sum_of_all_voices_at_their_mean_times(
    seed: int, sampling: Sampling
) -> None:
    """Near or far, each fibre is in it once: the limited sum of all potentials, sample by sample.

    What was cut off at its ends is quieter than `QUIET_UV`.
    """
    fibres = scattered(seed)
    heard = unit_voices(fibres, ELECTRODE, MEDIUM, sampling)
    step = sampling.oversampling
    np.testing.assert_allclose(
        heard.muap_uv, waves_of(heard).sum(axis=0)[::step][: heard.muap_uv.size], atol=1e-12
    )
    lead = 3 * int(np.ceil(sampling.ringing_s * sampling.rate_hz))
    whole = np.zeros(2 * lead * step + int(sampling.fine_hz * last_s(fibres, MEDIUM)) + 1)
    inside = whole[lead * step : -lead * step]
    add_fibre_potentials(inside, sampling.fine_hz, ELECTRODE, MEDIUM, fibres)
    expected = sampling.limited(whole[None])[0, ::step]
    found, first = np.zeros(expected.size), heard.muap_start + lead
    found[first:][: heard.muap_uv.size] = heard.muap_uv
    # each of the voices is cut where all are quiet
    assert np.abs(found - expected).max() < QUIET_UV * heard.phases.shape[0]


def test_a_far_fibre_counts_by_the_share_of_discharges_that_it_answers() -> None:
    """Far fibres that fail at a quarter of the discharges sound at three quarters of their size."""
    places = np.full(3, 8.0)
    waves = fibre_waves_uv(3000, AT_48_KHZ.fine_hz, ELECTRODE, MEDIUM, unit(places)) * 1e-3
    sure, unsure = (voices_of(waves, unit(places, block=p), AT_48_KHZ) for p in (0.0, 0.25))
    assert sure.near.size == unsure.near.size == 0
    n = min(sure.muap_uv.size, unsure.muap_uv.size)
    offset = unsure.muap_start - sure.muap_start
    expected = 0.75 * sure.muap_uv[offset:][:n]
    np.testing.assert_allclose(unsure.muap_uv[: expected.size], expected, atol=1e-12)


# -- who sounds apart ------------------------------------------------------------------------------


@given(seed=seeds, scale_uv=st.floats(1e-3, 1e3), n=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_no_fibre_more_and_none_less_sounds_apart_than_the_rule_asks(
    seed: int, scale_uv: float, n: int
) -> None:
    """Three SDs of what the far ones leave out are 0.1 uV at most, and with one more they are not.

    A fibre's error: its steepest slope times its jitter, and its peak where it may be blocked.
    """
    rng = np.random.default_rng(seed)
    waves = scale_uv * rng.lognormal(0, 2, (n, 1)) * rng.standard_normal((n, 50))
    fibres = unit(np.ones(n), jitter_us=rng.uniform(0, 50), block=rng.uniform(0, 1, n))
    near = near_fibres(fibres, waves, 1e5)
    p = fibres.block_probability
    of_jitter = fibres.jitter_s * 1e5 * np.abs(np.diff(waves)).max(axis=1)
    error_uv = np.sqrt(of_jitter**2 + p * (1 - p) * np.abs(waves).max(axis=1) ** 2)
    far = np.setdiff1d(np.arange(n), near)
    assert np.all(np.diff(near) > 0)
    assert 3 * np.linalg.norm(error_uv[far]) <= LUMPED_UV * (1 + 1e-9)
    if near.size:
        least = near[np.argmin(error_uv[near])]
        assert error_uv[far].max(initial=0.0) <= error_uv[least]
        assert 3 * np.linalg.norm(error_uv[[*far, least]]) > LUMPED_UV * (1 - 1e-9)


@pytest.mark.parametrize(("error_uv", "n_far"), [(0.03, 1), (0.01, 11), (0.006, 20)])
def test_errors_of_equal_size_add_up_as_independent_ones_do(error_uv: float, n_far: int) -> None:
    """By pencil: of twenty equal fibres sound together as many as ``3 e sqrt(n) <= 0.1`` allows."""
    waves = np.zeros((20, 4))
    waves[:, 2] = error_uv  # a slope of 1e5 e a second, and a jitter of 10 us
    near = near_fibres(unit(np.ones(20), jitter_us=10.0), waves, 1e5)
    assert 20 - near.size == n_far


def test_fibres_that_never_vary_sound_together() -> None:
    """Without jitter and block even a fibre at the core needs no voice of its own."""
    steady = unit([0.05, 0.1], jitter_us=0.0)
    assert unit_voices(steady, ELECTRODE, MEDIUM, AT_48_KHZ).near.size == 0


def test_near_fibres_sound_in_the_order_of_their_numbers() -> None:
    """Voice k + 1 is the fibre ``near[k]``: nearer is larger."""
    heard = unit_voices(unit([0.5, 9.0, 0.2]), ELECTRODE, MEDIUM, AT_48_KHZ)
    sizes = np.ptp(waves_of(heard), axis=1)
    assert heard.near.tolist() == [0, 2]
    assert sizes[2] > sizes[1] > sizes[0] > 0


# -- its ends --------------------------------------------------------------------------------------


def test_a_unit_that_nobody_hears_is_a_moment_of_silence() -> None:
    """Half a metre off: one voice, no near fibre, and nothing in it."""
    heard = unit_voices(unit([500.0, 501.0]), ELECTRODE, MEDIUM, AT_48_KHZ)
    assert heard.near.size == 0
    assert heard.phases.shape[0] == 1
    assert np.abs(heard.phases).max() < QUIET_UV
    assert heard.muap_uv.size == 1
    assert heard.ends - heard.start == heard.phases.shape[2] < 20


@pytest.mark.parametrize("medium", [MEDIUM, ROSENFALCK], ids=["nandedkar", "rosenfalck"])
@pytest.mark.parametrize("half_mm", [15.5, 50.0])
def test_no_tail_is_cut(half_mm: float, medium: Medium) -> None:
    """A window of twice the length holds nothing more, after Rosenfalck's longer tail neither."""
    fibre = unit([0.1], half_mm=half_mm)
    end_s = last_s(fibre, medium)
    n = int(end_s * AT_48_KHZ.fine_hz)
    wave = fibre_waves_uv(2 * n, AT_48_KHZ.fine_hz, ELECTRODE, medium, fibre)
    assert np.abs(wave[0, n:]).max() < 1e-2 * QUIET_UV
    short = unit_voices(fibre, ELECTRODE, medium, AT_48_KHZ)
    long = voices_of(wave, fibre, AT_48_KHZ)
    assert short.muap_start == long.muap_start
    n = min(short.muap_uv.size, long.muap_uv.size)
    assert np.abs(short.muap_uv[n:]).max(initial=0.0) < 2 * QUIET_UV
    assert np.abs(long.muap_uv[n:]).max(initial=0.0) < 2 * QUIET_UV
    apart_uv = np.abs(short.muap_uv[:n] - long.muap_uv[:n]).max()
    assert apart_uv < 1e-2 * QUIET_UV  # the ringing goes round other ends
