"""What a device does to motor unit potentials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import fft

from emgsim.metrology import fidelity
from emgsim.metrology.procedure import Measuring

SMALL = {"rate_hz": 12_000.0, "band_hz": (10.0, 2_500.0), "orders": (1, 3)}


def _measured(bench: Any) -> tuple[float, float, float]:
    measuring = Measuring(bench)
    return tuple(p.measure(measuring)[0].value for p in fidelity.PROCEDURES)  # type: ignore[return-value]


def test_a_device_as_declared_changes_no_potential(synthetic: Any, declared: Any) -> None:
    """Whatever its gain and its clock: errors lie within their uncertainty or two."""
    measuring = Measuring(
        synthetic(setup=declared(**SMALL), gain=1.06, device_ppm=150.0, noise_uv=0.5, seed=2)
    )
    for procedure in fidelity.PROCEDURES:
        (reading,) = procedure.measure(measuring)
        assert reading.value < 1.5 * reading.expanded
    assert reading.expanded < 0.3


def test_a_lost_upper_corner_costs_amplitude_and_shape(synthetic: Any, declared: Any) -> None:
    """What half the corner takes from each potential is what its spectrum says."""
    setup = declared(**SMALL)
    bench = synthetic(setup=setup, corners_hz=(10.0, 1_250.0), noise_uv=0.2)
    amplitude, duration, shape = _measured(bench)
    sound = synthetic(setup=setup)
    lost = []
    for _, _, uv in fidelity.library_uv(setup):
        size = 8 * uv.size
        f = fft.rfftfreq(size, 1 / setup.play_rate_hz)
        mid = np.array([setup.mid_hz])
        pair = [
            np.ptp(fft.irfft(fft.rfft(uv, size) * b.response(f) / abs(b.response(mid)[0]), size))
            for b in (bench, sound)
        ]
        lost.append(100 * (pair[0] / pair[1] - 1))
    assert amplitude == pytest.approx(np.max(np.abs(lost)), rel=0.1)
    assert duration > 0.05
    assert shape > 1.0


def test_a_bent_characteristic_squeezes_the_largest(synthetic: Any, declared: Any) -> None:
    """Each side loses 5 % of the cube of its share of the range; small ones nothing."""
    setup = declared(rate_hz=48_000.0, band_hz=(10.0, 10_000.0), orders=(1, 3))
    bench = synthetic(setup=setup, third_order=-0.05, noise_uv=0.2)
    amplitude, _, _ = _measured(bench)
    lost = [
        1 - np.ptp(uv - 0.05 * uv**3 / setup.device.range_uv**2) / np.ptp(uv)
        for _, _, uv in fidelity.library_uv(setup)
    ]
    assert amplitude == pytest.approx(100 * max(lost), rel=0.05)


def test_potentials_have_the_phases_and_sizes_that_are_said(declared: Any) -> None:
    """Three to six phases, 0.05 to 10 mV peak to peak, a negative main peak, no area."""
    setup = declared()
    found = fidelity.library_uv(setup)
    assert [round(amplitude_uv) for amplitude_uv, _, _ in found[::3]] == [
        50, 150, 500, 1500, 5000, 10_000
    ]
    for amplitude_uv, _, uv in found:
        assert np.ptp(uv) == pytest.approx(amplitude_uv)
        assert uv[np.argmax(np.abs(uv))] < 0
        assert abs(uv.sum()) < 1e-3 * np.abs(uv).sum()
        loud = np.sign(uv[np.abs(uv) > 0.02 * np.ptp(uv)])
        assert 3 <= np.count_nonzero(np.diff(loud)) + 1 <= 6


def test_a_small_range_makes_the_largest_smaller(declared: Any) -> None:
    """No peak is over 80 % of the declared range."""
    setup = declared(range_uv=2_500.0)
    assert max(np.max(np.abs(uv)) for _, _, uv in fidelity.library_uv(setup)) <= 2_000.001


@pytest.mark.slow
def test_errors_are_as_large_as_they_say(synthetic: Any, declared: Any) -> None:
    """Of 20 devices without fault the worst amplitude is off by its stated uncertainty."""
    setup, off = declared(**SMALL), []
    for seed in range(20):
        bench = synthetic(setup=setup, seed=seed, noise_uv=1.0)
        (reading,) = fidelity.fidelity_amplitude(Measuring(bench))
        off.append(reading.value / reading.standard)
    assert 0.7 < np.sqrt(np.mean(np.square(off))) < 1.4
