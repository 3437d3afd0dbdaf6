"""pyshimmer and BrainFlow judge the twin of the Shimmer3 EXG: every code exact."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import serial

from emgsim.plant.physics import AmplifierPhysics
from emgsim.virtual.frame_faults import FrameFaults
from emgsim.virtual.shimmer3 import VirtualShimmer3

from .serving import Served, busy_world, serving

pyshimmer = pytest.importorskip("pyshimmer")
channels = pytest.importorskip("pyshimmer.dev.channels")

FULL_SCALE_UV = 2.42e6  # at a gain of 1
PHYSICS = AmplifierPhysics(
    rate_hz=32768.0, channels=2, channel_gains=(1.0, 0.7), channel_noise_uv_rms=1.0, adc_bits=24,
    range_uv=FULL_SCALE_UV / 12, clip_uv=201_666.7, highpass_order=0, lowpass_hz=524.0,
    lowpass_order=1,
)  # fmt: skip
EMG = bytes.fromhex("04a01069602000000203")  # as Shimmer's programs set the first chip
N = 1024
WAIT_S = 20.0


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Serve a Shimmer3, with the faults of an indirect parameter."""
    faults = getattr(request, "param", FrameFaults())
    with serving(busy_world(PHYSICS), lambda world: VirtualShimmer3(world, faults)) as found:
        yield found


@pytest.fixture
def client(served: Served) -> "Iterator[pyshimmer.ShimmerBluetooth]":
    """Connect pyshimmer."""
    device = pyshimmer.ShimmerBluetooth(serial.Serial(served.address, pyshimmer.DEFAULT_BAUDRATE))
    with device:
        yield device


def channel(name: str) -> "channels.EChannelType":
    """Name a channel of the EXG as pyshimmer does."""
    return getattr(channels.EChannelType, f"EXG_ADS1292R_{name}")


def streamed(client: "pyshimmer.ShimmerBluetooth", names: list[str], n: int = N) -> "np.ndarray":
    """Stream until n packets have come; return time and channels, shape (n, 1 + channels)."""
    rows: list[list[int]] = []

    def keep(packet: "pyshimmer.DataPacket") -> None:
        rows.append([packet[channels.EChannelType.TIMESTAMP], *(packet[channel(c)] for c in names)])

    client.add_stream_callback(keep)
    client.start_streaming()
    wait_for(lambda: len(rows) >= n)
    client.stop_streaming()
    client.remove_stream_callback(keep)
    return np.array(rows[:n])


def wait_for(is_done: Callable[[], bool]) -> None:
    """Wait for a thread of a client, and fail when it takes too long."""
    ends_s = time.monotonic() + WAIT_S
    while not is_done():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


def set_up(client: "pyshimmer.ShimmerBluetooth", rate_hz: float = 1024.0) -> None:
    """Set the first chip up for EMG."""
    client.set_sampling_rate(rate_hz)
    client.set_sensors([channels.ESensorGroup.EXG1_24BIT])
    client.set_exg_register(0, 0, EMG)


def test_the_client_recognises_the_firmware(client: "pyshimmer.ShimmerBluetooth") -> None:
    """LogAndStream, new enough to switch off the acknowledgement of status messages."""
    kind, version = client.get_firmware_version()
    assert (kind, version) == (
        pyshimmer.EFirmwareType.LogAndStream, pyshimmer.dev.fw_version.FirmwareVersion(0, 16, 0)
    )  # fmt: skip
    assert client.capabilities.supports_ack_disable


def test_what_the_client_sets_it_reads_back(client: "pyshimmer.ShimmerBluetooth") -> None:
    """Rate, channels, registers, name, clock and state."""
    set_up(client, 512.0)
    assert client.get_sampling_rate() == 512.0
    assert client.get_inquiry() == (
        512.0, 1, [channel("1_STATUS"), channel("1_CH1_24BIT"), channel("1_CH2_24BIT")]
    )  # fmt: skip
    registers = client.get_exg_register(0)
    assert registers.binary == EMG
    assert (registers.ch1_gain, registers.ch2_gain, registers.data_rate) == (12, 12, 2000)
    client.set_device_name("bench")
    assert client.get_device_name() == "bench"
    client.set_rtc(1_000_000)
    assert client.get_rtc() == pytest.approx(1_000_000, abs=1)
    assert client.get_battery_state(in_percent=False) == pytest.approx(4.2, abs=0.3)
    assert not any(client.get_status())
    client.send_ping()


def test_every_code_is_exact(client: "pyshimmer.ShimmerBluetooth", served: Served) -> None:
    """1024 packets at 1024 Hz: every 32nd code of the plant, and its time."""
    set_up(client)
    rows = streamed(client, ["1_STATUS", "1_CH1_24BIT", "1_CH2_24BIT"])
    truth = served.codes[::32][:N]
    assert len(set(truth[:, 0].tolist())) > 1000
    np.testing.assert_array_equal(np.diff(rows[:, 0]) % 2**24, 32)
    np.testing.assert_array_equal(rows[:, 1], 0x80)
    np.testing.assert_array_equal(rows[:, 2:], truth)


@pytest.mark.parametrize("ticks", [16, 33, 64, 640])
def test_the_rate_is_followed(
    client: "pyshimmer.ShimmerBluetooth", served: Served, ticks: int
) -> None:
    """Any whole part of the crystal's 32768 Hz."""
    set_up(client, 32768 / ticks)
    rows = streamed(client, ["1_CH1_24BIT"], 300)
    np.testing.assert_array_equal(np.diff(rows[:, 0]) % 2**24, ticks)
    np.testing.assert_array_equal(rows[:, 1], served.codes[::ticks][:300, 0])


@pytest.mark.parametrize(("code", "gain"), list(enumerate((6, 1, 2, 3, 4, 8, 12))))
def test_the_gain_is_followed(
    client: "pyshimmer.ShimmerBluetooth", served: Served, code: int, gain: int
) -> None:
    """The same signal in other codes: by the gain of the register, as the client reads it too."""
    set_up(client)
    client.set_exg_register(0, 3, bytes([code << 4]))
    assert client.get_exg_register(0).ch1_gain == gain
    rows = streamed(client, ["1_CH1_24BIT", "1_CH2_24BIT"])
    np.testing.assert_array_equal(rows[:, 1:], served.codes[::32][:N])
    ratio = rows[:, 1].std() / (rows[:, 2].std() / 0.7)
    assert ratio == pytest.approx(gain / 12, rel=0.01)


def test_a_channel_that_is_off_says_nothing(client: "pyshimmer.ShimmerBluetooth") -> None:
    """Powered down, and joined to another input than the leads."""
    set_up(client)
    client.set_exg_register(0, 3, bytes([0x81, 0x05]))
    assert client.get_exg_register(0).ch1_powerdown
    assert not streamed(client, ["1_CH1_24BIT", "1_CH2_24BIT"], 100)[:, 1:].any()


def test_both_chips_stream_together(client: "pyshimmer.ShimmerBluetooth", served: Served) -> None:
    """The second chip's packets follow the first one's; nothing is connected to it."""
    set_up(client)
    client.set_sensors([channels.ESensorGroup.EXG1_24BIT, channels.ESensorGroup.EXG2_24BIT])
    rows = streamed(client, ["1_CH1_24BIT", "2_STATUS", "2_CH1_24BIT", "2_CH2_24BIT"])
    np.testing.assert_array_equal(rows[:, 1], served.codes[::32][:N, 0])
    assert (rows[:, 2] == 0x80).all()
    assert not rows[:, 3:].any()


def test_a_second_start_begins_anew(client: "pyshimmer.ShimmerBluetooth", served: Served) -> None:
    """The codes are those of the new start; commands are obeyed while it streams."""
    set_up(client)
    streamed(client, ["1_CH1_24BIT"], 100)
    rows = streamed(client, ["1_CH1_24BIT"], 400)
    starts = np.flatnonzero(rows[:, 1] == served.codes[0, 0])
    np.testing.assert_array_equal(rows[starts[0] :, 1], served.codes[::32][: 400 - starts[0], 0])


@pytest.mark.parametrize("served", [FrameFaults(drop_every_n_frames=10)], indirect=True)
def test_a_dropped_packet_is_a_step_of_the_time(
    client: "pyshimmer.ShimmerBluetooth", served: Served
) -> None:
    """Packets 10, 20, ... are missing; times and codes of all others are right."""
    set_up(client)
    rows = streamed(client, ["1_CH1_24BIT"], 900)
    numbers = (rows[:, 0] - rows[0, 0]) % 2**24 // 32
    np.testing.assert_array_equal(numbers, [k for k in range(1000) if k % 10 != 9])
    np.testing.assert_array_equal(rows[:, 1], served.codes[::32][numbers, 0])


def test_brainflow_reads_every_code(served: Served) -> None:
    """The second judge: BrainFlow's own Shimmer3 board, with rate and sensors set by it."""
    board_shim = pytest.importorskip("brainflow.board_shim")
    if not hasattr(board_shim.BoardIds, "SHIMMER3_BOARD"):
        pytest.skip("this BrainFlow has no Shimmer3")
    with serial.Serial(served.address, timeout=2) as port:
        port.write(b"\x61\x00\x00\x0a" + EMG)
        assert port.read(1) == b"\xff"
    parameters = board_shim.BrainFlowInputParams()
    parameters.serial_port = served.address
    board_shim.BoardShim.disable_board_logger()
    board = board_shim.BoardShim(board_shim.BoardIds.SHIMMER3_BOARD.value, parameters)
    board.prepare_session()
    try:
        assert board.config_board("sampling_rate:1024") == "OK"
        assert board.config_board("sensors:000018") == "OK"
        board.start_stream()
        wait_for(lambda: board.get_board_data_count() >= N)
        data = board.get_board_data(N)
        board.stop_stream()
    finally:
        board.release_session()
    rows = board_shim.BoardShim.get_ecg_channels(board_shim.BoardIds.SHIMMER3_BOARD.value)
    np.testing.assert_array_equal(data[rows[:2]].T, served.codes[::32][:N])
    assert not data[rows[2:]].any()
