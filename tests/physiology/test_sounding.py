"""Fibres that discharge during a recording: gains, end plates, blocks, the truth about fibres."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.electrodes import channels
from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import ConcentricNeedle, Macro, Medium, NeedleMove, TipPosition
from emgsim.physiology.rendering import add_discharges
from emgsim.physiology.sounding import Sounding, travel_s
from emgsim.physiology.track import track
from emgsim.physiology.voices import Sampling, Voices, unit_voices

RATE_HZ = 24_000.0
SAMPLING = Sampling(rate_hz=RATE_HZ, band_hz=9_000.0)
TIP = TipPosition(z_mm=15.0)
TIMES_S = np.array([0.01, 0.0403, 0.08111])
N = 3000  # samples that hold these discharges


def unit(
    x_mm: list[float], *, jitter_us: float = 17.0, block: float = 0.0, delay_s: float = 0.0
) -> UnitFibres:
    """Return fibres of 55 um at some distances from the needle's axis, end plates at 0."""
    one = np.ones(len(x_mm))
    return UnitFibres(
        x_mm=np.array(x_mm),
        y_mm=0 * one,
        end_plate_mm=0 * one,
        half_lengths_mm=(50 * one, 50 * one),
        diameter_um=55 * one,
        delay_s=delay_s * one,
        jitter_s=1e-6 * jitter_us * one,
        block_probability=block * one,
    )


def ear(fibres: UnitFibres, electrode: object = None) -> Callable[..., tuple[Voices, ...]]:
    """Return what each channel hears of the fibres at a place; the same voices each time."""
    heard: dict[TipPosition, tuple[Voices, ...]] = {}

    def hear(tip: TipPosition) -> tuple[Voices, ...]:
        if tip not in heard:
            kind = electrode or ConcentricNeedle()
            heard[tip] = tuple(
                unit_voices(fibres, channel, Medium(), SAMPLING) for channel in channels(kind, tip)
            )
        return heard[tip]

    return hear


def sounding(
    fibres: UnitFibres,
    plates: list[int] | None = None,
    *,
    moves: tuple[NeedleMove, ...] = (),
    tip: TipPosition = TIP,
    electrode: object = None,
    seed: int = 1,
) -> Sounding:
    """Return the fibres under a needle, each with an end plate of its own unless told."""
    return Sounding(
        fibres,
        np.arange(fibres.n_fibres) if plates is None else np.array(plates),
        ear(fibres, electrode),
        track(tip, moves),
        rate_hz=RATE_HZ,
        chance=np.random.default_rng(seed),
        fibre_truth=True,
    )


def samples_uv(source: Sounding, n_channels: int = 1, cuts: tuple[int, ...] = ()) -> np.ndarray:
    """Return all samples, in blocks if there are cuts."""
    edges = [0, *cuts, N]
    blocks = [np.zeros((b - a, n_channels), order="F") for a, b in pairwise(edges)]
    for first, block in zip(edges[:-1], blocks, strict=True):
        source.sound(block, first)
    return np.concatenate(blocks)


def late_s(source: Sounding, fibres: UnitFibres, times_s: np.ndarray) -> np.ndarray:
    """Return what the truth tells beyond the mean arrival, of each near fibre."""
    truth = source.fibre_truth()
    assert truth is not None
    mean_s = fibres.delay_s + travel_s(fibres, TIP.z_mm)
    return truth.arrival_s - times_s[:, None] - mean_s[truth.fibre]


# -- discharges ------------------------------------------------------------------------------------


def test_a_gain_is_a_factor_on_one_discharge() -> None:
    """Twice, half and not at all: each discharge by its own gain, whatever the others do."""
    fibres, gains = unit([0.3, 0.8], jitter_us=0.0), np.array([2.0, 0.5, 0.0])
    together = sounding(fibres)
    together.discharge(TIMES_S, gains)
    expected = np.zeros((N, 1))
    for time_s, gain in zip(TIMES_S, gains, strict=True):
        alone = sounding(fibres)
        alone.discharge(np.array([time_s]))
        expected += gain * samples_uv(alone)
    np.testing.assert_allclose(samples_uv(together), expected, atol=1e-9)
    assert np.ptp(expected) > 300


def test_gains_leave_the_muap_of_a_needle_that_rests() -> None:
    """The mean MUAP is that of gain 1, exactly, however the discharges are weighted."""
    fibres = unit([0.3, 0.8])
    source = sounding(fibres)
    source.discharge(TIMES_S, np.array([2.0, 0.5, 3.0]))
    (heard,) = ear(fibres)(TIP)
    first, muap_uv = source.muap()
    assert first == heard.muap_start
    np.testing.assert_array_equal(muap_uv[:, 0], heard.muap_uv)


@given(cuts=st.lists(st.integers(1, N - 1), max_size=4, unique=True).map(sorted))
@settings(max_examples=20, deadline=None)
def test_blocks_are_the_same_bytes_as_the_whole(cuts: list[int]) -> None:
    """Also where a discharge comes from an epoch that is drawn before the block needs it."""
    whole, cut = sounding(unit([0.3, 0.8], block=0.3)), sounding(unit([0.3, 0.8], block=0.3))
    for source in (whole, cut):
        source.discharge(TIMES_S[:2])
        source.discharge(TIMES_S[2:])
    expected = samples_uv(whole)
    assert samples_uv(cut, cuts=tuple(cuts)).tobytes() == expected.tobytes()
    np.testing.assert_array_equal(cut.times_s, TIMES_S)


def test_what_has_sounded_is_forgotten_and_never_sounds_again() -> None:
    """After the last voice has ended, a block is silent, and nothing is kept."""
    source = sounding(unit([0.3]))
    source.discharge(TIMES_S)
    assert np.abs(samples_uv(source)).max() > 100
    again = np.zeros((N, 1), order="F")
    source.sound(again, 0)
    assert not again.any()


def test_every_channel_hears_the_same_discharges() -> None:
    """A macro needle: cannula and port, each with its own voices of the same fibres."""
    fibres = unit([-0.5, 0.8], jitter_us=0.0)
    source = sounding(fibres, electrode=Macro())
    source.discharge(TIMES_S)
    heard = samples_uv(source, n_channels=2)
    first, muap_uv = source.muap()
    assert muap_uv.shape[1] == 2
    k = round(TIMES_S[0] * RATE_HZ)  # a whole sample
    room = heard[k + first : k + first + 600]
    np.testing.assert_allclose(room[: len(muap_uv)], muap_uv[:600], atol=2e-3)


# -- end plates ------------------------------------------------------------------------------------


def test_end_plates_jitter_as_they_are_set_and_each_on_its_own() -> None:
    """5000 discharges of three fibres: mean 0, SD 17 us +- 4 %, uncorrelated."""
    fibres, times_s = unit([0.2, 0.3, 0.4]), 0.1 * np.arange(5000)
    source = sounding(fibres)
    source.discharge(times_s)
    late_us = 1e6 * late_s(source, fibres, times_s)
    np.testing.assert_allclose(late_us.mean(axis=0), 0.0, atol=1.0)
    np.testing.assert_allclose(late_us.std(axis=0), 17.0, rtol=0.04)
    np.testing.assert_allclose(np.corrcoef(late_us.T), np.eye(3), atol=0.06)


def test_fibres_of_one_end_plate_jitter_and_block_together() -> None:
    """Fibres 0 and 1 share one: late by the same, blocked at the same discharges; 2 is alone.

    The numbers of end plates need be neither small nor in order.
    """
    fibres, times_s = unit([0.2, 0.3, 0.4], block=0.5), 0.1 * np.arange(2000)
    source = sounding(fibres, plates=[70, 70, 4])
    source.discharge(times_s)
    truth = source.fibre_truth()
    assert truth is not None
    assert truth.fibre.tolist() == [0, 1, 2]
    blocked, late = truth.is_blocked, late_s(source, fibres, times_s)
    np.testing.assert_array_equal(blocked[:, 0], blocked[:, 1])
    np.testing.assert_allclose(late[:, 0], late[:, 1], atol=1e-12)
    np.testing.assert_allclose(blocked.mean(axis=0), 0.5, atol=0.05)
    assert np.mean(blocked[:, 0] & blocked[:, 2]) == pytest.approx(0.25, abs=0.04)
    both = ~blocked[:, 0] & ~blocked[:, 2]
    assert abs(np.corrcoef(late[both][:, [0, 2]].T)[0, 1]) < 0.1


@pytest.mark.parametrize("block", [0.0, 0.3])
def test_what_a_fibre_does_depends_on_no_electrode(block: float) -> None:
    """Heard from elsewhere, where others are near, each end plate does the same."""
    fibres = unit([0.2, 1.5, 3.0], block=block)
    here, there = sounding(fibres), sounding(fibres, tip=TIP.model_copy(update={"x_mm": 2.8}))
    for source in (here, there):
        source.discharge(TIMES_S)
    a, b = here.fibre_truth(), there.fibre_truth()
    assert a is not None and b is not None  # noqa: PT018
    _, in_a, in_b = np.intersect1d(a.fibre, b.fibre, return_indices=True)
    assert in_a.size > 0
    np.testing.assert_array_equal(a.arrival_s[:, in_a], b.arrival_s[:, in_b])


# -- the truth about fibres ------------------------------------------------------------------------


def test_an_arrival_is_discharge_delay_and_way() -> None:
    """By pencil: 2 ms of delay and 15 mm at 3.7 m/s after the discharge."""
    fibres = unit([0.05], jitter_us=1e-1, delay_s=2e-3)
    source = sounding(fibres)
    source.discharge(TIMES_S)
    truth = source.fibre_truth()
    assert truth is not None
    expected_s = TIMES_S + 2e-3 + 15.0 / 3.7e3
    np.testing.assert_allclose(truth.arrival_s[:, 0], expected_s, rtol=0, atol=1e-6)


def test_the_front_stops_at_the_end_of_its_fibre() -> None:
    """Beyond its end a needle sees a fibre when its wave ends there; each way has its length."""
    fibres = unit([0.3])
    for z_mm, run_mm in ((15.0, 15.0), (-15.0, 15.0), (49.0, 49.0), (70.0, 50.0), (-70.0, 50.0)):
        assert travel_s(fibres, z_mm) == pytest.approx([run_mm / 3.7e3])


def test_the_samples_are_what_the_truth_tells() -> None:
    """Each near fibre's voice at its arrival, silent where blocked, and the far ones together."""
    fibres = unit([0.2, 0.5, 9.0], block=0.4)
    source = sounding(fibres)
    source.discharge(TIMES_S)
    truth = source.fibre_truth()
    (heard,) = ear(fibres)(TIP)
    assert truth is not None
    np.testing.assert_array_equal(truth.fibre, heard.near)
    np.testing.assert_array_equal(truth.is_blocked, np.isnan(truth.arrival_s))
    assert 0 < truth.is_blocked.mean() < 1
    sounds_s = TIMES_S[:, None] + late_s(source, fibres, TIMES_S)
    instants = RATE_HZ * np.column_stack([TIMES_S, sounds_s])
    expected = np.zeros(N)
    add_discharges(expected, 0, heard.phases, heard.start, instants, np.ones(3))
    np.testing.assert_allclose(samples_uv(source)[:, 0], expected, atol=1e-6)


# -- a needle that moves ---------------------------------------------------------------------------

MOVE = (NeedleMove(at_s=0.05, duration_s=0.02, x_mm=20.0),)  # from one fibre to the other
FAR_APART = [0.2, 19.8]


def test_a_fibre_is_in_the_truth_while_it_is_near() -> None:
    """Before the move one, after it the other; a fibre that is not near is not called blocked."""
    source = sounding(unit(FAR_APART), moves=MOVE)
    source.discharge(TIMES_S)
    truth = source.fibre_truth()
    assert truth is not None
    assert truth.fibre.tolist() == [0, 1]
    assert np.isfinite(truth.arrival_s).tolist() == [[True, False], [True, False], [False, True]]
    assert not truth.is_blocked.any()


def test_the_muap_of_a_needle_that_moves_is_the_mean_over_the_discharges() -> None:
    """Two discharges before the move and one after it: two thirds and one third."""
    fibres = unit(FAR_APART)
    source = sounding(fibres, moves=MOVE)
    source.discharge(TIMES_S)
    first, muap_uv = source.muap()
    expected = np.zeros(len(muap_uv))
    places = (TIP, TIP.model_copy(update={"x_mm": 20.0}))
    for tip, share in zip(places, (2 / 3, 1 / 3), strict=True):
        (heard,) = ear(fibres)(tip)
        begin = heard.muap_start - first
        expected[begin : begin + heard.muap_uv.size] += share * heard.muap_uv
    np.testing.assert_allclose(muap_uv[:, 0], expected, atol=1e-9)


def test_between_two_stations_a_discharge_is_heard_from_both() -> None:
    """Half-way from one to the next: half of what each hears."""
    fibres = unit([0.2, 0.6], jitter_us=0.0)
    moved = sounding(fibres, moves=(NeedleMove(at_s=0.0, duration_s=0.1, x_mm=0.05),))
    time_s = np.array([0.05])
    moved.discharge(time_s)
    expected = np.zeros((N, 1))
    for x_mm in (0.0, 0.05):
        still = sounding(fibres, tip=TIP.model_copy(update={"x_mm": x_mm}))
        still.discharge(time_s)
        expected += 0.5 * samples_uv(still)
    np.testing.assert_allclose(samples_uv(moved), expected, atol=1e-9)
