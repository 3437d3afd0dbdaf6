"""Limits come before the generator hears of anything, and the safe state is for good."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.bench.arming import Permit
from emgsim.bench.guarded_source import GuardedSource
from emgsim.bench.rig import Rig
from emgsim.errors import LinkError, SafetyError
from emgsim.instruments.base import SourceSettings

RATE_HZ = 1000.0
VIRTUAL = Permit("virtual")
SETTINGS = SourceSettings(rate_hz=RATE_HZ, vpp_open_v=4.0, filter="OFF")  # no overshoot
CALM = np.tile([2.0, 0.0, -2.0, 0.0], 250)  # 2 V: 1.988 mV at the device, 1.990 at worst


def limited(rig: Rig, **limits: float) -> Rig:
    """Return the rig with other limits."""
    return rig.model_copy(update={"limits": rig.limits.model_copy(update=limits)})


def test_a_calm_waveform_is_loaded_energised_and_triggered_in_that_order(rig, source):
    """Nothing is refused that is within all limits, and off is the last call."""
    with GuardedSource(source, rig, VIRTUAL) as guarded:
        actual, receipt = guarded.load(CALM, SETTINGS)
        guarded.energise()
        assert source.is_on
        guarded.trigger()
    assert (actual, receipt.n_points) == (SETTINGS, 1000)
    assert source.calls == ["upload", "configure", "arm", "trigger", "off"]
    assert not source.is_on


@pytest.mark.parametrize(
    ("limits", "settings", "rule", "number"),
    [
        ({"device_differential_mv_pk": 1.9}, {}, "device_differential_mv_pk", "1.99 mV"),
        ({"source_v_pk": 1.9}, {}, "source_v_pk", "2 V"),
        ({"max_on_s": 0.9}, {}, "max_on_s", "1 s"),
        ({}, {"cycles": 901}, "max_on_s", "901 s"),
        ({}, {"rate_hz": 0.5}, "max_on_s", "2000 s"),
        ({"device_differential_mv_pk": 20.0}, {"offset_open_v": -8.1}, "source_v_pk", "10.1 V"),
        ({}, {"offset_open_v": 6.1}, "device_differential_mv_pk", "8.06 mV"),
        ({}, {"rate_hz": float("nan")}, "max_on_s", "nan s"),
        ({}, {"rate_hz": -1000.0}, "max_on_s", "-1 s"),
        ({}, {"cycles": float("inf")}, "max_on_s", "inf s"),
    ],
)
def test_a_broken_limit_is_refused_before_the_generator_hears_of_it(
    rig, source, *, limits, settings, rule, number
):
    """Each limit is named with the value that breaks it, and not one call is made."""
    guarded = GuardedSource(source, limited(rig, **limits), VIRTUAL)
    with pytest.raises(SafetyError, match=rule) as caught:
        guarded.load(CALM, replace(SETTINGS, **settings))
    assert number in caught.value.what
    assert caught.value.exit_code == 5
    assert source.calls == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_waveform_that_is_not_finite_is_refused(rig, source, value):
    """NaN compares with no limit, so it must be refused by a rule of its own."""
    with pytest.raises(SafetyError, match="not finite"):
        GuardedSource(source, rig, VIRTUAL).load(np.array([0.0, value]), SETTINGS)
    assert source.calls == []


@given(
    peak_v=st.floats(0, 30), offset_v=st.floats(-30, 30), mv=st.floats(0.1, 20),
    volts=st.floats(0.1, 20),
)
def test_whatever_is_let_through_is_within_the_limits(rig, scale, *, peak_v, offset_v, mv, volts):
    """Loading succeeds exactly when waveform and offset together stay under both limits."""
    from emgsim.instruments.base import UploadReceipt

    class Deaf:
        def upload(self, *_):
            return UploadReceipt("", 0, 0, "", 0, 0.0)

        def configure(self, settings):
            return settings

    tight = limited(rig, device_differential_mv_pk=mv, source_v_pk=volts)
    guarded = GuardedSource(Deaf(), tight, VIRTUAL)
    worst_v = peak_v + abs(offset_v)
    device_mv = 1e3 * 1.001 * scale * worst_v  # the certificate's uncertainty is 0.1 %
    nearness = min(abs(worst_v / volts - 1), abs(device_mv / mv - 1))
    allowed = worst_v <= volts and device_mv <= mv
    settings = replace(SETTINGS, vpp_open_v=60.0, offset_open_v=offset_v)
    try:
        guarded.load(np.array([0.0, -peak_v]), settings)
    except SafetyError:
        assert not allowed or nearness < 1e-9
    else:
        assert allowed or nearness < 1e-9


@pytest.mark.parametrize(
    "changes",
    [
        {"offset_open_v": 9.0},
        {"cycles": 1000},
        {"rate_hz": 1.0},
        {"vpp_open_v": 20.0},  # the same codes, five times the volts
    ],
)
def test_settings_read_back_over_the_limits_are_refused(rig, source, changes):
    """What the generator says it will do counts, not what it was asked to do."""
    source.changes = changes
    with GuardedSource(source, rig, VIRTUAL) as guarded:
        with pytest.raises(SafetyError):
            guarded.load(CALM, SETTINGS)
        with pytest.raises(SafetyError, match="before a waveform is loaded"):
            guarded.energise()
    assert "arm" not in source.calls


def test_a_refused_load_takes_the_earlier_one_back(rig, source):
    """After a read-back was refused the generator holds the refused settings: it stays off."""
    with GuardedSource(source, rig, VIRTUAL) as guarded:
        guarded.load(CALM, SETTINGS)
        source.changes = {"offset_open_v": 9.0}
        with pytest.raises(SafetyError):
            guarded.load(CALM, SETTINGS)
        with pytest.raises(SafetyError):
            guarded.energise()
    assert "arm" not in source.calls


def test_nothing_is_switched_on_before_a_waveform_is_loaded(rig, source):
    """What is in the generator's memory from an earlier day is not played."""
    guarded = GuardedSource(source, rig, VIRTUAL)
    with pytest.raises(SafetyError, match="before a waveform is loaded"):
        guarded.energise()
    assert source.calls == []


@pytest.mark.parametrize("action", ["load", "energise", "trigger"])
def test_after_safe_every_energising_call_is_refused(rig, source, action):
    """The latch holds for whoever still has the object, however often it asks."""
    with GuardedSource(source, rig, VIRTUAL) as guarded:
        guarded.load(CALM, SETTINGS)
    calls = list(source.calls)
    steps = {"load": lambda: guarded.load(CALM, SETTINGS), "energise": guarded.energise,
             "trigger": guarded.trigger}
    for _ in range(2):
        with pytest.raises(SafetyError, match="latched"):
            steps[action]()
    assert source.calls == calls
    assert not source.is_on


def test_safe_may_be_called_again(rig, source):
    """A second safe state switches off once more instead of failing."""
    with GuardedSource(source, rig, VIRTUAL) as guarded:
        guarded.safe()
        guarded.safe()
    assert source.calls == ["off"] * 3


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_leaving_by_any_exception_switches_off(rig, source, error):
    """The output is off whatever ended the block, and the exception goes on."""

    def body():
        with GuardedSource(source, rig, VIRTUAL) as guarded:
            guarded.load(CALM, SETTINGS)
            guarded.energise()
            raise error

    with pytest.raises(error):
        body()
    assert source.calls[-1] == "off"
    assert not source.is_on


def test_a_failing_off_latches_all_the_same(rig, source):
    """When the link breaks while switching off, the object must not become usable again."""
    guarded = GuardedSource(source, rig, VIRTUAL)
    guarded.load(CALM, SETTINGS)
    source.off = lambda: (_ for _ in ()).throw(OSError("link"))
    with pytest.raises(OSError, match="link"):
        guarded.safe()
    with pytest.raises(SafetyError, match="latched"):
        guarded.energise()


def test_an_output_that_cannot_be_confirmed_off_is_said_loudly(rig, source):
    """Without another error it is the error; with one it is a note on it, and none is lost."""

    def unsure():
        raise LinkError("no answer")

    def body(error):
        with GuardedSource(source, rig, VIRTUAL):
            source.off = unsure
            if error:
                raise error

    with pytest.raises(LinkError, match="no answer"):
        body(None)
    with pytest.raises(ZeroDivisionError) as caught:
        body(ZeroDivisionError())
    assert "could NOT be confirmed off: no answer" in caught.value.__notes__[0]


def test_a_thread_that_wakes_late_cannot_energise(rig, source):
    """A phase that timed out and asks after the safe state is refused."""
    guarded = GuardedSource(source, rig, VIRTUAL)
    guarded.load(CALM, SETTINGS)
    wake, caught = threading.Event(), []

    def late():
        wake.wait(5)
        try:
            guarded.energise()
        except SafetyError as error:
            caught.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    guarded.safe()
    wake.set()
    thread.join(5)
    assert len(caught) == 1
    assert not source.is_on


def test_a_thread_caught_in_the_middle_of_energising_ends_off(rig, source):
    """When the safe state comes while another thread arms, the output is off in the end."""
    guarded = GuardedSource(source, rig, VIRTUAL)
    guarded.load(CALM, SETTINGS)
    inside, go_on, caught = threading.Event(), threading.Event(), []

    def pause():
        inside.set()
        go_on.wait(0.5)  # a guard that locks lets `safe` wait for us: then we go on by ourselves

    source.while_arming = pause

    def energise():
        try:
            guarded.energise()
        except SafetyError as error:
            caught.append(error)

    thread = threading.Thread(target=energise)
    thread.start()
    assert inside.wait(5)
    guarded.safe()
    go_on.set()
    thread.join(5)
    assert not source.is_on
    assert source.calls[-1] == "off"
