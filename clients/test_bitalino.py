"""PLUX's own client (PyPI: bitalino) judges the twin of the BITalino: every code exact."""

from collections.abc import Iterator

import numpy as np
import pytest

from emgsim.plant.physics import AmplifierPhysics
from emgsim.virtual.bitalino import VirtualBitalino
from emgsim.virtual.frame_faults import FrameFaults

from .serving import Served, busy_world, serving

bitalino = pytest.importorskip("bitalino")

PHYSICS = AmplifierPhysics(
    rate_hz=1000.0, adc_bits=10, channels=6, channel_gains=(1.0, 0.5, 0.8, 0.9, 0.7, 0.6),
    range_uv=1635.28, clip_uv=1635.28, highpass_hz=25.0,
    highpass_order=1, lowpass_hz=480.0, lowpass_order=1,
)  # fmt: skip
TIMEOUT_S = 5.0


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Serve a BITalino, with the faults of an indirect parameter."""
    faults = getattr(request, "param", FrameFaults())
    with serving(busy_world(PHYSICS), lambda world: VirtualBitalino(world, faults)) as found:
        yield found


@pytest.fixture
def client(served: Served) -> "Iterator[bitalino.BITalino]":
    """Connect PLUX's client."""
    device = bitalino.BITalino(served.address, timeout=TIMEOUT_S)
    yield device
    device.close()


def drain(client: "bitalino.BITalino") -> None:
    """Read away what was on its way when the device was stopped."""
    client.socket.timeout = 0.2
    while client.socket.read(4096):
        pass
    client.socket.timeout = None


def test_the_version_is_a_bitalino_2(client: "bitalino.BITalino") -> None:
    """The client takes the twin for a (r)evolution."""
    assert client.version() == "BITalino_v5.1"
    assert client.isBitalino2


@pytest.mark.parametrize("ports", [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4],
                                   [0, 1, 2, 3, 4, 5], [2, 0]])  # fmt: skip
def test_every_code_is_exact(
    client: "bitalino.BITalino", served: Served, ports: list[int]
) -> None:
    """1500 frames of any ports: counter, digital ports, and codes as converted.

    The fifth and the sixth channel of a frame are the upper 6 bits of 10.
    """
    client.start(1000, ports)
    rows = client.read(1500)
    client.stop()
    truth = served.codes[:1500, sorted(ports)] + 512
    truth[:, 4:] >>= 4
    assert len(set(truth[:, 0].tolist())) > 100
    np.testing.assert_array_equal(rows[:, 0], np.arange(1500) % 16)
    np.testing.assert_array_equal(rows[:, 1:5], np.tile([1, 1, 0, 0], (1500, 1)))
    np.testing.assert_array_equal(rows[:, 5:], truth)


@pytest.mark.parametrize(("rate_hz", "one_in"), [(100, 10), (10, 100), (1, 1000)])
def test_the_rate_is_followed(
    client: "bitalino.BITalino", served: Served, rate_hz: int, one_in: int
) -> None:
    """A slower rate leaves samples of the converter out."""
    client.start(rate_hz, [0])
    rows = client.read(50)
    client.stop()
    np.testing.assert_array_equal(rows[:, 5], served.codes[::one_in][:50, 0] + 512)


def test_state_battery_and_outputs_are_answered(client: "bitalino.BITalino") -> None:
    """What the client sets is what it reads back."""
    client.battery(20)
    client.trigger([1, 0])
    client.pwm(77)
    state = client.state()
    assert state["batteryThreshold"] == 20
    assert state["digitalChannels"] == [1, 1, 1, 0]
    assert state["battery"] == 574
    client.start(1000, [0, 1, 2, 3, 4, 5])
    client.trigger([0, 1])
    rows = client.read(5000)  # the terminal holds 2100 frames from before the trigger was heard
    client.stop()
    assert rows[0, 1:5].tolist() == [1, 1, 1, 0]
    assert rows[-1, 1:5].tolist() == [1, 1, 0, 1]


def test_a_second_start_begins_anew(client: "bitalino.BITalino", served: Served) -> None:
    """The counter starts at 0 again, and the codes are those of the new start."""
    client.start(1000, [0])
    client.read(70)
    client.stop()
    drain(client)
    client.start(1000, [0])
    rows = client.read(100)
    client.stop()
    np.testing.assert_array_equal(rows[:, 0], np.arange(100) % 16)
    np.testing.assert_array_equal(rows[:, 5], served.codes[:100, 0] + 512)


@pytest.mark.parametrize("served", [FrameFaults(drop_every_n_frames=10)], indirect=True)
def test_a_dropped_frame_is_a_step_of_the_counter(
    client: "bitalino.BITalino", served: Served
) -> None:
    """The client sees frames 10, 20, ... missing, and the codes of all others."""
    client.start(1000, [0])
    rows = client.read(900)
    client.stop()
    numbers = np.arange(1000)
    numbers = numbers[numbers % 10 != 9]
    np.testing.assert_array_equal(rows[:, 0], numbers % 16)
    np.testing.assert_array_equal(rows[:, 5], served.codes[numbers, 0] + 512)


@pytest.mark.parametrize("served", [FrameFaults(corrupt_every_n_frames=10)], indirect=True)
def test_a_corrupt_frame_fails_the_clients_crc(client: "bitalino.BITalino") -> None:
    """The client gives up at the first one."""
    client.start(1000, [0])
    assert len(client.read(9)) == 9
    with pytest.raises(Exception, match="lost communication"):
        client.read(1)
