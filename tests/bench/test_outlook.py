"""What a playback would do, each figure checked with a pencil; nothing is driven."""

import json
import re
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.bench import station
from emgsim.bench.exposure import exposure, refuse_harm
from emgsim.bench.levels import plan_levels
from emgsim.bench.outlook import SMALLEST, Outlook, foresee
from emgsim.bench.outlook_text import outlook_text, outlooks_text, volts
from emgsim.bench.program import Program
from emgsim.bench.rig import Rig, load_rig
from emgsim.errors import SafetyError, UsageError
from emgsim.instruments.base import SourceSettings

RATE_HZ = 48_000.0
RATIO, LOAD = 1 / 1001, 10_010 / 10_060
OPEN_V = 1.006  # of 1 mV at the device: 1001 x 10 060 / 10 010


def sine(peak_uv: float, duration_s: float = 1.0) -> Program:
    """Return a program that is one 100 Hz sine from beginning to end."""
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    nothing = np.zeros(1)
    return Program(
        samples_uv=peak_uv * np.sin(2 * np.pi * 100 * t),
        rate_hz=RATE_HZ,
        recording_start_s=0.0,
        markers=((0.0, nothing), (duration_s, nothing)),
    )


@pytest.fixture(scope="module")
def outlook(rig: Rig) -> Outlook:
    """Foresee a sine of 1 mV for 1 s."""
    return foresee(sine(1000.0), rig, name="a sine")


def with_limits(rig: Rig, **limits: float) -> Rig:
    """Return the rig with other limits."""
    return rig.model_copy(update={"limits": rig.limits.model_copy(update=limits)})


def test_every_node_has_its_volts(outlook: Outlook) -> None:
    """One millivolt at the device, forward to the scope and backward to the generator."""
    peaks = {node.name: node.peak_v for node in outlook.nodes}
    expected = {
        "generator, open output": OPEN_V,
        "generator, its swing": 1.026,  # 2 % of headroom, four digits of the swing
        "generator, loaded": OPEN_V * LOAD,
        "scope, source channel": OPEN_V * LOAD,
        "divider, output": OPEN_V * LOAD * RATIO,
        "device, differential": 1e-3,
        "device, common mode at worst": 0.0,
        "device, were the divider gone": 0.45,  # the diodes
        "monitor output": 0.5,  # 500 V/V
        "scope, monitor channel": 0.5,
    }
    worst_v = peaks.pop("device, differential at worst")
    assert peaks == pytest.approx(expected, rel=1e-5)
    assert 1e-3 * 1.001 <= worst_v <= 1e-3 * 1.001 * 1.3921  # uncertainty, and what may ring


def test_margins_are_what_is_left_of_the_limit(outlook: Outlook) -> None:
    """1.006 of 10 V leave 89.94 %; 1 mV of the device's 10 mV leave 90 %."""
    margins = {node.name: node.margin_pct for node in outlook.nodes}
    assert margins["generator, open output"] == pytest.approx(89.94, abs=1e-3)
    assert margins["device, differential"] == pytest.approx(90.0, abs=1e-3)
    assert margins["device, were the divider gone"] == pytest.approx(10.0)  # 0.45 of 0.5 V
    assert margins["monitor output"] is None


def test_codes_are_counted_in_bits(outlook: Outlook) -> None:
    """2.012 of 2.052 Vpp are 15.97 of 16 bits; 2 mV in steps of 1.192 nV are 20.68 bits."""
    codes = outlook.codes
    assert codes["source_lsb_v"] == pytest.approx(2.052 / 65535)
    assert codes["source_lsb_at_device_uv"] == pytest.approx(2.052 / 65535 * RATIO * LOAD * 1e6)
    assert codes["source_bits"] == pytest.approx(np.log2(65535 * 2.012 / 2.052), abs=1e-4)
    assert codes["device_bits"] == pytest.approx(np.log2(2000 * 2**23 / 10_000), abs=1e-4)


def test_the_signal_stands_over_the_total_of_the_noise(outlook: Outlook) -> None:
    """707 uV over 1.535 uV are 53.27 dB."""
    assert outlook.signal["rms_uv"] == pytest.approx(707.1, abs=0.1)
    assert outlook.signal["peak_uv"] == pytest.approx(1000.0, abs=0.1)
    assert outlook.signal["over_noise_device_db"] == pytest.approx(53.27, abs=0.01)
    assert outlook.budgets["device"][-1]["name"] == "total"


def test_the_time_is_that_of_the_playback_and_what_is_around_it(rig: Rig) -> None:
    """A second, and 0.65 s more of the device; a real rig is probed for 2.5 s before."""
    assert foresee(sine(1000.0), rig).play_s == 1.0
    assert foresee(sine(1000.0), rig).wall_s == pytest.approx(1.65)
    real = rig.model_copy(update={"kind": "bench"})
    assert foresee(sine(1000.0), real).wall_s == pytest.approx(4.15)


def test_the_recording_is_what_lies_between_the_markers(rig: Rig) -> None:
    """Loud markers do not count as signal."""
    program = sine(1000.0)
    loud = program.samples_uv.copy()
    loud[: round(0.2 * RATE_HZ)] *= 5
    loud[round(0.8 * RATE_HZ) :] *= 5
    marked = replace(
        program, samples_uv=loud, recording_start_s=0.2,
        markers=((0.0, np.zeros(1)), (0.8, np.zeros(1))),
    )  # fmt: skip
    assert foresee(marked, rig).signal["rms_uv"] == pytest.approx(707.1, abs=0.1)


def test_the_plan_is_the_one_that_would_be_played(rig: Rig, outlook: Outlook) -> None:
    """Rate, swing and points of the level plan."""
    plan, _ = plan_levels(sine(1000.0), rig, SMALLEST, 10_000.0)
    assert outlook.plan == plan
    assert outlook.would_be_played


@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [
        ("device_differential_mv_pk", 0.5, r"mV peak at the device: the limit is 0.5 mV"),
        ("source_v_pk", 1.0, r"1\.006 V peak at the source: the limit is 1 V"),
        ("max_on_s", 0.5, r"1 s of playback: the limit is 0.5 s"),
        ("device_slew_v_per_s", 0.1, r"V/s at the device: the limit is 0.1 V/s"),
    ],
)
def test_a_limit_that_refuses_is_named(rig: Rig, limit: str, value: float, told: str) -> None:
    """With its value and its name in the rig file, and all nodes are told all the same."""
    outlook = foresee(sine(1000.0), with_limits(rig, **{limit: value}))
    assert not outlook.would_be_played
    (refusal,) = outlook.refusals
    assert re.search(told, refusal)
    assert f"limits.{limit}" in refusal
    assert outlook.nodes[0].peak_v == pytest.approx(OPEN_V, rel=1e-5)


def test_the_codes_of_the_declared_bits_are_foreseen(rig: Rig) -> None:
    """Fourteen bits make steps four times as large as sixteen."""
    coarse = rig.model_copy(update={"source": rig.source.model_copy(update={"bits": 14})})
    steps_uv = [foresee(sine(1000.0), one).plan.lsb_at_device_uv for one in (rig, coarse)]
    assert steps_uv[1] == pytest.approx(4 * steps_uv[0], rel=1e-3)


def test_what_the_outlook_refuses_the_level_plan_refuses_too(rig: Rig) -> None:
    """Too long for the memory, and too much swing."""
    small = replace(SMALLEST, max_points=10_000)
    (refusal,) = foresee(sine(1000.0), rig, caps=small).refusals
    assert refusal == "a playback of 1 s: the generator's 10000 points hold 0.5 s"
    with pytest.raises(UsageError):
        plan_levels(sine(1000.0), rig, small, 10_000.0)
    weak = replace(SMALLEST, max_vpp_open_v=1.0)
    (refusal,) = foresee(sine(1000.0), rig, caps=weak).refusals
    assert refusal == "a swing of 2.052 Vpp: the generator's most is 1 Vpp"
    with pytest.raises(SafetyError):
        plan_levels(sine(1000.0), rig, weak, 10_000.0)
    tight = with_limits(rig, source_v_pk=1.01)  # enough for the peak, and not for its headroom
    (refusal,) = foresee(sine(1000.0), tight).refusals
    assert refusal.startswith("a swing of 2.052 Vpp, which")
    with pytest.raises(SafetyError):
        plan_levels(sine(1000.0), tight, SMALLEST, 10_000.0)


@given(
    peak_uv=st.floats(1, 20_000),
    source_v_pk=st.floats(0.1, 10),
    max_points=st.integers(1_000, 40_000),
    max_on_s=st.floats(0.1, 2),
)
@settings(max_examples=60, deadline=None)
def test_what_would_be_played_is_what_the_bench_plays(
    peak_uv: float, source_v_pk: float, max_points: int, max_on_s: float
) -> None:
    """The outlook's verdict is that of the level plan and of the guard, for any limits."""
    rig = with_limits(load_rig("virtual"), source_v_pk=source_v_pk, max_on_s=max_on_s)
    program, caps = sine(peak_uv, 0.5), replace(SMALLEST, max_points=max_points)
    try:
        plan, points = plan_levels(program, rig, caps, 10_000.0)
        how = SourceSettings(
            rate_hz=plan.source_rate_hz, vpp_open_v=plan.vpp_open_v, filter=rig.source.filter
        )
        refuse_harm(exposure(points, how, rig, rig.fixture.through), rig, rig.fixture.through)
        is_played = True
    except (UsageError, SafetyError):
        is_played = False
    assert foresee(program, rig, caps=caps).would_be_played == is_played


def test_a_certificate_that_is_missing_or_over_refuses(rig: Rig) -> None:
    """The day counts on which it would be played."""
    (refusal,) = foresee(sine(1000.0), rig, today=date(2127, 1, 1)).refusals
    assert "SIM-DIVIDER was due on 2126-01-01" in refusal
    fixture = rig.fixture.model_copy(update={"certificate": None})
    (refusal,) = foresee(sine(1000.0), rig.model_copy(update={"fixture": fixture})).refusals
    assert "without a certificate" in refusal


def test_nothing_is_opened(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver is loaded and no server started."""
    touched: list[str] = []
    for name in ("ServedRig", "load_driver"):
        monkeypatch.setattr(station, name, lambda *_, n=name, **__: touched.append(n))
    foresee(sine(1000.0), rig)
    assert touched == []


def test_silence_has_no_signal_and_a_smallest_swing(rig: Rig) -> None:
    """No logarithm of nothing fails."""
    outlook = foresee(sine(0.0), rig)
    assert outlook.signal["over_noise_device_db"] is None
    assert outlook.plan.vpp_open_v == 0.02
    assert "0 V rms: - dB over the noise" in outlook_text(outlook)
    json.loads(json.dumps(outlook.table(), allow_nan=False))


def test_the_table_is_json(outlook: Outlook) -> None:
    """Every node with its margin, and the verdict."""
    table = json.loads(json.dumps(outlook.table()))
    assert table["would_be_played"] is True
    assert [node["name"] for node in table["nodes"]] == [node.name for node in outlook.nodes]
    assert table["nodes"][0]["margin_pct"] == pytest.approx(89.94, abs=1e-3)
    assert table["plan"]["vpp_open_v"] == 2.052


def test_the_text_tells_the_assumption_and_the_verdict(rig: Rig, outlook: Outlook) -> None:
    """Nothing is asked of the generator: its memory is what the rig file declares."""
    text = outlook_text(outlook)
    assert "rig virtual, a sine: nothing is driven" in text
    assert "16000000 points, 16 bits, 20 Vpp (as declared: it was not asked)" in text
    assert "generator, open output  1.006 V  10 V  89.9 %  limits.source_v_pk" in re.sub(
        " {2,}", "  ", text
    )
    assert text.endswith("verdict: would be played\n")
    assert max(map(len, text.splitlines())) <= 130


def test_muscles_stand_in_a_table_with_the_worst_below(rig: Rig, outlook: Outlook) -> None:
    """The largest share of what the device may see, each refusal, and the times together."""
    large = foresee(sine(9000.0), rig)
    text = outlooks_text({"biceps_brachii": outlook, "tibialis_anterior": large})
    lines = text.splitlines()
    assert "would be played" in next(line for line in lines if line.startswith("biceps"))
    assert "REFUSED" in next(line for line in lines if line.startswith("tibialis"))
    assert any(line.startswith("worst      tibialis_anterior: 113 %") for line in lines)
    assert any("plays 2 s, at least 3.3 s" in line for line in lines)
    assert lines[-1].startswith("verdict: would be refused: tibialis_anterior: 9.0")
    assert outlooks_text({"biceps_brachii": outlook}).endswith("verdict: would be played\n")


@pytest.mark.parametrize(
    ("value_v", "text"),
    [(10.0, "10 V"), (0.1, "0.1 V"), (0.0999, "99.9 mV"), (1e-4, "0.1 mV"), (9.9e-5, "99 uV")],
)
def test_volts_are_written_in_a_fitting_unit(value_v: float, text: str) -> None:
    """V, mV or uV, four digits."""
    assert volts(value_v) == text


def test_a_device_with_too_narrow_a_band_is_foretold() -> None:
    """A Cyton passes up to 65 Hz: a tone of 100 Hz would be refused as the run refuses it."""
    refusals = foresee(sine(1000.0), load_rig("virtual-cyton")).refusals
    assert any("0 % lie in the device's band, up to 65 Hz: 50 % must" in why for why in refusals)
