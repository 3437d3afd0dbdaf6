"""Sound cards: addresses, codes and refusals; a stub stands for PortAudio where it has to break.

That the drivers work with the true one is tested through a null sink, in `test_null_sink`.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.bench.rig import load_rig
from emgsim.errors import InputError, InstrumentError, LinkError, UsageError
from emgsim.instruments import base, drivers, sound_streams
from emgsim.instruments.base import ChannelSetup, SourceSettings
from emgsim.instruments.sound_blocks import FULL_SCALE_CODE
from emgsim.instruments.sound_capture import SoundCardCapture
from emgsim.instruments.sound_card import SoundCardSource
from emgsim.instruments.sound_streams import read_address

from .stub_portaudio import StubPortAudio

RATE_HZ, FULL_V = 48_000, 1.25
SETTINGS = SourceSettings(rate_hz=RATE_HZ, vpp_open_v=2 * FULL_V)
INPUTS = {1: ChannelSetup(2.0), 2: ChannelSetup(2.0)}
STUB = "audio:Stub (hw:1,0)?rate_hz=48000&full_scale_v=1.25"
PULSE = "audio:pulse?rate_hz=48000&full_scale_v=1.25&via_server=1"


def test_an_address_is_read():
    """The name may hold whatever names hold."""
    found = read_address("audio:USB Audio: - (hw:1,0)?rate_hz=96000&full_scale_v=1.31")
    assert (found.name, found.rate_hz, found.full_scale_v, found.via_server) == (
        "USB Audio: - (hw:1,0)", 96000.0, 1.31, False)  # fmt: skip
    assert read_address(PULSE).via_server


@pytest.mark.parametrize(("address", "said"), [
    ("audio:x?rate_hz=96000", "full_scale_v must be a positive number, got None"),
    ("audio:x?rate_hz=-1&full_scale_v=1", "rate_hz must be a positive number, got '-1'"),
    ("audio:x?rate_hz=96000&full_scale_v=inf", "full_scale_v must be a positive number"),
    ("audio:x?rate_hz=96000&full_scale_v=1&gain=2", "unknown: gain"),
    ("audio:x?rate_hz=96000&full_scale_v=1&via_server=yes", "via_server must be 0 or 1"),
    ("audio:?rate_hz=96000&full_scale_v=1", "no name"),
    ("TCPIP::a::INSTR", "no name"),
])  # fmt: skip
def test_a_mistake_in_an_address_is_named(address, said):
    """Thing, rule, value, and an address as it should be."""
    with pytest.raises(InputError, match=said) as caught:
        read_address(address)
    assert "audio:NAME?rate_hz=" in caught.value.todo


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_an_input_error(text):
    """Nothing else comes out of the parser."""
    for address in (text, f"audio:{text}", f"audio:x?{text}", f"audio:x?rate_hz={text}"):
        with suppress(InputError):
            assert read_address(address).rate_hz > 0



@pytest.fixture
def stub(monkeypatch) -> Iterator[StubPortAudio]:
    """Put a stub in PortAudio's place, and see that every card was given back."""
    host = StubPortAudio()
    monkeypatch.setattr(sound_streams, "portaudio", lambda: host)
    monkeypatch.setattr("emgsim.instruments.sound_card.portaudio", lambda: host)
    monkeypatch.setattr(sound_streams, "SETTLE_S", 0.0)
    yield host
    assert sound_streams._cards == {}
    assert host.closed == len(host.streams)


@pytest.mark.parametrize(("role", "protocol"), [
    ("source", base.Source), ("capture", base.Capture),
])  # fmt: skip
def test_both_roles_are_in_the_table_and_lack_nothing(role, protocol):
    """Found by name, unproven, and with every member of the protocol."""
    driver = drivers.load(role, "sound.card")
    members = {m for m in vars(protocol) if not m.startswith("_")} | {"api"}
    assert [m for m in members if not hasattr(driver, m)] == []
    assert driver.api == base.API
    assert drivers.proof(role, "sound.card") == drivers.UNPROVEN


@given(st.integers(1, 200), st.floats(1e-9, 1.0), st.integers(0, 99))
def test_codes_are_the_volts_to_half_a_step(n, scale, seed):
    """24 bits of the card's full scale, whatever the waveform's own extent; the receipt tells."""
    volts = FULL_V * scale * np.random.default_rng(seed).uniform(-1, 1, n)
    source = SoundCardSource(sound_streams.Card("x", RATE_HZ), read_address(PULSE), timeout_s=1)
    receipt = source.upload("e1", volts, SETTINGS)
    words = source._words
    assert words is not None
    step_v = FULL_V / FULL_SCALE_CODE
    error_v = (words >> 8) * step_v - volts
    assert np.abs(error_v).max() <= 0.5000001 * step_v
    assert not (words & 0xFF).any()
    assert receipt.quantisation_rms_v == pytest.approx(np.sqrt(np.mean(error_v**2)), abs=1e-15)
    assert receipt.sha256 == hashlib.sha256(words.astype("<i4").tobytes()).hexdigest()
    assert (receipt.n_points, receipt.n_bytes, receipt.n_clipped) == (n, 4 * n, 0)


def test_full_scale_is_the_largest_code_of_either_sign(stub):
    """Not one step more, which would wrap around."""
    with SoundCardSource.open(STUB) as source:
        source.upload("e1", np.array([FULL_V, -FULL_V]), SETTINGS)
        assert (source._words >> 8).tolist() == [FULL_SCALE_CODE, -FULL_SCALE_CODE]


@pytest.mark.parametrize(("volts", "said"), [
    ([1.3], r"would be clipped: its peak is 1\.3 V"),
    ([0.0, np.nan], "must be finite"),
    ([], "must be"),
    ([[0.0]], "must be"),
])  # fmt: skip
def test_a_waveform_that_cannot_be_played_is_refused(stub, volts, said):
    """Before a code is made of it."""
    with SoundCardSource.open(STUB) as source, pytest.raises(UsageError, match=said):
        source.upload("e1", np.array(volts), SETTINGS)


@pytest.mark.parametrize(("change", "said"), [
    ({"rate_hz": 44_100.0}, "rate_hz must be that of the card, 48000 Hz"),
    ({"vpp_open_v": 2.6}, r"vpp_open_v must be in 0\.\.2\.5 V, twice the full scale, got 2\.6"),
    ({"offset_open_v": 0.01}, r"a sound card blocks direct voltage, got 0\.01"),
    ({"filter": "OFF"}, "own filter cannot be changed, got OFF"),
    ({"load_ohm": 50.0}, "is not told its load, got 50"),
    ({"cycles": 0}, "cycles must be at least 1, got 0"),
])  # fmt: skip
def test_a_setting_that_a_card_has_not_is_refused(stub, change, said):
    """Whatever it is asked for, it does as it is told or says that it cannot."""
    wanted = _with(change)
    with SoundCardSource.open(STUB) as source:
        for refused in (lambda: source.configure(wanted),
                        lambda: source.upload("e1", np.zeros(4), wanted)):  # fmt: skip
            with pytest.raises(UsageError, match=said):
                refused()


def _with(change: dict) -> SourceSettings:
    return SourceSettings(**({"rate_hz": RATE_HZ, "vpp_open_v": 2 * FULL_V} | change))


def test_a_rate_that_the_card_refuses_is_told(stub):
    """The address may name any rate; the card has the last word."""
    with SoundCardSource.open(STUB.replace("48000", "96000")) as source, \
            pytest.raises(LinkError, match="could not play at 96000 Hz: Invalid sample rate"):
        source.configure(_with({"rate_hz": 96_000.0}))


@pytest.mark.parametrize(("setups", "duration_s", "said"), [
    ({3: ChannelSetup(1.0)}, 1.0, r"channels must be some of 1\.\.2, got \[3\]"),
    ({}, 1.0, "channels must be some"),
    ({1: ChannelSetup(2.6)}, 1.0, r"range_v of channel 1 must be in 0\.\.2\.5 V"),
    ({1: ChannelSetup(1.0, 0.1)}, 1.0, r"offset_v of channel 1 must be 0 V, got 0\.1"),
    (INPUTS, 0.0, "duration_s must be in"),
])  # fmt: skip
def test_a_record_that_cannot_be_had_is_refused(stub, setups, duration_s, said):
    """Inputs, ranges, centres and lengths."""
    with SoundCardCapture.open(STUB) as capture, pytest.raises(UsageError, match=said):
        capture.configure(setups, duration_s)


def test_what_was_not_prepared_cannot_be_done(stub):
    """arm, trigger, wait and read in the wrong order say what is missing."""
    with SoundCardSource.open(STUB) as source, SoundCardCapture.open(STUB) as capture:
        with pytest.raises(UsageError, match=r"arm\(\) needs configure\(\)"):
            source.arm()
        source.configure(SETTINGS)
        with pytest.raises(UsageError, match=r"arm\(\) needs upload\(\)"):
            source.arm()
        with pytest.raises(InstrumentError, match="refused: nothing is armed"):
            source.trigger()
        with pytest.raises(UsageError, match=r"arm\(\) needs configure\(\)"):
            capture.arm()
        with pytest.raises(UsageError, match=r"wait\(\) needs arm\(\)"):
            capture.wait(1.0)
        with pytest.raises(UsageError, match="no complete record"):
            capture.read(1)
        assert source.errors() == ()


def test_source_and_capture_of_one_address_share_the_card(stub):
    """One clock, one trigger; a second source or another rate is refused, and all is given back."""
    with SoundCardSource.open(STUB) as source, SoundCardCapture.open(STUB) as capture:
        assert source._card is capture._card
        with pytest.raises(LinkError, match="the output of the sound card is in use already"):
            SoundCardSource.open(STUB)
        capture.close()
        capture.close()
        with pytest.raises(InstrumentError, match="has one clock: it runs at 48000 Hz"):
            SoundCardCapture.open(STUB.replace("48000", "96000"))
    SoundCardCapture.open(STUB.replace("48000", "96000")).close()


def test_of_many_threads_one_gets_the_card(stub):
    """Opened at the same time by many, closed by the one who has it."""
    outcomes: list[object] = []
    gate = threading.Barrier(16)

    def open_one() -> None:
        gate.wait()
        try:
            outcomes.append(SoundCardSource.open(STUB))
        except LinkError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (owner,) = [one for one in outcomes if isinstance(one, SoundCardSource)]
    owner.close()
    assert len(outcomes) == 16


def test_a_card_that_is_not_there_is_told(stub):
    """And nobody is left holding it."""
    with pytest.raises(LinkError, match="could not look it up: No output device matching") as told:
        SoundCardSource.open(STUB.replace("hw:1,0", "hw:7,0"))
    assert "python -m sounddevice" in told.value.todo


def test_a_sound_server_is_refused_unless_it_is_wanted(stub):
    """It mixes, scales and resamples: volts through it are nobody's."""
    address = "audio:pulse?rate_hz=48000&full_scale_v=1"
    for driver in (SoundCardSource, SoundCardCapture):
        with pytest.raises(InstrumentError, match="'pulse' is a sound server"):
            driver.open(address)
        with driver.open(f"{address}&via_server=1") as opened:
            assert str(opened.identify()) == "ALSA,pulse,,V19 stub"


def test_missing_software_is_named_with_its_cure(monkeypatch):
    """Which extra, and which library."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(LinkError, match="need the sounddevice package") as caught:
        SoundCardSource.open(STUB)
    assert "emgsim[audio]" in caught.value.todo
    assert sound_streams._cards == {}


def armed(source: SoundCardSource, volts=(0.0, 1.0)) -> None:
    """Upload, configure and arm."""
    source.upload("e1", np.array(volts, np.float64), SETTINGS)
    source.configure(SETTINGS)
    source.arm()


def test_a_card_that_moves_no_sample_is_told(stub):
    """It opens, it starts, and nothing happens: no answer within the time-out."""
    stub.is_answering = False
    with SoundCardSource.open(STUB, timeout_s=0.01) as source, \
            pytest.raises(LinkError, match=r"moved no sample within 0\.01 s"):
        armed(source)


def test_a_card_at_another_rate_is_refused(stub):
    """PortAudio tells the rate it got."""
    stub.rate_hz = 44_100.0
    with SoundCardSource.open(STUB) as source, \
            pytest.raises(InstrumentError, match="runs at 44100 Hz, asked were 48000 Hz"):
        armed(source)


def test_an_output_that_is_switched_off_while_it_is_armed_is_not_armed(stub, monkeypatch):
    """To switch off waits for nobody, and whoever was arming hears of it."""
    with SoundCardSource.open(STUB) as source:
        monkeypatch.setattr(sound_streams.time, "sleep", lambda _: source.off())
        with pytest.raises(LinkError, match="has stopped while it was being armed"):
            armed(source)


def test_a_card_that_was_unplugged_takes_no_trigger(stub):
    """Its stream has ended by itself."""
    with SoundCardSource.open(STUB) as source:
        armed(source)
        stub.streams[-1].active = False
        with pytest.raises(InstrumentError, match="nothing is armed"):
            source.trigger()


def test_an_output_that_does_not_stop_is_told_and_closed(stub):
    """The failure is raised, and what is left is given back all the same."""
    source = SoundCardSource.open(STUB)
    armed(source)
    stub.can_stop = False
    with pytest.raises(LinkError, match="could not stop it: the device hangs"):
        source.off()
    source.off()  # closed: nothing is left to stop
    source.close()


def test_the_way_out_keeps_the_first_mistake(stub):
    """What went wrong inside is raised; that the output did not stop is a note to it."""
    def fail_inside() -> None:
        with SoundCardSource.open(STUB) as source:
            armed(source)
            stub.can_stop = False
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fail_inside()
    assert "could not be stopped" in caught.value.__notes__[0]


def test_a_second_trigger_waits_for_the_end_of_the_first(stub):
    """A burst is played whole; after it the next trigger plays it again."""
    with SoundCardSource.open(STUB) as source:
        armed(source)
        source.trigger()
        with pytest.raises(InstrumentError, match="a playback is under way"):
            source.trigger()
        stub.streams[-1].start()  # asks for a block: the two points are over
        assert stub.streams[-1].block[:3, 0].tolist() == [0, 6710886 << 8, 0]
        source.trigger()


def test_an_input_at_full_scale_is_refused(stub):
    """A clipped record is no measurement."""
    with SoundCardSource.open(STUB) as source, SoundCardCapture.open(STUB) as capture:
        armed(source)
        capture.configure(INPUTS, 0.001)
        capture.arm()
        source.trigger()
        take = capture._take
        assert take is not None
        take.keep(np.full((len(take.words), 2), [1 << 8, -(2**31)], np.int32))
        capture.wait(1.0)
        assert capture.read(1)[0] == pytest.approx(FULL_V / FULL_SCALE_CODE)
        with pytest.raises(InstrumentError, match="input 2 has 72048 of 72048 samples at full"):
            capture.read(2)


def test_the_example_rig_loads():
    """A real rig with one sound card in both roles, not armed and not opened."""
    rig = load_rig("sound-card")
    assert (rig.source.driver, rig.capture.driver) == ("sound.card", "sound.card")
    source, capture = read_address(rig.source.resource), read_address(rig.capture.resource)
    assert (source.name, source.rate_hz) == (capture.name, capture.rate_hz)
    assert rig.limits.source_v_pk <= source.full_scale_v
