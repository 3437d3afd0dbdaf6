"""Artefacts together: any cut into blocks gives the same bytes, and none moves another."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.artefacts.chunks import CHUNK
from emgsim.artefacts.composition import MAKERS, apply, stages
from emgsim.artefacts.parameters import (
    Adc,
    Amplifier,
    Artefact,
    Crosstalk,
    Ecg,
    LeadOff,
    Mains,
    Movement,
    NeedleMovement,
    Pop,
    RfBurst,
    Saturation,
    Stimulus,
    Thermal,
    Uneven,
)
from emgsim.recording import Channel, Event, Recording

NEEDED = {LeadOff: {"channels": (0,), "from_s": 0.05, "until_s": 2.5}}  # the rest has defaults
KINDS = sorted((model(**NEEDED.get(model, {})) for model in get_args(get_args(Artefact)[0])),
               key=lambda a: a.place)
# So often that a recording of seconds holds some of each.
BUSY = [
    artefact.model_copy(update={"per_min": 60.0}) if hasattr(artefact, "per_min") else artefact
    for artefact in KINDS
]


def recorded(n: int, n_channels: int, rate_hz: float, start_s: float = 0.0) -> Recording:
    """Return a recording of noise that now and then overloads an amplifier, with a gap."""
    samples_uv = 1_500 * np.random.default_rng(n).standard_normal((n, n_channels))
    samples_uv[n // 3 : n // 3 + 5] = np.nan
    channels = tuple(Channel(name=f"{k}") for k in range(n_channels))
    return Recording(samples_uv=samples_uv, rate_hz=rate_hz, channels=channels, start_s=start_s)


def in_order(event: Event) -> tuple[float, float, str]:
    """Return what events are sorted by."""
    return event.onset_s, event.offset_s, event.kind


def neighbour(recording: Recording) -> Recording:
    """Return a neighbour muscle's recording of the same length."""
    samples_uv = np.random.default_rng(9).standard_normal((recording.n_samples, 1))
    return Recording(samples_uv=samples_uv, rate_hz=recording.rate_hz,
                     channels=(Channel(name="neighbour"),))


@given(
    artefacts=st.lists(st.sampled_from(BUSY[:-1]), min_size=1, max_size=4),
    ends_in_codes=st.booleans(),
    cuts=st.lists(st.integers(0, 3 * CHUNK), max_size=8),
    n=st.integers(1, 3 * CHUNK),
    n_channels=st.integers(1, 3),
    rate_hz=st.sampled_from([2_000.0, 23_437.5, 48_000.0]),
)
@settings(max_examples=60, deadline=None)
def test_any_cut_into_blocks_gives_the_same_bytes_and_events(
    artefacts, ends_in_codes, cuts, n, n_channels, rate_hz
) -> None:
    """Whole, or in blocks of any size, one sample and none among them: equal to the last bit."""
    artefacts = sorted(artefacts, key=lambda a: a.place) + [Adc()] * ends_in_codes
    clean, seed = recorded(n, n_channels, rate_hz, start_s=2.5), n
    other = neighbour(clean)
    whole, events = apply(clean, (), artefacts, seed, neighbour=other)
    chain = stages(artefacts, rate_hz, seed, n_channels=n_channels, start_s=2.5, neighbour=other)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    blocks, told = [], []
    for a, b in pairwise(edges):
        block, begun = chain.step(clean.samples_uv[a:b], a)
        blocks.append(block)
        told += begun
    told += chain.finish()
    assert np.concatenate(blocks).tobytes() == whole.samples_uv.tobytes()
    assert tuple(sorted(told, key=in_order)) == events


@pytest.mark.parametrize("artefact", BUSY, ids=lambda a: a.kind)
def test_each_artefact_alone_is_cut_like_the_whole(artefact) -> None:
    """Every kind, over several chunks and in blocks of 480, 1 and 4097 samples."""
    rate_hz, n = 2_000.0, 4 * CHUNK
    clean = recorded(n, 2, rate_hz)
    other = neighbour(clean)
    whole, events = apply(clean, (), [artefact], 3, neighbour=other)
    again, _ = apply(clean, (), [artefact], 3, neighbour=other)
    assert whole.samples_uv.tobytes() == again.samples_uv.tobytes()
    assert not np.array_equal(whole.samples_uv, clean.samples_uv, equal_nan=True)
    for size in (480, 4097):
        chain = stages([artefact], rate_hz, 3, n_channels=2, neighbour=other)
        steps = [chain.step(clean.samples_uv[a : a + size], a) for a in range(0, n, size)]
        blocks = np.concatenate([block for block, _ in steps])
        assert blocks.tobytes() == whole.samples_uv.tobytes()
        told = [event for _, begun in steps for event in begun] + [*chain.finish()]
        assert sorted(told, key=in_order) == list(events)


def test_an_artefact_of_another_kind_moves_none() -> None:
    """What each adds to silence is the same alone and in company, whatever stands before it."""
    silence = Recording(samples_uv=np.zeros((20_000, 1)), rate_hz=10_000.0,
                        channels=(Channel(name="needle"),))
    company = [artefact for artefact in BUSY if artefact.kind in MAKERS]
    without = [a for a in company if a.kind not in ("needle_movement", "amplifier")]
    added = [apply(silence, (), [artefact], 1)[0].samples_uv for artefact in without]
    together, _ = apply(silence, (), without, 1)
    np.testing.assert_allclose(together.samples_uv, np.sum(added, axis=0), atol=1e-9)
    more, _ = apply(silence, (), company, 1)
    extra = [apply(silence, (), [a], 1)[0].samples_uv for a in company if a not in without]
    np.testing.assert_allclose(more.samples_uv - together.samples_uv, sum(extra), atol=1e-6)


def test_two_of_a_kind_differ_and_another_seed_is_another_day() -> None:
    """The second is numbered 1: its noise is not the first's; a seed changes all."""
    silence = np.zeros((5_000, 1))
    one, two = (
        stages([Thermal()] * n, 10_000.0, 1).step(silence, 0)[0] for n in (1, 2)
    )
    second = two - one
    assert second.std() == pytest.approx(one.std(), rel=0.1)
    assert abs(np.corrcoef(one[:, 0], second[:, 0])[0, 1]) < 0.1
    other = stages([Thermal()], 10_000.0, 2).step(silence, 0)[0]
    assert not np.array_equal(one, other)


def test_events_stand_in_order_of_onset_on_the_scenarios_clock() -> None:
    """Those given and those of the artefacts together, shifted by the recording's start."""
    clean = recorded(40_000, 1, 10_000.0, start_s=100.0)
    given_events = (Event(kind="contraction", onset_s=101.0, offset_s=103.0),)
    artefacts = [Ecg(), Stimulus(first_s=1.0, rate_hz=1.0), Saturation()]
    recording, events = apply(clean, given_events, artefacts, 1)
    onsets_s = [event.onset_s for event in events]
    assert onsets_s == sorted(onsets_s)
    assert min(onsets_s) >= 100.0
    assert [e.onset_s for e in events if e.kind == "artefact.stimulus"] == [101.0, 102.0, 103.0]
    assert given_events[0] in events
    assert recording.start_s == 100.0
    assert {e.kind for e in events} >= {"artefact.ecg", "artefact.saturation", "contraction"}
    assert {(e.grade, e.source) for e in events} == {(None, "")}


def test_an_event_is_told_in_the_block_where_it_begins() -> None:
    """Not earlier, though its chunk has been made long before."""
    chain = stages([Stimulus(first_s=0.05, rate_hz=10.0)], 10_000.0, 1)
    told = [chain.step(np.zeros((100, 1)), a)[1] for a in range(0, 2_000, 100)]
    assert [k for k, begun in enumerate(told) if begun] == [5, 15]


def test_an_artefact_reaches_the_channels_that_it_names() -> None:
    """A pop of one electrode leaves the others as they were, to the last bit."""
    clean = recorded(30_000, 3, 10_000.0)
    recording, _ = apply(clean, (), [Mains(channels=(2,)), Pop(per_min=60.0, channels=(1,))], 1)
    changed = [not np.array_equal(a, b, equal_nan=True)
               for a, b in zip(recording.samples_uv.T, clean.samples_uv.T, strict=True)]
    assert changed == [False, True, True]


def test_interference_is_the_same_on_all_channels() -> None:
    """Mains, heart and phone reach every electrode alike."""
    silence = np.zeros((100_000, 3))
    for artefact in (Mains(), Ecg(), RfBurst(per_min=60.0), Movement(per_min=60.0)):
        out, _ = stages([artefact], 10_000.0, 1, n_channels=3).step(silence, 0)
        assert np.ptp(out, axis=1).max() == 0.0
        assert np.ptp(out) > 0.0


def test_crosstalk_is_the_neighbour_scaled_and_blunted() -> None:
    """At low frequencies 4 %, at the corner 2 % (passed twice), without delay."""
    rate_hz = 10_000.0
    times_s = np.arange(40_000) / rate_hz
    for f_hz, expected in ((10.0, 0.04), (200.0, 0.02)):
        tone = np.sin(2 * np.pi * f_hz * times_s)[:, None]
        other = Recording(samples_uv=tone, rate_hz=rate_hz, channels=(Channel(name="other"),))
        chain = stages([Crosstalk()], rate_hz, 1, neighbour=other)
        out, events = chain.step(np.zeros((40_000, 1)), 0)
        middle = slice(10_000, 30_000)
        gain = (out[middle] * tone[middle]).sum() / (tone[middle] ** 2).sum()
        assert gain == pytest.approx(expected, rel=0.02)
        np.testing.assert_allclose(out[middle], gain * tone[middle], atol=1e-3 * gain)
        assert events == ()


def test_the_needle_scales_the_muscle_and_not_the_mains() -> None:
    """The order matters: what is added after the needle's movement keeps its size."""
    artefacts = [NeedleMovement(step_uv=0, burst_uv_rms=0, per_min=60.0), Mains()]
    silence = np.zeros((50_000, 1))
    moved, _ = stages(artefacts, 10_000.0, 1).step(silence, 0)
    still, _ = stages([Mains()], 10_000.0, 1).step(silence, 0)
    np.testing.assert_array_equal(moved, still)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: stages([Adc(), Thermal()], 1e4, 1), "must stand before adc"),
    (lambda: stages([], 1_000.0, 1), r"rate_hz must be in 2000\.\.1e\+06, got 1000"),
    (lambda: stages([], float("nan"), 1), "rate_hz must be in"),
    (lambda: stages([Pop(channels=(2,))], 1e4, 1, n_channels=2), "channels must be below 2, got 2"),
    (lambda: stages([Crosstalk()], 1e4, 1), "crosstalk needs the neighbour's recording"),
    (lambda: stages([Crosstalk()], 1e4, 1, neighbour=recorded(100, 1, 1e4)), "no lost samples"),
    (lambda: stages([Crosstalk()], 1e4, 1, neighbour=recorded(100, 1, 2e4)), "must be 10000"),
    (lambda: stages([Crosstalk()], 1e4, 1, neighbour=recorded(9, 2, 1e4)), "1 or 1 channels"),
    (lambda: stages([], 1e4, 1).step(np.zeros((5, 2)), 0), r"expected \(n_samples, 1\), got"),
    (lambda: stages([], 1e4, 1).step(np.zeros((5, 1)), 5), "start_sample must be 0, got 5"),
])
def test_what_cannot_work_is_said_at_once(call, message) -> None:
    """Thing, rule, value."""
    with pytest.raises(ValueError, match=message):
        call()


def test_a_neighbour_that_is_too_short_is_no_silence() -> None:
    """Crosstalk beyond the neighbour's end is an error, not zeros."""
    other = neighbour(recorded(1_000, 1, 10_000.0))
    chain = stages([Crosstalk()], 10_000.0, 1, neighbour=other)
    chain.step(np.zeros((1_000, 1)), 0)
    with pytest.raises(ValueError, match="as long as the recording, sample 1001; it has 1000"):
        chain.step(np.zeros((1, 1)), 1_000)


def test_the_given_samples_are_left_as_they_are() -> None:
    """Neither a block nor a recording is written to."""
    clean = recorded(5_000, 2, 10_000.0)
    before = clean.samples_uv.copy()
    apply(clean, (), [Thermal(), Amplifier(), Saturation(), Adc()], 1)
    np.testing.assert_array_equal(clean.samples_uv, before)


@pytest.mark.parametrize("artefact", [a for a in BUSY if isinstance(a, Uneven)])
def test_gains_scale_what_each_channel_gets(artefact) -> None:
    """One twice as loud, one turned over, one that hears nothing; a missing gain is 1."""
    clean = np.zeros((60_000, 3))
    alike = stages([artefact], 2_048.0, 1, n_channels=3).step(clean, 0)
    uneven = artefact.model_copy(update={"gains": (2.0, -1.0, 0.0)})
    found = stages([uneven], 2_048.0, 1, n_channels=3).step(clean, 0)
    assert np.ptp(alike[0]) > 0
    np.testing.assert_array_equal(found[0], alike[0] * [2.0, -1.0, 0.0])
    assert found[1] == alike[1]


def test_gains_are_those_of_the_channels_that_are_named() -> None:
    """The second gain belongs to column 2, and column 1 stays clean."""
    artefact = Ecg(channels=(0, 2), gains=(1.0, 3.0))
    samples_uv, _ = stages([artefact], 2_048.0, 1, n_channels=3).step(np.zeros((4_096, 3)), 0)
    np.testing.assert_array_equal(samples_uv[:, 2], 3.0 * samples_uv[:, 0])
    assert np.ptp(samples_uv, axis=0).tolist()[1] == 0.0


def test_gains_that_do_not_fit_the_recording_are_refused() -> None:
    """Four channels want four gains."""
    with pytest.raises(ValueError, match="mains: gains must be one for each of the 4 channels, "):
        stages([Mains(gains=(1.0, 2.0))], 2_048.0, 1, n_channels=4)
