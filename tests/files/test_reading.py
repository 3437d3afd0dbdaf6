"""Recordings of other people's making: EDF, BDF, WAV and WFDB, read in microvolts or refused."""

from __future__ import annotations

import re
import shutil
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from emgsim.errors import InputError
from emgsim.files.content import Content, Mark, Signal, kind_of, recording_of, truth_of, uv_per_unit
from emgsim.files.edf import read_edf
from emgsim.files.npz import write_npz
from emgsim.files.reading import read_recording
from emgsim.files.wfdb import read_wfdb
from emgsim.recording import Channel, Gap, MotorUnit, Recording, Truth

DATA = Path(__file__).parent / "data"  # make.py in it says who wrote what
EXPECTED = dict(np.load(DATA / "expected.npz"))
WFDB = sorted(path.stem for path in DATA.glob("wfdb_*.hea") if path.stem != "wfdb_frames")
EDFS = ("pyedflib.edf", "pyedflib.bdf")


@pytest.mark.parametrize("name", WFDB)
def test_every_wfdb_format_reads_as_with_its_own_software(name: str) -> None:
    """Values and invalid samples are those that wfdb-python reads."""
    signals = read_wfdb(DATA / f"{name}.hea").signals
    np.testing.assert_array_equal(np.stack([s.values for s in signals], 1), EXPECTED[name])


def test_a_wfdb_recording_is_in_microvolts_with_its_gaps() -> None:
    """Millivolts are scaled, a run of invalid samples is a gap, the description names the kind."""
    recording, _ = read_recording(DATA / "wfdb_212.dat")
    np.testing.assert_allclose(
        recording.samples_uv, EXPECTED["wfdb_212"] * [1000.0, 1.0], rtol=1e-12
    )
    assert recording.rate_hz == 4000.5
    assert recording.gaps == (Gap(first_sample=40, n_samples=10),)
    assert [(c.name, c.kind) for c in recording.channels] == [
        ("EMG needle concentric", "concentric_needle"),
        ("EMG surface", "surface"),
    ]


def test_wfdb_annotations_are_truth() -> None:
    """MU n is a discharge of unit n, anything else an event, and far times are no mistake."""
    recording, truth = read_recording(DATA / "wfdb_16.hea")
    assert truth is not None
    times_s = EXPECTED["annotation_samples"] / 4000.5
    assert [unit.id for unit in truth.units] == [3, 4]
    np.testing.assert_allclose(truth.units[0].spike_times_s, times_s[[0, 4]])
    assert [event.kind for event in truth.events] == ["V", "contraction"]
    assert truth.events[1].onset_s == pytest.approx(times_s[3])
    assert truth.muap_rate_hz == recording.rate_hz


@pytest.mark.parametrize("name", EDFS)
def test_edf_and_bdf_read_as_with_other_software(name: str) -> None:
    """Each signal's values, unit and rate are those that pyedflib reads."""
    content = read_edf((DATA / name).read_bytes())
    for k, signal in enumerate(content.signals):
        np.testing.assert_allclose(signal.values, EXPECTED[f"{name[-3:]}_{k}"], atol=1e-9)
    assert [(s.unit, s.rate_hz) for s in content.signals] == [("mV", 200), ("uV", 200), ("N", 50)]
    assert content.marks == (
        Mark(onset_s=0.5, duration_s=0.0, text="MU 1"),
        Mark(onset_s=1.25, duration_s=2.0, text="contraction µ"),
    )


@pytest.mark.parametrize("name", EDFS)
def test_of_an_edf_the_voltages_are_taken_or_what_is_named(name: str) -> None:
    """Two channels of one name can be told apart; a force in newtons is none of ours."""
    both, truth = read_recording(DATA / name)
    assert [c.name for c in both.channels] == ["EMG biceps", "EMG biceps (2)"]
    assert both.channels[0].kind == "concentric_needle"
    assert truth is not None
    assert [unit.id for unit in truth.units] == [1]
    assert truth.events[0].offset_s == 3.25
    second, _ = read_recording(DATA / name, channels=["EMG biceps (2)"])
    np.testing.assert_array_equal(second.samples_uv[:, 0], both.samples_uv[:, 1])
    np.testing.assert_allclose(both.samples_uv[:, 0], 1e3 * EXPECTED[f"{name[-3:]}_0"])
    force, _ = read_recording(DATA / name, channels=["Force"], scale_uv_per_unit=2.0)
    assert force.rate_hz == 50
    np.testing.assert_allclose(force.samples_uv[:, 0], 2 * EXPECTED[f"{name[-3:]}_2"])


def discontinuous(*onsets: int) -> bytes:
    """Return the EDF+ of four records as one whose records begin at other times."""
    data = (DATA / "pyedflib.edf").read_bytes().replace(b"EDF+C", b"EDF+D")
    left = iter(onsets)

    def later(match: re.Match[bytes]) -> bytes:
        return (b"+%d\x14\x14" % next(left)).ljust(len(match[0]), b"\0")

    return re.sub(rb"\+\d\x14\x14\0*", later, data)


def test_a_discontinuous_edf_keeps_its_pauses(tmp_path: Path) -> None:
    """Records at 0, 1, 5 and 6 s: three seconds without samples are a gap, not closed."""
    path = tmp_path / "pause.edf"
    path.write_bytes(discontinuous(0, 1, 5, 6))
    recording, truth = read_recording(path)
    whole, _ = read_recording(DATA / "pyedflib.edf")
    assert recording.gaps == (Gap(first_sample=400, n_samples=600),)
    np.testing.assert_array_equal(recording.samples_uv[:400], whole.samples_uv[:400])
    np.testing.assert_array_equal(recording.samples_uv[1000:], whole.samples_uv[400:])
    assert np.isnan(recording.samples_uv[400:1000]).all()
    assert truth is not None


def test_records_out_of_order_are_refused(tmp_path: Path) -> None:
    """A record that begins before the last one ended cannot be placed."""
    path = tmp_path / "back.edf"
    path.write_bytes(discontinuous(0, 1, 1, 6))
    with pytest.raises(InputError, match="must follow each other in time"):
        read_recording(path)


def test_a_pause_of_years_is_taken_for_a_mistake(tmp_path: Path) -> None:
    """Damaged times must not fill the memory with NaN."""
    path = tmp_path / "years.edf"
    path.write_bytes(discontinuous(0, 1, 2, 99_999_999))
    with pytest.raises(InputError, match="with its gaps the file would have 20000000000 samples"):
        read_recording(path)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_pcm_wav_is_a_share_of_full_scale(tmp_path: Path, width: int) -> None:
    """What the standard library writes, of 8 to 32 bits, is scaled by the microvolts given."""
    bits = 8 * width
    counts = np.random.default_rng(width).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (30, 2))
    stored = counts + 128 if width == 1 else counts
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(width)
        file.setframerate(44_100)
        raw = stored.astype("<i8").tobytes()
        file.writeframes(b"".join(raw[k : k + width] for k in range(0, len(raw), 8)))
    recording, truth = read_recording(path, scale_uv_per_unit=5000.0)
    np.testing.assert_allclose(recording.samples_uv, 5000 * counts / 2.0 ** (bits - 1), rtol=1e-12)
    assert recording.rate_hz == 44_100
    assert truth is None


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.int32, np.uint8])
def test_wav_reads_as_scipy_wrote_it(tmp_path: Path, kind: type) -> None:
    """Floats are in units of their own, integers in full scale; missing samples are gaps."""
    rng = np.random.default_rng(3)
    is_float = np.issubdtype(kind, np.floating)
    values = (rng.standard_normal(50) if is_float else rng.integers(0, 200, 50)).astype(kind)
    if is_float:
        values[7:9] = np.nan
    path = tmp_path / "a.wav"
    wavfile.write(path, 8000, values)
    recording, _ = read_recording(path, scale_uv_per_unit=2.0)
    full, zero = {np.int16: (2**15, 0), np.int32: (2**31, 0), np.uint8: (128, 128)}.get(
        kind, (1, 0)
    )
    np.testing.assert_allclose(
        recording.samples_uv[:, 0], 2.0 * (values.astype(float) - zero) / full
    )
    assert recording.gaps == ((Gap(first_sample=7, n_samples=2),) if is_float else ())


def test_an_infinite_sample_is_refused(tmp_path: Path) -> None:
    """Infinity is no measurement, and no gap either."""
    path = tmp_path / "a.wav"
    wavfile.write(path, 8000, np.array([0.0, np.inf, 0.0], np.float32))
    with pytest.raises(InputError, match="samples must be finite, or NaN"):
        read_recording(path, scale_uv_per_unit=1.0)


def test_an_npz_without_a_list_of_gaps_has_those_of_its_samples(tmp_path: Path) -> None:
    """Another program's NaN are lost samples, like those of any other format."""
    samples = np.array([[1.0, 2.0], [np.nan, 3.0], [np.nan, np.nan], [4.0, 5.0]])
    np.savez(tmp_path / "a.npz", samples_uv=samples, rate_hz=8000.0)
    recording, _ = read_recording(tmp_path / "a.npz")
    assert recording.gaps == (Gap(first_sample=2, n_samples=1),)


def test_an_npz_comes_with_the_truth_of_the_channels_wanted(tmp_path: Path) -> None:
    """Of two channels the second is taken, from the recording and from each MUAP."""
    samples = np.arange(40.0).reshape(20, 2)
    unit = MotorUnit(
        id=1, muscle="m", threshold=0.1, n_fibres=3, discharge_times_s=np.array([0.001]),
        muap_uv=samples[:6], muap_start_s=0.0, arrival_s=0.0,
    )  # fmt: skip
    recording = Recording(
        samples_uv=samples, rate_hz=8000.0, channels=(Channel(name="a"), Channel(name="b"))
    )
    path = tmp_path / "x.bin"  # the content decides
    write_npz(path, recording, Truth(units=(unit,), muap_rate_hz=8000.0))
    read, truth = read_recording(path, channels=["b"])
    assert [c.name for c in read.channels] == ["b"]
    np.testing.assert_array_equal(read.samples_uv, samples[:, 1:])
    assert truth is not None
    np.testing.assert_array_equal(truth.units[0].muap_uv, samples[:6, 1:])


def cut(name: str, n: int) -> bytes:
    return (DATA / name).read_bytes()[:n]


def edited(name: str, place: int, text: bytes) -> bytes:
    data = bytearray((DATA / name).read_bytes())
    data[place : place + len(text)] = text
    return bytes(data)


def edf_of(n_records: int = 1, n_per_record: int = 3) -> bytes:
    """Return an EDF of one channel of zeros."""
    head = ["0", "", "", "", "", "512", "", str(n_records), "1", "1"]
    widths = [8, 80, 80, 8, 8, 8, 44, 8, 8, 4]
    head += ["EMG", "", "uV", "-1", "1", "-9", "9", "", str(n_per_record), ""]
    widths += [16, 80, 8, 8, 8, 8, 8, 80, 8, 32]
    text = "".join(word.ljust(width) for word, width in zip(head, widths, strict=True))
    return text.encode() + bytes(2 * n_records * n_per_record)


N_SIGNALS = 4  # of the EDF, its annotations among them
PER_RECORD = 256 + N_SIGNALS * 216
REFUSED = {
    "no such format": (b"hello", "the format is not known; it must be npz, EDF or BDF, WAV"),
    "empty": (b"", "the format is not known"),
    "cut in its header": (cut("pyedflib.edf", 300), "the header of 4 signals has 1280 bytes"),
    "cut in its records": (cut("pyedflib.edf", -10), "the file is truncated"),
    "too long": ((DATA / "pyedflib.bdf").read_bytes() + b"\0", "the file is truncated"),
    "no channels": (edited("pyedflib.edf", 252, b"0   "), "the file must have a channel, got 0"),
    "records of no time": (edited("pyedflib.edf", 244, b"0       "), "must last > 0 s, got 0"),
    "rate 0": (edf_of(n_per_record=0), "the rate of every channel is 0 Hz"),
    "fewer samples": (edited("pyedflib.edf", PER_RECORD, b"9       "), "truncated"),
    "no samples": (edf_of(n_records=0), "the file holds no samples"),
    "no number": (edited("pyedflib.edf", 244, b"one     "), "must be a number, got 'one'"),
    "no range": (
        edited("pyedflib.edf", 256 + N_SIGNALS * 112, b"-6      "),
        "cannot be calibrated",
    ),
    "WAV without a scale": (b"", "the scale to microvolts is needed"),
    "WAV cut": (b"", "the file is truncated"),
    "WAV of rate 0": (b"", "the rate must be > 0 Hz, got 0"),
    "WAV of no channels": (b"", "the file holds no channels"),
    "WAV of no samples": (b"", "the file holds no samples"),
}


def wav_bytes(tmp_path: Path, n: int = 10) -> bytearray:
    wavfile.write(tmp_path / "w.wav", 8000, np.zeros(n, np.int16))
    return bytearray((tmp_path / "w.wav").read_bytes())


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_one_clear_error(what: str, tmp_path: Path) -> None:
    """The rule that is broken, the file, and what to do."""
    data, said = REFUSED[what]
    scale = None
    if what.startswith("WAV"):
        data = wav_bytes(tmp_path, 0 if "samples" in what else 10)
        scale = None if "scale" in what else 1.0
        if "cut" in what:
            data = data[:-3]
        elif "rate" in what:
            data[24:28] = bytes(4)
        elif "channels" in what:
            data[22:24] = bytes(2)
    path = tmp_path / "given"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_recording(path, scale_uv_per_unit=scale)
    assert said in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.todo


def test_a_missing_channel_and_two_rates_name_the_way_out() -> None:
    """The channels that there are, and --channel."""
    with pytest.raises(InputError, match="no channel is called 'EMG'; there is 'EMG biceps'"):
        read_recording(DATA / EDFS[0], channels=["EMG"])
    with pytest.raises(InputError, match="must have one rate") as caught:
        read_recording(DATA / "wfdb_frames.hea", channels=["channel 1", "channel 2"])
    assert "--channel" in caught.value.todo
    with pytest.raises(InputError, match="once only"):
        read_recording(DATA / EDFS[0], channels=["EMG biceps", "EMG biceps"])
    with pytest.raises(InputError, match="a scale would contradict it"):
        read_recording(DATA / EDFS[0], scale_uv_per_unit=3.0)


def test_of_several_rates_the_highest_is_taken() -> None:
    """One frame holds a sample of the first signal and four of the second."""
    recording, _ = read_recording(DATA / "wfdb_frames.hea")
    assert recording.rate_hz == 4000
    np.testing.assert_array_equal(recording.samples_uv[:, 0], EXPECTED["wfdb_frames_1"])
    slow, _ = read_recording(DATA / "wfdb_frames.hea", channels=["channel 1"])
    np.testing.assert_array_equal(slow.samples_uv[:, 0], 1e3 * EXPECTED["wfdb_frames_0"])


WRONG_HEADERS = {
    "r": "begins with the record's name",
    "r/2 1 100\nr1 10\nr2 10": "several segments",
    "r 0 100": "the file holds no channels",
    "r 2 100 5\nr.dat 16": "promises 2 signals and has 1",
    "r 1 0 5\nr.dat 16": "the rate must be > 0 Hz, got 0",
    "r 1 -1e999 5\nr.dat 16": "a finite number",
    "r 1 100 5\n../r.dat 16": "must stand beside its header",
    "r 1 100 5\nr.dat 516": "format 516 is not read",
    "r 1 100 5\nr.dat 16:3": "skew of 3 frames",
    "r 1 100 5\nr.dat 16x0": "a sample in each frame",
    "r 1 100 5\nr.dat": "the line of signal 1 is none",
    "r 1 100 5\nr.dat 16 10/mV 0 x": "a whole number here, got 'x'",
    "r 1 100 99\nr.dat 16 10/mV": "it is truncated",
    "r 1 100 5\nr.dat 16 10/mV 0 0 0 77": "do not add up to the header's checksum",
    "r 1 100 5\nr.dat 16": "no channel is a voltage ('channel 1' in 'uncalibrated')",
    "r 1 100 5\nr.dat 16 10/mmHg": "the scale to microvolts is needed",
    "r 1 100 5\nnone.dat 16 10/mV": "No such file",
}


@pytest.mark.parametrize("header", WRONG_HEADERS)
def test_a_wrong_wfdb_header_is_one_clear_error(header: str, tmp_path: Path) -> None:
    """What the header lacks, or in what its signal file does not fit it."""
    (tmp_path / "r.dat").write_bytes(bytes(10))
    (tmp_path / "r.hea").write_text(header)
    with pytest.raises(InputError) as caught:
        read_recording(tmp_path / "r.hea")
    assert WRONG_HEADERS[header] in caught.value.what


def test_annotations_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    """Annotations end with a zero word; without it some are lost."""
    for path in DATA.glob("wfdb_16.*"):
        shutil.copy(path, tmp_path)
    whole = (DATA / "wfdb_16.atr").read_bytes()
    for n in range(len(whole) - 1):
        (tmp_path / "wfdb_16.atr").write_bytes(whole[:n])
        with pytest.raises(InputError, match="annotations lack their end"):
            read_recording(tmp_path / "wfdb_16.hea")


FUZZED = ("pyedflib.edf", "pyedflib.bdf", "wfdb_212.hea", "wfdb_16.atr", "wfdb_16.hea", "a.wav")


@pytest.mark.parametrize("name", FUZZED)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    """Bytes put in place of others, mostly in the header: a recording or an InputError."""
    for path in DATA.glob(f"{Path(name).stem}.*"):
        shutil.copy(path, tmp_path)
    raw = wav_bytes(tmp_path) if name == "a.wav" else bytearray((DATA / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, min(len(raw), 1400)))
        piece = data.draw(
            st.binary(max_size=8) | st.text("0123456789+-. ", max_size=8).map(str.encode)
        )
        raw[place : place + data.draw(st.integers(0, 8))] = piece
    (tmp_path / name).write_bytes(raw)
    path = (tmp_path / name).with_suffix(".hea" if name.startswith("wfdb") else Path(name).suffix)
    try:
        recording, _ = read_recording(
            path, scale_uv_per_unit=data.draw(st.sampled_from([None, 2.0]))
        )
    except InputError:
        return
    assert recording.n_samples > 0
    assert not np.isinf(recording.samples_uv).any()


def test_a_channel_without_a_rate_is_refused_when_it_is_wanted() -> None:
    """Beside others it does no harm."""
    still = Signal(name="still", unit="uV", rate_hz=0.0, values=np.zeros(0))
    content = Content(signals=(still, replace(still, name="b", rate_hz=9.0, values=np.ones(3))))
    assert [channel.name for channel in recording_of(content).channels] == ["b"]
    with pytest.raises(ValueError, match="the rate of 'still' must be > 0 Hz, got 0"):
        recording_of(content, ["still"])


def test_units_of_voltage_are_known_in_all_their_spellings() -> None:
    """Micro has two characters and a plain letter; what could be mega is not guessed."""
    known = [uv_per_unit(u) for u in ("V", "mV", "uV", "\u00b5V", "\u03bcV", "nV", " uv ")]
    assert known == [1e6, 1e3, 1.0, 1.0, 1.0, 1e-3, 1.0]
    assert [uv_per_unit(u) for u in ("MV", "UV", "", "degC")] == [None] * 4


def test_kinds_are_told_by_their_description() -> None:
    """What names no electrode is unknown, and left to the analysis."""
    said = ("Concentric needle, 25 mm", "Single fibre", "AgAgCl surface", "EMG 1")
    assert [kind_of(words) for words in said] == [
        "concentric_needle", "single_fibre", "surface", "unknown",
    ]  # fmt: skip


def test_the_muap_of_annotated_discharges_is_their_median() -> None:
    """Three discharges, one disturbed, one beyond the end: the potential comes out as it was."""
    rate_hz, wave_uv = 1000.0, np.array([0.0, 50.0, -30.0, 0.0])
    values = np.zeros(1000)
    for centre in (100, 300, 500):
        values[centre : centre + 4] = wave_uv
    values[300:310] += 1000.0
    content = Content(signals=(Signal(name="a", unit="uV", rate_hz=rate_hz, values=values),))
    marks = [Mark(onset_s=t, duration_s=0.0, text="unit 1") for t in (0.1, 0.3, 0.5, 0.999)]
    truth = truth_of(marks, recording_of(content))
    assert truth is not None
    unit = truth.units[0]
    assert unit.muap_start_s == -0.005
    np.testing.assert_allclose(unit.muap_uv[5:9, 0], wave_uv)
    assert unit.spike_times_s.tolist() == [0.1, 0.3, 0.5, 0.999]
    lasting = [replace(marks[0], duration_s=0.1)]
    late = truth_of(lasting, recording_of(content))
    assert late is not None
    assert not late.units  # what lasts is an event, whatever its name
