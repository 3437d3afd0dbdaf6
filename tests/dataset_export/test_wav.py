"""WAV files, read by Python's own module and by ours."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from emgsim.dataset.export.wav import write_wav
from emgsim.errors import InputError
from emgsim.files.reading import read_recording
from emgsim.recording import Gap

from .making import ARRAY, recording_of


@pytest.mark.parametrize("electrode", [None, ARRAY])
def test_samples_survive(tmp_path: Path, electrode: dict[str, object] | None) -> None:
    """Half a count of 24 bits is the most that is lost; full scale and rate are told inside."""
    own = recording_of(**({"electrode": electrode} if electrode else {}), rate_hz=48_000.192)
    full_scale_uv = write_wav(tmp_path / "x.wav", own)
    assert full_scale_uv == 5_000
    with wave.open(str(tmp_path / "x.wav")) as file:
        shape = (file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes())
    assert shape == (48_000, len(own.channels), 3, own.n_samples)
    read, _ = read_recording(tmp_path / "x.wav")
    assert read.rate_hz == own.rate_hz
    assert np.abs(read.samples_uv - own.samples_uv).max() <= 0.5001 * 5_000 / 2**23
    assert b"full scale 5000 uV, rate 48000.192 Hz" in (tmp_path / "x.wav").read_bytes()[:120]
    with pytest.raises(InputError, match="would contradict"):
        read_recording(tmp_path / "x.wav", scale_uv_per_unit=1.0)


def test_full_scale_grows_and_gaps_are_silence(tmp_path: Path) -> None:
    """A large artefact is not cut off."""
    own = recording_of(n_samples=31, rate_hz=1000.0, gaps=(Gap(first_sample=3, n_samples=4),))
    own.samples_uv[20] = 7_000.0
    assert write_wav(tmp_path / "x.wav", own) == 50_000
    read, _ = read_recording(tmp_path / "x.wav")
    assert not read.samples_uv[3:7].any()
    assert read.samples_uv[20, 0] == pytest.approx(7_000.0, abs=0.003)


def test_a_rate_that_another_program_changed_is_its_own(tmp_path: Path) -> None:
    """A comment that does not fit the header any more is not believed."""
    write_wav(tmp_path / "x.wav", recording_of(n_samples=31, rate_hz=1000.0))
    data = bytearray((tmp_path / "x.wav").read_bytes())
    data[24:28] = (500).to_bytes(4, "little")
    (tmp_path / "x.wav").write_bytes(data)
    with pytest.raises(InputError, match="scale to microvolts"):
        read_recording(tmp_path / "x.wav")


@pytest.mark.parametrize(("rate_hz", "value", "said"), [
    (0.5, 0.0, "1 Hz or more, got 0.5"), (1000.0, 6e6, "within 5 V"),
    (1000.0, np.nan, "finite outside"),
])  # fmt: skip
def test_what_a_sound_cannot_be_is_refused(
    tmp_path: Path, rate_hz: float, value: float, said: str
) -> None:
    """No volt is cut off."""
    own = recording_of(n_samples=9, rate_hz=rate_hz)
    own.samples_uv[2] = value
    with pytest.raises(InputError, match=said):
        write_wav(tmp_path / "x.wav", own)
    assert not list(tmp_path.iterdir())
