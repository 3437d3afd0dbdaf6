"""Sound files: 24-bit WAV, for ears and for tools that read nothing else.

A WAV file knows neither microvolts nor a rate that is no whole number. Both are told in its
comment, which `emgsim.files.wav` reads; to other programs a sample is a share of full scale and the
rate the nearest whole one.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from emgsim.errors import InputError
from emgsim.recording import Recording

FULL_SCALES_UV = (5_000, 50_000, 500_000, 5_000_000)
HALF = 2**23  # counts to full scale, of which the topmost is missing
PCM = 1


def write_wav(path: Path, recording: Recording) -> int:
    """Write a recording as PCM of 24 bits, and return what full scale is in microvolts.

    Full scale is 5 mV, or ten, a hundred or a thousand times as much if a sample is beyond it. The
    comment says ``emgsim: full scale 5000 uV, rate 48000.192 Hz``. Lost samples are silence.

    Raises
    ------
    InputError
        If a sample is beyond 5 V or not finite outside the gaps, or the rate is below 1 Hz.
    OSError
        If the file cannot be written.
    """
    samples_uv = np.where(_is_lost(recording)[:, None], 0.0, recording.samples_uv)
    if not np.all(np.isfinite(samples_uv)):
        raise _refused(path, "samples must be finite outside the gaps")
    if not 1 <= recording.rate_hz < 2**31:
        raise _refused(path, f"the rate must be 1 Hz or more, got {recording.rate_hz:g} Hz")
    largest_uv = float(np.abs(samples_uv).max(initial=0.0))
    fitting = (most for most in FULL_SCALES_UV if largest_uv <= most * (1 - 1 / HALF))
    full_scale_uv = next(fitting, 0)
    if not full_scale_uv:
        raise _refused(path, f"samples must be within 5 V, got {largest_uv:g} uV")
    counts = np.rint(samples_uv * (HALF / full_scale_uv)).astype("<i4")
    data = counts.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    chunks = _format(recording) + _comment(full_scale_uv, recording.rate_hz) + _chunk(b"data", data)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return full_scale_uv


def _is_lost(recording: Recording) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    is_lost = np.zeros(recording.n_samples, np.bool_)
    for gap in recording.gaps:
        is_lost[gap.first_sample : gap.first_sample + gap.n_samples] = True
    return is_lost


def _format(recording: Recording) -> bytes:
    rate, frame = round(recording.rate_hz), 3 * len(recording.channels)
    return _chunk(
        b"fmt ",
        struct.pack("<HHIIHH", PCM, len(recording.channels), rate, rate * frame, frame, 24),
    )


def _comment(full_scale_uv: int, rate_hz: float) -> bytes:
    text = f"emgsim: full scale {full_scale_uv} uV, rate {rate_hz!r} Hz".encode() + b"\0"
    return _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", text))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _refused(path: Path, rule: str) -> InputError:
    return InputError(
        f"the recording cannot be a WAV file: {rule}",
        where=str(path),
        todo="write bids, npz or zarr instead, or choose another rate",
    )
