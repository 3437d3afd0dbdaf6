"""A station as the bench of an amplifier's tests: over real wires, on one open rig."""

from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest

from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.station import Station, open_station
from emgsim.errors import SafetyError, UsageError
from emgsim.in_process import InProcess
from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.stimulus import Stimulus, laid_out, sine
from emgsim.running.declaring import setup_of
from emgsim.running.wired import WiredBench

SEED = 3
PLAYED_S = 0.2
CODE_UV = 10_000 / 2**23


@pytest.fixture(scope="module")
def rig() -> Rig:
    """Load the shipped rig for the tests of an amplifier."""
    return load_rig("virtual-metrology")


@pytest.fixture(scope="module")
def station(rig: Rig) -> Iterator[Station]:
    """Open it once for all."""
    with open_station(rig, SEED) as opened:
        yield opened


@pytest.fixture(scope="module")
def bench(station: Station) -> WiredBench:
    """Give the station as a bench."""
    setup = setup_of(station.rig, station.source_caps, date(2026, 11, 23))
    return WiredBench(station, setup, station.into)


def tone(bench: WiredBench, state: str, peak_uv: float) -> Stimulus:
    """Return a short sine behind a marker, where the device hears one."""
    setup = bench.setup
    uv = sine(setup.play_rate_hz, 1000.0, peak_uv, PLAYED_S)
    return laid_out(
        f"{state} {peak_uv:g}", state, setup.play_rate_hz, [("tone", uv, {})],
        corner_hz=setup.device.band_hz[1], has_marker=not setup.states[state].is_common,
    )


@pytest.fixture(scope="module")
def first(bench: WiredBench) -> Acquired:
    """Play the first stimulus after the rig was opened."""
    return bench.play(tone(bench, "direct", 4000.0))


def cut(acquired: Acquired) -> np.ndarray:
    """Return the samples from the first point played to the last."""
    assert acquired.stimulus is not None
    begin = round(-acquired.begins_s * acquired.rate_hz)
    return acquired.uv[begin : begin + round(acquired.stimulus.duration_s * acquired.rate_hz)]


def test_the_wires_and_the_plant_in_process_give_the_same_codes(
    bench: WiredBench, rig: Rig, first: Acquired
):
    """To the last bit of every channel: two programs that share no code of the way."""
    assert rig.virtual is not None
    assert first.stimulus is not None
    in_process = InProcess(bench.setup, rig.virtual, SEED, rig.faults.signal)
    wired, plain = cut(first), cut(in_process.play(first.stimulus))
    np.testing.assert_array_equal(wired, plain)
    assert np.abs(wired).max() > 3900


def test_what_is_heard_is_what_was_played(first: Acquired):
    """Found by its marker, on every channel, to the device's own gain."""
    assert first.stimulus is not None
    _, uv = first.within(first.stimulus.segments[0])
    np.testing.assert_allclose(np.sqrt(2 * np.mean(uv**2, axis=0)), 4000.0, rtol=0.03)


def test_a_second_playback_needs_no_new_station(bench: WiredBench, first: Acquired):
    """Its output is off in between, and the fixture is changed."""
    assert bench.stimulus_errors_pct.keys() == {"direct 4000"}
    again = bench.play(tone(bench, "through", 4000.0))
    assert np.abs(cut(again)).max() > 3900
    assert not bench.station.source.is_on


def test_the_oscilloscope_sees_what_was_asked_of_the_source(bench: WiredBench, first: Acquired):
    """Within half a per cent, with a marker and without one."""
    bench.play(tone(bench, "node_drive", 1e5))
    seen = bench.stimulus_errors_pct
    assert {"direct 4000", "node_drive 100000"} <= {*seen}
    assert all(abs(pct) < 0.5 for pct in seen.values())


def test_a_source_that_gives_something_else_is_noticed(rig: Rig):
    """A tenth too much of it is told as that."""
    loud = load_rig("virtual-metrology", overrides=["virtual.source.gain=1.1"])
    with open_station(loud, SEED) as station:
        setup = setup_of(loud, station.source_caps, date(2026, 11, 23))
        bench = WiredBench(station, setup, station.into)
        bench.play(tone(bench, "direct", 2000.0))
    assert bench.stimulus_errors_pct["direct 2000"] == pytest.approx(10.0, abs=0.5)


def test_more_than_a_state_allows_is_refused(bench: WiredBench):
    """Nothing of it reaches the generator's output."""
    largest_uv = bench.setup.states["direct"].largest_uv
    with pytest.raises(SafetyError, match="limit"):
        bench.play(tone(bench, "direct", 1.2 * largest_uv))
    assert not bench.station.source.is_on


def test_the_largest_level_of_every_state_is_allowed(bench: WiredBench):
    """What the setup says may be played can be loaded."""
    for name, state in bench.setup.states.items():
        if not state.is_silent:
            bench.station.into(name)
            bench._load(tone(bench, name, state.largest_uv))


def test_nothing_is_played_where_nothing_is_heard(bench: WiredBench):
    """Such a state is listened to."""
    with pytest.raises(UsageError, match="'shorted'"):
        bench.play(tone(bench, "shorted", 100.0))


def test_listening_takes_what_the_device_sends_by_itself(bench: WiredBench):
    """With shorted inputs: its noise, as long as asked for."""
    heard = bench.listen("shorted", 0.5)
    assert heard.uv.shape == (24_000, 4)
    assert np.isnan(heard.begins_s)
    assert 0.3 < heard.uv.std() < 1.0


def test_a_change_is_recorded_while_it_happens(bench: WiredBench):
    """From shorted inputs to a megohm in one lead: more noise from then on, about when told."""
    heard = bench.change(("shorted", "shorted_1m"), 0.5)
    (changed_s,) = heard.changed_s
    assert changed_s == pytest.approx(0.5)
    rms_uv = [part.std() for part in np.split(heard.uv[:, 0], [24_000])]
    assert rms_uv[1] > 5 * rms_uv[0]
    assert bench.station.fixture.name == "shorted_1m"
