"""States of the fixture: switched, asked for, or unavailable; never with the output on."""

import io
import os
import pty
import sys
import threading

import pytest

from emgsim.bench.fixture import Fixture, StateUnavailableError, ask_on_terminal, in_words
from emgsim.bench.parts import FixtureState
from emgsim.bench.rig import Rig, load_rig
from emgsim.bench.served import ServedRig
from emgsim.errors import InputError, InstrumentError, SafetyError
from emgsim.instruments.base import Identity
from emgsim.instruments.numato_relays import NumatoRelays
from emgsim.instruments.serial_frames import SerialFrames


class Relays:
    """A relay box that keeps a diary; it may stick, or fall back."""

    api = 1

    def __init__(self, *, stuck: bool = False, falls_back: bool = False) -> None:
        self.on, self.diary = frozenset[int](), []
        self._stuck, self._falls_back = stuck, falls_back

    def identify(self) -> Identity:
        """Give a name."""
        return Identity("Fake", "Relays", "0", "1")

    def set_relays(self, relays: frozenset[int]) -> None:
        """Switch, unless they are stuck."""
        self.diary.append(sorted(relays))
        if not self._stuck:
            self.on = relays

    def relays(self) -> frozenset[int]:
        """Read them."""
        return frozenset() if self._falls_back else self.on

    def input_closed(self, number: int) -> bool:  # noqa: ARG002 none is
        """Have no lid."""
        return False

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture(scope="module")
def states() -> Rig:
    """Load the rig with a relay box."""
    return load_rig("virtual-states")


@pytest.fixture(scope="module")
def asked() -> Rig:
    """Load the rig with a person in place of the relay box."""
    overrides = ['switch.driver="operator"', 'switch.resource=""', "interlock.unattended=false"]
    return load_rig("virtual-states", overrides=overrides)


def fixture_of(rig: Rig, switch: Relays | None = None, **more) -> Fixture:
    """Return a fixture whose source is off and whose time does not pass."""
    return Fixture(
        rig, **{"is_on": lambda: False, "switch": switch, "sleep": lambda _: None, **more}
    )


def test_relays_bring_the_fixture_into_a_state(states: Rig) -> None:
    """Set, waited for as the rig file says, read back, remembered."""
    relays, waited = Relays(), []
    fixture = fixture_of(states, relays, sleep=waited.append)
    assert fixture.name is None
    state = fixture.into("imbalance")
    assert (fixture.name, relays.on, waited) == ("imbalance", {2, 3}, [0.05])
    assert (state.series_ohm, state.common) == (10_000.0, 0.28)
    fixture.into("through")
    assert (fixture.name, relays.on) == ("through", frozenset())


def test_no_relay_moves_while_the_output_is_on(states: Rig) -> None:
    """Refused for safety, and the box heard nothing."""
    relays = Relays()
    fixture = fixture_of(states, relays, is_on=lambda: True)
    with pytest.raises(SafetyError, match="while the output is on"):
        fixture.into("shorted")
    assert (relays.diary, fixture.name) == ([], None)


@pytest.mark.parametrize("fault", [{"stuck": True}, {"falls_back": True}])
def test_relays_that_are_not_where_they_should_be_leave_the_state_unknown(
    states: Rig, fault: dict[str, bool]
) -> None:
    """Read back after they have settled: the state before is forgotten, too."""
    fixture = fixture_of(states, Relays(**fault))
    fixture.into("through")
    with pytest.raises(InstrumentError, match=r"'series_z'.* needs the relays \[1\] on, got \[\]"):
        fixture.into("series_z")
    assert fixture.name is None


def test_an_unknown_state_is_answered_with_those_there_are(states: Rig) -> None:
    """A slip of the pen moves nothing."""
    relays = Relays()
    with pytest.raises(InputError, match="no state 'shortened'; it has imbalance, node_drive"):
        fixture_of(states, relays).into("shortened")
    assert relays.diary == []


def test_without_a_switch_only_the_way_through_is_there(rig: Rig) -> None:
    """The rig's own wiring needs nobody; a state is unavailable, which is no failure."""
    with_states = load_rig("virtual-states").model_copy(update={"switch": None})
    fixture = fixture_of(with_states)
    assert fixture.into("through") == with_states.fixture.through
    with pytest.raises(StateUnavailableError, match="state unavailable") as caught:
        fixture.into("shorted")
    assert (caught.value.exit_code, fixture.name) == (5, "through")


def test_the_safe_state_is_reached_with_the_output_on(states: Rig) -> None:
    """Joined inputs protect the device when the source could not be switched off."""
    relays = Relays()
    fixture = fixture_of(states, relays, is_on=lambda: True)
    fixture.safe()
    assert (fixture.name, relays.on) == ("shorted", {0})


def test_without_relays_the_safe_state_asks_nobody(asked: Rig, rig: Rig) -> None:
    """An end that waits for a person would be none."""
    questions = []
    fixture_of(asked, ask=questions.append).safe()
    fixture_of(rig).safe()
    assert questions == []


def test_a_person_is_told_in_plain_words_what_to_plug(asked: Rig) -> None:
    """Once for each change, also for the first: nobody knows how it was left."""
    questions = []
    fixture = fixture_of(asked, ask=questions.append)
    fixture.into("through")
    fixture.into("imbalance")
    fixture.into("imbalance")
    assert fixture.name == "imbalance"
    assert questions == [
        "Put the fixture of rig virtual-states into state 'through': "
        "source x 0.000999 between the inputs.",
        "Put the fixture of rig virtual-states into state 'imbalance': source x 0.28 at both "
        "inputs against ground, 10 kohm parallel 47 nF in one lead.",
    ]


def test_a_person_who_says_no_leaves_the_state_unknown(asked: Rig) -> None:
    """Something may have been plugged already."""

    def refuse(_: str) -> None:
        raise StateUnavailableError("no")

    fixture = fixture_of(asked, ask=lambda _: None)
    fixture.into("through")
    fixture.ask = refuse
    with pytest.raises(StateUnavailableError):
        fixture.into("shorted")
    assert fixture.name is None


def test_a_state_is_described() -> None:
    """What joins, what is in series, what is added."""
    assert in_words(FixtureState(differential=0, input_ohm=1)) == "inputs joined, source away"
    offset = FixtureState(differential=0.001, input_ohm=1, offset_mv=-300)
    assert in_words(offset) == "source x 0.001 between the inputs, -300 mV in series"


def test_without_a_terminal_nobody_is_asked(asked: Rig, monkeypatch, capsys) -> None:
    """What is piped in is no person's answer."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    with pytest.raises(StateUnavailableError, match="nobody is at a terminal"):
        fixture_of(asked).into("shorted")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("typed", "is_done"), [("\n", True), ("no\n", False), ("\x04", False)])
def test_at_a_terminal_only_the_enter_key_is_a_yes(monkeypatch, capfd, typed, is_done) -> None:
    """Enter goes on; a word, or the end of the input, does not."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        typist = threading.Thread(target=os.write, args=(master, typed.encode()))
        typist.start()
        if is_done:
            ask_on_terminal("Put it in.")
        else:
            with pytest.raises(StateUnavailableError, match="the operator answered"):
                ask_on_terminal("Put it in.")
        typist.join()
    os.close(master)
    assert "Put it in.\nThen press Enter" in capfd.readouterr().err


def noise_uv(device: SerialFrames) -> float:
    """Return the rms of half a second of the device, after the fixture's change has died out."""
    device.start()
    device.read_block(12_000, 20.0)
    counts = device.read_block(24_000, 20.0).counts
    device.stop()
    return float(counts.std()) * device.scale_uv_per_count


def test_the_device_hears_each_state_of_a_served_rig(states: Rig) -> None:
    """Joined inputs have the amplifier's 0.6 uV, the electrode 1.5 uV, over real serial ports.

    White to 10 kHz at order 4: 0.6 and sqrt(0.6^2 + 1.4^2 + 0.2^2), 1.3 % more for the skirt.
    """
    with (
        ServedRig(states, seed=1) as served,
        NumatoRelays.open(served.addresses["switch"], timeout_s=5.0) as switch,
        SerialFrames.open(served.addresses["device"], profile=states.profile) as device,
    ):
        fixture = fixture_of(states, switch)
        fixture.into("shorted")
        joined_uv = noise_uv(device)
        fixture.into("through")
        through_uv = noise_uv(device)
        assert switch.input_closed(0)
    assert joined_uv == pytest.approx(0.61, rel=0.03)
    assert through_uv == pytest.approx(1.55, rel=0.03)
