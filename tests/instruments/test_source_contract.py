"""What every generator does: the same tests on each one's twin, or by option on hardware.

``pytest tests/instruments/test_source_contract.py --source-address TCPIP::generator::INSTR
--source-driver siglent.sdg`` runs it on a real generator, with nothing connected to its output; it
is driven to 2 V. What needs to know what came out is then skipped.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from emgsim.errors import InstrumentError, UsageError
from emgsim.instruments.base import Filter, Source, SourceSettings
from emgsim.instruments.drivers import load
from emgsim.instruments.transport import VisaLink
from emgsim.plant.faults import Faults
from emgsim.plant.physics import RigPhysics
from emgsim.plant.world import World
from emgsim.virtual.firmware import Firmware
from emgsim.virtual.twins import SOURCES
from emgsim.virtual.wires import SERVERS, Wire


@dataclass(frozen=True)
class Dialect:
    """How the tests say behind a driver's back what it does not say itself."""

    filter: Filter
    low_load: str
    output: str
    wire: Wire
    model: str


DIALECTS = {
    "keysight.33500": Dialect("NORM", ":OUTP1:LOAD 50", ":OUTP1 ON", "hislip", "33522B"),
    "siglent.sdg": Dialect("OFF", "C1:OUTP LOAD,50", "C1:OUTP ON", "vxi11", "SDG2042X"),
    "tektronix.afg": Dialect("OFF", ":OUTP1:IMP 50", ":OUTP1 ON", "vxi11", "AFG31052"),
    "rigol.dg": Dialect("OFF", ":OUTP1:LOAD 50", ":OUTP1 ON", "socket", "DG812"),
}
SETTINGS = SourceSettings(rate_hz=20e3, vpp_open_v=2.0, offset_open_v=0.1)
VOLTS = 0.99 * np.sin(np.linspace(0, 20, 400))


@dataclass
class Served:
    """A generator's twin on its wire, in a thread of its own; on hardware there is no world."""

    driver: str
    address: str
    world: World | None
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def dialect(self) -> Dialect:
        """What is said behind the driver's back."""
        return DIALECTS[self.driver]

    @property
    def settings(self) -> SourceSettings:
        """Settings that this generator can have."""
        return replace(SETTINGS, filter=self.dialect.filter)

    def open(self) -> Any:
        """Open the driver."""
        return load("source", self.driver).open(self.address, timeout_s=5.0)

    def say(self, message: str) -> None:
        """Say something on a connection of its own, as a second client does."""
        with VisaLink(self.address, timeout_s=5.0) as link:
            link.tell(message)
            link.ask("*OPC?")

    def look(self, see: Callable[[World], Any]) -> Any:
        """Look at the plant between two messages."""
        if self.world is None or self.loop is None:
            pytest.skip("hardware does not tell what came out")
        world = self.world

        async def now() -> Any:
            return see(world)

        return asyncio.run_coroutine_threadsafe(now(), self.loop).result(10)

    def is_on(self) -> bool:
        """Tell whether the output is on."""
        return bool(self.look(lambda world: world.generator.settings.output_on))


@contextmanager
def serving(driver: str, wire: Wire | None = None, **faults: Any) -> Iterator[Served]:
    """Serve a twin on a wire, by default one that its instrument has."""
    world = World(RigPhysics(), seed=1)
    firmware = Firmware(SOURCES[driver](world, Faults(**faults)))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = SERVERS[wire or DIALECTS[driver].wire](firmware)

    def now(step: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(step, loop).result(10)

    try:
        yield Served(driver, now(server.start()), world, loop)
    finally:
        now(server.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on the twins, or on the hardware that an option names."""
    if "served" in metafunc.fixturenames:
        is_real = bool(metafunc.config.getoption("--source-address"))
        names = ["hardware"] if is_real else list(DIALECTS)
        metafunc.parametrize("served", names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Serve a twin, or take the address of hardware."""
    if request.param == "hardware":
        option = request.config.getoption
        yield Served(option("--source-driver"), option("--source-address"), None)
        return
    with serving(request.param) as found:
        yield found


@pytest.fixture
def source(served: Served) -> Iterator[Source]:
    """Open the generator as the bench does: who is it, then a reset."""
    with served.open() as source:
        source.reset()
        yield source


class TestSource:
    """Everything that the bench takes for granted of a generator."""

    def test_it_says_who_it_is(self, source: Source) -> None:
        """Four fields, and capabilities that fit the model."""
        identity = source.identify()
        assert all((identity.maker, identity.model, identity.serial, identity.firmware))
        caps = source.caps
        assert caps.code_bits in (14, 16)
        assert caps.min_points <= 8
        assert caps.max_points >= 16_384
        assert caps.max_rate_hz >= 1e6
        assert (caps.max_vpp_open_v, caps.output_ohm) == (20.0, 50.0)
        assert caps.channels in (1, 2)

    def test_an_unknown_model_is_refused_before_anything_is_set(self, served: Served) -> None:
        """A driver at another maker's instrument says only ``*IDN?``."""
        if served.world is None:
            pytest.skip("needs a twin of another maker")
        other = next(name for name in DIALECTS if name != served.driver)
        served.say(served.dialect.output)
        with pytest.raises(InstrumentError, match=f"got .*{served.dialect.model}") as caught:
            load("source", other).open(served.address, timeout_s=5.0)
        assert caught.value.where == served.address
        assert served.is_on()

    @pytest.mark.parametrize("order", ["configure first", "upload first"])
    def test_settings_come_back_as_read(self, source: Source, served: Served, order: str) -> None:
        """All of them within the instrument's rounding, and the load is high impedance."""
        if order == "upload first":
            source.upload("emg", VOLTS, served.settings)
        actual = source.configure(served.settings)
        assert actual.rate_hz == pytest.approx(20e3, rel=1e-4)
        assert actual.vpp_open_v == pytest.approx(2.0, abs=1e-3)
        assert actual.offset_open_v == pytest.approx(0.1, abs=1e-3)
        assert (actual.cycles, actual.load_ohm) == (1, math.inf)
        assert actual.filter == served.dialect.filter
        assert source.errors() == ()

    def test_a_finite_load_is_told_in_open_volts(self, source: Source, served: Served) -> None:
        """The instrument shows half of it; the driver tells what an open output has."""
        source.upload("emg", VOLTS, served.settings)
        actual = source.configure(replace(served.settings, load_ohm=50.0))
        assert actual.load_ohm == 50
        assert actual.vpp_open_v == pytest.approx(2.0, abs=2e-3)
        source.arm()
        volts = served.look(lambda world: world.generator.settings.vpp_open_v)
        assert volts == pytest.approx(2.0, abs=2e-3)

    def test_the_load_trap_is_seen_before_the_output_is_on(
        self, source: Source, served: Served
    ) -> None:
        """Somebody sets 50 ohm in between: ``arm`` refuses, and nothing is switched on."""
        source.configure(served.settings)
        source.upload("emg", VOLTS, served.settings)
        served.say(served.dialect.low_load)
        with pytest.raises(InstrumentError, match="reads back"):
            source.arm()
        assert not served.is_on()

    @pytest.mark.parametrize("word", get_args(Filter))
    def test_a_filter_is_set_or_refused(self, source: Source, served: Served, word: Filter) -> None:
        """What an instrument has not is not silently another one."""
        settings = replace(served.settings, filter=word)
        if served.driver == "keysight.33500" or word == "OFF":
            assert source.configure(settings).filter == word
            return
        with pytest.raises(UsageError, match=r"filter of a .* must be OFF") as caught:
            source.configure(settings)
        assert 'source.filter = "OFF"' in caught.value.todo

    def test_what_comes_out_is_the_waveform_within_half_a_code(
        self, source: Source, served: Served
    ) -> None:
        """The plant's volts against those that were asked, and the reported quantisation."""
        receipt = source.upload("emg", VOLTS, served.settings)
        source.configure(served.settings)
        source.arm()
        got = served.look(lambda world: (world.generator.codes, world.generator.settings))
        codes, settings = got
        assert codes.size == VOLTS.size
        volts = codes / 32767 * settings.vpp_open_v / 2
        lsb_v = 2.0 / 2**source.caps.code_bits
        # half a code, and half one of the 16 bits in which the plant counts
        assert np.abs(volts - VOLTS).max() <= 0.5 * lsb_v + 0.5 * 2.0 / 65_534 + 1e-6
        assert receipt.quantisation_rms_v == pytest.approx(lsb_v / math.sqrt(12), rel=0.1)
        assert (settings.offset_open_v, settings.cycles) == (pytest.approx(0.1, abs=1e-3), 1)
        assert settings.rate_hz == pytest.approx(20e3, rel=1e-4)

    def test_the_digest_is_that_of_the_codes(self, source: Source, served: Served) -> None:
        """It is the same for the same waveform, another one for another, and of two bytes each."""
        receipts = [
            source.upload("emg", volts, served.settings) for volts in (VOLTS, VOLTS, -VOLTS)
        ]
        assert receipts[0].sha256 == receipts[1].sha256 != receipts[2].sha256
        assert len(receipts[0].sha256) == len(hashlib.sha256().hexdigest())
        assert {(r.n_points, r.n_bytes, r.n_clipped) for r in receipts} == {(400, 800, 0)}

    @pytest.mark.parametrize(
        ("volts", "told"),
        [
            (np.full(40, 1.01), r"clipped: its peak is 1.01 V, the limit vpp/2 is 1 V"),
            (np.full(40, np.nan), "finite"),
            (np.zeros(1), "points, got"),
            (np.zeros((40, 1)), "points, got"),
        ],
    )
    def test_a_waveform_that_cannot_be_played_is_refused(
        self, source: Source, served: Served, volts: Any, told: str
    ) -> None:
        """Nothing of it is sent."""
        with pytest.raises(UsageError, match=told):
            source.upload("emg", volts, served.settings)

    def test_too_long_a_waveform_is_told_the_longest_possible(
        self, source: Source, served: Served
    ) -> None:
        """In points and in seconds at the rate."""
        n_points = source.caps.max_points
        longest_s = n_points / 20e3
        with pytest.raises(UsageError, match=rf"\.\.{n_points},\)") as caught:
            source.upload("emg", np.zeros(n_points + 1), served.settings)
        assert f"at most {longest_s:.6g} s at 20000 Hz" in caught.value.todo

    @pytest.mark.parametrize("name", ["", "1emg", "emg 1", "e" * 13, "emg;OUTP1 ON", "emg,LENGTH"])
    def test_a_name_cannot_carry_a_command(self, source: Source, served: Served, name: str) -> None:
        """Whether the instrument keeps names or not."""
        with pytest.raises(UsageError, match="name"):
            source.upload(name, VOLTS, served.settings)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"rate_hz": 1e10}, "^rate_hz"),
            ({"vpp_open_v": 21.0}, "^vpp_open_v"),
            ({"vpp_open_v": 20.0}, r"^vpp_open_v/2 \+ \|offset_open_v\|"),
            ({"cycles": 0}, "^cycles"),
            ({"load_ohm": 0.0}, "^load_ohm"),
        ],
    )
    def test_settings_beyond_the_instrument_are_refused_by_their_rule(
        self, source: Source, served: Served, change: Any, told: str
    ) -> None:
        """Before anything is set."""
        with pytest.raises(UsageError, match=told):
            source.configure(replace(served.settings, **change))

    def test_an_amplitude_that_the_instrument_clips_is_an_error(
        self, source: Source, served: Served
    ) -> None:
        """A tenth of a millivolt is less than any of them can."""
        with pytest.raises(InstrumentError, match=r"reads back|clipped"):
            source.configure(replace(served.settings, vpp_open_v=1e-4, offset_open_v=0.0))

    def test_arming_needs_settings_and_a_waveform(self, source: Source, served: Served) -> None:
        """The message says which call is missing."""
        with pytest.raises(UsageError, match=r"needs configure\(\)"):
            source.arm()
        source.configure(served.settings)
        with pytest.raises(UsageError, match=r"needs upload\(\)"):
            source.arm()

    @pytest.mark.parametrize("cycles", [1, 3])
    def test_a_trigger_plays_the_waveform_so_many_times(
        self, source: Source, served: Served, cycles: int
    ) -> None:
        """Armed it waits; triggered it plays; off it is silent."""
        settings = replace(served.settings, cycles=cycles)
        source.upload("emg", VOLTS, settings)
        source.configure(settings)
        source.arm()
        assert served.is_on()
        before = served.look(lambda world: world.generator.n_triggers)
        assert not served.look(lambda world: world.generator.is_waiting)
        source.trigger()
        assert served.look(lambda world: world.generator.n_triggers) == before + 1
        assert served.look(lambda world: world.generator.settings.cycles) == cycles
        source.off()
        assert not served.is_on()
        assert source.errors() == ()

    def test_configuring_and_uploading_switch_the_output_off(
        self, source: Source, served: Served
    ) -> None:
        """Nothing is changed under way."""
        source.upload("emg", VOLTS, served.settings)
        source.configure(served.settings)
        source.arm()
        source.configure(served.settings)
        assert not served.is_on()
        source.arm()
        source.upload("emg", VOLTS, served.settings)
        assert not served.is_on()

    def test_off_twice_is_off(self, source: Source, served: Served) -> None:
        """The second time changes nothing."""
        source.off()
        source.off()
        assert not served.is_on()

    def test_leaving_switches_off_also_after_an_error(self, served: Served) -> None:
        """The error is the caller's own."""

        def play() -> None:
            with served.open() as source:
                source.reset()
                source.upload("emg", VOLTS, served.settings)
                source.configure(served.settings)
                source.arm()
                assert served.is_on()
                raise RuntimeError("the caller's own")

        with pytest.raises(RuntimeError, match="own"):
            play()
        assert not served.is_on()

    def test_the_guards_messages_switch_off(self, source: Source, served: Served) -> None:
        """A process that knows only these strings gets the answer that it waits for."""
        source.upload("emg", VOLTS, served.settings)
        source.configure(served.settings)
        source.arm()
        with VisaLink(served.address, timeout_s=5.0) as link:
            for message in source.off_messages:
                link.tell(message)
            query, answer = source.off_query
            assert link.ask(query) == answer
        assert not served.is_on()

    def test_closing_twice_is_allowed(self, served: Served) -> None:
        """And a closed one says so."""
        source = served.open()
        source.close()
        source.close()
        with pytest.raises(InstrumentError, match="closed"):
            source.identify()


@pytest.mark.parametrize("driver", list(DIALECTS))
def test_a_stuck_output_is_told(driver: str) -> None:
    """``off`` is verified; that it cannot be switched off is an error, never silence."""
    with serving(driver, source={"stuck_output": True}) as served:
        source = served.open()
        source.reset()
        source.upload("emg", VOLTS, served.settings)
        source.configure(served.settings)
        source.arm()
        with pytest.raises(InstrumentError, match="set to OFF, reads back"):
            source.off()
        source.close()


@pytest.mark.parametrize("driver", list(DIALECTS))
def test_an_upload_that_is_refused_is_told(driver: str) -> None:
    """By the error queue, or where there is none by what is stored."""
    with serving(driver, source_error=True) as served, served.open() as source:
        source.reset()
        with pytest.raises(InstrumentError, match=r"upload of 400 points|is not among those"):
            source.upload("emg", VOLTS, served.settings)
        source.configure(served.settings)
        with pytest.raises(UsageError, match=r"needs upload\(\)"):
            source.arm()


@pytest.mark.parametrize("wire", get_args(Wire))
@pytest.mark.parametrize("driver", list(DIALECTS))
def test_line_feeds_in_a_waveform_are_points_on_every_wire(driver: str, wire: Wire) -> None:
    """1000 points whose bytes end a message elsewhere; what follows is no part of them."""
    volts = np.full(1000, 0x0A0A / 32767)
    with serving(driver, wire) as served, served.open() as source:
        source.reset()
        receipt = source.upload("feeds", volts, served.settings)
        source.configure(served.settings)
        source.arm()
        codes = served.look(lambda world: world.generator.codes)
        assert (codes.size, receipt.n_bytes) == (1000, 2000)
        assert np.abs(codes - 0x0A0A).max() <= 3


class AnyOrder(RuleBasedStateMachine):
    """Call a driver in any order, with a hand at the front panel, and look at the plant."""

    served: Served

    def __init__(self) -> None:
        super().__init__()
        self.source: Any = self.served.open()
        self.source.reset()
        self.allowed_v = 0.0

    def _try(self, step: Callable[[], Any]) -> None:
        with suppress(InstrumentError, UsageError):
            step()

    @rule(vpp_v=st.sampled_from([0.5, 2.0, 30.0]), cycles=st.integers(1, 3))
    def configure(self, vpp_v: float, cycles: int) -> None:
        """Set levels, possible and impossible ones."""
        wanted = replace(self.served.settings, vpp_open_v=vpp_v, cycles=cycles, offset_open_v=0.0)
        if vpp_v <= 20:
            self.allowed_v = vpp_v / 2
        self._try(lambda: self.source.configure(wanted))

    @rule(scale=st.sampled_from([0.2, 1.0, 3.0]))
    def upload(self, scale: float) -> None:
        """Send a waveform, one of them too large."""
        self._try(lambda: self.source.upload("emg", scale * VOLTS[:40], self.served.settings))

    @rule()
    def arm(self) -> None:
        """Switch on, if that is allowed."""
        self._try(self.source.arm)

    @rule()
    def trigger(self) -> None:
        """Play."""
        self._try(self.source.trigger)

    @rule()
    def off(self) -> None:
        """Switch off."""
        self._try(self.source.off)
        assert not self.served.is_on()

    @rule()
    def change_behind_its_back(self) -> None:
        """Set the load to 50 ohm on another connection."""
        self.served.say(self.served.dialect.low_load)

    @rule()
    def reopen(self) -> None:
        """Leave, and come back."""
        self.source.__exit__(None, None, None)
        assert not self.served.is_on()
        self.source = self.served.open()

    @invariant()
    def the_plant_hears_no_more_than_was_configured(self) -> None:
        """Whenever the output is on, its volts are those that were set last."""
        settings = self.served.look(lambda world: world.generator.settings)
        if settings.output_on:
            assert abs(settings.vpp_open_v) / 2 <= self.allowed_v * (1 + 1e-3) + 1e-3
            assert abs(settings.offset_open_v) <= 2e-3

    def teardown(self) -> None:
        """Leave; the output is off whatever was done."""
        self.source.__exit__(None, None, None)
        assert not self.served.is_on()


@pytest.mark.slow
@pytest.mark.parametrize("driver", list(DIALECTS))
def test_any_order_of_calls_leaves_the_output_off(driver: str) -> None:
    """Any order of calls, and never more volts than were configured."""
    with serving(driver) as found:
        machine = type("Machine", (AnyOrder,), {"served": found})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
