"""Gain at mid-band: size, sign, and whether it stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emgsim.metrology import gain
from emgsim.metrology.procedure import Measuring


def _true_percent(bench: Any) -> float:
    return float(100 * (abs(bench.response(np.array([bench.setup.mid_hz]))[0]) - 1))


def test_the_gain_of_every_channel_is_found(synthetic: Any, declared: Any) -> None:
    """A device 3 % too high, its second channel another 1 %, is so to within the uncertainty."""
    bench = synthetic(setup=declared(channels=2), gain=1.03, channel_gains=(1.0, 1.01))
    first, second = gain.accuracy(Measuring(bench))
    assert [first.id, second.id] == ["gain.accuracy", "gain.accuracy.ch2"]
    assert first.value == pytest.approx(_true_percent(bench), abs=0.005)
    assert second.value == pytest.approx(1.01 * (100 + _true_percent(bench)) - 100, abs=0.005)


def test_the_certificates_are_what_is_uncertain_in_a_gain(synthetic: Any, declared: Any) -> None:
    """Source 0.1 % and divider 0.05 % expanded make 0.112 % of the gain, and are named."""
    (reading,) = gain.accuracy(Measuring(synthetic(setup=declared())))
    assert reading.expanded == pytest.approx(np.hypot(0.1, 0.05), rel=0.02)
    assert reading.rests_on == ("source-1", "divider-1")


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_polarity_is_told(synthetic: Any, declared: Any, sign: float) -> None:
    """An inverted device is inverted, though its gain is as large."""
    measuring = Measuring(synthetic(setup=declared(band_hz=(30.0, 2000.0)), gain=sign))
    (reading,) = gain.polarity(measuring)
    assert reading.value == sign
    assert abs(gain.accuracy(measuring)[0].value) < 0.2


def test_a_gain_that_falls_during_the_suite_is_unstable(synthetic: Any, declared: Any) -> None:
    """What has changed from the first look to the last is told to 0.01 %."""
    bench = synthetic(setup=declared(), noise_uv=0.3)
    measuring = Measuring(bench)
    gain.accuracy(measuring)
    bench.gain = 0.99
    (reading,) = gain.stability(measuring)
    assert reading.value == pytest.approx(-1.0, abs=0.01)
    assert reading.expanded < 0.01


def test_the_uncertainty_of_a_gain_is_that_of_its_noise(synthetic: Any, declared: Any) -> None:
    """Of a device that does not change, the change scatters as it says."""
    setup, off = declared(bits=16, rate_hz=8_000.0, band_hz=(20.0, 2_000.0)), []
    for seed in range(30):
        (reading,) = gain.stability(Measuring(synthetic(setup=setup, seed=seed)))
        off.append(reading.value / reading.standard)
    assert 0.75 < np.sqrt(np.mean(np.square(off))) < 1.3
