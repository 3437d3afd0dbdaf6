"""Real rigs need a person's word: for one rig file, one device, and a limited time."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from emgsim.bench.arming import STATEMENT, Permit, arm, disarm, permit
from emgsim.bench.rig import Rig, load_rig
from emgsim.errors import SafetyError, UsageError

BENCH = ['kind="bench"', 'source.resource="A"', 'capture.resource="B"', 'device.resource="C"']
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def bench() -> Rig:
    """Give a real rig."""
    return load_rig("virtual", overrides=[*BENCH, "id=lab-2"])


def armed(rig: Rig, **changes: str):
    """Arm a rig at noon."""
    words = {"by": "M. Curie", "device_serial": "SN-7", "statement": STATEMENT} | changes
    return arm(rig, **words, now=lambda: NOON)


def at(minutes: float):
    """Return a clock that stands still, so long after noon."""
    return lambda: NOON + timedelta(minutes=minutes)


def test_a_virtual_rig_needs_no_word(rig):
    """Everything past the wire is simulated by this process; it cannot be armed either."""
    assert permit(rig) == Permit("virtual")
    with pytest.raises(UsageError, match="virtual and needs no arming"):
        armed(rig)


def test_a_real_rig_that_was_never_armed_is_refused(bench):
    """The message names the command that arms."""
    with pytest.raises(SafetyError, match="lab-2 is a real one and is not armed") as caught:
        permit(bench)
    assert caught.value.exit_code == 5
    assert "emgsim arm lab-2 --by NAME --dut SERIAL" in caught.value.todo


def test_the_word_is_good_for_its_hour_and_not_a_minute_longer(bench):
    """Armed at noon for 3600 s: 12:59 is allowed, 13:00 is not."""
    word = armed(bench)
    assert permit(bench, now=at(59)) == Permit("armed", word)
    with pytest.raises(SafetyError, match=r"word of M\. Curie .* expired at 2026-11-23 13:00 UTC"):
        permit(bench, now=at(60))


def test_the_word_is_for_one_rig_file(bench):
    """Any value changed since makes another rig of it."""
    armed(bench)
    changed = bench.model_copy(update={"title": "mended"})
    with pytest.raises(SafetyError, match=r"changed since M\. Curie armed it"):
        permit(changed, now=at(1))


def test_the_word_is_for_one_device(bench):
    """The serial number that answers must be the one that the person read off the device."""
    allowed = Permit("armed", armed(bench))
    allowed.refuse_other_device("SN-7")
    with pytest.raises(SafetyError, match="'SN-7', and 'SN-8' answers"):
        allowed.refuse_other_device("SN-8")


@pytest.mark.parametrize("statement", ["", "yes", "connected to a person"])
def test_any_other_statement_arms_nothing(bench, statement):
    """Only the words themselves count."""
    with pytest.raises(SafetyError, match="was not armed"):
        armed(bench, statement=statement)
    with pytest.raises(SafetyError, match="is not armed"):
        permit(bench, now=at(1))


@pytest.mark.parametrize(("name", "word"), [("by", "--by"), ("device_serial", "--dut")])
def test_nobody_and_nothing_cannot_be_armed(bench, name, word):
    """A word has a speaker and a device."""
    with pytest.raises(UsageError, match=word):
        armed(bench, **{name: " "})


def test_a_word_can_be_taken_back(bench):
    """Afterwards the rig is as if it never was armed."""
    armed(bench)
    assert disarm(bench)
    assert not disarm(bench)
    with pytest.raises(SafetyError, match="not armed"):
        permit(bench, now=at(1))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"until": "soon"}'])
def test_a_word_that_cannot_be_read_is_none(bench, state, text):
    """A damaged file arms nothing."""
    armed(bench)
    (state / "arms" / "lab-2.json").write_text(text)
    with pytest.raises(SafetyError, match="cannot be read"):
        permit(bench, now=at(1))


def test_the_word_goes_into_the_record_as_plain_values(bench):
    """By whom, for what, since when and until when."""
    table = json.loads(json.dumps(Permit("armed", armed(bench)).table()))
    assert table["kind"] == "armed"
    assert table["arm"]["by"] == "M. Curie"
    assert table["arm"]["statement"] == "not connected to a person"
    assert table["arm"]["until"] == "2026-11-23T13:00:00+00:00"


def test_an_unattended_rig_is_watched_instead():
    """It needs no word, but an input and a switch that reads it, or the rig file is a mistake."""
    alone = [*BENCH, "interlock.unattended=true"]
    with pytest.raises(Exception, match=r"needs interlock\.monitored_input"):
        load_rig("virtual", overrides=alone)
    watched = [*alone, "interlock.monitored_input=0", 'switch.driver="numato.relay"',
               'switch.resource="D"']
    assert permit(load_rig("virtual", overrides=watched)) == Permit("unattended")
