"""The whole virtual rig in its own process, with real PyVISA and real pyserial in front of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import serial
from pyvisa import VisaIOError

OK = '+0,"No error"'
FRAME_BYTES = 54


def listening(rig: Any) -> set[str]:
    """Return the interfaces at which the servers listen."""
    connections = psutil.Process(rig.process.pid).net_connections()
    return {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}


def read_exactly(port: serial.Serial, n_bytes: int) -> bytes:
    """Read so many bytes, however they come."""
    data = b""
    while len(data) < n_bytes:
        chunk = port.read(min(4096, n_bytes - len(data)))
        assert chunk, "the device fell silent"
        data += chunk
    return data


def counters(data: bytes) -> np.ndarray:
    """Return the counters of whole frames."""
    frames = np.frombuffer(data, np.uint8).reshape(-1, FRAME_BYTES)
    assert (frames[:, :2] == (0xA5, 0x5A)).all()
    return frames[:, 2].astype(int) * 256 + frames[:, 3]


def test_both_instruments_tell_who_they_are(rig: Any, visa: Callable[[str], Any]) -> None:
    """PyVISA opens both addresses as printed."""
    assert visa(rig.source).query("*IDN?").split(",")[1] == "33522B"
    assert visa(rig.capture).query("*IDN?").split(",")[1] == "DSO-X 3012G"


def test_a_million_points_go_up_and_clear_and_status_work(
    rig: Any, visa: Callable[[str], Any]
) -> None:
    """Two megabytes in one block, then a device clear and the status byte."""
    source = visa(rig.source)
    codes = np.random.default_rng(1).integers(-32767, 32768, 1_000_000).astype(np.int16)
    source.write("DATA:VOL:CLE")
    source.write_binary_values("DATA:ARB:DAC big,", codes, datatype="h", is_big_endian=True)
    assert source.query("*OPC?;:SYST:ERR?;:DATA:VOL:FREE?") == f"1;{OK};+15000000"
    assert source.read_stb() == 0
    source.write("FOO")
    assert source.read_stb() == 4
    source.clear()
    assert source.query("SYST:ERR?").startswith("-113")
    source.write("DATA:VOL:CLE")


def test_one_trigger_reaches_scope_and_device(rig: Any, visa: Callable[[str], Any]) -> None:
    """What is uploaded comes back as volts at the scope and as codes at the amplifier."""
    source, scope = visa(rig.source), visa(rig.capture)
    sine = np.sin(2 * np.pi * 200 * np.arange(50_000) / 50e3)
    codes = np.rint(32767 * sine).astype(np.int16)
    source.write("*RST;*CLS;:OUTP:LOAD INF;:DATA:VOL:CLE")
    source.write_binary_values("DATA:ARB:DAC sine,", codes, datatype="h", is_big_endian=True)
    source.write("FUNC:ARB sine;:FUNC ARB;:FUNC:ARB:SRAT 50e3;:VOLT 8;:VOLT:OFFS 0")
    source.write("BURS:STAT ON;:TRIG:SOUR BUS;:OUTP ON")
    assert source.query("SYST:ERR?") == OK
    scope.write("*RST;:TRIG:EDGE:SOUR EXT;:TIM:RANG 1;REF LEFT;POS 0.1;:CHAN1:RANG 16")
    scope.write(":WAV:FORM WORD;BYT LSBF;UNS 1;POIN:MODE RAW;:SING")
    with serial.Serial(rig.device, timeout=5) as device:
        device.write(b"START\n")
        source.write("*TRG")
        data = read_exactly(device, 3000 * FRAME_BYTES)
        device.write(b"STOP\n")
        device.timeout = 0.3
        tail = device.read(1_000_000)
    words = scope.query_binary_values(":WAV:DATA?", datatype="H", container=np.array)
    increment_v, origin_v, reference = (
        float(scope.query(f":WAV:{name}?")) for name in ("YINC", "YOR", "YREF")
    )
    volts = (words - reference) * increment_v + origin_v
    assert scope.query("SYST:ERR?") == OK
    assert np.sqrt(2) * np.std(volts[: volts.size * 9 // 10]) == pytest.approx(4.0, rel=0.02)
    numbers = counters(data + tail)
    np.testing.assert_array_equal(numbers, np.arange(numbers.size))
    frames = np.frombuffer(data, np.uint8).reshape(-1, FRAME_BYTES)[:, 4:-2].reshape(-1, 3)
    samples = np.zeros((len(frames), 4), np.uint8)
    samples[:, :3] = frames
    values = samples.view(">i4")[:, 0] / 256
    assert np.sqrt(2) * np.std(values[4800:43_200]) * 10_000 / 2**23 == pytest.approx(
        4000, rel=0.03
    )


def test_the_device_answers_lines_and_survives_reopening(rig: Any) -> None:
    """Identity and errors are text; a second opening of the port finds the device alive."""
    for _ in range(2):
        with serial.Serial(rig.device, timeout=5) as device:
            device.write(b"ID?\n")
            assert device.readline() == b"EMGSIM,NA-1,SIM-0001,1.0\n"
            device.write(b"HELLO\nSTOP\n")
            assert device.readline() == b"ERR 1\n"


def test_a_reader_that_stalls_loses_nothing(rig: Any) -> None:
    """A full terminal is back-pressure: the device waits, and every frame arrives."""
    with serial.Serial(rig.device, timeout=5) as device:
        device.write(b"START\n")
        first = read_exactly(device, 10 * FRAME_BYTES)
        stalled = subprocess.run([sys.executable, "-c", ""], check=True)  # time passes
        assert stalled.returncode == 0
        rest = read_exactly(device, 4000 * FRAME_BYTES)
        device.write(b"STOP\n")
        device.timeout = 0.3
        device.read(1_000_000)
    np.testing.assert_array_equal(counters(first + rest), np.arange(4010))


def test_dropped_frames_and_a_cut_line_are_seen(serve: Callable[..., Any]) -> None:
    """With both faults, every fifth counter is missing and the port dies after frame 1000."""
    rig = serve(drop_every_n_frames=5, hang_up_after_frames=1000)
    with serial.Serial(rig.device, timeout=5) as device:
        device.write(b"START\n")
        numbers = counters(read_exactly(device, 400 * FRAME_BYTES))
        assert (numbers % 5 != 4).all()
        with pytest.raises(serial.SerialException):
            read_exactly(device, 10_000 * FRAME_BYTES)


def test_a_generator_that_fails_says_so(
    serve: Callable[..., Any], visa: Callable[[str], Any]
) -> None:
    """The fault ``source_error`` queues -310 at an upload."""
    source = visa(serve(source_error=True).source)
    source.write_binary_values("DATA:ARB:DAC a,", [0] * 8, datatype="h", is_big_endian=True)
    assert source.query("SYST:ERR?").startswith("-310")


def test_a_silent_generator_times_out(
    serve: Callable[..., Any], visa: Callable[[str], Any]
) -> None:
    """It can be opened, and every question runs into the client's timeout."""
    source = visa(serve(source_silent=True).source)
    source.timeout = 300
    with pytest.raises(VisaIOError, match="VI_ERROR_TMO"):
        source.query("*IDN?")


@pytest.mark.parametrize(
    ("wire", "form"),
    [
        ("socket", "TCPIP::127.0.0.1::*::SOCKET"),
        ("vxi11", "TCPIP::127.0.0.1,*::inst0::INSTR"),
        ("serial", "ASRL/dev/pts/*::INSTR"),
    ],
)
def test_a_rig_is_served_on_the_wires_that_it_names(
    serve_table: Callable[..., Any], visa: Callable[[str], Any], wire: str, form: str
) -> None:
    """The resource has the form of its wire, and whoever opens it finds the instrument."""
    rig = serve_table(wires={"source": wire, "capture": wire})
    assert listening(rig) <= {"127.0.0.1"}
    for resource, model in ((rig.source, "33522B"), (rig.capture, "DSO-X 3012G")):
        assert fnmatch(resource, form)
        assert visa(resource).query("*IDN?").split(",")[1] == model


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_servers_cleanly(serve: Callable[..., Any], number: int) -> None:
    """Exit code 0, and nothing on stderr, even while the device streams."""
    rig = serve()
    with serial.Serial(rig.device, timeout=5) as device:
        device.write(b"START\n")
        read_exactly(device, 100)
        os.kill(rig.process.pid, number)
        assert rig.process.wait(10) == 0
    assert rig.process.stderr.read() == ""


def test_the_servers_listen_on_loopback_only(rig: Any) -> None:
    """No other interface is touched."""
    assert listening(rig) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("{}", "'virtual'"),
        ("[1]", "'virtual'"),
        ('{"virtual": 3}', "'virtual'"),
        ('{"virtual": {"sauce": {}}}', "sauce"),
        ('{"virtual": {"amplifier": {"rate_hz": -1}}}', "amplifier.rate_hz"),
        ('{"virtual": {"faults": {"source_eror": true}}}', "source_eror"),
        ('{"virtual": {"faults": {"capture": {"stuck_output": true}}}}', "capture.stuck_output"),
        ('{"virtual": {"wires": {"source": "gpib"}}}', "'hislip', 'socket', 'vxi11' or 'serial'"),
        ('{"virtual": {}, "source": {"driver": "x.y"}}', "source.driver; to do: use one of: key"),
        ('{"virtual": {}, "capture": {"driver": "x.y"}}', "no twin for 'x.y'"),
        ('{"virtual": {}, "device": {"driver": "x.y"}}', "serial.frames with na1"),
        ('{"virtual": {}, "device": 3}', "'virtual'"),
    ],
)
def test_a_rig_file_that_is_wrong_is_one_line_and_exit_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    """The line names the file and the mistake."""
    from emgsim.virtual.__main__ import main

    path = tmp_path / "rig.json"
    if content is not None:
        path.write_text(content, "utf-8")
    assert main([str(path), "--seed", "1"]) == 3
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert said in line
    assert str(path) in line


def test_without_input_the_servers_end_at_once(tmp_path: Path) -> None:
    """``/dev/null`` is at its end from the start; the addresses are printed all the same."""
    path = tmp_path / "rig.json"
    path.write_text('{"virtual": {}}', "utf-8")
    command = [sys.executable, "-m", "emgsim.virtual", str(path), "--seed", "1"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=True
    )
    assert list(json.loads(done.stdout)) == ["source", "capture", "device"]
    assert done.stderr == ""
