"""BrainFlow (PyPI: brainflow) judges the twins of the Cyton, with and without Daisy, and FreeEEG32.

It reads every sample within half a step of the plant's truth, follows a change of gain, and its
own counter locates lost frames. BrainFlow says nothing at all when a device hangs up, so that is
for our own driver to tell.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from emgsim.plant.physics import AmplifierPhysics
from emgsim.virtual.frame_faults import FrameFaults
from emgsim.virtual.freeeeg32 import VirtualFreeEEG32
from emgsim.virtual.openbci import VirtualCyton

from .serving import Served, busy_world, serving

brainflow = pytest.importorskip("brainflow")
from brainflow.board_shim import BoardIds, BoardShim, BrainFlowInputParams  # noqa: E402

LONGEST_WAIT_S = 20.0
CYTON_UV = 4.5e6 / (2**23 - 1)  # of a code, times the gain
FREEEEG_UV = 2.5e6 / (2**23 - 1) / 8


def amplifier(n_channels: int, rate_hz: float) -> AmplifierPhysics:
    """Describe a DC-coupled amplifier whose channels differ by gain and noise."""
    gains = tuple(float(gain) for gain in np.linspace(0.5, 1.5, n_channels))
    return AmplifierPhysics(
        rate_hz=rate_hz, channels=n_channels, channel_gains=gains, channel_noise_uv_rms=3.0,
        highpass_order=0, lowpass_hz=0.26 * rate_hz, lowpass_order=3, clip_uv=1e6,
    )  # fmt: skip


@contextmanager
def cyton(
    n_channels: int = 8, rate_hz: float = 250.0, faults: FrameFaults | None = None
) -> Iterator[tuple[Served, BoardShim]]:
    """Serve a Cyton to BrainFlow's driver."""
    world = busy_world(amplifier(n_channels, rate_hz))
    board_id = BoardIds.CYTON_BOARD if n_channels == 8 else BoardIds.CYTON_DAISY_BOARD
    with (
        serving(world, lambda w: VirtualCyton(w, faults)) as served,
        connected(served, board_id) as board,
    ):
        yield served, board


@contextmanager
def connected(served: Served, board_id: BoardIds) -> Iterator[BoardShim]:
    """Connect BrainFlow, and release its session at the end."""
    BoardShim.disable_board_logger()
    parameters = BrainFlowInputParams()
    parameters.serial_port = served.address
    board = BoardShim(int(board_id), parameters)
    board.prepare_session()
    try:
        yield board
    finally:
        board.release_session()


def recorded(board: BoardShim, n_samples: int) -> "np.ndarray":
    """Stream until so many samples have come, and return at least them, (rows, n)."""
    board.start_stream()
    deadline_s = time.monotonic() + LONGEST_WAIT_S
    while board.get_board_data_count() < n_samples and time.monotonic() < deadline_s:
        time.sleep(0.02)
    board.stop_stream()
    data = board.get_board_data()
    assert data.shape[1] >= n_samples
    return np.asarray(data)


def rows(board_id: BoardIds) -> tuple[list[int], int]:
    """Return BrainFlow's rows of the channels and of the counter."""
    number = int(board_id)
    return BoardShim.get_eeg_channels(number), BoardShim.get_package_num_channel(number)


def test_every_sample_of_a_cyton_is_within_half_a_step() -> None:
    """At the default gain of 24; the counter begins with 0 and misses none."""
    with cyton() as (served, board):
        data = recorded(board, 1000)
        channels, counter = rows(BoardIds.CYTON_BOARD)
        n = data.shape[1]
        np.testing.assert_array_equal(data[counter], np.arange(n) % 256)
        codes = data[channels].T / (CYTON_UV / 24)
        assert np.abs(codes - served.codes[:n]).max() < 0.5
        assert len({tuple(column) for column in served.codes[:n].T}) == 8


def test_a_change_of_gain_is_followed() -> None:
    """The x command changes what the converters say, and BrainFlow scales it anew."""
    with cyton() as (served, board):
        answer = board.config_board("x1000110X")
        assert answer.startswith("Success: Channel set for 1")
        board.config_board("x3040110X")
        data = recorded(board, 500)
        channels, _ = rows(BoardIds.CYTON_BOARD)
        n = data.shape[1]
        gains = np.array([1, 24, 8, 24, 24, 24, 24, 24])
        true_uv = served.codes[:n] * CYTON_UV / gains
        assert np.all(np.abs(data[channels].T - true_uv).max(axis=0) < 0.5 * CYTON_UV / gains)
        # What the gain is for: the same volts at the input, whatever it is.
        part = np.linspace(0.5, 1.5, 8)
        seen_uv = true_uv.std(axis=0) / part
        np.testing.assert_allclose(seen_uv[[0, 2]], seen_uv[1], rtol=2e-2)


def test_lost_frames_are_seen_in_the_counter() -> None:
    """Ten frames from number 301 on are missing: one step of 11 after 300 frames."""
    with cyton(faults=FrameFaults(drop_frames=(301, 10))) as (served, board):
        data = recorded(board, 600)
        channels, counter = rows(BoardIds.CYTON_BOARD)
        steps = np.diff(data[counter]) % 256
        assert np.flatnonzero(steps != 1).tolist() == [299]
        assert steps[299] == 11
        kept = np.delete(served.codes, np.s_[300:310], axis=0)[: data.shape[1]]
        assert np.abs(data[channels].T / (CYTON_UV / 24) - kept).max() < 0.5


def test_frames_with_a_wrong_footer_are_dropped_by_the_client() -> None:
    """Every 100th frame ends wrongly: each is one step of 2."""
    with cyton(faults=FrameFaults(break_every_n_frames=100)) as (_, board):
        data = recorded(board, 400)
        steps = np.diff(data[rows(BoardIds.CYTON_BOARD)[1]]) % 256
        assert np.flatnonzero(steps != 1)[:3].tolist() == [98, 197, 296]


@pytest.mark.parametrize("rate_hz", [1000.0, 16000.0])
def test_fast_streams_arrive_whole(rate_hz: float) -> None:
    """As fast as it reads, BrainFlow gets every sample of 2 s of signal."""
    with cyton(rate_hz=rate_hz) as (served, board):
        data = recorded(board, round(2 * rate_hz))
        channels, counter = rows(BoardIds.CYTON_BOARD)
        n = data.shape[1]
        np.testing.assert_array_equal(data[counter], np.arange(n) % 256)
        assert np.abs(data[channels].T / (CYTON_UV / 24) - served.codes[:n]).max() < 0.5


def test_the_daisy_sends_means_by_turns() -> None:
    """16 channels: the Daisy's means in even frames, then the Cyton's in odd ones."""
    with cyton(n_channels=16) as (served, board):
        data = recorded(board, 400)
        channels, counter = rows(BoardIds.CYTON_DAISY_BOARD)
        n = data.shape[1]
        np.testing.assert_array_equal(data[counter], 2 * np.arange(n) % 256)
        codes = np.vstack([np.zeros((1, 16), np.int64), served.codes])
        means = np.trunc((codes[1:] + codes[:-1]) / 2)
        wanted = np.hstack([means[1 : 2 * n : 2, :8], means[0 : 2 * n : 2, 8:]])
        seen = data[channels].T / (CYTON_UV / 24)
        assert np.abs(seen - wanted).max() < 0.5


def test_every_sample_of_a_freeeeg32_is_within_half_a_step() -> None:
    """It needs no dialogue; the client leaves out the frame into which it was opened."""
    world = busy_world(amplifier(32, 512.0))
    with (
        serving(world, VirtualFreeEEG32) as served,
        connected(served, BoardIds.FREEEEG32_BOARD) as board,
    ):
        data = recorded(board, 1000)
        channels, counter = rows(BoardIds.FREEEEG32_BOARD)
        steps = np.diff(data[counter]) % 256
        assert np.all(steps == 1)
        codes = data[channels].T / FREEEEG_UV
        first = next(
            k for k in range(len(served.codes)) if np.abs(codes[0] - served.codes[k]).max() < 0.5
        )
        assert first % 256 == data[counter, 0]
        assert np.abs(codes - served.codes[first : first + len(codes)]).max() < 0.5
