"""What the oscilloscope's record of silence holds, and what the budget says it should."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from emgsim.bench.budget import loopback_budget, total_uv
from emgsim.bench.levels import LevelPlan
from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.served import ServedRig
from emgsim.instruments.base import Capture, ChannelSetup, Source, SourceSettings
from emgsim.instruments.drivers import load

RATE_HZ = 40e3
SECONDS = 0.4
SETTINGS = SourceSettings(rate_hz=20e3, vpp_open_v=0.02)
RIGS = {
    "averaging, 8 bits into 12": ("virtual",),
    "single conversions of 12 bits": ("virtual-siglent-scope",),
    "single conversions of 8 bits": (
        "virtual-siglent-scope", "virtual.scope.adc_bits=8", "capture.bits=8",
        "virtual.scope.conversion_noise_of_range=2e-3", "capture.noise_of_range=2e-3"),
}  # fmt: skip
Bench = tuple[Rig, Source, Capture]


@pytest.fixture(scope="module", params=RIGS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Serve a rig, and let its generator play nothing with its output on."""
    name, *overrides = RIGS[request.param]
    rig = load_rig(name, overrides=overrides)
    with (
        ServedRig(rig, seed=5) as served,
        load("source", rig.source.driver).open(served.addresses["source"]) as source,
        load("capture", rig.capture.driver).open(served.addresses["capture"]) as capture,
    ):
        source.reset()
        capture.reset()
        source.upload("silence", np.zeros(round(2 * SECONDS * SETTINGS.rate_hz)), SETTINGS)
        source.configure(SETTINGS)
        yield rig, source, capture


@pytest.mark.parametrize("range_v", [0.04, 0.4, 4.0])
def test_the_budget_is_what_a_record_of_silence_shows(bench: Bench, range_v: float) -> None:
    """Within 10 %, from a range in which the generator is louder to one in which the scope is."""
    rig, source, capture = bench
    settings = capture.configure({1: ChannelSetup(range_v)}, SECONDS, RATE_HZ)
    capture.arm()
    source.arm()
    source.trigger()
    capture.wait(10.0)
    volts = capture.read(1)[: round(SECONDS * settings.rate_hz)]
    source.off()
    rows = loopback_budget(
        _plan(rig), rig, rate_hz=settings.rate_hz, range_v=settings.channels[1].range_v
    )
    expected_v = 1e-6 * total_uv(rows) / rig.fixture.ratio
    assert volts.std() == pytest.approx(expected_v, rel=0.10)


def _plan(rig: Rig) -> LevelPlan:
    """Return the plan of the silence."""
    lsb_v = SETTINGS.vpp_open_v / 65_535
    return LevelPlan(
        source_rate_hz=SETTINGS.rate_hz, n_points=1000, vpp_open_v=SETTINGS.vpp_open_v,
        peak_at_device_uv=0.0, lsb_at_device_uv=1e6 * lsb_v * rig.device_volts_per_open_volt,
        duration_s=SECONDS, ratio=rig.fixture.ratio, load_factor=rig.load_factor,
    )  # fmt: skip
