"""The way of bytes out of a device: speed, FIFO, and the timer of the USB adapter."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.plant.physics import LinePhysics
from emgsim.virtual.uart import Uart


def test_bytes_come_as_fast_as_the_line_brings_them() -> None:
    """At 1000 baud a byte takes 10 ms, and a frame begins when the one before it has ended."""
    uart = Uart(LinePhysics(baud=1000))
    assert uart.put(b"abc", 0.0)
    assert uart.put(b"de", 0.015)
    assert [uart.taken(t) for t in (0.009, 0.01, 0.035, 0.049, 0.05)] == [
        b"", b"a", b"bc", b"d", b"e"
    ]  # fmt: skip


def test_a_frame_that_finds_no_room_is_dropped_whole_and_counted() -> None:
    """100 bytes of FIFO hold three frames of 33; one more fits when one has gone."""
    uart = Uart(LinePhysics(baud=1000, fifo_bytes=100))
    put = [uart.put(bytes([k]) * 33, 0.0) for k in range(5)]
    assert put == [True, True, True, False, False]
    assert (uart.n_overflowed, uart.owed_bytes(0.0)) == (2, 99)
    assert uart.put(b"x" * 33, 0.33)
    assert uart.owed_bytes(0.33) == 99


def test_an_answer_waits_and_is_never_dropped() -> None:
    """It is longer than the FIFO, and comes after what was queued before."""
    uart = Uart(LinePhysics(baud=1000, fifo_bytes=64))
    uart.put(b"f" * 60, 0.0)
    uart.say(b"a" * 100, 0.0)
    assert uart.taken(10.0) == b"f" * 60 + b"a" * 100


def test_what_the_host_does_not_take_fills_the_fifo() -> None:
    """Bytes that are blocked are owed too."""
    uart = Uart(LinePhysics(baud=115_200, fifo_bytes=100))
    assert not uart.put(b"x" * 33, 0.0, blocked_bytes=70)
    assert uart.put(b"x" * 33, 0.0, blocked_bytes=60)


def test_the_adapter_hands_over_at_multiples_of_its_latency() -> None:
    """With a timer of 16 ms what came at 1 ms is seen at 16 ms, and what came at 17 ms at 32."""
    uart = Uart(LinePhysics(usb_latency_s=0.016))
    uart.put(b"a", 0.001)
    uart.put(b"b", 0.017)
    assert [uart.taken(t) for t in (0.0159, 0.016, 0.031, 0.032)] == [b"", b"a", b"", b"b"]


FRAMES = st.lists(st.tuples(st.floats(0, 0.05), st.integers(1, 60)), max_size=30)


@given(
    FRAMES,
    st.sampled_from([0, 9600, 115_200, 921_600]),
    st.sampled_from([0.0, 0.001, 0.016]),
    st.integers(64, 500),
)
def test_no_byte_is_lost_but_in_whole_frames_and_none_comes_too_early(
    frames: list[tuple[float, int]], baud: int, latency_s: float, fifo_bytes: int
) -> None:
    """What arrives is what was queued, in order, and never faster than the line is."""
    uart = Uart(LinePhysics(baud=baud, usb_latency_s=latency_s, fifo_bytes=fifo_bytes))
    now_s, queued, heard, most = 0.0, b"", b"", 0
    for k, (pause_s, length) in enumerate(frames):
        now_s += pause_s
        frame = bytes([k % 256]) * length
        if uart.put(frame, now_s):
            queued += frame
        most = max(most, uart.owed_bytes(now_s))
        heard += uart.taken(now_s)
        if baud:
            assert len(heard) <= now_s * baud / 10 + 1
    assert most <= fifo_bytes
    assert queued.startswith(heard)
    heard += uart.taken(now_s + math.ceil(1 + 10 * len(queued) / (baud or 1e9)))
    assert heard == queued
    assert len(queued) + sum(n for _, n in frames) >= 2 * len(queued)
    assert (uart.n_overflowed == 0) == (len(queued) == sum(n for _, n in frames))


def test_an_impossible_line_is_refused() -> None:
    """A burst that never ends is no line."""
    with pytest.raises(ValueError, match="loss_ends"):
        LinePhysics(loss_ends=0.0)
