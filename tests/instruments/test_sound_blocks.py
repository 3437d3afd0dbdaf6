"""Blocks of a sound card: what is handed out and kept, however the card cuts it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.errors import InstrumentError
from emgsim.instruments.sound_blocks import Playback, Take, find_lag

SILENCE = Playback(np.zeros(1, np.int32), 1, 1000.0)
Blocks = st.lists(st.integers(1, 50), min_size=1, max_size=30)


@given(Blocks, st.integers(1, 40), st.integers(1, 4), st.integers(0, 30))
def test_a_waveform_comes_out_whole_whatever_the_blocks(sizes, n, cycles, before):
    """Silence, the waveform so many times, and silence: however the card cuts it into blocks."""
    words = np.arange(1, n + 1, dtype=np.int32)
    playback = Playback(words, cycles, 1000.0)
    heard = []
    for number, size in enumerate(sizes):
        if number == before:
            playback.trigger()
        block = np.full((size, 2), -1, np.int32)
        playback.fill(block)
        assert not block[:, 1].any()
        heard.append(block[:, 0])
    start = sum(sizes[:before])
    wanted = np.zeros(sum(sizes), np.int32)
    part = np.tile(words, cycles)[: max(0, wanted.size - start)]
    wanted[start : start + part.size] = part
    assert np.array_equal(np.concatenate(heard), wanted)
    triggered = before < len(sizes)
    assert playback.is_running is (triggered and start + n * cycles > sum(sizes))


@given(Blocks, st.integers(1, 300), st.integers(0, 30))
def test_a_record_is_what_came_from_the_trigger_on(sizes, n_points, before):
    """Every sample once and in order, of the channels that were asked for."""
    take = Take(n_points, (3, 1), 1000.0)
    stream = np.arange(3 * sum(sizes), dtype=np.int32).reshape(-1, 3)
    at = 0
    for number, size in enumerate(sizes):
        if number == before:
            take.trigger(SILENCE)
        take.keep(stream[at : at + size])
        at += size
    wanted = stream[sum(sizes[:before]) :, [2, 0]][:n_points]
    assert np.array_equal(take.words[: len(wanted)], wanted)
    assert not take.words[len(wanted) :].any()
    assert take.complete.is_set() is (len(wanted) == n_points)
    assert take.is_triggered is (before < len(sizes))


def test_a_block_is_copied_before_the_card_uses_it_again():
    """PortAudio hands out the same memory for every block."""
    take, block = Take(4, (1,), 1000.0), np.full((2, 1), 7, np.int32)
    take.trigger(SILENCE)
    take.keep(block)
    block[:] = 9
    take.keep(block)
    assert take.words[:, 0].tolist() == [7, 7, 9, 9]


def test_only_losses_since_the_trigger_count_and_they_name_when():
    """An underrun while silence was played did no harm; a later one is told in seconds."""
    playback, take = Playback(np.ones(100, np.int32), 1, 1000.0), Take(100, (1,), 1000.0)
    block = np.zeros((30, 1), np.int32)
    playback.fill(block, "output underflow")
    take.keep(block, "input overflow")
    playback.trigger()
    take.trigger(playback)
    for trouble in ("underflow", "", "underflow"):
        playback.fill(block, f"output {trouble}" if trouble else "")
        take.keep(block, "input overflow" if trouble else "")
    told = "output underflow 0.060 s after the trigger"
    assert (playback.untold(), playback.untold()) == ((told,), ())
    assert playback.losses == [told]
    assert take.losses == ["input overflow 0.060 s after the trigger"]
    playback.fill(np.zeros((1010, 1), np.int32))
    playback.fill(block, "output underflow")  # a second after the last sample
    assert playback.losses == [told]
    playback.trigger()
    assert (playback.untold(), playback.losses) == ((), [])


def played(words, cycles=1) -> Playback:
    """Return a playback that came to its end."""
    playback = Playback(words, cycles, 48_000.0)
    playback.trigger()
    playback.fill(np.zeros((cycles * words.size, 1), np.int32))
    return playback


def noise(n, seed=0, loudness=2**30):
    """Return words."""
    return np.random.default_rng(seed).integers(-loudness, loudness, n, dtype=np.int32)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3000), st.sampled_from([1, -1]), st.integers(0, 1), st.integers(0, 1000))
def test_the_lag_of_a_loopback_is_found_to_the_sample(lag, sign, channel, seed):
    """Whichever input hears it, inverted or not, beside an input that hears something else."""
    words = noise(2000, seed)
    recorded = np.stack([noise(6000, seed + 1, 2**28), noise(6000, seed + 2, 2**28)], axis=1)
    recorded[lag : lag + 2000, channel] += sign * (words // 3)
    assert find_lag(played(words), recorded) == lag


@pytest.mark.parametrize(("n", "cycles"), [(48, 4000), (192_000, 1)])
def test_the_lag_of_a_sine_is_not_a_period_off(n, cycles):
    """One period is like the next: the silence before and after tells them apart."""
    words = (2**29 * np.sin(2 * np.pi * np.arange(n) / 48)).astype(np.int32)
    recorded = noise(260_000, 3, 2**22)[:, None]
    recorded[30_011 : 30_011 + n * cycles, 0] += np.tile(words, cycles)
    assert find_lag(played(words, cycles), recorded) == 30_011


@pytest.mark.parametrize(("shift", "said"), [
    (1, "its end came 1 samples late"),
    (480, "its end came 480 samples late"),
    (-3, "its end came -3 samples late"),
])  # fmt: skip
def test_samples_that_were_lost_without_a_word_are_noticed(shift, said):
    """Silence put in between, or a piece left out: the end is not where it should be."""
    words = noise(200_000, 4)
    recorded = np.zeros((300_000, 1), np.int32)
    recorded[500:100_500, 0] = words[:100_000]
    recorded[100_500 + shift : 200_500 + shift, 0] = words[100_000:]
    with pytest.raises(InstrumentError, match=said):
        find_lag(played(words), recorded)


def test_a_waveform_without_its_end_is_noticed():
    """Unless it was stopped, or is longer than the record: then nobody expects the end."""
    words = noise(200_000, 5)
    recorded = np.zeros((300_000, 1), np.int32)
    recorded[500:50_500, 0] = words[:50_000]
    with pytest.raises(InstrumentError, match="its end is missing"):
        find_lag(played(words), recorded)
    assert find_lag(played(words), recorded[:60_000]) == 500
    stopped = Playback(words, 1, 48_000.0)
    stopped.trigger()
    stopped.fill(np.zeros((60_000, 1), np.int32))
    assert find_lag(stopped, recorded) == 500


@pytest.mark.parametrize("loudness", [1, 2**28])
def test_a_record_without_the_waveform_has_no_lag(loudness):
    """Silence and noise: a lag of the best guess would be an invention."""
    recorded = noise(18_000, 1, loudness).reshape(-1, 2)
    assert find_lag(played(noise(2000)), recorded) is None
    assert find_lag(played(np.zeros(2000, np.int32)), recorded) is None
