"""Discharges into samples: between the samples, voice by voice, in any blocks."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.rendering import BEFORE, TAPS, add_discharges, lagrange_weights, polyphase

PROPERTY = settings(max_examples=60, deadline=None)


def reference(n_samples, waves, oversampling, start, instants, weights):
    """Return the samples of the kernel, point by point, with the polynomial as it is defined."""
    out = np.zeros(n_samples)
    for d, weight in enumerate(weights):
        for wave, instant in zip(waves, instants[d], strict=True):
            if not math.isfinite(instant):
                continue
            for k in range(n_samples):
                place = (k - instant - start) * oversampling
                if not 0 <= place < wave.size:
                    continue
                point = math.floor(place)
                taps = np.arange(point - BEFORE, point - BEFORE + TAPS)
                heard = np.where((taps >= 0) & (taps < wave.size), wave[taps % wave.size], 0.0)
                out[k] += weight * lagrange_weights(place - point) @ heard
    return out


@st.composite
def trains(draw):
    """Draw voices, discharges and where their waves begin."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    oversampling = draw(st.integers(1, 4))
    n_voices, n_discharges = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    waves = rng.standard_normal((n_voices, draw(st.integers(7, 40))))
    waves[:, -4:] = 0.0  # voices end in silence
    instants = rng.uniform(-10.0, 70.0, (n_discharges, n_voices))
    instants[rng.uniform(size=instants.shape) < 0.2] = np.nan
    weights = rng.uniform(-1, 1, n_discharges)
    return waves, oversampling, draw(st.floats(-5.0, 5.0)), instants, weights


def rendered(n_samples, waves, oversampling, start, instants, weights, *, cuts=()):
    """Return the samples, rendered in blocks cut where asked."""
    phases = polyphase(waves, oversampling)
    edges = [0, *sorted(cuts), n_samples]
    blocks = []
    for a, b in pairwise(edges):
        block = np.zeros(b - a)
        add_discharges(block, a, phases, start, instants, weights)
        blocks.append(block)
    return np.concatenate(blocks)


@given(train=trains())
@PROPERTY
def test_the_kernel_agrees_with_its_readable_reference(train) -> None:
    """Sample by sample, to rounding."""
    np.testing.assert_allclose(rendered(60, *train), reference(60, *train), atol=1e-12)


@given(train=trains(), cuts=st.lists(st.integers(0, 60), max_size=4))
@PROPERTY
def test_blocks_are_the_same_bytes_as_the_whole(train, cuts) -> None:
    """However the samples are cut, each is the same sum in the same order."""
    assert rendered(60, *train, cuts=cuts).tobytes() == rendered(60, *train).tobytes()


@given(instant=st.floats(3.0, 20.0), oversampling=st.integers(1, 4))
@PROPERTY
def test_a_polynomial_of_fifth_degree_is_read_exactly(instant, oversampling) -> None:
    """Between the points nothing is lost of t^5: the six weights are Lagrange's."""
    t = np.arange(64 * oversampling) / oversampling
    wave = (t / 30 - 1) ** 5
    samples = rendered(60, wave[None], oversampling, 0.0, np.array([[instant]]), np.ones(1))
    k = np.arange(math.ceil(instant) + 3, 60)
    np.testing.assert_allclose(samples[k], ((k - instant) / 30 - 1) ** 5, atol=1e-12)


@pytest.mark.parametrize(("f_hz", "error"), [(5_000.0, 1e-5), (10_000.0, 5e-4)])
def test_a_sine_at_96_khz_is_read_between_its_points(f_hz: float, error: float) -> None:
    """The error that the module's text states, at 48 kHz from a wave at 96 kHz."""
    t = np.arange(4800) / 96_000
    samples = rendered(
        2000, np.sin(2 * np.pi * f_hz * t)[None], 2, 0.0, np.array([[7.3]]), np.ones(1)
    )
    k = np.arange(20, 2000)
    expected = np.sin(2 * np.pi * f_hz * (k - 7.3) / 48_000)
    assert np.abs(samples[k] - expected).max() < error


def test_a_voice_of_a_nan_is_silent() -> None:
    """A blocked fibre adds nothing."""
    waves = np.ones((2, 20))
    both = rendered(40, waves, 1, 0.0, np.array([[5.0, 5.0]]), np.ones(1))
    one = rendered(40, waves, 1, 0.0, np.array([[5.0, np.nan]]), np.ones(1))
    np.testing.assert_allclose(one, both / 2)
