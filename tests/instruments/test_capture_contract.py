"""What every capture does: the same tests on each oscilloscope's twin, or by option on hardware.

``pytest tests/instruments/test_capture_contract.py --capture-address TCPIP::scope::INSTR
--capture-driver siglent.sds`` runs it on a real oscilloscope; what needs a signal and a trigger is
then skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from emgsim.bench.rig import load_rig
from emgsim.bench.served import ServedRig
from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import Capture, ChannelSetup, Source, SourceSettings
from emgsim.instruments.drivers import load

RIGS = {
    "keysight": ("virtual",),
    "siglent of 12 bits": ("virtual-siglent-scope",),
    "siglent of 8 bits": ("virtual-siglent-scope", "virtual.scope.adc_bits=8"),
}
PLAYED = SourceSettings(rate_hz=20e3, vpp_open_v=2.0)
FREQUENCY_HZ = 50.0
SECONDS = 0.3
WANTED_HZ = 20e3
LOADED = 10_010 / 10_060  # of the open voltage, at the divider


@dataclass(frozen=True)
class Bench:
    """An opened oscilloscope, and a generator on its first channel, if there is one."""

    capture: Capture
    maybe_source: Source | None

    @property
    def source(self) -> Source:
        """The generator; without one the test is skipped."""
        if self.maybe_source is None:
            pytest.skip("needs a generator on channel 1 and EXT TRIG")
        return self.maybe_source

    def play(self, amplitude_v: float = 1.0) -> None:
        """Play a sine once, with a trigger; the capture must have been armed."""
        times_s = np.arange(round(1.5 * SECONDS * PLAYED.rate_hz)) / PLAYED.rate_hz
        settings = replace(PLAYED, vpp_open_v=2 * amplitude_v)
        volts = amplitude_v * np.sin(2 * np.pi * FREQUENCY_HZ * times_s)
        self.source.upload("sine", volts, settings)
        self.source.configure(settings)
        self.source.arm()
        self.source.trigger()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on the twins, or on the hardware that an option names."""
    is_real = bool(metafunc.config.getoption("--capture-address"))
    metafunc.parametrize("addresses", ["hardware"] if is_real else list(RIGS), indirect=True,
                         scope="module")  # fmt: skip


@pytest.fixture(scope="module")
def addresses(request: pytest.FixtureRequest) -> Iterator[dict[str, tuple[str, str]]]:
    """Serve a rig, or take the address of hardware: (driver, address) by role."""
    if request.param == "hardware":
        option = request.config.getoption
        yield {"capture": (option("--capture-driver"), option("--capture-address"))}
        return
    name, *overrides = RIGS[request.param]
    rig = load_rig(name, overrides=overrides)
    with ServedRig(rig, seed=1) as served:
        yield {
            "source": (rig.source.driver, served.addresses["source"]),
            "capture": (rig.capture.driver, served.addresses["capture"]),
        }


@pytest.fixture
def bench(addresses: dict[str, tuple[str, str]]) -> Iterator[Bench]:
    """Open the instruments as the bench does: who is it, then a reset."""
    driver, address = addresses["capture"]
    with load("capture", driver).open(address, timeout_s=5.0) as capture:
        capture.reset()
        if "source" not in addresses:
            yield Bench(capture, None)
            return
        driver, address = addresses["source"]
        with load("source", driver).open(address, timeout_s=5.0) as source:
            source.reset()
            yield Bench(capture, source)


class TestCapture:
    """Everything that the bench takes for granted of an oscilloscope."""

    def test_it_says_who_it_is(self, bench: Bench) -> None:
        """Four fields, and capabilities that fit the model."""
        identity = bench.capture.identify()
        assert all((identity.maker, identity.model, identity.serial, identity.firmware))
        caps = bench.capture.caps
        assert caps.channels in (2, 4)
        assert 8 <= caps.code_bits <= 16
        assert caps.max_range_v > 1
        assert caps.max_duration_s > 60

    @pytest.mark.parametrize("range_v", [0.0123, 0.9, 3.1])
    def test_what_was_read_back_is_never_less_than_asked(
        self, bench: Bench, range_v: float
    ) -> None:
        """Range, window and rate; only the channels that were asked for."""
        settings = bench.capture.configure({2: ChannelSetup(range_v)}, SECONDS, WANTED_HZ)
        assert list(settings.channels) == [2]
        assert range_v * 0.99 <= settings.channels[2].range_v <= 2.6 * range_v
        assert settings.n_points / settings.rate_hz >= 0.999 * SECONDS
        assert settings.rate_hz >= WANTED_HZ

    def test_an_offset_is_the_volts_at_the_centre(self, bench: Bench) -> None:
        """It comes back with its sign, within a hundredth of the range."""
        settings = bench.capture.configure({1: ChannelSetup(4.0, 0.5)}, SECONDS, WANTED_HZ)
        assert settings.channels[1].offset_v == pytest.approx(0.5, abs=0.05)

    @pytest.mark.parametrize("offset_v", [0.0, 0.4])
    def test_a_record_has_all_its_points_and_the_volts_of_the_signal(
        self, bench: Bench, offset_v: float
    ) -> None:
        """Amplitude within 1 %, phase within a sample or two, and no mean, whatever the offset."""
        assert bench.source
        setup = {1: ChannelSetup(4.0, offset_v), 2: ChannelSetup(2.0)}
        settings = bench.capture.configure(setup, SECONDS, WANTED_HZ)
        bench.capture.arm()
        bench.play()
        bench.capture.wait(10.0)
        volts = bench.capture.read(1)
        assert volts.shape == (settings.n_points,)
        assert bench.capture.read(2).shape == (settings.n_points,)
        times_s = bench.capture.start_s + np.arange(volts.size) / settings.rate_hz
        inside = (times_s >= 0.1) & (times_s < 0.1 + 8 / FREQUENCY_HZ)
        angle = 2 * np.pi * FREQUENCY_HZ * times_s[inside]
        basis = np.column_stack([np.sin(angle), np.cos(angle), np.ones(angle.size)])
        (sine, cosine, mean), *_ = np.linalg.lstsq(basis, volts[inside], rcond=None)
        assert np.hypot(sine, cosine) == pytest.approx(LOADED, rel=0.01)
        assert mean == pytest.approx(0, abs=0.01)
        late_s = -np.arctan2(cosine, sine) / (2 * np.pi * FREQUENCY_HZ)
        assert abs(late_s) < 3 / WANTED_HZ

    def test_a_second_record_needs_no_second_setting(self, bench: Bench) -> None:
        """Armed again it takes the next trigger, and the noise is another one."""
        assert bench.source
        bench.capture.configure({1: ChannelSetup(4.0)}, SECONDS, WANTED_HZ)
        records = []
        for _ in range(2):
            bench.capture.arm()
            bench.play()
            bench.capture.wait(10.0)
            records.append(bench.capture.read(1))
        assert records[0].shape == records[1].shape
        assert not np.array_equal(*records)

    def test_a_trigger_that_does_not_come_is_told(self, bench: Bench) -> None:
        """The message names the cable; afterwards it can be armed again."""
        bench.capture.configure({1: ChannelSetup(4.0)}, 0.1, WANTED_HZ)
        bench.capture.arm()
        longer_s = 0.1  # a window may be longer than asked, and is waited for
        with pytest.raises(InstrumentError, match="it still waits for a trigger") as caught:
            bench.capture.wait(longer_s)
        assert "EXT TRIG" in caught.value.todo
        assert caught.value.exit_code == 4
        bench.capture.configure({1: ChannelSetup(4.0)}, 0.1, WANTED_HZ)
        bench.capture.arm()

    def test_a_clipped_record_is_told(self, bench: Bench) -> None:
        """A signal of twice the range is no record."""
        assert bench.source
        bench.capture.configure({1: ChannelSetup(0.4)}, SECONDS, WANTED_HZ)
        bench.capture.arm()
        bench.play()
        bench.capture.wait(10.0)
        with pytest.raises(InstrumentError, match=r"channel 1 has \d+ of \d+ samples clipped") as e:
            bench.capture.read(1)
        assert "raise the range" in e.value.todo

    def test_a_signal_that_fills_the_range_is_not_clipped(self, bench: Bench) -> None:
        """The whole range that was read back can be used."""
        assert bench.source
        settings = bench.capture.configure({1: ChannelSetup(2.0)}, SECONDS, WANTED_HZ)
        bench.capture.arm()
        bench.play(0.495 * settings.channels[1].range_v / LOADED)
        bench.capture.wait(10.0)
        assert np.ptp(bench.capture.read(1)) == pytest.approx(
            0.99 * settings.channels[1].range_v, rel=0.02)

    def test_too_long_a_record_is_refused_with_the_longest(self, bench: Bench) -> None:
        """Before anything is set."""
        longest_s = bench.capture.caps.max_duration_s
        with pytest.raises(UsageError, match=rf"duration_s must be in 0\.\.{longest_s:g} s"):
            bench.capture.configure({1: ChannelSetup(1.0)}, 1.01 * longest_s)

    @pytest.mark.parametrize(("channels", "told"), [
        ({}, "channels"), ({9: ChannelSetup(1.0)}, "channels"),
        ({1: ChannelSetup(1e4)}, "range_v"), ({1: ChannelSetup(0.0)}, "range_v"),
    ])  # fmt: skip
    def test_a_wrong_request_is_refused_by_its_rule(
        self, bench: Bench, channels: dict[int, ChannelSetup], told: str
    ) -> None:
        """A channel that is not there, a range that no oscilloscope has."""
        with pytest.raises(UsageError, match=f"^{told}"):
            bench.capture.configure(channels, SECONDS)

    def test_calls_in_the_wrong_order_are_refused(self, bench: Bench) -> None:
        """Arming and reading need settings."""
        with pytest.raises(UsageError, match=r"arm\(\) needs configure\(\)"):
            bench.capture.arm()
        with pytest.raises(UsageError, match="channel 1 was not configured"):
            bench.capture.read(1)

    def test_closing_twice_is_allowed(self, bench: Bench) -> None:
        """And leaving the context after that."""
        bench.capture.close()
        bench.capture.close()
