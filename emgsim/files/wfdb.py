"""WFDB records, as PhysioNet keeps them: a header, its signal files, and reference annotations.

After header(5), signal(5) and annot(5) of the WFDB Applications Guide. A reader of our own: the
wfdb package brings pandas and 135 MB for what is needed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emgsim.files.content import Content, Mark, Signal

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]
Bytes = NDArray[np.uint8]

HEADER = ".hea"
ANNOTATIONS = ".atr"  # the reference annotator, by PhysioNet's custom
DEFAULT_RATE_HZ = 250.0
UNCALIBRATED = "uncalibrated"
SIGNAL = re.compile(
    r"(?P<format>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<byte>\d+))?"
)
GAIN = re.compile(r"(?P<gain>[^(/]+)(?:\((?P<baseline>[+-]?\d+)\))?(?:/(?P<unit>.+))?")
# Annotation codes 1 to 41 as PhysioNet's programs print them; blank where there is none.
CODES = ' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r'
SKIP, NUM, SUB, CHAN, AUX = range(59, 64)
RESOLUTION = re.compile(r"## time resolution: ([0-9.]{1,20})")


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One signal's line of the header."""

    file: str
    format: int
    per_frame: int
    first_byte: int
    gain: float
    baseline: int
    unit: str
    initial: int
    checksum: int
    name: str


@dataclass(frozen=True, kw_only=True)
class _Coding:
    """How samples stand in bytes: ``n_samples`` of them in every ``n_bytes``."""

    n_samples: int
    n_bytes: int
    unpack: Callable[[Bytes], Counts]  # (n_groups, n_bytes) -> (n_groups, n_samples)
    invalid: int | None


def read_wfdb(header: Path) -> Content:
    """Read a record: its signals, and the annotations of its ``.atr`` file if there is one.

    Raises
    ------
    OSError
        If a file of the record is missing.
    ValueError
        If the header does not hold, or a signal file does not fit it.
    """
    rate_hz, n_frames, lines = _header(header.read_text("latin-1"))
    signals: list[Signal] = []
    for file, group in groupby(lines, key=lambda line: line.file):
        signals += _signals(header.with_name(file), list(group), rate_hz, n_frames)
    annotations = header.with_suffix(ANNOTATIONS)
    marks = tuple(_marks(annotations.read_bytes(), rate_hz)) if annotations.is_file() else ()
    return Content(signals=tuple(signals), marks=marks)


def _header(text: str) -> tuple[float, int | None, list[_Line]]:
    """Return rate, number of frames (None if it is not told), and the signals' lines."""
    rows = [row.split() for row in text.splitlines() if row.strip() and row[0] != "#"]
    if not rows or len(rows[0]) < 2:
        raise ValueError("a header begins with the record's name and its number of signals")
    name, n_signals, *rest = rows[0]
    if "/" in name:
        raise ValueError("records of several segments are not read: join them with xform first")
    if _whole(n_signals) < 1:
        raise ValueError("the file holds no channels")
    if len(rows) - 1 != _whole(n_signals):
        raise ValueError(f"the header promises {n_signals} signals and has {len(rows) - 1}")
    rate_hz = _number(re.split(r"[/(]", rest[0])[0]) if rest else DEFAULT_RATE_HZ
    if not rate_hz > 0:
        raise ValueError(f"the rate must be > 0 Hz, got {rate_hz:g}")
    n_frames = _whole(rest[1]) if len(rest) > 1 else 0
    return rate_hz, n_frames or None, [_line(row, k) for k, row in enumerate(rows[1:], start=1)]


def _line(row: list[str], number: int) -> _Line:
    file, coding, *rest = [*row, ""] if len(row) < 2 else row
    how, gain = SIGNAL.fullmatch(coding), GAIN.fullmatch(rest[0] if rest else "0")
    if how is None or gain is None:
        raise ValueError(f"the line of signal {number} is none: {' '.join(row)!r}")
    if Path(file).name != file or file in ("-", "~"):
        raise ValueError(f"a signal file must stand beside its header, got {file!r}")
    if int(how["format"]) not in CODINGS:
        raise ValueError(f"format {how['format']} is not read; there is {sorted(CODINGS)}")
    if int(how["skew"] or 0):
        raise ValueError(f"signal {number} has a skew of {how['skew']} frames, which is not read")
    # resolution, zero, first value, checksum, block size
    _, zero, initial, checksum, _ = ([_whole(word) for word in rest[1:6]] + [0] * 5)[:5]
    per_unit = _number(gain["gain"])
    per_frame = int(how["per_frame"] or 1)
    if per_frame < 1:
        raise ValueError(f"signal {number} must have a sample in each frame, got {per_frame}")
    return _Line(
        file=file,
        format=int(how["format"]),
        per_frame=per_frame,
        first_byte=int(how["byte"] or 0),
        gain=per_unit or 1.0,
        baseline=zero if gain["baseline"] is None else int(gain["baseline"]),
        unit=(gain["unit"] or "mV") if per_unit else UNCALIBRATED,
        initial=initial,
        checksum=checksum,
        name=" ".join(rest[6:]) or f"channel {number}",
    )


def _signals(path: Path, lines: list[_Line], rate_hz: float, n_frames: int | None) -> list[Signal]:
    """Return the signals that share a file, frame by frame."""
    coding = CODINGS[lines[0].format]
    if len({(line.format, line.first_byte) for line in lines}) > 1:
        raise ValueError(f"the signals of {path.name} must have one format and one beginning")
    raw = np.frombuffer(path.read_bytes()[lines[0].first_byte :], np.uint8)
    per_frame = sum(line.per_frame for line in lines)
    n_there = raw.size * coding.n_samples // coding.n_bytes
    n_frames = n_there // per_frame if n_frames is None else n_frames
    n = n_frames * per_frame
    if n > n_there:
        raise ValueError(
            f"{path.name} must hold {n_frames} frames of {per_frame} samples, "
            f"{n_there} samples are there: it is truncated"
        )
    n_groups = -(-n // coding.n_samples)
    padded = np.zeros(n_groups * coding.n_bytes, np.uint8)
    padded[: raw.size] = raw[: padded.size]
    counts = coding.unpack(padded.reshape(n_groups, coding.n_bytes)).reshape(-1)[:n]
    frames = counts.reshape(n_frames, per_frame)
    ends = np.cumsum([line.per_frame for line in lines])
    return [
        _signal(line, frames[:, end - line.per_frame : end].reshape(-1), rate_hz, coding)
        for line, end in zip(lines, ends, strict=True)
    ]


def _signal(line: _Line, counts: Counts, rate_hz: float, coding: _Coding) -> Signal:
    if line.format == 8:  # first differences
        counts = (line.initial + np.cumsum(counts, dtype=np.int64)).astype(np.int32)
    found = int(np.sum(counts, dtype=np.int64))
    if line.checksum and (found - line.checksum) % 2**16:
        raise ValueError(f"the samples of {line.name!r} do not add up to the header's checksum")
    values = (counts.astype(np.float64) - line.baseline) / line.gain
    if coding.invalid is not None:
        values[counts == coding.invalid] = np.nan
    return Signal(
        name=line.name,
        unit=line.unit,
        rate_hz=rate_hz * line.per_frame,
        values=values,
        words=line.name,
    )


def _whole_bytes(kind: str, offset: int = 0) -> Callable[[Bytes], Counts]:
    def unpack(groups: Bytes) -> Counts:
        return np.ascontiguousarray(groups).view(kind).astype(np.int32) - np.int32(offset)

    return unpack


def _three_bytes(groups: Bytes) -> Counts:
    parts = groups.astype(np.int32)
    return _signed(parts[:, :1] | parts[:, 1:2] << 8 | parts[:, 2:] << 16, 24)


def _twelve_bits(groups: Bytes) -> Counts:
    low, both, high = groups.astype(np.int32).T
    return _signed(np.stack([low | (both & 15) << 8, high | (both >> 4) << 8], axis=1), 12)


def _ten_bits_in_halves(groups: Bytes) -> Counts:
    """Unpack format 310: two samples in bits 1-10 of two words, the third in bits 11-15 of both."""
    one, two = np.ascontiguousarray(groups).view("<u2").astype(np.int32).T
    third = one >> 11 | (two >> 11) << 5
    return _signed(np.stack([one >> 1 & 1023, two >> 1 & 1023, third], axis=1), 10)


def _ten_bits_in_a_row(groups: Bytes) -> Counts:
    word = np.ascontiguousarray(groups).view("<u4")[:, 0]
    parts = np.stack([word & 1023, word >> 10 & 1023, word >> 20 & 1023], axis=1)
    return _signed(parts.astype(np.int32), 10)


def _signed(counts: Counts, bits: int) -> Counts:
    top = np.int32(1 << (bits - 1))
    return (counts ^ top) - top


CODINGS = {
    8: _Coding(n_samples=1, n_bytes=1, unpack=_whole_bytes("i1"), invalid=None),
    16: _Coding(n_samples=1, n_bytes=2, unpack=_whole_bytes("<i2"), invalid=-(1 << 15)),
    24: _Coding(n_samples=1, n_bytes=3, unpack=_three_bytes, invalid=-(1 << 23)),
    32: _Coding(n_samples=1, n_bytes=4, unpack=_whole_bytes("<i4"), invalid=-(1 << 31)),
    61: _Coding(n_samples=1, n_bytes=2, unpack=_whole_bytes(">i2"), invalid=-(1 << 15)),
    80: _Coding(n_samples=1, n_bytes=1, unpack=_whole_bytes("u1", 128), invalid=-128),
    160: _Coding(n_samples=1, n_bytes=2, unpack=_whole_bytes("<u2", 1 << 15), invalid=-(1 << 15)),
    212: _Coding(n_samples=2, n_bytes=3, unpack=_twelve_bits, invalid=-(1 << 11)),
    310: _Coding(n_samples=3, n_bytes=4, unpack=_ten_bits_in_halves, invalid=-(1 << 9)),
    311: _Coding(n_samples=3, n_bytes=4, unpack=_ten_bits_in_a_row, invalid=-(1 << 9)),
}


def _marks(data: bytes, rate_hz: float) -> Iterator[Mark]:
    """Return the annotations; a note that tells the times' resolution is taken as such."""
    notes = list(_notes(data))
    told = (RESOLUTION.fullmatch(aux) for _, _, aux in notes)
    resolution_hz = next((_number(match[1]) for match in told if match), rate_hz)
    if not resolution_hz > 0:
        raise ValueError(f"the annotations' resolution must be > 0 Hz, got {resolution_hz:g}")
    for ticks, code, aux in notes:
        if not aux.startswith("## "):
            text = aux or CODES[code : code + 1].strip() or f"code {code}"
            yield Mark(onset_s=ticks / resolution_hz, duration_s=0.0, text=text)


def _notes(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Return time, code and text of each annotation; what qualifies one follows it."""
    words = [int.from_bytes(data[k : k + 2], "little") for k in range(0, len(data) - 1, 2)]
    ticks, k = 0, 0
    last: tuple[int, int, str] | None = None
    while k < len(words) and words[k]:
        code, value = words[k] >> 10, words[k] & 1023
        k += 1
        if code == SKIP:
            if k + 2 > len(words):
                break
            far = words[k] << 16 | words[k + 1]
            ticks += far - (far >> 31 << 32)
            k += 2
        elif code == AUX:
            text = data[2 * k : 2 * k + value].split(b"\0")[0].decode("latin-1")
            last = last and (*last[:2], text.strip())
            k += (value + 1) // 2
        elif code not in (NUM, SUB, CHAN):
            ticks += value
            if last:
                yield last
            last = (ticks, code, "") if code else None
    else:
        if k < len(words):
            yield from [last] if last else []
            return
    raise ValueError("the annotations lack their end: the file is truncated")


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ValueError(f"the header must have a whole number here, got {word!r}") from None


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise ValueError(f"the header must have a number here, got {word!r}") from None
    if not np.isfinite(value):
        raise ValueError(f"the header must have a finite number here, got {word!r}")
    return value
