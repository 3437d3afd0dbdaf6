"""Units mixed on many channels: each discharge at its instant, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.mixing import Mixer, Muap

FIRST, LENGTH = -10, 70


def wave(t: np.ndarray, channel: int) -> np.ndarray:
    """Return a band-limited potential on a channel, ``t`` samples after its discharge."""
    since = (t - 20.3 - channel) / 4.0
    return np.exp(-(since**2) / 2) * np.cos(2.4 * since)


def muap(n_channels: int = 3) -> Muap:
    """Return the wave on the recording's grid."""
    t = np.arange(FIRST, FIRST + LENGTH)
    return Muap(np.stack([wave(t, channel) for channel in range(n_channels)], axis=1), FIRST)


def mixed(cuts: list[int], trains: list[np.ndarray], n: int) -> np.ndarray:
    """Return voices of one shape mixed in blocks that end at ``cuts``, told just in time."""
    mixer = Mixer(3, (FIRST, FIRST + LENGTH))
    for voice in range(len(trains)):
        mixer.add_voice((voice,), muap())
    out, first, told = np.zeros((n, 3)), 0, 0
    for end in [*cuts, n]:
        wanted = mixer.wanted(end)
        for voice, train in enumerate(trains):
            now = train[(train >= told) & (train < wanted)]
            mixer.discharge((voice,), now, 1.0 + now % 1.0)
        told = max(told, wanted)
        mixer.sound(out[first:end], first)
        first = end
    return out


def test_each_discharge_sounds_at_its_own_instant_with_its_own_weight():
    """Against the wave in closed form; the two channels beside it are later by a sample each."""
    rng = np.random.default_rng(1)
    n, t = 30_000, np.arange(30_000)
    trains = [np.sort(rng.uniform(0, n, 200)) for _ in range(2)]
    expected = np.zeros((n, 3))
    for instant in np.concatenate(trains):
        near = slice(max(0, int(instant) - 60), int(instant) + 120)
        for channel in range(3):
            expected[near, channel] += (1 + instant % 1) * wave(t[near] - instant, channel)
    np.testing.assert_allclose(mixed([], trains, n), expected, atol=3e-8)


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(1, 24_999), max_size=6, unique=True).map(sorted))
def test_blocks_of_any_length_hold_the_same_bytes(cuts):
    """Stretches lie on a grid of their own, and a block is cut from them."""
    rng = np.random.default_rng(2)
    trains = [np.sort(rng.uniform(0, 25_000, 60)), rng.uniform(20_000, 25_000, 5)]
    np.testing.assert_array_equal(mixed(cuts, trains, 25_000), mixed([], trains, 25_000))


def test_what_lies_above_the_stop_is_not_mixed():
    """The wave ends at 0.28 of the rate, where 2e-6 of it is left; a fifth cuts some of it off."""
    t = np.arange(3000)
    expected = np.stack([wave(t - 700.3, channel) for channel in range(3)], axis=1)
    errors = []
    for stop in (0.5, 0.28, 0.2):
        mixer = Mixer(3, (FIRST, FIRST + LENGTH), stop)
        mixer.add_voice((1,), muap())
        mixer.discharge((1,), np.array([700.3]), np.ones(1))
        out = np.zeros((3000, 3))
        mixer.sound(out, 0)
        errors.append(np.max(np.abs(out - expected)))
    assert errors[0] < 1e-8
    assert errors[1] < 1e-5
    assert errors[2] > 1e-4


def test_a_voice_that_is_released_sounds_what_it_was_told_and_leaves_its_room():
    """A unit whose fibres have slowed down gets another MUAP, and memory does not grow."""
    mixer = Mixer(3, (FIRST, FIRST + LENGTH))
    ends = 0
    for step in range(18):
        mixer.add_voice((step,), muap())
        mixer.discharge((step,), np.array([step * mixer.stretch + 10.0]), np.ones(1))
        mixer.release((step,))
        first, ends = ends, step * mixer.stretch + 500
        block = np.zeros((ends - first, 3))
        mixer.sound(block, first)
        assert np.max(np.abs(block[-500:])) > 0.5
    with pytest.raises(KeyError):
        mixer.discharge((0,), np.array([1e6]), np.ones(1))


def test_a_discharge_that_comes_too_late_is_refused():
    """Its stretch is mixed: it would be missing without a word."""
    mixer = Mixer(3, (FIRST, FIRST + LENGTH))
    mixer.add_voice((1,), muap())
    mixer.sound(np.zeros((10, 3)), 0)
    with pytest.raises(ValueError, match=r"before sample \d+ are mixed already, got 5"):
        mixer.discharge((1,), np.array([5.0]), np.ones(1))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Muap(np.zeros((70, 2)), FIRST), r"expected \(n, 3\), got \(70, 2\)"),
        (Muap(np.zeros((70, 3)), FIRST - 1), "within samples -10 to 60 .*, got -11 to 59"),
        (Muap(np.zeros((71, 3)), FIRST), "within samples -10 to 60 .*, got -10 to 61"),
    ],
)
def test_a_muap_that_does_not_fit_is_refused(wrong, words):
    """A part that was cut off would be missing without a word."""
    with pytest.raises(ValueError, match=words):
        Mixer(3, (FIRST, FIRST + LENGTH)).add_voice((1,), wrong)
