"""A recording played on the rig with the other oscilloscope: both scopes see the same."""

from __future__ import annotations

import numpy as np
import pytest

from emgsim.bench.playing import Catch, load_program, play
from emgsim.bench.program import program_for
from emgsim.bench.rig import load_rig
from emgsim.bench.station import open_station
from emgsim.recording import Channel, Recording

RATE_HZ = 48_000.0


def played(rig_name: str) -> tuple[Catch, float]:
    """Play half a second of a needle on a rig, and return what was caught and its length."""
    samples_uv = np.random.default_rng(1).normal(0, 20, (round(0.5 * RATE_HZ), 1))
    samples_uv[1000:1040] += 900 * np.sin(np.arange(40) / 5)[:, None]
    recording = Recording(samples_uv=samples_uv, rate_hz=RATE_HZ, channels=(Channel(name="n"),))
    catch, program = Catch(), program_for(recording)
    with open_station(load_rig(rig_name), seed=1) as station:
        plan, _ = load_program(station, program)
        play(station, program, plan, catch)
    return catch, plan.duration_s


@pytest.mark.slow
def test_both_oscilloscopes_record_the_same_playback() -> None:
    """The Siglent's longer window shows the same volts at the same times."""
    (keysight, seconds), (siglent, _) = (
        played(name) for name in ("virtual", "virtual-siglent-scope")
    )
    one, other = keysight.scope_record(), siglent.scope_record()
    rates_hz = one.settings.rate_hz, other.settings.rate_hz
    assert rates_hz == (100e3, 100e3)
    assert other.source_v.size / 100e3 >= seconds
    times_s = np.arange(one.source_v.size) / 100e3
    for mine, theirs in ((one.source_v, other.source_v), (one.monitor_v, other.monitor_v)):
        again = theirs[: mine.size]
        inside = times_s < seconds
        assert np.corrcoef(mine[inside], again[inside])[0, 1] > 0.99
        assert again[inside].std() == pytest.approx(mine[inside].std(), rel=0.02)
